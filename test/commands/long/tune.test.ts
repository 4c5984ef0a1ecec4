// `npm run tune` from pairs to a weights file, on a small table and a small language: each word has one that means the same.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { PROJECT_ROOT } from "../../../scripts/lib/project.js";
import { readWeights } from "../../../scripts/lib/weights.js";
import { seededWeights } from "../../lib/weights.js";

const WORDS = 24;

describe("npm run tune", () => {
  let folder: string;
  let base: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "tune-long-"));
    base = join(folder, "base.bin");
    writeFileSync(base, seededWeights({ vocabSize: 4096, dimensions: 32, maxSeqLen: 64 }));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Two words each; which two of them a pair has is not in any other pair. */
  function writeLanguage(name: string, positiveOf: (word: number) => number): string {
    const lines: string[] = [];
    for (let i = 0; i < WORDS; i++)
      for (let j = i + 1; j < WORDS; j++)
        lines.push(`left${i} left${j}\tright${positiveOf(i)} right${positiveOf(j)}`);
    const path = join(folder, name);
    writeFileSync(path, lines.join("\n"));
    return path;
  }

  test("makes a model that finds pairs which it has not seen, and says what that cost and how to serve it", async () => {
    const pairs = writeLanguage("pairs.tsv", (word) => word);
    const out = join(folder, "my-model.bin");
    const { exitCode, output } = await tune([pairs, "--init", base, "--out", out]);
    assert.equal(exitCode, 0, output);
    assert.match(output, /^220 pairs to learn from, 28 that choose, 28 to measure with\n/);
    const row = /own text nearest.*\n {2}meaning \(dimensions: 32\) +(.+)\n/.exec(output)![1]!;
    const [before, ...tuned] = row.split(/ +/).map(Number);
    assert.equal(tuned.length, 3, output);
    assert.ok(before! < 20, output);
    assert.ok(Math.max(...tuned) > 80, output);
    assert.match(output, /\nGeneral search: MRR@10 x 100 +before +0\.005/);
    assert.match(
      output,
      /\nServe it: {3}npm run dev -- --weights .*my-model\.bin\nDeploy it: {2}npm run deploy/,
    );
    assert.equal(readWeights(out).info.dimensions, 32);
  });

  test("with one rate tries that alone", async () => {
    const pairs = writeLanguage("pairs.tsv", (word) => word);
    const { output } = await tune([
      pairs,
      "--init",
      base,
      "--rate",
      "0.02",
      "--out",
      join(folder, "one.bin"),
    ]);
    assert.match(output, /nearest of 28, % +before +0\.02\*\n/);
  });

  test("writes nothing where the model is not made better", async () => {
    const pairs = join(folder, "known.tsv");
    const lines = Array.from({ length: 150 }, (_, i) => `word${i} of its own\tword${i} of its own`);
    writeFileSync(pairs, lines.join("\n"));
    const out = join(folder, "known.bin");
    const { exitCode, output } = await tune([pairs, "--init", base, "--out", out]);
    assert.equal(exitCode, 0, output);
    assert.match(output, /\nNo rate made the model better on the pairs that choose: nothing was written\./);
    assert.ok(!existsSync(out));
  });

  test("does not write over what it reads", async () => {
    const pairs = writeLanguage("pairs.tsv", (word) => word);
    const onPairs = await tune([pairs, "--init", base, "--out", pairs]);
    assert.deepEqual(onPairs, { exitCode: 1, output: `error: --out: ${pairs} is the file of pairs\n` });
    const onBase = await tune([pairs, "--init", base, "--out", base]);
    assert.deepEqual(onBase, { exitCode: 1, output: `error: --out: ${base} is the model to begin with\n` });
  });

  test("refuses a transformer", async () => {
    const pairs = writeLanguage("pairs.tsv", (word) => word);
    const { exitCode, output } = await tune([
      pairs,
      "--init",
      join(PROJECT_ROOT, "model", "embeddings-worker-minilm.bin"),
    ]);
    assert.equal(exitCode, 1);
    assert.equal(
      output,
      "error: --init: only a static model can be tuned; model/embeddings-worker-minilm.bin is a transformer\n",
    );
  });
});

function tune(args: string[]) {
  return new Promise<{ exitCode: number; output: string }>((resolve) => {
    execFile(
      process.execPath,
      ["--import", "tsx", join(PROJECT_ROOT, "scripts", "tune.ts"), ...args],
      { cwd: PROJECT_ROOT },
      (error, stdout, stderr) =>
        resolve({ exitCode: error === null ? 0 : Number(error.code), output: stdout + stderr }),
    );
  });
}
