// The first request of an isolate, which loads the weights, beside those of Workers that read them from KV as well,
// and either drop or keep what they read.
import { join } from "node:path";
import { PROJECT_ROOT } from "../scripts/lib/project.js";
import { bundledModules, cpuMilliseconds, residentBytes, startWorkerd } from "./workerd.js";
import type { WorkerFiles } from "./workerd.js";

const KV_READER = join(PROJECT_ROOT, "bench", "kv-reader.js");
const BODY = JSON.stringify({
  model: "m",
  input: "The first text that this isolate sees",
  encoding_format: "base64",
});

export interface FirstRequest {
  /** From the request to the whole answer. */
  milliseconds: number;
  /** CPU milliseconds of the process meanwhile. */
  cpu: number;
  /** Of the process, after the answer. */
  residentBytes: number;
}

/** Neighbours in time. */
export interface ColdStart {
  worker: FirstRequest;
  dropping: FirstRequest;
  keeping: FirstRequest;
}

export async function compareColdStarts(
  workerPath: string,
  kvFolder: string,
  count: number,
): Promise<ColdStart[]> {
  const results: ColdStart[] = [];
  for (let i = 0; i <= count; i++) {
    results.push({
      worker: await firstRequest({ modules: bundledModules(workerPath), kvFolder }),
      dropping: await firstRequest({ modules: [KV_READER], kvFolder }),
      keeping: await firstRequest({ modules: [KV_READER], kvFolder, bindings: { KEEP: true } }),
    });
  }
  // The first one brings the file into the page cache.
  return results.slice(1);
}

export async function firstRequest(worker: WorkerFiles): Promise<FirstRequest> {
  const [first] = await firstRequests(worker, 1, BODY);
  return first!;
}

/** One after the other, of a new process. */
export async function firstRequests(
  worker: WorkerFiles,
  count: number,
  body: string,
): Promise<FirstRequest[]> {
  const server = await startWorkerd(worker);
  const requests: FirstRequest[] = [];
  for (let i = 0; i < count; i++) {
    const cpuBefore = cpuMilliseconds(server.pid);
    const started = performance.now();
    const response = await fetch(`${server.url}/v1/embeddings`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    await response.arrayBuffer();
    const milliseconds = performance.now() - started;
    const cpu = cpuMilliseconds(server.pid) - cpuBefore;
    if (response.status !== 200) throw new Error(`the answer ${i + 1} was ${response.status}`);
    requests.push({ milliseconds, cpu, residentBytes: residentBytes(server.pid) });
  }
  await server.stop();
  return requests;
}
