/**
 * The OpenAI Embeddings API on Cloudflare Workers. Read from top to bottom, this file is the story of a request:
 * bindings, fetch and routes, keys, the handlers, answers. What they are made of lies in worker/.
 */
import { startEmbedder } from "./embedder-wasm/embedder";
import embedderModule from "./embedder-wasm/pkg/embedder_wasm_bg.wasm";
import openApi from "./openapi.json";
import { drain, MAX_BODY_BYTES, readBody } from "./worker/body";
import { modelNamed, type ServedModel } from "./worker/catalogue";
import { ClientLeft, embedAsJson } from "./worker/embed";
import { ApiError, ERRORS, quoted } from "./worker/errors";
import { log } from "./worker/log";
import { defaultVersion, knownModels, loadModel, servedModels, type ModelBindings } from "./worker/models";
import { checkContentType, isText, MAX_TEXTS, parseEmbeddingsRequest, parseJson } from "./worker/request";
import { textsOfInput } from "./worker/token-ids";
import { canonicalUrl, hintFor } from "./worker/unknown-url";

export { Embeddings } from "./worker/service-binding";

export interface Env extends ModelBindings {
  /** The page at `/` and the table of token ids. */
  ASSETS?: Fetcher;
  /** A secret: one or more keys, separated by commas. Without it the API is open. */
  API_KEY?: string;
  RATE_LIMITER?: RateLimit;
}

/** The period of Cloudflare's rate limit binding, which does not say when it will allow more. */
const RETRY_RATE_LIMIT_SECONDS = 10;
/** Nobody reads it; nginx's number for this. */
const STATUS_CLIENT_LEFT = 499;
const PREFLIGHT_CACHE_SECONDS = 86_400;

startEmbedder(embedderModule);

/** What a handler works with. */
interface Context {
  request: Request;
  requestId: string;
  env: Env;
  ctx: ExecutionContext;
  /** For the log line of a failed request: sizes alone, never a text or a key. */
  sizes: { bytes: number; inputs: number; tokens: number };
  /** Of the path, where it names a model: Azure's do. */
  modelInPath?: string;
  /** Which model answers, where one does. */
  served?: ServedModel;
}

interface Route {
  method: "GET" | "POST";
  /** Asks for a key, where keys are set, and counts towards the rate limit. */
  api: boolean;
  handle: (context: Context, path: string) => Response | Promise<Response>;
}

const ROUTES: Record<string, Route> = {
  "/v1/embeddings": { method: "POST", api: true, handle: createEmbeddings },
  "/v1/models": { method: "GET", api: true, handle: listModels },
  "/health": { method: "GET", api: false, handle: reportHealth },
  "/openapi.json": { method: "GET", api: false, handle: describeApi },
  "/": { method: "GET", api: false, handle: serveAsset },
};

export default {
  async fetch(request, env, ctx): Promise<Response> {
    const context: Context = {
      request,
      requestId: newRequestId(),
      env,
      ctx,
      sizes: { bytes: 0, inputs: 0, tokens: 0 },
    };
    try {
      return await answerRequest(context);
    } catch (error) {
      return refuse(context, error);
    }
  },
} satisfies ExportedHandler<Env>;

let isolateId: string | undefined;
let requestCount = 0;

/** Random for each isolate and counted from there: random bytes for each request would cost about 3 µs of some 100. */
function newRequestId(): string {
  isolateId ??= crypto.randomUUID().replaceAll("-", "").slice(0, 20);
  return `req_${isolateId}${(requestCount++).toString(16).padStart(12, "0")}`;
}

/** Cloudflare sees to the host; where workerd runs alone, anything may stand there. */
function readPath({ url }: Request): string {
  // A plain one is read without `new URL`, which takes a tenth of the time of a short request.
  const plainPath = /^https?:\/\/[\w.-]+(?::[1-5]?\d{1,4})?(\/[\w/-]*)$/.exec(url)?.[1];
  if (plainPath !== undefined) return plainPath;
  try {
    return new URL(url).pathname;
  } catch {
    throw new ApiError("unknown_url", `The request's URL cannot be read; got ${quoted(url)}.`);
  }
}

async function answerRequest(context: Context): Promise<Response> {
  const { request, env } = context;
  const sentPath = readPath(request);
  if (request.method === "OPTIONS") return preflight(context);
  const { route, path, modelInPath } = findRoute(sentPath);
  if (route === undefined) return serveAsset(context, sentPath);
  if (modelInPath !== undefined) context.modelInPath = modelInPath;
  const methods = route.method === "GET" ? ["GET", "HEAD"] : [route.method];
  if (!methods.includes(request.method)) {
    throw new ApiError(
      "method_not_allowed",
      `${path} answers ${route.method}; got ${request.method}.`,
      null,
      { allow: [...methods, "OPTIONS"].join(", ") },
    );
  }
  if (route.api) {
    const key = authenticate(request, env);
    // By the key, which is verified, where there are keys: a made-up one does not evade the limit.
    if (env.RATE_LIMITER)
      await checkRateLimit(env.RATE_LIMITER, key ?? `address:${request.headers.get("cf-connecting-ip")}`);
  }
  return route.handle(context, path);
}

function findRoute(path: string): { route: Route | undefined; path: string; modelInPath?: string } {
  const route = ROUTES[path];
  if (route !== undefined) return { route, path };
  const { model: modelInPath, ...canonical } = canonicalUrl(path);
  const isModel = canonical.path.startsWith("/v1/models/");
  return {
    route: ROUTES[canonical.path] ?? (isModel ? MODEL_ROUTE : undefined),
    path: canonical.path,
    ...(modelInPath !== undefined && { modelInPath }),
  };
}

async function refuse(context: Context, error: unknown): Promise<Response> {
  const { request, requestId, sizes } = context;
  if (error instanceof ClientLeft) {
    log({ event: "client_left", request_id: requestId });
    return new Response(null, { status: STATUS_CLIENT_LEFT });
  }
  const failure =
    error instanceof ApiError ? error : new ApiError("internal_error", "Something went wrong here.");
  // The client reads an answer only when its upload has an end.
  if (request.body !== null && !request.bodyUsed) await drain(request.body.getReader());
  const { code, message, param, headers } = failure;
  const { status, type } = ERRORS[code];
  log({
    event: "request_failed",
    request_id: requestId,
    status,
    code,
    ...sizes,
    ...(failure === error ? {} : { detail: String(error) }),
  });
  return respondJson(
    context,
    { error: { message: message.toWellFormed(), type, param, code } },
    status,
    headers,
  );
}

// ------------------------------------------------------------------------------------ keys and rate limit

const utf8Encoder = new TextEncoder();
const KEY_FORMS = "'Authorization: Bearer <key>', 'api-key: <key>' or 'x-api-key: <key>'";

/** Returns which key was sent, or undefined where there are none. */
function authenticate(request: Request, env: Env): string | undefined {
  if (!env.API_KEY) return undefined;
  // A secret of commas alone lets nobody in, rather than everybody.
  const keys = env.API_KEY.split(",")
    .map((key) => key.trim())
    .filter((key) => key !== "");
  const sentKeys = keysIn(request.headers).map((key) => utf8Encoder.encode(key));
  if (sentKeys.length === 0) throw invalidApiKey(`No API key was sent: expected the header ${KEY_FORMS}.`);
  // Every key is compared, to its end, so that the time taken tells nothing.
  const matches = keys.map((key) => {
    const expected = utf8Encoder.encode(key);
    return sentKeys.map((sent) => equalInConstantTime(sent, expected)).includes(true);
  });
  const index = matches.indexOf(true);
  if (index === -1)
    throw invalidApiKey(`The API key is wrong: expected one of this endpoint's keys in ${KEY_FORMS}.`);
  return `key:${index}`;
}

/** OpenAI's clients send the first form, Azure's the second, Anthropic's and others the third. */
function keysIn(headers: Headers): string[] {
  const authorization = headers.get("authorization");
  const bearer = authorization === null ? null : (/^Bearer +(.*)$/i.exec(authorization)?.[1] ?? "");
  return [bearer, headers.get("api-key"), headers.get("x-api-key")]
    .filter((key) => key !== null)
    .map((key) => key.trim());
}

function equalInConstantTime(sent: Uint8Array, key: Uint8Array): boolean {
  let difference = sent.byteLength ^ key.byteLength;
  for (let i = 0; i < sent.byteLength; i++) difference |= sent[i]! ^ key[i % key.byteLength]!;
  return difference === 0;
}

function invalidApiKey(message: string): ApiError {
  return new ApiError("invalid_api_key", message, null, { "www-authenticate": "Bearer" });
}

async function checkRateLimit(limiter: RateLimit, client: string): Promise<void> {
  const { success } = await limiter.limit({ key: client });
  if (success) return;
  throw new ApiError(
    "rate_limit_exceeded",
    `Too many requests: this endpoint's rate limit is reached. Try again in ${RETRY_RATE_LIMIT_SECONDS} seconds.`,
    null,
    { "retry-after": String(RETRY_RATE_LIMIT_SECONDS) },
  );
}

// ---------------------------------------------------------------------------------------------- handlers

async function createEmbeddings(context: Context): Promise<Response> {
  const { request, env, ctx, sizes } = context;
  checkContentType(request.headers.get("content-type"));
  const body = await readBody(request, sizes);
  const {
    input,
    model: modelName,
    base64,
    dimensions,
    inputType,
  } = parseEmbeddingsRequest(parseJson(body), context.modelInPath);
  sizes.inputs = input.length;
  // Token ids need their table; text, which is what most people send, does not wait for it.
  const texts = isText(input) ? input : await textsOfInput(input, MAX_BODY_BYTES, env, ctx);
  const models = knownModels(env) ?? (await servedModels(env, ctx));
  // Clients with a fixed name get the default.
  const served = (context.served = modelNamed(models, modelName) ?? models[0]!);
  const isAbandoned = (): boolean => request.signal.aborted;
  const job = { served, texts, field: "input", dimensions, inputType, isAbandoned, sizes };
  return embedAsJson(job, { base64, modelName }, env, ctx, (answer, { truncated, empty }) =>
    respond(context, answer, 200, {
      "content-type": "application/json",
      ...(truncated.length > 0 && { "x-truncated-inputs": String(truncated.length) }),
      ...(empty.length > 0 && { "x-empty-inputs": String(empty.length) }),
    }),
  );
}

async function listModels(context: Context): Promise<Response> {
  const models = await servedModels(context.env, context.ctx);
  return respondJson(context, { object: "list", data: models.map(describeModel) });
}

const MODEL_ROUTE: Route = { method: "GET", api: true, handle: retrieveModel };

async function retrieveModel(context: Context, path: string): Promise<Response> {
  const id = decodePath(path.slice("/v1/models/".length));
  const models = await servedModels(context.env, context.ctx);
  const model = modelNamed(models, id);
  if (model === undefined) {
    const names = models.map(({ name }) => `'${name}'`).join(", ");
    throw new ApiError(
      "model_not_found",
      `The model ${quoted(id)} does not exist; this endpoint serves ${names}.`,
      "model",
    );
  }
  return respondJson(context, describeModel(model));
}

function describeModel(model: ServedModel): object {
  return {
    id: model.name,
    object: "model",
    // The time of a model's making is not in its weights, and a made-up one would mislead.
    created: 0,
    owned_by: "embeddings-worker",
    architecture: model.architecture,
    dimensions: model.dimensions,
    max_dimensions: model.maxDimensions,
    semantic_dimensions: model.semanticDimensions,
    max_input_tokens: model.maxInputTokens,
    max_inputs_per_request: MAX_TEXTS,
    max_tokens_per_request: model.maxRequestTokens,
    max_body_bytes: MAX_BODY_BYTES,
  };
}

/** Whether the default model can be loaded is known when it is. */
async function reportHealth(context: Context): Promise<Response> {
  const { env, ctx } = context;
  const [model] = await servedModels(env, ctx);
  await loadModel(model!, env, ctx);
  return respondJson(context, describeHealth(model!));
}

function describeHealth({ name, dimensions, dtype }: ServedModel): object {
  return { status: "ok", name, dimensions, dtype };
}

/** openapi.json with the figures of the models; without any it is still true, only less exact. */
async function describeApi(context: Context): Promise<Response> {
  const models = await servedModels(context.env, context.ctx).catch(() => undefined);
  if (models === undefined) return respondJson(context, openApi);
  const { schemas } = openApi.components;
  const figures = {
    Dimensions: {
      ...schemas.Dimensions,
      maximum: Math.max(...models.map(({ maxDimensions }) => maxDimensions)),
    },
    ModelId: { ...schemas.ModelId, examples: models.map(({ name }) => name) },
    Model: { ...schemas.Model, examples: models.map(describeModel) },
    Health: { ...schemas.Health, examples: [describeHealth(models[0]!)] },
  };
  return respondJson(context, {
    ...openApi,
    components: { ...openApi.components, schemas: { ...schemas, ...figures } },
  });
}

async function serveAsset(context: Context, path: string): Promise<Response> {
  const { request, env } = context;
  const asset = ["GET", "HEAD"].includes(request.method) ? await env.ASSETS?.fetch(request) : undefined;
  if (asset !== undefined && asset.status !== 404) {
    return respond(context, asset.body, asset.status, Object.fromEntries(asset.headers));
  }
  // Not by `new URL`, which throws for some hosts that workerd takes.
  const origin = /^[^:]+:\/\/[^/?#]*/.exec(request.url)?.[0] ?? "";
  const hint = hintFor(path, origin);
  throw new ApiError("unknown_url", `Unknown request URL: ${request.method} ${path}.${hint && ` ${hint}`}`);
}

// ----------------------------------------------------------------------------------------------- answers

function preflight(context: Context): Response {
  return respond(context, null, 204, {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    // SDKs send headers of their own (x-stainless-*): whatever is asked for is allowed.
    "access-control-allow-headers":
      context.request.headers.get("access-control-request-headers") ??
      "authorization, api-key, x-api-key, content-type, content-encoding",
    "access-control-max-age": String(PREFLIGHT_CACHE_SECONDS),
    vary: "access-control-request-headers",
  });
}

function respondJson(
  context: Context,
  value: object,
  status = 200,
  headers: Record<string, string> = {},
): Response {
  return respond(context, JSON.stringify(value), status, { "content-type": "application/json", ...headers });
}

const EXPOSED_HEADERS =
  "x-request-id, x-model, x-model-version, x-truncated-inputs, x-empty-inputs, retry-after, www-authenticate, allow";

/** Every answer is made here. Bytes are copied at once, as `new Response` does by its specification. */
function respond(
  { request, requestId, env, served }: Context,
  body: BodyInit | null,
  status: number,
  headers: Record<string, string>,
): Response {
  return new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: {
      ...headers,
      "x-model-version": served?.version ?? defaultVersion(env),
      ...(served !== undefined && { "x-model": encodeURI(served.name.toWellFormed()) }),
      "x-request-id": requestId,
      "access-control-allow-origin": "*",
      "access-control-expose-headers": EXPOSED_HEADERS,
    },
  });
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
