// Compares the crate's tokenizer `wordpiece` with Hugging Face's `tokenizers`: npm run check:wordpiece -- FOLDER... [--data DATA]
import { join } from "node:path";
import { PROJECT_ROOT, runAsCommand } from "./lib/project.js";
import { findPython, makeTrainingEnvironment, run } from "./lib/python.js";

await runAsCommand(import.meta.url, async () => {
  await run("cargo", ["build", "--release", "--quiet", "--example", "wordpiece_ids"], {
    hint: "It needs Rust: https://rustup.rs",
  });
  const python = findPython(["tokenizers"]) ?? (await makeTrainingEnvironment())("python");
  await run(python, [join(PROJECT_ROOT, "training", "check_wordpiece.py"), ...process.argv.slice(2)]);
});
