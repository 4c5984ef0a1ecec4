// Static models: what becomes of model2vec's and sentence-transformers' folders.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { imported as importedAs } from "../../lib/imported.js";
import {
  safetensors,
  tokenizerJson,
  VOCABULARY,
  type Files,
  type Json,
  type Tensors,
} from "../../lib/tiny-models.js";

const DIMENSIONS = 4;
/** The row of token n. Its largest value is 127 / 64, so that its levels are 64 times its values. */
const row = (token: number) => [127 / 64, token / 64, -token / 64, 0];
const table = (rows: number) => Array.from({ length: rows }, (_, token) => row(token)).flat();

function model2vecFiles(tensors: Tensors, config: Json = {}): Files {
  return {
    "config.json": { model_type: "model2vec", architectures: ["StaticModel"], normalize: true, ...config },
    "tokenizer.json": { ...tokenizerJson(), post_processor: null },
    "model.safetensors": safetensors(tensors),
  };
}

const embeddings = (rows = VOCABULARY.length): Tensors => ({
  embeddings: { dtype: "F32", shape: [rows, DIMENSIONS], values: table(rows) },
});

const imported = (files: Files) => importedAs(files, {}, "tiny-static");

/** The rows of the table as a reader has them. */
function rowsOf({ tensors }: Awaited<ReturnType<typeof imported>>): number[][] {
  const { bytes, shape } = tensors.get("embeddings")!;
  const scales = tensors.get("scales")!.bytes;
  const [rows, columns] = shape as [number, number];
  return Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => bytes.readInt8(r * columns + c) * scales.readFloatLE(4 * r)),
  );
}

describe("a StaticModel of model2vec", () => {
  test("keeps a row for each token, drops unknown words, and reads as much of a text as model2vec", async () => {
    const file = await imported(model2vecFiles(embeddings()));
    const { source, ...metadata } = file.metadata;
    assert.match(source!, /^tiny-static, model\.safetensors SHA-256 [0-9a-f]{64}$/);
    assert.deepEqual(metadata, {
      format: "embeddings-worker",
      name: "tiny-static",
      architecture: "static",
      tokenizer: "wordpiece",
      lower_case: "true",
      strip_accents: "true",
      clean_text: "true",
      chinese_chars: "true",
      unknown_token: "[UNK]",
      continuing_prefix: "##",
      max_word_characters: "100",
      drop_unknown: "true",
      max_seq_len: "512",
      // The median length of the vocabulary's tokens is 5.
      max_characters: "2560",
      normalize: "true",
    });
    assert.deepEqual(
      [...file.tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]),
      [
        ["scales", "F32", [11]],
        ["padding.44", "U8", [4]],
        ["embeddings", "I8", [11, 4]],
        ["vocabulary", "U8", [VOCABULARY.join("\n").length + 3]],
      ],
    );
    assert.deepEqual(
      rowsOf(file),
      VOCABULARY.map((_, token) => row(token).map((value) => value + 0)),
    );
    assert.equal(file.description, "static, 11 word pieces of 4, reads 512 tokens; 4 dimensions");
  });

  test("has its weights and its mapping folded into the rows", async () => {
    const count = VOCABULARY.length;
    const tensors: Tensors = {
      ...embeddings(3),
      mapping: {
        dtype: "I64",
        shape: [count],
        values: Array.from({ length: count }, (_, token) => token % 3),
      },
      weights: {
        dtype: "F64",
        shape: [count],
        values: Array.from({ length: count }, (_, token) => token / 2),
      },
    };
    const rows = rowsOf(await imported(model2vecFiles(tensors)));
    assert.deepEqual(
      rows,
      VOCABULARY.map((_, token) => row(token % 3).map((value) => (value * token) / 2 + 0)),
    );
  });

  test("may have no bound of its own, an own one, and embeddings that are not normalised", async () => {
    const unbounded = await imported(model2vecFiles(embeddings(), { max_length: null, normalize: false }));
    assert.deepEqual(
      ["max_seq_len", "max_characters", "normalize"].map((field) => unbounded.metadata[field]),
      ["8192", undefined, "false"],
    );
    assert.ok(
      unbounded.notes.includes(
        "the model reads texts of any length, the Worker their first 8192 word pieces",
      ),
    );
    const short = await imported(model2vecFiles(embeddings(), { max_length: 10 }));
    assert.deepEqual([short.metadata["max_seq_len"], short.metadata["max_characters"]], ["10", "50"]);
  });

  test("is recognised by its modules.json as well, and its embeddings may be F16 or I8", async () => {
    const expected = rowsOf(await imported(model2vecFiles(embeddings())));
    const half = model2vecFiles({ embeddings: { ...embeddings()["embeddings"]!, dtype: "F16" } });
    half["modules.json"] = JSON.stringify([
      { path: ".", type: "sentence_transformers.models.StaticEmbedding" },
      { path: "1_Normalize", type: "sentence_transformers.models.Normalize" },
    ]);
    assert.deepEqual(rowsOf(await imported(half)), expected);
    const levels = table(VOCABULARY.length).map((value) => value * 64);
    const bytes = model2vecFiles({ embeddings: { dtype: "I8", shape: [11, 4], values: levels } });
    assert.deepEqual(
      rowsOf(await imported(bytes)),
      expected.map((values) => values.map((value) => value * 64)),
    );
  });

  test("is refused where its tensors do not fit its tokenizer, or name rows that are not there", async () => {
    await assert.rejects(imported(model2vecFiles(embeddings(10))), {
      message:
        "model.safetensors: tensor embeddings: expected F32, F16, BF16, F64, I8 [11,4], found F32 [10,4]",
    });
    const mapping = { dtype: "I64", shape: [11], values: new Array<number>(11).fill(3) };
    await assert.rejects(imported(model2vecFiles({ ...embeddings(3), mapping })), {
      message: "model.safetensors: tensor mapping: expected rows 0 to 2, got 3 for token 0",
    });
    const wide = { embeddings: { dtype: "I8", shape: [11, 5000], values: new Int8Array(55_000) } };
    await assert.rejects(imported(model2vecFiles(wide)), {
      message: "model.safetensors: tensor embeddings: expected at most 4096 dimensions, got 5000",
    });
    await assert.rejects(imported(model2vecFiles(embeddings(), { max_length: 0 })), {
      message: "config.json: max_length: expected a whole number from 1 to 1000000000, got 0",
    });
  });
});

describe("a StaticEmbedding of sentence-transformers", () => {
  const files = (): Files => ({
    "modules.json": JSON.stringify([
      { path: "0_StaticEmbedding", type: "sentence_transformers.models.StaticEmbedding" },
    ]),
    "0_StaticEmbedding/tokenizer.json": tokenizerJson(),
    "0_StaticEmbedding/model.safetensors": safetensors({
      "embedding.weight": embeddings()["embeddings"]!,
    }),
  });

  test("counts unknown words, and reads a text to the tokenizer's own bound", async () => {
    const plain = await imported(files());
    assert.deepEqual(
      ["drop_unknown", "max_seq_len", "max_characters", "normalize"].map((field) => plain.metadata[field]),
      ["false", "8192", undefined, "false"],
    );
    const cut = files();
    (cut["0_StaticEmbedding/tokenizer.json"] as Json).truncation = { max_length: 128 };
    assert.equal((await imported(cut)).metadata["max_seq_len"], "128");
  });

  test("may be followed by Normalize, and by nothing else", async () => {
    const modules = (second: string) =>
      JSON.stringify([
        { path: "0_StaticEmbedding", type: "sentence_transformers.models.StaticEmbedding" },
        { path: "1", type: `sentence_transformers.models.${second}` },
      ]);
    const normalized = await imported({ ...files(), "modules.json": modules("Normalize") });
    assert.equal(normalized.metadata["normalize"], "true");
    await assert.rejects(imported({ ...files(), "modules.json": modules("Pooling") }), {
      message:
        "modules.json: expected Transformer, Pooling, Dense (at most one) and Normalize, in this order, or " +
        "StaticEmbedding and Normalize, got StaticEmbedding, Pooling",
    });
  });
});
