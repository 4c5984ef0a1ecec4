// How well the example finds what is asked for: questions about the documents of some npm packages, written by hand,
// and the places that answer them. MRR@10: the mean of 1 / rank of the first right place, 0 where none is among ten.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, sep } from "node:path";
import { after, before, test } from "node:test";
import { Bm25 } from "../../public/bm25.js";
import { SHIPPED_WEIGHTS } from "../../scripts/lib/project.js";
import { startService, type Service } from "../../test/lib/harness.js";
import { embeddedText, Endpoint, find, indexFolder, openIndex, passagesOf, type Choice } from "./search.js";

interface Questions {
  /** Versions, by package. */
  packages: Record<string, string>;
  /** A place is a file and the last heading above the answer. */
  questions: { question: string; places: string[] }[];
}

const { packages, questions } = JSON.parse(
  readFileSync(join(import.meta.dirname, "questions.json"), "utf8"),
) as Questions;
const TOP = 10;

let folder: string;
let documents: string;
let service: Service;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "search-questions-"));
  documents = join(folder, "documents");
  fetchDocuments();
  service = await startService({ weights: readFileSync(SHIPPED_WEIGHTS) });
});

after(async () => {
  await service?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** README.md and docs/*.md of each package, without the packages that it depends on. */
function fetchDocuments(): void {
  const names = Object.entries(packages).map(([name, version]) => `${name}@${version}`);
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder, ...names], { cwd: folder });
  for (const [name, version] of Object.entries(packages)) {
    const unpacked = join(folder, name);
    mkdirSync(unpacked);
    execFileSync("tar", [
      "-xzf",
      join(folder, `${name}-${version}.tgz`),
      "-C",
      unpacked,
      "--strip-components=1",
    ]);
    mkdirSync(join(documents, name, "docs"), { recursive: true });
    const readme = readdirSync(unpacked).find((file) => /^readme\.md$/i.test(file))!;
    copyFileSync(join(unpacked, readme), join(documents, name, "README.md"));
    const docs = join(unpacked, "docs");
    for (const file of existsSync(docs) ? readdirSync(docs) : [])
      if (file.endsWith(".md")) copyFileSync(join(docs, file), join(documents, name, "docs", file));
  }
}

/** Headings are compared without their marks. */
function plain(place: string): string {
  return place.replaceAll(sep, "/").replace(/[`*~]/g, "").replace(/\s+/g, " ").trim().toLowerCase();
}

function reciprocalRank(places: string[], ranked: { file: string; sections: string[] }[]): number {
  const right = new Set(places.map(plain));
  const at = ranked
    .slice(0, TOP)
    .findIndex(({ file, sections }) => sections.some((section) => right.has(plain(`${file}#${section}`))));
  return at < 0 ? 0 : 1 / (at + 1);
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function score(baseURL: string, choice: Choice): Promise<number> {
  const endpoint = new Endpoint(baseURL, choice);
  const indexFile = join(folder, `${choice.model}-${choice.dimensions ?? "own"}.db`);
  await indexFolder(documents, indexFile, endpoint);
  const index = openIndex(indexFile);
  const ranks: number[] = [];
  for (const { question, places } of questions)
    ranks.push(reciprocalRank(places, await find(question, index, endpoint, TOP)));
  index.database.close();
  return mean(ranks);
}

test("each place that a question expects is in the documents", () => {
  const places = new Set(
    allPassages().flatMap(({ file, sections }) => sections.map((one) => plain(`${file}#${one}`))),
  );
  assert.deepEqual(
    questions.flatMap((one) => one.places).filter((place) => !places.has(plain(place))),
    [],
  );
  assert.ok(questions.length >= 40);
});

test("finds the places that answer its questions, as often as it did before", async () => {
  const figures: Record<string, number> = { "BM25, for comparison": bm25() };
  // EMBEDDINGS_BASE_URL measures another endpoint, with all the models that it lists.
  const baseURL = process.env["EMBEDDINGS_BASE_URL"] ?? `${service.url}/v1`;
  const listed = (await (await fetch(`${baseURL}/models`)).json()) as {
    data: { id: string; architecture?: string }[];
  };
  for (const { id, architecture = "static" } of listed.data) {
    const all = architecture === "static" ? [384, 1024] : [undefined];
    for (const dimensions of all)
      figures[`${id}, ${dimensions ?? "its own"} dimensions`] = await score(baseURL, {
        model: id,
        dimensions,
      });
  }
  console.log(`MRR@${TOP} of ${questions.length} questions:`);
  for (const [name, figure] of Object.entries(figures)) console.log(`  ${figure.toFixed(3)}  ${name}`);
  for (const { id, architecture = "static" } of listed.data) {
    const best = Math.max(
      ...Object.entries(figures).flatMap(([name, value]) => (name.startsWith(id) ? [value] : [])),
    );
    assert.ok(best >= (architecture === "static" ? 0.55 : 0.75), `${id}: ${best}`);
  }
});

function allPassages() {
  return (readdirSync(documents, { recursive: true }) as string[])
    .filter((file) => file.endsWith(".md"))
    .sort()
    .flatMap((file) => passagesOf(file, readFileSync(join(documents, file), "utf8")));
}

/** The same passages, each section once, ranked by BM25. */
function bm25(): number {
  const passages = allPassages();
  const index = new Bm25(passages.map(embeddedText));
  return mean(
    questions.map(({ question, places }) => {
      const sections = new Map<string, (typeof passages)[number]>();
      for (const { index: at } of index.rank(question)) {
        const passage = passages[at]!;
        const section = `${passage.file}\n${passage.heading}`;
        if (!sections.has(section)) sections.set(section, passage);
      }
      return reciprocalRank(places, [...sections.values()]);
    }),
  );
}
