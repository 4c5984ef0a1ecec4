// Weights files as the commands see them: checked with the very reader that the Worker will use, cut into parts that
// Workers KV can hold, and listed under the names that they are served by.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, type Stats } from "node:fs";
import { basename, dirname, join, relative, resolve, sep } from "node:path";
import {
  dropModel,
  loadWhole,
  modelInfo,
  startEmbedder,
  type ModelInfo,
} from "../../embedder-wasm/embedder.js";
import { MAX_PART_BYTES, type CatalogueEntry } from "../../worker/catalogue.js";
import { PROJECT_ROOT, SHIPPED_WEIGHTS, UserError } from "./project.js";

/** What the embedder reads: an isolate has 128 MB for everything. */
const MAX_WEIGHTS_BYTES = 64 * 1024 * 1024;
const WASM_FILE = join(PROJECT_ROOT, "embedder-wasm", "pkg", "embedder_wasm_bg.wasm");

export interface WeightsFile {
  /** Relative to the project where it lies inside, otherwise as it was given. */
  name: string;
  path: string;
  bytes: Buffer;
  sha256: string;
  info: ModelInfo;
  /** One line about the model, for printing. */
  summary: string;
}

/** What the KV entry of each part carries beside it. */
export interface PartMetadata {
  /** Of the part. */
  length: number;
  /** Of the whole file. */
  sha256: string;
}

export interface WeightsPart {
  key: string;
  bytes: Buffer;
  metadata: PartMetadata;
}

/** The first 12 hex digits of the SHA-256: `x-model-version`, and the end of the immutable key. */
export function weightsVersion({ sha256 }: WeightsFile): string {
  return sha256.slice(0, 12);
}

/** A key for these bytes alone: what lies under it never changes. */
export function immutableKey(weights: WeightsFile): string {
  return `model-weights-${weightsVersion(weights)}`;
}

/** The files that were given; where none were, all that are shipped, `model-weights.bin` first. */
export function readWeightsFiles(given: string[]): WeightsFile[] {
  return (given.length > 0 ? given : shippedWeights()).map(readWeights);
}

function shippedWeights(): string[] {
  const folder = dirname(SHIPPED_WEIGHTS);
  const others = readdirSync(folder)
    .filter((name) => name.endsWith(".bin") && name !== basename(SHIPPED_WEIGHTS))
    .sort();
  return [SHIPPED_WEIGHTS, ...others.map((name) => join(folder, name))];
}

export function readWeights(givenPath: string): WeightsFile {
  const path = resolve(givenPath);
  const name = path.startsWith(PROJECT_ROOT + sep)
    ? relative(PROJECT_ROOT, path).replaceAll("\\", "/")
    : givenPath;
  const fileSize = sizeOf(path, name);
  if (fileSize > MAX_WEIGHTS_BYTES) {
    throw new UserError(
      `${name} has ${fileSize} bytes, but the Worker reads at most ${MAX_WEIGHTS_BYTES} bytes (64 MiB): ` +
        "use a smaller vocabulary, fewer dimensions, or export the weights as i8",
    );
  }
  return checkedWeights(readFileSync(path), name, path);
}

/** A file whose bytes are at hand. */
export function checkedWeights(file: Uint8Array, name = "weights in memory", path = ""): WeightsFile {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const info = readWithTheWorkersReader(bytes, name);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const weights = { name, path, bytes, sha256, info };
  return { ...weights, summary: summaryOf(weights) };
}

function summaryOf({ name, bytes, info, sha256 }: Omit<WeightsFile, "summary">): string {
  const size = `${(bytes.length / 1024 / 1024).toFixed(1)} MiB`;
  return `${name}: ${info.name}, ${info.dimensions} dimensions, ${info.dtype}, ${size}, version ${sha256.slice(0, 12)}`;
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

function readWithTheWorkersReader(bytes: Buffer, name: string): ModelInfo {
  startEmbedder(readFileSync(WASM_FILE));
  try {
    const model = loadWhole(bytes);
    const info = modelInfo(model);
    dropModel(model);
    return info;
  } catch (error) {
    throw new UserError(
      `${name} is not a weights file that the Worker can read: ${(error as Error).message}`,
    );
  }
}

/** A file as it lies in KV, from `key` on. */
export function partsOf({ bytes, sha256 }: WeightsFile, key: string): WeightsPart[] {
  return Array.from({ length: Math.ceil(bytes.length / MAX_PART_BYTES) }, (_, i) => {
    const part = bytes.subarray(i * MAX_PART_BYTES, (i + 1) * MAX_PART_BYTES);
    return {
      key: i === 0 ? key : `${key}.${i + 1}`,
      bytes: part,
      metadata: { length: part.length, sha256 },
    };
  });
}

/** Whether a KV entry's metadata says that it is this very part. */
export function isPart(part: WeightsPart, metadata: Partial<PartMetadata> | undefined): boolean {
  return metadata?.sha256 === part.metadata.sha256 && metadata.length === part.metadata.length;
}

/**
 * The variable MODELS: every name of every file, the default first. That is the first file's own, or `defaultName`.
 */
export function catalogueOf(
  files: { weights: WeightsFile; key: string }[],
  defaultName?: string,
): CatalogueEntry[] {
  const entries = files.flatMap(({ weights, key }) => entriesOf(weights, key));
  for (const [i, { name }] of entries.entries()) {
    if (entries.findIndex((other) => other.name.toLowerCase() === name.toLowerCase()) === i) continue;
    const owners = files.filter(({ weights }) =>
      entriesOf(weights, "").some((entry) => entry.name.toLowerCase() === name.toLowerCase()),
    );
    throw new UserError(
      `${owners.map(({ weights }) => weights.name).join(" and ")} have a model of the same name, '${name}'`,
    );
  }
  if (defaultName === undefined) return entries;
  const first = entries.find(({ name }) => name.toLowerCase() === defaultName.toLowerCase());
  if (first === undefined) {
    const names = entries.map(({ name }) => `'${name}'`).join(", ");
    throw new UserError(`--default wants one of the models ${names}; got '${defaultName}'`);
  }
  return [first, ...entries.filter((entry) => entry !== first)];
}

function entriesOf(weights: WeightsFile, key: string): CatalogueEntry[] {
  const { info, bytes, sha256 } = weights;
  const names: [string, number][] = [[info.name, info.dimensions], ...Object.entries(info.aliases)];
  return names.map(([name, dimensions]) => ({
    name,
    key,
    parts: Math.ceil(bytes.length / MAX_PART_BYTES),
    length: bytes.length,
    sha256,
    dimensions,
    maxDimensions: info.dimensions,
    semanticDimensions: info.semanticDimensions,
    maxInputTokens: info.maxInputTokens,
    maxRequestTokens: info.maxRequestTokens,
    architecture: info.architecture,
    dtype: info.dtype,
  }));
}
