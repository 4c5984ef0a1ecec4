/**
 * From a request's body to what is asked for, or to the first failure, in the order of the code. Pure: no I/O,
 * no clock. Every message names the field, the limit and what was got.
 */

// The limits of a request, which are OpenAI's own.
export const MAX_TEXTS = 2048;
export const MAX_REQUEST_TOKENS = 300_000;
/** cl100k_base: ids below this one stand for text, a few above it are special tokens. */
export const TOKEN_ID_COUNT = 100_256;
/**
 * A request needs 2050. JSON.parse takes some 130 bytes of memory for each level of an array in an array, and 60
 * for each empty object: 8 MiB of brackets would cost an isolate ten times its memory, and seconds of CPU.
 */
const MAX_JSON_CONTAINERS = 10_000;
/** What a message quotes of a value that it refuses. */
const MAX_QUOTED_CHARACTERS = 50;

/** Every way in which a request fails, with the status and the type of its answer. */
export const ERRORS = {
  invalid_json: { status: 400, type: "invalid_request_error" },
  missing_required_parameter: { status: 400, type: "invalid_request_error" },
  invalid_type: { status: 400, type: "invalid_request_error" },
  invalid_value: { status: 400, type: "invalid_request_error" },
  array_above_max_length: { status: 400, type: "invalid_request_error" },
  max_tokens_per_request: { status: 400, type: "invalid_request_error" },
  request_too_large: { status: 413, type: "invalid_request_error" },
  unsupported_media_type: { status: 415, type: "invalid_request_error" },
  invalid_api_key: { status: 401, type: "invalid_request_error" },
  unknown_url: { status: 404, type: "invalid_request_error" },
  method_not_allowed: { status: 405, type: "invalid_request_error" },
  model_not_found: { status: 404, type: "invalid_request_error" },
  rate_limit_exceeded: { status: 429, type: "rate_limit_error" },
  model_unavailable: { status: 503, type: "server_error" },
  internal_error: { status: 500, type: "server_error" },
} as const;

export type ErrorCode = keyof typeof ERRORS;

/** A request that is refused. */
export class ApiError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    /** The field at fault. */
    readonly param: string | null = null,
    readonly headers: Record<string, string> = {},
  ) {
    super(message);
  }
}

const utf8Decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: false });
const strictUtf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

export function checkContentType(contentType: string | null): void {
  if (contentType === "application/json" || contentType === null) return;
  if (/^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(contentType.trim())) return;
  throw new ApiError(
    "unsupported_media_type",
    `The content type must be application/json; got ${quoted(contentType)}.`,
  );
}

/** A body as JSON. */
export function parseJson(body: Uint8Array): unknown {
  if (holdsMoreContainers(MAX_JSON_CONTAINERS, body)) {
    throw new ApiError(
      "invalid_json",
      `The body may hold at most ${MAX_JSON_CONTAINERS} arrays and objects; got more.`,
    );
  }
  let text: string;
  try {
    text = utf8Decoder.decode(body);
    // The strict decoder is slow; what it refuses holds a replacement character after the other one.
    if (text.includes("\uFFFD")) strictUtf8Decoder.decode(body);
  } catch {
    throw new ApiError("invalid_json", "The body is not valid UTF-8.");
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ApiError(
      "invalid_json",
      text === ""
        ? "The body must be a JSON object; got nothing."
        : `The body is not valid JSON: ${(error as Error).message}`,
    );
  }
}

const [QUOTE, BACKSLASH, LEFT_BRACKET, LEFT_BRACE] = [0x22, 0x5c, 0x5b, 0x7b] as const;

/** Whether more than so many arrays and objects begin in a JSON text. */
function holdsMoreContainers(limit: number, json: Uint8Array): boolean {
  // Most texts hold few brackets, and that is quickly seen; only where there are many, those in strings are told apart.
  if (occurrences(LEFT_BRACKET, json, limit) + occurrences(LEFT_BRACE, json, limit) <= limit) return false;
  let containers = 0;
  for (let at = 0; at < json.byteLength && containers <= limit; at++) {
    const byte = json[at];
    if (byte === QUOTE) at = endOfString(json, at);
    else if (byte === LEFT_BRACKET || byte === LEFT_BRACE) containers++;
  }
  return containers > limit;
}

/** How often a byte occurs; it is not counted further than one beyond `limit`. */
function occurrences(byte: number, bytes: Uint8Array, limit: number): number {
  let count = 0;
  for (let at = bytes.indexOf(byte); at !== -1 && count <= limit; at = bytes.indexOf(byte, at + 1)) count++;
  return count;
}

/** Where the string that begins at `start` has its closing quote; the end of the text if it has none. */
function endOfString(json: Uint8Array, start: number): number {
  for (let end = start; ;) {
    end = json.indexOf(QUOTE, end + 1);
    if (end === -1) return json.byteLength;
    let backslashes = 0;
    while (json[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end;
  }
}

export interface EmbeddingsRequest {
  /** One element for each embedding: a text, or its cl100k_base token ids. */
  input: (string | number[])[];
  model: string;
  base64: boolean;
  dimensions: number | undefined;
}

export function parseEmbeddingsRequest(body: unknown): EmbeddingsRequest {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new ApiError("invalid_json", `The body must be a JSON object; got ${described(body)}.`);
  }
  const fields = body as Record<string, unknown>;
  const model = parseModel(fields["model"]);
  const input = parseInputType(fields["input"]);
  const base64 = parseEncodingFormat(fields["encoding_format"]);
  const dimensions = parseDimensions(fields["dimensions"]);
  checkUser(fields["user"]);
  return { input: parseItems(input), model, base64, dimensions };
}

function parseModel(model: unknown): string {
  if (model === undefined || model === null) throw missingParameter("model");
  if (typeof model !== "string") throw invalidType("model", "a string", model);
  if (model === "") throw new ApiError("invalid_value", "'model' must not be empty; got ''.", "model");
  return model;
}

function parseInputType(input: unknown): string | unknown[] {
  if (input === undefined || input === null) throw missingParameter("input");
  if (typeof input === "string" || Array.isArray(input)) return input;
  throw invalidType("input", "a string, an array of strings, or an array of token ids", input);
}

function parseEncodingFormat(format: unknown): boolean {
  if (format === undefined || format === null) return false;
  if (typeof format !== "string") throw invalidType("encoding_format", "'float' or 'base64'", format);
  if (format === "float" || format === "base64") return format === "base64";
  throw new ApiError(
    "invalid_value",
    `'encoding_format' must be 'float' or 'base64'; got ${quoted(format)}.`,
    "encoding_format",
  );
}

function parseDimensions(dimensions: unknown): number | undefined {
  if (dimensions === undefined || dimensions === null) return undefined;
  if (!Number.isInteger(dimensions)) throw invalidType("dimensions", "an integer", dimensions);
  return dimensions as number;
}

function checkUser(user: unknown): void {
  if (user !== undefined && user !== null && typeof user !== "string")
    throw invalidType("user", "a string", user);
}

/** The first element decides what an array is. */
function parseItems(input: string | unknown[]): (string | number[])[] {
  if (typeof input === "string") return [parseText(input, "input")];
  const [first] = input;
  if (typeof first === "number") return [parseTokenIds(input, "input")];
  if (input.length === 0) throw new ApiError("invalid_value", "'input' must not be empty; got [].", "input");
  if (input.length > MAX_TEXTS) {
    throw new ApiError(
      "array_above_max_length",
      `'input' may hold at most ${MAX_TEXTS} texts in one request; got ${input.length}.`,
      "input",
    );
  }
  if (typeof first === "string") return input.map((item, i) => parseText(item, `input[${i}]`));
  if (Array.isArray(first)) return input.map((item, i) => parseTokenIds(item, `input[${i}]`));
  throw invalidType("input[0]", "a string, a token id, or an array of token ids", first);
}

function parseText(text: unknown, field: string): string {
  if (typeof text !== "string") throw invalidType(field, "a string", text);
  if (text === "")
    throw new ApiError("invalid_value", `'${field}' must not be an empty string; got ''.`, field);
  return text;
}

function parseTokenIds(ids: unknown, field: string): number[] {
  if (!Array.isArray(ids)) throw invalidType(field, "an array of token ids", ids);
  if (ids.length === 0)
    throw new ApiError("invalid_value", `'${field}' must hold at least one token id; got [].`, field);
  ids.forEach((id: unknown, i) => {
    if (!Number.isInteger(id)) throw invalidType(`${field}[${i}]`, "an integer", id);
    const tokenId = id as number;
    if (tokenId >= 0 && tokenId < TOKEN_ID_COUNT) return;
    const special = SPECIAL_TOKENS[tokenId];
    throw new ApiError(
      "invalid_value",
      `'${field}[${i}]' must be a cl100k_base token id of text, from 0 to ` +
        `${TOKEN_ID_COUNT - 1}; got ${tokenId}${special === undefined ? "" : `, the special token ${special}`}.`,
      `${field}[${i}]`,
    );
  });
  return ids as number[];
}

const SPECIAL_TOKENS: Record<number, string> = {
  100257: "<|endoftext|>",
  100258: "<|fim_prefix|>",
  100259: "<|fim_middle|>",
  100260: "<|fim_suffix|>",
  100276: "<|endofprompt|>",
};

/** The texts of the cl100k_base ids; public/cl100k_base.bin, which scripts/build-cl100k.ts makes. */
export interface TokenTable {
  /** The whole file. */
  bytes: Uint8Array;
  /** [TOKEN_ID_COUNT + 1]: where in `bytes` the text of each id starts, and where the last one ends. */
  starts: Uint32Array;
}

/** A u32 with the number of ids, the length of each one's text as a byte, the texts in the order of their ids. */
export function readTokenTable(file: ArrayBuffer): TokenTable {
  const bytes = new Uint8Array(file);
  const count = bytes.length < 4 ? 0 : new DataView(file).getUint32(0, true);
  if (count !== TOKEN_ID_COUNT)
    throw new Error(`the table holds ${count} token ids, expected ${TOKEN_ID_COUNT}`);
  const starts = new Uint32Array(count + 1);
  let start = 4 + count;
  for (let id = 0; id < count; id++) {
    starts[id] = start;
    start += bytes[4 + id] ?? 0;
  }
  starts[count] = start;
  if (start !== bytes.length)
    throw new Error(`the table has ${bytes.length} bytes; its lengths add up to ${start}`);
  return { bytes, starts };
}

/** The texts that the token ids of a request stand for, of at most `maxBytes` bytes. */
export function decodeTokenIds(table: TokenTable, input: (string | number[])[], maxBytes: number): string[] {
  // One id can stand for 128 bytes: the texts behind a body may not be larger than a body.
  let textBytes = 0;
  for (const item of input) if (typeof item !== "string") textBytes += decodedBytes(table, item);
  if (textBytes > maxBytes) {
    throw new ApiError(
      "request_too_large",
      `The token ids in 'input' may stand for at most ${maxBytes} bytes of text; got ${textBytes}.`,
    );
  }
  // Bytes that are no UTF-8 become U+FFFD; a byte order mark is text like any other.
  const decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  return input.map((item) => (typeof item === "string" ? item : decoder.decode(textOfTokenIds(table, item))));
}

function textOfTokenIds(table: TokenTable, ids: number[]): Uint8Array {
  const { bytes, starts } = table;
  const text = new Uint8Array(decodedBytes(table, ids));
  let length = 0;
  for (const id of ids) {
    // A token has six bytes on average: a loop is faster here than a view and a copy for each.
    for (let at = starts[id]!; at < starts[id + 1]!; at++) text[length++] = bytes[at]!;
  }
  return text;
}

function decodedBytes({ starts }: TokenTable, ids: number[]): number {
  return ids.reduce((total, id) => total + starts[id + 1]! - starts[id]!, 0);
}

function missingParameter(field: string): ApiError {
  return new ApiError("missing_required_parameter", `The field '${field}' is required; got nothing.`, field);
}

function invalidType(field: string, expected: string, got: unknown): ApiError {
  return new ApiError("invalid_type", `'${field}' must be ${expected}; got ${described(got)}.`, field);
}

function described(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? `the string ${quoted(value)}` : `the ${typeof value} ${String(value)}`;
}

/** A value as it stands in a message: long ones are cut. */
export function quoted(text: string): string {
  return `'${text.length > MAX_QUOTED_CHARACTERS ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}…` : text}'`;
}
