// Work in slices: a long request lets others through, ends when its client leaves, and there may be only so many. One text
// is a slice here, which makes any model a slow one.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";
import { startService, withService, type Service } from "../lib/harness.js";
import { TRAPPING_BYTES, trapOnLongTexts } from "../lib/trapping-wasm.js";
import { seededWeights } from "../lib/weights.js";

const WEIGHTS = seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 });
const LONG = { model: "m", input: Array.from({ length: 2048 }, (_, i) => `text ${i} of many`) };
const SHORT = { model: "m", input: "hello" };
const ONE_TEXT_A_SLICE = { SLICE_WORK: 1 };
/** 500 texts take two seconds and more. */
const SLOW = { SLICE_WORK: 1, PAUSE_MILLISECONDS: 1 };
const AFTERWARDS_MILLISECONDS = 5_000;
const MAX_WORK_MILLISECONDS = 60_000;

const pause = (milliseconds: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

async function textOf(response: Promise<Response>): Promise<string> {
  const settled = await response;
  const text = await settled.text();
  assert.equal(settled.status, 200, text);
  return text;
}

describe("a request in slices", () => {
  let service: Service;
  let whole: Service;
  before(async () => {
    [service, whole] = await Promise.all([
      startService({ weights: WEIGHTS, constants: ONE_TEXT_A_SLICE }),
      startService({ weights: WEIGHTS }),
    ]);
    await textOf(service.embed(SHORT));
  });
  after(() => Promise.all([service.stop(), whole.stop()]));

  for (const encoding_format of ["float", "base64"]) {
    for (const [size, input] of [
      ["small", [...LONG.input.slice(0, 40), " ", "word ".repeat(20)]],
      ["streamed", LONG.input],
    ] as const) {
      it(`has the very answer that it has in one: ${size}, ${encoding_format}`, async () => {
        const body = { model: "m", input, encoding_format };
        assert.equal(await textOf(service.embed(body)), await textOf(whole.embed(body)));
      });
    }
  }

  it("lets /health and short requests through while it computes", async () => {
    const expected = await textOf(service.embed(SHORT));
    let done = false;
    const long = textOf(service.embed(LONG)).finally(() => (done = true));
    let answered = 0;
    while (!done) {
      assert.equal(await textOf(service.embed(SHORT)), expected);
      await textOf(service.fetch("/health"));
      if (!done) answered++;
    }
    await long;
    assert.ok(answered >= 5, `${answered} times meanwhile`);
  });

  it("lets /health through at its next pause: a transformer's is between two layers", async () => {
    const weights = readFileSync(join(PROJECT_ROOT, "model", "embeddings-worker-minilm.bin"));
    await withService({ weights }, async (transformer) => {
      const texts = Array<string>(30).fill("river stone night water light ".repeat(50));
      await textOf(transformer.embed({ model: "m", input: texts.slice(0, 2) }));
      const begun = performance.now();
      let done = false;
      const long = textOf(transformer.embed({ model: "m", input: texts })).finally(() => (done = true));
      const waits: number[] = [];
      while (!done) {
        await pause(50);
        const asked = performance.now();
        await textOf(transformer.fetch("/health"));
        waits.push(performance.now() - asked);
      }
      await long;
      const text = (performance.now() - begun) / texts.length;
      const median = waits.sort((a, b) => a - b)[waits.length >> 1]!;
      assert.ok(waits.length >= 10 && median < 0.6 * text, `${median} ms, texts of ${text} ms: ${waits}`);
    });
  });

  it("lets others begin a long text when there is room for what was begun, and none gets another's vectors", async () => {
    const weights = readFileSync(join(PROJECT_ROOT, "model", "embeddings-worker-minilm.bin"));
    const input = ["river", "stone", "night"].map((word) => `${word} `.repeat(250));
    await withService({ weights }, async (roomy) => {
      await withService({ weights, constants: { MAX_BEGUN_BYTES: 0 } }, async (narrow) => {
        const alone = [];
        for (const text of input) alone.push(await textOf(roomy.embed({ model: "m", input: text })));
        for (const service of [roomy, narrow]) {
          const together = input.map((text) => textOf(service.embed({ model: "m", input: text })));
          assert.deepEqual(await Promise.all(together), alone);
        }
      });
    });
  });

  it("takes turns with others like it, and none gets another's vectors", async () => {
    const bodies = Array.from({ length: 6 }, (_, i) => ({
      model: "m",
      input: LONG.input.slice(0, 300).map((text) => `${text} ${i}`),
      encoding_format: i % 2 === 0 ? "float" : "base64",
    }));
    const together = await Promise.all(bodies.map((body) => textOf(service.embed(body))));
    for (const [i, body] of bodies.entries()) assert.equal(together[i], await textOf(whole.embed(body)));
  });
});

describe("a client that leaves", { concurrency: true }, () => {
  // The last text traps: whether the work comes to its end is seen by that.
  const body = { model: "m", input: [...LONG.input.slice(0, 500), "a".repeat(TRAPPING_BYTES)] };

  for (const leaves of [false, true]) {
    it(leaves ? "ends the work for it" : "would else have had its work done", async () => {
      const events: string[] = [];
      const onLog = (line: string): void => void events.push(line);
      await withService(
        { weights: WEIGHTS, constants: SLOW, patchWasm: trapOnLongTexts, onLog },
        async (service) => {
          await textOf(service.embed(SHORT));
          const client = await send(service, body);
          // An answer to another request: the long one is under way.
          await textOf(service.embed(SHORT));
          // A reset, as Cloudflare hears of it: workerd alone does not notice a connection that is closed in silence.
          if (leaves) client.resetAndDestroy();
          const hasTrapped = (): boolean => events.some((line) => line.includes('"embedder_trapped"'));
          const end = Date.now() + (leaves ? AFTERWARDS_MILLISECONDS : MAX_WORK_MILLISECONDS);
          while (!hasTrapped() && Date.now() < end) await pause(50);
          client.destroy();
          assert.equal(hasTrapped(), !leaves);
          assert.ok(!events.some((line) => line.includes("internal_error")), events.join("\n"));
        },
      );
    });
  }
});

async function send(service: Service, body: object): Promise<Socket> {
  const { hostname, port } = new URL(service.url);
  const json = JSON.stringify(body);
  const head = `POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n`;
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(head + json, () => resolve(socket)));
    socket.on("error", () => {});
  });
}

describe("a trap under a request in slices", () => {
  it("is a 503 for it, and it goes on with no other instance's model", () =>
    withService({ weights: WEIGHTS, constants: SLOW, patchWasm: trapOnLongTexts }, async (service) => {
      await textOf(service.embed(SHORT));
      const long = service.embed(LONG);
      await textOf(service.embed(SHORT));
      assert.equal((await service.embed({ model: "m", input: "a".repeat(TRAPPING_BYTES) })).status, 503);
      await textOf(service.embed(SHORT));
      const response = await long;
      assert.equal(response.status, 503);
      assert.equal(response.headers.get("retry-after"), "1");
      const { error } = (await response.json()) as { error: { message: string } };
      assert.equal(error.message, "The model is not available. It was given up meanwhile. Try again.");
    }));
});

describe("too much waiting work", () => {
  // A text of 200 characters is taken for 50 tokens, of 8 multiply-adds each: a request for 2000 of them, for 800,000.
  const input = Array.from({ length: 2000 }, () => "a ".repeat(100));
  const long = { model: "m", input, encoding_format: "base64" };
  const constants = {
    SLICE_WORK: 1_000,
    PAUSE_MILLISECONDS: 4,
    MAX_WAITING_WORK: 1_000_000,
    WORK_PER_SECOND: 200_000,
  };

  it("is refused with the time to wait, while short requests are answered, and taken again afterwards", () =>
    withService({ weights: WEIGHTS, constants }, async (service) => {
      await textOf(service.embed(SHORT));
      const first = textOf(service.embed(long));
      // An answer to another request: the first one is under way.
      await textOf(service.embed(SHORT));
      const second = await service.embed(long);
      assert.equal(second.status, 503);
      const { error } = (await second.json()) as { error: { message: string; code: string } };
      assert.equal(error.code, "overloaded");
      const seconds = Number(second.headers.get("retry-after"));
      assert.ok(seconds >= 1 && seconds <= 4, `${seconds} s`);
      assert.equal(
        error.message,
        `Too many tokens are waiting here: they take about ${seconds} s. Try again then.`,
      );
      await textOf(service.embed(SHORT));
      await first;
      await textOf(service.embed(long));
    }));
});
