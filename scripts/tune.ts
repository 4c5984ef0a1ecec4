// Teaches the static model what belongs together in your texts: `npm run tune -- pairs.tsv [--out FILE]`. Pairs come as
// TSV, CSV or JSONL. A part of them is held back: one half chooses the rate and the epoch, the other is what is printed.
//   -- --columns question,answer   the names of the two columns; anchor,positive if left out
//   -- --out FILE                  the weights file; tuned.bin if left out
//   -- --rate 0.005                only this rate: a low one learns less and forgets less
//   -- --name NAME                 the model's name; that of the file if left out
//   -- --init FILE                 the static model to begin with; the shipped one if left out
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, extname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runAsCommand, SHIPPED_WEIGHTS, UserError } from "./lib/project.js";
import { measure, type Measured } from "./lib/tune/measure.js";
import { readPairs, splitPairs, type Columns, type Split } from "./lib/tune/pairs.js";
import {
  buildTools,
  epochsFor,
  exportWeights,
  train,
  writePairs,
  type Training,
} from "./lib/tune/trainer.js";
import { readWeights, type WeightsFile } from "./lib/weights.js";

/** From careful to bold. The bold ones learn more and forget more. */
const RATES = [0.005, 0.01, 0.02];
const MAX_RATE = 1;
/** In points of the pairs that choose: so much more a bolder rate must bring. */
const WORTH_FORGETTING = 1;

const TITLE_CHARACTERS = 44;
const CELL_CHARACTERS = 8;

interface Candidate extends Training {
  weights: WeightsFile;
  /** Of the pairs that neither taught nor chose. */
  measured: Measured[];
}

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { file, columns, out, name, init, rates } = parseOptions(process.argv.slice(2));
  const base = readWeights(init);
  if (base.info.architecture !== "static")
    throw new UserError(`--init: only a static model can be tuned; ${base.name} is a transformer`);
  const { training, choosing, report } = splitPairs(await readPairs(file, columns));
  console.log(
    `${training.length} pairs to learn from, ${choosing.length} that choose, ${report.length} to measure with`,
  );
  step("building the trainer (minutes the first time)");
  await buildTools();
  const folder = mkdtempSync(join(tmpdir(), "tune-"));
  try {
    const before = measure(base, report);
    const candidates = await trainAtEachRate(base, { training, choosing, report }, rates, name, folder);
    const best = bestOf(candidates);
    printScores(before, candidates, best, report.length);
    if (best.kept === 0) {
      console.log(
        "\nNo rate made the model better on the pairs that choose: nothing was written. More pairs may help.",
      );
      return;
    }
    copyFileSync(best.weights.path, out);
    printHowToServe(readWeights(out));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function parseOptions(args: string[]): {
  file: string;
  columns: Columns | undefined;
  out: string;
  name: string;
  init: string;
  rates: number[];
} {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      columns: { type: "string" },
      out: { type: "string", default: "tuned.bin" },
      name: { type: "string" },
      rate: { type: "string" },
      init: { type: "string", default: SHIPPED_WEIGHTS },
    },
  });
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0)
    throw new UserError(
      `one file of pairs is wanted, got ${positionals.length}: npm run tune -- pairs.tsv [--out FILE]`,
    );
  const columns = values.columns?.split(",").map((column) => column.trim());
  if (columns !== undefined && (columns.length !== 2 || columns.includes("")))
    throw new UserError(`--columns wants two names with a comma between them; got '${values.columns}'`);
  const rate = Number(values.rate);
  if (values.rate !== undefined && !(rate > 0 && rate <= MAX_RATE))
    throw new UserError(`--rate wants a number above 0 and at most ${MAX_RATE}; got '${values.rate}'`);
  const out = resolve(values.out);
  if (!existsSync(dirname(out))) throw new UserError(`--out: there is no folder ${dirname(out)}`);
  if (out === resolve(values.init)) throw new UserError(`--out: ${values.out} is the model to begin with`);
  if (out === resolve(file)) throw new UserError(`--out: ${values.out} is the file of pairs`);
  return {
    file,
    columns: columns as Columns | undefined,
    out,
    name: values.name ?? basename(out, extname(out)),
    init: values.init,
    rates: values.rate === undefined ? RATES : [rate],
  };
}

async function trainAtEachRate(
  base: WeightsFile,
  { training, choosing, report }: Split,
  rates: number[],
  name: string,
  folder: string,
): Promise<Candidate[]> {
  const files = { training: join(folder, "training.tsv"), choosing: join(folder, "choosing.tsv") };
  writePairs(files.training, training);
  writePairs(files.choosing, choosing);
  const epochs = epochsFor(training.length);
  const candidates: Candidate[] = [];
  for (const rate of rates) {
    const made = join(folder, "model");
    const done = await train(base, files, { rate, epochs, folder: made });
    const file = join(folder, `rate-${rate}.bin`);
    await exportWeights(made, file, base.info.dtype, name);
    const weights = readWeights(file);
    candidates.push({ ...done, weights, measured: measure(weights, report) });
    const score = `${done.score.toFixed(1)} % of the pairs that choose`;
    step(`rate ${rate}: best after epoch ${done.kept} of ${epochs}, with ${score}`);
  }
  return candidates;
}

/** The most careful one of those that come near the best: what it has learned more, a bolder one pays for elsewhere. */
export function bestOf<T extends { score: number }>(candidates: T[]): T {
  const highest = Math.max(...candidates.map(({ score }) => score));
  return candidates.find(({ score }) => score >= highest - WORTH_FORGETTING)!;
}

function printScores(before: Measured[], candidates: Candidate[], best: Candidate, pairs: number): void {
  const titles = ["before", ...candidates.map((one) => `${one.rate}${one === best ? "*" : ""}`)];
  const print = (title: string, of: (measured: Measured) => number): void => {
    console.log(`\n${row(title, titles)}`);
    for (const [i, { part, dimensions }] of before.entries()) {
      const values = [before, ...candidates.map(({ measured }) => measured)].map((one) => of(one[i]!));
      console.log(
        row(
          `  ${part} (dimensions: ${dimensions})`,
          values.map((value) => value.toFixed(1)),
        ),
      );
    }
  };
  print(`Your pairs: own text nearest of ${pairs}, %`, ({ firstRight }) => firstRight);
  print("General search: MRR@10 x 100", ({ general }) => general);
  if (candidates.length === 1) return;
  const [careful] = candidates;
  const hint = best === careful ? "" : ` --rate ${careful!.rate} keeps more of what the model knew.`;
  console.log(`\n* chosen.${hint}`);
}

function row(title: string, cells: string[]): string {
  return title.padEnd(TITLE_CHARACTERS) + cells.map((cell) => cell.padStart(CELL_CHARACTERS)).join("");
}

function printHowToServe({ name, info, summary }: WeightsFile): void {
  console.log(`
Written: ${summary}
Serve it:   npm run dev -- --weights ${name}
Deploy it:  npm run deploy -- --weights ${name}
Clients ask for the model '${info.name}'.`);
}

function step(text: string): void {
  console.log(`${process.uptime().toFixed(0).padStart(4)} s: ${text}`);
}
