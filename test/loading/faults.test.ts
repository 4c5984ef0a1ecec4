// What goes wrong around the Worker: KV that fails, stalls or sends half, a model that changes, traps in the midst of
// it all. A failure is a 503 that says when to come back, which the openai package does by itself; no vector is wrong.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import OpenAI from "openai";
import { fromBase64, withService, type Service, type ServiceOptions } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";
import { TRAPPING_BYTES, trapOnLongTexts } from "../lib/trapping-wasm.js";

const MODELS = [17n, 18n].map((seed) => {
  const weights = seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16, seed });
  const sha256 = createHash("sha256").update(weights).digest("hex");
  return {
    weights,
    version: sha256.slice(0, 12),
    metadata: JSON.stringify({ length: weights.byteLength, sha256 }),
  };
});
const [MODEL, NEXT_MODEL] = MODELS as [(typeof MODELS)[number], (typeof MODELS)[number]];

/** A KV entry, as test/lib/faulty-kv.js reads one. */
const entry = ({ weights, metadata }: typeof MODEL, bytes = weights.byteLength): Response =>
  new Response(weights.slice(0, bytes), { headers: { "x-metadata": metadata } });

/** The embeddings of TEXTS by each model, by version: what every answer is compared with. */
const TEXTS = Array.from({ length: 20 }, (_, i) => `text ${i} of the ${["cat", "dog", "bird"][i % 3]}`);
const expected = new Map<string, Float32Array[]>();
for (const model of MODELS) {
  await withService({ kv: () => entry(model) }, async (service) => {
    const answer = await service.embed({ model: "m", input: TEXTS, encoding_format: "base64" });
    const { data } = (await answer.json()) as { data: { embedding: string }[] };
    expected.set(
      model.version,
      data.map(({ embedding }) => fromBase64(embedding)),
    );
  });
}
assert.notDeepEqual(expected.get(MODEL.version), expected.get(NEXT_MODEL.version));

/** One text; an answer must be its embedding by the model that the answer names, or a 503 with the time to wait. */
async function checkedStatus(
  service: Service,
  i: number,
): Promise<{ status: number; version: string | null }> {
  const response = await service.embed({
    model: "m",
    input: TEXTS[i % TEXTS.length],
    encoding_format: "base64",
  });
  const version = response.headers.get("x-model-version");
  if (response.status === 200) {
    const { data } = (await response.json()) as { data: [{ embedding: string }] };
    assert.deepEqual(
      fromBase64(data[0].embedding),
      expected.get(version!)?.[i % TEXTS.length],
      `by the model ${version}`,
    );
  } else {
    assert.equal(response.status, 503, await response.text());
    assert.equal(response.headers.get("retry-after"), "1");
  }
  return { status: response.status, version };
}

describe(
  "the openai package, with its own retries, gets its embedding although KV",
  { concurrency: true },
  () => {
    /** `read` counts from 1. */
    const faults: { name: string; kv: (read: number) => Response | Promise<Response> }[] = [
      {
        name: "fails every second time",
        kv: (read) => (read % 2 === 1 ? new Response("no", { status: 500 }) : entry(MODEL)),
      },
      {
        name: "has nothing yet",
        kv: (read) => (read === 1 ? new Response(null, { status: 404 }) : entry(MODEL)),
      },
      {
        name: "sends half of the bytes",
        kv: (read) => entry(MODEL, read === 1 ? MODEL.weights.byteLength / 2 : undefined),
      },
      { name: "sends no byte at all", kv: (read) => entry(MODEL, read === 1 ? 0 : undefined) },
      {
        name: "closes the stream early",
        kv: (read) => (read === 1 ? brokenOff(MODEL.weights.slice(0, 700)) : entry(MODEL)),
      },
      {
        name: "sends another file",
        kv: (read) => (read === 1 ? new Response("<!doctype html><p>An error page") : entry(MODEL)),
      },
      { name: "is slow", kv: () => slow(MODEL) },
    ];
    for (const { name, kv } of faults) {
      it(name, async () => {
        let reads = 0;
        await withService({ kv: () => kv(++reads) }, async (service) => {
          const client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: "unused" });
          const { data } = await client.embeddings.create({ model: "m", input: TEXTS });
          assert.deepEqual(
            data.map(({ embedding }) => Float32Array.from(embedding)),
            expected.get(MODEL.version),
          );
        });
      });
    }
  },
);

describe("a model that changes while requests run", () => {
  it("under the same key is served by new isolates alone, and every answer names the model that made it", async () => {
    let current = MODEL;
    const kv = async (): Promise<Response> => {
      const read = current;
      await pause(100);
      return entry(read);
    };
    await withService({ kv }, (old) =>
      withService({ kv }, async (young) => {
        assert.equal((await checkedStatus(old, 0)).version, MODEL.version);
        const loading = Array.from({ length: 50 }, (_, i) => checkedStatus(young, i));
        await pause(20);
        current = NEXT_MODEL;
        const [ofYoung, ofOld] = await Promise.all([
          Promise.all(loading),
          Promise.all(Array.from({ length: 100 }, (_, i) => checkedStatus(old, i))),
        ]);
        assert.deepEqual(new Set(ofOld.map(({ version }) => version)), new Set([MODEL.version]));
        assert.equal(
          new Set(ofYoung.map(({ version }) => version)).size,
          1,
          "one isolate never mixes two models",
        );
        await withService({ kv }, async (newest) =>
          assert.equal((await checkedStatus(newest, 0)).version, NEXT_MODEL.version),
        );
      }),
    );
  });

  it("by a deployment under a new key leaves the old deployment its own", async () => {
    const kv = (request: Request): Response =>
      entry(MODELS.find(({ version }) => request.url.endsWith(`/model-weights-${version}`))!);
    const deployed = (version: string): ServiceOptions => ({
      kv,
      bindings: { MODEL_KEY: `model-weights-${version}` },
    });
    await withService(deployed(MODEL.version), (old) =>
      withService(deployed(NEXT_MODEL.version), async (young) => {
        const answers = await Promise.all(
          Array.from({ length: 200 }, (_, i) => checkedStatus(i % 2 === 0 ? old : young, i)),
        );
        answers.forEach(({ status, version }, i) => {
          assert.equal(status, 200);
          assert.equal(version, MODELS[i % 2]!.version);
        });
      }),
    );
  });
});

describe("traps, with a KV that fails every second time, under 600 requests", () => {
  it("cost some requests a 503, and no request a wrong vector or a wrong version", async () => {
    let reads = 0;
    const kv = async (): Promise<Response> => {
      await pause(5);
      return ++reads % 2 === 1 ? new Response("no", { status: 500 }) : entry(MODEL);
    };
    await withService({ kv, patchWasm: trapOnLongTexts }, async (service) => {
      const statuses: number[] = [];
      let sent = 0;
      await Promise.all(
        Array.from({ length: 30 }, async () => {
          while (sent < 600) {
            const i = sent++;
            if (i % 60 === 30) {
              const trapped = await service.embed({ model: "m", input: "a".repeat(TRAPPING_BYTES) });
              assert.equal(trapped.status, 503, await trapped.text());
            } else {
              const { status } = await checkedStatus(service, i);
              statuses.push(status);
              // As clients do. Those that asked again at once would use up the requests while one load goes on.
              if (status === 503) await pause(20);
            }
          }
        }),
      );
      const good = statuses.filter((status) => status === 200).length;
      // Of the thirty at once nearly all meet the failing load after each of the ten traps.
      assert.ok(good > 200, `${good} of ${statuses.length} requests were answered`);
      assert.ok(reads >= 4, `${reads} loads`);

      const client = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: "unused", maxRetries: 3 });
      const { data } = await client.embeddings.create({ model: "m", input: TEXTS });
      assert.deepEqual(
        data.map(({ embedding }) => Float32Array.from(embedding)),
        expected.get(MODEL.version),
      );
    });
  });
});

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function brokenOff(bytes: Uint8Array): Response {
  let sent = false;
  return new Response(
    new ReadableStream({
      pull(controller) {
        if (sent) return controller.error(new Error("gone"));
        sent = true;
        controller.enqueue(bytes);
      },
    }),
  );
}

/** 2 kB in some 40 pieces, 20 ms apart. */
function slow({ weights, metadata }: typeof MODEL): Response {
  let sent = 0;
  return new Response(
    new ReadableStream({
      async pull(controller) {
        await pause(20);
        controller.enqueue(weights.slice(sent, (sent += 53)));
        if (sent >= weights.byteLength) controller.close();
      },
    }),
    { headers: { "x-metadata": metadata } },
  );
}
