// The native tools that tuning is made with: `train` and `export_weights`, built when they are needed.
import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { PROJECT_ROOT, UserError } from "../project.js";
import { run } from "../python.js";
import type { WeightsFile } from "../weights.js";
import type { Pair } from "./pairs.js";

const PROGRAMS = join(PROJECT_ROOT, "target", "release");
const BATCH_PAIRS = 1024;
/** So many steps are enough for any of the rates, where there are pairs for them. */
const WANTED_STEPS = 40;
const MIN_EPOCHS = 3;
const MAX_EPOCHS = 40;
const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

export interface Training {
  rate: number;
  epochs: number;
  /** The epoch that was kept; 0 is the model that it began with. */
  kept: number;
  /** In %, of the pairs that choose: how often the own positive is nearest, the mean of meaning and whole vector. */
  score: number;
  /** Where the model lies that came out. */
  folder: string;
}

/** Does nothing when they are there and nothing has changed. */
export function buildTools(): Promise<void> {
  const args = ["build", "--release", "--locked", "--quiet", "--bin", "train", "--example", "export_weights"];
  return run("cargo", args, { hint: "Install Rust: https://rustup.rs" });
}

/** A small set gives few batches in an epoch, and so needs more of them. */
export function epochsFor(pairs: number): number {
  const wanted = Math.ceil(WANTED_STEPS / Math.ceil(pairs / BATCH_PAIRS));
  return Math.min(MAX_EPOCHS, Math.max(MIN_EPOCHS, wanted));
}

/** Trains on from `base`, and keeps the epoch that the pairs of `choosing` speak for. */
export async function train(
  base: WeightsFile,
  files: { training: string; choosing: string },
  settings: { rate: number; epochs: number; folder: string },
): Promise<Training> {
  const { rate, epochs, folder } = settings;
  const output = await runTool(join(PROGRAMS, "train"), [
    "--init",
    base.path,
    "--pairs",
    files.training,
    "--evaluate-pairs",
    files.choosing,
    "--epochs",
    String(epochs),
    "--learning-rate",
    String(rate),
    "--batch-size",
    String(BATCH_PAIRS),
    "--dtype",
    base.info.dtype.toLowerCase(),
    "--out",
    folder,
  ]);
  const [, kept, score] = /^kept: epoch (\d+) of \d+, ([\d.]+) %/m.exec(output) ?? [];
  if (kept === undefined) throw new Error(`train does not say which epoch it kept:\n${output}`);
  return { rate, epochs, kept: Number(kept), score: Number(score), folder };
}

/** Writes the model of a folder as a weights file. */
export async function exportWeights(folder: string, out: string, dtype: string, name: string): Promise<void> {
  const program = join(PROGRAMS, "examples", "export_weights");
  await runTool(program, [folder, out, "--dtype", dtype.toLowerCase(), "--name", name]);
}

export function writePairs(path: string, pairs: Pair[]): void {
  const rows = [{ anchor: "anchor", positive: "positive" }, ...pairs];
  writeFileSync(path, rows.map(({ anchor, positive }) => `${anchor}\t${positive}\n`).join(""));
}

async function runTool(program: string, args: string[]): Promise<string> {
  try {
    return (await promisify(execFile)(program, args, { maxBuffer: MAX_OUTPUT_BYTES })).stdout;
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const said = stderr?.split("\n").find((line) => line.startsWith("error: ")) ?? (error as Error).message;
    throw new UserError(said.replace(/^error: /, ""));
  }
}
