// A static model: a row for each word piece, and their mean. Folders of model2vec, and of sentence-transformers'
// StaticEmbedding. They differ in what they do with unknown words and long texts; each is imported as its own library
// computes it (model2vec 0.10, sentence-transformers 5).
import { UserError } from "../project.js";
import { JsonFile, shown } from "./json-file.js";
import type { Imported } from "./import-model.js";
import type { SafetensorsFile } from "./safetensors.js";
import { inModule, jsonOf, type ModelSource } from "./source.js";
import { tableTensors } from "./weights-file.js";
import { openWeights, SAFETENSORS } from "./weights-source.js";
import { readTokenizer, tokenizerMetadata, vocabularyTensor, type WordPiece } from "./wordpiece.js";

/** What a Worker reads of a text where the model itself has no bound. */
const MAX_TOKENS = 8192;
const MAX_DIMENSIONS = 4096;
/** model2vec's own default. */
const MODEL2VEC_MAX_LENGTH = 512;
const TABLE_DTYPES = ["F32", "F16", "BF16", "F64", "I8"];
const WEIGHT_DTYPES = ["F32", "F16", "BF16", "F64"];
const MAPPING_DTYPES = ["I32", "I64"];

export async function importStatic(
  source: ModelSource,
  folder: string,
  hasNormalize: boolean,
  note: (text: string) => void,
): Promise<Imported> {
  const { wordPiece } = await readTokenizer(source, folder);
  const configName = inModule(folder, "config.json");
  const config = (await jsonOf(source, configName)) ?? new JsonFile(configName, {});
  const file = await openWeights(source, folder);
  try {
    const isModel2vec = file.shape("embeddings") !== undefined;
    const reading = isModel2vec
      ? model2vecReading(config, wordPiece, hasNormalize)
      : { maxTokens: wordPiece.truncation ?? MAX_TOKENS, dropUnknown: false, normalize: hasNormalize };
    const maxTokens = Math.min(reading.maxTokens, MAX_TOKENS);
    if (maxTokens < reading.maxTokens) {
      note(`the model reads texts of any length, the Worker their first ${MAX_TOKENS} word pieces`);
    }
    const { rows, dimensions } = foldedTable(file, isModel2vec, wordPiece.vocabulary.length);
    return {
      architecture: "static",
      dimensions,
      normalize: reading.normalize,
      pooling: "mean",
      tensors: [
        ...tableTensors("embeddings", "scales", [wordPiece.vocabulary.length, dimensions], rows),
        vocabularyTensor(wordPiece),
      ],
      metadata: {
        architecture: "static",
        ...tokenizerMetadata(wordPiece),
        drop_unknown: String(reading.dropUnknown),
        max_seq_len: String(maxTokens),
        ...("maxCharacters" in reading && { max_characters: String(reading.maxCharacters) }),
      },
      weightsPath: inModule(folder, SAFETENSORS),
      description: `static, ${wordPiece.vocabulary.length} word pieces of ${dimensions}, reads ${maxTokens} tokens`,
    };
  } finally {
    file.close();
  }
}

interface Reading {
  maxTokens: number;
  dropUnknown: boolean;
  normalize: boolean;
  maxCharacters?: number;
}

/** model2vec cuts a text to so many characters as `max_length` tokens of median length have, then to `max_length` tokens. */
function model2vecReading(config: JsonFile, wordPiece: WordPiece, hasNormalize: boolean): Reading {
  const dropUnknown = true;
  const normalize = config.flag("normalize", hasNormalize);
  // null means without bound there, and absent means the default.
  if (config.fields["max_length"] === null) return { maxTokens: Infinity, dropUnknown, normalize };
  const maxTokens = config.wholeNumber("max_length", 1, 1e9, MODEL2VEC_MAX_LENGTH);
  const maxCharacters = maxTokens * medianLength(wordPiece.vocabulary);
  return { maxTokens, dropUnknown, normalize, maxCharacters };
}

/** As `int(numpy.median(...))` of the tokens' lengths in code points. */
function medianLength(vocabulary: string[]): number {
  const lengths = vocabulary.map((token) => [...token].length).sort((a, b) => a - b);
  const middle = lengths.length / 2;
  return Math.floor((lengths[Math.floor(middle)]! + lengths[Math.ceil(middle) - 1]!) / 2);
}

/** The row of each token, with its weight and through the mapping. */
function foldedTable(
  file: SafetensorsFile,
  isModel2vec: boolean,
  tokens: number,
): { rows: Float32Array; dimensions: number } {
  const name = isModel2vec ? "embeddings" : "embedding.weight";
  const [tableRows = 0, dimensions = 0] = file.shape(name) ?? [];
  if (dimensions > MAX_DIMENSIONS) {
    throw new UserError(
      `model.safetensors: tensor ${name}: expected at most ${MAX_DIMENSIONS} dimensions, got ${dimensions}`,
    );
  }
  const mapping =
    file.shape("mapping") === undefined ? undefined : file.read("mapping", [tokens], MAPPING_DTYPES);
  const weights =
    file.shape("weights") === undefined ? undefined : file.read("weights", [tokens], WEIGHT_DTYPES);
  const table = file.read(name, [mapping === undefined ? tokens : tableRows, dimensions], TABLE_DTYPES);
  const rows = new Float32Array(tokens * dimensions);
  for (let token = 0; token < tokens; token++) {
    const row = mapping?.[token] ?? token;
    if (row < 0 || row >= tableRows) {
      throw new UserError(
        `model.safetensors: tensor mapping: expected rows 0 to ${tableRows - 1}, got ${shown(row)} for token ${token}`,
      );
    }
    const weight = weights?.[token] ?? 1;
    for (let i = 0; i < dimensions; i++) {
      rows[token * dimensions + i] = table[row * dimensions + i]! * weight;
    }
  }
  return { rows, dimensions };
}
