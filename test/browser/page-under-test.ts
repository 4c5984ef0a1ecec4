// The page in a browser, with what the tests of its views share.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, afterEach, before } from "node:test";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { fromBase64, startService, type Service, type ServiceOptions } from "../lib/harness.js";
import { startBrowser } from "./browser.js";

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

/** Every address that a page of this file asked for. */
export const requested: string[] = [];
/** Errors that no part of the page caught. */
const uncaught: string[] = [];

let browser: Browser;
/** The service that the tests of a file share. */
export let service: Service;

/** Starts a browser and a service for the tests of a file; after each test its pages are closed. */
export function useService(options: ServiceOptions): void {
  before(async () => {
    [browser, service] = await Promise.all([startBrowser(), startService({ assets: true, ...options })]);
    console.log(`Chromium ${browser.version()}`);
  });
  after(async () => {
    await browser?.close();
    await service?.stop();
  });
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    assert.deepEqual(uncaught.splice(0), [], "errors on the page");
  });
}

export async function open(path = "/", options: BrowserContextOptions = {}, of = service): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.on("request", (request) => requested.push(request.url()));
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.on("pageerror", (error) => uncaught.push(String(error.stack)));
  await page.goto(of.url + path);
  return page;
}

export async function openCompared(options: BrowserContextOptions = {}): Promise<Page> {
  const page = await open("/", options);
  await compared(page);
  return page;
}

/** Waits until all that belongs to a comparison is there. */
export async function compared(page: Page): Promise<void> {
  await page.locator("#compare-results").waitFor();
  await page.locator("#panel-compare[aria-busy=false]").waitFor();
}

/** As a paste does it, at once: Playwright's fill() takes seconds for thousands of lines. */
export async function paste(page: Page, id: string, text: string): Promise<void> {
  await page.locator(`#${id}`).evaluate((field, value) => {
    (field as HTMLInputElement).value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, text);
}

export async function embedTexts(page: Page, texts: string[]): Promise<void> {
  await paste(page, "texts", texts.join("\n"));
  await page.getByRole("button", { name: "Embed" }).click();
  const counted = `${texts.length.toLocaleString("en")} ${texts.length === 1 ? "text" : "texts"}, `;
  await page.locator("#compare-status", { hasText: counted }).waitFor();
  await page.locator("#compare-stale").waitFor({ state: "hidden" });
  await compared(page);
}

/** The endpoint's own vectors, asked for without the page. */
export async function vectorsOf(input: string[], more: object = {}): Promise<Float32Array[]> {
  const response = await service.embed({ model: "test", input, encoding_format: "base64", ...more });
  const answer = (await response.json()) as { data: { embedding: string }[] };
  return answer.data.map(({ embedding }) => fromBase64(embedding));
}

/** The texts of each request for embeddings that the page sends from now on. */
export function sentTexts(page: Page): string[][] {
  const sent: string[][] = [];
  page.on("request", (request) => {
    if (request.method() === "POST")
      sent.push([(request.postDataJSON() as { input: string | string[] }).input].flat());
  });
  return sent;
}

export function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, k) => sum + value * b[k], 0);
}

export function cosine(a: Float32Array, b: Float32Array): number {
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

export function distance(a: Float32Array, b: Float32Array): number {
  return Math.hypot(...a.map((value, k) => value - b[k]));
}

export async function matrixOf(page: Page): Promise<number[][]> {
  const rows = await page
    .locator("#matrix tbody tr")
    .evaluateAll((found) =>
      found.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent ?? "")),
    );
  return rows.map((row) => row.map((text) => Number(text.replace("−", "-"))));
}

export function assertMatrix(got: number[][], vectors: Float32Array[], measure: typeof cosine): void {
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

export async function assertAccessible(page: Page, state: string): Promise<void> {
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

/** In a narrow window the documents are folded away until they are asked for. */
export async function unfoldDocuments(page: Page): Promise<void> {
  const edit = page.getByRole("button", { name: /documents? · Edit/ });
  if (await edit.isVisible()) await edit.click();
}

/** How much the page is wider than its window. */
export function excessWidth(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Call it last in a file: it looks at what all the tests above made the page ask for. */
export function assertOneOrigin(): void {
  const others = requested.filter(
    (url) => !/^(?:http:\/\/127\.0\.0\.1:\d+\/|data:)/.test(url) && !url.startsWith("https://other.example/"),
  );
  assert.deepEqual(others, []);
  assert.ok(requested.length > 100);
}
