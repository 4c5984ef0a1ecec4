// The example and the Worker that it is bound to, both in Miniflare, with the shipped weights.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { SHIPPED_WEIGHTS } from "../../scripts/lib/project.js";
import { exampleWorker, startService, type Service } from "../../test/lib/harness.js";
import { TEXTS } from "./texts.js";

let folder: string;
let service: Service;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "service-binding-"));
  service = await startService({
    weights: readFileSync(SHIPPED_WEIGHTS),
    callers: [await exampleWorker(import.meta.dirname, folder)],
  });
});

after(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  answer?: string | null;
  similarity?: number;
  tokens?: number;
  error?: string;
}

async function ask(question: string): Promise<{ status: number } & Answer> {
  const response = await service.fetch(`/?q=${encodeURIComponent(question)}`);
  return { status: response.status, ...((await response.json()) as Answer) };
}

for (const [question, words] of [
  ["at what times are you open on weekdays", "open from nine to five"],
  ["can I send something back and get my money", "full refund"],
  ["what does delivery cost", "Delivery is free for orders above"],
  ["I forgot my password", "reset your password"],
  ["may I pay by credit card", "You can pay by credit card"],
] as const) {
  test(`answers "${question}"`, async () => {
    const { status, answer, similarity, tokens } = await ask(question);
    assert.equal(status, 200);
    assert.ok(answer?.includes(words), `${answer} (${similarity})`);
    assert.ok(tokens! > 2);
  });
}

test("answers with nothing where its texts are about something else", async () => {
  const { status, answer } = await ask("the migration of arctic terns");
  assert.deepEqual([status, answer], [200, null]);
});

test("passes on what is wrong with a question", async () => {
  assert.deepEqual(await ask(""), { status: 400, error: "'texts' must not be an empty string; got ''." });
  assert.deepEqual(await ask("\u200B"), { status: 400, error: "There is no word in the question." });
  const tooLong = await ask("a ".repeat(4_000));
  assert.equal(tooLong.status, 200);
});

test("its texts are each their own best answer", async () => {
  for (const text of TEXTS) assert.equal((await ask(text)).answer, text);
});
