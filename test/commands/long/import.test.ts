// What `npm run import` makes of a model's folder: the bytes of the weights file, by a reader of its own, and every
// refusal, by its whole message.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it, test } from "node:test";
import { UserError } from "../../../scripts/lib/project.js";
import { checkedWeights } from "../../../scripts/lib/weights.js";
import { imported } from "../../lib/imported.js";
import {
  bertFiles,
  bertTensors,
  safetensors,
  tokenizerJson,
  VOCABULARY,
  type Files,
  type Json,
  type Tensors,
} from "../../lib/tiny-models.js";

const floats = (bytes: Buffer) =>
  Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(4 * index));

/** What V8 says; its words differ between versions. */
function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was thrown");
}

describe("the weights file of a BERT", () => {
  test("says in its metadata all that a reader needs", async () => {
    const files = bertFiles();
    files["README.md"] = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\nlicense: no\n";
    const { metadata, name } = await imported(files);
    const sha256 = createHash("sha256")
      .update(files["model.safetensors"] as Buffer)
      .digest("hex");
    assert.equal(name, "tiny-bert");
    assert.deepEqual(metadata, {
      format: "embeddings-worker",
      name: "tiny-bert",
      architecture: "bert",
      tokenizer: "wordpiece",
      lower_case: "true",
      strip_accents: "true",
      clean_text: "true",
      chinese_chars: "true",
      unknown_token: "[UNK]",
      continuing_prefix: "##",
      max_word_characters: "100",
      cls_token: "[CLS]",
      sep_token: "[SEP]",
      max_seq_len: "8",
      hidden_act: "gelu",
      layer_norm_eps: "1e-12",
      num_attention_heads: "2",
      num_hidden_layers: "1",
      pooling: "mean",
      normalize: "true",
      license: "apache-2.0",
      source: `tiny-bert, model.safetensors SHA-256 ${sha256}`,
    });
  });

  test("has these tensors in this order, all but U8 at multiples of 16 bytes, and nothing else", async () => {
    const { tensors } = await imported(bertFiles());
    const layer = "encoder.layer.0";
    const linear = (name: string) => [`${name}.weight.scales F32`, `${name}.bias F32`];
    const exact = (name: string) => [
      `${name}.weight.scales F32`,
      `${name}.weight.exact_columns F32`,
      `${name}.bias F32`,
    ];
    const norm = (name: string) => [`${name}.weight F32`, `${name}.bias F32`];
    assert.deepEqual(
      [...tensors].map(([name, { dtype }]) => `${name} ${dtype}`),
      [
        "embeddings.position_embeddings.weight F32",
        "embeddings.token_type_embeddings.weight F32",
        ...norm("embeddings.LayerNorm"),
        ...linear(`${layer}.attention.self.query`),
        ...linear(`${layer}.attention.self.key`),
        ...linear(`${layer}.attention.self.value`),
        ...linear(`${layer}.attention.output.dense`),
        ...norm(`${layer}.attention.output.LayerNorm`),
        ...linear(`${layer}.intermediate.dense`),
        ...exact(`${layer}.output.dense`),
        ...norm(`${layer}.output.LayerNorm`),
        // 11 rows: 44 bytes, and 4 until the next multiple of 16.
        "embeddings.word_embeddings.weight.scales F32",
        "padding.2092 U8",
        `${layer}.output.dense.weight.exact_inputs I32`,
        "embeddings.word_embeddings.weight I8",
        `${layer}.attention.self.query.weight I8`,
        `${layer}.attention.self.key.weight I8`,
        `${layer}.attention.self.value.weight I8`,
        `${layer}.attention.output.dense.weight I8`,
        `${layer}.intermediate.dense.weight I8`,
        `${layer}.output.dense.weight I8`,
        "vocabulary U8",
      ],
    );
    for (const [name, { dtype, start }] of tensors) {
      if (dtype !== "U8") assert.equal(start % 16, 0, name);
    }
    assert.deepEqual(tensors.get("padding.2092")!.bytes, Buffer.alloc(4));
    assert.deepEqual(tensors.get("embeddings.position_embeddings.weight")!.shape, [8, 16]);
    assert.deepEqual(tensors.get("embeddings.token_type_embeddings.weight")!.shape, [1, 16]);
    assert.deepEqual(tensors.get("embeddings.word_embeddings.weight")!.shape, [11, 16]);
    assert.deepEqual(tensors.get(`${layer}.intermediate.dense.weight`)!.shape, [3, 8, 4, 2, 2]);
    assert.equal(tensors.get("vocabulary")!.bytes.toString(), VOCABULARY.join("\n"));
  });

  test("quantises each row of the word table by its largest value, halves to the even level", async () => {
    const name = "embeddings.word_embeddings.weight";
    const weights = bertTensors();
    const values = Array.from(weights[name]!.values);
    // Row 9: a scale of 1, and values half-way between two levels. Row 10: zeros.
    values.splice(9 * 16, 16, 127, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 126.5, 0.49, -0.51, 0, 1, -127, 3, 4, 5);
    values.splice(10 * 16, 16, ...new Array<number>(16).fill(0));
    weights[name]!.values = values;
    const { tensors } = await imported({ ...bertFiles(), "model.safetensors": safetensors(weights) });

    const words = tensors.get(name)!;
    const scales = floats(tensors.get(`${name}.scales`)!.bytes);
    const levels = (row: number) => Array.from({ length: 16 }, (_, i) => words.bytes.readInt8(16 * row + i));
    assert.deepEqual(levels(9), [127, 0, 2, 2, 0, -2, -2, 126, 0, -1, 0, 1, -127, 3, 4, 5]);
    assert.deepEqual(levels(10), new Array(16).fill(0));
    assert.deepEqual([scales[9], scales[10]], [1, 1]);
    for (const [place, value] of values.entries()) {
      const scale = scales[Math.floor(place / 16)]!;
      assert.ok(Math.abs(words.bytes.readInt8(place) * scale - value) <= scale * 0.5001);
    }
    assert.deepEqual(
      floats(tensors.get("encoder.layer.0.output.LayerNorm.bias")!.bytes),
      Array.from(weights["encoder.layer.0.output.LayerNorm.bias"]!.values),
    );
  });

  test("has matrices in 8 bits, in panels, and columns of the second feed-forward layer in f32", async () => {
    const name = "encoder.layer.0.output.dense.weight";
    const { tensors } = await imported(bertFiles());
    const { dtype, shape, bytes } = tensors.get(name)!;
    assert.deepEqual([dtype, shape], ["I8", [2, 12, 4, 2, 2]]);
    const scales = floats(tensors.get(`${name}.scales`)!.bytes);
    const exactInputs = tensors.get(`${name}.exact_inputs`)!;
    const exactColumns = tensors.get(`${name}.exact_columns`)!;
    assert.deepEqual([exactInputs.dtype, exactInputs.shape], ["I32", [4]]);
    assert.deepEqual([exactColumns.dtype, exactColumns.shape], ["F32", [4, 16]]);
    const exact = [0, 1, 2, 3].map((index) => exactInputs.bytes.readInt32LE(4 * index));
    assert.ok(exact[0]! < exact[1]!);
    for (const [index, value] of Array.from(bertTensors()[name]!.values).entries()) {
      const [row, column] = [Math.floor(index / 24), index % 24];
      const pair = Math.floor(row / 8) * 12 + Math.floor(column / 2);
      // Row r + 4 of a panel shares a 16-bit number with row r: 256 of the one, and 128 + the other.
      const shared = bytes.readInt16LE(16 * pair + 4 * (row % 4) + 2 * (column % 2));
      const level = row % 8 < 4 ? (shared & 0xff) - 128 : shared >> 8;
      if (exact.includes(column)) {
        assert.equal(level, 0);
        const found = exactColumns.bytes.readFloatLE(4 * (16 * exact.indexOf(column) + row));
        assert.ok(Math.abs(found - value) <= 4 * scales[row]!);
      } else {
        // Weights take back what rounding others did: not only half a level.
        assert.ok(Math.abs(level * scales[row]! - value) <= 4 * scales[row]!);
      }
    }
  });

  test("is the same from F32, F16 and BF16, with and without the prefix `bert.`, and from TensorFlow's names", async () => {
    const { tensors: expected } = await imported(bertFiles());
    const tensorFlow = Object.fromEntries(
      Object.entries(bertTensors()).map(([name, tensor]) => [
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"),
        tensor,
      ]),
    );
    const pooler: Tensors = {
      "pooler.dense.weight": { dtype: "F32", shape: [16, 16], values: new Float32Array(256) },
      "cls.predictions.bias": { dtype: "F32", shape: [11], values: new Float32Array(11) },
      "embeddings.position_ids": { dtype: "I64", shape: [1, 12], values: new Array(12).fill(0) },
    };
    for (const weights of [
      bertTensors({ dtype: "F16" }),
      bertTensors({ dtype: "BF16" }),
      bertTensors({ prefix: "bert." }),
      tensorFlow,
      { ...bertTensors(), ...pooler },
    ]) {
      const { tensors } = await imported({ ...bertFiles(), "model.safetensors": safetensors(weights) });
      assert.deepEqual(
        [...tensors].map(([name, { bytes }]) => [name, bytes]),
        [...expected].map(([name, { bytes }]) => [name, bytes]),
      );
    }
  });

  test("has a Dense module's tensors and activation, and its dimensions", async () => {
    const files = bertFiles();
    files["modules.json"] = JSON.stringify([
      { path: "", type: "sentence_transformers.base.modules.Transformer" },
      { path: "1_Pooling", type: "sentence_transformers.sentence_transformer.modules.Pooling" },
      { path: "2_Dense", type: "sentence_transformers.models.Dense" },
    ]);
    files["1_Pooling/config.json"] = { embedding_dimension: 16, pooling_mode: "cls", include_prompt: true };
    const activation_function = "torch.nn.modules.activation.Tanh";
    files["2_Dense/config.json"] = { in_features: 16, out_features: 8, bias: true, activation_function };
    const values = Array.from({ length: 128 }, (_, index) => index);
    files["2_Dense/model.safetensors"] = safetensors({
      "linear.weight": { dtype: "F32", shape: [8, 16], values },
      "linear.bias": { dtype: "F32", shape: [8], values: values.slice(0, 8) },
    });
    const { metadata, tensors, description } = await imported(files);
    assert.equal(metadata["dense_activation"], "tanh");
    assert.equal(metadata["pooling"], "cls");
    assert.equal(metadata["normalize"], "false");
    const { dtype, shape, bytes } = tensors.get("dense.linear.weight")!;
    assert.deepEqual([dtype, shape], ["I16", [1, 8, 8, 2]]);
    const scales = floats(tensors.get("dense.linear.weight.scales")!.bytes);
    for (const [index, value] of values.entries()) {
      const [row, column] = [Math.floor(index / 16), index % 16];
      assert.equal(scales[row], Math.fround((16 * row + 15) / 511));
      const level = bytes.readInt16LE(2 * (16 * Math.floor(column / 2) + 2 * row + (column % 2)));
      assert.ok(Math.abs(level * scales[row]! - value) <= scales[row]! * 0.5001);
    }
    assert.deepEqual(floats(tensors.get("dense.linear.bias")!.bytes), values.slice(0, 8));
    assert.equal(
      description,
      "bert, 1 layers of 16, 2 heads, 11 word pieces, cls pooling, dense to 8, reads 8 tokens; 8 dimensions",
    );
  });

  test("takes the vocabulary from vocab.txt where there is no tokenizer.json, cased if the settings say so", async () => {
    const files = bertFiles();
    delete files["tokenizer.json"];
    files["vocab.txt"] = `${VOCABULARY.join("\r\n")}\r\n`;
    files["tokenizer_config.json"] = {
      do_lower_case: false,
      tokenize_chinese_chars: false,
      unk_token: { content: "[UNK]" },
    };
    const { metadata, tensors } = await imported(files);
    assert.equal(tensors.get("vocabulary")!.bytes.toString(), VOCABULARY.join("\n"));
    const { lower_case, strip_accents, clean_text, chinese_chars } = metadata;
    assert.deepEqual(
      [lower_case, strip_accents, clean_text, chinese_chars],
      ["false", "false", "true", "false"],
    );
  });

  test("takes BertProcessing for what it is, and lower-cases where sentence-transformers does it itself", async () => {
    const files = bertFiles();
    const tokenizer = files["tokenizer.json"] as Json;
    tokenizer.post_processor = { type: "BertProcessing", sep: ["[SEP]", 3], cls: ["[CLS]", 2] };
    tokenizer.normalizer.lowercase = false;
    (files["tokenizer_config.json"] as Json).do_lower_case = false;
    files["sentence_bert_config.json"] = { max_seq_length: null, do_lower_case: true };
    const { metadata } = await imported(files);
    assert.deepEqual([metadata["cls_token"], metadata["sep_token"]], ["[CLS]", "[SEP]"]);
    assert.deepEqual([metadata["lower_case"], metadata["strip_accents"]], ["true", "false"]);
    assert.equal(metadata["max_seq_len"], "12", "as many as the tokenizer has for its bound");
  });

  test("leaves out rows of the word table that no token has", async () => {
    const files = bertFiles();
    const config = files["config.json"] as Json;
    const weights = bertTensors();
    const words = weights["embeddings.word_embeddings.weight"]!;
    config.vocab_size = 16;
    words.shape = [16, 16];
    words.values = Float32Array.from({ length: 256 }, (_, index) => words.values[index] ?? 9);
    const { tensors } = await imported({ ...files, "model.safetensors": safetensors(weights) });
    assert.deepEqual(tensors.get("embeddings.word_embeddings.weight")!.shape, [11, 16]);
  });

  test("of a folder without modules.json is a mean without normalisation, and a note says so", async () => {
    const files = bertFiles();
    delete files["modules.json"];
    const { metadata, notes } = await imported(files);
    assert.deepEqual([metadata["pooling"], metadata["normalize"]], ["mean", "false"]);
    assert.equal(
      notes[0],
      "there is no modules.json: mean pooling and no normalisation, as sentence-transformers does then",
    );
  });
});

describe("the lexical part", () => {
  test("is the shipped model's; the model's own name becomes an alias with its own dimensions", async () => {
    const { metadata, tensors, name, description } = await imported(bertFiles(), { lexical: "default" });
    assert.equal(name, "tiny-bert-hybrid");
    const { lexical_dim, lexical_weight, aliases, normalize } = metadata;
    assert.deepEqual(
      { lexical_dim, lexical_weight, aliases, normalize },
      { lexical_dim: "640", lexical_weight: "0.5", aliases: '{"tiny-bert":16}', normalize: "true" },
    );
    assert.match(description, /; 656 dimensions \(16 and 640 lexical, weight 0\.5\)$/);
    const idf = tensors.get("idf")!;
    assert.deepEqual([idf.dtype, idf.shape], ["U8", [262144]]);
  });

  test("weighs 0.3 by itself with cls pooling, and what was asked for otherwise", async () => {
    const files = bertFiles();
    files["1_Pooling/config.json"] = { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false };
    assert.equal((await imported(files, { lexical: "default" })).metadata["lexical_weight"], "0.3");
    const { metadata } = await imported(files, { lexical: 0.75, name: "mine" });
    assert.deepEqual([metadata["lexical_weight"], metadata["name"]], ["0.75", "mine"]);
    assert.equal(metadata["lexical_damping"], undefined);
  });

  test("is damped where that was asked for, and the Worker's reader takes it", async () => {
    const { bytes, metadata, description } = await imported(bertFiles(), {
      lexical: 0.5,
      isLexicalDamped: true,
    });
    assert.equal(metadata["lexical_damping"], "root");
    assert.match(description, /weight 0\.5, damped\)$/);
    assert.equal(checkedWeights(bytes, "the file").info.dimensions, 656);
  });

  test("makes embeddings normalised where the model's own are not, and a note says so", async () => {
    const files = bertFiles();
    delete files["modules.json"];
    const { metadata, notes } = await imported(files, { lexical: 0.5 });
    assert.equal(metadata["normalize"], "true");
    assert.ok(
      notes.includes("with the lexical part embeddings are normalised, though the model's own are not"),
    );
  });
});

describe("prompts", () => {
  const settings = "config_sentence_transformers.json";

  test("are those of the model's settings, under each name that sentence-transformers knows", async () => {
    const files = bertFiles();
    files[settings] = { prompts: { query: "query: ", passage: "passage: ", clustering: "topic: " } };
    const { metadata } = await imported(files);
    assert.deepEqual([metadata["query_prompt"], metadata["document_prompt"]], ["query: ", "passage: "]);
    files[settings] = { prompts: { query: "Find: ", document: "" } };
    const second = await imported(files);
    assert.deepEqual(
      [second.metadata["query_prompt"], second.metadata["document_prompt"]],
      ["Find: ", undefined],
    );
  });

  test("of well-known models come from their README where the settings have none, and a note says so", async () => {
    const bge = await imported(bertFiles(), {}, "bge-small-en-v1.5");
    assert.equal(bge.metadata["query_prompt"], "Represent this sentence for searching relevant passages: ");
    assert.equal(bge.metadata["document_prompt"], undefined);
    assert.ok(
      bge.notes.includes(
        'the prompts are those of this model\'s README: query "Represent this sentence for searching relevant passages: ", document none',
      ),
    );
    const e5 = await imported(bertFiles(), {}, "e5-small-v2");
    assert.deepEqual([e5.metadata["query_prompt"], e5.metadata["document_prompt"]], ["query: ", "passage: "]);
  });

  test("of the command line go before all others, an empty one means none", async () => {
    const prompts = { query: "", document: "text: " };
    const { metadata } = await imported(bertFiles(), { prompts }, "e5-small-v2");
    assert.deepEqual([metadata["query_prompt"], metadata["document_prompt"]], [undefined, "text: "]);
  });

  test("that sentence-transformers would put before every text are noted", async () => {
    const files = bertFiles();
    files[settings] = { prompts: { query: "q: " }, default_prompt_name: "query" };
    assert.ok(
      (await imported(files)).notes.includes(
        'sentence-transformers puts the prompt "query" before every text; ' +
          "the Worker puts a prompt before a text only where input_type asks for it",
      ),
    );
  });
});

describe("what is not supported is refused by name", () => {
  const json = (files: Files, path: string) => files[path] as Json;
  const config = (field: string, value: unknown) => (files: Files) =>
    void (json(files, "config.json")[field] = value);
  const tokenizer = (change: (tokenizer: Json) => void) => (files: Files) =>
    change(json(files, "tokenizer.json"));
  const weights = (change: (tensors: Tensors) => void) => (files: Files) => {
    const tensors = bertTensors();
    change(tensors);
    files["model.safetensors"] = safetensors(tensors);
  };
  const modules =
    (...types: string[]) =>
    (files: Files) =>
      void (files["modules.json"] = JSON.stringify(
        types.map((type, index) => ({
          path: index === 0 ? "" : `${index}_${type}`,
          type: `sentence_transformers.models.${type}`,
        })),
      ));
  const dense = (change: Json, denseWeights?: Tensors) => (files: Files) => {
    modules("Transformer", "Pooling", "Dense")(files);
    files["2_Dense/config.json"] = {
      in_features: 16,
      out_features: 8,
      activation_function: "torch.nn.modules.linear.Identity",
      ...change,
    };
    if (denseWeights) files["2_Dense/model.safetensors"] = safetensors(denseWeights);
  };
  const ORDER =
    "Transformer, Pooling, Dense (at most one) and Normalize, in this order, or StaticEmbedding and Normalize";
  const SPECIALS = "one of [UNK], [CLS], [SEP], [PAD], [MASK] (other added tokens are not supported)";

  const cases: [what: string, change: (files: Files) => void, message: string][] = [
    [
      "another model",
      config("model_type", "roberta"),
      'config.json: model_type: expected "bert", got "roberta"',
    ],
    [
      "relative positions",
      config("position_embedding_type", "relative_key"),
      'config.json: position_embedding_type: expected "absolute", got "relative_key"',
    ],
    [
      "another activation",
      config("hidden_act", "silu"),
      'config.json: hidden_act: expected "gelu" or "gelu_new" or "relu", got "silu"',
    ],
    [
      "a decoder",
      config("is_decoder", true),
      "config.json: is_decoder: expected nothing: this is not supported, got true",
    ],
    [
      "cross attention",
      config("add_cross_attention", true),
      "config.json: add_cross_attention: expected nothing: this is not supported, got true",
    ],
    [
      "code of the model's own",
      config("auto_map", { AutoModel: "modeling.X" }),
      'config.json: auto_map: expected nothing: this is not supported, got {"AutoModel":"modeling.X"}',
    ],
    [
      "too many layers",
      config("num_hidden_layers", 25),
      "config.json: num_hidden_layers: expected a whole number from 1 to 24, got 25",
    ],
    [
      "too wide layers",
      config("hidden_size", 2048),
      "config.json: hidden_size: expected a whole number from 8 to 1024, got 2048",
    ],
    [
      "heads that do not divide the layer",
      config("num_attention_heads", 3),
      "config.json: hidden_size: expected a multiple of num_attention_heads, 3, got 16",
    ],
    [
      "a width that panels do not fill",
      config("hidden_size", 20),
      "config.json: hidden_size: expected a multiple of 8, got 20",
    ],
    [
      "an intermediate width that panels do not fill",
      config("intermediate_size", 25),
      "config.json: intermediate_size: expected a multiple of 8, got 25",
    ],
    [
      "embeddings of another width",
      config("embedding_size", 8),
      "config.json: embedding_size: expected hidden_size, 16, got 8",
    ],
    [
      "an epsilon that is none",
      config("layer_norm_eps", "small"),
      'config.json: layer_norm_eps: expected a number above 0 and below 1, got "small"',
    ],
    [
      "a vocabulary that is larger than the table",
      config("vocab_size", 10),
      "the vocabulary has 11 tokens, but config.json: vocab_size is 10",
    ],
    [
      "a configuration that is no JSON",
      (files) => void (files["config.json"] = "{"),
      `config.json: not valid JSON: ${messageOf(() => JSON.parse("{"))}`,
    ],
    [
      "a configuration that is a list",
      (files) => void (files["config.json"] = "[1]"),
      "config.json: expected a JSON object, got [1]",
    ],
    ["no configuration", (files) => void delete files["config.json"], "config.json: there is no such file"],
    [
      "a folder of something else",
      (files) => {
        delete files["config.json"];
        delete files["modules.json"];
      },
      "neither modules.json nor config.json is there: this is not a model's folder",
    ],
    [
      "another plain model",
      (files) => {
        delete files["modules.json"];
        config("model_type", "mpnet")(files);
      },
      'config.json: model_type: expected "bert" or "model2vec", got "mpnet"',
    ],
    [
      "arguments for the model's code",
      (files) => void (json(files, "sentence_bert_config.json").model_args = { attn: "sdpa" }),
      'sentence_bert_config.json: model_args: expected nothing: this is not supported, got {"attn":"sdpa"}',
    ],
    [
      "an unknown module",
      modules("Transformer", "Pooling", "LSTM"),
      `modules.json: module 2: expected one of ${ORDER}, got "sentence_transformers.models.LSTM"`,
    ],
    [
      "a module of the model's own",
      (files) => void (files["modules.json"] = '[{"path":"","type":"custom_st.Transformer"}]'),
      `modules.json: module 0: expected one of ${ORDER}, got "custom_st.Transformer"`,
    ],
    [
      "a module outside the model's folder",
      (files) =>
        void (files["modules.json"] = '[{"path":"../x","type":"sentence_transformers.models.Transformer"}]'),
      'modules.json: module 0: path: expected a folder of the model, got "../x"',
    ],
    [
      "modules in another order",
      modules("Transformer", "Pooling", "Normalize", "Dense"),
      `modules.json: expected ${ORDER}, got Transformer, Pooling, Normalize, Dense`,
    ],
    ["no pooling", modules("Transformer"), `modules.json: expected ${ORDER}, got Transformer`],
    ["no module", modules(), `modules.json: expected ${ORDER}, got no module`],
    [
      "a list of modules that is none",
      (files) => void (files["modules.json"] = "{}"),
      "modules.json: expected a list of modules, got {}",
    ],
    [
      "a pooling of which the configuration is missing",
      (files) => void delete files["1_Pooling/config.json"],
      "1_Pooling/config.json: there is no such file, though modules.json names it",
    ],
    [
      "max pooling",
      (files) =>
        void (files["1_Pooling/config.json"] = {
          pooling_mode_max_tokens: true,
          pooling_mode_mean_tokens: false,
        }),
      '1_Pooling/config.json: pooling_mode: expected cls or mean, and no other, got "max"',
    ],
    [
      "two pooling modes at once",
      (files) => void (json(files, "1_Pooling/config.json").pooling_mode_cls_token = true),
      '1_Pooling/config.json: pooling_mode: expected cls or mean, and no other, got "cls and mean"',
    ],
    [
      "last-token pooling",
      (files) => void (files["1_Pooling/config.json"] = { pooling_mode: "lasttoken" }),
      '1_Pooling/config.json: pooling_mode: expected cls or mean, and no other, got "lasttoken"',
    ],
    [
      "pooling without the prompt",
      (files) => void (json(files, "1_Pooling/config.json").include_prompt = false),
      "1_Pooling/config.json: include_prompt: expected true, got false",
    ],
    [
      "another activation behind the Dense module",
      dense({ activation_function: "torch.nn.modules.activation.GELU" }),
      "2_Dense/config.json: activation_function: expected torch.nn.modules.linear.Identity or " +
        'torch.nn.modules.activation.Tanh, got "torch.nn.modules.activation.GELU"',
    ],
    [
      "a Dense module for another width",
      dense({ in_features: 32 }),
      "2_Dense/config.json: in_features: expected 16, the model's hidden_size, got 32",
    ],
    [
      "a Dense module that panels do not hold",
      dense({ out_features: 12 }),
      "2_Dense/config.json: out_features: expected a multiple of 8, got 12",
    ],
    [
      "a Dense module of token embeddings",
      dense({ module_input_name: "token_embeddings" }),
      '2_Dense/config.json: module_input_name: expected "sentence_embedding", got "token_embeddings"',
    ],
    [
      "a Dense module without its bias",
      dense({}, { "linear.weight": { dtype: "F32", shape: [8, 16], values: new Float32Array(128) } }),
      "2_Dense/model.safetensors: tensor linear.bias: expected F32, F16, BF16 [8], but there is none",
    ],
    [
      "weights in another format",
      (files) => void delete files["model.safetensors"],
      "model.safetensors: there is no such file. Weights are read from safetensors alone; a pytorch_model.bin can be " +
        "converted with safetensors.torch.save_file, or by saving the model again with a present sentence-transformers",
    ],
    [
      "weights in several files",
      (files) => {
        delete files["model.safetensors"];
        files["model.safetensors.index.json"] = {};
      },
      "model.safetensors: the model is stored in several files, so it is too large for a Worker",
    ],
    [
      "a tensor that a BertModel does not have",
      weights((tensors) => {
        tensors["encoder.layer.0.attention.self.distance_embedding.weight"] = {
          dtype: "F32",
          shape: [1],
          values: [0],
        };
      }),
      "model.safetensors: tensor encoder.layer.0.attention.self.distance_embedding.weight: a BertModel of 1 layers has no such tensor",
    ],
    [
      "a tensor that is missing",
      weights((tensors) => void delete tensors["embeddings.LayerNorm.bias"]),
      "model.safetensors: tensor embeddings.LayerNorm.bias: expected F32, F16, BF16 [16], but there is none",
    ],
    [
      "a tensor of another shape",
      weights((tensors) => void (tensors["embeddings.LayerNorm.bias"]!.shape = [4, 4])),
      "model.safetensors: tensor embeddings.LayerNorm.bias: expected F32, F16, BF16 [16], found F32 [4,4]",
    ],
    [
      "a tensor of another dtype",
      weights((tensors) => void (tensors["embeddings.LayerNorm.bias"]!.dtype = "I8")),
      "model.safetensors: tensor embeddings.LayerNorm.bias: expected F32, F16, BF16 [16], found I8 [16]",
    ],
    [
      "a value that is not a number",
      weights((tensors) => void ((tensors["embeddings.LayerNorm.bias"]!.values as Float32Array)[3] = NaN)),
      "model.safetensors: tensor embeddings.LayerNorm.bias: value 3 is NaN, not a number",
    ],
    [
      "a file that is no safetensors file",
      (files) => void (files["model.safetensors"] = "version https://git-lfs.github.com/spec/v1"),
      "model.safetensors: not a safetensors file: its header has 2336927755350992400 bytes, the file 42",
    ],
    [
      "a safetensors file that is cut off",
      (files) => void (files["model.safetensors"] = (files["model.safetensors"] as Buffer).subarray(0, -1)),
      "model.safetensors: not a safetensors file: tensor encoder.layer.0.output.LayerNorm.bias, F32 [16], " +
        "has the bytes 9504 to 9568 of 11684",
    ],
    [
      "no tokenizer",
      (files) => void delete files["tokenizer.json"],
      "no tokenizer: expected tokenizer.json or vocab.txt; a SentencePiece or byte-level tokenizer (spiece.model, " +
        "merges.txt) is not supported",
    ],
    [
      "a Unigram tokenizer",
      tokenizer((fields) => void (fields.model = { type: "Unigram", vocab: [] })),
      'tokenizer.json: model.type: expected "WordPiece", got "Unigram"',
    ],
    [
      "a BPE tokenizer",
      tokenizer((fields) => void (fields.model = { type: "BPE", vocab: {}, merges: [] })),
      'tokenizer.json: model.type: expected "WordPiece", got "BPE"',
    ],
    [
      "another normalizer",
      tokenizer((fields) => void (fields.normalizer = { type: "Sequence", normalizers: [] })),
      'tokenizer.json: normalizer.type: expected "BertNormalizer" (the BERT kind), got "Sequence"',
    ],
    [
      "no normalizer",
      tokenizer((fields) => void (fields.normalizer = null)),
      'tokenizer.json: normalizer.type: expected "BertNormalizer" (the BERT kind), got nothing',
    ],
    [
      "another pre-tokenizer",
      tokenizer((fields) => void (fields.pre_tokenizer = { type: "Whitespace" })),
      'tokenizer.json: pre_tokenizer.type: expected "BertPreTokenizer" (the BERT kind), got "Whitespace"',
    ],
    [
      "another post-processor",
      tokenizer((fields) => void (fields.post_processor = { type: "RobertaProcessing" })),
      'tokenizer.json: post_processor.type: expected "TemplateProcessing" or "BertProcessing", got "RobertaProcessing"',
    ],
    [
      "a text without special tokens",
      tokenizer((fields) => void (fields.post_processor = null)),
      "tokenizer.json: post_processor: expected [CLS] A [SEP] (the BERT kind), got nothing",
    ],
    [
      "another frame around a text",
      tokenizer((fields) => void (fields.post_processor = { type: "TemplateProcessing", single: [] })),
      'tokenizer.json: post_processor: expected [CLS] A [SEP] (the BERT kind), got {"type":"TemplateProcessing","single":[]}',
    ],
    [
      "added tokens beyond the special ones",
      tokenizer((fields) => void fields.added_tokens.push({ id: 8, content: "rust", special: false })),
      `tokenizer.json: added_tokens[5]: expected ${SPECIALS}, got "rust"`,
    ],
    [
      "ids with holes",
      tokenizer((fields) => void (fields.model.vocab["rust"] = 20)),
      'tokenizer.json: model.vocab: expected the ids 0 to 10 without holes, got 20 for "rust"',
    ],
    [
      "an id that comes twice",
      tokenizer((fields) => void (fields.model.vocab["rust"] = 5)),
      'tokenizer.json: model.vocab: "hello" and "rust" have the same id 5',
    ],
    [
      "a token with a line feed",
      tokenizer((fields) => {
        delete fields.model.vocab["rust"];
        fields.model.vocab["a\nb"] = 8;
      }),
      'tokenizer.json: token 8: expected a text without line feeds, got "a\\nb"',
    ],
    [
      "an unknown token that is unknown",
      tokenizer((fields) => void (fields.model.unk_token = "<unk>")),
      'tokenizer.json: the unknown token "<unk>" is not in the vocabulary',
    ],
    [
      "settings that contradict the tokenizer",
      (files) => void (json(files, "tokenizer_config.json").do_lower_case = false),
      "tokenizer_config.json: do_lower_case: expected true, as normalizer.lowercase of tokenizer.json says, got false",
    ],
  ];
  for (const [what, change, message] of cases) {
    it(what, async () => {
      const files = bertFiles();
      change(files);
      await assert.rejects(imported(files), (error: Error) => {
        assert.equal(error.message, message);
        return error instanceof UserError;
      });
    });
  }

  const vocabularyCases: [what: string, vocabulary: string, settings: Json, message: string][] = [
    [
      "a token that comes twice",
      "[UNK]\n[CLS]\n[SEP]\na\na\n",
      {},
      'vocab.txt: the token "a" comes twice, as 3 and as 4',
    ],
    [
      "an empty line",
      "[UNK]\n\n[CLS]\n[SEP]\n",
      {},
      'vocab.txt: token 1: expected a text without line feeds, got ""',
    ],
    ["no [CLS]", "[UNK]\n[SEP]\n", {}, 'the special token "[CLS]" is not in the vocabulary'],
    [
      "another tokenizer's vocabulary",
      "[UNK]\n",
      { tokenizer_class: "MPNetTokenizer" },
      'tokenizer_config.json: tokenizer_class: expected "BertTokenizer" or "BertTokenizerFast", got "MPNetTokenizer"',
    ],
    [
      "words that are never split",
      "[UNK]\n",
      { never_split: ["C++"] },
      'tokenizer_config.json: never_split: expected nothing: this is not supported, got ["C++"]',
    ],
    [
      "text that is not split at all",
      "[UNK]\n",
      { do_basic_tokenize: false },
      "tokenizer_config.json: do_basic_tokenize: expected true, got false",
    ],
    [
      "added tokens",
      "[UNK]\n",
      { added_tokens_decoder: { "7": { content: "<user>" } } },
      `tokenizer_config.json: added_tokens_decoder.7: expected ${SPECIALS}, got "<user>"`,
    ],
  ];
  for (const [what, vocabulary, settings, message] of vocabularyCases) {
    it(`with vocab.txt: ${what}`, async () => {
      const files = bertFiles();
      delete files["tokenizer.json"];
      files["vocab.txt"] = vocabulary;
      files["tokenizer_config.json"] = settings;
      await assert.rejects(imported(files), { message });
    });
  }

  it("a file of more than 64 MiB", async () => {
    const files = bertFiles();
    const vocabulary = Array.from({ length: 60_000 }, (_, index) =>
      index < 5 ? VOCABULARY[index]! : `t${index}`,
    );
    const table = new Float32Array(60_000 * 1120);
    files["modules.json"] = '[{"path":"","type":"sentence_transformers.models.StaticEmbedding"}]';
    const tokens = tokenizerJson();
    tokens.model.vocab = Object.fromEntries(vocabulary.map((token, id) => [token, id]));
    files["tokenizer.json"] = tokens;
    files["model.safetensors"] = safetensors({
      "embedding.weight": { dtype: "F32", shape: [60_000, 1120], values: table },
    });
    await assert.rejects(imported(files), {
      message: "the weights file would have 67849609 bytes, but a Worker holds at most 67108864 (64 MiB)",
    });
  });

  it("a name that no request could carry", async () => {
    await assert.rejects(imported(bertFiles(), { name: "a/b" }), {
      message: `a model's name may have letters, digits and . _ - and begins with a letter or digit, got "a/b"`,
    });
    await assert.rejects(imported(bertFiles(), {}, "my model"), {
      message: `a model's name may have letters, digits and . _ - and begins with a letter or digit, got "my model": rename the folder`,
    });
  });
});
