// Puts weights files into the local KV, where `wrangler dev` finds them: `npm run seed` for those that are shipped, or
//   -- --weights FILE --weights FILE   others; the first one's model is the default
//   -- --default NAME                  another default
import { parseArgs } from "node:util";
import { getPlatformProxy } from "wrangler";
import type { CatalogueEntry } from "../worker/catalogue.js";
import { runAsCommand, UserError } from "./lib/project.js";
import {
  catalogueOf,
  immutableKey,
  isPart,
  partsOf,
  readWeightsFiles,
  type PartMetadata,
  type WeightsFile,
} from "./lib/weights.js";

/** Besides what the Worker reads, a local entry says which file it was made from. */
interface LocalMetadata extends PartMetadata {
  file: string;
}

interface LocalBindings {
  EMBEDDINGS_MODEL: KVNamespace;
  MODEL_KEY: string;
}

/** The flags of `wrangler dev` that change where it looks for its local KV. */
export interface LocalStorageOptions {
  config?: string | undefined;
  env?: string | undefined;
  persistTo?: string | undefined;
}

export interface Seeded {
  /** In words, for printing. */
  report: string;
  /** The variable MODELS for `wrangler dev`; undefined where the only model was put there by hand. */
  catalogue: CatalogueEntry[] | undefined;
}

/** Where the catalogue of what was seeded lies in the local KV. */
const CATALOGUE_KEY = "catalogue";

void runAsCommand(import.meta.url, async () => {
  const { values } = parseArgs({
    options: { weights: { type: "string", multiple: true, default: [] }, default: { type: "string" } },
  });
  console.log((await seed(readWeightsFiles(values.weights), values.default)).report);
  // It keeps what it has loaded, and the list of models that it was started with.
  console.log("`npm run dev` serves this when it starts; start one that is running again.");
});

/**
 * Writes the weights unless they are there already. The first file lies under MODEL_KEY, where a plain `wrangler dev`
 * finds it, the others under keys of their own.
 */
export function seed(
  files: WeightsFile[],
  defaultName: string | undefined,
  options: LocalStorageOptions = {},
): Promise<Seeded> {
  return withLocalBindings(options, (bindings) => write(files, defaultName, bindings));
}

/** As `seed` with the shipped weights, but leaves alone what the user has put there himself. */
export function seedShippedWeights(
  defaultName: string | undefined,
  options: LocalStorageOptions = {},
): Promise<Seeded> {
  const shipped = readWeightsFiles([]);
  return withLocalBindings(options, async (bindings) => {
    const present = (await presentEntries(bindings, bindings.MODEL_KEY)).get(bindings.MODEL_KEY);
    if (present === undefined || present.file === shipped[0]!.name)
      return write(shipped, defaultName, bindings);
    const catalogue = await bindings.EMBEDDINGS_MODEL.get<CatalogueEntry[]>(CATALOGUE_KEY, "json");
    const isItsOwn = catalogue?.some(
      ({ key, sha256 }) => key === bindings.MODEL_KEY && sha256 === present.sha256,
    );
    const origin = present.file ?? "a file put there by hand";
    return {
      report: `The local KV holds ${origin}; \`npm run seed\` puts the shipped weights back.`,
      catalogue: isItsOwn ? catalogue! : undefined,
    };
  });
}

async function write(
  files: WeightsFile[],
  defaultName: string | undefined,
  bindings: LocalBindings,
): Promise<Seeded> {
  const keyed = files.map((weights, i) => ({
    weights,
    key: i === 0 ? bindings.MODEL_KEY : immutableKey(weights),
  }));
  const catalogue = catalogueOf(keyed, defaultName);
  const report: string[] = [];
  for (const { weights, key } of keyed) report.push(await writeFile(weights, key, bindings));
  await bindings.EMBEDDINGS_MODEL.put(CATALOGUE_KEY, JSON.stringify(catalogue));
  return { report: report.join("\n"), catalogue };
}

async function writeFile(weights: WeightsFile, key: string, bindings: LocalBindings): Promise<string> {
  const present = await presentEntries(bindings, key);
  const missing = partsOf(weights, key).filter(
    (part) => !isPart(part, present.get(part.key)) || present.get(part.key)?.file !== weights.name,
  );
  if (missing.length === 0) return `The local KV holds ${weights.summary} already.`;
  for (const { key, bytes, metadata } of missing) {
    const value = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
    await bindings.EMBEDDINGS_MODEL.put(key, value, {
      metadata: { ...metadata, file: weights.name } satisfies LocalMetadata,
    });
  }
  return `Seeded the local KV: ${weights.summary}`;
}

/** The metadata of the parts from `key` on; one that was put there by hand has none. */
async function presentEntries(
  { EMBEDDINGS_MODEL }: LocalBindings,
  key: string,
): Promise<Map<string, Partial<LocalMetadata>>> {
  const { keys } = await EMBEDDINGS_MODEL.list<Partial<LocalMetadata>>({ prefix: key });
  return new Map(keys.map(({ name, metadata }) => [name, metadata ?? {}]));
}

/** wrangler's own way to its local storage: the same namespace, key and variables as in `wrangler dev`. */
async function withLocalBindings<T>(
  options: LocalStorageOptions,
  work: (bindings: LocalBindings) => Promise<T>,
): Promise<T> {
  // Asked of the network only for the properties of the request, which no script needs.
  process.env["CLOUDFLARE_CF_FETCH_ENABLED"] ??= "false";
  const proxy = await getPlatformProxy<Partial<LocalBindings>>({
    ...(options.config !== undefined && { configPath: options.config }),
    ...(options.env !== undefined && { environment: options.env }),
    ...(options.persistTo !== undefined && { persist: { path: `${options.persistTo}/v3` } }),
    remoteBindings: false,
  });
  try {
    const { EMBEDDINGS_MODEL, MODEL_KEY = "model-weights" } = proxy.env;
    if (EMBEDDINGS_MODEL === undefined) {
      throw new UserError("wrangler.toml has no KV namespace with the binding EMBEDDINGS_MODEL: put it back");
    }
    return await work({ EMBEDDINGS_MODEL, MODEL_KEY });
  } finally {
    await proxy.dispose();
  }
}
