// Embeds a file through an endpoint: `npm run embed -- FILE [--url URL] [--model M] [--column text] [--out FILE]`.
// FILE is a text file (a text a line), .jsonl, .csv, .md or a folder of Markdown; the output .jsonl, .npy or .parquet.
// What is embedded is kept beside the output until that is whole, so that the same command goes on after Ctrl+C or worse.
import { existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { batchesOf, embedInOrder, type EmbeddedBatch } from "./lib/embed/batches.js";
import { changedModel, Endpoint, Stopped } from "./lib/embed/endpoint.js";
import { type Found, Journal, type JournalRecord, type Settings } from "./lib/embed/journal.js";
import { type OutputRow, writerFor } from "./lib/embed/output.js";
import { duration, number, Progress } from "./lib/embed/progress.js";
import { openSource, type Row, type Source, survey } from "./lib/embed/source.js";
import { integerFlag, runAsCommand, UserError } from "./lib/project.js";

const DEFAULT_URL = "http://localhost:8787";
/** The first model of this project's endpoints answers to any name that they do not list. */
const DEFAULT_MODEL = "embeddings-worker";
const DEFAULT_CONCURRENCY = 4;
const DEFAULT_BATCH = 128;
const MAX_BATCH = 2048;
const MAX_CONCURRENCY = 64;
/**
 * npm and the terminal may each send the same Ctrl+C. (The command is not run by tsx, which kills what does not react to
 * a signal at once, but by node.)
 */
const SAME_SIGNAL_MILLISECONDS = 1_000;
const EXIT_STOPPED = 130;
const LISTED_ROWS = 10;

interface Options {
  file: string;
  out: string;
  column: string;
  url: string;
  key: string | undefined;
  model: string;
  dimensions: number | undefined;
  inputType: string | undefined;
  concurrency: number;
  batch: number;
}

/** Beside the output as long as it is there: whose vectors these are, and which rows want a look. */
interface About {
  settings: Settings;
  found: Found;
  rows: number;
  /** Rows whose vector is zero: there is no word in them. */
  empty: number[];
  /** Rows that are longer than the model reads. */
  truncated: { index: number; tokens: number; tokens_read: number }[];
}

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const source = openSource(options.file, options.column);
  const write = writerFor(options.out, options.column);
  const stop = stopOnSignals();
  const { count, sha256 } = await survey(source);
  if (count === 0) throw new UserError(`${options.file}: there is nothing in it to embed`);
  const settings: Settings = {
    source: sha256,
    model: options.model,
    dimensions: options.dimensions ?? null,
    inputType: options.inputType ?? null,
  };
  if (existsSync(options.out)) return reportFinishedBefore(options.out, settings);
  try {
    const journal = await embedRows(source, count, options, settings, stop);
    await finish(source, journal, options.out, settings, stop, write);
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    console.error("Stopped. What is embedded is kept: the same command goes on from there.");
    // Requests that are still under way would keep the process alive, for nothing.
    process.exit(EXIT_STOPPED);
  }
}

function parseOptions(args: string[]): Options {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      url: { type: "string", default: process.env["EMBEDDINGS_URL"] || DEFAULT_URL },
      key: { type: "string" },
      model: { type: "string", default: DEFAULT_MODEL },
      column: { type: "string", default: "text" },
      out: { type: "string" },
      dimensions: { type: "string" },
      "input-type": { type: "string" },
      concurrency: { type: "string", default: String(DEFAULT_CONCURRENCY) },
      batch: { type: "string", default: String(DEFAULT_BATCH) },
    },
  });
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) {
    throw new UserError(
      "usage: npm run embed -- FILE [--url URL] [--key KEY] [--model M] [--column text] [--out FILE.jsonl|.npy|.parquet] " +
        "[--dimensions N] [--input-type query|document] [--concurrency N] [--batch N]",
    );
  }
  const inputType = values["input-type"];
  if (inputType !== undefined && inputType !== "query" && inputType !== "document")
    throw new UserError(`--input-type wants query or document; got "${inputType}"`);
  return {
    file,
    out: values.out ?? `${resolve(file)}.embeddings.jsonl`,
    column: values.column,
    url: `${values.url.replace(/\/+$/, "").replace(/\/v1(\/embeddings)?$/, "")}/v1`,
    key: values.key ?? (process.env["API_KEY"] || undefined),
    model: values.model,
    dimensions:
      values.dimensions === undefined
        ? undefined
        : integerFlag("--dimensions", values.dimensions, Number.MAX_SAFE_INTEGER),
    inputType,
    concurrency: integerFlag("--concurrency", values.concurrency, MAX_CONCURRENCY),
    batch: integerFlag("--batch", values.batch, MAX_BATCH),
  };
}

/** The first signal stops in good order, a later one at once: the journal is whole at any time. */
function stopOnSignals(): AbortSignal {
  const controller = new AbortController();
  let first = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (controller.signal.aborted) {
        if (performance.now() - first > SAME_SIGNAL_MILLISECONDS) process.exit(EXIT_STOPPED);
        return;
      }
      first = performance.now();
      console.error("\nStopping when the requests under way are answered; Ctrl+C again leaves at once.");
      controller.abort();
    });
  }
  return controller.signal;
}

/** Brings the journal to its last row. */
async function embedRows(
  source: Source,
  count: number,
  options: Options,
  settings: Settings,
  stop: AbortSignal,
): Promise<Journal> {
  const path = journalPath(options.out);
  let journal = Journal.open(path, settings);
  const before = journal?.count ?? 0;
  const progress = new Progress(count, before);
  if (before > 0) progress.note(`${number(before)} of ${number(count)} rows were embedded by an earlier run`);
  const endpoint = new Endpoint({
    ...options,
    baseUrl: options.url,
    stop,
    onRetry: (reason, seconds) => progress.note(`${reason}; again in ${seconds.toFixed(1)} s`),
  });
  const batches = batchesOf(source.rows(), before, options.batch);
  const results = embedInOrder(batches, (texts) => endpoint.embed(texts), options.concurrency);
  for await (const { batch, embedded } of before < count ? results : []) {
    if (embedded !== undefined) {
      const found = { dimensions: embedded.vectors[0]!.length, version: embedded.version };
      journal ??= Journal.create(path, settings, found);
      if (found.version !== journal.found.version)
        throw changedModel(options.url, journal.found.version, found.version);
    }
    if (journal === undefined)
      throw new UserError(`${options.file}: its rows are white space alone: there is nothing to embed`);
    journal.append(recordsOf(batch, embedded, journal.found.dimensions));
    progress.add(batch.rowCount, embedded?.tokens ?? 0);
  }
  progress.clear();
  const { rows, tokens } = progress.totals;
  if (rows > 0) {
    console.error(
      `${number(rows)} rows with ${number(tokens)} tokens in ${duration(progress.seconds)}: ` +
        `${number(rows / progress.seconds)} rows/s, ${number(tokens / progress.seconds)} tokens/s`,
    );
  }
  return journal!;
}

function recordsOf(
  { rowCount, texts }: EmbeddedBatch["batch"],
  embedded: EmbeddedBatch["embedded"],
  dimensions: number,
): JournalRecord[] {
  const records: JournalRecord[] = Array.from({ length: rowCount }, () => ({
    vector: new Float32Array(dimensions),
    tokens: 0,
    tokensRead: 0,
  }));
  texts.forEach(({ offset }, i) => {
    const vector = embedded!.vectors[i]!;
    if (vector.length !== dimensions)
      throw new UserError(
        `the endpoint answered with ${vector.length} dimensions, and with ${dimensions} before`,
      );
    records[offset]!.vector = vector;
  });
  for (const { index, tokens, tokens_read } of embedded?.truncated ?? [])
    Object.assign(records[texts[index]!.offset]!, { tokens, tokensRead: tokens_read });
  return records;
}

/** The journal and the rows once more become the output, which is there when it is whole and not before. */
async function finish(
  source: Source,
  journal: Journal,
  out: string,
  settings: Settings,
  stop: AbortSignal,
  write: ReturnType<typeof writerFor>,
): Promise<void> {
  const { found, count } = journal;
  const about: About = { settings, found, rows: count, empty: [], truncated: [] };
  const places = { empty: [] as string[], truncated: [] as string[] };
  const progress = new Progress(count, 0);

  async function* rows(): AsyncGenerator<OutputRow> {
    const records = journal.records();
    let index = 0;
    for await (const row of source.rows()) {
      if (stop.aborted) throw new Stopped();
      const { value: record } = records.next();
      if (record === undefined)
        throw new UserError(`${source.path} has more rows now than when it was embedded`);
      noteRow(row, index, record);
      yield { row, index, vector: record.vector };
      index++;
      progress.show(`Writing ${out}: ${number(index)} of ${number(count)} rows`);
    }
  }
  function noteRow({ place }: Row, index: number, { vector, tokens, tokensRead }: JournalRecord): void {
    if (tokens > 0) {
      about.truncated.push({ index, tokens, tokens_read: tokensRead });
      if (places.truncated.length < LISTED_ROWS)
        places.truncated.push(`${place} (${number(tokens)} tokens, ${number(tokensRead)} read)`);
    }
    if (vector.some((value) => value !== 0)) return;
    about.empty.push(index);
    if (places.empty.length < LISTED_ROWS) places.empty.push(place);
  }

  const unfinished = `${out}.unfinished`;
  const metadata = { model: settings.model, model_version: found.version };
  try {
    await write(unfinished, rows(), { rows: count, dimensions: found.dimensions, about: metadata });
    writeFileSync(aboutPath(out), `${JSON.stringify(about)}\n`);
    renameSync(unfinished, out);
  } finally {
    rmSync(unfinished, { force: true });
  }
  journal.close();
  rmSync(journalPath(out));
  progress.clear();

  console.log(`${out}: ${described(about)}, ${number(statSync(out).size / 1e6)} MB`);
  list("empty (no word in them, so that their vectors are zero)", about.empty.length, places.empty);
  list("longer than the model reads, and cut", about.truncated.length, places.truncated);
}

function list(what: string, count: number, places: string[]): void {
  if (count === 0) return;
  const more = count > places.length ? `, and ${number(count - places.length)} more` : "";
  console.log(`${number(count)} of them ${count === 1 ? "is" : "are"} ${what}: ${places.join(", ")}${more}`);
}

/** An output that is there is whole; it is never written over. */
function reportFinishedBefore(out: string, settings: Settings): void {
  const about = existsSync(aboutPath(out))
    ? (JSON.parse(readFileSync(aboutPath(out), "utf8")) as About)
    : undefined;
  if (JSON.stringify(about?.settings) !== JSON.stringify(settings)) {
    throw new UserError(
      `${out} is there already, and not from these rows with these settings: remove it, or name another --out`,
    );
  }
  console.log(`${out} is complete already: ${described(about!)}`);
}

function described({ rows, found, settings }: About): string {
  return `${number(rows)} rows of ${found.dimensions} dimensions by ${settings.model} (version ${found.version})`;
}

function journalPath(out: string): string {
  return `${out}.partial`;
}

function aboutPath(out: string): string {
  return `${out}.about.json`;
}
