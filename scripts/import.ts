// Makes a weights file of a sentence-transformers or model2vec model: `npm run import -- FOLDER`, or
// `npm run import -- owner/name` for one on Hugging Face. Needs neither Python nor Rust.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";
import { hubSettings, hubSource } from "./lib/import/hub.js";
import { importModel, MAX_LEXICAL_WEIGHT, type ImportOptions } from "./lib/import/import-model.js";
import { progressBar } from "./lib/import/progress.js";
import { described as describedPrompts } from "./lib/import/prompts.js";
import { sampleOf } from "./lib/import/sample.js";
import { folderSource, type ModelSource } from "./lib/import/source.js";
import { PROJECT_ROOT, runAsCommand, TRANSFORMER_WITH_LEXICAL_PART, UserError } from "./lib/project.js";
import { checkedWeights, partsOf, weightsVersion } from "./lib/weights.js";

const USAGE = `npm run import -- FOLDER | OWNER/NAME [--out FILE] [--name NAME]
    [--lexical WEIGHT] [--lexical-damping] | [--no-lexical]
    [--revision REVISION] [--query-prompt TEXT] [--document-prompt TEXT]
    [--calibrate FILE]`;
/** Where imported models go when nothing else is said; ignored by git. */
const IMPORTED_FOLDER = join(PROJECT_ROOT, "model", "imported");
const HUB_NAME = /^[\w.-]+\/[\w.-]+$/;

void runAsCommand(import.meta.url, main);

async function main(): Promise<void> {
  const { model, out, revision, options } = parseFlags(process.argv.slice(2));
  const source = findSource(model, revision);
  let file;
  try {
    file = await importModel(source, options);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${model} is not imported: ${error.message}`);
    throw error;
  }
  const path = out ?? join(IMPORTED_FOLDER, `${file.name}.bin`);
  const shownPath = out ?? relative(process.cwd(), path);
  // What the Worker could not read is not even written.
  const weights = checkedWeights(file.bytes, shownPath);
  const { tokens, millisecondsPerToken, cosines } = sampleOf(file.bytes, weights.info.dimensions);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.bytes);

  const parts = partsOf(weights, "").length;
  const { query, document } = weights.info.prompts;
  console.log(`
${file.name}: ${file.description}
  file     ${shownPath}, ${(file.bytes.length / 1024 / 1024).toFixed(1)} MiB, ${parts === 1 ? "one value" : `${parts} parts`} in KV
  version  ${weightsVersion(weights)}, SHA-256 ${weights.sha256}
  names    ${[[file.name, weights.info.dimensions], ...Object.entries(weights.info.aliases)].map(([name, dimensions]) => `${name} (${dimensions} dimensions)`).join(", ")}
  prompts  ${describedPrompts({ query: query ?? undefined, document: document ?? undefined })}
  speed    ${millisecondsPerToken.toPrecision(2)} ms a token here, over three sentences of ${tokens} tokens
  sense    "How do I reset my password?" has the cosine ${cosines[0].toFixed(2)} with "I forgot my login and need a new one."
           and ${cosines[1].toFixed(2)} with "Bananas ripen faster in a paper bag."

Try it: npm run dev -- --weights ${shownPath}`);
}

function parseFlags(args: string[]): {
  model: string;
  out: string | undefined;
  revision: string | undefined;
  options: ImportOptions;
} {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      out: { type: "string" },
      lexical: { type: "string" },
      "lexical-damping": { type: "boolean", default: false },
      "no-lexical": { type: "boolean", default: false },
      name: { type: "string" },
      revision: { type: "string" },
      "query-prompt": { type: "string" },
      "document-prompt": { type: "string" },
      calibrate: { type: "string" },
    },
  });
  const [model] = positionals;
  if (model === undefined || positionals.length > 1) {
    throw new UserError(
      `expected one folder or one name on Hugging Face, got ${positionals.length}\n${USAGE}`,
    );
  }
  if (values.lexical !== undefined && values["no-lexical"]) {
    throw new UserError("--lexical and --no-lexical exclude each other");
  }
  if (values["lexical-damping"] && values["no-lexical"]) {
    throw new UserError("--lexical-damping and --no-lexical exclude each other");
  }
  return {
    model,
    out: values.out,
    revision: values.revision,
    options: {
      lexical: values["no-lexical"] ? "none" : lexicalWeight(values.lexical),
      isLexicalDamped: values["lexical-damping"],
      lexicalFrom: TRANSFORMER_WITH_LEXICAL_PART,
      name: values.name,
      prompts: { query: values["query-prompt"], document: values["document-prompt"] },
      calibrationTexts: values.calibrate === undefined ? undefined : linesOf(values.calibrate),
      note: (text) => console.log(text),
    },
  };
}

/** The texts of a file, one in a line. */
function linesOf(path: string): string[] {
  if (!existsSync(path)) throw new UserError(`--calibrate: there is no file ${path}`);
  const lines = readFileSync(path, "utf8")
    .split(/\r?\n/)
    .filter((line) => line.trim() !== "");
  if (lines.length === 0) throw new UserError(`--calibrate: ${path} has no text`);
  return lines;
}

function lexicalWeight(text: string | undefined): number | "default" {
  if (text === undefined) return "default";
  const weight = Number(text);
  if (text.trim() === "" || !(weight > 0 && weight <= MAX_LEXICAL_WEIGHT)) {
    throw new UserError(`--lexical wants a weight above 0, at most ${MAX_LEXICAL_WEIGHT}, but got "${text}"`);
  }
  return weight;
}

/** A folder that is there goes before a name on Hugging Face. */
function findSource(model: string, revision: string | undefined): ModelSource {
  if (statSync(model, { throwIfNoEntry: false })?.isDirectory() === true) {
    if (revision !== undefined)
      throw new UserError(`--revision is for a name on Hugging Face, and ${model} is a folder`);
    return folderSource(model);
  }
  if (!HUB_NAME.test(model)) {
    throw new UserError(`${model} is neither a folder nor a name on Hugging Face of the form owner/name`);
  }
  return hubSource(model, {
    revision,
    settings: hubSettings(process.env),
    note: (text) => console.log(text),
    progressBar,
  });
}
