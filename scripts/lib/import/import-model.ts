// A model folder of the Hugging Face kind in, a weights file out. What is not supported is refused by name.
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { UserError } from "../project.js";
import { importBert } from "./bert.js";
import { oneOf } from "./json-file.js";
import { readLexicalPart } from "./lexical.js";
import { readModules, type Pooling } from "./modules.js";
import { readPrompts, type Prompts } from "./prompts.js";
import { jsonOf, textOf, type ModelSource } from "./source.js";
import { importStatic } from "./static.js";
import { weightsFile, type WeightsTensor } from "./weights-file.js";

/** What the Worker's reader takes at most: an isolate has 128 MB for everything. */
export const MAX_WEIGHTS_BYTES = 64 * 1024 * 1024;
/** How long the lexical part is beside the model's own, by pooling; measured: see docs/importing.md. */
const LEXICAL_WEIGHTS: Record<Pooling, number> = { mean: 0.5, cls: 0.3 };
export const MAX_LEXICAL_WEIGHT = 100;
const MODEL_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** A model as it was read, without what the command line adds. */
export interface Imported {
  architecture: "bert" | "static";
  dimensions: number;
  normalize: boolean;
  pooling: Pooling;
  tensors: WeightsTensor[];
  metadata: Record<string, string>;
  /** The safetensors file that the tensors are from, by its path in the model's folder. */
  weightsPath: string;
  /** One line, for printing. */
  description: string;
}

export interface ImportOptions {
  /** The weight of the lexical part; "default" by the model's kind, "none" without. */
  lexical: number | "default" | "none";
  /** Whether texts with many rare words have less of it. */
  isLexicalDamped: boolean;
  /** The weights file whose lexical part is taken over. */
  lexicalFrom: string;
  name: string | undefined;
  prompts: Prompts;
  /** Texts of the kind that will be embedded, for rounding that takes them into account. */
  calibrationTexts: string[] | undefined;
  note: (text: string) => void;
}

export interface ImportedFile {
  name: string;
  bytes: Buffer;
  description: string;
}

export async function importModel(source: ModelSource, options: ImportOptions): Promise<ImportedFile> {
  const name = modelName(source, options);
  const model = await readModel(source, options);
  const prompts = await readPrompts(source, options.prompts, options.note);
  const lexical = lexicalPart(model, options);
  if (lexical !== undefined && !model.normalize) {
    options.note("with the lexical part embeddings are normalised, though the model's own are not");
  }
  const license = await licenseOf(source);
  const sha256 = await sha256Of((await source.file(model.weightsPath))!);
  options.note(`${model.weightsPath}: SHA-256 ${sha256}`);
  const dimensions = model.dimensions + (lexical?.dimensions ?? 0);
  const bytes = weightsFile(
    {
      name,
      ...model.metadata,
      normalize: String(model.normalize || lexical !== undefined),
      ...(lexical && {
        lexical_dim: String(lexical.dimensions),
        lexical_weight: String(lexical.weight),
        ...(lexical.isDamped && { lexical_damping: "root" }),
      }),
      ...(lexical &&
        name !== source.name && { aliases: JSON.stringify({ [source.name]: model.dimensions }) }),
      ...(prompts.query !== undefined && { query_prompt: prompts.query }),
      ...(prompts.document !== undefined && { document_prompt: prompts.document }),
      ...(license !== undefined && { license }),
      source: `${source.origin}, ${model.weightsPath} SHA-256 ${sha256}`,
    },
    [...model.tensors, ...(lexical ? [lexical.idf] : [])],
  );
  if (bytes.length > MAX_WEIGHTS_BYTES) {
    throw new UserError(
      `the weights file would have ${bytes.length} bytes, but a Worker holds at most ${MAX_WEIGHTS_BYTES} (64 MiB)`,
    );
  }
  const parts = lexical
    ? ` (${model.dimensions} and ${lexical.dimensions} lexical, weight ${lexical.weight}${lexical.isDamped ? ", damped" : ""})`
    : "";
  return { name, bytes, description: `${model.description}; ${dimensions} dimensions${parts}` };
}

/** With a lexical part it is another model than the one that everybody knows by its name, which becomes an alias. */
function modelName(source: ModelSource, { name, lexical }: ImportOptions): string {
  const chosen = name ?? (lexical === "none" ? source.name : `${source.name}-hybrid`);
  for (const candidate of [chosen, source.name]) {
    if (MODEL_NAME.test(candidate)) continue;
    throw new UserError(
      `a model's name may have letters, digits and . _ - and begins with a letter or digit, got "${candidate}"` +
        (candidate === name ? "" : ": rename the folder"),
    );
  }
  return chosen;
}

async function readModel(source: ModelSource, { calibrationTexts, note }: ImportOptions): Promise<Imported> {
  const modules = await readModules(source);
  if (modules?.first.kind === "StaticEmbedding") {
    return importStatic(source, modules.first.folder, modules.normalize, note);
  }
  if (modules !== undefined) return importBert(source, modules, calibrationTexts, note);
  const config = await jsonOf(source, "config.json");
  if (config === undefined) {
    throw new UserError("neither modules.json nor config.json is there: this is not a model's folder");
  }
  switch (config.fields["model_type"]) {
    case "model2vec":
      return importStatic(source, "", false, note);
    case "bert":
      return importBert(source, undefined, calibrationTexts, note);
    default:
      return config.refuse("model_type", oneOf(["bert", "model2vec"]));
  }
}

function lexicalPart(model: Imported, { lexical, isLexicalDamped, lexicalFrom }: ImportOptions) {
  if (lexical === "none") return undefined;
  const weight = lexical === "default" ? LEXICAL_WEIGHTS[model.pooling] : lexical;
  return { ...readLexicalPart(lexicalFrom), weight, isDamped: isLexicalDamped };
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex");
}

/** What the model card's front matter says. */
async function licenseOf(source: ModelSource): Promise<string | undefined> {
  const [, frontMatter = ""] = /^---\n(.*?)\n---/s.exec((await textOf(source, "README.md")) ?? "") ?? [];
  return /^license:\s*["']?([\w.-]+)/m.exec(frontMatter)?.[1];
}
