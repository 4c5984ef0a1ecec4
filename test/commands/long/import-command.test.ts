// `npm run import` as a person runs it, and what the Worker's embedder makes of the file.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { dropModel, embed, loadWhole } from "../../../embedder-wasm/embedder.js";
import { PROJECT_ROOT } from "../../../scripts/lib/project.js";
import { checkedWeights } from "../../../scripts/lib/weights.js";
import { computed } from "../../lib/tiny-bert.js";
import {
  bertFiles,
  bertTensors,
  safetensors,
  tokenizerJson,
  VOCABULARY,
  writeFolder,
  type Files,
  type TinyFolder,
} from "../../lib/tiny-models.js";

async function runImport(...args: string[]): Promise<{ stdout: string; stderr: string; code?: number }> {
  const command = ["--import", "tsx", join(PROJECT_ROOT, "scripts", "import.ts"), ...args];
  return promisify(execFile)("node", command, {
    cwd: PROJECT_ROOT,
    env: { ...process.env, HF_HUB_OFFLINE: "1" },
  }).catch((error: { stdout: string; stderr: string; code: number }) => error);
}

describe("npm run import", () => {
  let model: TinyFolder;
  before(() => void (model = writeFolder(bertFiles())));
  after(() => model.remove());

  test("writes a file and says what it made, and how to try it", async () => {
    const out = join(model.folder, "out", "tiny.bin");
    const { stdout, stderr } = await runImport(
      model.folder,
      "--out",
      out,
      "--lexical",
      "0.4",
      "--query-prompt",
      "q: ",
    );
    assert.equal(stderr, "");
    const { sha256, bytes, info } = checkedWeights(readFileSync(out));
    const lines = stdout.split("\n");
    assert.match(lines[0]!, /^model\.safetensors: SHA-256 [0-9a-f]{64}$/);
    assert.deepEqual(lines.slice(1, 7), [
      "",
      "tiny-bert-hybrid: bert, 1 layers of 16, 2 heads, 11 word pieces, mean pooling, reads 8 tokens; " +
        "656 dimensions (16 and 640 lexical, weight 0.4)",
      `  file     ${out}, ${(bytes.length / 1024 / 1024).toFixed(1)} MiB, one value in KV`,
      `  version  ${sha256.slice(0, 12)}, SHA-256 ${sha256}`,
      "  names    tiny-bert-hybrid (656 dimensions), tiny-bert (16 dimensions)",
      '  prompts  query "q: ", document none',
    ]);
    assert.match(lines[7]!, /^  speed    [\de.-]+ ms a token here, over three sentences of 24 tokens$/);
    assert.match(
      lines[8]!,
      /^  sense    "How do I reset my password\?" has the cosine -?[\d.]+ with "I forgot my login and need a new one\."$/,
    );
    assert.equal(lines[11], `Try it: npm run dev -- --weights ${out}`);
    assert.deepEqual([info.architecture, info.dimensions, info.semanticDimensions], ["bert", 656, 16]);
  });

  test("calibrates with the texts of a file", async () => {
    const out = join(model.folder, "calibrated.bin");
    const texts = join(model.folder, "config.json");
    const { stderr } = await runImport(model.folder, "--no-lexical", "--out", out, "--calibrate", texts);
    assert.equal(stderr, "");
    assert.equal(checkedWeights(readFileSync(out)).info.dimensions, 16);
  });

  test("writes nothing of a model that is refused, and says which one and why", async () => {
    const refused = writeFolder({ ...bertFiles(), "config.json": { model_type: "roberta" } });
    const out = join(refused.folder, "out.bin");
    const { stdout, stderr, code } = await runImport(refused.folder, "--out", out);
    assert.deepEqual(
      { stdout, stderr, code },
      {
        stdout: "",
        stderr: `error: ${refused.folder} is not imported: config.json: model_type: expected "bert", got "roberta"\n`,
        code: 1,
      },
    );
    assert.equal(existsSync(out), false);
    refused.remove();
  });

  test("refuses what it was not asked rightly", async () => {
    for (const [args, message] of [
      [["nowhere"], "nowhere is neither a folder nor a name on Hugging Face of the form owner/name"],
      [[model.folder, "--lexical", "1", "--no-lexical"], "--lexical and --no-lexical exclude each other"],
      [[model.folder, "--lexical", "much"], '--lexical wants a weight above 0, at most 100, but got "much"'],
      [[model.folder, "--lexical", "0"], '--lexical wants a weight above 0, at most 100, but got "0"'],
      [
        [model.folder, "--revision", "v1"],
        `--revision is for a name on Hugging Face, and ${model.folder} is a folder`,
      ],
      [[model.folder, "--calibrate", "nowhere.txt"], "--calibrate: there is no file nowhere.txt"],
    ] as [string[], string][]) {
      assert.equal((await runImport(...args)).stderr, `error: ${message}\n`);
    }
    assert.match(
      (await runImport()).stderr,
      /^error: expected one folder or one name on Hugging Face, got 0\nnpm run import -- FOLDER \| OWNER\/NAME /,
    );
  });
});

describe("an imported model's vectors", () => {
  async function vectorOf(files: Files, text: string): Promise<number[]> {
    const { folder, remove } = writeFolder(files);
    const out = join(folder, "out.bin");
    const { stderr } = await runImport(folder, "--no-lexical", "--out", out);
    assert.equal(stderr, "");
    const { bytes, info } = checkedWeights(readFileSync(out));
    const model = loadWhole(bytes);
    const options = {
      dimensions: info.dimensions,
      format: "vectors" as const,
      firstIndex: 0,
      workBudget: Infinity,
    };
    const { buffer, byteOffset } = embed(model, [text], options).elements;
    const vector = Array.from(new Float32Array(buffer, byteOffset, info.dimensions));
    dropModel(model);
    remove();
    return vector;
  }
  const cosine = (a: number[], b: number[]) => {
    const dot = (x: number[], y: number[]) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  };

  test("are those of the model, computed by its definition", async () => {
    const { last } = computed(bertTensors({ layers: 2 }), 2, [2, 5, 6, 7, 8, 3]);
    const mean = last[0]!.map((_, i) => last.reduce((sum, row) => sum + row[i]!, 0) / last.length);
    const vector = await vectorOf(bertFiles({ layers: 2 }), "Hello worlds rust");
    const found = cosine(vector, mean);
    assert.ok(found > 0.9995, `the cosine is ${found}`);
    assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-6);
  });

  test("of a static model are the means of its rows", async () => {
    const values = Array.from({ length: VOCABULARY.length * 4 }, (_, i) =>
      i % 4 === 3 ? 127 : (i * 7) % 100,
    );
    const vector = await vectorOf(
      {
        "config.json": { model_type: "model2vec", normalize: false },
        "tokenizer.json": tokenizerJson(),
        "model.safetensors": safetensors({
          embeddings: { dtype: "F32", shape: [VOCABULARY.length, 4], values },
        }),
      },
      "hello unheard-of worlds",
    );
    const row = (token: number) => values.slice(4 * token, 4 * token + 4);
    // Unknown words, and the hyphen, have no part in it.
    assert.deepEqual(
      vector,
      [0, 1, 2, 3].map((i) => Math.fround((row(5)[i]! + row(6)[i]! + row(7)[i]!) * Math.fround(1 / 3))),
    );
  });
});
