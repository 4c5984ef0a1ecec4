// A copy of the project in a temporary folder, with tiny weights, for tests of the commands: what they
// write (the local KV, the generated configuration) must not reach the developer's own.
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROJECT_ROOT } from "../../scripts/lib/project.js";

/** What the commands read; the folders of other tools hold hundreds of megabytes. */
const COPIED_FOLDERS = ["scripts", "worker", "public", "embedder-wasm/pkg", "test/payloads"];
const COPIED_FILES = ["embedder-wasm/embedder.ts", "test/run.ts"];

export interface ProjectCopy {
  folder: string;
  /** An environment in which wrangler neither finds nor changes what it keeps for the developer: login, account, logs. */
  environment: NodeJS.ProcessEnv;
  remove(): void;
}

export function copyProject(weights: Buffer = tinyWeights()): ProjectCopy {
  const folder = mkdtempSync(join(tmpdir(), "embeddings-worker-project-"));
  for (const entry of readdirSync(PROJECT_ROOT, { withFileTypes: true })) {
    if (entry.isFile()) copyFileSync(join(PROJECT_ROOT, entry.name), join(folder, entry.name));
  }
  for (const name of COPIED_FOLDERS)
    cpSync(join(PROJECT_ROOT, name), join(folder, name), { recursive: true });
  // The developer's own deployment and local variables.
  for (const name of ["wrangler.generated.json", ".dev.vars", ".env"])
    rmSync(join(folder, name), { force: true });
  for (const name of COPIED_FILES) copyFileSync(join(PROJECT_ROOT, name), join(folder, name));
  symlinkSync(join(PROJECT_ROOT, "node_modules"), join(folder, "node_modules"), "junction");
  mkdirSync(join(folder, "model"));
  writeFileSync(join(folder, "model", "model-weights.bin"), weights);

  const environment: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, "config"),
    // Otherwise wrangler remembers the account in node_modules, which the copy shares with the developer.
    WRANGLER_CACHE_DIR: join(folder, "cache"),
    NO_COLOR: "1",
  };
  for (const name of [
    "CLOUDFLARE_API_TOKEN",
    "CLOUDFLARE_ACCOUNT_ID",
    "API_KEY",
    "EMBEDDINGS_URL",
    "NODE_OPTIONS",
  ]) {
    delete environment[name];
  }
  // Set by node:test for its own children: a child that inherits it reports in place of printing.
  delete environment["NODE_TEST_CONTEXT"];
  return { folder, environment, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** A valid weights file in format v1: [16, 4] values, none of them the same. */
export function tinyWeights(): Buffer {
  const header = Buffer.from('{"vocab_size":16,"embedding_dim":4,"max_seq_len":32,"normalize":true}');
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const values = Float32Array.from({ length: 16 * 4 }, (_, index) => Math.sin(index));
  return Buffer.concat([length, header, Buffer.from(values.buffer)]);
}
