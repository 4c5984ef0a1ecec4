/**
 * Semantic search over a folder of Markdown files.
 *
 *   npx tsx search.ts index <folder>      embeds every section and stores it in one SQLite file
 *   npx tsx search.ts ask "<question>"    prints the sections that are nearest in meaning
 *
 * Vectors of two models cannot be compared. The endpoint names its weights in the header x-model-version; the
 * index keeps that name, and a question that comes back with another one is refused.
 */
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { parseArgs } from "node:util";
import Database from "libsql";
import OpenAI from "openai";
import * as sqliteVec from "sqlite-vec";

const BASE_URL = process.env["EMBEDDINGS_BASE_URL"] ?? "http://localhost:8787/v1";
const API_KEY = process.env["EMBEDDINGS_API_KEY"] ?? "not-needed";
const TEXTS_PER_REQUEST = 256;
/** Longer sections are split: the vector of a long text is a blur of all that it says. */
const PASSAGE_WORDS = 80;
const SHOWN_CHARACTERS = 240;

const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY });

interface Passage {
  file: string;
  line: number;
  /** The section's heading after those above it. */
  heading: string;
  text: string;
}

/** A mistake that the user can mend: its message is printed without a stack. */
class UserError extends Error {}

try {
  await main();
} catch (error) {
  if (error instanceof OpenAI.APIConnectionError) {
    console.error(
      `error: no answer from ${BASE_URL}. Is the Worker running? EMBEDDINGS_BASE_URL says where to ask.`,
    );
  } else if (error instanceof UserError || error instanceof OpenAI.APIError) {
    console.error(`error: ${error.message}`);
  } else {
    throw error;
  }
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      index: { type: "string", default: "markdown-index.db" },
      top: { type: "string", default: "5" },
    },
  });
  const [command, argument, ...rest] = positionals;
  const top = Number(values.top);
  if (!Number.isInteger(top) || top < 1 || top > 100) {
    throw new UserError(`--top is a number of passages from 1 to 100; got ${values.top}`);
  }
  if (command === "index" && argument !== undefined && rest.length === 0)
    return index(argument, values.index);
  if (command === "ask" && argument !== undefined)
    return ask([argument, ...rest].join(" "), values.index, top);
  throw new UserError(
    'usage: search.ts index <folder> | search.ts ask "<question>" [--top N], both with [--index FILE]',
  );
}

async function index(folder: string, indexFile: string): Promise<void> {
  const files = markdownFiles(folder);
  const passages = files.flatMap((path) => passagesOf(relative(folder, path), readFileSync(path, "utf8")));
  if (passages.length === 0)
    throw new UserError(`there is no text in Markdown files (*.md) under ${resolve(folder)}`);

  // Built beside the old index and moved over it at the end: a failure half-way leaves the old one as it was.
  const unfinished = `${indexFile}.unfinished`;
  rmSync(unfinished, { force: true });
  let database: Database.Database | undefined;
  let version: string | undefined;
  let stored = 0;
  try {
    for (let start = 0; start < passages.length; start += TEXTS_PER_REQUEST) {
      const batch = passages.slice(start, start + TEXTS_PER_REQUEST);
      const answer = await embed(batch.map(({ heading, text }) => `${heading}\n${text}`));
      version ??= answer.version;
      if (answer.version !== version) {
        throw new UserError(
          `the endpoint changed its model from ${version} to ${answer.version} meanwhile: index again`,
        );
      }
      database ??= createIndex(unfinished, answer.vectors[0]!.length, version);
      stored += store(database, batch, answer.vectors, start);
    }
    database?.close();
    renameSync(unfinished, indexFile);
  } catch (error) {
    database?.close();
    rmSync(unfinished, { force: true });
    throw error;
  }
  console.log(
    `${stored} passages of ${files.length} files are in ${indexFile}, embedded by model ${version}.`,
  );
}

async function ask(question: string, indexFile: string, top: number): Promise<void> {
  if (!existsSync(indexFile))
    throw new UserError(`there is no ${indexFile}: run \`search.ts index <folder>\` first`);
  const database = openDatabase(indexFile);
  const { value: indexVersion } = database
    .prepare("SELECT value FROM about WHERE name = 'model version'")
    .get() as { value: string };
  const { vectors, version } = await embed([question]);
  if (isZero(vectors[0]!))
    throw new UserError("the question has no word in it, and so no embedding that could be compared");
  if (version !== indexVersion) {
    throw new UserError(
      `${indexFile} was made with model ${indexVersion}, and ${BASE_URL} now serves model ${version}. ` +
        "Their vectors cannot be compared: run `search.ts index <folder>` again.",
    );
  }
  const found = database
    .prepare(
      `SELECT file, line, heading, text, 1 - distance AS similarity
       FROM (SELECT rowid, distance FROM vectors WHERE embedding MATCH ? AND k = ?)
       JOIN passages ON passages.id = rowid ORDER BY distance`,
    )
    .all(bytesOf(vectors[0]!), BigInt(top)) as (Passage & { similarity: number })[];
  for (const { file, line, heading, text, similarity } of found) {
    const oneLine = text.replace(/\s+/g, " ").trim();
    const shown =
      oneLine.length > SHOWN_CHARACTERS ? `${oneLine.slice(0, SHOWN_CHARACTERS).trimEnd()}…` : oneLine;
    console.log(`${similarity.toFixed(3)}  ${file}:${line}  ${heading}\n       ${shown}\n`);
  }
}

// --------------------------------------------------------------------------------------------- the endpoint

async function embed(input: string[]): Promise<{ vectors: Float32Array[]; version: string }> {
  const { data, response } = await client.embeddings
    .create({ model: "embeddings-worker", input })
    .withResponse();
  return {
    vectors: data.data.map(({ embedding }) => Float32Array.from(embedding)),
    version: response.headers.get("x-model-version") ?? "unknown",
  };
}

// ------------------------------------------------------------------------------------------------- Markdown

function markdownFiles(folder: string): string[] {
  if (!existsSync(folder)) throw new UserError(`there is no folder ${resolve(folder)}`);
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(md|markdown)$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (path) =>
        !relative(folder, path)
          .split(sep)
          .some((part) => part === "node_modules" || part.startsWith(".")),
    )
    .sort();
}

/** One passage for each section, and several for a long one. A # in a code block is no heading. */
function passagesOf(file: string, markdown: string): Passage[] {
  const passages: Passage[] = [];
  let headings: string[] = [];
  let lines: string[] = [];
  let firstLine = 1;
  let fence: string | undefined;
  const finish = (nextLine: number) => {
    const text = lines.join("\n").trim();
    const blankLines = Math.max(
      0,
      lines.findIndex((line) => line.trim() !== ""),
    );
    const heading = headings.filter(Boolean).join(" › ");
    if (text !== "") passages.push({ file, line: firstLine + blankLines, heading, text });
    [lines, firstLine] = [[], nextLine];
  };
  markdown.split(/\r?\n/).forEach((line, i) => {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark !== undefined && (fence === undefined || (mark.startsWith(fence) && /^\s*\S+\s*$/.test(line)))) {
      fence = fence === undefined ? mark : undefined;
    }
    const heading =
      fence === undefined && mark === undefined ? /^ {0,3}(#{1,6})\s+(.*?)(?:\s+#+)?\s*$/.exec(line) : null;
    if (heading) {
      finish(i + 2);
      const level = heading[1]!.length;
      headings = [...Array.from({ length: level - 1 }, (_, at) => headings[at] ?? ""), heading[2]!];
      return;
    }
    const startsPart = fence === undefined && /^\s*(?:$|[-*+] |\d+[.)] )/.test(line);
    if (startsPart && wordCount(lines) >= PASSAGE_WORDS) finish(i + 1);
    lines.push(line);
  });
  finish(0);
  return passages;
}

function wordCount(lines: string[]): number {
  return lines.join(" ").split(/\s+/).filter(Boolean).length;
}

// ---------------------------------------------------------------------------------------------- the database

function openDatabase(path: string): Database.Database {
  const database = new Database(path);
  sqliteVec.load(database);
  return database;
}

function createIndex(path: string, dimensions: number, version: string): Database.Database {
  const database = openDatabase(path);
  database.exec(`
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE passages (id INTEGER PRIMARY KEY, file TEXT, line INTEGER, heading TEXT, text TEXT);
    CREATE VIRTUAL TABLE vectors USING vec0(embedding float[${dimensions}] distance_metric=cosine);
  `);
  database.prepare("INSERT INTO about VALUES ('model version', ?)").run(version);
  return database;
}

/** How many there are to find: the distance to a zero vector is no number, and would spoil the order of the others. */
function store(
  database: Database.Database,
  passages: Passage[],
  vectors: Float32Array[],
  firstId: number,
): number {
  const hasWords = vectors.map((vector) => !isZero(vector));
  const insertPassage = database.prepare("INSERT INTO passages VALUES (?, ?, ?, ?, ?)");
  const insertVector = database.prepare("INSERT INTO vectors (rowid, embedding) VALUES (?, ?)");
  database.transaction(() => {
    passages.forEach(({ file, line, heading, text }, i) => {
      if (!hasWords[i]) return;
      const id = BigInt(firstId + i); // a BigInt, since a number would be bound as a float
      insertPassage.run(id, file, BigInt(line), heading, text);
      insertVector.run(id, bytesOf(vectors[i]!));
    });
  })();
  return hasWords.filter(Boolean).length;
}

/** What a text without a word has: punctuation or emoji alone. */
function isZero(vector: Float32Array): boolean {
  return vector.every((value) => value === 0);
}

function bytesOf(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength);
}
