// The crate alone, native and as wasm in workerd: `embedder-tools/benches/rounds.rs` and `loop-worker.ts` do the
// same work in turn. What is compared is CPU time, which a busy machine stretches less than the clock's.
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle } from "../scripts/lib/bundle.js";
import { PROJECT_ROOT } from "../scripts/lib/project.js";
import { makeTexts } from "./texts.js";
import { bundledModules, cpuMilliseconds, SERVER_CORE, startWorkerd } from "./workerd.js";

const WORDS_EACH = 250;
const TEXTS = makeTexts(40, WORDS_EACH);
/** About 0.2 seconds of work in each measurement. */
const EMBED_ROUNDS = 200;
const WRITER_ROUNDS = 500;

/** Words or numbers a second of CPU, one for each round; undefined where cargo has not built it. */
export interface EmbedderRows {
  embedWasm: number[];
  embedNative: number[] | undefined;
  sum: number[] | undefined;
  writerWasm: number[];
  writerNative: number[] | undefined;
}

interface Worked {
  pid: number;
  work(name: "embed" | "sum" | "float", rounds: number): Promise<void>;
  stop(): Promise<void>;
}

export interface EmbedderSettings {
  weightsPath: string;
  kvFolder: string;
  dimensions: number;
  rounds: number;
}

export async function compareEmbedders(settings: EmbedderSettings): Promise<EmbedderRows> {
  const { weightsPath, kvFolder, dimensions, rounds } = settings;
  const wasm = await startWasm(kvFolder);
  const native = await startNative(weightsPath);
  const words = TEXTS.length * WORDS_EACH * EMBED_ROUNDS;
  const numbers = TEXTS.length * dimensions * WRITER_ROUNDS;
  const rows: Required<{ [Name in keyof EmbedderRows]: number[] }> = {
    embedWasm: [],
    embedNative: [],
    sum: [],
    writerWasm: [],
    writerNative: [],
  };
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    const measured = {
      embedWasm: words / (await cpuSeconds(wasm, "embed", EMBED_ROUNDS)),
      writerWasm: numbers / (await cpuSeconds(wasm, "float", WRITER_ROUNDS)),
      ...(native && {
        embedNative: words / (await cpuSeconds(native, "embed", EMBED_ROUNDS)),
        sum: words / (await cpuSeconds(native, "sum", EMBED_ROUNDS)),
        writerNative: numbers / (await cpuSeconds(native, "float", WRITER_ROUNDS)),
      }),
    };
    if (round === 0) continue;
    for (const [name, value] of Object.entries(measured)) rows[name as keyof EmbedderRows].push(value);
  }
  await wasm.stop();
  await native?.stop();
  return native ? rows : { ...rows, embedNative: undefined, sum: undefined, writerNative: undefined };
}

async function cpuSeconds(worked: Worked, name: "embed" | "sum" | "float", rounds: number): Promise<number> {
  const before = cpuMilliseconds(worked.pid);
  await worked.work(name, rounds);
  return (cpuMilliseconds(worked.pid) - before) / 1000;
}

async function startWasm(kvFolder: string): Promise<Worked> {
  const server = await startWorkerd({
    modules: bundledModules(await bundle("bench/loop-worker.ts")),
    kvFolder,
  });
  return {
    pid: server.pid,
    async work(work, rounds) {
      const response = await fetch(server.url, {
        method: "POST",
        body: JSON.stringify({ work, rounds, texts: TEXTS }),
      });
      if (!response.ok)
        throw new Error(`the looping Worker answered ${response.status}: ${await response.text()}`);
    },
    stop: () => server.stop(),
  };
}

async function startNative(weightsPath: string): Promise<Worked | undefined> {
  const program = buildNative();
  if (program === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "embeddings-worker-texts-"));
  const textsPath = join(folder, "texts.txt");
  writeFileSync(textsPath, `${TEXTS.join("\n")}\n`);
  const child = spawn("taskset", ["--cpu-list", String(SERVER_CORE), program, weightsPath, textsPath], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const worked: Worked = {
    pid: child.pid!,
    work: (work, rounds) => command(child, `${work} ${rounds}`),
    async stop() {
      child.stdin!.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  // Its files are read when it has done something.
  await worked.work("embed", 1);
  return worked;
}

function buildNative(): string | undefined {
  console.error("        building embedder-tools/benches/rounds.rs with cargo");
  const build = spawnSync("cargo", ["bench", "--no-run", "--bench", "rounds", "--message-format", "json"], {
    cwd: PROJECT_ROOT,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  if (build.status !== 0) {
    console.error(build.error?.message ?? build.stderr);
    return undefined;
  }
  const executables = [...build.stdout.matchAll(/"executable":"([^"]+)"/g)].map(([, path]) => path!);
  return executables.find((path) => path.includes("rounds-"));
}

function command(child: ChildProcess, line: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = (): void => reject(new Error("the native embedder ended: its message stands above"));
    child.once("close", ended);
    child.stdout!.once("data", () => {
      child.off("close", ended);
      resolve();
    });
    child.stdin!.write(`${line}\n`);
  });
}
