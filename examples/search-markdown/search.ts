/**
 * Semantic search over a folder of Markdown files.
 *
 *   npx tsx search.ts index <folder>      embeds every section and stores it in one SQLite file
 *   npx tsx search.ts ask "<question>"    prints the sections that are nearest in meaning
 *
 * Vectors of two models cannot be compared. The endpoint names its weights in the header x-model-version; the
 * index keeps that name, and a question that comes back with another one is refused.
 */
import { existsSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import Database from "libsql";
import OpenAI from "openai";
import * as sqliteVec from "sqlite-vec";

const BASE_URL = process.env["EMBEDDINGS_BASE_URL"] ?? "http://localhost:8787/v1";
const API_KEY = process.env["EMBEDDINGS_API_KEY"] ?? "not-needed";
const DEFAULT_MODEL = "embeddings-worker";
const TEXTS_PER_REQUEST = 64;
/** Longer sections are split: the vector of a long text is a blur of all that it says. */
const PASSAGE_WORDS = 80;
/** Shorter ones are joined with the next: the vector of few words is near to many questions that they do not answer. */
const STUB_WORDS = 12;
/** Less prose than this beside a block of code, and the code is embedded with it. */
const FEWEST_PROSE_WORDS = 8;
/** Passages asked for to have one section to show: a section may have several near ones. */
const PASSAGES_PER_SECTION = 4;
const SHOWN_CHARACTERS = 240;

export interface Passage {
  file: string;
  line: number;
  /** The section's heading after those above it. */
  heading: string;
  /** The headings of all the sections that it holds: several where stubs were joined. */
  sections: string[];
  text: string;
}

export interface Choice {
  model: string;
  /** undefined: the meaning part alone where the endpoint says how long that is, otherwise the model's own number. */
  dimensions: number | undefined;
}

/** A mistake that the user can mend: its message is printed without a stack. */
class UserError extends Error {}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      index: { type: "string", default: "markdown-index.db" },
      top: { type: "string", default: "5" },
      model: { type: "string" },
      dimensions: { type: "string" },
    },
  });
  const [command, argument, ...rest] = positionals;
  const top = wholeNumber("--top", "a number of passages", values.top, 100);
  if (command === "index" && argument !== undefined && rest.length === 0) {
    const dimensions =
      values.dimensions === undefined
        ? undefined
        : wholeNumber("--dimensions", "a number of values", values.dimensions, 65_536);
    const endpoint = new Endpoint(BASE_URL, { model: values.model ?? DEFAULT_MODEL, dimensions });
    console.log(await indexFolder(argument, values.index, endpoint));
    return;
  }
  if (command === "ask" && argument !== undefined) {
    if (values.model !== undefined || values.dimensions !== undefined) {
      throw new UserError(
        "--model and --dimensions belong to `index`; `ask` takes what the index was made with",
      );
    }
    return ask([argument, ...rest].join(" "), values.index, top);
  }
  throw new UserError(
    "usage: search.ts index <folder> [--model NAME] [--dimensions N] | " +
      'search.ts ask "<question>" [--top N], both with [--index FILE]',
  );
}

function wholeNumber(flag: string, what: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UserError(`${flag} is ${what} from 1 to ${most}; got ${text}`);
}

/** Embeds what is in the folder's Markdown files, and says what it did. */
export async function indexFolder(folder: string, indexFile: string, endpoint: Endpoint): Promise<string> {
  const files = markdownFiles(folder);
  const withoutWords: string[] = [];
  const passages = files.flatMap((path) => {
    const file = relative(folder, path);
    const found = passagesOf(file, readFileSync(path, "utf8"));
    if (found.length === 0) withoutWords.push(file);
    return found;
  });
  if (passages.length === 0)
    throw new UserError(`there is no text in Markdown files (*.md) under ${resolve(folder)}`);

  // Built beside the old index and moved over it at the end: a failure half-way leaves the old one as it was.
  const unfinished = `${indexFile}.unfinished`;
  rmSync(unfinished, { force: true });
  let database: Database.Database | undefined;
  let version: string | undefined;
  let stored = 0;
  let dimensions = 0;
  try {
    for (let start = 0; start < passages.length; start += TEXTS_PER_REQUEST) {
      const batch = passages.slice(start, start + TEXTS_PER_REQUEST);
      const answer = await endpoint.embed(batch.map(embeddedText), "document");
      version ??= answer.version;
      if (answer.version !== version) {
        throw new UserError(
          `the endpoint changed its model from ${version} to ${answer.version} meanwhile: index again`,
        );
      }
      dimensions = answer.vectors[0]!.length;
      database ??= createIndex(unfinished, { ...endpoint.choice, dimensions, version });
      stored += store(database, batch, answer.vectors, start);
      const zeros = batch.filter((_, i) => isZero(answer.vectors[i]!));
      withoutWords.push(...zeros.map(({ file, line }) => `${file}:${line}`));
    }
    database?.close();
    renameSync(unfinished, indexFile);
  } catch (error) {
    database?.close();
    rmSync(unfinished, { force: true });
    throw error;
  }
  return (
    `${stored} passages of ${files.length} files are in ${indexFile}, ` +
    `embedded by ${endpoint.choice.model} (weights ${version}) in ${dimensions} dimensions.` +
    withoutWords.map((place) => `\nLeft out, since it has no word: ${place}`).join("")
  );
}

async function ask(question: string, indexFile: string, top: number): Promise<void> {
  if (!existsSync(indexFile))
    throw new UserError(`there is no ${indexFile}: run \`search.ts index <folder>\` first`);
  const index = openIndex(indexFile);
  const found = await find(question, index, new Endpoint(BASE_URL, index), top);
  for (const { file, line, heading, text, similarity } of found) {
    const oneLine = text.replace(/\s+/g, " ").trim();
    const shown =
      oneLine.length > SHOWN_CHARACTERS ? `${oneLine.slice(0, SHOWN_CHARACTERS).trimEnd()}…` : oneLine;
    console.log(`${similarity.toFixed(3)}  ${file}:${line}  ${heading}\n       ${shown}\n`);
  }
}

/** The headings often hold the words that people search for. Code says little of what it is for. */
export function embeddedText({ heading, text }: Passage): string {
  const prose = text.replace(/^ {0,3}(`{3,}|~{3,})[^]*?(?:^ {0,3}\1.*$|$(?![^]))/gm, "").trim();
  return `${heading}\n${wordCount([prose]) >= FEWEST_PROSE_WORDS ? prose : text}`;
}

export interface Found extends Passage {
  similarity: number;
}

/** The sections that are nearest to the question, best first, each with its nearest passage. */
export async function find(
  question: string,
  index: Index,
  endpoint: Endpoint,
  top: number,
): Promise<Found[]> {
  const { vectors, version } = await endpoint.embed([question], "query").catch((error: unknown) => {
    // Another model may not have as many dimensions as the index, and then refuses.
    const version = error instanceof OpenAI.APIError ? error.headers?.get("x-model-version") : undefined;
    if (!version || version === index.version) throw error;
    return { vectors: [], version };
  });
  if (version !== index.version) {
    throw new UserError(
      `${index.path} was made with weights ${index.version}, and ${endpoint.baseURL} now serves ${version}. ` +
        "Their vectors cannot be compared: run `search.ts index <folder>` again.",
    );
  }
  if (isZero(vectors[0]!))
    throw new UserError("the question has no word in it, and so no embedding that could be compared");
  const rows = index.database
    .prepare(
      `SELECT file, line, heading, sections, text, 1 - distance AS similarity
       FROM (SELECT rowid, distance FROM vectors WHERE embedding MATCH ? AND k = ?)
       JOIN passages ON passages.id = rowid ORDER BY distance`,
    )
    .all(bytesOf(vectors[0]!), BigInt(top * PASSAGES_PER_SECTION)) as (Omit<Found, "sections"> & {
    sections: string;
  })[];
  const best = new Map<string, Found>();
  for (const row of rows) {
    const section = `${row.file}\n${row.heading}`;
    if (!best.has(section)) best.set(section, { ...row, sections: row.sections.split("\n") });
  }
  return [...best.values()].slice(0, top);
}

// --------------------------------------------------------------------------------------------- the endpoint

/** What an entry of GET /v1/models says beyond OpenAI's fields; another endpoint's says nothing of it. */
interface ModelFacts {
  architecture?: string;
  semantic_dimensions?: number;
}

export class Endpoint {
  readonly #client: OpenAI;
  #facts: Promise<ModelFacts> | undefined;

  constructor(
    readonly baseURL: string,
    readonly choice: Choice,
  ) {
    this.#client = new OpenAI({ baseURL, apiKey: API_KEY });
  }

  async embed(
    input: string[],
    inputType: "query" | "document",
  ): Promise<{ vectors: Float32Array[]; version: string }> {
    const { architecture = "static", semantic_dimensions } = await (this.#facts ??= this.#modelFacts());
    const dimensions = this.choice.dimensions ?? semantic_dimensions;
    const { data, response } = await this.#client.embeddings
      .create({
        model: this.choice.model,
        input,
        ...(dimensions === undefined ? {} : { dimensions }),
        // Some transformers were taught with words before each question and each document; the Worker knows them.
        // Other endpoints may refuse fields that they do not know.
        ...(architecture === "static" ? {} : { input_type: inputType }),
      })
      .withResponse();
    return {
      vectors: data.data.map(({ embedding }) => Float32Array.from(embedding)),
      version: response.headers.get("x-model-version") ?? "unknown",
    };
  }

  async #modelFacts(): Promise<ModelFacts> {
    try {
      const { data } = await this.#client.models.list();
      return (data.find(({ id }) => id === this.choice.model) ?? {}) as ModelFacts;
    } catch (error) {
      if (error instanceof OpenAI.APIConnectionError) throw error;
      return {};
    }
  }
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

/**
 * One passage for each section, and several for a long one. A # in a code block is no heading; a <summary> is one. A
 * section of few words is joined with those that follow it.
 */
export function passagesOf(file: string, markdown: string): Passage[] {
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
    const own = headings.at(-1) ?? "";
    if (/[\p{L}\p{N}]/u.test(text))
      passages.push({ file, line: firstLine + blankLines, heading, sections: [own], text });
    [lines, firstLine] = [[], nextLine];
  };
  withoutHtml(markdown.replace(/\r\n?/g, "\n"))
    .split("\n")
    .forEach((line, i) => {
      const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
      if (
        mark !== undefined &&
        (fence === undefined || (mark.startsWith(fence) && /^\s*\S+\s*$/.test(line)))
      ) {
        fence = fence === undefined ? mark : undefined;
      }
      const heading =
        fence === undefined && mark === undefined ? /^ {0,3}(#{1,7})\s+(.*?)(?:\s+#+)?\s*$/.exec(line) : null;
      if (heading) {
        finish(i + 2);
        const level = heading[1]!.length;
        // Where levels are left out, what stands between stays empty.
        headings = [
          ...Array.from({ length: level - 1 }, (_, at) => headings[at] ?? ""),
          withoutMarks(heading[2]!),
        ];
        return;
      }
      const startsPart = fence === undefined && /^\s*(?:$|[-*+] |\d+[.)] )/.test(line);
      if (startsPart && wordCount(lines) >= PASSAGE_WORDS) finish(i + 1);
      // A list of links into this page says where something stands, not what it is.
      if (fence === undefined && /^\s*(?:[-*+]|\d+[.)])\s*\[.*\]\(#[^)]*\)\s*$/.test(line)) lines.push("");
      else lines.push(fence === undefined ? withoutMarks(line) : line);
    });
  finish(0);
  return withoutStubs(passages);
}

const SUMMARY_LEVEL = 7; // below all headings

/** Leaves code as it is, and as many lines as there were. */
function withoutHtml(markdown: string): string {
  const pieces =
    /^ {0,3}(`{3,}|~{3,})[^]*?(?:^ {0,3}\1[`~]*[ \t]*$|$(?![^]))|(`+)[^`][^\n]*?\2|<!--[^]*?-->|<summary[^>]*>([^]*?)<\/summary>|<\/?[a-z][^<>]*>/gim;
  return markdown.replace(
    pieces,
    (whole: string, fence: string | undefined, code: string | undefined, summary?: string) => {
      if (fence !== undefined || code !== undefined) return whole;
      const lineBreaks = whole.replace(/[^\n]/g, "");
      if (summary === undefined) return lineBreaks;
      const text = withoutHtml(summary).replace(/\s+/g, " ").trim();
      return `${"#".repeat(SUMMARY_LEVEL)} ${text}${lineBreaks}`;
    },
  );
}

/** Links become their texts; badges and other pictures, and where links lead to, go. */
function withoutMarks(line: string): string {
  return line
    .replace(/!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])/g, "")
    .replace(/\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])/g, "$1")
    .replace(/^\s*\[[^\]]+\]:\s*\S+.*$/, "")
    .replace(/\{#[\w-]+\}/g, "")
    .trimEnd();
}

/** Joins a passage of few words with the ones behind it, as long as they are in one file and short enough together. */
function withoutStubs(passages: Passage[]): Passage[] {
  const kept: Passage[] = [];
  for (const passage of passages) {
    const before = kept.at(-1);
    const isShort = before !== undefined && wordCount([before.text]) < STUB_WORDS;
    if (!isShort || wordCount([before.text, passage.text]) > 2 * PASSAGE_WORDS) {
      kept.push(passage);
      continue;
    }
    const [section] = passage.sections as [string];
    before.text += `\n${section === before.sections.at(-1) ? "" : section}\n${passage.text}`;
    if (section !== before.sections.at(-1)) before.sections.push(section);
  }
  return kept;
}

function wordCount(lines: string[]): number {
  return lines.join(" ").split(/\s+/).filter(Boolean).length;
}

// ---------------------------------------------------------------------------------------------- the database

export interface Index extends Choice {
  path: string;
  version: string;
  database: Database.Database;
}

export function openIndex(path: string): Index {
  const database = openDatabase(path);
  const rows = database.prepare("SELECT name, value FROM about").all() as { name: string; value: string }[];
  const about = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  const { model, dimensions, version } = about;
  if (model === undefined || dimensions === undefined || version === undefined)
    throw new UserError(`${path} is of an older form: run \`search.ts index <folder>\` again`);
  return { path, database, model, dimensions: Number(dimensions), version };
}

function openDatabase(path: string): Database.Database {
  const database = new Database(path);
  sqliteVec.load(database);
  return database;
}

function createIndex(
  path: string,
  about: { model: string; dimensions: number; version: string },
): Database.Database {
  const database = openDatabase(path);
  database.exec(`
    CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
    CREATE TABLE passages (id INTEGER PRIMARY KEY, file TEXT, line INTEGER, heading TEXT, sections TEXT, text TEXT);
    CREATE VIRTUAL TABLE vectors USING vec0(embedding float[${about.dimensions}] distance_metric=cosine);
  `);
  const insert = database.prepare("INSERT INTO about VALUES (?, ?)");
  for (const [name, value] of Object.entries(about)) insert.run(name, String(value));
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
  const insertPassage = database.prepare("INSERT INTO passages VALUES (?, ?, ?, ?, ?, ?)");
  const insertVector = database.prepare("INSERT INTO vectors (rowid, embedding) VALUES (?, ?)");
  database.transaction(() => {
    passages.forEach(({ file, line, heading, sections, text }, i) => {
      if (!hasWords[i]) return;
      const id = BigInt(firstId + i); // a BigInt, since a number would be bound as a float
      insertPassage.run(id, file, BigInt(line), heading, sections.join("\n"), text);
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

// Last, since the classes above must be there; and only where this file is what was started, not what a test imports.
if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
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
}
