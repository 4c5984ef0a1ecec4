// Scores a model through the endpoint on local evaluation files: `npm run evaluate -- --data DIR`. Starts the
// Worker with the shipped weights (or `--weights FILE`) unless `--url` names a running one, and leaves the
// scoring to training/evaluate.py, which takes all other flags.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startService } from "../test/harness.js";
import { PROJECT_ROOT, runAsCommand, SHIPPED_WEIGHTS, UserError } from "./project.js";
import { readWeights } from "./weights.js";

const SCORER = join("training", "evaluate.py");
const REQUIREMENTS = join("training", "requirements-evaluate.txt");
const IS_WINDOWS = process.platform === "win32";

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { url, weights, passedOn } = parseFlags(process.argv.slice(2));
  const python = findPython();
  if (url !== undefined) {
    process.exitCode = await score(python, url, passedOn);
    return;
  }
  const file = readWeights(weights ?? SHIPPED_WEIGHTS);
  console.error(`Measuring ${file.summary}`);
  const service = await startService({
    weights: file.bytes,
    metadata: { length: file.bytes.length, sha256: file.sha256 },
    onLog: (line) => console.error(line), // standard output is the table's alone
  });
  try {
    process.exitCode = await score(python, service.url, passedOn);
  } finally {
    await service.stop();
  }
}

/** Takes out `--url` and `--weights`; what the rest means, and whether it is right, the scorer knows. */
function parseFlags(args: string[]): { url: string | undefined; weights: string | undefined; passedOn: string[] } {
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
    throw new UserError("--url measures the model that is served there: leave out --weights, or leave out --url");
  }
  return { url: own["url"], weights: own["weights"], passedOn };
}

/** A Python that has what the scorer imports: PYTHON, the project's .venv, or the one on the path. */
function findPython(): string {
  const inVenv = join(".venv", IS_WINDOWS ? "Scripts" : "bin", "python");
  const candidates = [process.env["PYTHON"], join(PROJECT_ROOT, inVenv), "python3", "python"];
  for (const python of candidates) {
    if (python === undefined || (python.startsWith(PROJECT_ROOT) && !existsSync(python))) continue;
    const probe = "import importlib.util as i, sys; sys.exit(0 if i.find_spec('mteb') else 1)";
    if (spawnSync(python, ["-c", probe]).status === 0) return python;
  }
  throw new UserError(
    "no Python with the package mteb was found (looked at PYTHON, .venv and the path); make one with:\n" +
      `  ${IS_WINDOWS ? "python" : "python3"} -m venv .venv\n  ${inVenv} -m pip install -r ${REQUIREMENTS}`,
  );
}

function score(python: string, url: string, args: string[]): Promise<number> {
  const child = spawn(python, [join(PROJECT_ROOT, SCORER), "--url", url, ...args], { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", (exitCode, signal) => resolve(exitCode ?? (signal === "SIGINT" ? 130 : 1)));
  });
}
