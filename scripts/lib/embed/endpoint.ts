// An embeddings endpoint that may be busy, slow or gone for a while: texts in, vectors out.
import { setTimeout as pause } from "node:timers/promises";
import { UserError } from "../project.js";

export interface EndpointOptions {
  /** The base URL, without /embeddings. */
  baseUrl: string;
  key: string | undefined;
  model: string;
  dimensions: number | undefined;
  inputType: string | undefined;
  /** No further request is begun and no pause waited out after it; those under way are finished. */
  stop: AbortSignal;
  /** Told before each pause. */
  onRetry: (reason: string, seconds: number) => void;
}

export interface Embedded {
  vectors: Float32Array[];
  tokens: number;
  /** Texts that were longer than the model reads. */
  truncated: { index: number; tokens: number; tokens_read: number }[];
  version: string;
}

/** The user stopped the command before this batch was embedded. */
export class Stopped extends Error {}

/** One of the texts is refused: the caller knows which row it is. */
export class RefusedText extends Error {
  constructor(
    readonly index: number,
    message: string,
  ) {
    super(message);
  }
}

const REQUEST_MILLISECONDS = 300_000;
const RETRIES = 10;
const FIRST_PAUSE_SECONDS = 0.5;
const LONGEST_PAUSE_SECONDS = 60;
const RETRIED_STATUSES = [408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529];
/** Where a request is too large in one of these ways, its halves may do. */
const TOO_LARGE_CODES = ["max_tokens_per_request", "request_too_large", "array_above_max_length"];

interface Answer {
  data: { index: number; embedding: string | number[] }[];
  usage?: { total_tokens?: number };
  truncated?: Embedded["truncated"];
}

interface Refusal {
  message: string;
  code: string | null;
  param: string | null;
}

export class Endpoint {
  /** Requests wait until then, whichever of them was told to. */
  private closedUntil = 0;
  /** Half of what was too large once; texts beyond it are sent apart without being refused first. */
  private charactersAtMost = Infinity;

  constructor(private readonly options: EndpointOptions) {}

  async embed(texts: string[]): Promise<Embedded> {
    const characters = texts.reduce((total, { length }) => total + length, 0);
    if (texts.length > 1 && characters > this.charactersAtMost) return this.embedHalves(texts);
    const { status, body, version } = await this.post(texts);
    if (status === 200) return this.readAnswer(body, texts.length, version);
    const { message, code, param } = refusalIn(body);
    if (TOO_LARGE_CODES.includes(code ?? "") || status === 413) {
      this.charactersAtMost = Math.min(this.charactersAtMost, Math.ceil(characters / 2));
      if (texts.length > 1) return this.embedHalves(texts);
      throw new RefusedText(0, message);
    }
    const index = /^input\[(\d+)\]/.exec(param ?? "")?.[1];
    if (index !== undefined || param === "input") throw new RefusedText(Number(index ?? 0), message);
    throw new UserError(`${this.options.baseUrl} answered ${status}: ${message}`);
  }

  private async embedHalves(texts: string[]): Promise<Embedded> {
    const middle = Math.ceil(texts.length / 2);
    const first = await this.embed(texts.slice(0, middle));
    const second = await this.embed(texts.slice(middle)).catch((error: unknown) => {
      throw error instanceof RefusedText ? new RefusedText(error.index + middle, error.message) : error;
    });
    if (first.version !== second.version)
      throw changedModel(this.options.baseUrl, first.version, second.version);
    return {
      vectors: [...first.vectors, ...second.vectors],
      tokens: first.tokens + second.tokens,
      truncated: [
        ...first.truncated,
        ...second.truncated.map((cut) => ({ ...cut, index: cut.index + middle })),
      ],
      version: first.version,
    };
  }

  /** Tries again as long as that may help. */
  private async post(texts: string[]): Promise<{ status: number; body: string; version: string }> {
    const { baseUrl, stop, onRetry } = this.options;
    for (let attempt = 1; ; attempt++) {
      await this.waitUntilOpen();
      let reason: string;
      let seconds = Math.min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)) * jitter();
      try {
        const response = await this.send(texts);
        const body = await response.text();
        if (!RETRIED_STATUSES.includes(response.status))
          return {
            status: response.status,
            body,
            version: response.headers.get("x-model-version") ?? "unknown",
          };
        reason = `${response.status}: ${refusalIn(body).message}`;
        const asked = retryAfterSeconds(response.headers.get("retry-after"));
        if (asked !== undefined) {
          seconds = asked;
          // It is the endpoint that is busy, not this request: the others wait too.
          this.closedUntil = Math.max(this.closedUntil, Date.now() + seconds * 1000);
        }
      } catch (error) {
        reason = `no answer (${causeOf(error)})`;
      }
      if (attempt > RETRIES) {
        throw new UserError(
          `${baseUrl} failed ${attempt} times, the last time with ${reason}. What is embedded is kept: the same command goes on from there`,
        );
      }
      if (stop.aborted) throw new Stopped();
      onRetry(reason, seconds);
      await pause(seconds * 1000, undefined, { signal: stop }).catch(() => {
        throw new Stopped();
      });
    }
  }

  private async waitUntilOpen(): Promise<void> {
    const { stop } = this.options;
    for (let wait = 1; wait > 0;) {
      if (stop.aborted) throw new Stopped();
      wait = this.closedUntil - Date.now();
      if (wait > 0) await pause(wait, undefined, { signal: stop }).catch(() => {});
    }
  }

  private send(texts: string[]): Promise<Response> {
    const { baseUrl, key, model, dimensions, inputType } = this.options;
    return fetch(`${baseUrl}/embeddings`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
      body: JSON.stringify({
        model,
        input: texts,
        encoding_format: "base64",
        ...(dimensions !== undefined && { dimensions }),
        ...(inputType !== undefined && { input_type: inputType }),
      }),
      signal: AbortSignal.timeout(REQUEST_MILLISECONDS),
    });
  }

  private readAnswer(body: string, count: number, version: string): Embedded {
    try {
      const { data, usage, truncated = [] } = JSON.parse(body) as Answer;
      const vectors = new Array<Float32Array>(count);
      for (const { index, embedding } of data) vectors[index] = floatsOf(embedding);
      if (data.length !== count || vectors.includes(undefined as never))
        throw new Error(`${data.length} embeddings for ${count} texts`);
      return { vectors, tokens: usage?.total_tokens ?? 0, truncated, version };
    } catch (error) {
      throw new UserError(
        `${this.options.baseUrl} answered with something else than embeddings (${(error as Error).message}): ${body.slice(0, 200)}`,
      );
    }
  }
}

export function changedModel(baseUrl: string, from: string, to: string): UserError {
  return new UserError(
    `${baseUrl} changed its model from version ${from} to ${to} meanwhile, and vectors of two models cannot be mixed`,
  );
}

/** Some endpoints answer in floats whatever is asked for. */
function floatsOf(embedding: string | number[]): Float32Array {
  if (Array.isArray(embedding)) return Float32Array.from(embedding);
  const bytes = Uint8Array.from(Buffer.from(embedding, "base64"));
  return new Float32Array(bytes.buffer);
}

/** The header is a number of seconds or a date. */
export function retryAfterSeconds(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+(\.\d+)?$/.test(header.trim())) return Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - Date.now()) / 1000);
}

/** Between 0.75 and 1.25, so that requests that failed together do not come back together. */
function jitter(): number {
  return 0.75 + Math.random() / 2;
}

function refusalIn(body: string): Refusal {
  try {
    const { error } = JSON.parse(body) as { error: Partial<Refusal> };
    if (typeof error.message === "string")
      return { message: error.message, code: error.code ?? null, param: error.param ?? null };
  } catch {
    // Not an answer of the API's: something before it has answered.
  }
  return { message: body.slice(0, 200) || "nothing", code: null, param: null };
}

function causeOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
}
