// Tests the Python programs of training/: in the evaluation's environment where there is one, else in one of its own,
// training/.venv, which has no mteb, so that evaluate.py's tests are skipped there.
import { join } from "node:path";
import { PROJECT_ROOT, runAsCommand } from "./lib/project.js";
import { EVALUATION_COMMAND, findPython, makeTrainingEnvironment, run } from "./lib/python.js";

await runAsCommand(import.meta.url, async () => {
  const evaluation = findPython(["mteb", "openvino", "pytest"]);
  if (evaluation === undefined) console.error(`evaluate.py is not tested: it needs ${EVALUATION_COMMAND}`);
  const python = evaluation ?? (await makeTrainingEnvironment())("python");
  await run(python, ["-m", "pytest", join(PROJECT_ROOT, "training", "tests")]);
});
