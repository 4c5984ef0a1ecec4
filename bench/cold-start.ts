// The first request of an isolate, which loads the weights, beside that of a Worker that reads and drops them.
import { join } from "node:path";
import { PROJECT_ROOT } from "../scripts/project.js";
import { bundledModules, cpuMilliseconds, startWorkerd } from "./workerd.js";
import type { WorkerFiles } from "./workerd.js";

const KV_READER = join(PROJECT_ROOT, "bench", "kv-reader.js");
const BODY = JSON.stringify({ model: "m", input: "The first text that this isolate sees", encoding_format: "base64" });

export interface ColdStarts {
  /** Milliseconds from the request to the whole answer, in pairs of neighbours. */
  toFirstAnswer: { worker: number; reader: number }[];
  /** CPU of the Worker's process beyond that of the reader's, of each pair. */
  ownCpuMilliseconds: number[];
}

export async function compareColdStarts(workerPath: string, kvFolder: string, count: number): Promise<ColdStarts> {
  const results: ColdStarts = { toFirstAnswer: [], ownCpuMilliseconds: [] };
  // The first pair brings the file into the page cache.
  for (let i = 0; i <= count; i++) {
    const worker = await firstRequest({ modules: bundledModules(workerPath), kvFolder });
    const reader = await firstRequest({ modules: [KV_READER], kvFolder });
    if (i === 0) continue;
    results.toFirstAnswer.push({ worker: worker.milliseconds, reader: reader.milliseconds });
    results.ownCpuMilliseconds.push(worker.cpu - reader.cpu);
  }
  return results;
}

async function firstRequest(worker: WorkerFiles): Promise<{ milliseconds: number; cpu: number }> {
  const server = await startWorkerd(worker);
  const cpuBefore = cpuMilliseconds(server.pid);
  const started = performance.now();
  const response = await fetch(`${server.url}/v1/embeddings`, {
    method: "POST",
    body: BODY,
    headers: { "content-type": "application/json" },
  });
  await response.arrayBuffer();
  const milliseconds = performance.now() - started;
  const cpu = cpuMilliseconds(server.pid) - cpuBefore;
  await server.stop();
  if (response.status !== 200) throw new Error(`the first answer was ${response.status}`);
  return { milliseconds, cpu };
}
