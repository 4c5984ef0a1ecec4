// Deploys the Worker and its weights: `npm run deploy`. Every step names the wrangler command that it runs.
//   -- --weights FILE --weights FILE   other weights files than the shipped ones; the first one's model is the default
//   -- --default NAME                  another default
//   -- --with-key                      makes a key, without which the endpoint then refuses to embed, and prints it once
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Unstable_RawConfig } from "wrangler";
import type { CatalogueEntry } from "../worker/catalogue.js";
import { GENERATED_CONFIG, PROJECT_ROOT, runAsCommand, UserError } from "./lib/project.js";
import {
  catalogueOf,
  immutableKey,
  isPart,
  partsOf,
  readWeightsFiles,
  type PartMetadata,
  type WeightsFile,
  type WeightsPart,
} from "./lib/weights.js";
import { runWrangler, wranglerCommandLine, type WranglerResult } from "./lib/wrangler.js";

const KV_BINDING = "EMBEDDINGS_MODEL";
/** A new workers.dev address is known everywhere within a minute or so. */
const FIRST_ANSWER_TIMEOUT_SECONDS = 120;
const RETRY_SECONDS = 2;
const KEY_RANDOM_BYTES = 32;

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      weights: { type: "string", multiple: true, default: [] },
      default: { type: "string" },
      "with-key": { type: "boolean" },
    },
  });

  const files = readWeightsFiles(values.weights).map((weights) => ({ weights, key: immutableKey(weights) }));
  const catalogue = catalogueOf(files, values.default);
  for (const { weights } of files) console.log(weights.summary);
  const config = await readConfig();

  await checkLogin();
  const namespaceId =
    configuredNamespaceId(config) ?? (await findOrCreateNamespace(namespaceTitle(config.name)));
  for (const { weights, key } of files) await uploadWeights(weights, key, namespaceId);

  const apiKey = values["with-key"] ? `sk-${randomBytes(KEY_RANDOM_BYTES).toString("base64url")}` : undefined;
  const generated = withModels(config, namespaceId, catalogue);
  writeJson(GENERATED_CONFIG, generated);
  const url = await deployWorker(apiKey);
  writeJson(GENERATED_CONFIG, { ...generated, deployed_url: url });
  await embedThrough(url, catalogue, apiKey ?? process.env["API_KEY"]);
  console.log(`\nDeployed. The base URL for an OpenAI client is ${url}/v1`);
}

/** The user's own configuration, with all that it sets: routes, variables, environments. */
async function readConfig(): Promise<Unstable_RawConfig & { name: string }> {
  // Loaded only here: it takes a second, which a refused weights file need not wait for.
  const { experimental_readRawConfig } = await import("wrangler");
  const { rawConfig } = experimental_readRawConfig({ config: join(PROJECT_ROOT, "wrangler.toml") });
  if (typeof rawConfig.name !== "string")
    throw new UserError('wrangler.toml has no name: put back `name = "embeddings-worker"`');
  return { ...rawConfig, name: rawConfig.name };
}

async function checkLogin(): Promise<void> {
  const result = await step(["whoami", "--json"]);
  const account = parseJson<{ loggedIn?: boolean; email?: string }>(result.stdout);
  if (account?.loggedIn === false) {
    throw new UserError(
      "not logged in to Cloudflare: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN, then run this again",
    );
  }
  // Some tokens may not ask who they are; whether they may deploy is for the next steps to find out.
  done(account?.email === undefined ? "logged in with a token" : `logged in as ${account.email}`);
}

/** Set where the user has made the namespace himself and written its id into wrangler.toml. */
function configuredNamespaceId(config: Unstable_RawConfig): string | undefined {
  const id = config.kv_namespaces?.find(({ binding }) => binding === KV_BINDING)?.id;
  if (id !== undefined) console.log(`wrangler.toml names the KV namespace ${id}`);
  return id;
}

/** The title that a plain `wrangler deploy` gives to the namespace when it makes it: both find the same one. */
function namespaceTitle(workerName: string): string {
  return `${workerName}-${KV_BINDING.toLowerCase().replaceAll("_", "-")}`;
}

async function findOrCreateNamespace(title: string): Promise<string> {
  const present = await findNamespace(title);
  if (present !== undefined) {
    done(`"${title}" has the id ${present}`);
    return present;
  }
  requireSuccess(
    await step(["kv", "namespace", "create", title]),
    `the KV namespace "${title}" could not be created`,
  );
  const created = await findNamespace(title);
  if (created === undefined)
    throw new UserError(`the KV namespace "${title}" was created but is not listed yet: run this again`);
  done(`created "${title}" with the id ${created}`);
  return created;
}

async function findNamespace(title: string): Promise<string | undefined> {
  const result = await step(["kv", "namespace", "list"]);
  requireSuccess(result, "the KV namespaces could not be listed");
  return parseJson<{ id: string; title: string }[]>(result.stdout)?.find(
    (namespace) => namespace.title === title,
  )?.id;
}

/** Uploads the parts of the weights that are not there. */
async function uploadWeights(weights: WeightsFile, key: string, namespaceId: string): Promise<void> {
  const namespaceArguments = ["--namespace-id", namespaceId, "--remote"];
  const listed = await step(["kv", "key", "list", "--prefix", key, ...namespaceArguments]);
  requireSuccess(listed, "the keys of the KV namespace could not be listed");
  const present = parseJson<{ name: string; metadata?: Partial<PartMetadata> }[]>(listed.stdout) ?? [];
  for (const part of partsOf(weights, key)) {
    if (present.some(({ name, metadata }) => name === part.key && isPart(part, metadata))) {
      done(`${part.key} is there already: nothing to upload`);
    } else {
      await uploadPart(weights, part, namespaceArguments);
    }
  }
}

async function uploadPart(
  weights: WeightsFile,
  { key, bytes, metadata }: WeightsPart,
  namespaceArguments: string[],
): Promise<void> {
  const isWhole = bytes.length === weights.bytes.length;
  const folder = isWhole ? undefined : mkdtempSync(join(tmpdir(), "embeddings-worker-"));
  try {
    let path = resolve(PROJECT_ROOT, weights.name) === weights.path ? weights.name : weights.path;
    if (folder !== undefined) {
      path = join(folder, key);
      writeFileSync(path, bytes);
    }
    const put = ["kv", "key", "put", key, "--path", path, "--metadata", JSON.stringify(metadata)];
    requireSuccess(await step([...put, ...namespaceArguments]), `the upload of ${weights.name} failed`);
    done(`uploaded ${bytes.length} bytes as ${key}`);
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

/** Everything else stays as the user has it; relative paths stay true, since the file lies beside wrangler.toml. */
function withModels(
  config: Unstable_RawConfig,
  namespaceId: string,
  catalogue: CatalogueEntry[],
): Unstable_RawConfig {
  const otherNamespaces = (config.kv_namespaces ?? []).filter(({ binding }) => binding !== KV_BINDING);
  return {
    ...config,
    kv_namespaces: [...otherNamespaces, { binding: KV_BINDING, id: namespaceId }],
    vars: { ...config.vars, MODEL_KEY: catalogue[0]!.key, MODELS: catalogue.map((entry) => ({ ...entry })) },
  };
}

/** The answer is the URL that wrangler deployed to. */
async function deployWorker(apiKey: string | undefined): Promise<string> {
  const temporaryFolder = mkdtempSync(join(tmpdir(), "embeddings-worker-"));
  try {
    const args = ["deploy", "--config", basename(GENERATED_CONFIG)];
    if (apiKey !== undefined) {
      // Together with the Worker, so that it never answers without asking for the key.
      const secretsFile = join(temporaryFolder, "secrets.json");
      writeFileSync(secretsFile, JSON.stringify({ API_KEY: apiKey }), { mode: 0o600 });
      args.push("--secrets-file", secretsFile);
    }
    const outputFile = join(temporaryFolder, "output.ndjson");
    requireSuccess(await step(args, { WRANGLER_OUTPUT_FILE_PATH: outputFile }), "the deployment failed");
    // At once: whatever fails from here on, the Worker asks for it.
    if (apiKey !== undefined) {
      console.log(`\nAPI key (it is not shown again; clients send it as a bearer token):\n\n  ${apiKey}\n`);
    }
    const url = deployedUrl(readFileSync(outputFile, "utf8"));
    done(`deployed to ${url}`);
    return url;
  } finally {
    rmSync(temporaryFolder, { recursive: true, force: true });
  }
}

/** The first target of the deployment that is an address: of workers.dev, a custom domain or a route. */
export function deployedUrl(wranglerOutput: string): string {
  const entries = wranglerOutput
    .split("\n")
    .map((line) => parseJson<{ type: string; targets?: string[] }>(line));
  const targets = entries.find((entry) => entry?.type === "deploy")?.targets ?? [];
  for (const target of targets) {
    // A route reads `example.com/embeddings/* (zone name: example.com)`, a domain `example.com (custom domain)`.
    const host = /^(?:https?:\/\/)?([\w.-]+\.\w+)(?:\/\*?)?(?: |$)/.exec(target)?.[1];
    if (host !== undefined) return `https://${host}`;
  }
  throw new UserError(
    `deployed, but to no address of a whole host (${targets.join(", ") || "no target"}): ` +
      "set workers_dev = true or a custom domain in wrangler.toml",
  );
}

/** Embeds one text with each model, until the answers come from those that were just deployed. */
async function embedThrough(
  url: string,
  catalogue: CatalogueEntry[],
  apiKey: string | undefined,
): Promise<void> {
  console.log(`$ curl ${url}/v1/embeddings   (a new address takes up to two minutes)`);
  const start = Date.now();
  for (const model of catalogue) {
    for (;;) {
      const { success, problem } = await tryToEmbed(url, model, apiKey);
      if (success !== undefined) done(success);
      if (problem === LOCKED) {
        done("the Worker asks for its key; set API_KEY to have this step embed a text");
        return;
      }
      if (problem === undefined) break;
      if (Date.now() - start > FIRST_ANSWER_TIMEOUT_SECONDS * 1000) {
        throw new UserError(
          `${url} was deployed but does not embed after ${FIRST_ANSWER_TIMEOUT_SECONDS} seconds: ${problem}; ` +
            "`npx wrangler tail --config wrangler.generated.json` shows its log",
        );
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_SECONDS * 1000));
    }
  }
}

const LOCKED = Symbol("the Worker asks for its key");

async function tryToEmbed(
  url: string,
  model: CatalogueEntry,
  apiKey: string | undefined,
): Promise<{ success?: string; problem?: string | typeof LOCKED }> {
  try {
    const response = await fetch(`${url}/v1/embeddings`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({ model: model.name, input: "Cloudflare Workers are awesome" }),
    });
    const body = await response.text();
    const version = response.headers.get("x-model-version");
    if (response.status === 401 && apiKey === undefined && version !== null) return { problem: LOCKED };
    if (!response.ok) return { problem: `status ${response.status}, ${body.slice(0, 300)}` };
    if (version !== model.sha256.slice(0, 12))
      return { problem: `the answer comes from model version ${version}` };
    const dimensions = parseJson<{ data?: { embedding?: unknown[] }[] }>(body)?.data?.[0]?.embedding?.length;
    if (dimensions !== model.dimensions)
      return { problem: `the embedding has ${dimensions} dimensions, not ${model.dimensions}` };
    return {
      success: `${model.name}: an embedding of ${dimensions} dimensions from model version ${version}`,
    };
  } catch (error) {
    const { message, cause } = error as Error;
    return { problem: cause instanceof Error ? `${message} (${cause.message})` : message };
  }
}

function step(args: string[], environment: NodeJS.ProcessEnv = {}): Promise<WranglerResult> {
  console.log(`$ ${wranglerCommandLine(args)}`);
  return runWrangler(args, environment);
}

function done(what: string): void {
  console.log(`  ${what}`);
}

function requireSuccess(result: WranglerResult, whatFailed: string): void {
  if (result.exitCode === 0) return;
  if (result.output.includes("More than one account")) {
    const accounts =
      result.output.match(/`[^`]+`: `[0-9a-f]{32}`/g)?.join(", ") ?? "`npx wrangler whoami` lists them";
    throw new UserError(
      `the login has several Cloudflare accounts: set CLOUDFLARE_ACCOUNT_ID to the one to use (${accounts})`,
    );
  }
  if (/\[code: (10000|9109)\]/.test(result.output)) {
    throw new UserError(
      `${whatFailed}: Cloudflare does not accept the login; an API token needs the permissions ` +
        "Workers Scripts: Edit and Workers KV Storage: Edit, and `npx wrangler login` gives a login that has them",
    );
  }
  throw new UserError(
    `${whatFailed}: ${reasonIn(result.output)}; mend that and run this again, it goes on where it stopped`,
  );
}

/** wrangler's error in one line, without the advice to report a bug and where its log is. */
function reasonIn(output: string): string {
  const error = output.slice(Math.max(output.indexOf("[ERROR]"), 0)).replace("[ERROR]", "");
  const lines = error.split("\n").map((line) => line.trim());
  const end = lines.findIndex((line) => /^(If you think this is a bug|🪵|\?)/u.test(line));
  return lines
    .slice(0, end < 0 ? undefined : end)
    .filter((line) => line !== "")
    .join(" ")
    .replace(/\.$/, "");
}

function parseJson<T>(text: string): T | undefined {
  try {
    return JSON.parse(text) as T;
  } catch {
    return undefined;
  }
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}
