// What `npm run import` makes of a model's folder, as the tests want it: without a lexical part, and read by a reader of its own.
import { importModel, type ImportOptions } from "../../scripts/lib/import/import-model.js";
import { folderSource } from "../../scripts/lib/import/source.js";
import { TRANSFORMER_WITH_LEXICAL_PART } from "../../scripts/lib/project.js";
import { readWeightsFile, writeFolder, type Files } from "./tiny-models.js";

export async function imported(files: Files, options: Partial<ImportOptions> = {}, name?: string) {
  const notes: string[] = [];
  const { folder, remove } = writeFolder(files, name);
  try {
    const file = await importModel(folderSource(folder), {
      lexical: "none",
      isLexicalDamped: false,
      lexicalFrom: TRANSFORMER_WITH_LEXICAL_PART,
      name: undefined,
      prompts: { query: undefined, document: undefined },
      calibrationTexts: undefined,
      note: (text) => notes.push(text),
      ...options,
    });
    return { ...file, ...readWeightsFile(file.bytes), notes };
  } finally {
    remove();
  }
}
