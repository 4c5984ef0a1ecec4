// Pairs of texts that belong together, out of a file, and the two parts of them that are held back.
import { createHash } from "node:crypto";
import { existsSync, statSync } from "node:fs";
import { extname } from "node:path";
import { csvRecords, jsonlRecords, lines, type Fields } from "../embed/source.js";
import { UserError } from "../project.js";

export interface Pair {
  anchor: string;
  positive: string;
}

export interface Split {
  training: Pair[];
  /** Chooses the rate and the epoch. */
  choosing: Pair[];
  /** Neither learned from nor chosen by: what is printed is measured on these. */
  report: Pair[];
}

/** The names of the two columns, the anchor's first. */
export type Columns = [string, string];
const DEFAULT_COLUMNS: Columns = ["anchor", "positive"];

/** With fewer, what is held back says nothing. */
const MIN_PAIRS = 100;
const HELD_BACK_SHARE = 0.1;
const MIN_HELD_BACK = 25;
const MAX_HELD_BACK = 500;
const SHOWN_CHARACTERS = 60;

interface Place {
  path: string;
  line: number;
}

/** The pairs of a .tsv, .csv or .jsonl file, each once, white space as single spaces. */
export async function readPairs(path: string, columns?: Columns): Promise<Pair[]> {
  if (!existsSync(path)) throw new UserError(`${path}: there is no such file`);
  if (!statSync(path).isFile()) throw new UserError(`${path} is not a file`);
  const distinct = new Map<string, Pair>();
  for await (const pair of pairsOf(path, columns)) distinct.set(`${pair.anchor}\t${pair.positive}`, pair);
  if (distinct.size < MIN_PAIRS)
    throw new UserError(`${path}: at least ${MIN_PAIRS} different pairs are wanted; got ${distinct.size}`);
  return [...distinct.values()];
}

function pairsOf(path: string, columns?: Columns): AsyncIterable<Pair> {
  const extension = extname(path).toLowerCase();
  if (extension === ".tsv" || extension === ".txt") return tsvPairs(path, columns);
  if (extension === ".csv") return csvPairs(path, columns ?? DEFAULT_COLUMNS);
  if (extension === ".jsonl" || extension === ".ndjson") return jsonlPairs(path, columns ?? DEFAULT_COLUMNS);
  throw new UserError(
    `${path}: .tsv, .csv or .jsonl can be read, and no ${extension || "file without an ending"}`,
  );
}

/**
 * `anchor<TAB>positive` in each line, nothing quoted. A first line that says just that is a header; with `columns` the
 * first line is one in any case.
 */
async function* tsvPairs(path: string, columns?: Columns): AsyncIterable<Pair> {
  let header: string[] | undefined;
  for await (const { text, number: line } of lines(path)) {
    if (text.trim() === "") continue;
    const place = { path, line };
    const cells = text.split("\t");
    if (header === undefined) {
      const isHeader = columns !== undefined || cells.join("\t") === DEFAULT_COLUMNS.join("\t");
      header = isHeader ? cells : DEFAULT_COLUMNS;
      if (isHeader) continue;
    }
    if (cells.length !== header.length) {
      const expected =
        columns === undefined ? "2 columns (anchor, a tab, positive)" : `${header.length} columns`;
      throw refusal(place, `expected ${expected}, got ${cells.length}: ${excerpt(text)}`);
    }
    const record = Object.fromEntries(header.map((name, i) => [name, cells[i]]));
    yield pairOf(record, columns ?? DEFAULT_COLUMNS, place);
  }
}

async function* csvPairs(path: string, columns: Columns): AsyncIterable<Pair> {
  for await (const { record, line } of csvRecords(path)) yield pairOf(record, columns, { path, line });
}

async function* jsonlPairs(path: string, columns: Columns): AsyncIterable<Pair> {
  for await (const { record, line } of jsonlRecords(path)) {
    const place = { path, line };
    if (typeof record === "string")
      throw refusal(place, `expected an object with ${columns.join(" and ")}, got a string`);
    yield pairOf(record, columns, place);
  }
}

function pairOf(record: Fields, columns: Columns, place: Place): Pair {
  const [anchor, positive] = columns.map((column) => {
    const text = record[column];
    if (text === undefined) {
      const names = Object.keys(record).join(", ");
      throw refusal(
        place,
        `there is no column '${column}' among ${names}: --columns anchor,positive names the two`,
      );
    }
    if (typeof text !== "string")
      throw refusal(place, `'${column}' must be a string; got ${excerpt(JSON.stringify(text))}`);
    const oneLine = text.replace(/\s+/g, " ").trim();
    if (oneLine === "") throw refusal(place, `expected text in the column ${column}, got none`);
    return oneLine;
  });
  return { anchor: anchor!, positive: positive! };
}

function refusal({ path, line }: Place, problem: string): UserError {
  return new UserError(`${path}, line ${line}: ${problem}`);
}

function excerpt(text: string): string {
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}…`;
}

/** The same pairs are always split the same way, whatever their order. */
export function splitPairs(pairs: Pair[]): Split {
  const hash = ({ anchor, positive }: Pair) =>
    createHash("sha256").update(`${anchor}\t${positive}`).digest("hex");
  const shuffled = pairs
    .map((pair) => ({ pair, order: hash(pair) }))
    .sort((a, b) => (a.order < b.order ? -1 : 1))
    .map(({ pair }) => pair);
  const share = Math.round(pairs.length * HELD_BACK_SHARE);
  const held = Math.min(MAX_HELD_BACK, Math.max(MIN_HELD_BACK, share));
  return {
    choosing: shuffled.slice(0, held),
    report: shuffled.slice(held, 2 * held),
    training: shuffled.slice(2 * held),
  };
}
