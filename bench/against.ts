// This Worker beside that of another commit, with the same weights: `npm run bench:against -- <commit>`.
//
// Both answer the same requests in turn, in batches of some hundredths of a second. A figure is the median of all batches, a
// row's ratio the median of the ratios of neighbours: above 1 this Worker needs more. The last column has the middle half of
// these. Uncommitted changes are measured as they lie there.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "../scripts/lib/bundle.js";
import {
  integerFlag,
  PROJECT_ROOT,
  runAsCommand,
  SHIPPED_WEIGHTS,
  UserError,
} from "../scripts/lib/project.js";
import { runWrangler } from "../scripts/lib/wrangler.js";
import { firstRequest, type FirstRequest } from "./cold-start.js";
import { count, median, middleHalf, ratio, table, type Row } from "./numbers.js";
import { alternateBatches } from "./rounds.js";
import { makeTexts } from "./texts.js";
import { bundledModules, LOAD_CORE, residentBytes, startWorkerd, type WorkerFiles } from "./workerd.js";

const WORDS_OF_A_SHORT_TEXT = 8;
const WORKLOADS = [
  { name: "one short text, base64", texts: 1, words: WORDS_OF_A_SHORT_TEXT, format: "base64", batch: 100 },
  { name: "one short text, float", texts: 1, words: WORDS_OF_A_SHORT_TEXT, format: "float", batch: 100 },
  { name: "100 short texts, base64", texts: 100, words: WORDS_OF_A_SHORT_TEXT, format: "base64", batch: 12 },
  { name: "100 short texts, float", texts: 100, words: WORDS_OF_A_SHORT_TEXT, format: "float", batch: 8 },
  { name: "one text of 250 words, base64", texts: 1, words: 250, format: "base64", batch: 60 },
  { name: "2048 short texts, base64", texts: 2048, words: WORDS_OF_A_SHORT_TEXT, format: "base64", batch: 2 },
];
const CONNECTIONS = 4;
const MAX_REPEATS = 1000;

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      weights: { type: "string", default: SHIPPED_WEIGHTS },
      batches: { type: "string", default: "200" },
      "cold-starts": { type: "string", default: "30" },
    },
    allowPositionals: true,
  });
  const [commit] = positionals;
  if (commit === undefined || positionals.length > 1)
    throw new UserError("the commit to compare with is missing: npm run bench:against -- <commit>");
  const batches = integerFlag("--batches", values.batches, MAX_REPEATS);
  const coldStarts = integerFlag("--cold-starts", values["cold-starts"], MAX_REPEATS);
  // The requests come from this process: it leaves the servers' core to them.
  spawnSync("taskset", ["--all-tasks", "--pid", "--cpu-list", String(LOAD_CORE), String(process.pid)]);
  const folder = mkdtempSync(join(tmpdir(), "embeddings-worker-against-"));
  const other = join(folder, "other");
  try {
    symlinkSync(resolve(values.weights), join(folder, "model-weights"));
    if (git("add", "--quiet", "--detach", other, commit) !== 0)
      throw new UserError(`git cannot check out '${commit}', the commit to compare with`);
    const workers = [await bundle(), await bundleIn(other)].map((worker) => ({
      modules: bundledModules(worker),
      kvFolder: folder,
    }));
    const rows: Row[] = [];
    for (const workload of WORKLOADS) rows.push(...(await compareSpeed(workers, workload, batches)));
    rows.push(...(await compareFirstRequests(workers, coldStarts)));
    console.log(table(rows, ["work", "this Worker", commit, "ratio", "middle half"]));
  } finally {
    if (existsSync(other)) git("remove", "--force", other);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** `git worktree`; returns its exit status. Git itself says what is wrong. */
function git(...args: string[]): number | null {
  return spawnSync("git", ["worktree", ...args], { cwd: PROJECT_ROOT, stdio: "inherit" }).status;
}

/** With this project's tools: what differs is the source. */
async function bundleIn(projectFolder: string): Promise<string> {
  symlinkSync(join(PROJECT_ROOT, "node_modules"), join(projectFolder, "node_modules"));
  const output = join(projectFolder, "dist");
  const result = await runWrangler(["deploy", "--cwd", projectFolder, "--dry-run", "--outdir", output]);
  if (result.exitCode !== 0) throw new UserError(`that commit does not bundle:\n${result.output.trim()}`);
  return join(output, "worker.js");
}

async function compareSpeed(
  workers: WorkerFiles[],
  { name, texts, words, format, batch }: (typeof WORKLOADS)[number],
  batches: number,
): Promise<Row[]> {
  console.error(name);
  const input = makeTexts(texts, words);
  const body = JSON.stringify({
    model: "text-embedding-3-small",
    input: texts === 1 ? input[0] : input,
    encoding_format: format,
  });
  const servers = await Promise.all(workers.map((worker) => startWorkerd(worker)));
  const settings = { batches, requestsOfABatch: batch, connections: CONNECTIONS };
  const [ours, theirs] = await alternateBatches(servers, body, settings);
  const memory = servers.map(({ pid }) => residentBytes(pid));
  await Promise.all(servers.map((server) => server.stop()));
  const microseconds = ours!.map((own, i) => [own, theirs![i]!]);
  return [
    compared(`${name}, CPU`, microseconds, (value) => `${count(value)} µs`),
    compared(`${name}, memory after all batches`, [memory], megabytes),
  ];
}

async function compareFirstRequests(workers: WorkerFiles[], times: number): Promise<Row[]> {
  console.error("first requests");
  const pairs: FirstRequest[][] = [];
  for (let i = 0; i <= times; i++) {
    const pair: FirstRequest[] = [];
    for (const worker of workers) pair.push(await firstRequest(worker));
    pairs.push(pair);
  }
  // The first one brings the file into the page cache.
  const counted = pairs.slice(1);
  const of = (measure: (request: FirstRequest) => number): number[][] =>
    counted.map((pair) => pair.map(measure));
  return [
    compared(
      "first request of an isolate",
      of(({ milliseconds }) => milliseconds),
      tenths,
    ),
    compared(
      "first request of an isolate, CPU",
      of(({ cpu }) => cpu),
      tenths,
    ),
    compared(
      "memory after the first request",
      of(({ residentBytes }) => residentBytes),
      megabytes,
    ),
  ];
}

/** `pairs`: ours and theirs, of neighbouring batches or requests. */
function compared(work: string, pairs: number[][], show: (value: number) => string): Row {
  const [ours, theirs] = [0, 1].map((side) => median(pairs.map((pair) => pair[side]!)));
  const ratios = pairs.map(([own, other]) => own! / other!);
  return {
    work,
    measured: show(ours!),
    ceiling: show(theirs!),
    ratio: ratio(median(ratios)),
    spread: middleHalf(ratios),
  };
}

function tenths(milliseconds: number): string {
  return `${milliseconds.toFixed(1)} ms`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
