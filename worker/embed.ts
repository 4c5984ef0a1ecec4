/**
 * From texts to an answer: the core that `fetch` and whatever else asks for embeddings share. It knows no Request and
 * no Response.
 */
import { countTokens, embeddingsPerChunk, encode, joined, withTail } from "../embedder-wasm/embedder";
import type { ServedModel } from "./catalogue";
import { ApiError } from "./errors";
import { failureOf, loadedModel, loadModel, type LoadedModel, type ModelBindings } from "./models";
import type { InputType } from "./request";
import type { LoadContext } from "./shared-load";
import { checkWaiting, forEachSlice, type Summary, type Work } from "./slices";

/** What is to be embedded, and how. */
export interface EmbedJob {
  served: ServedModel;
  texts: string[];
  /** What the caller calls the texts, for messages. */
  field: string;
  /** Left out: the model's default. */
  dimensions: number | undefined;
  inputType: InputType | undefined;
  /** Whether nobody waits for the answer any more. */
  isAbandoned: () => boolean;
  /** For the log line of a request that fails: how many tokens were counted. */
  sizes: { tokens: number };
}

/** In English and most other languages; only for how much work waits. */
const CHARACTERS_PER_TOKEN = 4;
/** UTF-8 takes so many bytes at most for a UTF-16 unit. */
const BYTES_PER_CHARACTER = 3;
/** A transformer's own: one before and one after each text. */
const SPECIAL_TOKENS = 2;
const SMALLER_REQUESTS =
  "Send fewer texts at once: chunk_size in LangChain for Python, batchSize in LangChain.js, embed_batch_size in LlamaIndex.";

export interface JsonFormat {
  base64: boolean;
  /** The name that the request used; the answer repeats it. */
  modelName: string;
}

/**
 * Embeds into the answer's JSON. `answer` gets a view of wasm memory, which the next call overwrites, or a stream: it
 * runs in the same breath as the last slice, and must copy what it is given at once.
 */
export function embedAsJson<T>(
  job: EmbedJob,
  format: JsonFormat,
  env: ModelBindings,
  ctx: LoadContext,
  answer: JsonAnswer<T>,
): T | Promise<T> {
  const loaded = loadedModel(job.served);
  // What most requests are, a loaded model and one slice, takes no promise on its way.
  if (loaded !== undefined) return answerWith(loaded, job, format, answer);
  return load(job, env, ctx).then((loaded) => answerWith(loaded, job, format, answer));
}

type JsonAnswer<T> = (body: Uint8Array<ArrayBuffer> | ReadableStream, summary: Summary) => T;

async function load({ served }: EmbedJob, env: ModelBindings, ctx: LoadContext): Promise<LoadedModel> {
  for (;;) {
    await loadModel(served, env, ctx);
    const loaded = loadedModel(served);
    // A trap in another request may have taken the model away again.
    if (loaded !== undefined) return loaded;
  }
}

function answerWith<T>(
  loaded: LoadedModel,
  job: EmbedJob,
  { base64, modelName }: JsonFormat,
  answer: JsonAnswer<T>,
): T | Promise<T> {
  try {
    const work = checkedWork(job, loaded);
    const { texts, dimensions, summary } = work;
    const format = base64 ? "base64" : "float";
    const tail = (): string => answerTail(modelName, summary);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    if (texts.length > embeddingsPerChunk(dimensions, format)) {
      const kept = base64 ? "base64" : "vectors";
      const pending = forEachSlice(work, kept, ({ elements }) => void pieces.push(elements.slice()));
      return afterwards(pending, () => answer(streamedJson(pieces, kept, dimensions, tail()), summary));
    }
    let answered: T | undefined;
    const pending = forEachSlice(work, format, ({ elements }, isLast) => {
      if (!isLast) {
        pieces.push(elements.slice());
        return;
      }
      const last = withTail(elements, tail());
      answered = answer(pieces.length === 0 ? last : joined([...pieces, last]), summary);
    });
    return afterwards(pending, () => answered as T);
  } catch (error) {
    throw failureOf(error);
  }
}

/** Embeds into vectors of the caller's own, `[dimensions]` each. */
export async function embedAsVectors(
  job: EmbedJob,
  env: ModelBindings,
  ctx: LoadContext,
): Promise<{ vectors: Float32Array[]; summary: Summary }> {
  const loaded = loadedModel(job.served) ?? (await load(job, env, ctx));
  try {
    const work = checkedWork(job, loaded);
    const { texts, dimensions, summary } = work;
    const vectors = new Float32Array(texts.length * dimensions);
    await fillVectors(work, vectors);
    return {
      vectors: texts.map((_, i) => vectors.slice(i * dimensions, (i + 1) * dimensions)),
      summary,
    };
  } catch (error) {
    throw failureOf(error);
  }
}

function afterwards<T>(pending: Promise<void> | undefined, next: () => T): T | Promise<T> {
  return pending === undefined ? next() : pending.then(next);
}

function checkedWork(job: EmbedJob, loaded: LoadedModel): Work {
  const dimensions = checkedDimensions(job);
  const texts = withPrompt(job, loaded);
  const multiplyAdds = checkTokens(job, loaded, texts) * loaded.info.multiplyAddsPerToken;
  checkWaiting(multiplyAdds);
  const summary: Summary = { tokens: 0, truncated: [], empty: [] };
  const { isAbandoned } = job;
  return { loaded, texts, dimensions, isAbandoned, multiplyAdds, done: 0, begun: undefined, summary };
}

function checkedDimensions({ served, dimensions = served.dimensions }: EmbedJob): number {
  if (dimensions >= 1 && dimensions <= served.maxDimensions) return dimensions;
  throw new ApiError(
    "invalid_value",
    `'dimensions' must be from 1 to ${served.maxDimensions} with this model; got ${dimensions}.`,
    "dimensions",
  );
}

function withPrompt({ texts, inputType }: EmbedJob, { info }: LoadedModel): string[] {
  const prompt = inputType && info.prompts[inputType];
  return prompt ? texts.map((text) => prompt + text) : texts;
}

/** Refuses too many tokens before any is read. Returns how many there are, or about how many. */
function checkTokens(
  { served, sizes, field }: EmbedJob,
  { model, info }: LoadedModel,
  texts: string[],
): number {
  const isStatic = info.architecture === "static";
  let characters = 0;
  for (const { length } of texts) characters += length;
  // Between two words there is white space. A word piece has one byte at least.
  const most = isStatic
    ? (characters + texts.length) / 2
    : characters * BYTES_PER_CHARACTER + texts.length * SPECIAL_TOKENS;
  if (most <= served.maxRequestTokens) return characters / CHARACTERS_PER_TOKEN;
  const counts = countTokens(model, texts);
  // A static model's words cost a request its time whether they are read or not, a transformer's do not.
  let tokens = 0;
  for (let i = isStatic ? 0 : 1; i < counts.length; i += 2) tokens += counts[i]!;
  if (tokens <= served.maxRequestTokens) return tokens;
  sizes.tokens = tokens;
  // Over HTTP a client has cut the texts into requests; another Worker has done so itself.
  const hint = field === "input" ? ` ${SMALLER_REQUESTS}` : "";
  throw new ApiError(
    "max_tokens_per_request",
    `'${field}' may hold at most ${served.maxRequestTokens} tokens in one request; got ${tokens}.${hint}`,
    field,
  );
}

/** `vectors` is [texts, dimensions]. */
function fillVectors(work: Work, vectors: Float32Array): Promise<void> | undefined {
  const bytes = new Uint8Array(vectors.buffer);
  let offset = 0;
  return forEachSlice(work, "vectors", ({ elements }) => {
    bytes.set(elements, offset);
    offset += elements.byteLength;
  });
}

function answerTail(modelName: string, { tokens, truncated, empty }: Summary): string {
  const usage = `"usage":{"prompt_tokens":${tokens},"total_tokens":${tokens}}`;
  const cut = truncated.length > 0 ? `,"truncated":${JSON.stringify(truncated)}` : "";
  const zero = empty.length > 0 ? `,"empty":${JSON.stringify(empty)}` : "";
  return `],"model":${JSON.stringify(modelName)},${usage}${cut}${zero}}`;
}

/**
 * A large answer, piece by piece. Numbers as text are three times as long as base64, so that their vectors are kept and become
 * text when their turn comes: outside wasm memory, which other requests use between two pieces.
 */
function streamedJson(
  pieces: Uint8Array<ArrayBuffer>[],
  kept: "base64" | "vectors",
  dimensions: number,
  tail: string,
): ReadableStream {
  let next = 0;
  let firstIndex = 0;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (next === pieces.length) {
        controller.enqueue(new TextEncoder().encode(tail));
        controller.close();
        return;
      }
      const piece = pieces[next++]!;
      try {
        controller.enqueue(kept === "base64" ? piece : asNumbers(piece));
      } catch (error) {
        // The status is sent: all that is left is to break off, which clients take for a failed request.
        controller.error(failureOf(error));
      }
    },
  });

  function asNumbers({ buffer }: Uint8Array<ArrayBuffer>): Uint8Array {
    const vectors = new Float32Array(buffer);
    const elements = encode(vectors, { dimensions, format: "float", firstIndex });
    firstIndex += vectors.length / dimensions;
    return elements.slice();
  }
}
