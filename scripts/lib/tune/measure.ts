// What a static model finds before and after it was tuned: the pairs held back, and general questions that have nothing
// to do with them. Computed by the Worker's own embedder, on the file that it will serve.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dropModel, loadWhole, type Model } from "../../../embedder-wasm/embedder.js";
import { dotProduct, embedHere } from "../embed-here.js";
import type { WeightsFile } from "../weights.js";
import type { Pair } from "./pairs.js";

/** Written for this project: everyday questions, and the passages that answer them in other words. */
const GENERAL_SEARCH = join(import.meta.dirname, "general-search.json");
const DEPTH = 10;

export interface Measured {
  /** What is compared, in words. */
  part: string;
  dimensions: number;
  /** How often (in %), among the pairs held back, the nearest positive is the anchor's own. */
  firstRight: number;
  /** MRR@10 x 100 of the general questions: the mean of 1 / rank of the passage that answers, 0 where it is not among ten. */
  general: number;
}

/** The meaning alone, and where the model has words behind it the whole vector. */
export function measure({ bytes, info }: WeightsFile, pairs: Pair[]): Measured[] {
  const general = generalPairs();
  const model = loadWhole(bytes);
  try {
    const at = (part: string, dimensions: number): Measured => ({
      part,
      dimensions,
      firstRight: 100 * mean(ranks(model, pairs, dimensions).map((rank) => (rank === 1 ? 1 : 0))),
      general: 100 * mean(ranks(model, general, dimensions).map((rank) => (rank <= DEPTH ? 1 / rank : 0))),
    });
    const meaning = at("meaning", info.semanticDimensions);
    if (info.semanticDimensions === info.dimensions) return [meaning];
    return [meaning, at("meaning and words", info.dimensions)];
  } finally {
    dropModel(model);
  }
}

export function generalPairs(): Pair[] {
  const { pairs } = JSON.parse(readFileSync(GENERAL_SEARCH, "utf8")) as {
    pairs: { question: string; passage: string }[];
  };
  return pairs.map(({ question, passage }) => ({ anchor: question, positive: passage }));
}

/** Of each anchor, the rank of its own positive among those of all pairs, from 1. Equal texts are one. */
function ranks(model: Model, pairs: Pair[], dimensions: number): number[] {
  const texts = [...new Set(pairs.map(({ positive }) => positive))];
  const positives = embedHere(model, texts, dimensions).vectors;
  const anchors = embedHere(
    model,
    pairs.map(({ anchor }) => anchor),
    dimensions,
  ).vectors;
  const places = new Map(texts.map((text, place) => [text, place]));
  return pairs.map(({ positive }, i) => {
    const own = dotProduct(anchors[i]!, positives[places.get(positive)!]!);
    return 1 + positives.filter((vector) => dotProduct(anchors[i]!, vector) > own).length;
  });
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
