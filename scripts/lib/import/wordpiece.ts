// The tokenizer of a BERT: a vocabulary, and how a text is cleaned before it is cut into word pieces. Read from
// tokenizer.json (the `tokenizers` library), or from vocab.txt and tokenizer_config.json. Every other kind is refused.
import { UserError } from "../project.js";
import { isObject, JsonFile, oneOf, shown, type JsonObject } from "./json-file.js";
import { inModule, jsonOf, textOf, type ModelSource } from "./source.js";
import { bytesTensor, type WeightsTensor } from "./weights-file.js";

export interface WordPiece {
  /** In the order of the ids. */
  vocabulary: string[];
  lowerCase: boolean;
  stripAccents: boolean;
  cleanText: boolean;
  chineseChars: boolean;
  unknownToken: string;
  continuingPrefix: string;
  /** A longer word is unknown. */
  maxWordCharacters: number;
  /** What the tokenizer cuts a text to by itself; undefined: nothing. */
  truncation: number | undefined;
  /** The tokenizer's own bound, where tokenizer_config.json states one. */
  modelMaxLength: number | undefined;
}

/** What stands around the word pieces of each text. */
export interface SpecialTokens {
  cls: string;
  sep: string;
}

const TOKENIZER_JSON = "tokenizer.json";
const TOKENIZER_CONFIG = "tokenizer_config.json";
const VOCABULARY = "vocab.txt";
/** The parts of a BERT's tokenizer, as `tokenizers` calls them. */
const NORMALIZER = "BertNormalizer";
const PRE_TOKENIZER = "BertPreTokenizer";
/** What the special tokens are called where nothing says otherwise, as in transformers' BertTokenizer. */
const SPECIAL_TOKENS = {
  unk_token: "[UNK]",
  cls_token: "[CLS]",
  sep_token: "[SEP]",
  pad_token: "[PAD]",
  mask_token: "[MASK]",
};
const SLOW_TOKENIZERS = ["BertTokenizer", "BertTokenizerFast"];
/** transformers writes 10^30 where a tokenizer has no bound. */
const NO_BOUND = 1e9;

export async function readTokenizer(
  source: ModelSource,
  folder: string,
): Promise<{ wordPiece: WordPiece; specialTokens: SpecialTokens | undefined }> {
  const config =
    (await jsonOf(source, inModule(folder, TOKENIZER_CONFIG))) ??
    new JsonFile(inModule(folder, TOKENIZER_CONFIG), {});
  const specials = specialTokensOf(config);
  const tokenizer = await jsonOf(source, inModule(folder, TOKENIZER_JSON));
  if (tokenizer !== undefined) {
    const wordPiece = fromTokenizerJson(tokenizer, config, specials);
    return { wordPiece, specialTokens: framingTokens(tokenizer, wordPiece.vocabulary) };
  }
  const vocabularyName = inModule(folder, VOCABULARY);
  const vocabulary = await textOf(source, vocabularyName);
  if (vocabulary === undefined) {
    throw new UserError(
      `no tokenizer: expected ${inModule(folder, TOKENIZER_JSON)} or ${vocabularyName}; ` +
        "a SentencePiece or byte-level tokenizer (spiece.model, merges.txt) is not supported",
    );
  }
  const wordPiece = fromVocabulary(vocabulary, vocabularyName, config, specials);
  return { wordPiece, specialTokens: { cls: specials.cls_token, sep: specials.sep_token } };
}

/** The metadata of the weights file that describe the tokenizer. */
export function tokenizerMetadata(wordPiece: WordPiece): Record<string, string> {
  return {
    tokenizer: "wordpiece",
    lower_case: String(wordPiece.lowerCase),
    strip_accents: String(wordPiece.stripAccents),
    clean_text: String(wordPiece.cleanText),
    chinese_chars: String(wordPiece.chineseChars),
    unknown_token: wordPiece.unknownToken,
    continuing_prefix: wordPiece.continuingPrefix,
    max_word_characters: String(wordPiece.maxWordCharacters),
  };
}

export function vocabularyTensor(wordPiece: WordPiece): WeightsTensor {
  return bytesTensor("vocabulary", Buffer.from(wordPiece.vocabulary.join("\n")));
}

function fromTokenizerJson(
  tokenizer: JsonFile,
  config: JsonFile,
  specials: typeof SPECIAL_TOKENS,
): WordPiece {
  const model = part(tokenizer, "model");
  // Files of before tokenizers 0.9 do not name the kind of the model; only BPE has merges, only Unigram a list.
  const isWordPiece =
    model.fields["type"] === "WordPiece" ||
    (model.fields["type"] === undefined && model.has("max_input_chars_per_word") && !model.has("merges"));
  if (!isWordPiece) {
    tokenizer.refuse("model.type", '"WordPiece"', model.fields["type"]);
  }
  const normalizer = part(tokenizer, "normalizer");
  requireType(tokenizer, "normalizer", normalizer, NORMALIZER);
  requireType(tokenizer, "pre_tokenizer", part(tokenizer, "pre_tokenizer"), PRE_TOKENIZER);
  refuseAddedTokens(tokenizer, specials);

  const lowerCase = normalizer.flag("lowercase", true);
  const wordPiece: WordPiece = {
    vocabulary: inOrderOfIds(tokenizer.name, model.fields["vocab"]),
    lowerCase,
    stripAccents: normalizer.flag("strip_accents", lowerCase),
    cleanText: normalizer.flag("clean_text", true),
    chineseChars: normalizer.flag("handle_chinese_chars", true),
    unknownToken: model.text("unk_token", specials.unk_token),
    continuingPrefix: model.text("continuing_subword_prefix", "##"),
    maxWordCharacters: model.wholeNumber("max_input_chars_per_word", 1, 1000, 100),
    truncation: truncationOf(tokenizer),
    modelMaxLength: modelMaxLength(config),
  };
  refuseContradiction(config, "do_lower_case", "normalizer.lowercase", wordPiece.lowerCase);
  refuseContradiction(config, "strip_accents", "normalizer.strip_accents", wordPiece.stripAccents);
  refuseContradiction(
    config,
    "tokenize_chinese_chars",
    "normalizer.handle_chinese_chars",
    wordPiece.chineseChars,
  );
  checkVocabulary(tokenizer.name, wordPiece);
  return wordPiece;
}

/** As transformers' BertTokenizer reads them. */
function fromVocabulary(
  text: string,
  name: string,
  config: JsonFile,
  specials: typeof SPECIAL_TOKENS,
): WordPiece {
  if (config.has("tokenizer_class")) config.oneOf("tokenizer_class", SLOW_TOKENIZERS);
  if (!config.flag("do_basic_tokenize", true)) config.refuse("do_basic_tokenize", "true");
  config.mustNotAsk("never_split");
  config.mustNotAsk("additional_special_tokens");
  const added = config.fields["added_tokens_decoder"];
  for (const [id, token] of Object.entries(isObject(added) ? added : {})) {
    refuseUnlessSpecial(config, `added_tokens_decoder.${id}`, token, specials);
  }
  const lowerCase = config.flag("do_lower_case", true);
  const lines = text.split("\n").map((line) => line.replace(/\r$/, ""));
  if (lines.at(-1) === "") lines.pop();
  const wordPiece: WordPiece = {
    vocabulary: lines,
    lowerCase,
    stripAccents: config.flag("strip_accents", lowerCase),
    cleanText: true,
    chineseChars: config.flag("tokenize_chinese_chars", true),
    unknownToken: specials.unk_token,
    continuingPrefix: "##",
    maxWordCharacters: 100,
    truncation: undefined,
    modelMaxLength: modelMaxLength(config),
  };
  checkVocabulary(name, wordPiece);
  return wordPiece;
}

/** The names of the special tokens; older files have objects in place of names. */
function specialTokensOf(config: JsonFile): typeof SPECIAL_TOKENS {
  const specials = { ...SPECIAL_TOKENS };
  for (const field of Object.keys(specials) as (keyof typeof SPECIAL_TOKENS)[]) {
    const value = config.fields[field];
    const name = isObject(value) ? value["content"] : value;
    if (name === undefined || name === null) continue;
    specials[field] = typeof name === "string" ? name : config.refuse(field, "a token");
  }
  return specials;
}

function part(tokenizer: JsonFile, field: string): JsonFile {
  const value = tokenizer.fields[field];
  return new JsonFile(`${tokenizer.name}: ${field}`, isObject(value) ? value : {});
}

function requireType(tokenizer: JsonFile, field: string, found: JsonFile, expected: string): void {
  if (found.fields["type"] === expected) return;
  tokenizer.refuse(`${field}.type`, `"${expected}" (the BERT kind)`, found.fields["type"]);
}

/** Added tokens are found in the text before anything else is done to it: the Worker does not do that. */
function refuseAddedTokens(tokenizer: JsonFile, specials: typeof SPECIAL_TOKENS): void {
  const added = tokenizer.fields["added_tokens"];
  for (const [index, token] of (Array.isArray(added) ? added : []).entries()) {
    refuseUnlessSpecial(tokenizer, `added_tokens[${index}]`, token, specials);
  }
}

function refuseUnlessSpecial(
  file: JsonFile,
  field: string,
  token: unknown,
  specials: typeof SPECIAL_TOKENS,
): void {
  const known = Object.values(specials);
  const content = isObject(token) ? token["content"] : undefined;
  if (typeof content !== "string" || !known.includes(content)) {
    file.refuse(field, `one of ${known.join(", ")} (other added tokens are not supported)`, content);
  }
}

/** The tokenizer as it was saved by `tokenizers` and the settings of transformers must say the same. */
function refuseContradiction(config: JsonFile, field: string, other: string, value: boolean): void {
  if (!config.has(field) || config.flag(field, value) === value) return;
  config.refuse(field, `${value}, as ${other} of ${TOKENIZER_JSON} says`);
}

function inOrderOfIds(file: string, vocabulary: unknown): string[] {
  if (!isObject(vocabulary)) {
    throw new UserError(
      `${file}: model.vocab: expected an object of tokens and ids, got ${shown(vocabulary)}`,
    );
  }
  const tokens: string[] = [];
  const count = Object.keys(vocabulary).length;
  for (const [token, id] of Object.entries(vocabulary)) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= count) {
      throw new UserError(
        `${file}: model.vocab: expected the ids 0 to ${count - 1} without holes, got ${shown(id)} for ${shown(token)}`,
      );
    }
    const other = tokens[id as number];
    if (other !== undefined) {
      throw new UserError(`${file}: model.vocab: ${shown(other)} and ${shown(token)} have the same id ${id}`);
    }
    tokens[id as number] = token;
  }
  return tokens;
}

function checkVocabulary(file: string, { vocabulary, unknownToken }: WordPiece): void {
  const ids = new Map<string, number>();
  for (const [id, token] of vocabulary.entries()) {
    if (token === "" || token.includes("\n")) {
      throw new UserError(`${file}: token ${id}: expected a text without line feeds, got ${shown(token)}`);
    }
    const other = ids.get(token);
    if (other !== undefined) {
      throw new UserError(`${file}: the token ${shown(token)} comes twice, as ${other} and as ${id}`);
    }
    ids.set(token, id);
  }
  if (!ids.has(unknownToken)) {
    throw new UserError(`${file}: the unknown token ${shown(unknownToken)} is not in the vocabulary`);
  }
}

/** [CLS] text [SEP], in either of the two forms in which `tokenizers` says so; undefined when nothing is put around a text. */
function framingTokens(tokenizer: JsonFile, vocabulary: string[]): SpecialTokens | undefined {
  if (!tokenizer.has("post_processor")) return undefined;
  const processor = part(tokenizer, "post_processor");
  const ofKind = processor.fields["type"];
  const expected = "[CLS] A [SEP] (the BERT kind)";
  const refuse = () => tokenizer.refuse("post_processor", expected);
  if (ofKind === "BertProcessing") {
    return {
      cls: tokenOfPair(processor.fields["cls"], vocabulary) ?? refuse(),
      sep: tokenOfPair(processor.fields["sep"], vocabulary) ?? refuse(),
    };
  }
  if (ofKind !== "TemplateProcessing") {
    tokenizer.refuse("post_processor.type", oneOf(["TemplateProcessing", "BertProcessing"]), ofKind);
  }
  const single = processor.fields["single"];
  const [cls, text, sep] = (Array.isArray(single) && single.length === 3 ? single : []) as JsonObject[];
  const name = (piece: JsonObject | undefined, kind: string): string | undefined => {
    const value = piece?.[kind];
    return isObject(value) && value["type_id"] === 0 ? String(value["id"]) : undefined;
  };
  const [clsName, sepName] = [name(cls, "SpecialToken"), name(sep, "SpecialToken")];
  if (clsName === undefined || sepName === undefined || name(text, "Sequence") === undefined) refuse();
  return {
    cls: tokenOfTemplate(processor, clsName!, vocabulary) ?? refuse(),
    sep: tokenOfTemplate(processor, sepName!, vocabulary) ?? refuse(),
  };
}

function tokenOfPair(pair: unknown, vocabulary: string[]): string | undefined {
  const [token, id] = Array.isArray(pair) ? (pair as unknown[]) : [];
  return typeof id === "number" && vocabulary[id] === token ? (token as string) : undefined;
}

function tokenOfTemplate(processor: JsonFile, name: string, vocabulary: string[]): string | undefined {
  const entries = processor.fields["special_tokens"];
  const entry = isObject(entries) ? entries[name] : undefined;
  const ids = isObject(entry) ? entry["ids"] : undefined;
  return Array.isArray(ids) && ids.length === 1 ? vocabulary[ids[0] as number] : undefined;
}

function truncationOf(tokenizer: JsonFile): number | undefined {
  if (!tokenizer.has("truncation")) return undefined;
  return part(tokenizer, "truncation").wholeNumber("max_length", 1, NO_BOUND);
}

function modelMaxLength(config: JsonFile): number | undefined {
  const value = config.fields["model_max_length"];
  return typeof value === "number" && value < NO_BOUND
    ? config.wholeNumber("model_max_length", 1, NO_BOUND)
    : undefined;
}
