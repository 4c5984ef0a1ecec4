// The Worker as it ships, in real workerd, with its KV seeded from weights in memory or on disk.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Miniflare } from "miniflare";
import type { MiniflareOptions } from "miniflare";
import { bundle } from "../scripts/bundle.js";
import { PROJECT_ROOT } from "../scripts/project.js";

export interface ServiceOptions {
  /** A weights file; null leaves the KV namespace empty; left out, a small table of 8 dimensions. */
  weights?: Uint8Array | null;
  /** The KV entry's metadata, as `npm run seed` and `npm run deploy` write it. */
  metadata?: { length: number; sha256: string };
  /** MODEL_KEY, API_KEY. */
  bindings?: Record<string, string>;
  /** Answers in the place of KV: see test/faulty-kv.js for what its answers mean. */
  kv?: (request: Request) => Response | Promise<Response>;
  /** RATE_LIMITER: requests allowed in ten seconds. */
  rateLimit?: number;
  /** The static assets of public/. */
  assets?: boolean;
  /** Changes the wasm before it is loaded. */
  patchWasm?: (wasm: Uint8Array) => Uint8Array;
  /** Each line that the Worker logs. */
  onLog?: (line: string) => void;
}

export interface Service {
  url: string;
  /** POST /v1/embeddings with a JSON body. */
  embed(body: unknown, headers?: Record<string, string>): Promise<Response>;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  stop(): Promise<void>;
}

export async function startService(options: ServiceOptions = {}): Promise<Service> {
  const miniflare = new Miniflare(await miniflareOptions(options));
  const url = (await miniflare.ready).origin;
  const key = options.bindings?.["MODEL_KEY"] ?? "model-weights";
  if (options.weights !== null && options.kv === undefined) {
    const namespace = await miniflare.getKVNamespace("EMBEDDINGS_MODEL");
    const weights = options.weights ?? seededWeights({ vocabSize: 64, dimensions: 8, maxSeqLen: 16 });
    await namespace.put(
      key,
      new Uint8Array(weights).buffer,
      options.metadata && { metadata: options.metadata },
    );
  }
  return {
    url,
    embed: (body, headers = {}) =>
      fetch(`${url}/v1/embeddings`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    fetch: (path, init) => fetch(`${url}${path}`, init),
    stop: () => miniflare.dispose(),
  };
}

/** A service that lives as long as the work with it. */
export async function withService(
  options: ServiceOptions,
  work: (service: Service) => Promise<void>,
): Promise<void> {
  const service = await startService(options);
  try {
    await work(service);
  } finally {
    await service.stop();
  }
}

async function miniflareOptions(options: ServiceOptions): Promise<MiniflareOptions> {
  const workerPath = await bundle();
  const folder = dirname(workerPath);
  const wasmName = readdirSync(folder).find((name) => name.endsWith(".wasm"))!;
  const wasm = readFileSync(join(folder, wasmName));
  const modules: {
    type: "ESModule" | "CompiledWasm";
    path: string;
    contents: string | Uint8Array<ArrayBuffer>;
  }[] = [
    { type: "ESModule", path: "worker.js", contents: readFileSync(workerPath, "utf8") },
    { type: "CompiledWasm", path: wasmName, contents: new Uint8Array(options.patchWasm?.(wasm) ?? wasm) },
  ];
  if (options.kv !== undefined) {
    const faultyKv = readFileSync(join(PROJECT_ROOT, "test", "faulty-kv.js"), "utf8");
    modules.unshift({ type: "ESModule", path: "faulty-kv.js", contents: faultyKv });
  }
  return {
    name: "embeddings-worker",
    modules,
    modulesRoot: "/",
    compatibilityDate: /^compatibility_date = "(.+)"$/m.exec(
      readFileSync(join(PROJECT_ROOT, "wrangler.toml"), "utf8"),
    )![1]!,
    bindings: options.bindings ?? {},
    ...(options.kv === undefined
      ? { kvNamespaces: ["EMBEDDINGS_MODEL"] }
      : { serviceBindings: { FAULTY_KV: options.kv as never } }),
    ...(options.rateLimit !== undefined && {
      ratelimits: { RATE_LIMITER: { simple: { limit: options.rateLimit, period: 10 as const } } },
    }),
    ...(options.assets && {
      assets: {
        directory: join(PROJECT_ROOT, "public"),
        binding: "ASSETS",
        routerConfig: { invoke_user_worker_ahead_of_assets: true, has_user_worker: true },
      },
    }),
    handleRuntimeStdio: lineReader(options.onLog ?? showUnexpectedLine),
  } as MiniflareOptions;
}

/** The Worker's own log lines are expected in tests that provoke errors; anything else is worth seeing. */
function showUnexpectedLine(line: string): void {
  if (!line.startsWith('{"event":')) console.error(line);
}

function lineReader(onLine: (line: string) => void) {
  return (...streams: NodeJS.ReadableStream[]): void => {
    for (const stream of streams) {
      let rest = "";
      stream.on("data", (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split("\n");
        rest = lines.pop() ?? "";
        lines.forEach(onLine);
      });
    }
  };
}

export interface SeededTable {
  vocabSize: number;
  dimensions: number;
  maxSeqLen: number;
  normalize?: boolean;
  seed?: bigint;
}

/** A weights file in format v1 with auto-g-embed's own start values: xorshift64*, row 0 zeroed. */
export function seededWeights({
  vocabSize,
  dimensions,
  maxSeqLen,
  normalize = true,
  seed = 17n,
}: SeededTable): Uint8Array {
  const header = Buffer.from(
    JSON.stringify({ vocab_size: vocabSize, embedding_dim: dimensions, max_seq_len: maxSeqLen, normalize }),
  );
  const file = new Uint8Array(4 + header.length + vocabSize * dimensions * 4);
  const view = new DataView(file.buffer);
  view.setUint32(0, header.length, true);
  file.set(header, 4);
  let state = seed === 0n ? 0x9e3779b97f4a7c15n : seed;
  for (let i = 0; i < vocabSize * dimensions; i++) {
    state ^= state >> 12n;
    state = BigInt.asUintN(64, state ^ (state << 25n));
    state ^= state >> 27n;
    const output = BigInt.asUintN(64, state * 0x2545f4914f6cdd1dn);
    const value = Math.fround((Number(output >> 40n) / 2 ** 24) * 2 - 1);
    view.setFloat32(
      4 + header.length + i * 4,
      i < dimensions ? 0 : Math.fround(value * Math.fround(0.05)),
      true,
    );
  }
  return file;
}

/** The vectors of an answer in `encoding_format: "base64"`. */
export function fromBase64(embedding: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(embedding, "base64"));
  return new Float32Array(bytes.buffer);
}
