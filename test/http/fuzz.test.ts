// Requests that fast-check makes up: good ones, good ones with something wrong, arbitrary JSON, arbitrary bytes. Every
// answer is a 200 that is right in every respect that can be checked, or the error that openapi.json describes.
// FUZZ_CASES and FUZZ_SEED repeat or lengthen a run; `npm run test:fuzz` sends 20,000 requests.
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fc from "fast-check";
import document from "../../openapi.json" with { type: "json" };
import { fromBase64, startService, type Service } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";

const CASES = Number(process.env["FUZZ_CASES"] ?? 200);
const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);
/** In flight at once: they share the isolate, its wasm memory and its first load. */
const REQUESTS_AT_ONCE = 50;
const MAX_ANSWER_MILLISECONDS = 20_000;
const DIMENSIONS = 8;
const MAX_WORDS = 16;

const ERRORS: Record<string, [status: number, type: string]> = {
  invalid_json: [400, "invalid_request_error"],
  missing_required_parameter: [400, "invalid_request_error"],
  invalid_type: [400, "invalid_request_error"],
  invalid_value: [400, "invalid_request_error"],
  array_above_max_length: [400, "invalid_request_error"],
  unsupported_media_type: [415, "invalid_request_error"],
  unknown_url: [404, "invalid_request_error"],
  method_not_allowed: [405, "invalid_request_error"],
  model_not_found: [404, "invalid_request_error"],
};

interface FuzzedRequest {
  method: string;
  path: string;
  contentType: string | null;
  body: Uint8Array<ArrayBuffer>;
}

interface EmbeddingsAnswer {
  data: { embedding: number[] | string; index: number }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
  truncated?: { index: number; tokens: number; tokens_read: number }[];
  empty?: number[];
}

let service: Service;
const logLines: string[] = [];
before(async () => {
  service = await startService({
    assets: true,
    weights: seededWeights({ vocabSize: 64, dimensions: DIMENSIONS, maxSeqLen: MAX_WORDS }),
    onLog: (line) => void logLines.push(line),
  });
});
after(() => service.stop());

test(`${CASES} requests of all kinds are answered rightly (FUZZ_SEED=${SEED})`, async () => {
  let requests = 0;
  const statuses: Record<number, number> = {};
  const property = fc.asyncProperty(
    fc.array(anyRequest(), { minLength: 1, maxLength: REQUESTS_AT_ONCE, size: "max" }),
    async (batch) => {
      const answered = await Promise.all(batch.map(checkAnswer));
      requests += batch.length;
      for (const status of answered) statuses[status] = (statuses[status] ?? 0) + 1;
    },
  );
  // A batch has half of the requests that it may have, on average: go on until all were sent.
  for (let round = 0; requests < CASES; round++) {
    await fc.assert(property, {
      seed: SEED + round,
      numRuns: Math.ceil((CASES - requests) / REQUESTS_AT_ONCE),
      includeErrorInReport: true,
    });
  }
  console.log(`${requests} requests, answers by status: ${JSON.stringify(statuses)}; FUZZ_SEED=${SEED}`);
  assert.ok(
    statuses[200]! > requests / 10 && statuses[400]! > requests / 10,
    "both good and bad requests were among them",
  );
});

test("nothing went wrong inside, and no log line holds more than sizes and codes", () => {
  const events: Record<string, number> = {};
  for (const line of logLines) {
    const { event, ...fields } = JSON.parse(line) as Record<string, unknown>;
    events[String(event)] = (events[String(event)] ?? 0) + 1;
    if (event !== "request_failed") continue;
    assert.deepEqual(Object.keys(fields), ["request_id", "status", "code", "bytes", "inputs", "tokens"]);
    assert.notEqual(fields["status"], 500);
  }
  assert.deepEqual(Object.keys(events).sort(), ["model_loaded", "request_failed"]);
  assert.equal(events["model_loaded"], 1);
});

// ------------------------------------------------------------------------------------------------ checking

async function checkAnswer(request: FuzzedRequest): Promise<number> {
  try {
    return await checkedStatus(request);
  } catch (error) {
    throw new Error(
      `${request.method} ${request.path} with the body ${new TextDecoder().decode(request.body)}`,
      { cause: error },
    );
  }
}

async function checkedStatus(request: FuzzedRequest): Promise<number> {
  const { status, headers, text } = await send(request);
  assert.match(headers.get("x-request-id") ?? "", /^req_[0-9a-f]{32}$/);
  assert.equal(headers.get("access-control-allow-origin"), "*");
  assert.equal(headers.get("x-model-version"), "unknown");
  const wanted = goodEmbeddingsRequest(request);
  if (request.path === "/v1/embeddings")
    assert.equal(status === 200, wanted !== undefined, `${status}: ${text.slice(0, 300)}`);
  if (status >= 400) checkError(status, text);
  else assert.equal(status, 200);
  if (wanted !== undefined) await checkEmbeddings(wanted, headers, text);
  return status;
}

async function send({
  method,
  path,
  contentType,
  body,
}: FuzzedRequest): Promise<{ status: number; headers: Headers; text: string }> {
  const response = await service.fetch(path, {
    method,
    headers: contentType === null ? {} : { "content-type": contentType },
    ...(method === "GET" ? {} : { body }),
    signal: AbortSignal.timeout(MAX_ANSWER_MILLISECONDS),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

function checkError(status: number, text: string): void {
  const answer = JSON.parse(text) as { error: { code: string; type: string; message: string } };
  assertFits(validError, answer);
  const { code, type, message } = answer.error;
  assert.deepEqual([status, type], ERRORS[code], `${code}: ${message}`);
  assert.ok(message.length < 400, message);
  assert.doesNotMatch(message, /\bat \S+:\d+/, "a stack");
}

interface GoodRequest {
  model: string;
  input: string | string[] | number[] | number[][];
  encoding_format?: "float" | "base64" | null;
  dimensions?: number | null;
}

/** What openapi.json's schema says about the body; undefined for one that must be refused. */
function goodEmbeddingsRequest({ method, path, contentType, body }: FuzzedRequest): GoodRequest | undefined {
  if (method !== "POST" || path !== "/v1/embeddings") return undefined;
  if (contentType !== null && !JSON_TYPES.includes(contentType)) return undefined;
  let request: unknown;
  try {
    request = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(body));
  } catch {
    return undefined;
  }
  if (typeof request !== "object" || request === null || Array.isArray(request) || !validRequest(request))
    return undefined;
  const good = request as unknown as GoodRequest;
  return (good.dimensions ?? 1) <= DIMENSIONS ? good : undefined;
}

async function checkEmbeddings(request: GoodRequest, headers: Headers, text: string): Promise<void> {
  const answer = JSON.parse(text) as EmbeddingsAnswer;
  assertFits(validResponse, answer);
  assert.equal(answer.model, request.model);
  const items = itemsOf(request);
  const vectors = vectorsOf(answer);
  assert.deepEqual(
    answer.data.map(({ index }) => index),
    items.map((_, i) => i),
  );
  for (const { embedding } of answer.data) {
    assert.equal(typeof embedding, request.encoding_format === "base64" ? "string" : "object");
  }
  for (const vector of vectors) {
    assert.equal(vector.length, request.dimensions ?? DIMENSIONS);
    const norm = Math.hypot(...vector);
    assert.ok(norm === 0 || Math.abs(norm - 1) < 1e-6, `norm ${norm}`);
  }
  checkUsage(items, answer, headers);

  const otherFormat = request.encoding_format === "base64" ? "float" : "base64";
  assert.deepEqual(
    await vectorsFor({ ...request, encoding_format: otherFormat }),
    vectors,
    "float equals base64",
  );
  const last = items.length - 1;
  assert.deepEqual(
    await vectorsFor({ ...request, input: [items[last]] as string[] }),
    [vectors[last]],
    "batch equals single",
  );
}

/** For texts; what token ids stand for is not known here. */
function checkUsage(items: (string | number[])[], answer: EmbeddingsAnswer, headers: Headers): void {
  const texts = items.filter((item) => typeof item === "string");
  if (texts.length < items.length) return;
  const words = texts.map((text) => text.split(/\p{White_Space}+/u).filter((word) => word !== "").length);
  const read = words.reduce((sum, count) => sum + Math.min(count, MAX_WORDS), 0);
  assert.deepEqual(answer.usage, { prompt_tokens: read, total_tokens: read });
  const cut = words.flatMap((tokens, index) =>
    tokens > MAX_WORDS ? [{ index, tokens, tokens_read: MAX_WORDS }] : [],
  );
  assert.deepEqual(answer.truncated ?? [], cut);
  const empty = words.flatMap((count, index) => (count === 0 ? [index] : []));
  assert.deepEqual(answer.empty ?? [], empty);
  assert.equal(headers.get("x-empty-inputs"), empty.length === 0 ? null : String(empty.length));
  assert.equal(headers.get("x-truncated-inputs"), cut.length === 0 ? null : String(cut.length));
}

async function vectorsFor(request: GoodRequest): Promise<Float32Array[]> {
  const response = await service.embed(request);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return vectorsOf(JSON.parse(text) as EmbeddingsAnswer);
}

function vectorsOf({ data }: EmbeddingsAnswer): Float32Array[] {
  return data.map(({ embedding }) =>
    typeof embedding === "string" ? fromBase64(embedding) : Float32Array.from(embedding),
  );
}

function itemsOf({ input }: GoodRequest): (string | number[])[] {
  if (typeof input === "string") return [input];
  return typeof input[0] === "number" ? [input as number[]] : (input as string[] | number[][]);
}

const ajv = new Ajv2020({ strict: false, validateFormats: false }).addSchema(document, "openapi");
const validatorOf = (name: string): ValidateFunction => ajv.getSchema(`openapi#/components/schemas/${name}`)!;
const validRequest = validatorOf("EmbeddingsRequest");
const validResponse = validatorOf("EmbeddingsResponse");
const validError = validatorOf("Error");

function assertFits(validate: ValidateFunction, value: unknown): void {
  assert.ok(validate(value), JSON.stringify(validate.errors));
}

// ------------------------------------------------------------------------------------------------ making up

function anyRequest(): fc.Arbitrary<FuzzedRequest> {
  const toEmbeddings = (body: fc.Arbitrary<Uint8Array<ArrayBuffer>>): fc.Arbitrary<FuzzedRequest> =>
    fc.record({
      method: fc.constant("POST"),
      path: fc.constant("/v1/embeddings"),
      contentType: contentType(),
      body,
    });
  return fc.oneof(
    { weight: 8, arbitrary: toEmbeddings(goodBody().map(asBytes)) },
    { weight: 5, arbitrary: toEmbeddings(bodyWithAWrongField().map(asBytes)) },
    {
      weight: 3,
      arbitrary: toEmbeddings(
        fc.tuple(goodBody().map(asBytes), fc.array(damage(), { minLength: 1, maxLength: 3 })).map(damaged),
      ),
    },
    { weight: 2, arbitrary: toEmbeddings(fc.json({ maxDepth: 4 }).map((json) => utf8(json))) },
    {
      weight: 2,
      arbitrary: toEmbeddings(fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(bytes))),
    },
    { weight: 1, arbitrary: anyOtherRoute() },
  );
}

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(new TextEncoder().encode(text));
const asBytes = (body: unknown): Uint8Array<ArrayBuffer> => utf8(JSON.stringify(body));

const JSON_TYPES = ["application/json", "APPLICATION/JSON; charset=utf-8", "application/vnd.api+json"];

function contentType(): fc.Arbitrary<string | null> {
  return fc.oneof(
    { weight: 20, arbitrary: fc.constant("application/json") },
    {
      weight: 1,
      arbitrary: fc.constantFrom(...JSON_TYPES, null, "text/plain", "application/jsonl", "json", "x"),
    },
  );
}

/** Every kind of string: other scripts, control characters, halves of surrogate pairs, many kinds of white space. */
function anyText(): fc.Arbitrary<string> {
  const unit = fc.oneof(
    { weight: 5, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }) },
    {
      weight: 5,
      arbitrary: fc.constantFrom(
        " ",
        "\n",
        "\t ",
        "\u00a0",
        "\u2003",
        "\u3000",
        "\u200b",
        "\ufeff",
        "\u001c",
        "\u0085",
      ),
    },
    { weight: 3, arbitrary: fc.stringMatching(/^[A-Za-z0-9]{1,9}$/) },
    {
      weight: 1,
      arbitrary: fc.constantFrom("\ud800", "\udc00", "\0", "\u2028", "\uffff", "😀", "\\", '"', "</script>"),
    },
  );
  return fc.array(unit, { minLength: 1, maxLength: 40 }).map((units) => units.join(""));
}

const tokenIds = (): fc.Arbitrary<number[]> =>
  fc.array(fc.oneof(fc.nat(100_255), fc.constantFrom(0, 100_255)), { minLength: 1, maxLength: 20 });

function goodBody(): fc.Arbitrary<Record<string, unknown>> {
  const input = fc.oneof(
    { weight: 20, arbitrary: anyText() },
    { weight: 30, arbitrary: fc.array(anyText(), { minLength: 1, maxLength: 12 }) },
    { weight: 15, arbitrary: tokenIds() },
    { weight: 15, arbitrary: fc.array(tokenIds(), { minLength: 1, maxLength: 5 }) },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: 2046, max: 2050 })
        .map((count) => Array.from({ length: count }, (_, i) => `text ${i % 7}`)),
    },
  );
  return fc.record(
    {
      model: fc.oneof(
        fc.constant("text-embedding-3-small"),
        fc.string({ unit: "binary", minLength: 1, maxLength: 9 }),
      ),
      input,
      encoding_format: fc.constantFrom("float", "base64", null),
      dimensions: fc.oneof(fc.integer({ min: 1, max: DIMENSIONS }), fc.constant(null)),
      input_type: fc.constantFrom("query", "document", null),
      user: fc.oneof(fc.string(), fc.constant(null)),
      unknown: fc.jsonValue({ maxDepth: 2 }),
    },
    { requiredKeys: ["model", "input"] },
  );
}

/** One value of a good body, at the top or inside `input`, is another: any JSON, or one from just beyond a limit. */
function bodyWithAWrongField(): fc.Arbitrary<unknown> {
  const wrong = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(
      "",
      [],
      {},
      0,
      -1,
      9,
      1.5,
      1e300,
      100_256,
      100_257,
      true,
      "hex",
      [""],
      [[]],
      [[1], "a"],
      ["a", 1],
      [1, null],
    ),
  );
  const field = fc.constantFrom("model", "input", "encoding_format", "dimensions", "input_type", "user");
  return fc.tuple(goodBody(), field, wrong, fc.nat(), fc.boolean()).map(([body, name, value, at, inside]) => {
    const { input } = body;
    if (!inside || !Array.isArray(input)) return { ...body, [name]: value };
    return { ...body, input: input.with(at % input.length, value) };
  });
}

type Damage = { kind: "set" | "cut" | "repeat"; at: number; byte: number };

function damage(): fc.Arbitrary<Damage> {
  return fc.record({ kind: fc.constantFrom("set", "set", "cut", "repeat"), at: fc.nat(), byte: fc.nat(255) });
}

function damaged([body, all]: [Uint8Array<ArrayBuffer>, Damage[]]): Uint8Array<ArrayBuffer> {
  let bytes = body.slice();
  for (const { kind, at, byte } of all) {
    const position = at % (bytes.length + 1);
    if (kind === "cut") bytes = bytes.slice(0, position);
    else if (kind === "repeat")
      bytes = new Uint8Array([...bytes.subarray(0, position), ...bytes.subarray(position >> 1)]);
    else if (position < bytes.length) bytes[position] = byte;
  }
  return bytes;
}

function anyOtherRoute(): fc.Arbitrary<FuzzedRequest> {
  const segment = fc.string({ unit: "grapheme", maxLength: 8 }).map(encodeURIComponent);
  return fc.record({
    method: fc.constantFrom("GET", "POST", "PUT", "DELETE"),
    path: fc.oneof(
      fc.constantFrom(
        "/v1/models",
        "/v1/models/",
        "/v1/models/embeddings-worker",
        "/health",
        "/v1",
        "/embeddings",
        "/v1/models/%E0%A4%A",
      ),
      segment.map((name) => `/v1/models/${name}`),
      fc.array(segment, { maxLength: 3 }).map((names) => `/fuzzed/${names.join("/")}`),
    ),
    contentType: contentType(),
    body: fc.uint8Array({ maxLength: 20 }).map((bytes) => new Uint8Array(bytes)),
  });
}
