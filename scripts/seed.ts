// Puts a weights file into the local KV, where `wrangler dev` finds it: `npm run seed`, and
// `npm run seed -- --weights FILE` for another file than the shipped one.
import { parseArgs } from "node:util";
import { getPlatformProxy } from "wrangler";
import { runAsCommand, SHIPPED_WEIGHTS, UserError } from "./project.js";
import { readWeights, weightsVersion, type WeightsFile, type WeightsMetadata } from "./weights.js";

/** Besides what the Worker reads, the local entry says which file it was made from. */
interface LocalMetadata extends WeightsMetadata {
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

void runAsCommand(import.meta.url, async () => {
  const { values } = parseArgs({ options: { weights: { type: "string" } } });
  console.log(await seed(readWeights(values.weights ?? SHIPPED_WEIGHTS)));
});

/** Writes the weights unless they are there already; the answer says in words what was done. */
export function seed(weights: WeightsFile, options: LocalStorageOptions = {}): Promise<string> {
  return withLocalBindings(options, (bindings) => write(weights, bindings));
}

/** As `seed` with the shipped weights, but leaves alone what the user has put there himself. */
export function seedShippedWeights(options: LocalStorageOptions = {}): Promise<string> {
  const shipped = readWeights(SHIPPED_WEIGHTS);
  return withLocalBindings(options, async (bindings) => {
    const present = await presentEntry(bindings);
    if (present !== undefined && present.metadata?.file !== shipped.name) {
      const origin = present.metadata?.file ?? "a file put there by hand";
      return `The local KV holds ${origin}; \`npm run seed\` puts the shipped weights back.`;
    }
    return write(shipped, bindings);
  });
}

async function write(weights: WeightsFile, bindings: LocalBindings): Promise<string> {
  const present = await presentEntry(bindings);
  if (present?.metadata?.sha256 === weights.sha256 && present.metadata.file === weights.name) {
    return `The local KV holds ${weights.summary} already.`;
  }
  const metadata: LocalMetadata = {
    length: weights.bytes.length,
    sha256: weights.sha256,
    file: weights.name,
  };
  const value = weights.bytes.buffer.slice(
    weights.bytes.byteOffset,
    weights.bytes.byteOffset + weights.bytes.length,
  );
  await bindings.EMBEDDINGS_MODEL.put(bindings.MODEL_KEY, value as ArrayBuffer, { metadata });
  return `Seeded the local KV: ${weights.summary}`;
}

async function presentEntry({ EMBEDDINGS_MODEL, MODEL_KEY }: LocalBindings) {
  const { keys } = await EMBEDDINGS_MODEL.list<Partial<LocalMetadata>>({ prefix: MODEL_KEY });
  return keys.find((key) => key.name === MODEL_KEY);
}

/** wrangler's own way to its local storage: the same namespace, key and variables as in `wrangler dev`. */
async function withLocalBindings(
  options: LocalStorageOptions,
  work: (bindings: LocalBindings) => Promise<string>,
): Promise<string> {
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
