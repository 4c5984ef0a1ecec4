// Measures the table of docs/benchmarks.md: `npm run bench`, or `npm run bench -- --quick` for a short one.
//
// Plain workerd has one core and the load generator the other. Each row is measured beside its ceiling, which
// does the least that the same work can take; the two alternate in short rounds, so that whatever else the machine
// does falls on both, and a row's ratio is the median of its rounds' ratios.
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { bundle } from "../scripts/lib/bundle.js";
import { PROJECT_ROOT, runAsCommand, SHIPPED_WEIGHTS } from "../scripts/lib/project.js";
import { compareColdStarts, type ColdStart } from "./cold-start.js";
import { compareEmbedders, type EmbedderRows } from "./embedder.js";
import { checkForWrk, sendLoad } from "./load.js";
import { count, median, ratio, spread, table, type Row } from "./numbers.js";
import { compareWithPeers, PEERS_OF_STATIC } from "./peers.js";
import { alternate, speed } from "./rounds.js";
import { makeEnglishTexts, makeTexts } from "./texts.js";
import { transformerRows } from "./transformer.js";
import { bundledModules, residentBytes, startWorkerd, type RunningServer } from "./workerd.js";

const CONSTANT_WORKER = join(PROJECT_ROOT, "bench", "constant-worker.js");

const CONNECTIONS = 16;
/** Where requests take long: a round must see many of them answered. */
const CONNECTIONS_OF_LARGE_REQUESTS = 4;
const WORDS_OF_A_SHORT_TEXT = 8;

interface Settings {
  rounds: number;
  seconds: number;
  coldStarts: number;
  longRequests: number;
}
const FULL: Settings = { rounds: 7, seconds: 1, coldStarts: 15, longRequests: 1000 };
const QUICK: Settings = { rounds: 1, seconds: 1, coldStarts: 3, longRequests: 10 };

interface Workload {
  name: string;
  texts: string[];
  base64: boolean;
}

const WORKLOADS: Workload[] = [
  { name: "one short text, base64", texts: makeTexts(1, WORDS_OF_A_SHORT_TEXT), base64: true },
  { name: "one short text, float", texts: makeTexts(1, WORDS_OF_A_SHORT_TEXT), base64: false },
  {
    name: "100 short texts, base64",
    texts: makeTexts(100, WORDS_OF_A_SHORT_TEXT),
    base64: true,
  },
  { name: "100 short texts, float", texts: makeTexts(100, WORDS_OF_A_SHORT_TEXT), base64: false },
  { name: "one text of 250 words, base64", texts: makeTexts(1, 250), base64: true },
  {
    name: "2048 short texts, base64",
    texts: makeTexts(2048, WORDS_OF_A_SHORT_TEXT),
    base64: true,
  },
];
const PEER_WORKLOADS = [
  { name: "one short English text, base64", texts: makeEnglishTexts(1, WORDS_OF_A_SHORT_TEXT), base64: true },
  {
    name: "100 short English texts, base64",
    texts: makeEnglishTexts(100, WORDS_OF_A_SHORT_TEXT),
    base64: true,
  },
];

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean", default: false },
      weights: { type: "string", default: SHIPPED_WEIGHTS },
    },
  });
  checkForWrk();
  const settings = values.quick ? QUICK : FULL;
  const kvFolder = mkdtempSync(join(tmpdir(), "embeddings-worker-kv-"));
  try {
    symlinkSync(resolve(values.weights), join(kvFolder, "model-weights"));
    const rows = await measure(await bundle(), values.weights, kvFolder, settings);
    console.log(table(rows));
  } finally {
    rmSync(kvFolder, { recursive: true, force: true });
  }
}

async function measure(
  workerPath: string,
  weightsPath: string,
  kvFolder: string,
  settings: Settings,
): Promise<Row[]> {
  const startWorker = (): Promise<RunningServer> =>
    startWorkerd({ modules: bundledModules(workerPath), kvFolder });
  const dimensions = await dimensionsOf(startWorker);
  const rows: Row[] = [];
  for (const workload of WORKLOADS) rows.push(await compareWithConstant(workload, startWorker, settings));
  progress("what users would pick instead");
  const peerWorkloads = PEER_WORKLOADS.map((workload) => ({ ...workload, body: requestBody(workload) }));
  rows.push(...(await compareWithPeers(PEERS_OF_STATIC, peerWorkloads, startWorker, settings)));
  progress("the transformer");
  rows.push(...(await transformerRows(workerPath, kvFolder, weightsPath, settings)));
  rows.push(...coldStartRows(await compareColdStarts(workerPath, kvFolder, settings.coldStarts)));
  rows.push(await compareMemory(startWorker, readFileSync(weightsPath).byteLength, settings));
  rows.push(
    ...embedderRows(await compareEmbedders({ weightsPath, kvFolder, dimensions, rounds: settings.rounds })),
  );
  return rows;
}

async function compareWithConstant(
  workload: Workload,
  startWorker: () => Promise<RunningServer>,
  settings: Settings,
): Promise<Row> {
  progress(workload.name);
  const body = requestBody(workload);
  const worker = await startWorker();
  const answer = await embed(worker, body);
  const constant = await startWorkerd({
    modules: [CONSTANT_WORKER],
    bindings: { ANSWER_BYTES: answer.byteLength },
  });
  const connections = workload.texts.length > 1000 ? CONNECTIONS_OF_LARGE_REQUESTS : CONNECTIONS;
  const [measured, ceiling] = await alternate([worker, constant], body, { ...settings, connections });
  const ratios = measured!.map((round, i) => round.perSecond / ceiling![i]!.perSecond);
  await Promise.all([worker.stop(), constant.stop()]);
  return {
    work: workload.name,
    measured: `${speed(measured!)} of CPU each`,
    ceiling: speed(ceiling!),
    ratio: `${ratio(median(ratios))} (by CPU ${ratio(
      median(measured!.map((round, i) => ceiling![i]!.cpuMicroseconds / round.cpuMicroseconds)),
    )})`,
    spread: spread(ratios),
  };
}

function coldStartRows(coldStarts: ColdStart[]): Row[] {
  const against = (ceiling: "dropping" | "keeping", did: string): Row => {
    const ratios = coldStarts.map((start) => start.worker.milliseconds / start[ceiling].milliseconds);
    return {
      work: `cold isolate to the first answer, against reading the same bytes from KV and ${did} them`,
      measured: `${median(coldStarts.map(({ worker }) => worker.milliseconds)).toFixed(1)} ms`,
      ceiling: `${median(coldStarts.map((start) => start[ceiling].milliseconds)).toFixed(1)} ms`,
      ratio: ratio(median(ratios)),
      spread: spread(ratios),
    };
  };
  const ownCpu = (ceiling: "dropping" | "keeping"): number =>
    median(coldStarts.map((start) => start.worker.cpu - start[ceiling].cpu));
  return [
    against("dropping", "dropping"),
    against("keeping", "keeping"),
    {
      work: "the same, CPU of our own code",
      measured: `${ownCpu("dropping").toFixed(1)} ms more than dropping, ${ownCpu("keeping").toFixed(1)} ms more than keeping`,
      ceiling: "",
      ratio: "",
      spread: "",
    },
  ];
}

/** After the first answer of each: later on V8 gives each Worker's heap what it likes, by how many requests it gets. */
async function compareMemory(
  startWorker: () => Promise<RunningServer>,
  weightsBytes: number,
  { rounds }: Settings,
): Promise<Row> {
  progress("memory");
  const body = requestBody(WORKLOADS[0]!);
  const above: number[] = [];
  const constantBytes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const worker = await startWorker();
    const { byteLength } = await embed(worker, body);
    const constant = await startWorkerd({
      modules: [CONSTANT_WORKER],
      bindings: { ANSWER_BYTES: byteLength },
    });
    await embed(constant, body);
    constantBytes.push(residentBytes(constant.pid));
    above.push(residentBytes(worker.pid) - residentBytes(constant.pid) - weightsBytes);
    await Promise.all([worker.stop(), constant.stop()]);
  }
  return {
    work: "memory above that of the constant Worker, after the first answer",
    measured: `${megabytes(median(above) + weightsBytes)} MB, of which ${megabytes(weightsBytes)} MB are the weights`,
    ceiling: `constant Worker: ${megabytes(median(constantBytes))} MB`,
    ratio: `weights + ${megabytes(median(above))} MB`,
    spread: `+ ${megabytes(Math.min(...above))} to + ${megabytes(Math.max(...above))} MB`,
  };
}

function embedderRows({ embedWasm, embedNative, sum, writerWasm, writerNative }: EmbedderRows): Row[] {
  const rows: Row[] = [];
  if (sum !== undefined && embedNative !== undefined) {
    rows.push({
      work: "the embedder alone, native, one core, against a sum over the same rows",
      measured: `${millions(embedNative)} words/s`,
      ceiling: `${millions(sum)} words/s`,
      ratio: ratio(median(embedNative) / median(sum)),
      spread: spread(embedNative.map((value, i) => value / sum[i]!)),
    });
  }
  const native = (values: number[] | undefined): string =>
    values === undefined ? "not measured: no native build" : `native: ${millions(values)}`;
  const against = (wasm: number[], values: number[] | undefined): Pick<Row, "ratio" | "spread"> =>
    values === undefined
      ? { ratio: "", spread: "" }
      : {
          ratio: ratio(median(wasm) / median(values)),
          spread: spread(wasm.map((value, i) => value / values[i]!)),
        };
  rows.push(
    {
      work: "the embedder alone, wasm in workerd, against native",
      measured: `${millions(embedWasm)} words/s`,
      ceiling: native(embedNative),
      ...against(embedWasm, embedNative),
    },
    {
      work: "the writer of floats, wasm in workerd, against native",
      measured: `${millions(writerWasm)} numbers/s`,
      ceiling: native(writerNative),
      ...against(writerWasm, writerNative),
    },
  );
  return rows;
}

function requestBody({ texts, base64 }: Pick<Workload, "texts" | "base64">): string {
  return JSON.stringify({
    model: "text-embedding-3-small",
    input: texts.length === 1 ? texts[0] : texts,
    ...(base64 && { encoding_format: "base64" }),
  });
}

async function dimensionsOf(startWorker: () => Promise<RunningServer>): Promise<number> {
  const server = await startWorker();
  const { dimensions } = (await (await fetch(`${server.url}/health`)).json()) as { dimensions: number };
  await server.stop();
  return dimensions;
}

async function embed(server: RunningServer, body: string): Promise<ArrayBuffer> {
  const response = await fetch(`${server.url}/v1/embeddings`, {
    method: "POST",
    body,
    headers: { "content-type": "application/json" },
  });
  if (response.status !== 200)
    throw new Error(`the Worker answered ${response.status}: ${await response.text()}`);
  return response.arrayBuffer();
}

function millions(values: number[]): string {
  return `${(median(values) / 1e6).toFixed(1)} million`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function progress(step: string): void {
  console.error(`${process.uptime().toFixed(0).padStart(4)} s: ${step}`);
}
