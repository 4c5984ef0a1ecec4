/**
 * The OpenAI Embeddings API on Cloudflare Workers. Read from top to bottom, this file is the story of a request:
 * bindings, fetch and routes, the handlers, answers. What they are made of lies in worker/.
 */
import { startEmbedder } from "./embedder-wasm/embedder";
import embedderModule from "./embedder-wasm/pkg/embedder_wasm_bg.wasm";
import openApi from "./openapi.json";
import { drain, MAX_BODY_BYTES, readBody } from "./worker/body";
import { modelNamed, type ServedModel } from "./worker/catalogue";
import { embedAsJson } from "./worker/embed";
import { ApiError, asApiError, ERRORS, quoted } from "./worker/errors";
import { authenticate, checkRateLimit } from "./worker/keys";
import { log } from "./worker/log";
import { defaultVersion, knownModels, loadModel, servedModels, type ModelBindings } from "./worker/models";
import { checkContentType, isText, MAX_TEXTS, parseEmbeddingsRequest, parseJson } from "./worker/request";
import { ClientLeft } from "./worker/slices";
import { textsOfInput } from "./worker/token-ids";
import { canonicalUrl, decoded, hintFor } from "./worker/unknown-url";

export { Embeddings } from "./worker/service-binding";

export interface Env extends ModelBindings {
  /** The page at `/` and the table of token ids. */
  ASSETS?: Fetcher;
  /** A secret: one or more keys, separated by commas. Without it, or where it is empty, the API is open. */
  API_KEY?: string;
  RATE_LIMITER?: RateLimit;
}

/** nginx's status for a client that has left. Only logs see it. */
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
  /** The model that the path names, as Azure's paths do. */
  modelInPath: string | undefined;
  /** Which model answers, where one does. */
  served: ServedModel | undefined;
}

interface Route {
  method: "GET" | "POST";
  /** Asks for a key, where keys are set, and counts towards the rate limit. */
  isGuarded: boolean;
  handle: (context: Context, path: string) => Response | Promise<Response>;
}

/** What comes before a model's name in a path. */
const MODEL_PREFIX = "/v1/models/";
const MODEL_ROUTE = `${MODEL_PREFIX}{model}`;

const ROUTES: Record<string, Route> = {
  "/v1/embeddings": { method: "POST", isGuarded: true, handle: createEmbeddings },
  "/v1/models": { method: "GET", isGuarded: true, handle: listModels },
  [MODEL_ROUTE]: { method: "GET", isGuarded: true, handle: retrieveModel },
  "/health": { method: "GET", isGuarded: false, handle: reportHealth },
  "/openapi.json": { method: "GET", isGuarded: false, handle: describeApi },
  "/": { method: "GET", isGuarded: false, handle: serveAsset },
};

export default {
  async fetch(request, env, ctx): Promise<Response> {
    const context: Context = {
      request,
      requestId: newRequestId(),
      env,
      ctx,
      sizes: { bytes: 0, inputs: 0, tokens: 0 },
      modelInPath: undefined,
      served: undefined,
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

/** A random beginning for each isolate, and a counter: random bytes for each request would cost about 3 µs of some 100. */
function newRequestId(): string {
  isolateId ??= crypto.randomUUID().replaceAll("-", "").slice(0, 20);
  return `req_${isolateId}${(requestCount++).toString(16).padStart(12, "0")}`;
}

/** Outside Cloudflare the Host header may be anything, so that the URL may not be one. */
function readPath({ url }: Request): string {
  // Most URLs are plain and are read without `new URL`, which takes a tenth of the time of a short request. A port of 60000 or
  // more is left to it, which knows the highest one.
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
  context.modelInPath = modelInPath;
  const methods = route.method === "GET" ? ["GET", "HEAD"] : [route.method];
  if (!methods.includes(request.method)) {
    throw new ApiError(
      "method_not_allowed",
      `${path} answers ${route.method}; got ${request.method}.`,
      null,
      { allow: [...methods, "OPTIONS"].join(", ") },
    );
  }
  if (route.isGuarded) {
    const key = env.API_KEY ? authenticate(request.headers, env.API_KEY) : undefined;
    if (env.RATE_LIMITER) await checkRateLimit(env.RATE_LIMITER, request.headers, key);
  }
  return route.handle(context, path);
}

interface Found {
  route: Route | undefined;
  path: string;
  modelInPath?: string | undefined;
}

function findRoute(path: string): Found {
  const route = ROUTES[path];
  if (route !== undefined) return { route, path };
  const { model: modelInPath, ...canonical } = canonicalUrl(path);
  const isModel = canonical.path.startsWith(MODEL_PREFIX);
  return { route: ROUTES[isModel ? MODEL_ROUTE : canonical.path], path: canonical.path, modelInPath };
}

async function refuse(context: Context, error: unknown): Promise<Response> {
  const { request, requestId, sizes } = context;
  if (error instanceof ClientLeft) {
    log({ event: "client_left", request_id: requestId });
    return new Response(null, { status: STATUS_CLIENT_LEFT });
  }
  const failure = asApiError(error);
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
  // The client reads an answer only when its upload has an end.
  if (request.body !== null && !request.bodyUsed) await drain(request.body.getReader());
  return respondJson(
    context,
    { error: { message: message.toWellFormed(), type, param, code } },
    status,
    headers,
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
  const served = modelNamed(models, modelName) ?? models[0]!;
  // The header `x-model` of this answer, and of an error that comes after this.
  context.served = served;
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

async function retrieveModel(context: Context, path: string): Promise<Response> {
  const id = decoded(path.slice(MODEL_PREFIX.length));
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

/** Loads the default model, and answers 200 if that can be used. */
async function reportHealth(context: Context): Promise<Response> {
  const { env, ctx } = context;
  const [model] = await servedModels(env, ctx);
  await loadModel(model!, env, ctx);
  return respondJson(context, describeHealth(model!));
}

function describeHealth({ name, dimensions, dtype }: ServedModel): object {
  return { status: "ok", name, dimensions, dtype };
}

/** openapi.json with the figures of the models; as it stands, where these cannot be read. */
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

/** The page with its files; every path that is neither a route nor a file ends here as well, with a 404. */
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

/** For any path: a browser would show the page no 404 of a preflight. */
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

/**
 * Every answer that a client sees is made here. `new Response` copies the body and the headers at once, by its specification: so
 * a view of wasm memory and the headers that answers share may be handed to it.
 */
function respond(
  { request, requestId, env, served }: Context,
  body: BodyInit | null,
  status: number,
  headers: Record<string, string>,
): Response {
  const response = new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: commonHeaders(env, served),
  });
  response.headers.set("x-request-id", requestId);
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

/** The headers that all answers of a model have. They are kept: making them of strings costs 6 % of a short request. */
const headersOfModels = new WeakMap<ServedModel, Headers>();

function commonHeaders(env: Env, served: ServedModel | undefined): Headers {
  const kept = served && headersOfModels.get(served);
  if (kept !== undefined) return kept;
  const headers = new Headers({
    "x-model-version": served?.version ?? defaultVersion(env),
    "access-control-allow-origin": "*",
    "access-control-expose-headers": EXPOSED_HEADERS,
  });
  if (served === undefined) return headers;
  headers.set("x-model", encodeURI(served.name.toWellFormed()));
  headersOfModels.set(served, headers);
  return headers;
}
