// Python for the commands that need it: virtual environments of their own, or one that is there already.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_ROOT, UserError } from "./project.js";

const IS_WINDOWS = process.platform === "win32";
const SYSTEM_PYTHON = IS_WINDOWS ? "python" : "python3";
const PROGRAMS_FOLDER = IS_WINDOWS ? "Scripts" : "bin";
const PYTHON_HINT =
  "Install Python 3.10 or newer with its venv module (on Debian and Ubuntu: apt install python3-venv).";

const EVALUATION_REQUIREMENTS = join("training", "requirements-evaluate.txt");
export const EVALUATION_COMMAND = `${SYSTEM_PYTHON} -m venv .venv && ${join(".venv", PROGRAMS_FOLDER, "pip")} install -r ${EVALUATION_REQUIREMENTS}`;

/** Where a program of an environment is. */
export type InEnvironment = (program: string) => string;

/** A virtual environment in `folder` that has what the file `requirements` names. */
export async function makeEnvironment(folder: string, requirements: string): Promise<InEnvironment> {
  const inEnvironment: InEnvironment = (program) => join(folder, PROGRAMS_FOLDER, program);
  // Written when everything is installed: the hash of the requirements that are.
  const installed = join(folder, "requirements.sha256");
  const wanted = createHash("sha256").update(readFileSync(requirements)).digest("hex");
  if (existsSync(installed) && readFileSync(installed, "utf8") === wanted) return inEnvironment;
  await run(SYSTEM_PYTHON, ["-m", "venv", "--clear", folder], { hint: PYTHON_HINT });
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
  await run(inEnvironment("python"), pip);
  writeFileSync(installed, wanted);
  return inEnvironment;
}

/** For the programs of training/ that need no mteb. */
export function makeTrainingEnvironment(): Promise<InEnvironment> {
  const training = join(PROJECT_ROOT, "training");
  return makeEnvironment(join(training, ".venv"), join(training, "requirements.txt"));
}

/** A Python that has these modules: PYTHON, the project's .venv, or the one on the path. */
export function findPython(modules: string[]): string | undefined {
  const inVenv = join(PROJECT_ROOT, ".venv", PROGRAMS_FOLDER, "python");
  const candidates = [process.env["PYTHON"], existsSync(inVenv) ? inVenv : undefined, "python3", "python"];
  const probe = "import importlib.util as i, sys; sys.exit(0 if all(map(i.find_spec, sys.argv[1:])) else 1)";
  return candidates.find(
    (python) => python !== undefined && spawnSync(python, ["-c", probe, ...modules]).status === 0,
  );
}

export interface RunOptions {
  cwd?: string;
  environment?: NodeJS.ProcessEnv;
  /** What to do when it cannot be started, or fails. */
  hint?: string;
}

/** Not spawnSync: a Worker's log has to be read meanwhile, or it would stop at a full pipe. */
export function run(program: string, args: string[], options: RunOptions = {}): Promise<void> {
  const { cwd = PROJECT_ROOT, environment, hint = "" } = options;
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: "1", ...environment };
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: "inherit" });
    child.on("error", (error) =>
      reject(new UserError(`${program} cannot be started: ${error.message}. ${hint}`.trim())),
    );
    child.on("close", (status) => {
      if (status === 0) resolve();
      else reject(new UserError(`${program} ${args.slice(0, 2).join(" ")} failed. ${hint}`.trim()));
    });
  });
}
