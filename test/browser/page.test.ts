// The page at / in Chromium, served by the real Worker. The weights are random: what is tested is that the page
// shows what the endpoint answers, whatever the model.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { promisify } from "node:util";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { RequestError } from "../../public/api.js";
import { fromBase64, startService, type Service } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";
import { startBrowser } from "./browser.js";

const run = promisify(execFile);
const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const DIMENSIONS = 512;
const WEIGHTS = seededWeights({ vocabSize: 512, dimensions: DIMENSIONS, maxSeqLen: 8192 });
const API_KEY = "the key of this test";
const FIRST_TEXTS = [
  "The cat sat on the mat.",
  "A feline rested on the rug.",
  "Stock prices rose sharply today.",
  "The dog played in the park.",
];

let browser: Browser;
let service: Service;
let lockedService: Service;
/** Every address that a page of this file asked for. */
const requested: string[] = [];
/** Errors that no part of the page caught. */
const uncaught: string[] = [];

before(async () => {
  [browser, service, lockedService] = await Promise.all([
    startBrowser(),
    startService({ weights: WEIGHTS, assets: true }),
    startService({ weights: WEIGHTS, assets: true, bindings: { API_KEY } }),
  ]);
  console.log(`Chromium ${browser.version()}`);
});

after(async () => {
  await browser?.close();
  await Promise.all([service?.stop(), lockedService?.stop()]);
});

afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  assert.deepEqual(uncaught.splice(0), [], "errors on the page");
});

async function open(path = "/", options: BrowserContextOptions = {}, of = service): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.on("request", (request) => requested.push(request.url()));
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => uncaught.push(String(error.stack)));
  await page.goto(of.url + path);
  return page;
}

async function openCompared(options: BrowserContextOptions = {}): Promise<Page> {
  const page = await open("/", options);
  await page.locator("#compare-results").waitFor();
  return page;
}

/** As a paste does it, at once: Playwright's fill() takes seconds for thousands of lines. */
async function paste(page: Page, id: string, text: string): Promise<void> {
  await page.locator(`#${id}`).evaluate((field, value) => {
    (field as HTMLInputElement).value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, text);
}

async function embedTexts(page: Page, texts: string[]): Promise<void> {
  await page.getByLabel("Texts, one a line").fill(texts.join("\n"));
  await page.getByRole("button", { name: "Embed" }).click();
  await page
    .locator("#each > li")
    .nth(texts.length - 1)
    .waitFor();
  await page.locator("#compare-stale").waitFor({ state: "hidden" });
}

/** The endpoint's own vectors, asked for without the page. */
async function vectorsOf(input: string[], more: object = {}): Promise<Float32Array[]> {
  const response = await service.embed({ model: "test", input, encoding_format: "base64", ...more });
  const answer = (await response.json()) as { data: { embedding: string }[] };
  return answer.data.map(({ embedding }) => fromBase64(embedding));
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, k) => sum + value * y[k], 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

function distance(a: Float32Array, b: Float32Array): number {
  return Math.hypot(...a.map((value, k) => value - b[k]));
}

async function matrixOf(page: Page): Promise<number[][]> {
  const rows = await page
    .locator("#matrix tbody tr")
    .evaluateAll((found) =>
      found.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent ?? "")),
    );
  return rows.map((row) => row.map((text) => Number(text.replace("−", "-"))));
}

function assertMatrix(got: number[][], vectors: Float32Array[], measure: typeof cosine): void {
  const expected = vectors.map((a) => vectors.map((b) => measure(a, b)));
  assert.equal(got.length, expected.length);
  got.forEach((row, i) => {
    assert.equal(row.length, expected.length);
    row.forEach((value, j) => {
      assert.ok(
        Math.abs(value - expected[i][j]) <= 0.000501,
        `row ${i}, column ${j}: ${value}, expected ${expected[i][j]}`,
      );
    });
  });
}

// ------------------------------------------------------------------------------------------- comparing texts

test("embeds the first texts on arrival and says how long that took", async () => {
  const page = await openCompared();
  assertMatrix(await matrixOf(page), await vectorsOf(FIRST_TEXTS), cosine);
  assert.match(
    await page.locator("#compare-status").innerText(),
    /^[\d.,]+ ms at \d\d:\d\d:\d\d: 4 texts, 23 tokens, 512 dimensions\.$/,
  );
  assert.match(await page.locator("#model").innerText(), /512 dimensions\s+reads 8,192 words of a text/);
});

test("draws each text as a cell row, a point and a strip of colours", async () => {
  const page = await openCompared();
  const cells = await page
    .locator("#matrix td[data-row]")
    .evaluateAll((found) => found.map((cell) => getComputedStyle(cell).backgroundColor));
  assert.ok(new Set(cells).size > 4, "cells of different values have different colours");
  assert.equal(await page.locator("#scatter .mark").count(), 4);
  const places = await page
    .locator("#scatter .mark rect")
    .evaluateAll((found) => found.map((mark) => `${mark.getAttribute("x")} ${mark.getAttribute("y")}`));
  assert.equal(new Set(places).size, 4, "points have places of their own");
  await page.waitForFunction(() => document.querySelector<HTMLCanvasElement>(".strip")!.width > 300);
  const stripColours = await page.locator(".strip").evaluateAll((found) =>
    found.map((canvas) => {
      const { width, height } = canvas as HTMLCanvasElement;
      const { data } = (canvas as HTMLCanvasElement).getContext("2d")!.getImageData(0, height >> 1, width, 1);
      return new Set(Array.from({ length: width }, (_, x) => data.slice(4 * x, 4 * x + 3).join())).size;
    }),
  );
  assert.equal(stripColours.length, 4);
  assert.ok(
    stripColours.every((count) => count > 50),
    `colours in the strips: ${stripColours}`,
  );
});

test("embeds what was typed at Ctrl+Enter, blank lines left out", async () => {
  const page = await openCompared();
  const texts = ["one line", "another — with “quotes”", "третья строка 🦀", "the last one", "a fifth"];
  await page.getByLabel("Texts, one a line").fill(`\n${texts.join("\n\n  ")}\n`);
  assert.ok(await page.locator("#compare-stale").isVisible(), "says that the texts were edited");
  await page.getByLabel("Texts, one a line").press("Control+Enter");
  await page.locator("#each > li").nth(4).waitFor();
  assertMatrix(await matrixOf(page), await vectorsOf(texts), cosine);
  assert.ok(await page.locator("#compare-stale").isHidden());
});

test("shows L2 distances at the switch", async () => {
  const page = await openCompared();
  await page.getByLabel("L2 distance").check();
  assertMatrix(await matrixOf(page), await vectorsOf(FIRST_TEXTS), distance);
  await page.getByLabel("Cosine similarity").check();
  assertMatrix(await matrixOf(page), await vectorsOf(FIRST_TEXTS), cosine);
});

test("asks for fewer dimensions, shows their similarities and what they cost", async () => {
  const page = await openCompared();
  await page.getByRole("button", { name: "64", exact: true }).click();
  await page.locator("#compare-status", { hasText: "64 dimensions" }).waitFor();
  const [full, cut] = [await vectorsOf(FIRST_TEXTS), await vectorsOf(FIRST_TEXTS, { dimensions: 64 })];
  assertMatrix(await matrixOf(page), cut, cosine);
  const changes = [];
  for (let i = 0; i < 4; i++)
    for (let j = i + 1; j < 4; j++) changes.push(Math.abs(cosine(cut[i], cut[j]) - cosine(full[i], full[j])));
  const said =
    /64 of 512 dimensions, 256 bytes a vector in place of 2,048: similarities change by ([\d.]+) on average, most for \d and \d \(by ([\d.]+)\)\. [0-4] of 4 texts keeps? (?:its|their) nearest/.exec(
      await page.locator("#cost-hint").innerText(),
    );
  assert.ok(said, await page.locator("#cost-hint").innerText());
  assert.ok(
    Math.abs(Number(said[1]) - changes.reduce((sum, change) => sum + change, 0) / changes.length) < 0.00051,
  );
  assert.ok(Math.abs(Number(said[2]) - Math.max(...changes)) < 0.00051);
  assert.match(await page.locator("#snippet").innerText(), /"dimensions": 64/);
});

test("opens a text: its size, its tokens, and its vector to copy as JSON and as base64", async () => {
  const page = await openCompared({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator("#each summary").nth(1).click();
  const detail = page.locator("#each > li").nth(1);
  await detail.getByText("6, all read").waitFor();
  assert.match(
    await detail.locator("dl").innerText(),
    /Dimensions\s+512\s+Tokens\s+6, all read\s+Norm\s+1\.0000/,
  );
  const [vector] = await vectorsOf([FIRST_TEXTS[1]]);

  await detail.getByRole("button", { name: "Copy as JSON" }).click();
  await detail.getByRole("button", { name: "Copied" }).waitFor();
  const asFloats = await service.embed({ model: "test", input: FIRST_TEXTS[1] });
  const { data } = (await asFloats.json()) as { data: { embedding: number[] }[] };
  assert.deepEqual(JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), data[0].embedding);

  await detail.getByRole("button", { name: "Copy as base64" }).click();
  await page.waitForFunction(async () => !(await navigator.clipboard.readText()).startsWith("["));
  assert.deepEqual(fromBase64(await page.evaluate(() => navigator.clipboard.readText())), vector);
});

test("says which text was cut, and how much of it was read", async () => {
  const page = await openCompared();
  await embedTexts(page, ["short", "word ".repeat(9000)]);
  assert.match(
    await page.locator("#compare-status").innerText(),
    /Text 2 was cut: 8,192 of 9,000 tokens were read\.$/,
  );
  await page.locator("#each summary").nth(1).click();
  await page.getByText("9,000, of which the first 8,192 were read: the text was cut").waitFor();
  assert.equal(await page.locator("#each > li").nth(0).getByText("cut", { exact: true }).count(), 0);
});

test("takes 300 texts: a matrix of the first 40, all of them as points, and a list in portions", async () => {
  const page = await openCompared();
  const texts = Array.from({ length: 300 }, (_, i) => `text number ${i} of three hundred`);
  await paste(page, "texts", texts.join("\n"));
  await page.getByRole("button", { name: "Embed" }).click();
  await page.getByText("The first 40 of 300 texts are shown.").waitFor();
  assert.equal(await page.locator("#matrix tbody tr").count(), 40);
  assert.equal(await page.locator("#scatter .mark").count(), 300);
  assert.equal(await page.locator("#each > li").count(), 100);
  await page.getByRole("button", { name: "Show 100 more of 300" }).click();
  assert.equal(await page.locator("#each > li").count(), 200);
});

test("copes with a single text, with equal texts and with texts that have no letters", async () => {
  const page = await openCompared();
  await embedTexts(page, ["only one"]);
  assert.match(await page.locator("#pair").innerText(), /nothing to be compared with/);
  await embedTexts(page, ["same", "same", "same"]);
  assert.deepEqual(await matrixOf(page), [
    [1, 1, 1],
    [1, 1, 1],
    [1, 1, 1],
  ]);
  assert.equal(await page.locator("#scatter .mark text").textContent(), "1,2,3");
  await embedTexts(page, ["!!!", "???"]);
  assert.deepEqual(await matrixOf(page), [
    [1, 1],
    [1, 1],
  ]);
});

// ------------------------------------------------------------------------------------------------- searching

test("ranks the documents as one types, and embeds each text once", async () => {
  const page = await open();
  const sent: string[] = [];
  await page.locator("#compare-results").waitFor();
  page.on("request", (request) => {
    if (request.method() === "POST")
      sent.push(...[(request.postDataJSON() as { input: string | string[] }).input].flat());
  });
  await page.getByRole("tab", { name: "Search documents" }).click();
  const documents = [
    "alpha beta gamma",
    "beta gamma delta",
    "gamma delta epsilon",
    "delta epsilon zeta",
    "alpha beta gamma",
  ];
  await page.getByRole("textbox", { name: "Documents" }).fill(documents.join("\n"));
  for (const question of ["delta epsilon", "alpha beta", "delta epsilon"]) {
    await page.getByLabel("Search for").fill("");
    await page.getByLabel("Search for").pressSequentially(question, { delay: 20 });
    const vectors = await vectorsOf([question, ...documents]);
    const expected = documents
      .map(
        (text, i) =>
          `${cosine(vectors[0], vectors[i + 1])
            .toFixed(3)
            .replace("-", "−")} ${text}`,
      )
      .sort((a, b) => Number(b.split(" ")[0].replace("−", "-")) - Number(a.split(" ")[0].replace("−", "-")));
    await page.waitForFunction((wanted) => {
      const items = [...document.querySelectorAll("#ranking li")];
      return (
        items
          .map(
            (item) =>
              `${item.querySelector(".score")!.textContent} ${item.querySelector(".text")!.textContent}`,
          )
          .join("|") === wanted
      );
    }, expected.join("|"));
  }
  assert.deepEqual(
    sent.filter((text, i) => sent.indexOf(text) !== i),
    [],
    "texts that were sent more than once",
  );
  assert.ok(documents.every((text) => sent.includes(text)));
});

test("sends long documents in several requests, each within the limit of tokens", async () => {
  const page = await open("/#search");
  const counts: number[] = [];
  page.on("request", (request) => {
    if (request.method() === "POST")
      counts.push([(request.postDataJSON() as { input: string | string[] }).input].flat().length);
  });
  // 330 x 1,001 words: in one request they would be refused.
  const documents = Array.from({ length: 330 }, (_, i) => `${i} ${"a ".repeat(999)}b`);
  await page.getByRole("textbox", { name: "Documents" }).fill(documents.join("\n"));
  await page.waitForFunction(() =>
    document.getElementById("documents-status")?.textContent?.startsWith("330 documents"),
  );
  assert.deepEqual(
    counts.filter((count) => count > 10),
    [124, 124, 82],
  );
});

test("takes paragraphs as documents when told so", async () => {
  const page = await open("/#search");
  await page.getByRole("textbox", { name: "Documents" }).fill("one\ntwo\n\nthree\nfour\n\n\nfive");
  await page.getByText("5 documents").waitFor();
  await page.getByLabel("Empty line between").check();
  await page.getByText("3 documents").waitFor();
  assert.equal(await page.locator("#ranking li").count(), 3);
});

test("keeps still where reduced motion is asked for, and slides otherwise", async () => {
  for (const [reducedMotion, moves] of [
    ["reduce", false],
    ["no-preference", true],
  ] as const) {
    const page = await open("/#search", { reducedMotion });
    await page.evaluate(() => {
      const animate = Element.prototype.animate;
      Element.prototype.animate = function (...values) {
        document.body.dataset["moved"] = "yes";
        return animate.apply(this, values);
      };
    });
    await page.getByRole("textbox", { name: "Documents" }).fill("alpha\nbeta\ngamma");
    for (const question of ["alpha", "gamma", "beta"]) {
      await page.getByLabel("Search for").fill(question);
      await page.locator("#ranking li").first().getByText(question).waitFor();
    }
    assert.equal((await page.evaluate(() => document.body.dataset["moved"])) === "yes", moves, reducedMotion);
  }
});

// ------------------------------------------------------------------------------------- the request, to paste

const AWKWARD_TEXTS = [
  "It's a 'quoted' text",
  'Say "hello" to $HOME and `ls`',
  "back\\slash \\n",
  "naïve 速い 🦀 \u2028 end",
];

test("the curl command works as pasted into a shell", async () => {
  const page = await openCompared();
  await embedTexts(page, AWKWARD_TEXTS);
  const command = await page.locator("#snippet").textContent();
  const { stdout } = await run("sh", ["-c", command ?? ""]);
  const { data } = JSON.parse(stdout) as { data: { embedding: number[] }[] };
  const expected = await vectorsOf(AWKWARD_TEXTS);
  assert.deepEqual(
    data.map(({ embedding }) => Float32Array.from(embedding)),
    expected,
  );
});

test("the TypeScript program runs as pasted", async () => {
  const page = await openCompared();
  await embedTexts(page, AWKWARD_TEXTS);
  await page.getByRole("tab", { name: "TypeScript" }).click();
  const folder = mkdtempSync(join(import.meta.dirname, "node_modules", "pasted-"));
  try {
    writeFileSync(join(folder, "pasted.mts"), (await page.locator("#snippet").textContent()) ?? "");
    const { stdout } = await run(process.execPath, ["--import", "tsx", join(folder, "pasted.mts")]);
    const lines = stdout
      .trim()
      .split("\n")
      .filter((line) => / 512$/.test(line) || line.endsWith("] 512"));
    assert.equal(lines.length, AWKWARD_TEXTS.length, stdout);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the Python program is Python, and its texts are those of the page", async () => {
  const page = await openCompared();
  await embedTexts(page, AWKWARD_TEXTS);
  await page.getByRole("tab", { name: "Python" }).click();
  const program = (await page.locator("#snippet").textContent()) ?? "";
  const reader = [
    "import ast, json, sys",
    "calls = [node for node in ast.walk(ast.parse(sys.argv[1])) if isinstance(node, ast.Call)]",
    "arguments = {keyword.arg: keyword.value for call in calls for keyword in call.keywords}",
    "print(json.dumps([ast.literal_eval(arguments['input']), ast.literal_eval(arguments['base_url'])]))",
  ].join("\n");
  const { stdout } = await run("python3", ["-c", reader, program]);
  assert.deepEqual(JSON.parse(stdout), [AWKWARD_TEXTS, `${service.url}/v1`]);
});

// ---------------------------------------------------------------------------------------- keys and mistakes

test("says once when to try again, where the Worker says so too", () => {
  const sentence = (message: string, retryAfter: string | null) =>
    new RequestError(message, { retryAfter }).sentence;
  assert.equal(
    sentence("The model is not available. Try again.", "1"),
    "The model is not available. Try again in 1 s.",
  );
  assert.equal(
    sentence("Too many requests. Try again in 10 seconds.", "10"),
    "Too many requests. Try again in 10 s.",
  );
  assert.equal(
    sentence("The model is not available. Try again.", null),
    "The model is not available. Try again.",
  );
});

test("asks for a key where one is needed, keeps it for this tab alone and never writes it out", async () => {
  const page = await open("/", {}, lockedService);
  const error = page.locator("#key-error");
  await error.filter({ hasText: "This endpoint asks for an API key." }).waitFor();
  assert.equal(await page.getByLabel("API key").getAttribute("aria-invalid"), "true");
  assert.match(await page.locator("#compare-error").innerText(), /see the API key above/);

  await page.getByLabel("API key").fill("“quoted”");
  await page.getByLabel("API key").press("Enter");
  await error.filter({ hasText: "The API key has a character in it that no key has" }).waitFor();
  await page.getByLabel("API key").fill("wrong");
  await page.getByLabel("API key").press("Enter");
  await error.filter({ hasText: "The API key is wrong" }).waitFor();
  await page.getByLabel("API key").fill(API_KEY);
  await page.getByLabel("API key").press("Enter");
  await page.locator("#compare-results").waitFor();
  assert.ok(await error.isHidden());
  assert.ok(await page.locator("#compare-error").isHidden());

  await page.reload();
  await page.locator("#compare-results").waitFor();
  for (const language of ["curl", "Python", "TypeScript"]) {
    await page.getByRole("tab", { name: language }).click();
    const snippet = await page.locator("#snippet").innerText();
    assert.match(snippet, /EMBEDDINGS_API_KEY/);
    assert.ok(!snippet.includes(API_KEY), language);
  }
  assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
  const otherTab = await page.context().newPage();
  await otherTab.goto(lockedService.url);
  await otherTab.locator("#key-error").filter({ hasText: "asks for an API key" }).waitFor();
  assert.equal(await otherTab.getByLabel("API key").inputValue(), "");
});

const MISTAKES = [
  {
    name: "no text",
    at: "texts",
    fill: { texts: " \n " },
    says: "There is no text here yet. Type one a line.",
  },
  {
    name: "more dimensions than the model has",
    at: "dimensions",
    fill: { dimensions: "513" },
    says: "'dimensions' must be from 1 to 512 with this model; got 513.",
  },
  {
    name: "half a dimension",
    at: "dimensions",
    fill: { dimensions: "1.5" },
    says: "Dimensions is a whole number.",
  },
  {
    name: "no dimension",
    at: "dimensions",
    fill: { dimensions: "0" },
    says: /^'dimensions' must be .*got 0\.$/,
  },
  { name: "too many texts", at: "texts", fill: { texts: "a\n".repeat(2049) }, says: /2048.*2049/ },
  {
    name: "too many tokens",
    at: "texts",
    fill: { texts: `${"a ".repeat(150_001)}\n`.repeat(2) },
    says: /300000.*300002/,
  },
] as const;

for (const { name, at, fill, says } of MISTAKES) {
  test(`a mistake is named beside its field: ${name}`, async () => {
    const page = await openCompared();
    for (const [id, value] of Object.entries(fill)) await paste(page, id, value);
    await page.getByRole("button", { name: "Embed" }).click();
    const error = page.locator(`#${at}-error`);
    await error.waitFor();
    const text = await error.innerText();
    if (typeof says === "string") assert.equal(text, says);
    else assert.match(text, says);
    assert.equal(await page.locator(`#${at}`).getAttribute("aria-invalid"), "true");
    assert.ok((await page.locator(`#${at}`).getAttribute("aria-describedby"))?.includes(`${at}-error`));
    assert.equal(await page.locator("[role=alert]:not([hidden])").count(), 1, "one message, in one place");
  });
}

test("an endpoint without weights says so beside the button, and in the search", async () => {
  const empty = await startService({ weights: null, assets: true });
  try {
    const page = await open("/", {}, empty);
    await page
      .locator("#compare-error")
      .filter({ hasText: /weights|model/i })
      .waitFor();
    await page.locator("#model.error").waitFor();
    await page.getByRole("tab", { name: "Search documents" }).click();
    await page
      .locator("#documents-error")
      .filter({ hasText: /weights|model/i })
      .waitFor();
  } finally {
    await empty.stop();
  }
});

test("an endpoint that has gone away is named", async () => {
  const page = await openCompared();
  await page.context().setOffline(true);
  await page.getByRole("button", { name: "Embed" }).click();
  await page
    .locator("#compare-error")
    .filter({ hasText: `No answer from ${new URL(service.url).host}.` })
    .waitFor();
  await page.context().setOffline(false);
  await page.getByRole("button", { name: "Embed" }).click();
  await page.locator("#compare-error").waitFor({ state: "hidden" });
});

test("a rate limit says how long to wait", async () => {
  const limited = await startService({ weights: WEIGHTS, assets: true, rateLimit: 3 });
  try {
    const page = await open("/", {}, limited);
    await page.locator("#compare-results").waitFor();
    const error = page.locator("#compare-error").filter({ hasText: /rate limit.*10 s/i });
    // The ten seconds in which it counts may end between two clicks.
    for (let clicks = 0; clicks < 50 && !(await error.isVisible()); clicks++) {
      await page.getByRole("button", { name: "Embed" }).click();
      await page.waitForTimeout(100);
    }
    await error.waitFor();
  } finally {
    await limited.stop();
  }
});

// ------------------------------------------------------------------------------------------ for everyone

async function assertAccessible(page: Page, state: string): Promise<void> {
  await page.addScriptTag({ path: axePath }).catch(() => undefined);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as {
      axe: {
        run(
          options: object,
        ): Promise<{ violations: { id: string; nodes: { target: unknown; failureSummary?: string }[] }[] }>;
      };
    };
    return (await axe.run({ resultTypes: ["violations"] })).violations;
  });
  const found = violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.map((node) => `${String(node.target)} ${node.failureSummary}`).join("; ")}`,
  );
  assert.deepEqual(found, [], state);
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing, ${colorScheme}, ${width} px wide`, async () => {
      const page = await open("/", { colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
      await page.locator("#compare-results").waitFor();
      await assertAccessible(page, "with the first results");
      await page.getByRole("button", { name: "Topics" }).click();
      await page.locator("#each > li").nth(7).waitFor();
      await page.getByLabel("L2 distance").check();
      await page.locator("#each summary").first().click();
      await page.getByText("all read").waitFor();
      await page.getByRole("spinbutton", { name: "Dimensions" }).fill("9999");
      await page.getByRole("button", { name: "Embed" }).click();
      await page.locator("#dimensions-error").waitFor();
      await assertAccessible(page, "with distances, an open text and an error");
      await page.getByLabel("Texts, one a line").fill("edited");
      await assertAccessible(page, "with results of older texts");
      await page.getByRole("tab", { name: "Search documents" }).click();
      await page.locator("#ranking li").first().waitFor();
      await page.waitForFunction(() => document.getAnimations().length === 0);
      await assertAccessible(page, "with a ranking");
    });
  }

  test(`a number in the matrix stands out from its colour by 4.5 to 1 at every value, ${colorScheme}`, async () => {
    const page = await openCompared({ colorScheme });
    const colours = await page.evaluate(async () => {
      const { drawMatrix } = (await import(
        `${location.origin}/draw.js`
      )) as typeof import("../../public/draw.js");
      const values = Float64Array.from({ length: 401 }, (_, i) => i / 200 - 1);
      const [texts, rows] = [Array.from(values, String), Array.from(values, () => values)];
      const place = document.createElement("div");
      drawMatrix(place, { texts, rows, heatOf: Number, digits: 2, caption: "", onPair: Boolean });
      const cells = [...place.querySelectorAll<HTMLElement>("tbody tr:first-child td")];
      return cells.map(({ style }) => [style.backgroundColor, style.color] as const);
    });
    const contrasts = colours.map(([background, ink]) => {
      const [high, low] = [luminance(background), luminance(ink)].sort((a, b) => b - a);
      return (high + 0.05) / (low + 0.05);
    });
    assert.equal(contrasts.length, 401);
    assert.ok(Math.min(...contrasts) >= 4.5, `lowest contrast: ${Math.min(...contrasts)}`);
  });
}

/** Relative luminance as WCAG 2 defines it. */
function luminance(colour: string): number {
  const [r, g, b] = colour.match(/[\d.]+/g)!.map((part) => {
    const value = Number(part) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

test("works with the keyboard alone", async () => {
  const page = await openCompared();
  const keys = page.keyboard;
  const focused = () =>
    page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent?.trim());
  const tabTo = async (wanted: string) => {
    for (let i = 0; i < 40; i++) {
      await keys.press("Tab");
      if ((await focused()) === wanted) return;
    }
    assert.fail(`Tab does not reach ${wanted}; it is at ${await focused()}`);
  };
  await keys.press("Tab");
  assert.equal(await focused(), "Skip to the texts");
  await keys.press("Enter");
  await tabTo("texts");
  await keys.press("Control+A");
  await keys.type("first text");
  await keys.press("Enter");
  await keys.type("second text");
  await keys.press("Control+Enter");
  await page.locator("#compare-status", { hasText: "2 texts" }).waitFor();
  await tabTo("dimensions");
  await keys.press("Control+A");
  await keys.type("100");
  await keys.press("Enter");
  await page.locator("#compare-status", { hasText: "100 dimensions" }).waitFor();
  await tabTo("embed");
  await keys.press("Tab");
  await keys.press("ArrowRight");
  assert.ok(await page.getByLabel("L2 distance").isChecked());
  await keys.press("Tab");
  assert.equal(await focused(), "matrix", "the matrix can be scrolled by keyboard");
  await keys.press("Tab");
  await keys.press("Enter");
  await page.getByText("2, all read").first().waitFor();
  await keys.press("Tab");
  assert.equal(await focused(), "Copy as JSON");
  await tabTo("tab-curl");
  await keys.press("ArrowRight");
  assert.equal(await focused(), "tab-python");
  assert.match(await page.locator("#snippet").innerText(), /from openai import OpenAI/);
  for (let i = 0; i < 40 && (await focused()) !== "tab-compare"; i++) await keys.press("Shift+Tab");
  await keys.press("ArrowRight");
  await page.locator("#ranking li").first().waitFor();
  await tabTo("query");
  await keys.press("Control+A");
  await keys.type("parcel tracking number");
  await page.locator("#ranking .shared").first().waitFor();
});

test("every part that takes the focus shows it", async () => {
  const page = await openCompared();
  const seen = new Set<string>();
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    const { name, visible } = await page.evaluate(() => {
      const at = document.activeElement as HTMLElement;
      const shown = [at, at.nextElementSibling].some(
        (part) => part && getComputedStyle(part).outlineStyle === "solid",
      );
      return {
        name: at === document.body ? "" : `${at.tagName} ${at.id || at.textContent?.trim()}`,
        visible: shown,
      };
    });
    if (name === "" || seen.has(name)) break;
    seen.add(name);
    assert.ok(visible, `${name} has no visible focus`);
  }
  assert.ok(seen.size > 20, [...seen].join(", "));
});

for (const width of [320, 390, 768, 1280, 1920]) {
  test(`nothing is wider than a window of ${width} px`, async () => {
    const page = await openCompared({ viewport: { width, height: 800 } });
    const excess = () =>
      page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    await page.getByRole("button", { name: "Topics" }).click();
    await page.locator("#each > li").nth(7).waitFor();
    assert.equal(await excess(), 0);
    await embedTexts(page, ["w".repeat(400), "https://example.com/" + "a/".repeat(200)]);
    assert.equal(await excess(), 0, "with very long words");
    await page.getByRole("tab", { name: "Search documents" }).click();
    await page.getByRole("textbox", { name: "Documents" }).fill("w".repeat(400));
    await page.locator("#ranking li").first().waitFor();
    assert.equal(await excess(), 0, "in the search");
  });
}

// ----------------------------------------------------------------------------------------------- one origin

test("the page's policy stops requests to other origins, foreign scripts and inline ones", async () => {
  const page = await openCompared();
  const refused = await page.evaluate(async () => {
    const directives: string[] = [];
    document.addEventListener("securitypolicyviolation", (event) =>
      directives.push(event.effectiveDirective),
    );
    await fetch("https://other.example/").catch(() => undefined);
    new Image().src = "https://other.example/image.png";
    const foreign = document.createElement("script");
    foreign.src = "https://other.example/script.js";
    const inline = document.createElement("script");
    inline.textContent = "document.title = 'taken over'";
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = "https://other.example/style.css";
    document.head.append(foreign, inline, style);
    await new Promise((resolve) => setTimeout(resolve, 200));
    return { directives: directives.sort(), title: document.title };
  });
  assert.deepEqual(refused, {
    directives: ["connect-src", "img-src", "script-src-elem", "script-src-elem", "style-src-elem"],
    title: "embeddings-worker",
  });
});

test("no other site may frame the page", async () => {
  const response = await service.fetch("/");
  assert.equal(response.headers.get("content-security-policy"), "frame-ancestors 'none'");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
  assert.equal(response.headers.get("referrer-policy"), "no-referrer");
});

// Last on purpose: it looks at what all the tests above made the page ask for.
test("no page has asked any other origin for anything", () => {
  const others = requested.filter(
    (url) => !/^(?:http:\/\/127\.0\.0\.1:\d+\/|data:)/.test(url) && !url.startsWith("https://other.example/"),
  );
  assert.deepEqual(others, []);
  assert.ok(requested.length > 100);
});
