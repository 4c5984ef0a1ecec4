// Where the project's files are, and how a command ends when it cannot go on.
import { readFileSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const PROJECT_ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "..", "..");
export const SHIPPED_WEIGHTS = join(PROJECT_ROOT, "model", "model-weights.bin");
/** Has the lexical part that stands behind transformers. The static model's is of another tokenizer. */
export const TRANSFORMER_WITH_LEXICAL_PART = join(PROJECT_ROOT, "model", "embeddings-worker-minilm.bin");
/** What `npm run deploy` deploys with, and where it remembers the deployed URL; ignored by git. */
export const GENERATED_CONFIG = join(PROJECT_ROOT, "wrangler.generated.json");

/** How wrangler.toml wants workerd to behave: for whatever starts the Worker without wrangler. */
export function workerCompatibility(): { date: string; flags: string[] } {
  const settings = readFileSync(join(PROJECT_ROOT, "wrangler.toml"), "utf8");
  const [, date] = /^compatibility_date = "(.+)"$/m.exec(settings)!;
  const [, flags = ""] = /^compatibility_flags = \[(.*)\]$/m.exec(settings) ?? [];
  return { date: date!, flags: [...flags.matchAll(/"(\w+)"/g)].map(([, flag]) => flag!) };
}

/** A failure the user can mend: printed as its message alone, without a stack. */
export class UserError extends Error {}

/** A flag's whole number, from 1 to `max`. */
export function integerFlag(name: string, text: string, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new UserError(`${name} wants a whole number from 1 to ${max}; got "${text}"`);
}

/** Runs a command's main function when its file was started, not when a test or a script imports it. */
export async function runAsCommand(moduleUrl: string, main: () => Promise<void> | void): Promise<void> {
  const startedFile = process.argv[1];
  if (startedFile === undefined || realpathSync(startedFile) !== realpathSync(fileURLToPath(moduleUrl)))
    return;
  try {
    await main();
  } catch (error) {
    if (!isForTheUser(error)) throw error;
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}

/** A flag that a command does not know is the user's to mend as well. */
function isForTheUser(error: unknown): error is Error {
  return (
    error instanceof UserError || String((error as NodeJS.ErrnoException).code).startsWith("ERR_PARSE_ARGS")
  );
}
