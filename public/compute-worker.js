// @ts-check
// The web worker: keeps the vectors and does all the arithmetic on them, so that the page never stands still.
import { Bm25 } from "./bm25.js";
import { passagesOf } from "./passages.js";
import { contentStems, fillerWords, keywords, wordsAndStems } from "./stems.js";
import * as vectors from "./vectors.js";

const COST_TEXTS = 200; // all pairs at every step
const PAIRS_BETWEEN_PAUSES = 200_000;
const ROUGH_TEXTS = 300; // more points than this need not be exact to the last digit

/**
 * @typedef {object} Known
 * @property {Float32Array} vector
 * @property {boolean} empty a text without a word: its vector is zero
 * @property {{ tokens: number, tokens_read: number } | null} cut
 */

/** @type {Map<string, Map<string, Known>>} by space, then by text */
const spaces = new Map();
let documents = new Bm25([]);

/** @typedef {typeof tasks} Tasks */
const tasks = {
  /** The texts without a vector, each once, as indices. @param {{ space: string, texts: string[] }} args */
  missing({ space, texts }) {
    const known = spaces.get(space);
    const seen = new Set();
    return texts.flatMap((text, index) => {
      if (known?.has(text) || seen.has(text)) return [];
      seen.add(text);
      return [index];
    });
  },

  /** @param {{ space: string }} args */
  forget({ space }) {
    spaces.delete(space);
  },

  /** Reads an answer of the endpoint. @param {{ space: string, texts: string[], bytes: ArrayBuffer }} args */
  receive({ space, texts, bytes }) {
    const answer = JSON.parse(new TextDecoder().decode(bytes));
    const empty = new Set(answer.empty ?? []);
    const cut = new Map(
      (answer.truncated ?? []).map((/** @type {{ index: number }} */ one) => [one.index, one]),
    );
    const known = spaces.get(space) ?? new Map();
    spaces.set(space, known);
    texts.forEach((text, i) => {
      const { embedding } = answer.data[i];
      known.set(text, {
        vector: vectors.fromBase64(embedding),
        empty: empty.has(i),
        cut: cut.get(i) ?? null,
      });
    });
    return { tokens: answer.usage.prompt_tokens };
  },

  /** @param {{ space: string, text: string }} args */
  vector({ space, text }) {
    return known(space, text).vector;
  },

  /** What the search looks through. @param {{ texts: string[] }} args */
  setDocuments({ texts }) {
    documents = new Bm25(texts);
  },

  /**
   * The best documents for a query, by the vectors and by BM25. null where a document has no vector yet.
   * @param {{ space: string, querySpace: string, query: string, semantic: number, withWords: boolean, limit: number }} args
   */
  rank({ space, querySpace, query, semantic, withWords, limit }) {
    const { vector: asked } = known(querySpace, query);
    const size = withWords ? asked.length : Math.min(semantic, asked.length);
    const askedNorm = vectors.norm(asked.subarray(0, size));
    const inSpace = spaces.get(space);
    const hits = [];
    let withoutWord = 0;
    for (const [index, text] of documents.texts.entries()) {
      const one = inSpace?.get(text);
      if (!one) return null;
      const norms = askedNorm * vectors.norm(one.vector.subarray(0, size));
      if (!(norms > 0)) {
        withoutWord++;
        continue;
      }
      const meaning = vectors.dotOf(asked, one.vector, 0, Math.min(semantic, size)) / norms;
      const words = vectors.dotOf(asked, one.vector, Math.min(semantic, size), size) / norms;
      hits.push({ index, score: meaning + words, meaning, words });
    }
    hits.sort((a, b) => b.score - a.score || a.index - b.index);
    const byWords = documents.rank(query);
    const wordsRank = new Map(byWords.map(({ index }, rank) => [index, rank + 1]));
    const rankOf = new Map(hits.map(({ index }, rank) => [index, rank + 1]));
    const stems = contentStems(query);
    const fillers = fillerWords(query);
    // Without a word in common the words part is what hashing gives by chance.
    const related = documents.having(wordsAndStems(query).map(({ stem }) => stem));
    const chance = hits.reduce(
      (most, { index, words }) => (related.has(index) ? most : Math.max(most, Math.abs(words))),
      0,
    );
    return {
      keywords: [...new Set(keywords(query).map(({ word }) => word))],
      fillers,
      chance,
      queryIsEmpty: !(askedNorm > 0),
      withoutWord,
      count: hits.length,
      hits: hits.slice(0, limit).map((hit) => ({
        ...hit,
        ...documents.shared(hit.index, stems),
        sharedFillers: shareOf(fillers, documents.texts[hit.index]),
        wordsRank: wordsRank.get(hit.index) ?? null,
      })),
      byWords: byWords.slice(0, limit).map((hit) => ({ ...hit, rank: rankOf.get(hit.index) ?? null })),
      countByWords: byWords.length,
    };
  },

  /** @param {{ name: string, text: string }} args */
  passages({ name, text }) {
    return passagesOf(name, text);
  },
};

/** Those of the words that a text has. @param {string[]} words @param {string} text */
function shareOf(words, text) {
  const inText = new Set(wordsAndStems(text).map(({ word }) => word));
  return words.filter((word) => inText.has(word));
}

/** @typedef {{ space: string, texts: string[], semantic: number, matrixTexts: number, nearestTexts: number }} Comparison
 *   matrixTexts: how many have all pairs returned; nearestTexts: more than so many are not searched for nearest neighbours */

/**
 * @typedef {object} Pair two texts beside each other
 * @property {[number, number]} texts
 * @property {number} cosine
 * @property {number} distance
 * @property {number | null} meaning what of the cosine the meaning part gives; null where there is no other part
 * @property {number | null} alone the cosine of the meaning parts alone
 */

/**
 * @typedef {object} ComparisonPart
 * @property {{ cosines: Float64Array[], distances: Float64Array[], meanings: Float64Array[] | null, alone: Float64Array[] | null, areUnit: boolean }} [matrix]
 *   of the first texts; meanings: what of the cosine the meaning part gives; alone: the cosine of the meaning parts alone
 * @property {{ dimensions: number, largest: number, marks: Map<number, { empty: boolean, cut: Known["cut"] }> }} [about]
 * @property {{ indices: number[], points: [number, number][], explained: [number, number] }} [scatter]
 *   of the texts at these indices: a zero vector has no place
 * @property {{ costs: import("./vectors.js").DimensionCost[], of: number }} [costs] of the meaning part
 * @property {{ nearest: Int32Array, scores: Float64Array, closest: { cosine: Pair, distance: Pair } | null }} [neighbours]
 *   of all texts; closest: the pair with the highest cosine and that with the least distance
 */

/** @param {Comparison} args @returns {AsyncGenerator<ComparisonPart>} */
async function* compare({ space, texts, semantic, matrixTexts, nearestTexts }) {
  const all = texts.map((text) => known(space, text));
  const every = all.map(({ vector }) => vector);
  const shown = every.slice(0, matrixTexts);
  const size = every[0].length;
  const split = Math.min(semantic, size);
  const marks = new Map(all.flatMap(({ empty, cut }, i) => (empty || cut ? [[i, { empty, cut }]] : [])));
  const largest = every.reduce((most, vector) => vector.reduce((m, v) => Math.max(m, Math.abs(v)), most), 0);
  yield { about: { dimensions: size, largest, marks } };
  /** @param {Float32Array} a @param {Float32Array} b */
  const meaningOf = (a, b) => vectors.dotOf(a, b, 0, split) / (vectors.norm(a) * vectors.norm(b));
  /** @param {Float32Array} a @param {Float32Array} b */
  const meaningAlone = (a, b) => vectors.cosine(a.subarray(0, split), b.subarray(0, split));
  yield {
    matrix: {
      cosines: vectors.pairwise(shown, vectors.cosine),
      distances: vectors.pairwise(shown, vectors.distance),
      meanings: split < size ? vectors.pairwise(shown, meaningOf) : null,
      alone: split < size ? vectors.pairwise(shown, meaningAlone) : null,
      areUnit: shown.every(
        (vector) => Math.abs(vectors.norm(vector) - 1) < 0.01 || vectors.norm(vector) === 0,
      ),
    },
  };
  const indices = [...every.keys()].filter((i) => vectors.norm(every[i]) > 0);
  const withDirection = indices.map((i) => every[i]);
  const tolerance = every.length > ROUGH_TEXTS ? 1e-4 : 1e-10;
  yield { scatter: { indices, ...vectors.principalComponents(withDirection, tolerance) } };
  if (every.length > 1) {
    const some = withDirection.slice(0, COST_TEXTS).map((vector) => vector.subarray(0, split));
    yield { costs: { costs: vectors.dimensionCosts(some, vectors.dimensionSteps(split)), of: some.length } };
  }
  if (every.length > 1 && every.length <= nearestTexts) {
    const unit = every.map(vectors.unit);
    const nearest = new Int32Array(unit.length).fill(-1);
    const scores = new Float64Array(unit.length).fill(-Infinity);
    const norms = every.map(vectors.norm);
    let least = Infinity; // squared distance
    /** @type {[number, number] | null} */
    let leastPair = null;
    let pairs = 0;
    for (let i = 0; i < unit.length; i++) {
      if ((pairs += unit.length - i) > PAIRS_BETWEEN_PAUSES) {
        pairs = 0;
        yield {};
      }
      if (Number.isNaN(unit[i][0])) continue;
      for (let j = i + 1; j < unit.length; j++) {
        const similarity = vectors.dot(unit[i], unit[j]);
        if (similarity > scores[i]) [scores[i], nearest[i]] = [similarity, j];
        if (similarity > scores[j]) [scores[j], nearest[j]] = [similarity, i];
        const squared = norms[i] ** 2 + norms[j] ** 2 - 2 * similarity * norms[i] * norms[j];
        if (squared < least) [least, leastPair] = [squared, [i, j]];
      }
    }
    /** @param {[number, number]} pair @returns {Pair} */
    const about = ([i, j]) => ({
      texts: [i, j],
      cosine: vectors.cosine(every[i], every[j]),
      distance: vectors.distance(every[i], every[j]),
      meaning: split < size ? meaningOf(every[i], every[j]) : null,
      alone: split < size ? meaningAlone(every[i], every[j]) : null,
    });
    // The first text whose nearest neighbour is as near as any: the other of the pair comes behind it.
    const first = scores.reduce((best, score, i) => (score > scores[best] ? i : best), 0);
    const closest =
      leastPair === null ? null : { cosine: about([first, nearest[first]]), distance: about(leastPair) };
    yield { neighbours: { nearest, scores, closest } };
  }
}

/** @param {string} space @param {string} text */
function known(space, text) {
  const found = spaces.get(space)?.get(text);
  if (!found) throw new Error("a text has no vector yet");
  return found;
}

const cancelled = new Set();

self.addEventListener("message", async ({ data: { id, task, args, compare: comparison, cancel } }) => {
  if (cancel !== undefined) return cancelled.add(cancel);
  try {
    if (!comparison) return postMessage({ id, value: /** @type {any} */ (tasks)[task](args) });
    for await (const part of compare(comparison)) {
      postMessage({ id, part });
      await new Promise((resolve) => setTimeout(resolve)); // lets other messages in, a cancel among them
      if (cancelled.delete(id)) break;
    }
    postMessage({ id, value: null });
  } catch (error) {
    postMessage({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
