/**
 * Embeddings for other Workers, by a service binding to this entrypoint. No key and no rate limit: the binding is the
 * permission. Whatever is a method of this class can be called from outside, so it has no others.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { MAX_BODY_BYTES } from "./body";
import { modelNamed } from "./catalogue";
import { embedAsVectors } from "./embed";
import { ApiError, asApiError, invalidType, type ErrorCode } from "./errors";
import { log } from "./log";
import { servedModels, type ModelBindings } from "./models";
import { parseDimensions, parseInputType, parseModel, parseTexts, type InputType } from "./request";
import type { TruncatedInput } from "./slices";

export interface EmbedOptions {
  /** As `/v1/models` lists it. Left out, or one that is not listed: the first model. */
  model?: string;
  /** From 1 to the model's. Left out: the model's default. */
  dimensions?: number;
  /** Puts the model's own words for it before each text. A model that has none ignores it. */
  inputType?: InputType;
}

export interface Embedded {
  /** One for each text, in their order, `[dimensions]` each. */
  vectors: Float32Array[];
  /** The model that answered. */
  model: string;
  /** Of its weights: vectors of two versions cannot be compared. */
  version: string;
  /** That the model has read. */
  tokens: number;
  /** The texts that were longer than the model reads. */
  truncated: TruncatedInput[];
  /** The indexes of the texts whose vectors are zero: in which a static model finds no word. */
  empty: number[];
}

/** A value, since an error that is thrown to another Worker arrives there without its fields. */
export interface EmbedFailure {
  error: { code: ErrorCode; message: string; param: string | null };
}

/** What Workers AI's own binding gives. */
export interface AiEmbeddings {
  /** How many texts, and how many dimensions. */
  shape: [number, number];
  data: number[][];
}

export class Embeddings extends WorkerEntrypoint<ModelBindings> {
  /** The limits are those of the HTTP API, and so are the errors. */
  async embed(texts: string | string[], options: EmbedOptions = {}): Promise<Embedded | EmbedFailure> {
    try {
      return await embedFor(this.env, this.ctx, { texts, field: "texts" }, options);
    } catch (error) {
      const { code, message, param } = asApiError(error);
      return { error: { code, message, param } };
    }
  }

  /**
   * In place of Workers AI: `env.AI.run("@cf/baai/bge-small-en-v1.5", { text })`. Errors are thrown, as they are there.
   * `pooling` is ignored: a model has its own.
   */
  async run(model: string, inputs: { text: string | string[]; pooling?: string }): Promise<AiEmbeddings> {
    try {
      const texts = (inputs as { text?: unknown } | undefined)?.text;
      const { vectors } = await embedFor(
        this.env,
        this.ctx,
        { texts, field: "text" },
        { model: parseModel(model) },
      );
      return {
        shape: [vectors.length, vectors[0]!.length],
        data: vectors.map((vector) => Array.from(vector)),
      };
    } catch (error) {
      const { code, message } = asApiError(error);
      throw new Error(`${code}: ${message}`);
    }
  }
}

async function embedFor(
  env: ModelBindings,
  ctx: ExecutionContext,
  { texts: given, field }: { texts: unknown; field: string },
  options: unknown,
): Promise<Embedded> {
  const sizes = { inputs: 0, tokens: 0 };
  try {
    const texts = parseTexts(given, field);
    sizes.inputs = texts.length;
    const { model, dimensions, inputType } = parseOptions(options);
    checkLength(texts, field);
    const models = await servedModels(env, ctx);
    const served = (model === undefined ? undefined : modelNamed(models, model)) ?? models[0]!;
    const isAbandoned = (): boolean => false;
    const job = { served, texts, field, dimensions, inputType, isAbandoned, sizes };
    const { vectors, summary } = await embedAsVectors(job, env, ctx);
    return { vectors, model: served.name, version: served.version, ...summary };
  } catch (error) {
    const detail = error instanceof ApiError ? {} : { detail: String(error) };
    log({ event: "call_failed", code: asApiError(error).code, ...sizes, ...detail });
    throw error;
  }
}

function parseOptions(given: unknown): {
  model: string | undefined;
  dimensions: number | undefined;
  inputType: InputType | undefined;
} {
  const options = given ?? {};
  if (typeof options !== "object") throw invalidType("options", "an object", options);
  const { model, dimensions, inputType } = options as Record<string, unknown>;
  return {
    model: model === undefined || model === null ? undefined : parseModel(model),
    dimensions: parseDimensions(dimensions),
    inputType: parseInputType(inputType, "inputType"),
  };
}

/** As much as fits into a request's body. */
function checkLength(texts: string[], field: string): void {
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  if (characters <= MAX_BODY_BYTES) return;
  throw new ApiError(
    "request_too_large",
    `'${field}' may have at most ${MAX_BODY_BYTES} characters altogether; got ${characters}.`,
    field,
  );
}
