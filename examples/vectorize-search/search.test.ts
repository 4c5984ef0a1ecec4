// The example and the Worker that it is bound to, both in Miniflare, with the shipped weights. Vectorize is the
// stand-in of vectorize-stand-in.js: there is no local one.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { WorkerOptions } from "miniflare";
import { SHIPPED_WEIGHTS } from "../../scripts/lib/project.js";
import makeVectorize from "./vectorize-stand-in.js";
import { exampleWorker, startService, type Service } from "../../test/lib/harness.js";

/** Between the example and the embeddings: gives the model's weights another version. */
const VERSIONED = `
import { WorkerEntrypoint } from "cloudflare:workers";
export class Embeddings extends WorkerEntrypoint {
  async embed(texts, options) {
    const answer = await this.env.EMBEDDINGS.embed(texts, options);
    const version = await (await this.env.VERSION.fetch("http://version")).text();
    return "error" in answer ? answer : { ...answer, version };
  }
}
export default {};`;

let folder: string;
let service: Service;
let version = "first";

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "vectorize-search-"));
  const example = await exampleWorker(import.meta.dirname, folder);
  const entrypoint = "Embeddings";
  const versioned: WorkerOptions = {
    name: "versioned",
    modules: true,
    script: VERSIONED,
    compatibilityDate: "2026-04-01",
    serviceBindings: {
      EMBEDDINGS: { name: "embeddings-worker", entrypoint },
      VERSION: () => new Response(version) as never,
    },
  };
  const standIn: WorkerOptions = {
    name: "vectorize-stand-in",
    modules: true,
    script: readFileSync(join(import.meta.dirname, "vectorize-stand-in.js"), "utf8"),
  };
  const vectorize = { scriptName: "vectorize-stand-in", bindings: { DIMENSIONS: 1024, METRIC: "cosine" } };
  service = await startService({
    weights: readFileSync(SHIPPED_WEIGHTS),
    callers: [
      {
        ...example,
        serviceBindings: { EMBEDDINGS: { name: "versioned", entrypoint } },
        wrappedBindings: { VECTORIZE: vectorize },
      },
      versioned,
      standIn,
    ],
  });
});

after(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Indexed {
  indexed: number;
  mutation?: string;
  empty: string[];
  truncated: string[];
  error?: string;
}

interface Result {
  id: string;
  score: number;
  text: string;
  metadata: Record<string, unknown>;
}

async function index(documents: unknown): Promise<Indexed> {
  const response = await service.fetch("/documents", { method: "POST", body: JSON.stringify({ documents }) });
  const answer = (await response.json()) as Indexed;
  assert.equal(response.status, answer.error === undefined ? 200 : 400);
  return answer;
}

async function ask(question: string, more = ""): Promise<{ results: Result[]; error?: string }> {
  const response = await service.fetch(`/ask?q=${encodeURIComponent(question)}${more}`);
  return (await response.json()) as { results: Result[]; error?: string };
}

/** Vectorize works in what is written some time later; so does the stand-in. */
async function askUntilFound(question: string, more = ""): Promise<Result[]> {
  for (let tries = 0; tries < 100; tries++) {
    const { results } = await ask(question, more);
    if (results.length > 0) return results;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail("nothing is found");
}

const LONG_ID = `https://example.com/${"path/".repeat(20)}`;

test("indexes documents, and finds them by meaning with their ids, texts and metadata", async () => {
  const indexed = await index([
    { id: "bread", text: "Mix flour, water, salt and yeast, and let the dough rise.", metadata: { page: 7 } },
    { id: LONG_ID, text: "Roses want sun and water.", metadata: { source: "garden.md", draft: false } },
    { id: "blank", text: "   " },
    { id: "long", text: "seven words of one very long text ".repeat(1300) },
  ]);
  assert.match(indexed.mutation ?? "", /^[0-9a-f-]{36}$/);
  assert.deepEqual(
    { ...indexed, mutation: "" },
    { indexed: 3, mutation: "", empty: ["blank"], truncated: ["long"] },
  );

  const [bread] = await askUntilFound("how do I make dough with yeast and flour");
  assert.ok(bread!.score > 0.3 && bread!.score <= 1, String(bread!.score));
  assert.deepEqual(
    { ...bread, score: 0 },
    {
      id: "bread",
      score: 0,
      text: "Mix flour, water, salt and yeast, and let the dough rise.",
      metadata: { page: 7 },
    },
  );
  const [roses, ...others] = await askUntilFound("do roses want sun", "&top=2");
  assert.deepEqual(
    [roses!.id, roses!.metadata, others.length],
    [LONG_ID, { source: "garden.md", draft: false }, 1],
  );
  assert.ok(roses!.score > others[0]!.score);
});

test("a long text comes back as far as Vectorize has room for it", async () => {
  const [long] = await askUntilFound("seven words of one very long text", "&top=1");
  assert.equal(long!.id, "long");
  const bytes = Buffer.byteLength(JSON.stringify({ id: long!.id, text: long!.text }));
  assert.ok(bytes <= 10 * 1024 && bytes > 10 * 1024 - 10, `${bytes} bytes`);
});

test("more documents than Vectorize takes at once go in several batches", async () => {
  const documents = Array.from({ length: 2048 }, (_, i) => ({ id: `n${i}`, text: `zebra number ${i}` }));
  assert.equal((await index(documents)).indexed, 2048);
  for (let tries = 0; ; tries++) {
    const { results } = await ask("zebra number 2047", "&top=20");
    if (results.length === 20 && results[0]!.id === "n2047") break;
    assert.ok(tries < 100, "the last one is found");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

test("a document that is indexed again replaces the older one", async () => {
  await index([{ id: "bread", text: "Quantum chromodynamics of gluons." }]);
  for (let tries = 0; ; tries++) {
    const { results } = await ask("gluons in quantum chromodynamics", "&top=1");
    if (results[0]?.id === "bread") break;
    assert.ok(tries < 100, "it is found");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

test("after a change of the model nothing is found until it is indexed again", async () => {
  assert.equal((await ask("yeast")).results.length, 5);
  version = "another";
  assert.deepEqual((await ask("yeast")).results, []);
  await index([{ id: "yeast", text: "Yeast makes the dough rise." }]);
  assert.deepEqual(
    (await askUntilFound("yeast")).map(({ id }) => id),
    ["yeast"],
  );
});

for (const [what, documents, error] of [
  ["no documents", undefined, 'The body must be {"documents":[...]} with 1 to 2048 documents.'],
  ["none among them", [], 'The body must be {"documents":[...]} with 1 to 2048 documents.'],
  ["one that is null", [null], "'documents[0].id' must be a string."],
  ["one without a text", [{ id: "a" }], "'documents[0].text' must be a string with something in it."],
  [
    "metadata that is a text",
    [{ id: "a", text: "b", metadata: "c" }],
    "'documents[0].metadata' must be an object.",
  ],
  [
    "a key that Vectorize keeps for itself",
    [{ id: "a", text: "b", metadata: { "a.b": 1 } }],
    `'documents[0].metadata' may not have the key 'a.b': Vectorize keeps . " and $ for itself.`,
  ],
  [
    "too much metadata",
    [{ id: "a", text: "b", metadata: { c: "d".repeat(11_000) } }],
    "The metadata of 'a' has more than 10240 bytes.",
  ],
  [
    "too many tokens",
    [{ id: "a", text: "b ".repeat(300_001) }],
    "'texts' may hold at most 300000 tokens in one request; got 300001.",
  ],
] as const) {
  test(`says what is wrong with ${what}`, async () => {
    assert.equal((await index(documents)).error, error);
  });
}

test("says what is wrong with a question", async () => {
  assert.equal((await ask("")).error, "'q': 'texts' must not be an empty string; got ''.");
  assert.equal((await ask("\u200B")).error, "'q' has no word in it; got '\u200B'.");
  assert.equal((await ask("a", "&top=21")).error, "'top' must be from 1 to 20; got '21'.");
});

test("the stand-in keeps Vectorize's limits", async () => {
  const index = makeVectorize({ DIMENSIONS: 2, METRIC: "cosine" });
  const vector = { id: "a", values: [1, 2] };
  const batch = (count: number): object[] =>
    Array.from({ length: count }, (_, i) => ({ ...vector, id: `${i}` }));
  await index.upsert(batch(1000));
  await index.upsert([
    { ...vector, id: "i".repeat(64), values: new Float32Array(2), namespace: "n".repeat(64) },
  ]);
  for (const [refused, message] of [
    [batch(1001), /at most 1000 vectors in a batch, got 1001/],
    [[], /there are no vectors/],
    [[{ ...vector, values: [1, 2, 3] }], /expected 2 dimensions, and got 3/],
    [[{ ...vector, values: [1, NaN] }], /no finite number/],
    [[{ ...vector, values: Float32Array.of(1, Infinity) }], /no finite number/],
    [[{ ...vector, values: { 0: 1, 1: 2 } }], /must be an array of numbers/],
    [[{ ...vector, id: "" }], /an id must be a string/],
    [[{ ...vector, id: "é".repeat(33) }], /an id has at most 64 bytes, got 66/],
    [[{ ...vector, namespace: "n".repeat(65) }], /the namespace is too long/],
    [[{ ...vector, metadata: { text: "t".repeat(10 * 1024) } }], /at most 10240 bytes, got 10251/],
    [[{ ...vector, metadata: { $a: 1 } }], /the metadata key '\$a' of 'a' is not allowed/],
  ] as const) {
    await assert.rejects(index.upsert(refused), message);
  }
  for (const [options, message] of [
    [{ topK: 101 }, /topK must be from 1 to 100, got 101/],
    [{ topK: 0 }, /topK must be from 1 to 100, got 0/],
    [{ topK: 21, returnMetadata: "all" }, /topK must be from 1 to 20, got 21/],
    [{ topK: 21, returnValues: true }, /topK must be from 1 to 20, got 21/],
  ] as const) {
    await assert.rejects(index.query([1, 2], options), message);
  }
  await assert.rejects(index.query([1], {}), /expected 2 dimensions, and got 1/);
  assert.throws(() => makeVectorize({ DIMENSIONS: 1537, METRIC: "cosine" }), /1537 dimensions/);
});
