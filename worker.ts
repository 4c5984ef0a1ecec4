/**
 * The OpenAI Embeddings API on Cloudflare Workers. Read from top to bottom, this file is the story of a
 * request: bindings and limits, fetch and routes, keys, the handlers, bodies, embedding, loading, answers.
 * What a request may say, and how one fails, stands in validation.ts.
 */
import * as embedder from "./embedder-wasm/pkg/embedder_wasm.js";
import embedderModule from "./embedder-wasm/pkg/embedder_wasm_bg.wasm";
import openApi from "./openapi.json";
import {
  ApiError,
  checkContentType,
  decodeTokenIds,
  ERRORS,
  MAX_REQUEST_TOKENS,
  MAX_TEXTS,
  parseEmbeddingsRequest,
  parseJson,
  quoted,
  readTokenTable,
} from "./validation";
import type { TokenTable } from "./validation";

export interface Env {
  /** Holds the weights. */
  EMBEDDINGS_MODEL: KVNamespace;
  /** The weights' key. A key that ends in 12 hex digits (of their SHA-256) is taken to be immutable. */
  MODEL_KEY?: string;
  /** The page at `/` and the table of token ids. */
  ASSETS?: Fetcher;
  /** A secret: one or more keys, separated by commas. Without it the API is open. */
  API_KEY?: string;
  RATE_LIMITER?: RateLimit;
}

// Limits; those of the fields of a request stand in validation.ts.
/** 2048 texts of 4 KiB each: more than clients send, and little beside an isolate's 128 MB. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;
/** A refused upload is read up to here, so that its sender reads the refusal and not a reset connection. */
const MAX_DRAIN_BYTES = 32 * 1024 * 1024;
const MAX_DRAIN_MILLISECONDS = 10_000;
/** Large enough for few round trips into KV's stream, small beside the weights. */
const WEIGHTS_CHUNK_BYTES = 512 * 1024;
/** Below this, UTF-8 at its longest is small beside what wasm memory holds anyway. */
const LONG_TEXT_CHARACTERS = 64 * 1024;
/** The content of an immutable key never changes; any other may be written again. */
const IMMUTABLE_CACHE_SECONDS = 86_400;
const MUTABLE_CACHE_SECONDS = 60;
/** A load that makes no progress for so long is given up: the request that it belonged to was killed. */
const LOAD_IDLE_MILLISECONDS = 5_000;
/** A request that has waited for so long is answered 503; the load goes on. */
const LOAD_WAIT_MILLISECONDS = 20_000;
const RETRY_UNAVAILABLE_SECONDS = 1;
/** The period of Cloudflare's rate limit binding, which does not say when it will allow more. */
const RETRY_RATE_LIMIT_SECONDS = 10;
const PREFLIGHT_CACHE_SECONDS = 86_400;

const EMBEDDER_MODULE = { module: embedderModule };
embedder.initSync(EMBEDDER_MODULE);

/** What a handler works with. */
interface Context {
  request: Request;
  requestId: string;
  env: Env;
  ctx: ExecutionContext;
  /** For the log line of a failed request: sizes alone, never a text or a key. */
  sizes: { bytes: number; inputs: number; tokens: number };
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
    const context = {
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
  const path = readPath(request);
  if (request.method === "OPTIONS") return preflight(context);
  const route = ROUTES[path] ?? (path.startsWith("/v1/models/") ? MODEL_ROUTE : undefined);
  if (route === undefined) return serveAsset(context, path);
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

async function refuse(context: Context, error: unknown): Promise<Response> {
  const { request, requestId, sizes } = context;
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

/** Returns which key was sent, or undefined where there are none. */
function authenticate(request: Request, env: Env): string | undefined {
  if (!env.API_KEY) return undefined;
  // A secret of commas alone lets nobody in, rather than everybody.
  const keys = env.API_KEY.split(",")
    .map((key) => key.trim())
    .filter((key) => key !== "");
  const header = request.headers.get("authorization");
  if (header === null)
    throw invalidApiKey("No API key was sent: expected the header 'Authorization: Bearer <key>'.");
  const sent = utf8Encoder.encode(/^Bearer +(.*)$/i.exec(header)?.[1]?.trim() ?? "");
  // Every key is compared, to its end, so that the time taken tells nothing.
  const matches = keys.map((key) => equalInConstantTime(sent, utf8Encoder.encode(key)));
  const index = matches.indexOf(true);
  if (index === -1)
    throw invalidApiKey("The API key is wrong: expected one of this endpoint's keys after 'Bearer '.");
  return `key:${index}`;
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
  const { input, model: modelName, base64, dimensions } = parseEmbeddingsRequest(parseJson(body));
  sizes.inputs = input.length;
  // Token ids need their table; text, which is what most people send, does not wait for it.
  const isText = input.every((item) => typeof item === "string");
  const texts = isText ? input : decodeTokenIds(await sharedTokenTable.get(env, ctx), input, MAX_BODY_BYTES);
  // A trap in another request may take the model away again before this one goes on.
  while (sharedModel.value === undefined) await sharedModel.get(env, ctx);
  // From here to the last vector there is no pause.
  const model = sharedModel.value;
  if (dimensions !== undefined && (dimensions < 1 || dimensions > model.dimensions)) {
    throw new ApiError(
      "invalid_value",
      `'dimensions' must be from 1 to ${model.dimensions} with this model; got ${dimensions}.`,
      "dimensions",
    );
  }
  return embed(context, model, texts, { modelName, base64, dimensions: dimensions ?? model.dimensions });
}

async function listModels(context: Context): Promise<Response> {
  return respondJson(context, {
    object: "list",
    data: [describeModel(await sharedModel.get(context.env, context.ctx))],
  });
}

const MODEL_ROUTE: Route = { method: "GET", api: true, handle: retrieveModel };

async function retrieveModel(context: Context, path: string): Promise<Response> {
  const id = decodePath(path.slice("/v1/models/".length));
  const model = await sharedModel.get(context.env, context.ctx);
  if (id !== model.name) {
    throw new ApiError(
      "model_not_found",
      `The model ${quoted(id)} does not exist; this endpoint serves '${model.name}'.`,
      "model",
    );
  }
  return respondJson(context, describeModel(model));
}

function describeModel(model: LoadedModel): object {
  return {
    id: model.name,
    object: "model",
    // The time of a model's making is not in its weights, and a made-up one would mislead.
    created: 0,
    owned_by: "embeddings-worker",
    dimensions: model.dimensions,
    max_input_tokens: model.maxInputTokens,
    max_inputs_per_request: MAX_TEXTS,
    max_tokens_per_request: MAX_REQUEST_TOKENS,
    max_body_bytes: MAX_BODY_BYTES,
  };
}

async function reportHealth(context: Context): Promise<Response> {
  return respondJson(context, describeHealth(await sharedModel.get(context.env, context.ctx)));
}

function describeHealth({ name, dimensions, dtype }: LoadedModel): object {
  return { status: "ok", name, dimensions, dtype };
}

/** openapi.json with the figures of the loaded model; without a model it is still true, only less exact. */
async function describeApi(context: Context): Promise<Response> {
  const model = await sharedModel.get(context.env, context.ctx).catch(() => undefined);
  if (model === undefined) return respondJson(context, openApi);
  const { schemas } = openApi.components;
  const figures = {
    Dimensions: { ...schemas.Dimensions, maximum: model.dimensions },
    ModelId: { ...schemas.ModelId, examples: [model.name] },
    Model: { ...schemas.Model, examples: [describeModel(model)] },
    Health: { ...schemas.Health, examples: [describeHealth(model)] },
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
  const hint = `/v1${path}` in ROUTES ? " The base URL of clients ends in /v1." : "";
  throw new ApiError("unknown_url", `Unknown request URL: ${request.method} ${path}.${hint}`);
}

// ------------------------------------------------------------------------------------------------ bodies

/**
 * A body whose length is stated ends there, by the rules of HTTP: it is read in one piece, at a quarter of what
 * counting costs. Any other is counted while it is read.
 */
async function readBody(request: Request, sizes: Context["sizes"]): Promise<Uint8Array> {
  const statedBytes = Number(request.headers.get("content-length") ?? NaN);
  // Where both headers were sent, the length stated is not the one that counts.
  if (!(statedBytes <= MAX_BODY_BYTES) || request.headers.has("transfer-encoding"))
    return countBody(request, sizes);
  const body = await request.arrayBuffer().catch(() => {
    throw new ApiError("invalid_json", `The body broke off before its ${statedBytes} bytes were here.`);
  });
  sizes.bytes = body.byteLength;
  if (body.byteLength > MAX_BODY_BYTES) throw tooLarge(sizes.bytes);
  return new Uint8Array(body);
}

async function countBody(request: Request, sizes: Context["sizes"]): Promise<Uint8Array> {
  if (request.body === null) return NO_BYTES;
  const reader = request.body.getReader();
  let body: Uint8Array = NO_BYTES;
  for (;;) {
    const { value, done } = await reader.read().catch(() => {
      throw new ApiError("invalid_json", `The body broke off after ${sizes.bytes} bytes.`);
    });
    if (done) return body.subarray(0, sizes.bytes);
    const start = sizes.bytes;
    sizes.bytes += value.byteLength;
    if (sizes.bytes > MAX_BODY_BYTES) {
      const drained = await drain(reader);
      sizes.bytes += drained.byteLength;
      throw tooLarge(sizes.bytes, drained.ended);
    }
    body = start === 0 ? value : appended(body, start, value);
  }
}

function tooLarge(byteLength: number, isWhole = true): ApiError {
  return new ApiError(
    "request_too_large",
    `The body may have at most ${MAX_BODY_BYTES} bytes; got ${isWhole ? byteLength : `more than ${byteLength}`}.`,
  );
}

/**
 * Copies a chunk behind the first `length` bytes, into a larger buffer where it must be. A chunk by itself holds
 * on to 4 KiB of memory, were it of one byte: bodies that trickle in are gathered as they come.
 */
function appended(buffer: Uint8Array, length: number, chunk: Uint8Array): Uint8Array {
  const needed = length + chunk.byteLength;
  let whole = buffer;
  if (needed > buffer.byteLength) {
    whole = new Uint8Array(Math.min(Math.max(needed, 2 * length), MAX_BODY_BYTES));
    whole.set(buffer.subarray(0, length));
  }
  whole.set(chunk, length);
  return whole;
}

/** Reads what is left of an upload that is refused: how many bytes that was, and whether it came to its end. */
async function drain(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<{ byteLength: number; ended: boolean }> {
  let byteLength = 0;
  const reading = (async () => {
    while (byteLength <= MAX_DRAIN_BYTES) {
      const { value, done } = await reader.read();
      if (done) return true;
      byteLength += value.byteLength;
    }
    return false;
  })();
  const ended =
    (await settledWithin(
      MAX_DRAIN_MILLISECONDS,
      reading.catch(() => true),
    )) ?? false;
  if (!ended) await reader.cancel().catch(() => {});
  return { byteLength, ended };
}

// --------------------------------------------------------------------------------------------- embedding

interface EmbeddingsFormat {
  modelName: string;
  base64: boolean;
  dimensions: number;
}

/**
 * Runs without a pause from the first text to the Response. What lies in wasm memory is overwritten by the next
 * request: `new Response` copies the bytes that it is given, by its specification, and a streamed answer copies its own.
 */
function embed(context: Context, model: LoadedModel, texts: string[], format: EmbeddingsFormat): Response {
  const { sizes } = context;
  try {
    const isOneChunk = texts.length <= embedder.embeddingsPerChunk(format.dimensions, format.base64);
    // With a format each vector is written into the answer as it is made; without, all wait in wasm memory.
    embedder.begin(texts.length, format.dimensions, isOneChunk ? format.base64 : undefined);
    const truncated = embedTexts(model, texts, sizes);
    const tail = answerTail(format.modelName, sizes.tokens, truncated);
    const body = isOneChunk
      ? pieceOfAnswer(0, format.base64, tail)
      : streamedAnswer(texts.length, format, tail);
    return respond(context, body, 200, {
      "content-type": "application/json",
      ...(truncated.length > 0 && { "x-truncated-inputs": String(truncated.length) }),
    });
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw recoverFromTrap(error);
    throw error;
  }
}

interface TruncatedInput {
  index: number;
  tokens: number;
  tokens_read: number;
}

/** Tells which texts were longer than the model reads. */
function embedTexts(model: LoadedModel, texts: string[], sizes: Context["sizes"]): TruncatedInput[] {
  for (let first = 0; first < texts.length;) {
    let end = first;
    let length = 0;
    do length += texts[end++]!.length;
    while (end < texts.length && length + texts[end]!.length < LONG_TEXT_CHARACTERS);
    const byteLength = writeInput(first === 0 && end === texts.length ? texts : texts.slice(first, end));
    // Past the limit there is only counting left to do.
    sizes.tokens += embedder.embedTexts(byteLength, sizes.tokens > MAX_REQUEST_TOKENS);
    first = end;
  }
  if (sizes.tokens > MAX_REQUEST_TOKENS) {
    throw new ApiError(
      "max_tokens_per_request",
      `'input' may hold at most ${MAX_REQUEST_TOKENS} tokens in one request; got ${sizes.tokens}.`,
      "input",
    );
  }
  const tokensRead = embedder.tokensRead();
  if (tokensRead === sizes.tokens) return [];
  sizes.tokens = tokensRead;
  return Array.from(new Uint32Array(wasmMemory(), embedder.wordCountsAddress(), texts.length))
    .map((tokens, index) => ({ index, tokens, tokens_read: Math.min(tokens, model.maxInputTokens) }))
    .filter(({ tokens, tokens_read }) => tokens_read < tokens);
}

const utf8Encoder = new TextEncoder();

function answerTail(modelName: string, tokens: number, truncated: TruncatedInput[]): string {
  const usage = `"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}`;
  const cut = truncated.length > 0 ? `,"truncated":${JSON.stringify(truncated)}` : "";
  return `],"model":${JSON.stringify(modelName)},${usage}${cut}}`;
}

/**
 * Writes texts as UTF-8 into wasm memory and returns their length in bytes: many at once, since each crossing
 * costs as much as embedding some words. A lone surrogate becomes U+FFFD; the line feed between two texts keeps
 * the end of one and the beginning of the next from becoming a pair.
 */
function writeInput(texts: string[]): number {
  const lengths = embedder.textLengthsAddress(texts.length);
  new Uint32Array(wasmMemory(), lengths, texts.length).set(texts.map(({ length }) => length));
  return writeText(texts.length === 1 ? texts[0]! : texts.join("\n"), embedder.inputAddress);
}

/**
 * Room for three bytes a character is never too little. For a long text it would be much too much, and wasm memory
 * that has grown never shrinks: it gets room for ASCII first, and for what is left of it when that was too little.
 * `makeRoom` returns the address of so many bytes, and keeps what is there when it is asked for more.
 */
function writeText(text: string, makeRoom: (byteLength: number) => number): number {
  const capacity = text.length > LONG_TEXT_CHARACTERS ? text.length : text.length * 3;
  const { read, written } = utf8Encoder.encodeInto(text, wasmBytes(makeRoom(capacity), capacity));
  if (read === text.length) return written;
  const rest = text.slice(read);
  const address = makeRoom(written + rest.length * 3);
  return written + utf8Encoder.encodeInto(rest, wasmBytes(address + written, rest.length * 3)).written;
}

/**
 * A large answer in chunks of 1 MiB. Its vectors are kept outside wasm memory meanwhile: other requests
 * use that between two chunks.
 */
function streamedAnswer(
  count: number,
  { base64, dimensions }: EmbeddingsFormat,
  tail: string,
): ReadableStream {
  const vectorBytes = dimensions * Float32Array.BYTES_PER_ELEMENT;
  const vectors = wasmBytes(embedder.vectorsAddress(count, dimensions), count * vectorBytes).slice();
  const perChunk = embedder.embeddingsPerChunk(dimensions, base64);
  let first = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      try {
        controller.enqueue(nextChunk());
      } catch (error) {
        // The status is sent: all that is left is to break off, which clients take for a failed request.
        controller.error(error instanceof WebAssembly.RuntimeError ? recoverFromTrap(error) : error);
        return;
      }
      if (first === count) controller.close();
    },
  });

  function nextChunk(): Uint8Array {
    const rows = vectors.subarray(first * vectorBytes, (first + perChunk) * vectorBytes);
    const rowCount = rows.byteLength / vectorBytes;
    wasmBytes(embedder.vectorsAddress(rowCount, dimensions), rows.byteLength).set(rows);
    const piece = pieceOfAnswer(first, base64, first + rowCount === count ? tail : "").slice();
    first += rowCount;
    return piece;
  }
}

/** The elements of `data`, and behind them the answer's tail, where it is given: a view of wasm memory. */
function pieceOfAnswer(firstIndex: number, base64: boolean, tail: string): Uint8Array<ArrayBuffer> {
  let byteLength = 0;
  const tailLength = writeText(tail, (room) => {
    byteLength = embedder.writeEmbeddings(firstIndex, base64, room);
    return embedder.outputAddress() + byteLength;
  });
  return wasmBytes(embedder.outputAddress(), byteLength + tailLength);
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A view of wasm memory, made afresh each time: memory that grew has left its older views behind. */
function wasmBytes(address: number, byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(wasmMemory(), address, byteLength);
}

/** `initSync` returns what the instance in use exports, and makes none where there is one. */
function wasmMemory(): ArrayBuffer {
  return embedder.initSync(EMBEDDER_MODULE).memory.buffer as ArrayBuffer;
}

// ----------------------------------------------------------------------------------------------- loading

interface LoadedModel {
  name: string;
  dtype: string;
  dimensions: number;
  maxInputTokens: number;
  /** The first 12 hex digits of the SHA-256 of the weights file, or "unknown". */
  version: string;
}

/** One run of a load. */
interface Load<T> {
  /** Undefined when the load was given up for another one. */
  result: Promise<T | undefined>;
  /** Grows as long as the load is alive. */
  progress: number;
}

/**
 * Something that an isolate loads once. Requests that come while it loads share one load; a failed load is
 * not kept, so the next request tries again. A load whose request was killed never settles and makes no
 * progress: who sees that starts another, and the older one, should it wake up, writes nothing.
 */
class SharedLoad<T> {
  value: T | undefined;
  private current: Load<T> | undefined;

  constructor(private readonly load: (env: Env, proceed: () => boolean) => Promise<T | undefined>) {}

  async get(env: Env, ctx: ExecutionContext): Promise<T> {
    for (let waited = 0; waited < LOAD_WAIT_MILLISECONDS; waited += LOAD_IDLE_MILLISECONDS) {
      if (this.value !== undefined) return this.value;
      const load = (this.current ??= this.start(env, ctx));
      const { progress } = load;
      const value = await settledWithin(LOAD_IDLE_MILLISECONDS, load.result);
      if (value !== undefined) return value;
      if (load.progress === progress && this.current === load) this.current = undefined;
    }
    throw modelUnavailable(`Loading takes longer than ${LOAD_WAIT_MILLISECONDS} milliseconds.`);
  }

  /** What was loaded is gone, and a load that is under way has lost the place that it writes to. */
  forget(): void {
    this.value = undefined;
    this.current = undefined;
  }

  private start(env: Env, ctx: ExecutionContext): Load<T> {
    const load: Load<T> = { result: Promise.resolve(undefined), progress: 0 };
    const proceed = (): boolean => {
      // Given up because it was slow to begin, and yet the first of all to do so: nothing is written so far.
      if (this.value === undefined && load.progress === 0 && !this.current?.progress) this.current = load;
      load.progress++;
      return this.current === load;
    };
    load.result = (async () => {
      // Not before `current` is this load.
      await undefined;
      try {
        const value = await this.load(env, proceed);
        if (proceed()) this.value = value;
        return value;
      } finally {
        if (this.current === load) this.current = undefined;
      }
    })();
    // Its first client may leave; the others go on waiting.
    ctx.waitUntil(load.result.catch(() => {}));
    return load;
  }
}

async function settledWithin<T>(milliseconds: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeUp = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds);
  });
  try {
    return await Promise.race([promise, timeUp]);
  } finally {
    clearTimeout(timer);
  }
}

const sharedModel = new SharedLoad(loadModel);

async function loadModel(env: Env, proceed: () => boolean): Promise<LoadedModel | undefined> {
  const key = modelKey(env);
  const started = Date.now();
  try {
    const immutable = versionInKey(key) !== undefined;
    const { value, metadata } = await env.EMBEDDINGS_MODEL.getWithMetadata<{ sha256?: unknown }>(key, {
      type: "stream",
      cacheTtl: immutable ? IMMUTABLE_CACHE_SECONDS : MUTABLE_CACHE_SECONDS,
    });
    if (value === null) throw new WeightsError(`there is nothing under the KV key '${key}'`);
    const bytes = await readWeights(value, proceed);
    if (bytes === undefined) return undefined;
    const header = JSON.parse(embedder.modelHeader()) as Omit<LoadedModel, "version">;
    const version = versionInMetadata(metadata) ?? versionInKey(key) ?? "unknown";
    log({ event: "model_loaded", key, version, bytes, milliseconds: Date.now() - started });
    return { ...header, version };
  } catch (error) {
    log({ event: "model_load_failed", key, milliseconds: Date.now() - started, detail: String(error) });
    if (error instanceof WebAssembly.RuntimeError) throw recoverFromTrap(error);
    throw modelUnavailable(
      error instanceof WeightsError ? `Its weights cannot be used: ${error.message}.` : "Workers KV failed.",
    );
  }
}

/** What is wrong with the weights, in words that a client may read. */
class WeightsError extends Error {}

/**
 * Copies each chunk of the stream once, to its final place in wasm memory. The file's length is known when
 * its header is read, so that there is one allocation and no second copy. Returns the length in bytes, or
 * undefined when another load has taken over meanwhile: wasm memory is its own then.
 */
async function readWeights(stream: ReadableStream, proceed: () => boolean): Promise<number | undefined> {
  const reader = stream.getReader({ mode: "byob" });
  try {
    return await copyChunks(reader, proceed);
  } finally {
    // Where it ended early, KV need not send the rest.
    void reader.cancel().catch(() => {});
  }
}

async function copyChunks(
  reader: ReadableStreamBYOBReader,
  proceed: () => boolean,
): Promise<number | undefined> {
  let buffer = new ArrayBuffer(WEIGHTS_CHUNK_BYTES);
  let head = NO_BYTES;
  let total = 0;
  let address = 0;
  let received = 0;
  for (;;) {
    const { value, done } = await reader.readAtLeast(WEIGHTS_CHUNK_BYTES, new Uint8Array(buffer));
    if (!proceed()) return undefined;
    const chunk = value ?? NO_BYTES;
    if (total > 0) {
      copyWeights(chunk, address, received, total);
    } else {
      head = appended(head, received, chunk).subarray(0, received + chunk.byteLength);
      total = weightsLength(head);
      if (total > 0) {
        address = embedder.weightsAddress(total);
        copyWeights(head, address, 0, total);
      }
    }
    received += chunk.byteLength;
    if (done) break;
    buffer = chunk.buffer as ArrayBuffer;
  }
  if (total === 0 || received < total) {
    throw new WeightsError(
      `the file ends after ${received} bytes; its header describes ${total === 0 ? "more" : total}`,
    );
  }
  refusedByEmbedder(() => embedder.loadModel());
  return received;
}

/** 0 until the header is whole; the embedder refuses one that is too long, or that describes too large a file. */
function weightsLength(head: Uint8Array): number {
  wasmBytes(embedder.inputAddress(head.byteLength), head.byteLength).set(head);
  return refusedByEmbedder(() => embedder.weightsLength(head.byteLength));
}

function copyWeights(chunk: Uint8Array, address: number, offset: number, total: number): void {
  if (offset + chunk.byteLength > total) {
    throw new WeightsError(`the file goes on after the ${total} bytes that its header describes`);
  }
  wasmBytes(address + offset, chunk.byteLength).set(chunk);
}

/** The embedder throws plain errors with the reason; a trap is another thing and passes. */
function refusedByEmbedder<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) throw error;
    throw new WeightsError((error as Error).message);
  }
}

/** A trap leaves an instance that must not be used again: the next request loads into a new one. */
function recoverFromTrap(trap: WebAssembly.RuntimeError): ApiError {
  log({ event: "embedder_trapped", detail: String(trap) });
  sharedModel.forget();
  embedder.replaceInstance();
  // The next call makes the new instance; until then `initSync` would return the old one.
  embedder.begin(0, 0);
  return modelUnavailable("The embedder failed and is being replaced.");
}

function modelUnavailable(reason: string): ApiError {
  return new ApiError("model_unavailable", `The model is not available. ${reason} Try again.`, null, {
    "retry-after": String(RETRY_UNAVAILABLE_SECONDS),
  });
}

function modelKey(env: Env): string {
  return env.MODEL_KEY || "model-weights";
}

function versionInKey(key: string): string | undefined {
  return /-([0-9a-f]{12})$/.exec(key)?.[1];
}

/** It becomes a header of every answer: anything else that may stand there is left alone. */
function versionInMetadata(metadata: { sha256?: unknown } | null): string | undefined {
  return typeof metadata?.sha256 === "string"
    ? /^([0-9a-f]{12})[0-9a-f]{52}$/.exec(metadata.sha256)?.[1]
    : undefined;
}

function modelVersion(env: Env): string {
  return sharedModel.value?.version ?? versionInKey(modelKey(env)) ?? "unknown";
}

// --------------------------------------------------------------------------------------------- token ids

/**
 * The table lies in the static assets: in the bundle it would add 415 kB (compressed) to the upload, and 2 ms of
 * CPU and 2.4 MB to every isolate, most of which never see a token id; fetched at need, it costs 8 ms once.
 */
const sharedTokenTable = new SharedLoad(loadTokenTable);

async function loadTokenTable(env: Env): Promise<TokenTable> {
  try {
    // Any host will do: only the path counts.
    const response = await env.ASSETS?.fetch("https://assets.local/cl100k_base.bin");
    if (!response?.ok) throw new Error(`the static assets answered ${response?.status ?? "nothing"}`);
    return readTokenTable(await response.arrayBuffer());
  } catch (error) {
    log({ event: "token_table_load_failed", detail: String(error) });
    throw modelUnavailable("The table of token ids could not be read; texts as strings do not need it.");
  }
}

// ----------------------------------------------------------------------------------------------- answers

function preflight(context: Context): Response {
  return respond(context, null, 204, {
    "access-control-allow-methods": "GET, POST, OPTIONS",
    // SDKs send headers of their own (x-stainless-*): whatever is asked for is allowed.
    "access-control-allow-headers":
      context.request.headers.get("access-control-request-headers") ?? "authorization, content-type",
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
  "x-request-id, x-model-version, x-truncated-inputs, retry-after, www-authenticate, allow";

/** Every answer is made here. Bytes are copied at once, as `new Response` does by its specification. */
function respond(
  { request, requestId, env }: Context,
  body: BodyInit | null,
  status: number,
  headers: Record<string, string>,
): Response {
  return new Response(request.method === "HEAD" ? null : body, {
    status,
    headers: {
      ...headers,
      "x-model-version": modelVersion(env),
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

/** One line of JSON. Never a text, a key or a stack. */
function log(line: { event: string } & Record<string, unknown>): void {
  console.log(JSON.stringify(line));
}
