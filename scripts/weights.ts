// Reads a weights file for upload, and checks it with the very reader that the Worker will use.
import { createHash } from "node:crypto";
import { readFileSync, statSync, type Stats } from "node:fs";
import { relative, resolve, sep } from "node:path";
import { initSync, loadModel, modelHeader, weightsAddress } from "../embedder-wasm/pkg/embedder_wasm.js";
import { PROJECT_ROOT, UserError } from "./project.js";

/** Workers KV holds at most this much in one value. */
const MAX_WEIGHTS_BYTES = 25 * 1024 * 1024;
const WASM_FILE = new URL("../embedder-wasm/pkg/embedder_wasm_bg.wasm", import.meta.url);

export interface WeightsFile {
  /** Relative to the project where it lies inside, otherwise as it was given. */
  name: string;
  path: string;
  bytes: Buffer;
  sha256: string;
  dimensions: number;
  /** One line about the model, for printing. */
  summary: string;
}

/** What a weights file's KV entry carries beside it; the Worker reads both. */
export interface WeightsMetadata {
  length: number;
  sha256: string;
}

/** The first 12 hex digits of the SHA-256: `x-model-version`, and the end of the immutable key. */
export function weightsVersion(sha256: string): string {
  return sha256.slice(0, 12);
}

export function readWeights(givenPath: string): WeightsFile {
  const path = resolve(givenPath);
  const name = path.startsWith(PROJECT_ROOT + sep)
    ? relative(PROJECT_ROOT, path).replaceAll("\\", "/")
    : givenPath;
  const fileSize = sizeOf(path, name);
  if (fileSize > MAX_WEIGHTS_BYTES) {
    throw new UserError(
      `${name} has ${fileSize} bytes, but Workers KV holds at most ${MAX_WEIGHTS_BYTES} bytes (25 MiB) ` +
        "in one value: use a smaller vocabulary, fewer dimensions, or export the weights as i8",
    );
  }
  const bytes = readFileSync(path);
  const header = checkWithTheWorkersReader(bytes, name);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const size = `${(bytes.length / 1024 / 1024).toFixed(1)} MiB`;
  const summary = `${name}: ${header.vocabSize} x ${header.dimensions} ${header.dtype}, ${size}, version ${weightsVersion(sha256)}`;
  return { name, path, bytes, sha256, dimensions: header.dimensions, summary };
}

function sizeOf(path: string, name: string): number {
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch {
    throw new UserError(`${name}: there is no such weights file`);
  }
  if (!stats.isFile()) throw new UserError(`${name} is not a file`);
  return stats.size;
}

function checkWithTheWorkersReader(
  bytes: Buffer,
  name: string,
): { vocabSize: number; dimensions: number; dtype: string } {
  const { memory } = initSync({ module: readFileSync(WASM_FILE) });
  try {
    const address = weightsAddress(bytes.length);
    new Uint8Array(memory.buffer, address, bytes.length).set(bytes);
    loadModel();
  } catch (error) {
    throw new UserError(
      `${name} is not a weights file that the Worker can read: ${(error as Error).message}`,
    );
  }
  return JSON.parse(modelHeader()) as { vocabSize: number; dimensions: number; dtype: string };
}
