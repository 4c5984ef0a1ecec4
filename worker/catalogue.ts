/**
 * What the variable MODELS says: the names that are served, each with its weights file in KV and the figures that
 * requests are checked against. Pure: the scripts write it, the Worker reads it.
 */
import { ApiError, described, modelUnavailable } from "./errors";

/** One name under which a weights file is served; `npm run dev` and `npm run deploy` write them. */
export interface CatalogueEntry {
  name: string;
  /** Of the first part in KV. A key that ends in 12 hex digits (of the SHA-256) is taken to be immutable. */
  key: string;
  parts: number;
  /** Of the whole file, in bytes. */
  length: number;
  sha256: string;
  /** Of an embedding where the request does not say. */
  dimensions: number;
  maxDimensions: number;
  /** How many of them, from the first, are the meaning; behind them comes the lexical part. */
  semanticDimensions: number;
  maxInputTokens: number;
  maxRequestTokens: number;
  architecture: string;
  dtype: string;
}

/** Variables that change what a request may hold. */
export interface LimitVariables {
  /** In place of a transformer's own limit, for Workers whose `limits.cpu_ms` is raised. */
  MAX_REQUEST_TOKENS?: string | number;
}

/** A name that is served. */
export interface ServedModel {
  name: string;
  /** The name as it is compared. */
  comparableName: string;
  key: string;
  /** The first 12 hex digits of the SHA-256 of the weights file, or "unknown". */
  version: string;
  dimensions: number;
  maxDimensions: number;
  semanticDimensions: number;
  maxInputTokens: number;
  maxRequestTokens: number;
  architecture: string;
  dtype: string;
}

/** Workers KV holds at most this much in one value: a larger file lies in parts, `<key>`, `<key>.2`, ... */
export const MAX_PART_BYTES = 25 * 1024 * 1024;
/** All names, the default first. */
export function parseCatalogue(from: string | CatalogueEntry[], limits: LimitVariables): ServedModel[] {
  let entries: unknown = from;
  try {
    if (typeof from === "string") entries = JSON.parse(from);
  } catch (error) {
    throw unreadableCatalogue((error as Error).message);
  }
  if (!Array.isArray(entries) || entries.length === 0)
    throw unreadableCatalogue("expected an array of models");
  return entries.map((entry, i) => servedBy(checkedEntry(entry, i), limits));
}

const ENTRY_NUMBERS = [
  "parts",
  "length",
  "dimensions",
  "maxDimensions",
  "semanticDimensions",
  "maxInputTokens",
  "maxRequestTokens",
];

function checkedEntry(entry: unknown, i: number): CatalogueEntry {
  const fields = (entry ?? {}) as Record<string, unknown>;
  for (const name of ["name", "key", "sha256", "architecture", "dtype"]) {
    if (typeof fields[name] !== "string" || fields[name] === "")
      throw unreadableCatalogue(`[${i}].${name} must be a text; got ${described(fields[name])}`);
  }
  for (const name of ENTRY_NUMBERS) {
    if (!Number.isInteger(fields[name]) || (fields[name] as number) < 1)
      throw unreadableCatalogue(`[${i}].${name} must be a positive integer; got ${described(fields[name])}`);
  }
  // It becomes a header of every answer.
  if (!/^[0-9a-f]{64}$/.test(fields["sha256"] as string))
    throw unreadableCatalogue(`[${i}].sha256 must be 64 hex digits; got ${described(fields["sha256"])}`);
  return entry as CatalogueEntry;
}

function unreadableCatalogue(reason: string): ApiError {
  return modelUnavailable(`The variable MODELS cannot be read: ${reason}.`);
}

function servedBy(entry: CatalogueEntry, limits: LimitVariables): ServedModel {
  const { name, key, sha256, dimensions, maxDimensions, semanticDimensions, maxInputTokens } = entry;
  return {
    name,
    comparableName: comparable(name),
    key,
    version: sha256.slice(0, 12),
    dimensions,
    maxDimensions,
    semanticDimensions,
    maxInputTokens,
    maxRequestTokens: requestTokens(entry, limits),
    architecture: entry.architecture,
    dtype: entry.dtype,
  };
}

/**
 * Clients write a name with or without its owner, and in small or large letters. A name that nobody has is answered by
 * the default: clients with a fixed name work.
 */
export function modelNamed(models: ServedModel[], name: string): ServedModel | undefined {
  const wanted = comparable(name);
  return models.find(({ comparableName }) => comparableName === wanted);
}

/** A name as names are compared. */
export function comparable(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1).toLowerCase();
}

/** A static model's is OpenAI's, and takes no time that would have to be limited. */
export function requestTokens(
  { architecture, maxRequestTokens }: Pick<CatalogueEntry, "architecture" | "maxRequestTokens">,
  { MAX_REQUEST_TOKENS: override }: LimitVariables,
): number {
  if (architecture === "static" || override === undefined || override === "") return maxRequestTokens;
  const tokens = Number(override);
  if (!Number.isInteger(tokens) || tokens < 1) {
    throw modelUnavailable(`The variable MAX_REQUEST_TOKENS must be a positive integer; got '${override}'.`);
  }
  return tokens;
}
