// A sentence-transformers folder of a BERT: its configuration, checked, and its tensors, quantised.
// Names and defaults are those of transformers' BertConfig and BertModel.
import { UserError } from "../project.js";
import { CALIBRATION_TEXTS } from "./calibration-texts.js";
import { calibrationIds, readTexts } from "./calibration.js";
import { JsonFile, shown } from "./json-file.js";
import type { Imported } from "./import-model.js";
import type { DenseModule, Modules, Pooling } from "./modules.js";
import { quantiseRowsWide } from "./quantise.js";
import { roundForInputs, type RoundedLayer } from "./round-for-inputs.js";
import { FLOAT_DTYPES, SafetensorsFile } from "./safetensors.js";
import { inModule, jsonOf, type ModelSource } from "./source.js";
import {
  floatTensor,
  linearTensors,
  matrixTensors,
  tableTensors,
  type WeightsTensor,
} from "./weights-file.js";
import { openWeights, SAFETENSORS } from "./weights-source.js";
import { readTokenizer, tokenizerMetadata, vocabularyTensor, type WordPiece } from "./wordpiece.js";

const MAX_LAYERS = 24;
const MAX_HIDDEN = 1024;
/** What the embedder's sums and buffers are made for. */
const MAX_ROW_VALUES = 4096;
/** [CLS], a word piece, [SEP]. */
const MIN_POSITIONS = 3;
const ACTIVATIONS = ["gelu", "gelu_new", "relu"] as const;
const WORDS = "embeddings.word_embeddings.weight";
const POSITIONS = "embeddings.position_embeddings.weight";
const TOKEN_TYPES = "embeddings.token_type_embeddings.weight";
/** What BertModel has beside the embedding: the pooler and the heads of pre-training, and a constant. */
const NOT_NEEDED = /^(pooler\.|cls\.|embeddings\.position_ids$)/;

export type Activation = (typeof ACTIVATIONS)[number];

interface BertConfig {
  vocabularyRows: number;
  hidden: number;
  intermediate: number;
  layers: number;
  heads: number;
  positions: number;
  activation: Activation;
  layerNormEpsilon: number;
}

export async function importBert(
  source: ModelSource,
  modules: Modules | undefined,
  calibrationTexts: string[] | undefined,
  note: (text: string) => void,
): Promise<Imported> {
  if (modules === undefined) {
    note("there is no modules.json: mean pooling and no normalisation, as sentence-transformers does then");
  }
  const { first, pooling, dense, normalize } = modules ?? {
    first: { folder: "" },
    pooling: "mean" as Pooling,
    dense: undefined,
    normalize: false,
  };
  const folder = first.folder;
  const config = await readConfig(source, folder);
  if (dense !== undefined && dense.inFeatures !== config.hidden) {
    throw new UserError(
      `${inModule(dense.folder, "config.json")}: in_features: expected ${config.hidden}, the model's hidden_size, got ${dense.inFeatures}`,
    );
  }
  const { wordPiece, specialTokens } = await readTokenizer(source, folder);
  if (specialTokens === undefined) {
    throw new UserError(
      "tokenizer.json: post_processor: expected [CLS] A [SEP] (the BERT kind), got nothing",
    );
  }
  for (const token of [specialTokens.cls, specialTokens.sep]) {
    if (!wordPiece.vocabulary.includes(token)) {
      throw new UserError(`the special token ${shown(token)} is not in the vocabulary`);
    }
  }
  const maxTokens = await readMaxTokens(source, folder, config, wordPiece);
  if (wordPiece.vocabulary.length > config.vocabularyRows) {
    throw new UserError(
      `the vocabulary has ${wordPiece.vocabulary.length} tokens, but config.json: vocab_size is ${config.vocabularyRows}`,
    );
  }
  const dimensions = dense?.outFeatures ?? config.hidden;
  const tensors = await readTensors(
    source,
    folder,
    config,
    { words: wordPiece.vocabulary.length, positions: maxTokens },
    calibrationIds(calibrationTexts ?? CALIBRATION_TEXTS, wordPiece, specialTokens, maxTokens),
  );
  if (dense !== undefined) tensors.push(...(await readDenseTensors(source, dense)));
  return {
    architecture: "bert",
    dimensions,
    normalize,
    pooling,
    tensors: [...tensors, vocabularyTensor(wordPiece)],
    metadata: {
      architecture: "bert",
      ...tokenizerMetadata(wordPiece),
      cls_token: specialTokens.cls,
      sep_token: specialTokens.sep,
      max_seq_len: String(maxTokens),
      hidden_act: config.activation,
      layer_norm_eps: String(config.layerNormEpsilon),
      num_attention_heads: String(config.heads),
      num_hidden_layers: String(config.layers),
      pooling,
      ...(dense && { dense_activation: dense.activation }),
    },
    weightsPath: inModule(folder, SAFETENSORS),
    description:
      `bert, ${config.layers} layers of ${config.hidden}, ${config.heads} heads, ` +
      `${wordPiece.vocabulary.length} word pieces, ${pooling} pooling` +
      `${dense ? `, dense to ${dense.outFeatures}` : ""}, reads ${maxTokens} tokens`,
  };
}

async function readConfig(source: ModelSource, folder: string): Promise<BertConfig> {
  const name = inModule(folder, "config.json");
  const config = await jsonOf(source, name);
  if (config === undefined) throw new UserError(`${name}: there is no such file`);
  config.oneOf("model_type", ["bert"]);
  config.oneOf("position_embedding_type", ["absolute"], "absolute");
  const activation = config.oneOf("hidden_act", ACTIVATIONS, "gelu");
  for (const field of [
    "is_decoder",
    "add_cross_attention",
    "auto_map",
    "quantization_config",
    "pruned_heads",
  ]) {
    config.mustNotAsk(field);
  }
  const hidden = config.wholeNumber("hidden_size", 8, MAX_HIDDEN, 768);
  const heads = config.wholeNumber("num_attention_heads", 1, MAX_HIDDEN, 12);
  if (hidden % heads !== 0) config.refuse("hidden_size", `a multiple of num_attention_heads, ${heads}`);
  if (hidden % 8 !== 0) config.refuse("hidden_size", "a multiple of 8");
  if (config.has("embedding_size") && config.fields["embedding_size"] !== hidden) {
    config.refuse("embedding_size", `hidden_size, ${hidden}`);
  }
  const intermediate = config.wholeNumber("intermediate_size", 8, MAX_ROW_VALUES, 3072);
  if (intermediate % 8 !== 0) config.refuse("intermediate_size", "a multiple of 8");
  const layerNormEpsilon = config.has("layer_norm_eps") ? config.fields["layer_norm_eps"] : 1e-12;
  if (typeof layerNormEpsilon !== "number" || !(layerNormEpsilon > 0 && layerNormEpsilon < 1)) {
    return config.refuse("layer_norm_eps", "a number above 0 and below 1");
  }
  return {
    vocabularyRows: config.wholeNumber("vocab_size", 1, 2 ** 24, 30522),
    hidden,
    intermediate,
    layers: config.wholeNumber("num_hidden_layers", 1, MAX_LAYERS, 12),
    heads,
    positions: config.wholeNumber("max_position_embeddings", MIN_POSITIONS, 2 ** 24, 512),
    activation,
    layerNormEpsilon,
  };
}

/** How many tokens of a text sentence-transformers reads: what its own file says, else the tokenizer's bound. */
async function readMaxTokens(
  source: ModelSource,
  folder: string,
  config: BertConfig,
  wordPiece: WordPiece,
): Promise<number> {
  const name = inModule(folder, "sentence_bert_config.json");
  const file = (await jsonOf(source, name)) ?? new JsonFile(name, {});
  for (const field of ["model_args", "config_args", "tokenizer_args"]) file.mustNotAsk(field);
  // Then the whole text is lower-cased first, whatever the tokenizer does.
  if (file.flag("do_lower_case", false)) wordPiece.lowerCase = true;
  const stated = file.has("max_seq_length")
    ? file.wholeNumber("max_seq_length", MIN_POSITIONS, 2 ** 31)
    : (wordPiece.modelMaxLength ?? config.positions);
  return Math.min(stated, config.positions, MAX_ROW_VALUES);
}

/** What of a model's tensors the file has. */
interface Kept {
  words: number;
  positions: number;
}

async function readTensors(
  source: ModelSource,
  folder: string,
  config: BertConfig,
  kept: Kept,
  calibration: number[][],
): Promise<WeightsTensor[]> {
  const { hidden, layers } = config;
  const file = await openWeights(source, folder);
  try {
    const names = namesInFile(file);
    const shapes = shapesOf(config, file.shape(names.get(TOKEN_TYPES) ?? "")?.[0] ?? 1);
    const values = new Map<string, Float32Array>();
    for (const [name, shape] of shapes) values.set(name, file.read(names.get(name) ?? name, shape));
    for (const [name, inFile] of names) {
      if (!shapes.has(name) && !NOT_NEEDED.test(name)) {
        throw new UserError(
          `model.safetensors: tensor ${inFile}: a BertModel of ${layers} layers has no such tensor`,
        );
      }
    }
    const rounded = roundedLayers(config, shapes, values, calibration);
    const tensors: WeightsTensor[] = [];
    for (const [name, shape] of shapes) {
      const linear = name.replace(/\.(weight|bias)$/, "");
      const layer = rounded.get(linear);
      if (layer !== undefined) {
        if (name.endsWith(".weight")) tensors.push(...linearTensors(linear, layer));
        continue;
      }
      const rows = keptRows(name, kept);
      const part = values.get(name)!.subarray(0, rows === undefined ? undefined : rows * hidden);
      if (name === WORDS) tensors.push(...tableTensors(name, `${name}.scales`, [rows!, hidden], part));
      else tensors.push(floatTensor(name, rows === undefined ? shape : [rows, hidden], part));
    }
    return tensors;
  } finally {
    file.close();
  }
}

/** All tensors that a BertModel needs, by their names there. */
function shapesOf(config: BertConfig, tokenTypeRows: number): Map<string, number[]> {
  const { hidden, intermediate } = config;
  const shapes = new Map<string, number[]>();
  const linear = (name: string, rows: number, columns: number) =>
    shapes.set(`${name}.weight`, [rows, columns]).set(`${name}.bias`, [rows]);
  const layerNorm = (name: string) => shapes.set(`${name}.weight`, [hidden]).set(`${name}.bias`, [hidden]);
  shapes.set(WORDS, [config.vocabularyRows, hidden]);
  shapes.set(POSITIONS, [config.positions, hidden]);
  shapes.set(TOKEN_TYPES, [tokenTypeRows, hidden]);
  layerNorm("embeddings.LayerNorm");
  for (let layer = 0; layer < config.layers; layer++) {
    const name = `encoder.layer.${layer}`;
    linear(`${name}.attention.self.query`, hidden, hidden);
    linear(`${name}.attention.self.key`, hidden, hidden);
    linear(`${name}.attention.self.value`, hidden, hidden);
    linear(`${name}.attention.output.dense`, hidden, hidden);
    layerNorm(`${name}.attention.output.LayerNorm`);
    linear(`${name}.intermediate.dense`, intermediate, hidden);
    linear(`${name}.output.dense`, hidden, intermediate);
    layerNorm(`${name}.output.LayerNorm`);
  }
  return shapes;
}

/** Of a table only the first rows, where the others can never be read. A text is one segment, number 0. */
function keptRows(name: string, { words, positions }: Kept): number | undefined {
  return { [WORDS]: words, [POSITIONS]: positions, [TOKEN_TYPES]: 1 }[name];
}

/** The linear layers, by their names, rounded as suits the texts of the calibration. */
function roundedLayers(
  config: BertConfig,
  shapes: Map<string, number[]>,
  values: Map<string, Float32Array>,
  calibration: number[][],
): Map<string, RoundedLayer> {
  const rounded = new Map<string, RoundedLayer>();
  readTexts(calibration, { ...config, values: (name) => values.get(name)! }, (layer, inputs) => {
    for (const name of linearLayers(shapes)) {
      if (!name.startsWith(`encoder.layer.${layer}.`)) continue;
      const linear = { values: values.get(`${name}.weight`)!, bias: values.get(`${name}.bias`)! };
      rounded.set(name, roundForInputs(linear, inputs(`${name}.weight`), exactInputs(name)));
    }
  });
  return rounded;
}

function linearLayers(shapes: Map<string, number[]>): string[] {
  return [...shapes]
    .filter(([name, { length }]) => length === 2 && name.startsWith("encoder."))
    .map(([name]) => name.replace(/\.weight$/, ""));
}

/**
 * How many columns stay f32. Of all-MiniLM-L6-v2's intermediate values one or two in a layer are far larger than all others at
 * each [CLS]: rounding the weights of these alone did more to short texts than all else.
 */
function exactInputs(layer: string): number {
  return /\.\d+\.output\.dense$/.test(layer) ? 4 : 0;
}

/** Names as BertModel has them, and what they are in the file: under `bert.`, or with TensorFlow's names of a layer norm. */
function namesInFile(file: SafetensorsFile): Map<string, string> {
  return new Map(
    file.names().map((inFile) => {
      const name = inFile
        .replace(/^bert\./, "")
        .replace(/LayerNorm\.gamma$/, "LayerNorm.weight")
        .replace(/LayerNorm\.beta$/, "LayerNorm.bias");
      return [name, inFile];
    }),
  );
}

async function readDenseTensors(source: ModelSource, dense: DenseModule): Promise<WeightsTensor[]> {
  const { outFeatures, inFeatures } = dense;
  const file = await openWeights(source, dense.folder);
  try {
    const weight = file.read("linear.weight", [outFeatures, inFeatures], FLOAT_DTYPES);
    const bias = dense.hasBias
      ? file.read("linear.bias", [outFeatures], FLOAT_DTYPES)
      : new Float32Array(outFeatures);
    return [
      ...matrixTensors(
        "dense.linear.weight",
        [outFeatures, inFeatures],
        quantiseRowsWide(weight, outFeatures, inFeatures),
      ),
      floatTensor("dense.linear.bias", [outFeatures], bias),
    ];
  } finally {
    file.close();
  }
}
