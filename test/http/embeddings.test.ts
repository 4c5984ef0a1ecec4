// What a good request gets: the answer's form, both encodings, dimensions, order, cutting, large answers.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Miniflare } from "miniflare";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import type { Service } from "../lib/harness.js";
import { fromBase64, startService } from "../lib/harness.js";
import { safetensors, seededWeights } from "../lib/weights.js";

interface EmbeddingsAnswer<T = number[]> {
  object: string;
  data: { object: string; embedding: T; index: number }[];
  model: string;
  usage: { prompt_tokens: number; total_tokens: number };
  truncated?: { index: number; tokens: number; tokens_read: number }[];
  empty?: number[];
}

async function answerOf<T = number[]>(response: Response | Promise<Response>): Promise<EmbeddingsAnswer<T>> {
  const settled = await response;
  const text = await settled.text();
  assert.equal(settled.status, 200, text);
  return JSON.parse(text) as EmbeddingsAnswer<T>;
}

const norm = (vector: Iterable<number>): number => Math.hypot(...vector);

describe("embeddings", () => {
  let service: Service;
  before(async () => void (service = await startService({ assets: true })));
  after(() => service.stop());

  it("have the form of OpenAI's answer, `object` first", async () => {
    const response = await service.embed({ model: "any-name", input: ["hello world", "rust"] });
    const text = await response.text();
    assert.match(text, /^\{"object":"list","data":\[\{"object":"embedding","embedding":\[/);
    const answer = JSON.parse(text) as EmbeddingsAnswer;
    assert.deepEqual(Object.keys(answer), ["object", "data", "model", "usage"]);
    assert.deepEqual(
      answer.data.map(({ object, index }) => [object, index]),
      [
        ["embedding", 0],
        ["embedding", 1],
      ],
    );
    assert.equal(answer.model, "any-name");
    assert.deepEqual(answer.usage, { prompt_tokens: 3, total_tokens: 3 });
    assert.equal(response.headers.get("content-type"), "application/json");
    for (const { embedding } of answer.data) assert.ok(Math.abs(norm(embedding) - 1) < 1e-6);
  });

  it("are the same bits in floats and in base64, and the floats are the shortest decimals", async () => {
    const input = Array.from({ length: 50 }, (_, i) => `text number ${i}`);
    const floats = await (await service.embed({ model: "m", input })).text();
    const base64 = await answerOf<string>(service.embed({ model: "m", input, encoding_format: "base64" }));
    const answer = JSON.parse(floats) as EmbeddingsAnswer;
    answer.data.forEach(({ embedding }, i) => {
      assert.deepEqual(Float32Array.from(embedding), fromBase64(base64.data[i]!.embedding));
    });
    const printed = [...floats.matchAll(/"embedding":\[([^\]]+)\]/g)].flatMap((match) =>
      match[1]!.split(","),
    );
    assert.equal(printed.length, 400);
    for (const decimal of printed)
      assert.equal(digits(decimal), digits(shortestDecimal(Number(decimal))), decimal);
  });

  it("come in the order of the texts, each as it is alone", async () => {
    const input = ["one", "two words", "three words here", "one"];
    const { data } = await answerOf(service.embed({ model: "m", input }));
    for (const [i, text] of input.entries()) {
      assert.deepEqual(
        data[i]!.embedding,
        (await answerOf(service.embed({ model: "m", input: text }))).data[0]!.embedding,
      );
    }
  });

  it("with `dimensions` are the first values, normalised again", async () => {
    const whole = (await answerOf(service.embed({ model: "m", input: "hello" }))).data[0]!.embedding;
    for (const dimensions of [1, 3, 8]) {
      const { embedding } = (await answerOf(service.embed({ model: "m", input: "hello", dimensions })))
        .data[0]!;
      const first = whole.slice(0, dimensions);
      assert.equal(embedding.length, dimensions);
      embedding.forEach((value, i) => assert.ok(Math.abs(value - first[i]! / norm(first)) < 1e-6));
    }
  });

  it("treat null as absent, and ignore `user` and unknown fields", async () => {
    const plain = await answerOf(service.embed({ model: "m", input: "hello" }));
    const nulls = { encoding_format: null, dimensions: null, input_type: null, user: null, unknown: [1] };
    assert.deepEqual(await answerOf(service.embed({ model: "m", input: "hello", ...nulls })), plain);
    assert.deepEqual(await answerOf(service.embed({ model: "m", input: "hello", user: "u-1" })), plain);
  });

  it("of white space alone are zero vectors, and the answer says which", async () => {
    const response = await service.embed({ model: "m", input: [" ", "hello", "\t\n\u3000"] });
    assert.equal(response.headers.get("x-empty-inputs"), "2");
    const answer = await answerOf(response);
    for (const i of [0, 2]) assert.deepEqual(answer.data[i]!.embedding, [0, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(answer.empty, [0, 2]);
    assert.equal(answer.usage.prompt_tokens, 1);
  });

  it("with an input type are those without, where the model has no words of its own for it", async () => {
    const plain = await answerOf(service.embed({ model: "m", input: "hello" }));
    for (const input_type of ["query", "document"])
      assert.deepEqual(await answerOf(service.embed({ model: "m", input: "hello", input_type })), plain);
  });

  it("of lone surrogates are those of U+FFFD", async () => {
    const answer = await answerOf(service.embed('{"model":"m","input":["a\\ud800b c","a\\ufffdb c"]}'));
    assert.deepEqual(answer.data[0]!.embedding, answer.data[1]!.embedding);
  });

  it("echo the model's name whatever it is", async () => {
    for (const model of ['quotes " and \\ and \u2028', "💥", "text-embedding-3-small"]) {
      assert.equal((await answerOf(service.embed({ model, input: "a" }))).model, model);
    }
  });

  it("of token ids are those of the text that they stand for", async () => {
    // "hello world" is [15339, 1917] in cl100k_base, "rust is fast" [36888, 374, 5043].
    const text = await answerOf(service.embed({ model: "m", input: ["hello world", "rust is fast"] }));
    assert.deepEqual(
      await answerOf(
        service.embed({
          model: "m",
          input: [
            [15339, 1917],
            [36888, 374, 5043],
          ],
        }),
      ),
      text,
    );
    const one = await answerOf(service.embed({ model: "m", input: [15339, 1917] }));
    assert.deepEqual(one.data, [text.data[0]]);
  });

  it("of a text that is too long say how much was read", async () => {
    const long = Array.from({ length: 20 }, (_, i) => `word${i}`);
    const response = await service.embed({
      model: "m",
      input: ["short", long.join(" "), long.slice(0, 16).join(" ")],
    });
    assert.equal(response.headers.get("x-truncated-inputs"), "1");
    const answer = await answerOf(response);
    assert.deepEqual(answer.truncated, [{ index: 1, tokens: 20, tokens_read: 16 }]);
    assert.deepEqual(answer.usage, { prompt_tokens: 33, total_tokens: 33 });
    assert.deepEqual(answer.data[1]!.embedding, answer.data[2]!.embedding);
    assert.deepEqual(Object.keys(answer).at(-1), "truncated");
  });

  it("of 2048 texts come in one answer", async () => {
    const input = Array.from({ length: 2048 }, (_, i) => `text ${i}`);
    const answer = await answerOf<string>(service.embed({ model: "m", input, encoding_format: "base64" }));
    assert.deepEqual(
      answer.data.map(({ index }) => index),
      input.map((_, i) => i),
    );
    const last = await answerOf<string>(
      service.embed({ model: "m", input: input[2047], encoding_format: "base64" }),
    );
    assert.equal(answer.data[2047]!.embedding, last.data[0]!.embedding);
  });
});

describe("an answer of several MiB", () => {
  let service: Service;
  before(
    async () =>
      void (service = await startService({
        weights: seededWeights({ vocabSize: 512, dimensions: 512, maxSeqLen: 64 }),
      })),
  );
  after(() => service.stop());

  for (const encoding_format of ["float", "base64"]) {
    it(`is streamed whole in ${encoding_format}, also while other requests are served`, async () => {
      const input = Array.from({ length: 2048 }, (_, i) => `alpha ${i} beta`);
      const [answer, other] = await Promise.all([
        answerOf<number[] | string>(service.embed({ model: "m", input, encoding_format })),
        Promise.all(
          Array.from({ length: 100 }, (_, i) =>
            answerOf<number[] | string>(
              service.embed({ model: "m", input: `alpha ${i} beta`, encoding_format }),
            ),
          ),
        ),
      ]);
      assert.deepEqual(
        answer.data.map(({ index }) => index),
        input.map((_, i) => i),
      );
      other.forEach((single, i) => assert.deepEqual(answer.data[i]!.embedding, single.data[0]!.embedding));
      assert.equal(answer.usage.prompt_tokens, 3 * 2048);
    });
  }

  it("may be abandoned by its client", async () => {
    const input = Array.from({ length: 2048 }, (_, i) => `alpha ${i} beta`);
    const response = await service.embed({ model: "m", input });
    await response.body!.cancel();
    await answerOf(service.embed({ model: "m", input: "still here" }));
  });
});

describe("golden vectors of the native code, over HTTP", () => {
  interface GoldenLine {
    vocab_size: number;
    embedding_dim: number;
    max_seq_len: number;
    normalize: boolean;
    init_seed: string;
    text: string;
    token_ids: number[];
    embedding_f32_bits?: number[];
    embedding_first8_f32_bits?: number[];
  }
  const tables = new Map<string, GoldenLine[]>();
  for (const json of readFileSync(join(PROJECT_ROOT, "embedder-wasm/tests/golden/native.jsonl"), "utf8")
    .trim()
    .split("\n")) {
    const line = JSON.parse(json) as GoldenLine;
    const table =
      `${line.vocab_size} x ${line.embedding_dim}, seed ${line.init_seed}, ${line.max_seq_len} words, ` +
      (line.normalize ? "normalised" : "not normalised");
    tables.set(table, [...(tables.get(table) ?? []), line]);
  }

  for (const [table, lines] of tables) {
    it(`${table}: all ${lines.length} lines agree`, async () => {
      const { vocab_size, embedding_dim, max_seq_len, normalize, init_seed } = lines[0]!;
      const service = await startService({
        weights: seededWeights({
          vocabSize: vocab_size,
          dimensions: embedding_dim,
          maxSeqLen: max_seq_len,
          normalize,
          seed: BigInt(init_seed),
        }),
      });
      try {
        const texts = lines.filter(({ text }) => text !== "");
        const { data, usage } = await answerOf<string>(
          service.embed({ model: "m", input: texts.map(({ text }) => text), encoding_format: "base64" }),
        );
        for (const [i, line] of texts.entries()) {
          const bits = line.embedding_f32_bits ?? line.embedding_first8_f32_bits!;
          const expected = new Float32Array(Uint32Array.from(bits).buffer);
          const embedding = fromBase64(data[i]!.embedding);
          expected.forEach((value, j) =>
            assert.ok(Math.abs(embedding[j]! - value) <= 1e-6, `${JSON.stringify(line.text)} [${j}]`),
          );
        }
        assert.equal(
          usage.prompt_tokens,
          texts.reduce((sum, { token_ids }) => sum + token_ids.length, 0),
        );
      } finally {
        await service.stop();
      }
    });
  }
});

describe("golden vectors of the tokenizer words-and-stems, over HTTP", () => {
  const golden = (name: string): Buffer =>
    readFileSync(join(PROJECT_ROOT, "embedder-wasm/tests/golden", name));
  let service: Service;
  before(async () => void (service = await startService({ weights: golden("words_and_stems.safetensors") })));
  after(() => service.stop());

  it("all lines agree, in values and in the number of words", async () => {
    const lines = golden("words_and_stems.jsonl")
      .toString()
      .trim()
      .split("\n")
      .map(
        (line) =>
          JSON.parse(line) as {
            text: string;
            words: number;
            dimensions: number;
            embedding: number[];
          },
      )
      .filter(({ text }) => text !== "");
    assert.ok(lines.length > 100);
    for (const { text, words, dimensions, embedding } of lines) {
      const answer = await answerOf(service.embed({ model: "m", input: text, dimensions }));
      const got = answer.data[0]!.embedding;
      assert.equal(got.length, dimensions);
      embedding.forEach((value, i) =>
        assert.ok(Math.abs(got[i]! - value) <= 1e-6, `${JSON.stringify(text)} [${i}]`),
      );
      assert.equal(answer.truncated?.[0]?.tokens ?? answer.usage.prompt_tokens, words, text);
    }
  });
});

describe("new Response, which is given a view of wasm memory", () => {
  for (const byteLength of [100, 100_000]) {
    it(`copies ${byteLength} bytes at once, before anything overwrites them`, async () => {
      const script = `export default { fetch() {
        const memory = new WebAssembly.Memory({ initial: 2 });
        const bytes = new Uint8Array(memory.buffer, 0, ${byteLength}).fill(97);
        const response = new Response(bytes);
        bytes.fill(98);
        memory.grow(1);
        return response;
      } };`;
      const miniflare = new Miniflare({ modules: true, script });
      try {
        assert.equal(
          await (await miniflare.dispatchFetch("http://localhost")).text(),
          "a".repeat(byteLength),
        );
      } finally {
        await miniflare.dispose();
      }
    });
  }
});

describe("rows in 4 bits, over HTTP", () => {
  // One word gives the row after padding and "unknown", one without a letter that of "unknown".
  const [UNKNOWN, WORD] = ["!", "a"];
  const ROW_BYTES = 35;
  const scales = [7, -32_768, 32_767];
  const rows = Array.from({ length: 3 }, (_, row) =>
    Uint8Array.from({ length: ROW_BYTES }, (_, i) => (row * 101 + i * 37) % 256),
  );
  const level = (row: number, column: number): number =>
    column < ROW_BYTES ? rows[row]![column]! & 0x0f : rows[row]![column - ROW_BYTES]! >> 4;
  let service: Service;
  before(
    async () =>
      void (service = await startService({
        weights: safetensors(
          {
            embeddings: { dtype: "U8", shape: [3, ROW_BYTES], bytes: Buffer.concat(rows) },
            scales: { dtype: "I16", shape: [3], bytes: Buffer.from(Int16Array.from(scales).buffer) },
          },
          { tokenizer: "ascii-words", max_seq_len: "8192", normalize: "false", scale_unit: "0.25" },
        ),
      })),
  );
  after(() => service.stop());

  // Odd and even numbers of rows, more than are added at once, and more than one 32-bit sum holds.
  for (const [unknown, word] of [
    [1, 0],
    [0, 1],
    [1, 1],
    [2, 1],
    [17, 15],
    [16, 17],
    [0, 4097],
    [8192, 0],
    [4000, 4192],
  ] as const) {
    it(`the mean of ${unknown} and ${word} rows is exact`, async () => {
      const input = [...Array<string>(unknown).fill(UNKNOWN), ...Array<string>(word).fill(WORD)].join(" ");
      for (const dimensions of [2 * ROW_BYTES, ROW_BYTES + 1, 3]) {
        const { data } = await answerOf(service.embed({ model: "m", input, dimensions }));
        data[0]!.embedding.forEach((value, column) => {
          const sum =
            unknown * (level(1, column) - 7.5) * scales[1]! + word * (level(2, column) - 7.5) * scales[2]!;
          const expected = (sum / (unknown + word)) * 0.25;
          assert.ok(
            Math.abs(value - expected) <= Math.abs(expected) * 1e-6 + 0.01,
            `${value} instead of ${expected} [${column}]`,
          );
        });
      }
    });
  }
});

/** The shortest decimal that reads back to the same f32, found by trying: toPrecision rounds to nearest. */
function shortestDecimal(value: number): string {
  for (let precision = 1; precision < 10; precision++) {
    const decimal = value.toPrecision(precision);
    if (Math.fround(Number(decimal)) === Math.fround(value)) return decimal;
  }
  throw new Error(`${value} has no decimal of nine digits`);
}

/** How many significant digits a decimal has. */
function digits(decimal: string): number {
  return decimal.replace(/e.*$/i, "").replace(/[-.]/g, "").replace(/^0+/, "").replace(/0+$/, "").length;
}
