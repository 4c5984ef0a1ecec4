// The rows of a file: of plain text a line each, of JSONL and CSV a record each, of Markdown a passage each. Rows come
// one after the other, so that a file may be larger than memory, and they come the same way each time.
import { createHash } from "node:crypto";
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join, relative, sep } from "node:path";
import { parse } from "csv-parse";
import { UserError } from "../project.js";
import { passagesOf } from "./markdown.js";

export type Fields = Record<string, unknown>;

export interface Row {
  text: string;
  /** What else the source says of it: its columns, or where the passage stands. */
  fields: Fields;
  /** Where a person finds it: "line 7", "record 7", "notes/a.md:7". */
  place: string;
}

export type Rows = AsyncIterable<Row>;

export interface Source {
  path: string;
  rows: () => Rows;
}

/** The file's name says what is in it. `column` names the text of a JSONL or CSV record. */
export function openSource(path: string, column: string): Source {
  if (!existsSync(path)) throw new UserError(`${path}: there is no such file or folder`);
  if (statSync(path).isDirectory()) return { path, rows: () => markdownRows(path, markdownFiles(path)) };
  switch (extname(path).toLowerCase()) {
    case ".jsonl":
    case ".ndjson":
      return { path, rows: () => jsonlRows(path, column) };
    case ".csv":
      return { path, rows: () => csvRows(path, column) };
    case ".md":
    case ".markdown":
      return { path, rows: () => markdownRows(join(path, ".."), [path]) };
    case ".parquet":
    case ".json":
      throw new UserError(
        `${path}: a text file, .jsonl, .csv, .md or a folder of Markdown can be read, and no ${extname(path)}`,
      );
    default:
      return { path, rows: () => textRows(path) };
  }
}

/** Reads all rows once: how many there are, what they hash to, and the first mistake before anything is embedded. */
export async function survey(source: Source): Promise<{ count: number; sha256: string }> {
  const hash = createHash("sha256");
  let count = 0;
  for await (const { text, fields } of source.rows()) {
    count++;
    hash.update(`${JSON.stringify([text, fields])}\n`);
  }
  return { count, sha256: hash.digest("hex") };
}

async function* textRows(path: string): Rows {
  for await (const { text, number } of lines(path)) yield { text, fields: {}, place: `line ${number}` };
}

async function* jsonlRows(path: string, column: string): Rows {
  for await (const { record, line } of jsonlRecords(path)) {
    const place = `line ${line}`;
    yield typeof record === "string"
      ? { text: record, fields: {}, place }
      : rowOfRecord(path, place, record, column);
  }
}

async function* csvRows(path: string, column: string): Rows {
  for await (const { record, number } of csvRecords(path))
    yield rowOfRecord(path, `record ${number}`, record, column);
}

/** Of each line that is not blank, the object or string that it holds. */
export async function* jsonlRecords(path: string): AsyncIterable<{ record: Fields | string; line: number }> {
  for await (const { text, number: line } of lines(path)) {
    if (text.trim() === "") continue;
    let record: unknown;
    try {
      record = JSON.parse(text);
    } catch (error) {
      throw new UserError(`${path}, line ${line}: not JSON: ${(error as Error).message}`);
    }
    if (
      typeof record !== "string" &&
      (typeof record !== "object" || record === null || Array.isArray(record))
    )
      throw new UserError(
        `${path}, line ${line}: a line must be an object or a string; got ${text.slice(0, 50)}`,
      );
    yield { record: record as Fields | string, line };
  }
}

/** Records by the names in the first one; `line` is that in which a record ends. */
export async function* csvRecords(
  path: string,
): AsyncIterable<{ record: Fields; number: number; line: number }> {
  const file = createReadStream(path);
  const records = file.pipe(parse({ columns: true, bom: true, skip_empty_lines: true, info: true }));
  file.on("error", (error) => records.destroy(error));
  let number = 0;
  try {
    for await (const { record, info } of records as AsyncIterable<{
      record: Fields;
      info: { lines: number };
    }>)
      yield { record, number: ++number, line: info.lines };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path}: ${(error as Error).message}`);
  } finally {
    file.destroy();
  }
}

function rowOfRecord(path: string, place: string, record: Fields, column: string): Row {
  const { [column]: text, ...fields } = record;
  if (typeof text === "string") return { text, fields, place };
  const names = Object.keys(record).join(", ");
  throw new UserError(
    text === undefined
      ? `${path}, ${place}: there is no '${column}' among ${names}: --column names the text`
      : `${path}, ${place}: '${column}' must be a string; got ${JSON.stringify(text).slice(0, 50)}`,
  );
}

async function* markdownRows(folder: string, files: string[]): Rows {
  for (const path of files) {
    const file = relative(folder, path).split(sep).join("/");
    for (const { line, heading, text } of passagesOf(readFileSync(path, "utf8"))) {
      const headed = heading === "" ? text : `${heading}\n${text}`;
      yield { text: headed, fields: { file, line, heading }, place: `${file}:${line}` };
    }
  }
}

function markdownFiles(folder: string): string[] {
  const isHidden = (path: string): boolean =>
    relative(folder, path)
      .split(sep)
      .some((part) => part === "node_modules" || part.startsWith("."));
  const files = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.(md|markdown)$/i.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !isHidden(path))
    .sort();
  if (files.length === 0) throw new UserError(`${folder}: there are no Markdown files (*.md) in this folder`);
  return files;
}

/**
 * Ends at line feeds alone: node:readline also ends lines at U+2028, which may stand in the middle of JSON.
 * A line feed at the very end begins no further line.
 */
export async function* lines(path: string): AsyncGenerator<{ text: string; number: number }> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  let rest = "";
  let number = 0;
  const decoded = (bytes?: Uint8Array): string => {
    try {
      return bytes === undefined ? decoder.decode() : decoder.decode(bytes, { stream: true });
    } catch {
      throw new UserError(`${path}: not UTF-8, in or after line ${number + 1}`);
    }
  };
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
    const ended = (rest + decoded(chunk as Buffer)).split("\n");
    rest = ended.pop()!;
    for (const text of ended) yield { text: withoutCarriageReturn(text), number: ++number };
  }
  rest += decoded();
  if (rest !== "") yield { text: withoutCarriageReturn(rest), number: ++number };
}

function withoutCarriageReturn(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
