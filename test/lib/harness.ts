// The Worker as it ships, in real workerd, with its KV seeded from weights in memory or on disk.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { Miniflare } from "miniflare";
import type { MiniflareOptions, WorkerOptions } from "miniflare";
import { unstable_readConfig } from "wrangler";
import { bundle } from "../../scripts/lib/bundle.js";
import { PROJECT_ROOT, workerCompatibility } from "../../scripts/lib/project.js";
import { runWrangler } from "../../scripts/lib/wrangler.js";
import { catalogueOf, checkedWeights, immutableKey, partsOf } from "../../scripts/lib/weights.js";
import type { CatalogueEntry } from "../../worker/catalogue.js";
import { seededWeights } from "./weights.js";

export interface ServiceOptions {
  /** A weights file; null leaves the KV namespace empty; left out, a small table of 8 dimensions. */
  weights?: Uint8Array | null;
  /** In place of `weights`: several files, served as `npm run deploy` would; MODELS lists them. */
  models?: Uint8Array[];
  /** The KV entry's metadata, as `npm run seed` and `npm run deploy` write it. */
  metadata?: { length: number; sha256: string };
  /** MODEL_KEY, API_KEY, MODELS, MAX_REQUEST_TOKENS. */
  bindings?: Record<string, string | object>;
  /** Answers in the place of KV: see test/lib/faulty-kv.js for what its answers mean. */
  kv?: (request: Request) => Response | Promise<Response>;
  /** RATE_LIMITER: requests allowed in ten seconds. */
  rateLimit?: number;
  /** Workers that are bound to this one, by its name `embeddings-worker`. The first of them answers at the URL. */
  callers?: WorkerOptions[];
  /** The static assets of public/. */
  assets?: boolean;
  /** Changes the wasm before it is loaded. */
  patchWasm?: (wasm: Uint8Array) => Uint8Array;
  /** Changes the bundled worker.js before it is loaded. */
  patchWorker?: (source: string) => string;
  /** Other values for some of the Worker's constants, by their names. */
  constants?: Record<string, number>;
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
  const key = String(options.bindings?.["MODEL_KEY"] ?? "model-weights");
  if (options.models !== undefined) {
    const namespace = await miniflare.getKVNamespace("EMBEDDINGS_MODEL", "embeddings-worker");
    for (const file of options.models) {
      const weights = checkedWeights(file);
      for (const { key, bytes, metadata } of partsOf(weights, immutableKey(weights)))
        await namespace.put(key, new Uint8Array(bytes).buffer, { metadata });
    }
  } else if (options.weights !== null && options.kv === undefined) {
    const namespace = await miniflare.getKVNamespace("EMBEDDINGS_MODEL", "embeddings-worker");
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

/** What MODELS lists for these files. */
export function catalogueFor(files: Uint8Array[]): CatalogueEntry[] {
  return catalogueOf(
    files.map((file) => {
      const weights = checkedWeights(file);
      return { weights, key: immutableKey(weights) };
    }),
  );
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
  const compatibility = workerCompatibility();
  const folder = dirname(workerPath);
  const wasmName = readdirSync(folder).find((name) => name.endsWith(".wasm"))!;
  const wasm = readFileSync(join(folder, wasmName));
  const modules: {
    type: "ESModule" | "CompiledWasm";
    path: string;
    contents: string | Uint8Array<ArrayBuffer>;
  }[] = [
    {
      type: "ESModule",
      path: "worker.js",
      contents: workerSource(readFileSync(workerPath, "utf8"), options),
    },
    { type: "CompiledWasm", path: wasmName, contents: new Uint8Array(options.patchWasm?.(wasm) ?? wasm) },
  ];
  if (options.kv !== undefined) {
    const faultyKv = readFileSync(join(import.meta.dirname, "faulty-kv.js"), "utf8");
    modules.unshift({ type: "ESModule", path: "faulty-kv.js", contents: faultyKv });
  }
  const worker = {
    name: "embeddings-worker",
    modules,
    modulesRoot: "/",
    compatibilityDate: compatibility.date,
    compatibilityFlags: compatibility.flags,
    bindings: {
      ...(options.models !== undefined && { MODELS: JSON.stringify(catalogueFor(options.models)) }),
      ...options.bindings,
    },
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
  };
  return {
    workers: [...(options.callers ?? []), worker],
    handleRuntimeStdio: lineReader(options.onLog ?? showUnexpectedLine),
  } as MiniflareOptions;
}

function workerSource(source: string, { constants = {}, patchWorker = (s) => s }: ServiceOptions): string {
  let patched = source;
  for (const [name, value] of Object.entries(constants)) {
    const definition = new RegExp(`^var ${name} = .*;$`, "m");
    assert.match(patched, definition);
    patched = patched.replace(definition, `var ${name} = ${value};`);
  }
  return patchWorker(patched);
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

/** The vectors of an answer in `encoding_format: "base64"`. */
export function fromBase64(embedding: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(embedding, "base64"));
  return new Float32Array(bytes.buffer);
}

/** An example's Worker, bundled from its own wrangler.toml into `folder`, with the services that it is bound to. */
export async function exampleWorker(example: string, folder: string): Promise<WorkerOptions> {
  const { exitCode, output } = await runWrangler([
    "deploy",
    "--dry-run",
    "--outdir",
    folder,
    "--cwd",
    example,
  ]);
  assert.equal(exitCode, 0, output);
  const config = unstable_readConfig({ config: join(example, "wrangler.toml") });
  return {
    name: config.name!,
    modules: true,
    script: readFileSync(join(folder, "worker.js"), "utf8"),
    compatibilityDate: config.compatibility_date!,
    serviceBindings: Object.fromEntries(
      (config.services as { binding: string; service: string; entrypoint: string }[]).map(
        ({ binding, service, entrypoint }) => [binding, { name: service, entrypoint }],
      ),
    ),
  };
}
