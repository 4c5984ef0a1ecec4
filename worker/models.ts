/**
 * The models of this Worker: which there are, which one answers to a name, and how their weights come from Workers KV
 * into wasm memory. Each is loaded once for an isolate, when it is first asked for.
 */
import {
  dropModel,
  Gone,
  isTrap,
  Load,
  modelInfo,
  replaceInstance,
  WeightsRefused,
  type Model,
  type ModelInfo,
} from "../embedder-wasm/embedder";
import {
  comparable,
  MAX_PART_BYTES,
  parseCatalogue,
  requestTokens,
  type CatalogueEntry,
  type LimitVariables,
  type ServedModel,
} from "./catalogue";
import { ApiError, modelUnavailable } from "./errors";
import { log } from "./log";
import { isHeld } from "./running";
import { LOAD_IDLE_MILLISECONDS, SharedLoad, type LoadContext } from "./shared-load";

export interface ModelBindings extends LimitVariables {
  /** Holds the weights. */
  EMBEDDINGS_MODEL: KVNamespace;
  /** The catalogue: an array of `CatalogueEntry`, as JSON text or as a value. The first one is the default. */
  MODELS?: string | CatalogueEntry[];
  /** Where there is no catalogue, the key of the only weights file. */
  MODEL_KEY?: string;
}

export interface LoadedModel {
  model: Model;
  info: ModelInfo;
  /** Its names, as the file itself has them. */
  served: ServedModel[];
}

/** An isolate has 128 MB for everything. */
const MAX_WEIGHTS_BYTES = 72 * 1024 * 1024;
/** Large enough for few round trips into KV's stream, small beside the weights. */
const CHUNK_BYTES = 512 * 1024;
/** The content of an immutable key never changes; any other may be written again. */
const IMMUTABLE_CACHE_SECONDS = 86_400;
const MUTABLE_CACHE_SECONDS = 60;

// ---------------------------------------------------------------------------------- which models there are

/** All names, the default first. Without a catalogue the weights must be loaded to tell. */
export async function servedModels(env: ModelBindings, ctx: LoadContext): Promise<ServedModel[]> {
  return knownModels(env) ?? (await fileOf(defaultKey(env)).get(env, ctx)).served;
}

/** As `servedModels`, but undefined where the weights would have to be loaded. */
export function knownModels(env: ModelBindings): ServedModel[] | undefined {
  return env.MODELS ? catalogue(env.MODELS, env) : fileOf(defaultKey(env)).loaded?.served;
}

/** Of the default model, without loading anything. */
export function defaultVersion(env: ModelBindings): string {
  try {
    return knownModels(env)?.[0]?.version ?? versionInKey(defaultKey(env)) ?? "unknown";
  } catch {
    return "unknown";
  }
}

let readCatalogue: { from: unknown; models: ServedModel[] } | undefined;

function catalogue(from: string | CatalogueEntry[], env: ModelBindings): ServedModel[] {
  if (readCatalogue?.from !== from) readCatalogue = { from, models: parseCatalogue(from, env) };
  return readCatalogue.models;
}

/** The names that a file gives itself. */
function servedByFile(info: ModelInfo, key: string, version: string, env: ModelBindings): ServedModel[] {
  const names: [string, number][] = [[info.name, info.dimensions], ...Object.entries(info.aliases)];
  return names.map(([name, dimensions]) => ({
    name,
    comparableName: comparable(name),
    key,
    version,
    dimensions,
    maxDimensions: info.dimensions,
    semanticDimensions: info.semanticDimensions,
    maxInputTokens: info.maxInputTokens,
    maxRequestTokens: requestTokens(info, env),
    architecture: info.architecture,
    dtype: info.dtype,
  }));
}

function defaultKey(env: ModelBindings): string {
  return env.MODEL_KEY || "model-weights";
}

// ------------------------------------------------------------------------------------------------- loading

/** The model behind a name, where it is loaded. */
export function loadedModel({ key }: ServedModel): LoadedModel | undefined {
  const file = fileOf(key);
  file.lastUse = ++uses;
  return file.loaded;
}

/** A trap in another request may take the model away again before the caller goes on: ask `loadedModel` afterwards. */
export async function loadModel({ key }: ServedModel, env: ModelBindings, ctx: LoadContext): Promise<void> {
  await fileOf(key).get(env, ctx);
}

/** All models are gone with the instance; the next requests load them into a new one. */
function recoverFromTrap(trap: unknown): ApiError {
  log({ event: "embedder_trapped", detail: String(trap) });
  for (const file of files.values()) file.forget();
  replaceInstance();
  return modelUnavailable("The embedder failed and is being replaced.");
}

/** What has happened in the embedder, as what a client is told. */
export function failureOf(error: unknown): unknown {
  if (isTrap(error)) return recoverFromTrap(error);
  return error instanceof Gone ? modelUnavailable("It was given up meanwhile.") : error;
}

let uses = 0;
const files = new Map<string, WeightsFile>();

function fileOf(key: string): WeightsFile {
  let file = files.get(key);
  if (file === undefined) files.set(key, (file = new WeightsFile(key)));
  return file;
}

/** A weights file in KV, and its model once it is loaded. */
class WeightsFile {
  /** Counts up with each use of any file. */
  lastUse = 0;
  /** The load that writes to wasm memory. */
  private load: Load | undefined;
  private lastChunkAt = 0;
  private readonly shared = new SharedLoad((env: ModelBindings, proceed) => this.read(env, proceed));

  constructor(private readonly key: string) {}

  get loaded(): LoadedModel | undefined {
    return this.shared.value;
  }

  /** What it takes of wasm memory. */
  get byteLength(): number {
    return this.load?.total ?? 0;
  }

  get isHeld(): boolean {
    if (this.loaded !== undefined) return isHeld(this.loaded.model);
    // A load whose request was killed makes no progress, and holds nothing.
    return Date.now() - this.lastChunkAt < LOAD_IDLE_MILLISECONDS;
  }

  get(env: ModelBindings, ctx: LoadContext): Promise<LoadedModel> {
    return this.shared.get(env, ctx);
  }

  /** Gives its memory to another one. */
  drop(): void {
    log({ event: "model_dropped", key: this.key });
    if (this.loaded === undefined) this.load?.drop();
    else dropModel(this.loaded.model);
    this.forget();
  }

  forget(): void {
    this.load = undefined;
    this.shared.forget();
  }

  private async read(env: ModelBindings, proceed: () => boolean): Promise<LoadedModel | undefined> {
    const { key } = this;
    const started = Date.now();
    try {
      const read = await this.readParts(env, proceed);
      if (read === undefined) return undefined;
      const { model, version, bytes } = read;
      const info = modelInfo(model);
      log({ event: "model_loaded", key, version, bytes, milliseconds: Date.now() - started });
      return { model, info, served: servedByFile(info, key, version, env) };
    } catch (error) {
      log({ event: "model_load_failed", key, milliseconds: Date.now() - started, detail: String(error) });
      const failure = failureOf(error);
      if (failure instanceof ApiError) throw failure;
      throw modelUnavailable(
        error instanceof WeightsRefused
          ? `Its weights cannot be used: ${error.message}.`
          : "Workers KV failed.",
      );
    }
  }

  /** Undefined when another load of the same file has taken over meanwhile: memory is its own then. */
  private async readParts(
    { EMBEDDINGS_MODEL: kv }: ModelBindings,
    proceed: () => boolean,
  ): Promise<{ model: Model; version: string; bytes: number } | undefined> {
    const { key } = this;
    const cacheTtl = versionInKey(key) === undefined ? MUTABLE_CACHE_SECONDS : IMMUTABLE_CACHE_SECONDS;
    let load: Load | undefined;
    const append = (chunk: Uint8Array): boolean => {
      if (!proceed()) return false;
      load ??= this.begin();
      this.lastChunkAt = Date.now();
      load.append(chunk);
      return true;
    };
    let version: string | undefined;
    try {
      for (let part = 1; part === 1 || load!.received < load!.total; part++) {
        const partKey = part === 1 ? key : `${key}.${part}`;
        const { value, metadata } = await kv.getWithMetadata<{ sha256?: unknown }>(partKey, {
          type: "stream",
          cacheTtl,
        });
        if (value === null) throw new WeightsRefused(`there is nothing under the KV key '${partKey}'`);
        version ??= versionInMetadata(metadata);
        const before = load?.received ?? 0;
        if (!(await copyChunks(value, append))) return undefined;
        const got = load!.received - before;
        // Only a full part is followed by another one.
        if (got < MAX_PART_BYTES && load!.received < load!.total) {
          if (part === 1) break;
          const expected = Math.min(MAX_PART_BYTES, load!.total - before);
          throw new WeightsRefused(`the part '${partKey}' has ${got} bytes; expected ${expected}`);
        }
      }
      const model = load!.finish();
      return { model, version: version ?? versionInKey(key) ?? "unknown", bytes: load!.total };
    } catch (error) {
      if (load !== undefined && this.load === load && !isTrap(error)) {
        load.drop();
        this.load = undefined;
      }
      throw error;
    }
  }

  /** What an earlier load of this file has left, whose request was killed, goes first. */
  private begin(): Load {
    this.load?.drop();
    return (this.load = new Load((byteLength) => makeRoom(byteLength, this)));
  }
}

/** Drops the models that were used longest ago and that nobody holds, until a file of so many bytes has room. */
function makeRoom(byteLength: number, newcomer: WeightsFile): void {
  const others = [...files.values()].filter((file) => file !== newcomer && file.byteLength > 0);
  let room = MAX_WEIGHTS_BYTES - others.reduce((sum, file) => sum + file.byteLength, 0);
  const droppable = others.filter((file) => !file.isHeld).sort((a, b) => a.lastUse - b.lastUse);
  for (const file of droppable) {
    if (room >= byteLength) break;
    room += file.byteLength;
    file.drop();
  }
  if (room >= byteLength) return;
  throw modelUnavailable("Other models, which are in use, take all the memory for weights.");
}

/** Passes a stream on in chunks; false when `append` wants no more. */
async function copyChunks(stream: ReadableStream, append: (chunk: Uint8Array) => boolean): Promise<boolean> {
  const reader = stream.getReader({ mode: "byob" });
  try {
    let buffer = new ArrayBuffer(CHUNK_BYTES);
    for (;;) {
      const { value, done } = await reader.readAtLeast(CHUNK_BYTES, new Uint8Array(buffer));
      const chunk = value ?? new Uint8Array(0);
      if (!append(chunk)) return false;
      if (done) return true;
      buffer = chunk.buffer as ArrayBuffer;
    }
  } finally {
    // Where it ended early, KV need not send the rest.
    void reader.cancel().catch(() => {});
  }
}

function versionInKey(key: string): string | undefined {
  return /-([0-9a-f]{12})$/.exec(key)?.[1];
}

/** It becomes a header of every answer: anything else that may stand there is left alone. */
function versionInMetadata(metadata: { sha256?: unknown } | null): string | undefined {
  return typeof metadata?.sha256 === "string"
    ? /^([0-9a-f]{12})[0-9a-f]{52}$/.exec(metadata.sha256)?.[1]
    : undefined;
}
