// @ts-check
// BM25, the usual ranking by words alone, to be seen beside the vectors. k1 and b as most programs have them;
// idf as Lucene has it: ln(1 + (N - n + 0.5) / (n + 0.5)).
import { contentStems, wordsAndStems } from "./stems.js";

const K1 = 1.2;
const B = 0.75;

export class Bm25 {
  /** @type {Map<string, Map<number, number>>} by stem: how often each document has it */
  #counts = new Map();
  /** @type {number[]} words of each document */
  #lengths = [];
  #meanLength = 1;

  /** @param {string[]} texts */
  constructor(texts) {
    this.texts = texts;
    texts.forEach((text, index) => {
      const words = wordsAndStems(text);
      this.#lengths.push(words.length);
      for (const { stem } of words) {
        const counts = this.#counts.get(stem) ?? new Map();
        this.#counts.set(stem, counts.set(index, (counts.get(index) ?? 0) + 1));
      }
    });
    this.#meanLength = this.#lengths.reduce((sum, length) => sum + length, 0) / texts.length || 1;
  }

  /** The documents with a word of the query, best first. @param {string} query @returns {{ index: number, score: number }[]} */
  rank(query) {
    /** @type {Map<number, number>} */
    const scores = new Map();
    for (const stem of contentStems(query)) {
      for (const [index, count] of this.#counts.get(stem) ?? []) {
        const length = 1 - B + (B * this.#lengths[index]) / this.#meanLength;
        const share = (count * (K1 + 1)) / (count + K1 * length);
        scores.set(index, (scores.get(index) ?? 0) + this.#idf(stem) * share);
      }
    }
    return [...scores]
      .map(([index, score]) => ({ index, score }))
      .sort((a, b) => b.score - a.score || a.index - b.index);
  }

  /** The documents that have one of the stems. @param {Iterable<string>} stems */
  having(stems) {
    return new Set([...stems].flatMap((stem) => [...(this.#counts.get(stem)?.keys() ?? [])]));
  }

  /**
   * The words of a document that have one of the stems, the rarest first, as they are written there.
   * @param {number} index @param {Set<string>} stems
   */
  shared(index, stems) {
    /** @type {Map<string, string>} by stem */
    const shared = new Map();
    const forms = new Set();
    for (const { word, stem } of wordsAndStems(this.texts[index])) {
      if (!stems.has(stem)) continue;
      forms.add(word);
      if (!shared.has(stem)) shared.set(stem, word);
    }
    const rarestFirst = [...shared].sort(([a], [b]) => this.#idf(b) - this.#idf(a));
    return { shared: rarestFirst.map(([, word]) => word), forms: [...forms] };
  }

  /** @param {string} stem */
  #idf(stem) {
    const having = this.#counts.get(stem)?.size ?? 0;
    return Math.log(1 + (this.texts.length - having + 0.5) / (having + 0.5));
  }
}
