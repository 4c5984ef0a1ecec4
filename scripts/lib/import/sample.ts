// What a new model does with three sentences, computed by the Worker's own embedder, and how long it takes.
import { dropModel, embed, loadWhole, type Model } from "../../../embedder-wasm/embedder.js";

const SENTENCES = [
  "How do I reset my password?",
  "I forgot my login and need a new one.",
  "Bananas ripen faster in a paper bag.",
];
const MEASURED_MILLISECONDS = 1000;

export interface Sample {
  /** That were read of all three sentences. */
  tokens: number;
  millisecondsPerToken: number;
  /** Of the first sentence with the second, which is about the same, and with the third, which is not. */
  cosines: [number, number];
}

/** The embedder has been started: the file was checked with it. */
export function sampleOf(file: Uint8Array, dimensions: number): Sample {
  const model = loadWhole(file);
  try {
    const { vectors, tokens } = embedSentences(model, dimensions);
    // The fastest round: V8 compiles the embedder better after a while, and other programs want the processor too.
    let fastest = Infinity;
    for (const begin = performance.now(); performance.now() - begin < MEASURED_MILLISECONDS;) {
      const roundBegin = performance.now();
      embedSentences(model, dimensions);
      fastest = Math.min(fastest, performance.now() - roundBegin);
    }
    const [first, second, third] = vectors as [Float32Array, Float32Array, Float32Array];
    return {
      tokens,
      millisecondsPerToken: fastest / tokens,
      cosines: [cosine(first, second), cosine(first, third)],
    };
  } finally {
    dropModel(model);
  }
}

function embedSentences(model: Model, dimensions: number): { vectors: Float32Array[]; tokens: number } {
  const vectors: Float32Array[] = [];
  let tokens = 0;
  while (vectors.length < SENTENCES.length) {
    const slice = embed(model, SENTENCES, {
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

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const norms = Math.sqrt(dot(a, a) * dot(b, b));
  return norms === 0 ? 0 : dot(a, b) / norms;
}
