// A BertModel of two heads, computed as its definition says, one value after the other: what the embedder and the importer
// are compared with.
import type { Tensors } from "./tiny-models.js";

export interface Computed {
  /** What goes into the matrices of each layer, a row for each token, by `<layer>.<part>`. */
  inputs: Record<string, number[][]>;
  /** A row for each token. */
  last: number[][];
}

const HEADS = 2;
const EPSILON = 1e-12;

export function computed(tensors: Tensors, layers: number, ids: number[]): Computed {
  const inputs: Record<string, number[][]> = {};
  const value = (name: string) => Array.from(tensors[name]!.values);
  const hidden = tensors["embeddings.LayerNorm.weight"]!.shape[0]!;
  const size = hidden / HEADS;
  const linear = (x: number[], name: string) =>
    value(`${name}.bias`).map((bias, row) =>
      x.reduce((sum, v, i) => sum + v * value(`${name}.weight`)[row * x.length + i]!, bias),
    );
  const norm = (x: number[], name: string) => {
    const mean = x.reduce((a, b) => a + b) / x.length;
    const deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length + EPSILON);
    return x.map(
      (v, i) => ((v - mean) / deviation) * value(`${name}.weight`)[i]! + value(`${name}.bias`)[i]!,
    );
  };
  const plus = (a: number[], b: number[]) => a.map((v, i) => v + b[i]!);

  let x = ids.map((id, position) =>
    norm(
      Array.from({ length: hidden }, (_, i) =>
        ["word", "position", "token_type"]
          .map(
            (kind, k) => value(`embeddings.${kind}_embeddings.weight`)[[id, position, 0][k]! * hidden + i]!,
          )
          .reduce((a, b) => a + b),
      ),
      "embeddings.LayerNorm",
    ),
  );
  for (let layer = 0; layer < layers; layer++) {
    const name = `encoder.layer.${layer}`;
    inputs[`${layer}.attention.self.key`] = x;
    const [q, k, v] = ["query", "key", "value"].map((part) =>
      x.map((row) => linear(row, `${name}.attention.self.${part}`)),
    ) as [number[][], number[][], number[][]];
    const context = x.map((_, p) =>
      Array.from({ length: hidden }, (_, i) => {
        const head = Array.from({ length: size }, (_, d) => Math.floor(i / size) * size + d);
        const weights = x.map((_, r) =>
          Math.exp(head.reduce((sum, d) => sum + q[p]![d]! * k[r]![d]!, 0) / Math.sqrt(size)),
        );
        const total = weights.reduce((a, b) => a + b);
        return weights.reduce((sum, weight, r) => sum + (weight / total) * v[r]![i]!, 0);
      }),
    );
    inputs[`${layer}.attention.output.dense`] = context;
    const y = x.map((row, p) =>
      norm(
        plus(row, linear(context[p]!, `${name}.attention.output.dense`)),
        `${name}.attention.output.LayerNorm`,
      ),
    );
    inputs[`${layer}.intermediate.dense`] = y;
    const wide = y.map((row) => linear(row, `${name}.intermediate.dense`).map(gelu));
    inputs[`${layer}.output.dense`] = wide;
    x = y.map((row, p) =>
      norm(plus(row, linear(wide[p]!, `${name}.output.dense`)), `${name}.output.LayerNorm`),
    );
  }
  return { inputs, last: x };
}

/** z times the normal distribution's share below z, summed up by Simpson's rule. */
function gelu(z: number): number {
  const steps = 2000;
  const density = (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI);
  let share = 0.5;
  for (let i = 0; i < steps; i++) {
    const [a, b] = [(z * i) / steps, (z * (i + 1)) / steps];
    share += ((b - a) / 6) * (density(a) + 4 * density((a + b) / 2) + density(b));
  }
  return z * share;
}
