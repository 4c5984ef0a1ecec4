// Scores a model through the endpoint on local evaluation files: `npm run evaluate -- --data DIR [--model NAME]`. Starts
// the Worker with the shipped weights (or `--weights FILE`) unless `--url` names a running one, and leaves the
// scoring to training/evaluate.py, which takes all other flags. `-- --sources` says where each set can be had.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { startService } from "../test/lib/harness.js";
import { PROJECT_ROOT, runAsCommand, UserError } from "./lib/project.js";
import { EVALUATION_COMMAND, findPython } from "./lib/python.js";
import { readWeightsFiles } from "./lib/weights.js";

const SCORER = join("training", "evaluate.py");

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { url, weights, passedOn } = parseFlags(process.argv.slice(2));
  const python = findPython(["mteb"]);
  if (python === undefined) {
    throw new UserError(`no Python with the package mteb was found (looked at PYTHON, .venv and the path); make one with:
  ${EVALUATION_COMMAND}`);
  }
  if (url !== undefined) {
    process.exitCode = await score(python, ["--url", url, ...passedOn]);
    return;
  }
  const wantsSources = passedOn.includes("--sources");
  // Neither the list of sets nor the refusal of a missing --data needs a model.
  if (wantsSources || !passedOn.some((flag) => /^--data(=|$)/.test(flag))) {
    process.exitCode = await score(python, ["--sources"]);
    if (wantsSources) return;
    throw new UserError("--data wants the folder that holds eval/, with the sets of this table");
  }
  const files = readWeightsFiles(weights === undefined ? [] : [weights]);
  for (const { summary } of files) console.error(`Serving ${summary}`);
  const service = await startService({
    models: files.map(({ bytes }) => bytes),
    onLog: (line) => console.error(line), // standard output is the table's alone
  });
  try {
    process.exitCode = await score(python, ["--url", service.url, ...passedOn]);
  } finally {
    await service.stop();
  }
}

/** Takes out `--url` and `--weights`; what the rest means, and whether it is right, the scorer knows. */
function parseFlags(args: string[]): {
  url: string | undefined;
  weights: string | undefined;
  passedOn: string[];
} {
  const own: Record<string, string> = {};
  const passedOn: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const [, name, inlineValue] = /^--(url|weights)(?:=(.*))?$/.exec(args[i]!) ?? [];
    if (name === undefined) {
      passedOn.push(args[i]!);
      continue;
    }
    const value = inlineValue ?? args[++i];
    if (value === undefined || value === "") throw new UserError(`--${name} wants a value`);
    own[name] = value;
  }
  if (own["url"] !== undefined && own["weights"] !== undefined) {
    throw new UserError(
      "--url measures the model that is served there: leave out --weights, or leave out --url",
    );
  }
  return { url: own["url"], weights: own["weights"], passedOn };
}

function score(python: string, args: string[]): Promise<number> {
  const child = spawn(python, [join(PROJECT_ROOT, SCORER), ...args], { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (exitCode, signal) => resolve(exitCode ?? (signal === "SIGINT" ? 130 : 1)));
  });
}
