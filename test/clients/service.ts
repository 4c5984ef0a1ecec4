// The Worker that the suites talk to: the one at EMBEDDINGS_BASE_URL, which ends in /v1, with EMBEDDINGS_API_KEY where
// it asks for a key; or one started here.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SHIPPED_WEIGHTS } from "../../scripts/lib/project.js";
import { startService } from "../lib/harness.js";

export interface Service {
  baseURL: string;
  close(): Promise<void>;
}

/** Clients want a key even where none is asked for. */
export const API_KEY = process.env.EMBEDDINGS_API_KEY ?? "any-key";

/** Plain words, an apostrophe and accents, another script, an emoji; each its own vector. */
export const TEXTS = [
  "Cloudflare Workers are awesome",
  "The naïve café owner's résumé, in two\n\nparagraphs",
  "rust is fast, 速い and быстрый 🦀 too",
];

export async function serviceUnderTest(): Promise<Service> {
  const given = process.env.EMBEDDINGS_BASE_URL;
  if (given !== undefined) return { baseURL: given, close: async () => {} };
  const service = await startService({ weights: readFileSync(SHIPPED_WEIGHTS), assets: true });
  return { baseURL: `${service.url}/v1`, close: () => service.stop() };
}

/** What the other clients are measured against: the endpoint's own numbers, read with nothing but fetch. */
export async function plainEmbeddings(
  baseURL: string,
  input: unknown,
  more: object = {},
): Promise<number[][]> {
  const response = await fetch(`${baseURL}/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${API_KEY}` },
    body: JSON.stringify({ model: "plain", input, encoding_format: "float", ...more }),
  });
  const answer = (await response.json()) as { data: { embedding: number[] }[] };
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer.data.map((item) => item.embedding);
}

export function assertSameVectors(got: number[][], expected: number[][]): void {
  assert.equal(got.length, expected.length, "number of vectors");
  got.forEach((vector, i) => {
    assert.equal(vector.length, expected[i]?.length, `dimensions of vector ${i}`);
    vector.forEach((value, j) => {
      const difference = Math.abs(value - (expected[i]?.[j] ?? NaN));
      assert.ok(difference <= 1e-6, `vector ${i}, value ${j}: ${value} is not ${expected[i]?.[j]} to 1e-6`);
    });
  });
}

export function installedVersion(name: string): string {
  const path = join(import.meta.dirname, "node_modules", name, "package.json");
  return `${name} ${(JSON.parse(readFileSync(path, "utf8")) as { version: string }).version}`;
}
