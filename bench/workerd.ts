// Starts plain workerd, with nothing in front of it, and reads what it costs the machine. Linux: /proc.
import { spawn, type ChildProcess } from "node:child_process";
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { PROJECT_ROOT, workerCompatibility } from "../scripts/lib/project.js";

/** The load generator has the other core. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;

export interface WorkerFiles {
  /** The entry module first. */
  modules: string[];
  /** JSON values that the Worker finds in its `env`. */
  bindings?: Record<string, unknown>;
  /** The KV namespace EMBEDDINGS_MODEL is this folder: each file in it is a value. */
  kvFolder?: string;
}

export interface RunningServer {
  url: string;
  pid: number;
  stop(): Promise<void>;
}

const WORKERD = join(PROJECT_ROOT, "node_modules", "workerd", "bin", "workerd");

export async function startWorkerd(
  worker: WorkerFiles,
  extraArguments: string[] = [],
): Promise<RunningServer> {
  const folder = mkdtempSync(join(tmpdir(), "embeddings-worker-bench-"));
  for (const path of worker.modules) copyFileSync(path, join(folder, basename(path)));
  writeFileSync(join(folder, "config.capnp"), configuration(worker));
  const args = ["serve", "config.capnp", "--control-fd=3", ...extraArguments];
  const child = spawn("taskset", ["--cpu-list", String(SERVER_CORE), WORKERD, ...args], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe", "pipe"],
  });
  const stop = stopperOf(child);
  let complaints = "";
  child.stderr!.on("data", (text: Buffer) => (complaints += text.toString()));
  const port = await new Promise<number>((resolve, reject) => {
    (child.stdio[3] as NodeJS.ReadableStream).on("data", (message: Buffer) => {
      const found = /"event":"listen".*?"port":(\d+)/.exec(message.toString());
      if (found) resolve(Number(found[1]));
    });
    child.once("close", () => reject(new Error(`workerd did not start:\n${complaints}`)));
  });
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid!,
    async stop() {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Ends a server; one that a failing benchmark leaves behind ends with it. */
export function stopperOf(server: ChildProcess): () => Promise<void> {
  const kill = (): void => void server.kill("SIGKILL");
  process.once("exit", kill);
  const stopped = new Promise<void>((resolve) => server.once("close", () => resolve()));
  return () => {
    process.off("exit", kill);
    kill();
    return stopped;
  };
}

function configuration({ modules, bindings = {}, kvFolder }: WorkerFiles): string {
  const compatibility = workerCompatibility();
  const moduleList = modules.map((path) => {
    const name = JSON.stringify(basename(path));
    return `(name = ${name}, ${path.endsWith(".wasm") ? "wasm" : "esModule"} = embed ${name})`;
  });
  const bindingList = Object.entries(bindings).map(
    ([name, value]) => `(name = ${JSON.stringify(name)}, json = ${JSON.stringify(JSON.stringify(value))})`,
  );
  const services = ['(name = "main", worker = .worker)'];
  if (kvFolder !== undefined) {
    bindingList.push('(name = "EMBEDDINGS_MODEL", kvNamespace = "kv")');
    services.push(`(name = "kv", disk = (path = ${JSON.stringify(kvFolder)}))`);
  }
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [${services.join(", ")}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [${moduleList.join(", ")}],
  bindings = [${bindingList.join(", ")}],
  compatibilityDate = ${JSON.stringify(compatibility.date)},
  compatibilityFlags = ${JSON.stringify(compatibility.flags)},
);
`;
}

/** The entry module and the wasm of a bundled Worker. */
export function bundledModules(workerPath: string): string[] {
  const folder = dirname(workerPath);
  return [
    workerPath,
    ...readdirSync(folder)
      .filter((name) => name.endsWith(".wasm"))
      .map((name) => join(folder, name)),
  ];
}

/** CPU time of all threads so far. A busy machine stretches the clock, but hardly this. */
export function cpuMilliseconds(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return nanoseconds / 1e6;
}

export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}
