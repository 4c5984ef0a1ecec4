// Token ids are text in another form: the table that decodes them, and what the Worker does with it. The client
// suites send 10,000 texts in both forms.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CL100K_SOURCE_SHA256, hashOfSource, readTable } from "../../scripts/build-cl100k.js";
import type { Service } from "../lib/harness.js";
import { startService } from "../lib/harness.js";

let service: Service;
before(async () => void (service = await startService({ assets: true })));
after(() => service.stop());

/** As js-tiktoken encodes them. */
const TEXTS: { name: string; ids: number[]; text: string }[] = [
  { name: "words", ids: [15339, 1917], text: "hello world" },
  { name: "accents", ids: [791, 95980, 588, 53050], text: "The naïve café" },
  { name: "an emoji in pieces", ids: [9468, 239, 102, 378, 235, 9468, 248, 222], text: "👩‍🚀" },
  { name: "a byte order mark", ids: [3305, 15339], text: "\ufeffhello" },
  { name: "half a surrogate pair", ids: [64, 5809, 65], text: "a\ud800b" },
  { name: "half an emoji", ids: [15339, 9468, 239], text: "hello\ufffd" },
  { name: "white space alone", ids: [58040], text: " ".repeat(128) },
];

test("the committed table is OpenAI's own, id by id", () => {
  const table = readTable();
  assert.equal(table.length, 100_256);
  assert.equal(hashOfSource(table), CL100K_SOURCE_SHA256);
});

for (const { name, ids, text } of TEXTS) {
  test(`${name}: ids get the answer that the text gets`, async () => {
    assert.deepEqual(await answerTo(ids), await answerTo(text));
  });
}

test("arrays of ids get the answer that their texts get, in their order", async () => {
  assert.deepEqual(
    await answerTo(TEXTS.map(({ ids }) => ids)),
    await answerTo(TEXTS.map(({ text }) => text)),
  );
});

test("ids that stand for more text than a body may hold are refused", async () => {
  const [id, bytes] = [58040, 128];
  const answer = await service.embed({ model: "m", input: Array.from({ length: 65_537 }, () => id) });
  assert.equal(answer.status, 413);
  assert.deepEqual(await answer.json(), {
    error: {
      message: `The token ids in 'input' may stand for at most 8388608 bytes of text; got ${65_537 * bytes}.`,
      type: "invalid_request_error",
      param: null,
      code: "request_too_large",
    },
  });
});

test("without the table ids are answered with 503 and text as ever", async () => {
  const withoutAssets = await startService({ assets: false });
  try {
    const answer = await withoutAssets.embed({ model: "m", input: [15339, 1917] });
    assert.equal(answer.status, 503);
    assert.equal(answer.headers.get("retry-after"), "1");
    assert.deepEqual(await answer.json(), {
      error: {
        message:
          "The model is not available. The table of token ids could not be read; texts as strings do not need it. Try again.",
        type: "server_error",
        param: null,
        code: "model_unavailable",
      },
    });
    assert.equal((await withoutAssets.embed({ model: "m", input: "hello world" })).status, 200);
  } finally {
    await withoutAssets.stop();
  }
});

async function answerTo(input: unknown): Promise<unknown> {
  const answer = await service.embed({ model: "m", input });
  assert.equal(answer.status, 200);
  return answer.json();
}
