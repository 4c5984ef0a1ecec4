// Compares the vectors of imported models with those of sentence-transformers: npm run check:parity -- FOLDER... --data DATA [--weights FILE]
import { join } from "node:path";
import { PROJECT_ROOT, runAsCommand, UserError } from "./lib/project.js";
import { EVALUATION_COMMAND, findPython, run } from "./lib/python.js";

await runAsCommand(import.meta.url, async () => {
  const python = findPython(["sentence_transformers"]);
  if (python === undefined) {
    throw new UserError(`it needs a Python that has sentence-transformers: ${EVALUATION_COMMAND}`);
  }
  await run("cargo", ["build", "--release", "--quiet", "--package", "embedder-tools", "--bin", "embed"], {
    hint: "It needs Rust: https://rustup.rs",
  });
  await run(python, [join(PROJECT_ROOT, "training", "check_parity.py"), ...process.argv.slice(2)]);
});
