// @ts-check
// The endpoint as the page uses it: which models there are, and one request for embeddings.

const KEY_ITEM = "api-key";
const SEMANTIC_OF_1024 = 384; // where /v1/models does not say it: the shipped model's

/**
 * @typedef {object} Model
 * @property {string} id
 * @property {number} dimensions what a request without `dimensions` gets
 * @property {number} maxDimensions
 * @property {number} semanticDimensions how many of them, from the first, are the meaning; behind them come the words
 * @property {string | null} architecture "static", or the transformer's
 * @property {number | null} maxInputTokens read of one text
 * @property {number} maxTexts in one request
 * @property {number} maxRequestTokens
 * @property {string | null} version of its weights
 */

/** Before the models are known, or where they cannot be asked for: the endpoint takes any name. @type {Model} */
export const UNKNOWN_MODEL = {
  id: "embeddings-worker",
  dimensions: 0,
  maxDimensions: 0,
  semanticDimensions: 0,
  architecture: null,
  maxInputTokens: null,
  maxTexts: 2048,
  maxRequestTokens: 300_000,
  version: null,
};

/**
 * What a vector's part is for, and how a request gets it.
 * @param {Model} model @param {import("./page.js").Part} part
 */
export function partInWords({ dimensions, semanticDimensions, maxDimensions }, part) {
  const count = part === "meaning" ? semanticDimensions : maxDimensions;
  const what =
    part === "meaning"
      ? "what a text says. Best for short texts and paraphrase."
      : `${semanticDimensions} for what a text says + ${maxDimensions - semanticDimensions} for its rare words. Best for search.`;
  const how = count === dimensions ? "" : ` Send “dimensions”: ${count} to get this.`;
  return `${count.toLocaleString("en")} dimensions: ${what}${how}`;
}

/** What went wrong, in words, and which part of the page it is about. */
export class RequestError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, code?: string | null, param?: string | null, retryAfter?: string | null }} about
   */
  constructor(message, { status = 0, code = null, param = null, retryAfter = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
    this.retryAfter = retryAfter;
    /** The one text that the error is about, as its index, where that is known. @type {number | null} */
    this.text = null;
  }

  /** Which field of the page the message belongs to. @returns {"key" | "texts" | "request"} */
  get place() {
    if (this.status === 401) return "key";
    if (this.param?.startsWith("input") || this.status === 413 || this.code === "max_tokens_per_request")
      return "texts";
    return "request";
  }

  /** The message for a person who has typed numbered texts into a form, and has sent no `input`. @param {string} one what the form calls a text */
  sentence(one = "Text") {
    const subject = this.text === null ? `One ${one.toLowerCase()}` : `${one} ${this.text + 1}`;
    if (this.code === "max_tokens_per_request") {
      const [limit, got] = numbersOf(this.message);
      return `${subject} is too long: ${got} tokens, and one request takes ${limit}. Cut it into several.`;
    }
    if (this.status === 413) return `${subject} is too long to be sent. Cut it into several.`;
    const wait =
      this.retryAfter && /^\d+$/.test(this.retryAfter) ? ` Try again in ${this.retryAfter} s.` : "";
    // The Worker says so too, in its own words.
    const message = wait ? this.message.replace(/ Try again(?: in \d+ seconds)?\.$/, "") : this.message;
    return message.replace(/'input(?:\[\d+\])*'/g, subject) + wait;
  }
}

/** @param {string} message */
function numbersOf(message) {
  return [...message.matchAll(/\d+/g)].map(([digits]) => Number(digits).toLocaleString("en"));
}

/** Kept for this tab alone. Storage can be switched off in a browser; the key then lasts until the next load. */
export const apiKey = {
  value: "",
  load() {
    try {
      this.value = sessionStorage.getItem(KEY_ITEM) ?? "";
    } catch {}
    return this.value;
  },
  /** @param {string} value */
  store(value) {
    this.value = value;
    try {
      if (value) sessionStorage.setItem(KEY_ITEM, value);
      else sessionStorage.removeItem(KEY_ITEM);
    } catch {}
  },
};

/**
 * The models that are served, the default first. /health stays open where a key is asked for, and knows less.
 * @returns {Promise<Model[]>}
 */
export async function listModels() {
  try {
    const { body, headers } = await callJson("/v1/models");
    const version = body.data.length === 1 ? headers.get("x-model-version") : null;
    return body.data.map((/** @type {Record<string, any>} */ entry) => modelOf(entry, version));
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 401) throw error;
    const { body, headers } = await callJson("/health");
    return [modelOf({ ...body, id: body.name }, headers.get("x-model-version"))];
  }
}

/** @param {Record<string, any>} entry @param {string | null} version @returns {Model} */
function modelOf(entry, version) {
  const maxDimensions = entry.max_dimensions ?? entry.dimensions;
  return {
    id: entry.id,
    dimensions: entry.dimensions,
    maxDimensions,
    semanticDimensions:
      entry.semantic_dimensions ?? (maxDimensions === 1024 ? SEMANTIC_OF_1024 : maxDimensions),
    architecture: entry.architecture ?? null,
    maxInputTokens: entry.max_input_tokens ?? null,
    maxTexts: entry.max_inputs_per_request ?? UNKNOWN_MODEL.maxTexts,
    maxRequestTokens: entry.max_tokens_per_request ?? UNKNOWN_MODEL.maxRequestTokens,
    version: version === "unknown" ? null : version,
  };
}

/**
 * @typedef {object} EmbeddingRequest what is sent, but for the encoding; the snippets show the same
 * @property {string} model
 * @property {string | string[]} input
 * @property {number | undefined} [dimensions]
 * @property {"query" | "document" | undefined} [input_type]
 */

/**
 * The answer is left as bytes: reading thousands of vectors is the web worker's part.
 * @param {EmbeddingRequest} request @param {AbortSignal} [signal]
 * @returns {Promise<{ bytes: ArrayBuffer, version: string, milliseconds: number }>} milliseconds from sending to the last byte
 */
export async function requestEmbeddings(request, signal) {
  const started = performance.now();
  const { bytes, headers } = await call("/v1/embeddings", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...request, encoding_format: "base64" }),
    ...(signal ? { signal } : {}),
  });
  return {
    bytes,
    version: headers.get("x-model-version") ?? "unknown",
    milliseconds: performance.now() - started,
  };
}

/** @param {string} path */
async function callJson(path) {
  const { bytes, headers } = await call(path);
  return { body: parseJson(bytes, path, 200), headers };
}

/** @param {string} path @param {RequestInit} init */
async function call(path, init = {}) {
  const headers = new Headers(init.headers);
  try {
    if (apiKey.value) headers.set("authorization", `Bearer ${apiKey.value}`);
  } catch {
    throw new RequestError("The API key has a character in it that no key has: “ or … perhaps.", {
      status: 401,
    });
  }
  let response;
  let bytes;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store" });
    bytes = await response.arrayBuffer();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new RequestError(`No answer from ${location.host}. Is the Worker running, and are you online?`);
  }
  if (response.ok) return { bytes, headers: response.headers };
  const {
    message = `${path} answered ${response.status}.`,
    code,
    param,
  } = parseJson(bytes, path, response.status).error ?? {};
  throw new RequestError(message, {
    status: response.status,
    code,
    param,
    retryAfter: response.headers.get("retry-after"),
  });
}

/** @param {ArrayBuffer} bytes @param {string} path @param {number} status */
function parseJson(bytes, path, status) {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw new RequestError(`${path} answered ${status} with something that is not JSON.`, { status });
  }
}
