// The wasm gives the vectors that the native code gives, bit for bit: kernels in SIMD and in plain code are the same.
// `cargo test` compares the native ones with the same files.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import * as embedder from "../../embedder-wasm/embedder.js";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";

const CRATE = join(PROJECT_ROOT, "embedder-wasm");
const read = (file: string): Buffer => readFileSync(join(CRATE, "tests", "golden", file));
const readJson = (file: string): unknown => JSON.parse(read(file).toString("utf8"));

const { texts } = readJson("bert.json") as { texts: string[] };
/** Of each model and each text, f32 in base64. */
const expected = readJson("bert-bits.json") as Record<string, string[]>;

describe("the wasm", () => {
  before(() => embedder.startEmbedder(readFileSync(join(CRATE, "pkg", "embedder_wasm_bg.wasm"))));

  for (const [file, vectors] of Object.entries(expected)) {
    it(`gives the native bits of ${file}`, () => {
      const model = embedder.loadWhole(read(file));
      const { dimensions } = embedder.modelInfo(model);
      const options = { dimensions, format: "vectors", firstIndex: 0, workBudget: Infinity } as const;
      const bytes = Buffer.from(embedder.embed(model, texts, options).elements.slice());
      const found = texts.map((_, i) =>
        bytes.subarray(i * dimensions * 4, (i + 1) * dimensions * 4).toString("base64"),
      );
      assert.deepEqual(found, vectors);
      embedder.dropModel(model);
    });
  }
});
