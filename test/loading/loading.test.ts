// Loading the weights: what is refused, what is retried, what is shared, and that a trap is survived.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import type { ServiceOptions } from "../lib/harness.js";
import { withService } from "../lib/harness.js";
import { safetensors, seededWeights } from "../lib/weights.js";
import { TRAPPING_BYTES, trapOnLongTexts } from "../lib/trapping-wasm.js";

const WEIGHTS = seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 });
const HELLO = { model: "m", input: "hello" };

async function assertUnavailable(response: Response, message: string): Promise<void> {
  assert.deepEqual(await response.json(), {
    error: { message, type: "server_error", param: null, code: "model_unavailable" },
  });
  assert.equal(response.status, 503);
  assert.equal(response.headers.get("retry-after"), "1");
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
}

const METADATA = {
  name: "tiny",
  tokenizer: "ascii-words",
  max_seq_len: "16",
  normalize: "true",
};

function edited(edit: (file: Uint8Array) => void): Uint8Array {
  const file = WEIGHTS.slice();
  edit(file);
  return file;
}

describe("weights that cannot be used are a 503 that says why", () => {
  const bytes = WEIGHTS.byteLength;
  const refused: { name: string; weights: Uint8Array | null; reason: string }[] = [
    { name: "none", weights: null, reason: "there is nothing under the KV key 'model-weights'" },
    {
      name: "an empty file",
      weights: new Uint8Array(0),
      reason: "the file ends after 0 bytes; its header describes more",
    },
    {
      name: "a file cut in its header",
      weights: WEIGHTS.slice(0, 40),
      reason: "the file ends after 40 bytes; its header describes more",
    },
    {
      name: "a file cut in its table",
      weights: WEIGHTS.slice(0, bytes - 1),
      reason: `the file ends after ${bytes - 1} bytes; its header describes ${bytes}`,
    },
    {
      name: "a file with something after its table",
      weights: new Uint8Array([...WEIGHTS, 0]),
      reason: `the file goes on after the ${bytes} bytes that its header describes`,
    },
    {
      name: "another kind of file",
      weights: new TextEncoder().encode("<!doctype html><p>Not found"),
      reason:
        "not a weights file: expected '{' at byte 4 (format v1) or byte 8 (safetensors), found the bytes [3c, 21, 64, 6f, 63, 74, 79, 70, 65]",
    },
    {
      name: "a value that is no number",
      weights: edited((file) => file.set([0, 0, 0xc0, 0x7f], bytes - 4)),
      reason: "tensor embeddings: row 63, column 7: expected a magnitude of at most 1e15, found NaN",
    },
    {
      name: "an unknown dtype",
      weights: safetensors(
        { embeddings: { dtype: "F16", shape: [4, 2], bytes: new Uint8Array(16) } },
        METADATA,
      ),
      reason: 'tensor embeddings: expected the dtype F32, I8 or, for 4 bits a value, U8, found "F16"',
    },
    {
      name: "an unknown tokenizer",
      weights: safetensors({}, { ...METADATA, tokenizer: "bpe" }),
      reason:
        'header.__metadata__.tokenizer: expected one of ascii-words, words-and-stems, text-as-written, wordpiece, found "bpe"',
    },
    {
      name: "a table that is larger than the reader's limit",
      weights: safetensors(
        {
          embeddings: { dtype: "I8", shape: [70_000, 1000], bytes: new Uint8Array(70_000_000) },
          scales: { dtype: "F32", shape: [70_000], bytes: new Uint8Array(280_000) },
        },
        METADATA,
      ).slice(0, 1000),
      reason: "the header describes a file of 70280286 bytes; expected at most 67108864",
    },
  ];
  for (const { name, weights, reason } of refused) {
    it(name, () =>
      withService({ weights }, async (service) => {
        const response = await service.embed(HELLO);
        await assertUnavailable(
          response,
          `The model is not available. Its weights cannot be used: ${reason}. Try again.`,
        );
        assert.equal((await service.fetch("/health")).status, 503);
        assert.equal((await service.fetch("/v1/models")).status, 503);
      }),
    );
  }
});

describe("the extended format", () => {
  it("serves I8 rows with a scale each, under the model's own name", async () => {
    const rows = new Uint8Array(Int8Array.of(0, 0, 1, 2, -3, 127).buffer);
    const scales = new Uint8Array(Float32Array.of(1, 1, 0.5).buffer);
    const file = safetensors(
      {
        embeddings: { dtype: "I8", shape: [3, 2], bytes: rows },
        scales: { dtype: "F32", shape: [3], bytes: scales },
      },
      { ...METADATA, normalize: "false" },
    );
    await withService({ weights: file }, async (service) => {
      const { data } = (await (
        await service.embed({ model: "m", input: ["word", "!!!", "word !!!"] })
      ).json()) as { data: { embedding: number[] }[] };
      // Row 2 is the only one that words hash to, row 1 that of words without a letter.
      assert.deepEqual(
        data.map(({ embedding }) => embedding),
        [
          [-1.5, 63.5],
          [1, 2],
          [-0.25, 32.75],
        ],
      );
      assert.deepEqual(await (await service.fetch("/health")).json(), {
        status: "ok",
        name: "tiny",
        dimensions: 2,
        dtype: "I8",
      });
    });
  });
});

describe("loading", () => {
  it("is tried again by the next request when KV failed once", async () => {
    let reads = 0;
    const kv = (): Response =>
      ++reads === 1 ? new Response("no", { status: 500 }) : new Response(WEIGHTS.slice());
    await withService({ kv }, async (service) => {
      await assertUnavailable(
        await service.embed(HELLO),
        "The model is not available. Workers KV failed. Try again.",
      );
      assert.equal((await service.embed(HELLO)).status, 200);
      assert.equal(reads, 2);
    });
  });

  it("happens once for 100 requests at once on a cold isolate", async () => {
    let reads = 0;
    const kv = async (): Promise<Response> => {
      reads++;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return new Response(WEIGHTS.slice());
    };
    await withService({ kv }, async (service) => {
      const answers = await Promise.all(Array.from({ length: 100 }, () => service.embed(HELLO)));
      assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
      assert.equal(reads, 1);
    });
  });

  it("goes on when the client that began it leaves", async () => {
    let reads = 0;
    let release = (): void => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    const kv = async (): Promise<Response> => {
      reads++;
      await released;
      return new Response(WEIGHTS.slice());
    };
    await withService({ kv }, async (service) => {
      const leaving = new AbortController();
      const first = service
        .fetch("/v1/models", { signal: leaving.signal })
        .catch((error: Error) => error.name);
      while (reads === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      leaving.abort();
      assert.equal(await first, "AbortError");
      const second = service.embed(HELLO);
      release();
      assert.equal((await second).status, 200);
      assert.equal(reads, 1);
    });
  });

  it("is begun anew when the one that others wait for has died", async () => {
    let reads = 0;
    const kv = (): Response =>
      ++reads === 1 ? new Response(null, { headers: { "x-never": "1" } }) : new Response(WEIGHTS.slice());
    await withService({ kv }, async (service) => {
      const answers = await Promise.all([service.embed(HELLO), service.embed(HELLO), service.embed(HELLO)]);
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200],
      );
      assert.equal(reads, 2);
    });
  });

  it("takes chunks of any size", async () => {
    const kv = (): Response => {
      let sent = 0;
      return new Response(
        new ReadableStream({
          pull(controller) {
            const size = 1 + (sent % 7) * 13;
            controller.enqueue(WEIGHTS.slice(sent, sent + size));
            sent += size;
            if (sent >= WEIGHTS.byteLength) controller.close();
          },
        }),
      );
    };
    const expected = await embeddingOf({ weights: WEIGHTS });
    assert.deepEqual(await embeddingOf({ kv }), expected);
  });

  it("ends in a 503 when the stream breaks off, and the next request loads", async () => {
    let reads = 0;
    const kv = (): Response => {
      if (++reads > 1) return new Response(WEIGHTS.slice());
      let sent = false;
      return new Response(
        new ReadableStream({
          pull(controller) {
            if (sent) return controller.error(new Error("gone"));
            sent = true;
            controller.enqueue(WEIGHTS.slice(0, 500));
          },
        }),
      );
    };
    await withService({ kv }, async (service) => {
      assert.equal((await service.embed(HELLO)).status, 503);
      assert.equal((await service.embed(HELLO)).status, 200);
    });
  });
});

async function embeddingOf(options: ServiceOptions): Promise<unknown> {
  let answer: unknown;
  await withService(options, async (service) => void (answer = await (await service.embed(HELLO)).json()));
  return answer;
}

describe("the model's version", () => {
  const sha256 = createHash("sha256").update(WEIGHTS).digest("hex");
  const version = sha256.slice(0, 12);

  it("comes from the KV entry's metadata", () =>
    withService({ metadata: { length: WEIGHTS.byteLength, sha256 } }, async (service) => {
      assert.equal((await service.embed(HELLO)).headers.get("x-model-version"), version);
      assert.equal((await service.fetch("/nothing")).headers.get("x-model-version"), version);
    }));

  it("comes from the key's name where there is no metadata", () =>
    withService({ bindings: { MODEL_KEY: `model-weights-${version}` } }, async (service) => {
      assert.equal((await service.embed(HELLO)).headers.get("x-model-version"), version);
    }));

  it("is unknown without either", () =>
    withService({}, async (service) => {
      assert.equal((await service.embed(HELLO)).headers.get("x-model-version"), "unknown");
    }));
});

describe("a trap in wasm", () => {
  it("is a 503 for its request, and the next one gets the right vector from a new instance", async () => {
    const expected = await embeddingOf({ weights: WEIGHTS });
    let loads = 0;
    const onLog = (line: string): void => void (loads += Number(line.includes('"model_loaded"')));
    await withService({ patchWasm: trapOnLongTexts, onLog }, async (service) => {
      assert.deepEqual(await (await service.embed(HELLO)).json(), expected);
      await assertUnavailable(
        await service.embed({ model: "m", input: ["a".repeat(TRAPPING_BYTES)] }),
        "The model is not available. The embedder failed and is being replaced. Try again.",
      );
      assert.deepEqual(await (await service.embed(HELLO)).json(), expected);
      assert.equal(loads, 2);
    });
  });

  it("while 50 requests are under way gives no wrong vector", async () => {
    const expected = await embeddingOf({ weights: WEIGHTS });
    await withService({ patchWasm: trapOnLongTexts }, async (service) => {
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const response = await service.embed(
            i % 10 === 5 ? { model: "m", input: "a".repeat(TRAPPING_BYTES) } : HELLO,
          );
          return { status: response.status, answer: await response.json() };
        }),
      );
      for (const [i, { status, answer }] of answers.entries()) {
        if (i % 10 === 5) assert.equal(status, 503);
        else assert.deepEqual(answer, expected);
      }
    });
  });
});
