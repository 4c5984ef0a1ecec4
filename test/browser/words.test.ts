// The page with the shipped model, whose vectors have a part for meaning and one for words.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { Bm25 } from "../../public/bm25.js";
import { SHIPPED_WEIGHTS } from "../../scripts/lib/project.js";
import {
  assertAccessible,
  assertMatrix,
  assertOneOrigin,
  compared,
  cosine,
  dot,
  embedTexts,
  excessWidth,
  matrixOf,
  open,
  openCompared,
  paste,
  sentTexts,
  service,
  unfoldDocuments,
  useService,
  vectorsOf,
} from "./page-under-test.js";

const run = promisify(execFile);
const MEANING = 384;
/** Twenty: from so many on the page says how short vectors can be. */
const MANY_TEXTS = [
  "cat on the mat",
  "price of bread",
  "river in winter",
  "electric guitar",
  "train to Paris",
  "password of the bank account",
  "doctor and patient",
  "football match",
  "election result",
  "volcano on the island",
].flatMap((thing) => [`My ${thing}`, `Your ${thing} again`]);
/** Zero-width spaces are left out of a text; every character that can be seen is a word or part of one. */
const WORDLESS = "\u200B";
useService({ weights: readFileSync(SHIPPED_WEIGHTS) });

// ------------------------------------------------------------------------------------------- comparing texts

test("opens with the meaning alone, and shows the words too at the switch", async () => {
  const page = await openCompared();
  const texts = (await page.getByLabel("Texts (one per line)").inputValue()).split("\n");
  const [meaning, whole] = [await vectorsOf(texts, { dimensions: MEANING }), await vectorsOf(texts)];
  assertMatrix(await matrixOf(page), meaning, cosine);
  assert.match(await page.locator("#snippet").innerText(), /"dimensions": 384/);
  assert.deepEqual(await page.locator("#parts span").allInnerTexts(), ["meaning: 384"]);

  await page.locator("#compare-part").getByLabel("Meaning + words").check();
  await page.locator("#facts", { hasText: "1,024 dimensions" }).waitFor();
  await compared(page);
  assertMatrix(await matrixOf(page), whole, cosine);
  assert.doesNotMatch(await page.locator("#snippet").innerText(), /dimensions/);
  assert.deepEqual(await page.locator("#parts span").allInnerTexts(), ["meaning: 384", "words: 640"]);
  const said = /, (-?[\d.]+) = (-?[\d.]+) meaning ([+-]) ([\d.]+) words \(meaning alone: (-?[\d.]+)\)/.exec(
    (await page.locator("#pair").innerText()).replaceAll("−", "-"),
  );
  assert.ok(said, "the most alike pair is split in two");
  const ofMeaning = dot(whole[0].subarray(0, MEANING), whole[1].subarray(0, MEANING));
  assert.ok(Math.abs(Number(said[2]) - ofMeaning) < 0.00051);
  assertSum(Number(said[1]), Number(said[2]), Number(said[3] + said[4]));
  assert.ok(Math.abs(Number(said[5]) - cosine(meaning[0], meaning[1])) < 0.00051);
});

/** What is printed as a sum adds up to the last digit that is printed. */
function assertSum(whole: number, ...parts: number[]): void {
  assert.equal(parts.reduce((sum, part) => sum + part, 0).toFixed(3), whole.toFixed(3));
}

test("says of either part how the API gives it, in both views", async () => {
  const page = await openCompared();
  const compare = page.locator("#compare-part-hint");
  assert.match(await compare.innerText(), /^384 dimensions: .* Send “dimensions”: 384 to get this\.$/);
  await page.locator("#compare-part").getByLabel("Meaning + words").check();
  assert.match(await compare.innerText(), /^1,024 dimensions: 384 for .* \+ 640 for .* Best for search\.$/);
  const labels = ["Meaning · 384", "Meaning + words · 1,024 (API default)"];
  assert.deepEqual(await partsOf(page, "compare"), labels);
  await page.getByRole("tab", { name: "Search documents" }).click();
  assert.deepEqual(await partsOf(page, "search"), labels);
  assert.equal(await page.locator("#search-part-hint").innerText(), (await compare.textContent()) ?? "");
  await page
    .locator("#search-part")
    .getByLabel(/^Meaning\s·/)
    .check();
  assert.match(await page.locator("#search-part-hint").innerText(), /Send “dimensions”: 384/);
});

/** The labels of a view's switch between the parts of a vector. */
async function partsOf(page: Page, view: string): Promise<string[]> {
  const labels = await page.locator(`#${view}-part label`).allTextContents();
  return labels.map((label) => label.replaceAll("\u00a0", " "));
}

test("a text without a known word is not on the map, and says why", async () => {
  const page = await openCompared();
  await embedTexts(page, ["one text", WORDLESS, "another one", "and a third text"]);
  assert.deepEqual(await page.locator("#scatter .mark text").allTextContents(), ["1", "3", "4"]);
  assert.match(await page.locator("#scatter-hint").innerText(), /1 text not shown: no known word/);
  assert.match(
    await page.locator("#each > li").nth(1).innerText(),
    /no known word: zero vector, no similarity/,
  );
});

test("says nothing of shorter vectors for under 20 texts with known words", async () => {
  const page = await openCompared();
  const advice = "Add at least 20 texts to see how short your vectors can be.";
  for (const texts of [["only one"], MANY_TEXTS.slice(0, 19), [...MANY_TEXTS.slice(0, 19), WORDLESS]]) {
    await embedTexts(page, texts);
    assert.equal(await page.locator("#cost-hint").innerText(), advice);
    assert.equal(await page.locator("#cost > *").count(), 0);
  }
  await embedTexts(page, MANY_TEXTS);
  assert.doesNotMatch(await page.locator("#cost-hint").innerText(), /Add /);
  assert.equal(await page.locator("#cost svg").count(), 1);
});

test("says from how many dimensions on the nearest neighbours stay, and what similarities lose", async () => {
  const page = await openCompared();
  const texts = MANY_TEXTS;
  await embedTexts(page, texts);
  const said =
    /(\d+) dimensions: ([\d,]+) bytes instead of 1,536; the nearest neighbour is kept for (\d+) of 20 texts\. Similarities change by ([\d.]+) on average\. Send “dimensions”: \1\./.exec(
      await page.locator("#cost-hint").innerText(),
    );
  assert.ok(said, await page.locator("#cost-hint").innerText());
  const full = await vectorsOf(texts, { dimensions: MEANING });
  const cut = await vectorsOf(texts, { dimensions: Number(said[1]) });
  const changes = full.flatMap((_, i) =>
    full.slice(0, i).map((_, j) => Math.abs(cosine(cut[i], cut[j]) - cosine(full[i], full[j]))),
  );
  assert.ok(
    Math.abs(Number(said[4]) - changes.reduce((sum, change) => sum + change, 0) / changes.length) < 0.00051,
  );
  const nearest = (vectors: Float32Array[], i: number) =>
    vectors.map((vector, j) => (i === j ? -2 : cosine(vectors[i], vector)));
  const kept = texts.filter((_, i) => {
    const [before, now] = [nearest(full, i), nearest(cut, i)];
    return before.indexOf(Math.max(...before)) === now.indexOf(Math.max(...now));
  });
  assert.equal(kept.length, Number(said[3]));
  assert.equal(said[2], (4 * Number(said[1])).toLocaleString("en"));
});

test("marks each text that the answer lists as empty", async () => {
  const page = await openCompared();
  await page.route("**/v1/embeddings", async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), empty: [1, 3] } });
  });
  await embedTexts(page, ["words", "???", "more words", "🦀🦀"]);
  const marked = await page
    .locator("#each > li")
    .evaluateAll((items) => items.map((item) => item.textContent?.includes("no known word")));
  assert.deepEqual(marked, [false, true, false, true]);
});

// ------------------------------------------------------------------------------------------ several models

const LIMITS = { object: "model", created: 0, owned_by: "embeddings-worker", max_inputs_per_request: 2048 };
const MODELS = [
  {
    id: "embeddings-worker",
    dimensions: 1024,
    max_dimensions: 1024,
    semantic_dimensions: 384,
    architecture: "static",
    max_input_tokens: 8192,
    max_tokens_per_request: 300_000,
    ...LIMITS,
  },
  {
    id: "all-MiniLM-L6-v2",
    dimensions: 384,
    max_dimensions: 896,
    semantic_dimensions: 384,
    architecture: "bert",
    max_input_tokens: 256,
    max_tokens_per_request: 50_000,
    ...LIMITS,
  },
  {
    id: "bge-small-en-v1.5",
    dimensions: 384,
    max_dimensions: 384,
    semantic_dimensions: 384,
    architecture: "bert",
    max_input_tokens: 512,
    max_tokens_per_request: 25_000,
    ...LIMITS,
  },
];

/** A page whose endpoint lists three models; all of them answer with the shipped one. */
async function openWithModels(): Promise<{ page: Page; bodies: Record<string, unknown>[] }> {
  const page = await open("/openapi.json");
  const bodies: Record<string, unknown>[] = [];
  await page.route("**/v1/models", (route) => route.fulfill({ json: { object: "list", data: MODELS } }));
  await page.route("**/v1/embeddings", async (route) => {
    const body = route.request().postDataJSON() as Record<string, unknown>;
    bodies.push(body);
    const { dimensions } = MODELS.find(({ id }) => id === body["model"])!;
    await route.continue({ postData: JSON.stringify({ dimensions, ...body }) });
  });
  await page.goto(service.url);
  await compared(page);
  return { page, bodies };
}

test("offers the models that are served, and asks the chosen one for what it can", async () => {
  const { page, bodies } = await openWithModels();
  assert.deepEqual(
    await page.getByLabel("Model").locator("option").allInnerTexts(),
    MODELS.map(({ id }) => id),
  );
  assert.match(
    await page.locator("#model-facts").innerText(),
    /static model.*1,024 dimensions: 384 for meaning \+ 640 for words.*8,192 tokens/s,
  );
  assert.deepEqual([bodies.at(-1)?.["model"], bodies.at(-1)?.["dimensions"]], ["embeddings-worker", 384]);

  await page.getByLabel("Model").selectOption("all-MiniLM-L6-v2");
  await page.locator("#model-facts", { hasText: "transformer" }).waitFor();
  assert.match(
    await page.locator("#model-facts").innerText(),
    /896 dimensions: 384 for meaning \+ 512 for words.*256 tokens/s,
  );
  await compared(page);
  assert.deepEqual(
    [bodies.at(-1)?.["model"], bodies.at(-1)?.["dimensions"]],
    ["all-MiniLM-L6-v2", undefined],
    "the model's own number of dimensions is left out",
  );
  assert.deepEqual(await partsOf(page, "compare"), ["Meaning · 384 (API default)", "Meaning + words · 896"]);
  await page.locator("#compare-part").getByLabel("Meaning + words").check();
  await page.locator("#facts", { hasText: "896 dimensions" }).waitFor();
  assert.equal(bodies.at(-1)?.["dimensions"], 896);

  await page.getByLabel("Model").selectOption("bge-small-en-v1.5");
  await page.locator("#compare-part").waitFor({ state: "hidden" });
  await page.locator("#facts", { hasText: "384 dimensions" }).waitFor();
  assert.equal(bodies.at(-1)?.["model"], "bge-small-en-v1.5");
  await page.waitForTimeout(600);
  await page.reload();
  await compared(page);
  assert.equal(await page.getByLabel("Model").inputValue(), "bge-small-en-v1.5", "the choice is remembered");
});

test("tells a transformer what is a query and what a document, in requests and in the code to paste", async () => {
  const { page, bodies } = await openWithModels();
  await page.getByLabel("Model").selectOption("bge-small-en-v1.5");
  await page.getByRole("tab", { name: "Search documents" }).click();
  await page.locator("#ranking li").first().waitFor();
  const types = new Set(bodies.map(({ input, input_type }) => `${Array.isArray(input)} ${input_type}`));
  assert.ok(types.has("true document") && types.has("false query"), [...types].join(", "));
  for (const language of ["curl", "Python", "TypeScript"]) {
    await page.getByRole("tab", { name: language }).click();
    assert.match(
      await page.locator("#snippet").innerText(),
      /input_type"?: "document"[^]*input_type"?: "query"/,
    );
    assert.match(
      await page.locator("#snippet").innerText(),
      /(?:#|\/\/) input_type: optional, not part of the OpenAI API/,
    );
  }
});

test("sends a transformer few texts at a time, so that its progress is seen", async () => {
  const { page, bodies } = await openWithModels();
  await page.getByLabel("Model").selectOption("bge-small-en-v1.5");
  await compared(page);
  bodies.length = 0;
  await embedTexts(
    page,
    Array.from({ length: 150 }, (_, i) => `text ${i}`),
  );
  assert.deepEqual(
    bodies.map(({ input }) => (input as string[]).length),
    [64, 64, 22],
  );
});

// ------------------------------------------------------------------------------------------------- searching

/** Waits until the ranking is that of what stands in the fields. */
function searched(page: Page): Promise<void> {
  return page.locator("#panel-search[aria-busy=false]").waitFor();
}

async function openSearch(documents: string[], query: string): Promise<Page> {
  const page = await open("/#search");
  await page.locator("#ranking li").first().waitFor();
  await paste(page, "documents", documents.join("\n"));
  await page.getByLabel("Search for").fill(query);
  await searched(page);
  return page;
}

const DOCUMENTS = [
  "Refunds are paid to the card you used.",
  "The parcel arrives in two days, and a second parcel in four.",
  "Log in with your password.",
  "Passwords are stored as hashes.",
  "Our shop is open on Mondays.",
];

interface Hit {
  document: number;
  score: number;
  meaning: number;
  words: number;
  shared: string[];
  underlined: string[];
  widths: number[];
}

function hitsOf(page: Page): Promise<Hit[]> {
  return page.locator("#ranking li").evaluateAll((items) =>
    items.map((item) => {
      const why = item
        .querySelector(".why")!
        .textContent!.replaceAll("−", "-")
        .replace(/- (\d)/, "-$1");
      const [score, meaning, words] = [...why.matchAll(/-?\d+\.\d+/g)].map(Number);
      const bar = item.querySelector(".bar")!;
      return {
        document: Number(item.getAttribute("data-document")),
        score: score!,
        meaning: meaning!,
        words: words!,
        shared: [...item.querySelectorAll(".word")].map(({ textContent }) => textContent!),
        underlined: [...item.querySelectorAll(".shared")].map(({ textContent }) => textContent!),
        widths: [...bar.children].map(
          (part) => part.getBoundingClientRect().width / bar.getBoundingClientRect().width,
        ),
      };
    }),
  );
}

test("splits each hit exactly into meaning and words, in numbers and in a bar relative to the best hit", async () => {
  const page = await openSearch(DOCUMENTS, "forgotten password");
  const [query, ...vectors] = await vectorsOf(["forgotten password", ...DOCUMENTS]);
  const hits = await hitsOf(page);
  assert.equal(hits.length, DOCUMENTS.length);
  const best = Math.max(...vectors.map((vector) => dot(query, vector)));
  for (const { document, score, meaning, words, widths } of hits) {
    const vector = vectors[document];
    const expected = dot(query.subarray(0, MEANING), vector.subarray(0, MEANING));
    assert.ok(Math.abs(score - dot(query, vector)) < 0.00051, `score of ${document}`);
    assert.ok(Math.abs(meaning - expected) < 0.00051, `meaning of ${document}`);
    assert.ok(Math.abs(words - (dot(query, vector) - expected)) < 0.00101, `words of ${document}`);
    assertSum(score, meaning, words);
    assert.ok(
      Math.abs(widths[0] + widths[1] - Math.max(0, score / best)) < 0.01,
      `bar of ${document}: ${widths}`,
    );
  }
  assert.deepEqual(
    hits.map(({ score }) => score),
    hits.map(({ score }) => score).sort((a, b) => b - a),
  );
  assert.ok(Math.abs(hits[0].widths[0] + hits[0].widths[1] - 1) < 0.01, "the best hit fills its bar");

  await page
    .locator("#search-part")
    .getByLabel(/^Meaning\s·/)
    .check();
  await searched(page);
  const cut = await vectorsOf(["forgotten password", ...DOCUMENTS], { dimensions: MEANING });
  for (const { document, score } of await hitsOf(page))
    assert.ok(Math.abs(score - dot(cut[0], cut[document + 1])) < 0.00051, "by the meaning alone");
  assert.match(await page.locator("#snippet").innerText(), /"dimensions": 384/);
});

test("names and underlines the words that a hit shares with the query, in whatever form", async () => {
  const page = await openSearch(DOCUMENTS, "where are my parcels and the password");
  const hits = await hitsOf(page);
  const of = (document: number) => hits.find((hit) => hit.document === document)!;
  assert.deepEqual([of(1).shared, of(1).underlined], [["parcel"], ["parcel", "parcel"]]);
  assert.deepEqual([of(3).shared, of(3).underlined], [["passwords"], ["Passwords"]]);
  assert.deepEqual([of(4).shared, of(4).underlined], [[], []]);
});

test("names the filler words that do not count, in the query and at each hit", async () => {
  const page = await openSearch(
    ["The card was charged twice.", "Shipping takes a week.", "I pay by card."],
    "I was billed two times",
  );
  assert.deepEqual(await page.locator("#query-counted s").allInnerTexts(), ["I", "was"]);
  assert.equal(await page.locator("#query-counted").innerText(), "Keywords: I was billed two times");
  const why = (document: number) => page.locator(`#ranking li[data-document="${document}"] .why`).innerText();
  assert.match(await why(0), /only filler words in common \(was\)/);
  assert.match(await why(1), /no keyword in common/);
  assert.match(await why(2), /only filler words in common \(I\)/);
  assert.equal(
    await page.locator("#by-words-hint").innerText(),
    "Keyword search (BM25) finds nothing here: no document has billed, two or times.",
  );
});

test("words that are none of the document's are drawn as chance, with its measured bound; what is negative is drawn too", async () => {
  const page = await open("/#search"); // the example: no document has one of its query's filler words
  await page.locator("#ranking li").first().waitFor();
  const hits = await hitsOf(page);
  assert.equal(hits.length, 10);
  const drawn = await page.locator("#ranking li").evaluateAll((items) =>
    items.map((item) => ({
      isChance: item.querySelector(".bar .chance") !== null,
      less:
        (item.querySelector(".bar .less")?.getBoundingClientRect().width ?? 0) /
        item.querySelector(".bar")!.getBoundingClientRect().width,
    })),
  );
  hits.forEach(({ shared, words }, i) => {
    assert.equal(drawn[i].isChance, shared.length === 0);
    if (words < -0.0005) assert.ok(drawn[i].less > 0, `what is taken away from hit ${i + 1}`);
    if (words > 0.0005) assert.equal(drawn[i].less, 0);
  });
  assert.ok(drawn.some(({ less }) => less > 0) && drawn.some(({ isChance }) => isChance));
  const most = Math.max(...hits.filter(({ shared }) => !shared.length).map(({ words }) => Math.abs(words)));
  const said = /hashed into 640 places.* up to ±([\d.]+)\./.exec(
    await page.locator("#ranking-hint").innerText(),
  );
  assert.ok(said && Number(said[1]) >= most - 0.001 && Number(said[1]) <= most + 0.0021, `${said} ${most}`);
});

test("shows BM25 beside it, on the same documents", async () => {
  const page = await openSearch(DOCUMENTS, "password of a parcel");
  const expected = new Bm25(DOCUMENTS).rank("password of a parcel");
  const items = page.locator("#by-words li");
  assert.deepEqual(
    await items.evaluateAll((found) => found.map((item) => Number(item.getAttribute("data-document")))),
    expected.map(({ index }) => index),
  );
  assert.deepEqual(
    await items.locator("strong").allInnerTexts(),
    expected.map(({ score }) => score.toFixed(2)),
  );
  assert.match(
    await page.locator("#by-words-hint").innerText(),
    /BM25 ignores filler words \(of, a\)\. The other 2 documents do not contain password or parcel/,
  );
  const first = page.locator(`#ranking li[data-document="${expected[0].index}"]`);
  assert.match(await first.innerText(), /1st by BM25/);
  assert.match(await page.locator('#ranking li[data-document="4"]').innerText(), /no keyword in common/);

  await page.getByLabel("Search for").fill("reimbursement");
  await page
    .locator("#by-words-hint", { hasText: "finds nothing here: no document has reimbursement." })
    .waitFor();
  assert.equal((await hitsOf(page))[0].document, 0, "found by its meaning");
});

for (const width of [1280, 390]) {
  test(`where BM25 finds nothing the results come first, then one line says so, ${width} px wide`, async () => {
    const page = await open("/#search", { viewport: { width, height: 800 } });
    await page.locator("#ranking li").first().waitFor();
    const heading = (name: string) => page.locator("#rankings").getByRole("heading", { name, exact: true });
    const boxOf = async (selector: string) => (await page.locator(selector).boundingBox())!;
    for (const [query, title, bm25] of [
      ["reimbursement of zebras", "Results", false],
      ["parcel", "By vectors", true],
    ] as const) {
      await paste(page, "documents", DOCUMENTS.join("\n"));
      await page.getByLabel("Search for").fill(query);
      await searched(page);
      assert.ok(await heading(title).isVisible());
      assert.equal(await heading("By words alone (BM25)").isVisible(), bm25);
      assert.equal(await page.locator("#by-words").isVisible(), bm25);
      const [results, words] = [
        await boxOf("#rankings > :first-child"),
        await boxOf("#rankings > :last-child"),
      ];
      if (width === 390) assert.ok(words.y >= results.y + results.height, `${query}: BM25 stands below`);
      else assert.ok(words.x >= results.x + results.width, `${query}: BM25 stands on the right`);
    }
  });
}

test("a query without a word gets a message, not a list; documents without one are left out of it", async () => {
  const page = await openSearch([...DOCUMENTS, WORDLESS, WORDLESS.repeat(2)], "password");
  assert.equal(await page.locator("#ranking li").count(), DOCUMENTS.length);
  assert.match(
    await page.locator("#ranking-hint").innerText(),
    /2 documents without a known word are left out/,
  );
  await page.getByLabel("Search for").fill(WORDLESS);
  await page
    .locator("#query-error", { hasText: "There is no known word in the query, so nothing is like it." })
    .waitFor();
  assert.ok(await page.locator("#ranking").isHidden());
  await page.getByLabel("Search for").fill("password");
  await page.locator("#ranking li").first().waitFor();
  assert.ok(await page.locator("#query-error").isHidden());
});

// ----------------------------------------------------------------------------------------------------- files

function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), "page-files-"));
  return work(folder).finally(() => rmSync(folder, { recursive: true }));
}

test("searches in files that are chosen: cut into passages, named at each hit, kept over a reload", () =>
  withFolder(async (folder) => {
    const files = {
      "guide.md":
        "# Guide\n\n## Baking\n\nMix flour, water, salt and yeast, and let the dough rise for an hour.\n",
      "notes.txt": "The spade stands in the shed behind the house, next to the old ladder and the hose.\n",
      "people.csv": "name,job\nAda Lovelace,mathematician\nGrace Hopper,admiral and computer scientist\n",
      "places.json": JSON.stringify([
        { city: "Lima", country: "Peru" },
        { city: "Oslo", country: "Norway" },
      ]),
      "picture.png": "not a text",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const page = await open("/#search");
    await page.locator("#ranking li").first().waitFor();
    await page.locator("#files").setInputFiles(Object.keys(files).map((name) => join(folder, name)));
    await page.locator("#documents-status", { hasText: "6 documents" }).waitFor();
    assert.equal(
      await page.getByLabel("Documents", { exact: true }).inputValue(),
      "",
      "the example makes room",
    );
    for (const [query, source] of [
      ["how is bread made", "guide.md › Guide › Baking"],
      ["where is the ladder", "notes.txt"],
      ["computer scientist", "people.csv › row 3"],
      ["capital of Norway", "places.json › item 2"],
    ]) {
      await page.getByLabel("Search for").fill(query);
      await page.locator("#ranking li").first().getByText(source, { exact: true }).waitFor();
    }
    await page.waitForTimeout(600);
    await page.reload();
    await page.locator("#ranking li").first().getByText("places.json › item 2", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Take out people.csv" }).click();
    await page.locator("#documents-status", { hasText: "4 documents" }).waitFor();
    await page.waitForFunction(() => document.getAnimations().length === 0);
    assert.equal(await excessWidth(page), 0);
  }));

test("takes a folder with what is in it, but for hidden folders and node_modules", () =>
  withFolder(async (folder) => {
    for (const [path, text] of [
      [
        "docs/one.md",
        "# One\n\nThe first document is about whales and other animals that live in the sea.\n",
      ],
      ["docs/deep/two.md", "# Two\n\nThe second document is about trains, and how they find their way.\n"],
      [
        "docs/node_modules/other/README.md",
        "# Other\n\nThis is somebody else's text and no document of ours.\n",
      ],
      ["docs/.git/notes.txt", "This is not a document either, it belongs to a program of its own."],
    ]) {
      mkdirSync(join(folder, path, ".."), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    const page = await open("/#search");
    await page.locator("#ranking li").first().waitFor();
    await page.locator("#folder").setInputFiles(join(folder, "docs"));
    await page.locator("#documents-status", { hasText: "2 documents" }).waitFor();
    assert.deepEqual((await page.locator("#file-list .name").allInnerTexts()).sort(), [
      "docs/deep/two.md",
      "docs/one.md",
    ]);
  }));

test("takes files that are dropped, and says what it cannot read", async () => {
  const page = await open("/#search");
  await page.locator("#ranking li").first().waitFor();
  const drop = (name: string, text: string) =>
    page.locator("#panel-search").evaluate(
      (panel, [name, text]) => {
        const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([text], name));
        for (const type of ["dragover", "drop"])
          panel.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
      },
      [name, text] as const,
    );
  await drop("picture.png", "");
  await page
    .locator("#documents-error", { hasText: "picture.png is none of .md, .txt, .csv, .json." })
    .waitFor();
  await drop("broken.json", "{ not json");
  await page.locator("#documents-error", { hasText: /broken\.json: it is not JSON/ }).waitFor();
  await drop(
    "notes.md",
    "# Notes\n\nA whale is a mammal that lives in the sea and breathes air all the same.\n",
  );
  await page.locator("#documents-status", { hasText: "1 document" }).waitFor();
  assert.ok(await page.locator("#documents-error").isHidden());
});

test("shows how far it is while documents are embedded", async () => {
  const page = await open("/#search");
  await page.locator("#ranking li").first().waitFor();
  const sent = sentTexts(page);
  let letThrough = () => {};
  const waiting = new Promise<void>((resolve) => (letThrough = resolve));
  await page.route("**/v1/embeddings", async (route) => {
    if (sent.length > 1) await waiting;
    await route.continue();
  });
  await paste(page, "documents", Array.from({ length: 1200 }, (_, i) => `document ${i}`).join("\n"));
  await page.getByText("500 of 1,200 documents embedded…").waitFor();
  const bar = page.getByRole("progressbar", { name: "Documents embedded" });
  assert.equal(await bar.evaluate((one: HTMLProgressElement) => one.value / one.max), 500 / 1200);
  letThrough();
  await page.locator("#documents-status", { hasText: "1,200 documents: each embedded once" }).waitFor();
  assert.ok(await bar.isHidden());
});

// ------------------------------------------------------------------------------------- the request, to paste

test("the search's programs embed documents and query, and print the page's order", async () => {
  const page = await openSearch(
    [...DOCUMENTS, "It's a 'quoted' text with \"both\" kinds and a back\\slash"],
    "lost password",
  );
  const hits = await hitsOf(page);
  const curl = (await page.locator("#snippet").textContent()) ?? "";
  const { stdout: answers } = await run("sh", ["-c", curl]);
  assert.deepEqual([...answers.matchAll(/"index"/g)].length, DOCUMENTS.length + 2);

  await page.getByRole("tab", { name: "TypeScript" }).click();
  const folder = mkdtempSync(join(import.meta.dirname, "node_modules", "pasted-"));
  try {
    writeFileSync(join(folder, "pasted.mts"), (await page.locator("#snippet").textContent()) ?? "");
    const { stdout } = await run(process.execPath, ["--import", "tsx", join(folder, "pasted.mts")]);
    const scores = stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.split(" ")[0]));
    assert.equal(scores.length, hits.length);
    scores.forEach((score, i) => assert.ok(Math.abs(score - hits[i].score) < 0.0011, stdout));
  } finally {
    rmSync(folder, { recursive: true });
  }

  await page.getByRole("tab", { name: "Python" }).click();
  const program = (await page.locator("#snippet").textContent()) ?? "";
  await run("python3", ["-c", "import ast, sys; ast.parse(sys.argv[1])", program]);
  assert.match(program, /input=documents,[^]*input="lost password",[^]*sorted\(zip\(scores, documents\)/);
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 390]) {
    test(`axe finds nothing in a search with files and several models, ${colorScheme}, ${width} px wide`, async () => {
      const page = await open("/openapi.json", {
        colorScheme,
        viewport: { width, height: 800 },
        bypassCSP: true,
      });
      await page.route("**/v1/models", (route) => route.fulfill({ json: { object: "list", data: MODELS } }));
      await page.goto(`${service.url}/#search`);
      await page.locator("#ranking li").first().waitFor();
      await page.locator("#files").setInputFiles({
        name: "notes.txt",
        mimeType: "text/plain",
        buffer: Buffer.from("A whale is a mammal."),
      });
      await unfoldDocuments(page);
      await page.locator("#file-list li").waitFor();
      await page.getByLabel("Search for").fill("whales");
      await page.locator("#by-words li").first().waitFor();
      await page.waitForFunction(() => document.getAnimations().length === 0);
      await assertAccessible(page, "a ranking");
      await page.getByRole("tab", { name: "Compare texts" }).click();
      await page.locator("#compare-part").getByLabel("Meaning + words").check();
      await page.locator("#facts", { hasText: "1,024 dimensions" }).waitFor();
      await compared(page);
      await assertAccessible(page, "a comparison with both parts");
    });
  }
}

// Last on purpose: it looks at what all the tests above made the page ask for.
test("no page has asked any other origin for anything", assertOneOrigin);
