// @ts-check
// The endpoint as the page uses it: one call for embeddings, one for what is known about the model.
import { fromBase64 } from "./vectors.js";

const KEY_ITEM = "api-key";

/**
 * @typedef {object} Answer
 * @property {Float32Array[]} vectors
 * @property {number} tokens of all texts together: the endpoint counts per request
 * @property {{ index: number, tokens: number, tokens_read: number }[]} truncated
 * @property {string} modelVersion
 * @property {number} milliseconds from sending to the last byte read
 */

/** What went wrong, in words, and which part of the request it is about. */
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
  }

  /** Which field of the page the message belongs to. @returns {"key" | "dimensions" | "texts" | "request"} */
  get place() {
    if (this.status === 401) return "key";
    if (this.param?.startsWith("dimensions")) return "dimensions";
    if (this.param?.startsWith("input") || this.status === 413) return "texts";
    return "request";
  }

  /** The message for a person who sees numbered texts, not a JSON array. */
  get sentence() {
    const item = /^input\[(\d+)\]/.exec(this.param ?? "");
    const wait =
      this.retryAfter && /^\d+$/.test(this.retryAfter) ? ` Try again in ${this.retryAfter} s.` : "";
    // The Worker says so too, in its own words.
    const message = wait ? this.message.replace(/ Try again(?: in \d+ seconds)?\.$/, "") : this.message;
    return (item ? `Text ${Number(item[1]) + 1}: ` : "") + message + wait;
  }
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
 * @param {string | string[]} input @param {{ model: string, dimensions?: number | undefined, signal?: AbortSignal }} options
 * @returns {Promise<Answer>}
 */
export async function embed(input, { model, dimensions, signal }) {
  const started = performance.now();
  const { body, headers } = await call("/v1/embeddings", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model,
      input,
      encoding_format: "base64",
      ...(dimensions === undefined ? {} : { dimensions }),
    }),
    ...(signal ? { signal } : {}),
  });
  return {
    vectors: body.data.map((/** @type {{ embedding: string }} */ item) => fromBase64(item.embedding)),
    tokens: body.usage.prompt_tokens,
    truncated: body.truncated ?? [],
    modelVersion: headers.get("x-model-version") ?? "unknown",
    milliseconds: performance.now() - started,
  };
}

/**
 * The model's name and sizes. /health stays open where a key is asked for, and knows less.
 * @returns {Promise<{ name: string, dimensions: number, maxTokens: number | null, version: string }>}
 */
export async function describeModel() {
  try {
    const { body, headers } = await call("/v1/models");
    const model = body.data[0];
    const version = headers.get("x-model-version") ?? "unknown";
    return {
      name: model.id,
      dimensions: model.dimensions,
      maxTokens: model.max_input_tokens ?? null,
      version,
    };
  } catch (error) {
    if (!(error instanceof RequestError) || error.status !== 401) throw error;
    const { body, headers } = await call("/health");
    const version = headers.get("x-model-version") ?? "unknown";
    return { name: body.name, dimensions: body.dimensions, maxTokens: null, version };
  }
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
  let text;
  try {
    response = await fetch(path, { ...init, headers, cache: "no-store" });
    text = await response.text();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new RequestError(`No answer from ${location.host}. Is the Worker running, and are you online?`);
  }
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw new RequestError(`${path} answered ${response.status} with something that is not JSON.`, {
      status: response.status,
    });
  }
  if (!response.ok) {
    const { message = `${path} answered ${response.status}.`, code, param } = body.error ?? {};
    throw new RequestError(message, {
      status: response.status,
      code,
      param,
      retryAfter: response.headers.get("retry-after"),
    });
  }
  return { body, headers: response.headers };
}
