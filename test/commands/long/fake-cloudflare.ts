// A small local stand-in for Cloudflare's API, as far as `wrangler` uses it to deploy this project: it keeps
// KV namespaces, their entries, the uploaded Workers and their secrets, and answers for the deployed URL.
import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { CatalogueEntry } from "../../../worker/catalogue.js";

export const ACCOUNT_ID = "0123456789abcdef0123456789abcdef";
export const API_TOKEN = "a-token-of-the-fake";
const WORKERS_SUBDOMAIN = "somebody";
const API_PATH = "/client/v4";

interface KvEntry {
  value: Buffer;
  metadata: unknown;
}

interface KvNamespace {
  id: string;
  title: string;
  entries: Map<string, KvEntry>;
}

interface Binding {
  name: string;
  type: string;
  text?: string;
  json?: unknown;
  namespace_id?: string;
}

interface UploadedWorker {
  bindings: Binding[];
}

class ApiFailure extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

export class FakeCloudflare {
  readonly namespaces: KvNamespace[] = [];
  readonly workers = new Map<string, UploadedWorker>();
  /** Method and path of every call of the API, without the account. */
  readonly calls: string[] = [];
  /** How many requests to the deployed URL are answered as by an address that is not known yet. */
  unansweredRequests = 0;
  /** What the upload of a KV value fails with, while it is set. */
  uploadFailure: string | undefined;
  accounts = [{ id: ACCOUNT_ID, name: "Somebody's account" }];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeCloudflare> {
    const server = createServer();
    const fake = new FakeCloudflare(server);
    server.on("request", async (request, response) => {
      const body = await readBody(request);
      const answer = await fake.#answer(request, body);
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(Buffer.from(await answer.arrayBuffer()));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What makes a wrangler, and a script that fetches from workers.dev, talk to this server alone. */
  get environment(): Record<string, string> {
    const redirect = `const { fetch } = globalThis;
      globalThis.fetch = (url, init) => {
        const { protocol, host, pathname } = new URL(url);
        return host.endsWith(".workers.dev")
          ? fetch("${this.origin}" + pathname, { ...init, headers: { ...init.headers, "x-deployed-url": protocol + "//" + host } })
          : fetch(url, init);
      };`;
    return {
      CLOUDFLARE_API_BASE_URL: this.origin + API_PATH,
      CLOUDFLARE_API_TOKEN: API_TOKEN,
      CLOUDFLARE_ACCOUNT_ID: ACCOUNT_ID,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(redirect)}`,
    };
  }

  async #answer(request: IncomingMessage, body: Buffer): Promise<Response> {
    const url = new URL(request.url ?? "/", this.origin);
    if (!url.pathname.startsWith(API_PATH)) return this.#answerAsDeployedWorker(request, url, body);
    const path = url.pathname.slice(API_PATH.length).replace(`/accounts/${ACCOUNT_ID}`, "");
    this.calls.push(`${request.method} ${decodeURIComponent(path)}`);
    try {
      if (request.headers.authorization !== `Bearer ${API_TOKEN}`)
        throw new ApiFailure(403, 10000, "Authentication error");
      const result = await this.#call(request, path, url.searchParams, body);
      return Response.json({
        success: true,
        errors: [],
        messages: [],
        result,
        result_info: { count: 1, total_count: 1 },
      });
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      const { status, code, message } = error;
      return Response.json(
        { success: false, errors: [{ code, message }], messages: [], result: null },
        { status },
      );
    }
  }

  async #call(
    request: IncomingMessage,
    path: string,
    query: URLSearchParams,
    body: Buffer,
  ): Promise<unknown> {
    const form = () =>
      new Response(body, { headers: { "content-type": request.headers["content-type"] ?? "" } }).formData();
    const route = `${request.method} ${path}`;
    let match: string[] | null;
    if (route === "GET /user/tokens/verify") return { id: "token", status: "active" };
    if (route === "GET /user") return { id: "user", email: "somebody@example.com" };
    if (route === "GET /accounts") return this.accounts;
    if (route === "GET /memberships") return this.accounts.map((account) => ({ account }));
    if (route === "GET /storage/kv/namespaces") {
      // wrangler asks for pages until one is empty.
      return Number(query.get("page") ?? 1) > 1
        ? []
        : this.namespaces.map(({ id, title }) => ({ id, title }));
    }
    if (route === "POST /storage/kv/namespaces") {
      return this.createNamespace((JSON.parse(body.toString()) as { title: string }).title);
    }
    if ((match = /^GET \/storage\/kv\/namespaces\/(\w+)\/keys$/.exec(route))) {
      const prefix = query.get("prefix") ?? "";
      return [...this.#namespace(match[1]).entries]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, { metadata }]) => ({ name, metadata }));
    }
    if ((match = /^PUT \/storage\/kv\/namespaces\/(\w+)\/values\/([^/]+)$/.exec(route))) {
      if (this.uploadFailure !== undefined) throw new ApiFailure(403, 10014, this.uploadFailure);
      return this.#put(
        this.#namespace(match[1]),
        decodeURIComponent(match[2] as string),
        request,
        body,
        form,
      );
    }
    if ((match = /^GET \/workers\/services\/([\w-]+)$/.exec(route))) {
      if (!this.workers.has(match[1] as string))
        throw new ApiFailure(404, 10090, "workers.api.error.service_not_found");
      return {
        id: match[1],
        default_environment: { environment: "production", script: { last_deployed_from: "wrangler" } },
      };
    }
    if ((match = /^GET \/workers\/scripts\/([\w-]+)\/(deployments|settings|secrets)$/.exec(route))) {
      const worker = this.workers.get(match[1] as string);
      if (worker === undefined)
        throw new ApiFailure(404, 10007, "This Worker does not exist on your account.");
      if (match[2] === "deployments")
        return { deployments: [{ id: "deployment", source: "wrangler", versions: [] }] };
      return match[2] === "settings" ? { bindings: worker.bindings } : [];
    }
    if ((match = /^(?:PUT|POST) \/workers\/scripts\/([\w-]+?)(?:\/versions)?$/.exec(route))) {
      return this.#upload(match[1] as string, await form());
    }
    if (/^POST \/workers\/scripts\/[\w-]+\/deployments$/.test(route)) return { id: "deployment" };
    if (/^PATCH \/workers\/scripts\/[\w-]+\/script-settings$/.test(route)) return {};
    if (/^POST \/workers\/scripts\/[\w-]+\/assets-upload-session$/.test(route))
      return { jwt: "assets", buckets: [] };
    if (/^GET \/workers\/subdomain$/.test(route)) return { subdomain: WORKERS_SUBDOMAIN };
    if (/^(GET|POST) \/workers\/scripts\/[\w-]+\/subdomain$/.test(route))
      return { enabled: true, previews_enabled: true };
    throw new ApiFailure(404, 7003, `the fake has no route for ${route}`);
  }

  createNamespace(title: string): KvNamespace {
    const id = createHash("md5").update(title).digest("hex");
    const namespace = { id, title, entries: new Map<string, KvEntry>() };
    this.namespaces.push(namespace);
    return namespace;
  }

  #namespace(id: string | undefined): KvNamespace {
    const namespace = this.namespaces.find((candidate) => candidate.id === id);
    if (namespace === undefined) throw new ApiFailure(404, 10013, "namespace not found");
    return namespace;
  }

  async #put(
    namespace: KvNamespace,
    key: string,
    request: IncomingMessage,
    body: Buffer,
    form: () => Promise<FormData>,
  ): Promise<null> {
    if (request.headers["content-type"]?.startsWith("multipart/form-data") !== true) {
      namespace.entries.set(key, { value: body, metadata: undefined });
      return null;
    }
    const fields = await form();
    namespace.entries.set(key, {
      value: Buffer.from(await (fields.get("value") as unknown as Blob).arrayBuffer()),
      metadata: JSON.parse(fields.get("metadata") as string) as unknown,
    });
    return null;
  }

  #upload(name: string, form: FormData) {
    const { bindings = [] } = JSON.parse(form.get("metadata") as string) as { bindings?: Binding[] };
    // Secrets stay as they are unless they are set anew.
    const keptSecrets = (this.workers.get(name)?.bindings ?? []).filter(
      (present) =>
        present.type === "secret_text" && !bindings.some((binding) => binding.name === present.name),
    );
    this.workers.set(name, { bindings: [...bindings, ...keptSecrets] });
    return {
      id: randomUUID(),
      deployment_id: randomUUID(),
      resources: { script: { etag: "etag" } },
      startup_time_ms: 1,
    };
  }

  /** As the Worker would, from what was really uploaded: the keys, the variables and the weights. */
  #answerAsDeployedWorker(request: IncomingMessage, url: URL, body: Buffer): Response {
    const name = new URL(String(request.headers["x-deployed-url"])).host.replace(
      `.${WORKERS_SUBDOMAIN}.workers.dev`,
      "",
    );
    const bindings = this.workers.get(name)?.bindings;
    if (bindings === undefined || this.unansweredRequests-- > 0)
      return new Response("There is nothing here yet", { status: 404 });
    const binding = (wanted: string) => bindings.find((candidate) => candidate.name === wanted);
    const { model, input } = JSON.parse(body.toString()) as { model: string; input: string };
    const models = binding("MODELS")?.json as CatalogueEntry[];
    const served = models.find(({ name }) => name === model) ?? models[0]!;
    const { entries } = this.#namespace(binding("EMBEDDINGS_MODEL")?.namespace_id);
    const parts = Array.from({ length: served.parts }, (_, i) =>
      entries.get(i === 0 ? served.key : `${served.key}.${i + 1}`),
    );
    const file = Buffer.concat(parts.map((part) => part?.value ?? Buffer.alloc(0)));
    const headers = { "x-model-version": createHash("sha256").update(file).digest("hex").slice(0, 12) };
    const apiKey = binding("API_KEY")?.text;
    if (apiKey !== undefined && request.headers.authorization !== `Bearer ${apiKey}`) {
      return Response.json({ error: { message: "wrong key" } }, { status: 401, headers });
    }
    if (file.length !== served.length)
      return Response.json({ error: { message: "no weights" } }, { status: 503, headers });
    if (url.pathname !== "/v1/embeddings" || typeof input !== "string")
      return new Response("not an embedding", { status: 400 });
    return Response.json(
      { object: "list", data: [{ embedding: new Array(served.dimensions).fill(0), index: 0 }] },
      { headers },
    );
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
