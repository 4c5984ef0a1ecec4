// What sentence-transformers does one after another to make an embedding: modules.json and the configurations it names.
import { UserError } from "../project.js";
import { isObject, JsonFile, shown } from "./json-file.js";
import { inModule, jsonOf, textOf, type ModelSource } from "./source.js";

export type Pooling = "cls" | "mean";

export interface DenseModule {
  folder: string;
  inFeatures: number;
  outFeatures: number;
  hasBias: boolean;
  activation: "identity" | "tanh";
}

export interface Modules {
  first: { kind: "Transformer" | "StaticEmbedding"; folder: string };
  pooling: Pooling;
  dense: DenseModule | undefined;
  normalize: boolean;
}

const MODULES = "modules.json";
const MAX_DENSE_FEATURES = 4096;
const ACTIVATIONS: Record<string, DenseModule["activation"]> = {
  "torch.nn.modules.linear.Identity": "identity",
  "torch.nn.modules.activation.Tanh": "tanh",
};
const SUPPORTED =
  "Transformer, Pooling, Dense (at most one) and Normalize, in this order, or StaticEmbedding and Normalize";

/** undefined: there is no modules.json, so the folder holds a plain model. */
export async function readModules(source: ModelSource): Promise<Modules | undefined> {
  const text = await textOf(source, MODULES);
  if (text === undefined) return undefined;
  const list = parseList(text);
  const [first, ...others] = list;
  if (first?.kind === "StaticEmbedding") {
    const normalize = others.length === 1 && others[0]!.kind === "Normalize";
    if (others.length > 0 && !normalize) refuseOrder(list);
    return {
      first: { kind: "StaticEmbedding", folder: first.folder },
      pooling: "mean",
      dense: undefined,
      normalize,
    };
  }
  const [pooling, ...rest] = others;
  if (first?.kind !== "Transformer" || pooling?.kind !== "Pooling") return refuseOrder(list);
  const dense = rest[0]?.kind === "Dense" ? rest.shift() : undefined;
  const normalize = rest[0]?.kind === "Normalize" ? rest.shift() : undefined;
  if (rest.length > 0) refuseOrder(list);
  return {
    first: { kind: "Transformer", folder: first.folder },
    pooling: await readPooling(source, pooling.folder),
    dense: dense && (await readDense(source, dense.folder)),
    normalize: normalize !== undefined,
  };
}

interface Module {
  kind: string;
  folder: string;
}

function parseList(text: string): Module[] {
  const { list } = JsonFile.parse(MODULES, `{"list":${text}}`).fields;
  if (!Array.isArray(list)) {
    throw new UserError(`${MODULES}: expected a list of modules, got ${shown(list)}`);
  }
  return list.map((entry: unknown, index) => {
    const { type, path } = isObject(entry) ? entry : {};
    // The package has moved its modules about; the last element of the type is the module's name.
    const [, kind] = /^sentence_transformers\.(?:.+\.)?(\w+)$/.exec(String(type)) ?? [];
    if (
      kind === undefined ||
      !["Transformer", "Pooling", "Dense", "Normalize", "StaticEmbedding"].includes(kind)
    ) {
      throw new UserError(`${MODULES}: module ${index}: expected one of ${SUPPORTED}, got ${shown(type)}`);
    }
    if (typeof path !== "string" || path.startsWith("/") || path.split(/[\\/]/).includes("..")) {
      throw new UserError(
        `${MODULES}: module ${index}: path: expected a folder of the model, got ${shown(path)}`,
      );
    }
    return { kind, folder: path };
  });
}

function refuseOrder(modules: Module[]): never {
  const found = modules.map(({ kind }) => kind).join(", ");
  throw new UserError(`${MODULES}: expected ${SUPPORTED}, got ${found === "" ? "no module" : found}`);
}

async function configOf(source: ModelSource, folder: string): Promise<JsonFile> {
  const name = inModule(folder, "config.json");
  const file = await jsonOf(source, name);
  if (file === undefined) throw new UserError(`${name}: there is no such file, though ${MODULES} names it`);
  return file;
}

/** Pooling modes as sentence-transformers writes them: a flag each, or since 5.x one field. */
async function readPooling(source: ModelSource, folder: string): Promise<Pooling> {
  const config = await configOf(source, folder);
  if (!config.flag("include_prompt", true)) config.refuse("include_prompt", "true");
  const modes: string[] = [];
  if (config.has("pooling_mode")) {
    const mode = config.fields["pooling_mode"];
    modes.push(...(Array.isArray(mode) ? mode.map(String) : [String(mode)]));
  } else {
    for (const [field, value] of Object.entries(config.fields)) {
      const [, mode] = /^pooling_mode_(\w+?)(?:_tokens?)?$/.exec(field) ?? [];
      if (mode !== undefined && value === true) modes.push(mode);
    }
    if (!config.has("pooling_mode_mean_tokens")) modes.push("mean");
  }
  const [mode] = modes;
  if (modes.length !== 1 || (mode !== "cls" && mode !== "mean")) {
    return config.refuse("pooling_mode", "cls or mean, and no other", modes.join(" and "));
  }
  return mode;
}

async function readDense(source: ModelSource, folder: string): Promise<DenseModule> {
  const config = await configOf(source, folder);
  for (const field of ["module_input_name", "module_output_name"]) {
    config.oneOf(field, ["sentence_embedding"], "sentence_embedding");
  }
  const activation = ACTIVATIONS[config.text("activation_function", "torch.nn.modules.activation.Tanh")];
  const inFeatures = config.wholeNumber("in_features", 1, MAX_DENSE_FEATURES);
  const outFeatures = config.wholeNumber("out_features", 8, MAX_DENSE_FEATURES);
  if (outFeatures % 8 !== 0) config.refuse("out_features", "a multiple of 8");
  return {
    folder,
    inFeatures,
    outFeatures,
    hasBias: config.flag("bias", true),
    activation: activation ?? config.refuse("activation_function", Object.keys(ACTIVATIONS).join(" or ")),
  };
}
