// The page at / in Chromium, served by the real Worker. The weights are random: what is tested is that the page
// shows what the endpoint answers, whatever the model. What needs a model that knows words is in words.test.ts.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { RequestError } from "../../public/api.js";
import { costOfAMillion, median } from "../../public/dom.js";
import { fromBase64, startService, type Service } from "../lib/harness.js";
import { seededWeights } from "../lib/weights.js";
import {
  assertAccessible,
  assertMatrix,
  assertOneOrigin,
  compared,
  cosine,
  distance,
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
const DIMENSIONS = 512;
const WEIGHTS = seededWeights({ vocabSize: 512, dimensions: DIMENSIONS, maxSeqLen: 8192 });
const API_KEY = "the key of this test";
const FIRST_TEXTS = [
  "The cat sat on the mat.",
  "A feline rested on the rug.",
  "Stock prices rose sharply today.",
  "The dog played in the park.",
];

useService({ weights: WEIGHTS });
let lockedService: Service;
before(async () => {
  lockedService = await startService({ weights: WEIGHTS, assets: true, bindings: { API_KEY } });
});
after(() => lockedService?.stop());

// ------------------------------------------------------------------------------------------- comparing texts

test("embeds the first texts on arrival and says how long that took and what it costs", async () => {
  const page = await openCompared();
  assertMatrix(await matrixOf(page), await vectorsOf(FIRST_TEXTS), cosine);
  assert.match(await page.locator("#compare-status").innerText(), /^4 texts, 23 tokens\.$/);
  assert.match(
    await page.locator("#model-facts").innerText(),
    /512 dimensions.*reads 8,192 tokens of a text/s,
  );
  assert.ok(await page.getByLabel("Model").isHidden(), "one model is no choice");
  assert.ok(
    await page.locator("#compare-part").isHidden(),
    "without a words part there is nothing to choose",
  );
});

test("says the time and the cost of each text, at Cloudflare's prices", async () => {
  const page = await openCompared();
  const facts = await page.locator("#facts dd strong").allInnerTexts();
  const [roundTrip, each, million, vector] = facts.map((text) => Number(text.replace(/[^\d.]/g, "")));
  assert.ok(Math.abs(each - roundTrip / 4) <= 0.5, `${facts}`);
  // A request and its round trip in milliseconds of CPU, for each of four texts, a million times: a cent is rounded
  // up, and the round trip that is shown is off by half a millisecond at most.
  const bound = (0.3 + 0.02 * roundTrip) / 4;
  assert.ok(million >= bound - 0.0026 && million <= bound + 0.0126, `${facts}`);
  assert.match(await page.locator("#facts").innerText(), /1 M texts\s+≤ \$\d+\.\d\d\s+4 per request/);
  assert.match(await page.locator("#facts").innerText(), /median of\s3/, "one run says little");
  assert.equal(vector, 4 * DIMENSIONS);
});

test("a cost is rounded up, since it is said to be a bound", () => {
  assert.equal(costOfAMillion({ texts: 1000, requests: 1, milliseconds: 1135 }), "≤ $0.03"); // 0.023
  assert.equal(costOfAMillion({ texts: 1, requests: 1, milliseconds: 10 }), "≤ $0.50"); // exactly
  assert.equal(costOfAMillion({ texts: 1000, requests: 1, milliseconds: 1 }), "≤ $0.01");
});

test("the time is a median", () => {
  assert.equal(median([58, 11, 12]), 12);
  assert.equal(median([4, 2]), 3);
});

test("draws each text as a cell row, a point and a strip of colours", async () => {
  const page = await openCompared();
  const cells = await page
    .locator("#matrix td[data-row]")
    .evaluateAll((found) => found.map((cell) => getComputedStyle(cell).backgroundColor));
  assert.ok(new Set(cells).size > 4, "cells of different values have different colours");
  assert.equal(new Set([0, 5, 10, 15].map((at) => cells[at])).size, 1, "the diagonal is grey");
  assert.equal(await page.locator("#scatter .mark").count(), 4);
  const places = await page
    .locator("#scatter .mark circle")
    .evaluateAll((found) => found.map((mark) => `${mark.getAttribute("cx")} ${mark.getAttribute("cy")}`));
  assert.equal(new Set(places).size, 4, "points have places of their own");
  await page.locator("#each").scrollIntoViewIfNeeded();
  await page.waitForFunction(() =>
    [...document.querySelectorAll<HTMLCanvasElement>(".strip")].every(({ width }) => width > 300),
  );
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
  await page.getByLabel("Texts (one per line)").fill(`\n${texts.join("\n\n  ")}\n`);
  assert.ok(await page.locator("#compare-stale").isVisible(), "says that the texts were edited");
  await page.getByLabel("Texts (one per line)").press("Control+Enter");
  await page.locator("#compare-status", { hasText: "5 texts" }).waitFor();
  await compared(page);
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

test("opens a text: its size, its tokens, and its vector to copy as JSON and as base64", async () => {
  const page = await openCompared({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator("#each summary").nth(1).click();
  const detail = page.locator("#each > li").nth(1);
  await detail.getByText("6, not truncated").waitFor();
  assert.match(
    await detail.locator("dl").innerText(),
    /Tokens\s+6, not truncated\s+By itself\s+[\d.,]+ ms round trip; 1 M texts, 1 per request: ≤ \$\d+\.\d\d\s+Dimensions\s+512\s+Norm\s+1\.0000/,
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

test("takes 300 texts: a matrix of the first 30, all of them on the map, and a list in pages", async () => {
  const page = await openCompared();
  await embedTexts(
    page,
    Array.from({ length: 300 }, (_, i) => `text number ${i} of three hundred`),
  );
  await page.getByRole("heading", { name: "Pairwise similarity, texts 1 to 30" }).waitFor();
  assert.equal(await page.locator("#matrix tbody tr").count(), 30);
  assert.equal(await page.locator("#each > li").count(), 25);
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("26 to 50 of 300").waitFor();
  assert.match(await page.locator("#each > li").first().innerText(), /^26\s+text number 25 of/);
  const map = page.locator("canvas.scatter");
  const box = (await map.boundingBox())!;
  const dot = await map.evaluate((canvas: HTMLCanvasElement) => {
    const { data, width } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
    const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    const red = parseInt(accent.slice(1, 3), 16);
    for (let at = 0; at < data.length; at += 4)
      if (data[at + 3] > 200 && Math.abs(data[at] - red) < 12)
        return { x: (at / 4) % width, y: Math.floor(at / 4 / width) };
    return null;
  });
  assert.ok(dot, "a dot is painted");
  await map.hover({ position: { x: dot.x, y: Math.min(dot.y, box.height - 1) } });
  const pointed = /^(\d+)\. text number (\d+) of/.exec(await page.locator(".under-pointer").innerText());
  assert.ok(pointed && Number(pointed[1]) === Number(pointed[2]) + 1);
  await map.click({ position: { x: dot.x, y: dot.y } });
  await page.locator("#each details[open]", { hasText: pointed[0].replace(/^\d+\. /, "") }).waitFor();
});

test("the most alike are those of all texts, not of the matrix alone; a text's nearest leads to it", async () => {
  const page = await openCompared();
  const texts = Array.from({ length: 70 }, (_, i) => `text number ${i * i} with ${i % 7} and ${i}`);
  texts[65] = texts[41] + " again";
  await embedTexts(page, texts);
  const vectors = await vectorsOf(texts);
  for (const [measure, of, sign] of [
    ["Cosine similarity", cosine, 1],
    ["L2 distance", distance, -1],
  ] as const) {
    await page.getByLabel(measure).check();
    let best = [0, 1];
    for (let i = 0; i < texts.length; i++)
      for (let j = i + 1; j < texts.length; j++)
        if (sign * of(vectors[i], vectors[j]) > sign * of(vectors[best[0]], vectors[best[1]])) best = [i, j];
    const value = of(vectors[best[0]], vectors[best[1]]).toFixed(3);
    assert.ok(best[1] >= 30, "the pair is outside the matrix");
    assert.ok(
      (await page.locator("#pair").innerText()).startsWith(
        `Most alike of all 70: ${best[0] + 1} and ${best[1] + 1}, ${value}.`,
      ),
      await page.locator("#pair").innerText(),
    );
  }
  await page.getByRole("button", { name: "On to texts 26 to 50" }).click();
  const near = page
    .locator("#each > li")
    .nth(41 - 25)
    .locator(".near");
  assert.match(await near.innerText(), /nearest:\s+66\. text number 1681 with 6 and 41 again\s+0\.\d{3}/);
  await near.getByRole("button").click();
  await page.locator("#each details[open]", { hasText: "and 41 again" }).waitFor();
  assert.match(await page.locator("#each-range").innerText(), /^51 to 70 of 70$/);
});

test("many texts are squares without numbers, which the arrow keys and the pointer tell", async () => {
  const page = await openCompared();
  const texts = Array.from({ length: 14 }, (_, i) => `text ${i} of ${i % 3}`);
  await embedTexts(page, texts);
  const vectors = await vectorsOf(texts);
  const sizes = await page
    .locator("#matrix td[data-row]")
    .evaluateAll((cells) => cells.map((cell) => getComputedStyle(cell).fontSize));
  assert.deepEqual([...new Set(sizes)], ["0px"]);
  await page.locator("#matrix").focus();
  const others = vectors.flatMap((vector, i) => vectors.slice(0, i).map((other) => cosine(vector, other)));
  assert.deepEqual(await page.locator("#scale .words").allInnerTexts(), [
    `lowest here ${Math.min(...others).toFixed(2)}`.replace("-", "−"),
    `highest here ${Math.max(...others).toFixed(2)}`,
  ]);
  for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight"]) await page.keyboard.press(key);
  assert.ok(
    (await page.locator("#pair").innerText()).startsWith(
      `3 and 2, ${cosine(vectors[2], vectors[1]).toFixed(3)}.`,
    ),
    await page.locator("#pair").innerText(),
  );
  await page.locator('#matrix td[data-row="0"][data-column="5"]').hover();
  assert.ok(
    (await page.locator("#pair").innerText()).startsWith(
      `1 and 6, ${cosine(vectors[0], vectors[5]).toFixed(3)}.`,
    ),
  );
});

test("while it waits the button says so, and nothing moves; with the results it is itself again", async () => {
  const page = await openCompared();
  let letThrough = () => {};
  const waiting = new Promise<void>((resolve) => (letThrough = resolve));
  await page.route("**/v1/embeddings", async (route) => {
    await waiting;
    await route.continue();
  });
  const boxes = () =>
    page
      .locator("#compare-form button")
      .evaluateAll((buttons) =>
        buttons.map((button) => JSON.stringify(button.getBoundingClientRect())).join("\n"),
      );
  const before = await boxes();
  await page.locator("#embed").click();
  await page.locator("#embed", { hasText: "Embedding…" }).waitFor();
  assert.equal(await boxes(), before);
  letThrough();
  await compared(page);
  assert.equal(await page.locator("#embed").innerText(), "Embed");
  assert.equal(await boxes(), before);
});

test("an example that takes the place of one's own texts can be undone, in both views", async () => {
  const page = await openCompared();
  const undo = (view: string) => page.locator(`#${view}-examples`).getByRole("button", { name: "Undo" });
  await page.getByRole("button", { name: "Topics" }).click();
  assert.ok(await undo("compare").isHidden(), "an example is nothing to lose");
  await paste(page, "texts", "my own text");
  await page.getByRole("button", { name: "Topics" }).click();
  await undo("compare").click();
  assert.equal(await page.getByLabel("Texts (one per line)").inputValue(), "my own text");
  assert.ok(await undo("compare").isHidden());
  await page.getByRole("tab", { name: "Search documents" }).click();
  await paste(page, "documents", "my own document");
  await page.getByLabel("Search for").fill("my own query");
  await page.getByRole("button", { name: "Science" }).click();
  await undo("search").click();
  assert.equal(await page.getByRole("textbox", { name: "Documents" }).inputValue(), "my own document");
  assert.equal(await page.getByLabel("Search for").inputValue(), "my own query");
});

test("the texts and the results start level, however many texts there are; a key field moves nothing", async () => {
  const page = await openCompared();
  await embedTexts(
    page,
    Array.from({ length: 100 }, (_, i) => `text ${i}`),
  );
  await page.evaluate(() => scrollTo(0, 2000));
  const top = async (selector: string) => (await page.locator(selector).boundingBox())!.y;
  assert.ok(Math.abs((await top("#compare-form")) - (await top("#compare-results"))) < 1);
  await page.evaluate(() => scrollTo(0, 0));
  const before = await top("#tab-compare");
  await page.getByRole("button", { name: "API key…" }).click();
  assert.ok(await page.getByLabel("API key").isVisible());
  assert.equal(await top("#tab-compare"), before);
});

test("splits what is more than one request takes, as the search does, and says how far it is", async () => {
  const page = await openCompared();
  const sent = sentTexts(page);
  await page.evaluate(() => {
    const bar = document.getElementById("compare-progress") as HTMLProgressElement;
    new MutationObserver(() => {
      if (!bar.hidden) document.body.dataset["progress"] = `${bar.value} of ${bar.max}`;
    }).observe(bar, { attributes: true });
  });
  const texts = Array.from({ length: 2049 }, (_, i) => `text ${i}`);
  await embedTexts(page, texts);
  assert.deepEqual(
    sent.map((one) => one.length),
    [500, 500, 500, 500, 49],
  );
  assert.deepEqual(sent.flat(), texts);
  assert.match((await page.evaluate(() => document.body.dataset["progress"])) ?? "", /^\d+ of 2049$/);
  assert.match(await page.locator("#facts").innerText(), /in 5 requests/);
});

test("the main thread is never busy for 100 ms, with 2,048 texts", async () => {
  const page = await openCompared();
  const browser = page.context().browser()!;
  const least: Record<string, number> = {};
  const measured = async (what: string, act: () => Promise<void>) => {
    await browser.startTracing(page, { categories: ["toplevel"] });
    await act();
    const longest = longestMainThreadTask(await browser.stopTracing());
    least[what] = Math.min(least[what] ?? Infinity, longest);
  };
  // A machine that is busy with other things shares its caches with them, which can double the CPU time of a layout: the best
  // of up to eight rounds counts.
  for (let round = 1; round <= 8 && !(Math.max(...Object.values(least), 0) < 100 && round > 1); round++) {
    const texts = Array.from(
      { length: 2048 },
      (_, i) => `Ticket ${round}-${i}: parcel ${i * 7} has not arrived by day ${i % 31}`,
    );
    await page.getByRole("tab", { name: "Compare texts" }).click();
    await measured("pasting", () => paste(page, "texts", texts.join("\n")));
    await measured("comparing", () => embedTexts(page, texts));
    await page.getByRole("tab", { name: "Search documents" }).click();
    await measured("searching", async () => {
      await paste(page, "documents", texts.join("\n"));
      await page.locator("#documents-status", { hasText: "2,048 documents: each embedded" }).waitFor();
      await page.getByLabel("Search for").fill(`parcel ${round * 77}`);
      await page
        .locator("#by-words li")
        .first()
        .getByText(`parcel ${round * 77} `)
        .waitFor();
    });
  }
  console.log(`longest task of the main thread, CPU ms: ${JSON.stringify(least)}`);
  for (const [what, milliseconds] of Object.entries(least)) assert.ok(milliseconds < 100, what);
});

/** In milliseconds of CPU, which other work on the machine does not make longer. */
function longestMainThreadTask(trace: Buffer): number {
  interface TraceEvent {
    name: string;
    pid: number;
    tid: number;
    ph: string;
    tdur?: number;
    args: { name?: string };
  }
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const mainThreads = traceEvents
    .filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain")
    .map(({ pid, tid }) => `${pid} ${tid}`);
  const tasks = traceEvents.filter(
    ({ ph, pid, tid, name }) =>
      ph === "X" && name.endsWith("RunTask") && mainThreads.includes(`${pid} ${tid}`),
  );
  assert.ok(tasks.length > 10, "the trace has the main thread's tasks");
  return Math.max(...tasks.map(({ tdur }) => tdur ?? 0)) / 1000;
}

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
  await embedTexts(page, ["!!!", "???"]);
  assert.deepEqual(await matrixOf(page), [
    [1, 1],
    [1, 1],
  ]);
});

test("equal texts have a mark and a caption each on the map, and none hides another", async () => {
  const page = await openCompared();
  await embedTexts(page, [...Array.from({ length: 6 }, () => "one and the same"), "another text altogether"]);
  assert.deepEqual(await page.locator("#scatter .mark text").allTextContents(), [
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
  ]);
  const places = await page
    .locator("#scatter .mark circle")
    .evaluateAll((found) =>
      found.map((mark) => ["cx", "cy", "r"].map((name) => Number(mark.getAttribute(name)))),
    );
  for (const [i, [x, y, radius]] of places.entries())
    for (const [otherX, otherY] of places.slice(0, i))
      assert.ok(Math.hypot(x - otherX, y - otherY) >= 2 * radius, `marks ${JSON.stringify(places)}`);
  assert.equal(await page.locator("#scatter .caption", { hasText: "one and the same" }).count(), 6);
});

test("says what the map leaves out, and says nothing of a rest where there is none", async () => {
  const page = await openCompared();
  await embedTexts(page, ["the first", "another one", "and a third"]);
  assert.match(
    await page.locator("#scatter-hint").innerText(),
    /They hold all the differences between these texts\.$/,
  );
  await page.getByRole("button", { name: "Topics" }).click();
  await page
    .locator("#scatter-hint", {
      hasText: /They hold \d\d% of the differences; the rest is not in the picture/,
    })
    .waitFor();
});

// ------------------------------------------------------------------------------------------------- searching

test("ranks the documents as one types, and embeds each text once", async () => {
  const page = await openCompared();
  const requests = sentTexts(page);
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
              `${item.querySelector(".why strong")!.textContent} ${item.querySelector(".text")!.textContent}`,
          )
          .join("|") === wanted
      );
    }, expected.join("|"));
  }
  const sent = requests.flat();
  assert.deepEqual(
    sent.filter((text, i) => sent.indexOf(text) !== i),
    [],
    "texts that were sent more than once",
  );
  assert.ok(documents.every((text) => sent.includes(text)));
});

test("sends long documents in several requests, each within the limit of tokens", async () => {
  const page = await open("/#search");
  const sent = sentTexts(page);
  // 330 x 1,001 words: in one request they would be refused.
  const documents = Array.from({ length: 330 }, (_, i) => `${i} ${"a ".repeat(999)}b`);
  await page.getByRole("textbox", { name: "Documents" }).fill(documents.join("\n"));
  await page.waitForFunction(() =>
    document.getElementById("documents-status")?.textContent?.startsWith("330 documents"),
  );
  assert.deepEqual(
    sent.map((texts) => texts.length).filter((count) => count > 10),
    [124, 124, 82],
  );
});

test("shows ten hits, and ten more at each click", async () => {
  const page = await open("/#search");
  await paste(page, "documents", Array.from({ length: 25 }, (_, i) => `document ${i}`).join("\n"));
  await page.locator("#documents-status", { hasText: "25 documents" }).waitFor();
  for (const [shown, more] of [
    [10, "Show 10 more"],
    [20, "Show 5 more"],
    [25, null],
  ] as const) {
    await page
      .locator("#ranking li")
      .nth(shown - 1)
      .waitFor();
    assert.equal(await page.locator("#ranking li").count(), shown);
    if (more) await page.getByRole("button", { name: more }).click();
  }
  assert.ok(await page.locator("#more-hits").isHidden());
});

test("in a narrow window the search comes first, and the documents are folded away", async () => {
  const page = await open("/#search", { viewport: { width: 390, height: 844 } });
  await page.locator("#ranking li").first().waitFor();
  assert.ok(await page.getByRole("textbox", { name: "Documents" }).isHidden());
  const { y } = (await page.getByLabel("Search for").boundingBox())!;
  assert.ok(y < 844 / 2, `the query is at ${y} px`);
  await page.getByRole("button", { name: "10 documents · Edit" }).click();
  await page.getByRole("textbox", { name: "Documents" }).fill("only one");
  await page.getByRole("button", { name: "1 document · Close" }).click();
  assert.ok(await page.getByRole("textbox", { name: "Documents" }).isHidden());
});

test("takes paragraphs as documents when told so", async () => {
  const page = await open("/#search");
  await page.getByRole("textbox", { name: "Documents" }).fill("one\ntwo\n\nthree\nfour\n\n\nfive");
  await page.locator("#documents-status", { hasText: "5 documents" }).waitFor();
  await page.getByLabel("Blank line").check();
  await page.locator("#documents-status", { hasText: "3 documents" }).waitFor();
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
      await page.locator("#ranking li .text").first().getByText(question).waitFor();
    }
    assert.equal((await page.evaluate(() => document.body.dataset["moved"])) === "yes", moves, reducedMotion);
  }
});

// ------------------------------------------------------------------------------------- kept, and carried on

test("texts survive a reload until they are forgotten, and a key is not among them", async () => {
  const page = await openCompared();
  await embedTexts(page, ["kept one", "kept two"]);
  await page.getByRole("tab", { name: "Search documents" }).click();
  await paste(page, "documents", "a kept document\nanother");
  await page.getByLabel("Search for").fill("kept question");
  await page.locator("#ranking li", { hasText: "a kept document" }).waitFor();
  await page.waitForTimeout(600); // the pause after which it is kept
  await page.reload();
  await page.locator("#ranking li", { hasText: "a kept document" }).waitFor();
  assert.equal(await page.getByLabel("Search for").inputValue(), "kept question");
  await page.getByRole("tab", { name: "Compare texts" }).click();
  assert.equal(await page.getByLabel("Texts (one per line)").inputValue(), "kept one\nkept two");

  await page.getByRole("button", { name: "Forget my texts" }).click();
  await page.locator("#compare-status", { hasText: "4 texts" }).waitFor();
  await page.reload();
  await compared(page);
  assert.equal(await page.getByLabel("Texts (one per line)").inputValue(), FIRST_TEXTS.join("\n"));
});

test("a link carries the texts, compressed where they are long, to somebody who has none of them", async () => {
  const few = ["first carried text", "zweiter — “mit Ü” 🦀"];
  const many = Array.from({ length: 400 }, (_, i) => `carried text ${i}, one of many that are much alike`);
  for (const [texts, kind] of [
    [few, /#texts(-deflated)?=[\w-]+$/],
    [many, /#texts-deflated=[\w-]+$/],
  ] as const) {
    const page = await openCompared({ permissions: ["clipboard-read", "clipboard-write"] });
    await embedTexts(page, [...texts]);
    await page.locator("#compare-link").click();
    await page.locator("#compare-link", { hasText: "Copied" }).waitFor();
    const link = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(link, kind);
    assert.ok(link.length < 8000, `${link.length} characters`);

    const other = await open("/" + new URL(link).hash);
    await other.locator("#compare-status", { hasText: `${texts.length} texts` }).waitFor();
    assert.equal(await other.getByLabel("Texts (one per line)").inputValue(), texts.join("\n"));
    assert.equal(new URL(other.url()).hash, "", "the texts leave the address once they are on the page");
  }
});

test("a link opens the search, with its documents and its query", async () => {
  const page = await open("/#search", { permissions: ["clipboard-read", "clipboard-write"] });
  await paste(page, "documents", "one paragraph\nof two lines\n\nanother paragraph");
  await page.getByLabel("Blank line").check();
  await page.getByLabel("Search for").fill("another");
  await page.locator("#documents-status", { hasText: "2 documents" }).waitFor();
  await page.locator("#search-link").click();
  await page.locator("#search-link", { hasText: "Copied" }).waitFor();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  const other = await open("/" + new URL(link).hash);
  await other.locator("#ranking li", { hasText: "another paragraph" }).waitFor();
  await other.locator("#documents-status", { hasText: "2 documents" }).waitFor();
  assert.equal(await other.getByLabel("Search for").inputValue(), "another");
});

test("texts that are too many for a link are said to be so, in both views, until they are fewer", async () => {
  const page = await openCompared();
  const links = page.locator("#compare-link, #search-link");
  assert.deepEqual(await links.allTextContents(), Array(2).fill("Copy link with these texts"));
  const random = Array.from({ length: 8000 }, () => Math.random().toString(36));
  await paste(page, "texts", random.join("\n"));
  await page.locator("#compare-link:disabled", { hasText: "Too long for a link" }).waitFor();
  assert.deepEqual(await links.allTextContents(), Array(2).fill("Too long for a link"));
  await paste(page, "texts", "few");
  await page.locator("#compare-link:enabled", { hasText: "Copy link with these texts" }).waitFor();
});

test("texts that become too many just after a copy leave a button that says so", async () => {
  const page = await openCompared({ permissions: ["clipboard-read", "clipboard-write"] });
  await page.locator("#compare-link").click();
  await page.locator("#compare-link", { hasText: "Copied" }).waitFor();
  const random = Array.from({ length: 8000 }, () => Math.random().toString(36));
  await paste(page, "texts", random.join("\n"));
  await page.waitForTimeout(2000); // by then "Copied" has been taken back
  assert.equal(await page.locator("#compare-link:disabled").textContent(), "Too long for a link");
});

test("a link that is broken opens the page as if there were none", async () => {
  const page = await open("/#texts-deflated=AAAAbroken");
  await compared(page);
  assert.equal(await page.getByLabel("Texts (one per line)").inputValue(), FIRST_TEXTS.join("\n"));
});

// ------------------------------------------------------------------------------------- the request, to paste

const AWKWARD_TEXTS = [
  "It's a 'quoted' text",
  'Say "hello" to $HOME and `ls`',
  "back\\slash \\n",
  "naïve 速い 🦀 \u2028 end",
];

test("the code has up to 20 texts, of more the first three, and the header leads to it", async () => {
  const page = await openCompared();
  const snippet = page.locator("#snippet");
  const inputs = async () => JSON.parse(/'({[^]*})'/.exec((await snippet.textContent()) ?? "")![1]).input;
  const texts = Array.from({ length: 21 }, (_, i) => `text ${i}`);
  await embedTexts(page, texts);
  await snippet.getByText("The first 3 of your 21 texts.").waitFor();
  assert.deepEqual(await inputs(), texts.slice(0, 3));
  await embedTexts(page, texts.slice(0, 20));
  assert.deepEqual(await inputs(), texts.slice(0, 20));
  await page.getByRole("button", { name: "Topics" }).click();
  await compared(page);
  await page.getByRole("link", { name: "Use it in your code" }).click();
  await page.waitForFunction(() => document.activeElement?.id === "snippet");
  assert.ok((await snippet.boundingBox())!.y < 900, "it is in the window");
  assert.ok(
    await snippet.evaluate((pre) => pre.scrollHeight <= pre.clientHeight),
    "nothing of it is cut off",
  );
});

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
    new RequestError(message, { retryAfter }).sentence();
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
  await page.getByRole("button", { name: "API key: set" }).waitFor();
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
  await otherTab.getByRole("button", { name: "API key…" }).waitFor();
});

test("messages are about the texts of a form, not about a request's fields and bytes", () => {
  const sentence = (message: string, about: object, text: number | null, one?: string) =>
    Object.assign(new RequestError(message, about), { text }).sentence(one);
  assert.equal(
    sentence("The body may have at most 8388608 bytes; got 9000063.", { status: 413 }, 1),
    "Text 2 is too long to be sent. Cut it into several.",
  );
  assert.equal(
    sentence(
      "'input' may hold at most 50000 tokens in one request; got 70000.",
      { status: 400, code: "max_tokens_per_request", param: "input" },
      4,
      "Document",
    ),
    "Document 5 is too long: 70,000 tokens, and one request takes 50,000. Cut it into several.",
  );
  assert.equal(
    sentence("'input[3]' must not be an empty string; got ''.", { status: 400, param: "input[3]" }, 503),
    "Text 504 must not be an empty string; got ''.",
  );
});

test("the right key after a wrong one mends both views, whichever it is entered on", async () => {
  const page = await open("/", {}, lockedService);
  await page.locator("#key-error").filter({ hasText: "asks for an API key" }).waitFor();
  const enter = async (key: string) => {
    await page.getByLabel("API key").fill(key);
    await page.getByLabel("API key").press("Enter");
  };
  await enter("wrong");
  await page.locator("#key-error").filter({ hasText: "The API key is wrong" }).waitFor();
  await page.getByRole("tab", { name: "Search documents" }).click();
  await page.locator("#documents-error").filter({ hasText: "see the API key above" }).waitFor();
  await enter(API_KEY);
  await page.locator("#ranking li").first().waitFor();
  await page.getByRole("tab", { name: "Compare texts" }).click();
  await page.locator("#matrix td").first().waitFor();
  assert.ok(await page.locator("#compare-error").isHidden());
});

const MISTAKES = [
  {
    name: "no text",
    at: "texts",
    fill: { texts: " \n " },
    says: "There is no text here yet. Type one per line.",
  },
  {
    name: "a text that is longer than a request may be",
    at: "texts",
    fill: { texts: `short\n${"a ".repeat(300_001)}` },
    says: "Text 2 is too long: 300,001 tokens, and one request takes 300,000. Cut it into several.",
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
    assert.equal(text, says);
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
    await page.locator("#model-facts.error").waitFor();
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

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [1280, 360]) {
    test(`axe finds nothing, ${colorScheme}, ${width} px wide`, async () => {
      const page = await open("/", { colorScheme, viewport: { width, height: 800 }, bypassCSP: true });
      await compared(page);
      await assertAccessible(page, "with the first results");
      await page.getByRole("button", { name: "Topics" }).click();
      await page.locator("#each > li").nth(7).waitFor();
      await page.getByLabel("L2 distance").check();
      await page.locator("#each summary").first().click();
      await page.getByText("not truncated").waitFor();
      await page.getByRole("button", { name: "API key" }).click();
      await paste(page, "texts", "");
      await page.getByRole("button", { name: "Embed" }).click();
      await page.locator("#texts-error").waitFor();
      await assertAccessible(page, "with distances, an open text and an error");
      await page.getByLabel("Texts (one per line)").fill("edited");
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
      // The first row, whose cell on the diagonal has no colour of its own: that value is taken from the second.
      const cells = [
        ...place.querySelectorAll<HTMLElement>('[data-row="0"]:not(.self), [data-row="1"][data-column="0"]'),
      ];
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
  await tabTo("embed");
  await tabTo("compare-link");
  await keys.press("Tab");
  await keys.press("ArrowRight");
  assert.ok(await page.getByLabel("L2 distance").isChecked());
  await keys.press("Tab");
  assert.equal(await focused(), "matrix", "the matrix can be scrolled by keyboard");
  await keys.press("Tab");
  await keys.press("Enter");
  await page.getByText("2, not truncated").first().waitFor();
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
        name:
          at === document.body
            ? ""
            : `${at.tagName} ${at.id || at.textContent?.trim()} ${[...document.querySelectorAll("*")].indexOf(at)}`,
        visible: shown,
      };
    });
    if (name === "" || seen.has(name)) break;
    seen.add(name);
    assert.ok(visible, `${name} has no visible focus`);
  }
  assert.ok(seen.size > 20, [...seen].join(", "));
});

test("at 390 px the base URL has one line, and the tabs stand in the upper third of the window", async () => {
  const page = await openCompared({ viewport: { width: 390, height: 844 } });
  const url = page.locator("#base-url");
  const lines = await url.evaluate((code) => {
    const range = document.createRange();
    range.selectNodeContents(code);
    return range.getClientRects().length;
  });
  assert.equal(lines, 1);
  const { y } = (await page.getByRole("tab", { name: "Compare texts" }).boundingBox())!;
  assert.ok(y < 844 / 3, `the tabs start at ${y} px`);
});

for (const width of [320, 390, 768, 1280, 1920]) {
  test(`nothing is wider than a window of ${width} px`, async () => {
    const page = await openCompared({ viewport: { width, height: 800 } });
    await page.getByRole("button", { name: "Topics" }).click();
    await page.locator("#each > li").nth(7).waitFor();
    assert.equal(await excessWidth(page), 0);
    await embedTexts(page, ["w".repeat(400), "https://example.com/" + "a/".repeat(200)]);
    assert.equal(await excessWidth(page), 0, "with very long words");
    await page.getByRole("tab", { name: "Search documents" }).click();
    await unfoldDocuments(page);
    await page.getByRole("textbox", { name: "Documents" }).fill("w".repeat(400));
    await page.locator("#ranking li").first().waitFor();
    assert.equal(await excessWidth(page), 0, "in the search");
    const snippet = page.locator("#snippet");
    if (width <= 390)
      assert.ok(
        await snippet.evaluate((pre) => pre.scrollWidth <= pre.clientWidth),
        "the lines of the code wrap",
      );
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
test("no page has asked any other origin for anything", assertOneOrigin);
