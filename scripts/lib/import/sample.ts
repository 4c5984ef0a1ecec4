// What a new model does with three sentences, computed by the Worker's own embedder, and how long it takes.
import { dropModel, loadWhole } from "../../../embedder-wasm/embedder.js";
import { dotProduct, embedHere } from "../embed-here.js";

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
    const { vectors, tokens } = embedHere(model, SENTENCES, dimensions);
    // The fastest round: V8 compiles the embedder better after a while, and other programs want the processor too.
    let fastest = Infinity;
    for (const begin = performance.now(); performance.now() - begin < MEASURED_MILLISECONDS;) {
      const roundBegin = performance.now();
      embedHere(model, SENTENCES, dimensions);
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

function cosine(a: Float32Array, b: Float32Array): number {
  const norms = Math.sqrt(dotProduct(a, a) * dotProduct(b, b));
  return norms === 0 ? 0 : dotProduct(a, b) / norms;
}
