// Where a model's files come from: a folder here, or Hugging Face (hub.ts). Both hand out files by their path in
// the model's folder, and only when they are asked for them: a model is refused before its weights are downloaded.
import { readFileSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { JsonFile } from "./json-file.js";

export interface ModelSource {
  /** The model's own name: the last element of the path, or of the name on Hugging Face. */
  readonly name: string;
  /** Where the model is from, for the weights file. */
  readonly origin: string;
  /** The path of a file on this machine; undefined when the model has no such file. */
  file(path: string): Promise<string | undefined>;
}

export function folderSource(folder: string): ModelSource {
  const root = resolve(folder);
  return {
    name: basename(root),
    origin: basename(root),
    file: async (path) => {
      const file = join(root, path);
      return statSync(file, { throwIfNoEntry: false })?.isFile() === true ? file : undefined;
    },
  };
}

export async function textOf(source: ModelSource, path: string): Promise<string | undefined> {
  const file = await source.file(path);
  return file === undefined ? undefined : readFileSync(file, "utf8");
}

export async function jsonOf(source: ModelSource, path: string): Promise<JsonFile | undefined> {
  const text = await textOf(source, path);
  return text === undefined ? undefined : JsonFile.parse(path, text);
}

/** The path of a file in a module's folder; modules.json writes the model's own folder as "" or ".". */
export function inModule(folder: string, file: string): string {
  const clean = folder.replace(/^\.\/|\/$/g, "");
  return clean === "" || clean === "." ? file : `${clean}/${file}`;
}
