// Texts to vectors by the Worker's own embedder, in this process. scripts/lib/weights.ts has started it by then.
import { embed, type Model } from "../../embedder-wasm/embedder.js";

/** The first `dimensions` values of each text's vector, and how many tokens were read in all. */
export function embedHere(
  model: Model,
  texts: string[],
  dimensions: number,
): { vectors: Float32Array[]; tokens: number } {
  const vectors: Float32Array[] = [];
  let tokens = 0;
  while (vectors.length < texts.length) {
    const slice = embed(model, texts, {
      dimensions,
      format: "vectors",
      firstIndex: vectors.length,
      workBudget: Infinity,
    });
    const { buffer, byteOffset } = slice.elements;
    for (let i = 0; i < slice.done; i++) {
      tokens += slice.counts[3 * i + 1]!;
      vectors.push(new Float32Array(buffer, byteOffset + 4 * i * dimensions, dimensions).slice());
    }
  }
  return { vectors, tokens };
}

export function dotProduct(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
