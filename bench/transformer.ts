// The transformer that ships, in the Worker: beside its peers, in a cold isolate, in memory, and how others fare meanwhile.
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { PROJECT_ROOT } from "../scripts/lib/project.js";
import { catalogueOf, immutableKey, readWeights } from "../scripts/lib/weights.js";
import { firstRequests } from "./cold-start.js";
import { sendOneByOne } from "./load.js";
import { median, ratio, spread, type Row } from "./numbers.js";
import { compareWithOthers, compareWithPeers, PEERS_OF_TRANSFORMER } from "./peers.js";
import { makeEnglishTexts } from "./texts.js";
import {
  bundledModules,
  residentBytes,
  startWorkerd,
  type RunningServer,
  type WorkerFiles,
} from "./workerd.js";

const FILE = join(PROJECT_ROOT, "model", "embeddings-worker-minilm.bin");
const ENCODER_FILE = join(PROJECT_ROOT, "model", "embeddings-worker-encoder.bin");
const MODEL = "all-MiniLM-L6-v2";
const WORDS_OF_256_TOKENS = 254;
/** Everyday words are one token each, and two tokens are special: 12, 100 x 12 and 256. */
const WORKLOADS = [
  { name: "one text of 12 tokens", texts: makeEnglishTexts(1, 10) },
  { name: "100 texts of 12 tokens", texts: makeEnglishTexts(100, 10), isLong: true },
  { name: "one text of 256 tokens", texts: makeEnglishTexts(1, WORDS_OF_256_TOKENS), isLong: true },
];
const FIRST_REQUESTS = 10;
/** As many tokens as one request may hold, nearly: 175 x 256 = 44,800. */
const TEXTS_OF_A_LARGE_REQUEST = 175;
const MILLISECONDS_BETWEEN_CHECKS = 50;

interface Settings {
  rounds: number;
  seconds: number;
  coldStarts: number;
  /** For memory, which must not grow. */
  longRequests: number;
}

/** `staticWeights` lies in `kvFolder` under the default key. */
export async function transformerRows(
  workerPath: string,
  kvFolder: string,
  staticWeights: string,
  settings: Settings,
): Promise<Row[]> {
  const models = [staticWeights, FILE, ENCODER_FILE].map((file) => {
    const weights = readWeights(file);
    return { file, weights, key: immutableKey(weights) };
  });
  for (const { file, key } of models) symlinkSync(file, join(kvFolder, key));
  const [, minilm, encoder] = models;
  const both = models.slice(0, 2);
  const serving = (...served: typeof models): WorkerFiles => ({
    modules: bundledModules(workerPath),
    kvFolder,
    bindings: { MODELS: catalogueOf(served) },
  });
  const worker = serving(...both);
  const workloads = WORKLOADS.map((workload) => ({
    ...workload,
    name: `${MODEL}, ${workload.name}`,
    body: requestBody(workload.texts),
  }));
  return [
    ...(await compareWithPeers(PEERS_OF_TRANSFORMER, workloads, () => startWorkerd(worker), settings)),
    ...(await encoderRows(serving(encoder!), serving(minilm!), settings)),
    ...(await coldRows(worker, settings)),
    ...(await rowsOfLongWork(
      worker,
      both.reduce((sum, { weights }) => sum + weights.bytes.byteLength, 0),
      settings,
    )),
  ];
}

/** Our encoder beside MiniLM, each with its lexical part and as the only model of a Worker. */
async function encoderRows(encoder: WorkerFiles, minilm: WorkerFiles, settings: Settings): Promise<Row[]> {
  const workloads = WORKLOADS.map((workload) => ({
    ...workload,
    name: `embeddings-worker-encoder, ${workload.name}`,
    body: requestBody(workload.texts, "the only one"),
  }));
  const other = { shown: "embeddings-worker-minilm", start: () => startWorkerd(minilm) };
  return compareWithOthers([other], workloads, () => startWorkerd(encoder), settings);
}

async function coldRows(worker: WorkerFiles, { coldStarts }: Settings): Promise<Row[]> {
  const [texts] = WORKLOADS.map(({ texts }) => texts);
  const bodies = [requestBody(texts!), requestBody(texts!, "embeddings-worker")];
  const pairs: number[][][] = [];
  for (let i = 0; i <= coldStarts; i++) {
    const pair: number[][] = [];
    for (const body of bodies)
      pair.push((await firstRequests(worker, FIRST_REQUESTS, body)).map((first) => first.milliseconds));
    pairs.push(pair);
  }
  // The first one brings the files into the page cache.
  const counted = pairs.slice(1);
  const ratios = counted.map(([own, other]) => own![0]! / other![0]!);
  const middle = (side: number, place: number): number => median(counted.map((pair) => pair[side]![place]!));
  return [
    {
      work: `${MODEL}, cold isolate to the first answer, against the static model`,
      measured: `${middle(0, 0).toFixed(0)} ms`,
      ceiling: `${middle(1, 0).toFixed(0)} ms`,
      ratio: ratio(median(ratios)),
      spread: spread(ratios),
    },
    {
      work: `${MODEL}, the first ${FIRST_REQUESTS} requests of an isolate, 12 tokens each`,
      measured: `${Array.from({ length: FIRST_REQUESTS }, (_, place) => middle(0, place).toFixed(0)).join(", ")} ms`,
      ceiling: "",
      ratio: "",
      spread: "",
    },
  ];
}

async function rowsOfLongWork(
  worker: WorkerFiles,
  weightsBytes: number,
  { longRequests }: Settings,
): Promise<Row[]> {
  const server = await startWorkerd(worker);
  const empty = await startWorkerd({
    modules: [join(PROJECT_ROOT, "bench", "constant-worker.js")],
    bindings: { ANSWER_BYTES: 1 },
  });
  const sendTo = async ({ url }: RunningServer, texts: string[], model?: string): Promise<void> => {
    const answer = await fetch(`${url}/v1/embeddings`, {
      method: "POST",
      body: requestBody(texts, model),
      headers: { "content-type": "application/json" },
    });
    await answer.arrayBuffer();
  };
  const above: number[] = [];
  const long = makeEnglishTexts(1, 512);
  // The constant Worker gets the same requests: a process of workerd grows by some kilobytes with each.
  for (let i = 1; i <= longRequests; i++) {
    for (const to of [server, empty]) {
      await sendTo(to, long);
      await sendTo(to, long, "embeddings-worker");
    }
    if (i % Math.ceil(longRequests / 10) === 0)
      above.push(residentBytes(server.pid) - residentBytes(empty.pid));
  }
  const slowest = await slowestHealth(server, () =>
    sendTo(server, makeEnglishTexts(TEXTS_OF_A_LARGE_REQUEST, WORDS_OF_256_TOKENS)),
  );
  await Promise.all([server.stop(), empty.stop()]);
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
  return [
    {
      work: `memory with both models above that of the constant Worker, after each tenth of ${longRequests} requests of 512 words to either`,
      measured: `${above.map(megabytes).join(", ")} MB, of which ${megabytes(weightsBytes)} MB are the weights`,
      ceiling: "",
      ratio: "",
      spread: "",
    },
    {
      work: `the slowest GET /health while one request of ${TEXTS_OF_A_LARGE_REQUEST * 256} tokens computes`,
      measured: `${slowest.toFixed(0)} ms`,
      ceiling: "",
      ratio: "",
      spread: "",
    },
  ];
}

async function slowestHealth(server: RunningServer, work: () => Promise<void>): Promise<number> {
  let isDone = false;
  const working = work().then(() => (isDone = true));
  let slowest = 0;
  while (!isDone) {
    await pause(MILLISECONDS_BETWEEN_CHECKS);
    const sent = performance.now();
    await (await fetch(`${server.url}/health`)).arrayBuffer();
    slowest = Math.max(slowest, performance.now() - sent);
  }
  await working;
  return slowest;
}

function requestBody(texts: string[], model = MODEL): string {
  return JSON.stringify({ model, input: texts.length === 1 ? texts[0] : texts, encoding_format: "base64" });
}
