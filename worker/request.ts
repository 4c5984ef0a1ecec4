/**
 * From a request's body to what is asked for, or to the first failure, in the order of the code. Pure: no I/O,
 * no clock.
 */
import { ApiError, described, invalidType, missingParameter, quoted } from "./errors";

/** OpenAI's own limit. */
export const MAX_TEXTS = 2048;
/** cl100k_base: ids below this one stand for text, a few above it are special tokens. */
export const TOKEN_ID_COUNT = 100_256;
/**
 * A request needs 2050. JSON.parse takes some 130 bytes of memory for each level of an array in an array, and 60
 * for each empty object: 8 MiB of brackets would cost an isolate ten times its memory, and seconds of CPU.
 */
const MAX_JSON_CONTAINERS = 10_000;

const utf8Decoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: false });
const strictUtf8Decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

export function checkContentType(contentType: string | null): void {
  if (contentType === "application/json" || contentType === null) return;
  // A header that is sent twice arrives as one, with a comma; one within quotes separates nothing.
  const types = contentType.includes('"') ? [contentType] : contentType.split(",");
  if (types.every((type) => /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i.test(type.trim()))) return;
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

/** What a text is: some models put other words before a question than before the texts that may answer it. */
export type InputType = "query" | "document";

export interface EmbeddingsRequest {
  /** One element for each embedding: a text, or its cl100k_base token ids. */
  input: (string | number[])[];
  model: string;
  base64: boolean;
  dimensions: number | undefined;
  inputType: InputType | undefined;
}

/** `modelInPath` counts where the body names no model. */
export function parseEmbeddingsRequest(body: unknown, modelInPath?: string): EmbeddingsRequest {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new ApiError("invalid_json", `The body must be a JSON object; got ${described(body)}.`);
  }
  const fields = body as Record<string, unknown>;
  const model = parseModel(fields["model"] ?? modelInPath);
  const input = parseInput(fields);
  const base64 = parseEncodingFormat(fields["encoding_format"]);
  const dimensions = parseDimensions(fields["dimensions"]);
  const inputType = parseInputType(fields["input_type"], "input_type");
  checkUser(fields["user"]);
  return { input: parseItems(input), model, base64, dimensions, inputType };
}

export function parseModel(model: unknown): string {
  if (model === undefined || model === null) throw missingParameter("model");
  if (typeof model !== "string") throw invalidType("model", "a string", model);
  if (model === "") throw new ApiError("invalid_value", "'model' must not be empty; got ''.", "model");
  return model;
}

/** What other APIs call the texts: text-embeddings-inference, Cohere, Workers AI, Ollama and their kin. */
const OTHER_NAMES_OF_INPUT = [
  "inputs",
  "texts",
  "text",
  "prompt",
  "content",
  "contents",
  "documents",
  "sentences",
];

function parseInput(fields: Record<string, unknown>): string | unknown[] {
  const { input } = fields;
  if (input === undefined || input === null) {
    const meant = OTHER_NAMES_OF_INPUT.find((name) => fields[name] !== undefined && fields[name] !== null);
    throw missingParameter("input", meant && `'${meant}' in its place: rename that to 'input'`);
  }
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

export function parseDimensions(dimensions: unknown): number | undefined {
  if (dimensions === undefined || dimensions === null) return undefined;
  if (!Number.isInteger(dimensions)) throw invalidType("dimensions", "an integer", dimensions);
  return dimensions as number;
}

export function parseInputType(inputType: unknown, field: string): InputType | undefined {
  if (inputType === undefined || inputType === null) return undefined;
  if (typeof inputType !== "string") throw invalidType(field, "'query' or 'document'", inputType);
  if (inputType === "query" || inputType === "document") return inputType;
  throw new ApiError(
    "invalid_value",
    `'${field}' must be 'query' or 'document'; got ${quoted(inputType)}.`,
    field,
  );
}

function checkUser(user: unknown): void {
  if (user !== undefined && user !== null && typeof user !== "string")
    throw invalidType("user", "a string", user);
}

/** Whether no text is given as token ids. */
export function isText(input: (string | number[])[]): input is string[] {
  return input.every((item) => typeof item === "string");
}

/** The first element decides what an array is. */
function parseItems(input: string | unknown[]): (string | number[])[] {
  if (typeof input === "string") return [parseText(input, "input")];
  const [first] = input;
  if (typeof first === "number") return [parseTokenIds(input, "input")];
  checkCount(input, "input");
  if (typeof first === "string") return input.map((item, i) => parseText(item, `input[${i}]`));
  if (Array.isArray(first)) {
    if (typeof first[0] === "string") throw nestedTooDeep(first[0]);
    return input.map((item, i) => parseTokenIds(item, `input[${i}]`));
  }
  throw invalidType("input[0]", "a string, a token id, or an array of token ids", first);
}

/** Texts alone, no token ids: one or several. */
export function parseTexts(texts: unknown, field: string): string[] {
  if (typeof texts === "string") return [parseText(texts, field)];
  if (texts === undefined || texts === null) throw missingParameter(field);
  if (!Array.isArray(texts)) throw invalidType(field, "a string or an array of strings", texts);
  checkCount(texts, field);
  return texts.map((item, i) => parseText(item, `${field}[${i}]`));
}

function checkCount(texts: unknown[], field: string): void {
  if (texts.length === 0) throw new ApiError("invalid_value", `'${field}' must not be empty; got [].`, field);
  if (texts.length <= MAX_TEXTS) return;
  throw new ApiError(
    "array_above_max_length",
    `'${field}' may hold at most ${MAX_TEXTS} texts in one request; got ${texts.length}.`,
    field,
  );
}

function nestedTooDeep(text: string): ApiError {
  return new ApiError(
    "invalid_type",
    `The texts in 'input' are nested one level too deep: expected [${quoted(text)}, ...], got [[${quoted(text)}, ...]].`,
    "input[0]",
  );
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
