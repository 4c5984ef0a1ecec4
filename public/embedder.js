// @ts-check
// From texts to known vectors: which ones are missing, in which requests they go out, and what came back. The
// vectors themselves stay in the web worker.
import { requestEmbeddings, RequestError } from "./api.js";
import { compute } from "./compute.js";

// A request is meant to take about a second, so that progress is seen: a transformer reads 64 texts in that time.
const STATIC_TEXTS_PER_REQUEST = 500;
const TRANSFORMER_TEXTS_PER_REQUEST = 64;
const SPECIAL_TOKENS = 2; // a transformer puts one before a text and one behind it
const CHARACTERS_PER_REQUEST = 250_000;

/**
 * @typedef {object} Learned
 * @property {string} space where the web worker keeps the vectors
 * @property {string} version
 * @property {number} count of texts that were sent
 * @property {number} requests
 * @property {number} milliseconds of all requests together
 * @property {number} tokens
 */

/**
 * @typedef {object} Asked
 * @property {import("./api.js").Model} model
 * @property {string} view keeps the vectors of the two views apart
 * @property {number} dimensions
 * @property {"query" | "document" | undefined} [type]
 * @property {boolean} [again] asks for texts whose vectors are known, too
 * @property {AbortSignal} signal
 * @property {(request: import("./api.js").EmbeddingRequest) => void} [onRequest]
 * @property {(done: number, of: number) => void} [onProgress]
 */

/** The version that answered last, by model. @type {Map<string, string>} */
const versions = new Map();

/** Embeds those of the texts that are not known yet. @param {string[]} texts @param {Asked} asked @returns {Promise<Learned>} */
export async function learn(texts, asked) {
  const { model, view, dimensions, type, signal, onRequest, onProgress } = asked;
  /** @param {string | undefined} version */
  const spaceOf = (version) => JSON.stringify([view, model.id, version, dimensions, type]);
  let space = spaceOf(versions.get(model.id));
  if (asked.again) await compute("forget", { space });
  const learned = { space, version: "", count: 0, requests: 0, milliseconds: 0, tokens: 0 };
  let missing = await compute("missing", { space, texts });
  let most = Infinity; // of texts in a request, once one was refused for its tokens
  while (missing.length) {
    signal.throwIfAborted();
    const count = Math.min(most, countOfPortion(texts, missing, model));
    const portion = missing.slice(0, count);
    const input = portion.map((index) => texts[index]);
    /** @type {import("./api.js").EmbeddingRequest} */
    const request = {
      model: model.id,
      input: texts.length === 1 ? input[0] : input,
      ...(dimensions === model.dimensions ? {} : { dimensions }),
      ...(type && model.architecture !== "static" && model.architecture ? { input_type: type } : {}),
    };
    onRequest?.(request);
    let answer;
    try {
      answer = await requestEmbeddings(request, signal);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      if (error.code === "max_tokens_per_request" && count > 1) {
        most = Math.ceil(count / 2);
        continue;
      }
      const item = /^input\[(\d+)\]/.exec(error.param ?? "");
      if (item) error.text = portion[Number(item[1])] ?? null;
      else if (count === 1) error.text = portion[0];
      throw error;
    }
    if (versions.get(model.id) !== answer.version) {
      // Vectors of other weights cannot be compared with these: all over again.
      await compute("forget", { space });
      versions.set(model.id, answer.version);
      space = spaceOf(answer.version);
      missing = await compute("missing", { space, texts });
    }
    const received = await compute("receive", { space, texts: input, bytes: answer.bytes }, [answer.bytes]);
    learned.count += count;
    learned.requests += 1;
    learned.milliseconds += answer.milliseconds;
    learned.tokens += received.tokens;
    const now = new Set(portion);
    missing = missing.filter((index) => !now.has(index));
    if (missing.length) onProgress?.(texts.length - missing.length, texts.length);
  }
  return { ...learned, space, version: versions.get(model.id) ?? "unknown" };
}

/**
 * How many of the texts go into one request: as many as its limits allow, and one at least. A token has a character
 * at least.
 * @param {string[]} texts @param {number[]} indices @param {import("./api.js").Model} model
 */
function countOfPortion(texts, indices, model) {
  const isTransformer = model.architecture !== null && model.architecture !== "static";
  const mostTexts = Math.min(
    model.maxTexts,
    isTransformer ? TRANSFORMER_TEXTS_PER_REQUEST : STATIC_TEXTS_PER_REQUEST,
  );
  const mostCharacters = Math.min(CHARACTERS_PER_REQUEST, model.maxRequestTokens);
  let count = 0;
  let characters = 0;
  do characters += texts[indices[count++]].length + SPECIAL_TOKENS;
  while (
    count < Math.min(indices.length, mostTexts) &&
    characters + texts[indices[count]].length + SPECIAL_TOKENS <= mostCharacters
  );
  return count;
}
