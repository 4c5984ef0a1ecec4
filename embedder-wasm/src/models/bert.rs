//! The architecture `bert`: an encoder as Hugging Face's `BertModel` computes it, and behind it what sentence-transformers
//! puts there: pooling, a dense layer, normalisation. Structs and tensors have the names that they have in transformers'
//! `modeling_bert.py`. Why so much is `#[inline(never)]` stands in kernels/mod.rs.

use std::ops::Range;

use super::info::{ModelInfo, read_aliases, read_name, read_prompts};
use super::lexical::{LexicalPart, Sketch};
use super::linear_weights::{LinearWeights, read_f32};
use super::pooling::{Dense, Pooling};
use super::word_pieces::{self, Framing};
use crate::format::container::{Head, WeightsFile};
use crate::format::{Dtype, WeightsError, refused};
use crate::kernels::activation::Activation;
use crate::kernels::attention::{Attention, MAX_HEAD_DIMENSIONS};
use crate::kernels::layer_norm::layer_norm;
use crate::kernels::norm::normalize;
use crate::kernels::product::{PANEL, Write};
use crate::kernels::quantised_rows::{MAX_ROW_VALUES, QuantisedRows};
use crate::tokenizers::token_count::TokenCount;
use crate::tokenizers::wordpiece::WordPiece;

/// As it stands in a weights file.
pub const ARCHITECTURE: &str = "bert";
/// BERT large has 24 layers of 1,024.
const MAX_LAYERS: usize = 24;
const MAX_HIDDEN: usize = 1024;
/// One token between the two special ones.
const MIN_SEQ_LEN: usize = 3;
/// The most that one request may ask for: 20 s at 27 thousand million multiply-adds a second. Cloudflare stops a request after
/// 30 s unless it is told otherwise. worker/slices.ts allows three of them to wait.
const REQUEST_MULTIPLY_ADDS: u64 = 540_000_000_000;
const MAX_REQUEST_TOKENS: usize = 300_000;
/// At most so many tokens go through a layer at once: their activations fit in the second-level cache. Even, since
/// attention takes keys and values by two.
const MOST_TOKENS_AT_ONCE: usize = 64;

pub struct Bert {
    file: WeightsFile,
    config: Config,
    tokenizer: WordPiece,
    weights: Weights,
    info: ModelInfo,
}

/// What a file says about its model.
#[derive(Clone, Debug, PartialEq)]
struct Config {
    vocab_size: usize,
    hidden: usize,
    intermediate: usize,
    layers: usize,
    heads: usize,
    hidden_act: Activation,
    layer_norm_eps: f32,
    /// Tokens, with the special ones.
    max_seq_len: usize,
    pooling: Pooling,
    /// Length of the encoder's vector: what the dense layer gives, where there is one, and else the hidden size.
    semantic_dimensions: usize,
    normalize: bool,
    lexical: Option<LexicalPart>,
}

struct Weights {
    embeddings: BertEmbeddings,
    layer: Vec<BertLayer>,
    dense: Option<Dense>,
}

struct BertEmbeddings {
    /// I8 `[vocab_size, hidden]`, in the file.
    word_embeddings: Range<usize>,
    /// `[vocab_size]`
    word_scales: Vec<f32>,
    /// `[max_seq_len, hidden]` The embedding of each position plus that of the first token type: all tokens are of that type.
    position_embeddings: Vec<f32>,
    layer_norm: LayerNorm,
}

struct BertLayer {
    attention: BertSelfAttention,
    attention_output: BertOutput,
    intermediate: BertIntermediate,
    output: BertOutput,
}

struct BertSelfAttention {
    query: LinearWeights,
    key: LinearWeights,
    value: LinearWeights,
}

/// What ends both halves of a layer: a linear layer, the residual, normalisation.
struct BertOutput {
    dense: LinearWeights,
    layer_norm: LayerNorm,
}

struct BertIntermediate {
    dense: LinearWeights,
}

struct LayerNorm {
    /// `[hidden]`
    weight: Vec<f32>,
    /// `[hidden]`
    bias: Vec<f32>,
}

/// Memory that one text after the other uses again.
#[derive(Default)]
pub struct Scratch {
    ids: Vec<u32>,
    /// Of the encoder's, which the text of the last call has behind it.
    layers_done: usize,
    sketch: Sketch,
    /// `[semantic_dimensions]`
    semantic: Vec<f32>,
    activations: Option<Activations>,
}

/// Memory for what the encoder computes; made for the dimensions of one model.
struct Activations {
    dimensions: (usize, usize, usize),
    /// `[tokens, hidden]` What goes from layer to layer.
    hidden: Vec<f32>,
    /// `[MOST_TOKENS_AT_ONCE]` What a linear layer reads.
    rows: QuantisedRows,
    /// `[MOST_TOKENS_AT_ONCE, max(hidden, intermediate)]` Keys, then queries, then the intermediate layer.
    wide: Vec<f32>,
    /// `[MOST_TOKENS_AT_ONCE, hidden]` Values, then what attention gives; in the end the pooled vector.
    context: Vec<f32>,
    attention: Attention,
}

impl Bert {
    /// Refuses a head that no model can be made of.
    #[inline(never)]
    pub fn check_head(head: &Head) -> Result<(), WeightsError> {
        let config = Config::from_head(head)?;
        config.info(head).map(|_| ())
    }

    /// Keeps the matrices and the word table as they lie in the file.
    #[inline(never)]
    pub fn from_file(file: WeightsFile) -> Result<Self, WeightsError> {
        let config = Config::from_head(&file.head)?;
        let info = config.info(&file.head)?;
        let table = "embeddings.word_embeddings.weight";
        let tokenizer = word_pieces::read(&file, Framing::SpecialTokens, table, config.vocab_size)?;
        let weights = Weights::from_file(&file, &config)?;
        Ok(Self {
            file,
            config,
            tokenizer,
            weights,
            info,
        })
    }

    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    pub fn count(&self, text: &str) -> TokenCount {
        TokenCount::cut_at(self.config.max_seq_len, self.tokenizer.count(text))
    }

    /// In multiply-adds.
    pub fn work(&self, tokens_read: usize) -> u64 {
        self.config.work(tokens_read)
    }

    /// As if each byte were a token, with the two special ones.
    pub fn most_work(&self, text: &str) -> u64 {
        self.work((text.len() + 2).min(self.config.max_seq_len))
    }

    /// As `Model::embed_within`.
    #[inline(never)]
    pub fn embed_within(
        &self,
        text: &str,
        begun: &[u8],
        work_budget: f64,
        scratch: &mut Scratch,
        embedding: &mut [f32],
    ) -> Option<TokenCount> {
        let Config {
            layers,
            max_seq_len,
            semantic_dimensions,
            ..
        } = self.config;
        let Scratch {
            ids,
            layers_done,
            sketch,
            semantic,
            activations,
        } = scratch;
        let tokens = self.tokenizer.encode(text, max_seq_len, ids);
        let activations = Activations::for_model(activations, &self.config);
        *layers_done = if begun.is_empty() {
            let embeddings = &self.weights.embeddings;
            embeddings.embed(&self.file, &self.config, ids, &mut activations.hidden);
            0
        } else {
            activations.resume(begun, ids.len() * self.config.hidden)
        };
        let layer_work = self.work(ids.len()) as f64 / layers as f64;
        let layers_at_once = ((work_budget / layer_work) as usize).max(1);
        let end = layers_done.saturating_add(layers_at_once).min(layers);
        self.encode(*layers_done..end, ids.len(), activations);
        *layers_done = end;
        if end < layers {
            return None;
        }
        semantic.resize(semantic_dimensions, 0.0);
        self.pool(activations, semantic);
        match &self.config.lexical {
            // Where more is wanted than the encoder's vector. The lexical part normalises the whole.
            Some(lexical) if embedding.len() > semantic_dimensions => {
                sketch.read(text);
                embedding[..semantic_dimensions].copy_from_slice(semantic);
                let idf = self.file.bytes_at(&lexical.idf);
                lexical.put_behind(semantic_dimensions, embedding, idf, sketch);
            }
            _ => {
                embedding.copy_from_slice(&semantic[..embedding.len()]);
                if self.config.normalize {
                    normalize(embedding);
                }
            }
        }
        Some(TokenCount::cut_at(max_seq_len, tokens))
    }

    /// Takes the tokens in `memory.hidden` through some of the layers.
    fn encode(&self, layers: Range<usize>, tokens: usize, memory: &mut Activations) {
        let Self { file, config, .. } = self;
        for index in layers {
            let is_last = index + 1 == config.layers;
            let wanted = match config.pooling {
                // Of the last layer only what is pooled is computed.
                Pooling::Cls if is_last => 1,
                Pooling::Cls | Pooling::Mean => tokens,
            };
            self.weights.layer[index].forward(file, config, memory, tokens, wanted);
        }
    }

    /// From the tokens' vectors to the encoder's, `[semantic_dimensions]`, not yet normalised.
    fn pool(&self, memory: &mut Activations, semantic: &mut [f32]) {
        let Self {
            file,
            config,
            weights,
            ..
        } = self;
        match &weights.dense {
            None => config.pooling.pool(&memory.hidden, semantic),
            Some(dense) => {
                let pooled = &mut memory.context[..config.hidden];
                config.pooling.pool(&memory.hidden, pooled);
                dense.apply(file, &mut memory.rows, pooled, semantic);
            }
        }
    }
}

impl BertEmbeddings {
    /// Replaces `hidden`, `[tokens, hidden]`.
    #[inline(never)]
    fn embed(&self, file: &WeightsFile, config: &Config, ids: &[u32], hidden: &mut Vec<f32>) {
        let size = config.hidden;
        let words = file.bytes_at(&self.word_embeddings);
        hidden.clear();
        for (id, position) in ids.iter().zip(self.position_embeddings.chunks_exact(size)) {
            let id = *id as usize;
            let scale = self.word_scales[id];
            let word = &words[id * size..][..size];
            let values = word.iter().zip(position);
            hidden.extend(values.map(|(step, position)| f32::from(*step as i8) * scale + position));
        }
        for row in hidden.chunks_exact_mut(size) {
            self.layer_norm.apply(row, config);
        }
    }
}

impl BertLayer {
    /// Replaces the first `wanted` of the tokens' rows in `memory.hidden`.
    #[inline(never)]
    fn forward(
        &self,
        file: &WeightsFile,
        config: &Config,
        memory: &mut Activations,
        tokens: usize,
        wanted: usize,
    ) {
        let Activations {
            hidden,
            rows,
            wide,
            context,
            attention,
            ..
        } = memory;
        let size = config.hidden;
        attention.begin(tokens);
        let at_once = tokens_at_once(tokens);
        for (index, chunk) in hidden.chunks(at_once * size).enumerate() {
            let (keys, values) = (&mut wide[..chunk.len()], &mut context[..chunk.len()]);
            rows.set(chunk, size);
            self.attention.key.of(file).apply(rows, Write::Set, keys);
            self.attention
                .value
                .of(file)
                .apply(rows, Write::Set, values);
            attention.set_keys_and_values(index * at_once, keys, values);
        }
        // Queries attend to the keys of all chunks, so the chunks come by a second time.
        for chunk in hidden[..wanted * size].chunks_mut(at_once * size) {
            let count = chunk.len() / size;
            let (queries, context) = (&mut wide[..chunk.len()], &mut context[..chunk.len()]);
            rows.set(chunk, size);
            self.attention
                .query
                .of(file)
                .apply(rows, Write::Set, queries);
            attention.attend(queries, context);
            self.attention_output
                .add(file, config, rows, context, chunk);
            let intermediate = &mut wide[..count * config.intermediate];
            let dense = self.intermediate.dense.of(file);
            rows.set_for(dense.reads(), chunk);
            dense.apply(rows, Write::Set, intermediate);
            config.hidden_act.apply(intermediate);
            self.output.add(file, config, rows, intermediate, chunk);
        }
    }
}

impl BertOutput {
    /// Adds the linear layer of `input` to `hidden`, `[count, hidden]`, and normalises that. `rows` is memory for it.
    #[inline(never)]
    fn add(
        &self,
        file: &WeightsFile,
        config: &Config,
        rows: &mut QuantisedRows,
        input: &mut [f32],
        hidden: &mut [f32],
    ) {
        let dense = self.dense.of(file);
        rows.set_for(dense.reads(), input);
        dense.apply(rows, Write::Add, hidden);
        for row in hidden.chunks_exact_mut(config.hidden) {
            self.layer_norm.apply(row, config);
        }
    }
}

impl LayerNorm {
    fn apply(&self, row: &mut [f32], config: &Config) {
        layer_norm(row, &self.weight, &self.bias, config.layer_norm_eps);
    }
}

/// The size of a chunk: even, at most `MOST_TOKENS_AT_ONCE`, and such that all chunks are about equal. There are two tokens
/// at least, the special ones.
fn tokens_at_once(tokens: usize) -> usize {
    let parts = tokens.div_ceil(MOST_TOKENS_AT_ONCE);
    tokens.div_ceil(parts).next_multiple_of(2)
}

impl Activations {
    /// Uses the memory of the model before again, where it had the same dimensions.
    fn for_model<'a>(memory: &'a mut Option<Self>, config: &Config) -> &'a mut Self {
        let dimensions = (config.hidden, config.intermediate, config.heads);
        if memory
            .as_ref()
            .is_some_and(|memory| memory.dimensions != dimensions)
        {
            *memory = None;
        }
        memory.get_or_insert_with(|| Self {
            dimensions,
            hidden: Vec::new(),
            rows: QuantisedRows::default(),
            wide: vec![0.0; MOST_TOKENS_AT_ONCE * config.hidden.max(config.intermediate)],
            context: vec![0.0; MOST_TOKENS_AT_ONCE * config.hidden],
            attention: Attention::new(config.heads, config.hidden / config.heads),
        })
    }

    /// Puts back what `Scratch::half_way` gave, which must be `values` long, and returns how many layers are done.
    fn resume(&mut self, begun: &[u8], values: usize) -> usize {
        let (numbers, _) = begun.as_chunks::<4>();
        let (layers_done, hidden) = numbers.split_first().expect("a text that was begun");
        assert_eq!(hidden.len(), values, "another text was begun");
        self.hidden.clear();
        let hidden = hidden.iter().map(|value| f32::from_le_bytes(*value));
        self.hidden.extend(hidden);
        u32::from_le_bytes(*layers_done) as usize
    }
}

impl Scratch {
    /// Where the text of the last call stands: how many layers are done, and `[tokens, hidden]`, what the next one reads.
    pub fn half_way(&self) -> (u32, &[f32]) {
        let hidden = self.activations.as_ref().map(|memory| &memory.hidden[..]);
        (self.layers_done as u32, hidden.unwrap_or_default())
    }
}

impl Config {
    fn from_head(head: &Head) -> Result<Self, WeightsError> {
        let metadata = &head.metadata;
        read_name(metadata)?;
        word_pieces::check_head(head, Framing::SpecialTokens)?;
        let [vocab_size, hidden] =
            two_dimensions(head, "embeddings.word_embeddings.weight", Dtype::I8)?;
        check_size(
            "embeddings.word_embeddings.weight",
            "hidden size",
            hidden,
            MAX_HIDDEN,
        )?;
        let layers = metadata.number("num_hidden_layers", 1..=MAX_LAYERS)?;
        let heads = metadata.number("num_attention_heads", 1..=hidden)?;
        if !hidden.is_multiple_of(heads) || hidden / heads > MAX_HEAD_DIMENSIONS {
            return metadata.wrong(
                "num_attention_heads",
                &format!("a divisor of the hidden size {hidden} that leaves each head at most {MAX_HEAD_DIMENSIONS} dimensions"),
            );
        }
        let intermediate_scales = "encoder.layer.0.intermediate.dense.weight.scales";
        let intermediate = match head.needed_tensor(intermediate_scales)?.shape[..] {
            [intermediate] => intermediate,
            ref shape => {
                return refused(format!(
                    "tensor {intermediate_scales}: expected the shape [intermediate size], found {shape:?}"
                ));
            }
        };
        check_size(
            intermediate_scales,
            "intermediate size",
            intermediate,
            MAX_ROW_VALUES,
        )?;
        let hidden_act = match metadata.text("hidden_act")? {
            "gelu" => Activation::Gelu,
            "gelu_new" => Activation::GeluNew,
            "relu" => Activation::Relu,
            _ => return metadata.wrong("hidden_act", "one of gelu, gelu_new, relu"),
        };
        let Some(pooling) = Pooling::from_name(metadata.text("pooling")?) else {
            return metadata.wrong("pooling", &format!("one of {}", Pooling::NAMES));
        };
        let normalize = metadata.flag("normalize")?;
        let lexical = LexicalPart::from_head_if_there(head, normalize)?;
        Ok(Self {
            vocab_size,
            hidden,
            intermediate,
            layers,
            heads,
            hidden_act,
            layer_norm_eps: metadata.real(
                "layer_norm_eps",
                0.0..=1.0,
                format_args!("a number from 0 to 1"),
            )?,
            max_seq_len: metadata.number("max_seq_len", MIN_SEQ_LEN..=MAX_ROW_VALUES)?,
            pooling,
            semantic_dimensions: Dense::dimensions(head)?.unwrap_or(hidden),
            normalize,
            lexical,
        })
    }

    /// Of the linear layers, for each token.
    fn multiply_adds_per_token(&self) -> u64 {
        let layer = 4 * self.hidden * self.hidden + 2 * self.hidden * self.intermediate;
        (self.layers * layer) as u64
    }

    /// The multiply-adds of a text: the linear layers', and attention's, which grow with the square of the tokens.
    fn work(&self, tokens: usize) -> u64 {
        let attention = 2 * self.layers * self.hidden * tokens;
        tokens as u64 * (self.multiply_adds_per_token() + attention as u64)
    }

    /// Multiply-adds for each token of the longest text.
    fn most_per_token(&self) -> u64 {
        self.work(self.max_seq_len) / self.max_seq_len as u64
    }

    /// In whole thousands, but never less than one text may have.
    fn request_tokens(&self) -> usize {
        let tokens = REQUEST_MULTIPLY_ADDS / self.most_per_token() / 1000 * 1000;
        (tokens as usize).clamp(self.max_seq_len, MAX_REQUEST_TOKENS)
    }

    fn info(&self, head: &Head) -> Result<ModelInfo, WeightsError> {
        let lexical_dimensions = self.lexical.as_ref().map_or(0, |part| part.dimensions);
        let dimensions = self.semantic_dimensions + lexical_dimensions;
        Ok(ModelInfo {
            name: read_name(&head.metadata)?,
            architecture: ARCHITECTURE,
            tokenizer: word_pieces::TOKENIZER,
            dtype: Dtype::I8.name(),
            dimensions,
            semantic_dimensions: self.semantic_dimensions,
            max_input_tokens: self.max_seq_len,
            max_request_tokens: self.request_tokens(),
            normalize: self.normalize,
            multiply_adds_per_token: self.most_per_token(),
            aliases: read_aliases(&head.metadata, dimensions)?,
            prompts: read_prompts(&head.metadata)?,
        })
    }
}

/// The shape of a matrix that must be there.
fn two_dimensions(head: &Head, name: &str, dtype: Dtype) -> Result<[usize; 2], WeightsError> {
    let tensor = head.needed_tensor(name)?;
    match tensor.shape[..] {
        [rows, columns] if tensor.dtype == dtype => Ok([rows, columns]),
        _ => refused(format!(
            "tensor {name}: expected {dtype} of two dimensions, found {} {:?}",
            tensor.dtype, tensor.shape
        )),
    }
}

/// Refuses sizes that the kernels cannot multiply.
fn check_size(tensor: &str, name: &str, size: usize, most: usize) -> Result<(), WeightsError> {
    if size == 0 || size > most || !size.is_multiple_of(PANEL) {
        return refused(format!(
            "tensor {tensor}: expected as {name} a multiple of {PANEL} up to {most}, found {size}"
        ));
    }
    Ok(())
}

impl Weights {
    fn from_file(file: &WeightsFile, config: &Config) -> Result<Self, WeightsError> {
        let layer = |index| BertLayer::from_file(file, config, &format!("encoder.layer.{index}"));
        Ok(Self {
            embeddings: BertEmbeddings::from_file(file, config)?,
            layer: (0..config.layers).map(layer).collect::<Result<_, _>>()?,
            dense: Dense::from_file(file, config.hidden)?,
        })
    }
}

impl BertEmbeddings {
    fn from_file(file: &WeightsFile, config: &Config) -> Result<Self, WeightsError> {
        let size = config.hidden;
        let [token_types, _] = two_dimensions(
            &file.head,
            "embeddings.token_type_embeddings.weight",
            Dtype::F32,
        )?;
        // One at least, the first: only that is used.
        let token_types = read_f32(
            file,
            "embeddings.token_type_embeddings.weight",
            &[token_types.max(1), size],
        )?;
        let mut position_embeddings = read_f32(
            file,
            "embeddings.position_embeddings.weight",
            &[config.max_seq_len, size],
        )?;
        for position in position_embeddings.chunks_exact_mut(size) {
            for (value, token_type) in position.iter_mut().zip(&token_types) {
                *value += token_type;
            }
        }
        let words = "embeddings.word_embeddings.weight";
        Ok(Self {
            word_embeddings: file
                .head
                .tensor_of(words, Dtype::I8, &[config.vocab_size, size])?,
            word_scales: read_f32(file, &format!("{words}.scales"), &[config.vocab_size])?,
            position_embeddings,
            layer_norm: LayerNorm::from_file(file, "embeddings.LayerNorm", size)?,
        })
    }
}

impl BertLayer {
    fn from_file(file: &WeightsFile, config: &Config, name: &str) -> Result<Self, WeightsError> {
        let (size, intermediate) = (config.hidden, config.intermediate);
        let linear = |part: &str, outputs, inputs| {
            LinearWeights::from_file(file, &format!("{name}.{part}"), outputs, inputs)
        };
        // Query, key and value read the same rounded rows, so none of them may have exact inputs.
        let of_attention = |part: &str| linear(part, size, size)?.without_exact_inputs();
        let layer_norm = |part: &str| LayerNorm::from_file(file, &format!("{name}.{part}"), size);
        Ok(Self {
            attention: BertSelfAttention {
                query: of_attention("attention.self.query")?,
                key: of_attention("attention.self.key")?,
                value: of_attention("attention.self.value")?,
            },
            attention_output: BertOutput {
                dense: linear("attention.output.dense", size, size)?,
                layer_norm: layer_norm("attention.output.LayerNorm")?,
            },
            intermediate: BertIntermediate {
                dense: linear("intermediate.dense", intermediate, size)?,
            },
            output: BertOutput {
                dense: linear("output.dense", size, intermediate)?,
                layer_norm: layer_norm("output.LayerNorm")?,
            },
        })
    }
}

impl LayerNorm {
    fn from_file(file: &WeightsFile, name: &str, size: usize) -> Result<Self, WeightsError> {
        Ok(Self {
            weight: read_f32(file, &format!("{name}.weight"), &[size])?,
            bias: read_f32(file, &format!("{name}.bias"), &[size])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_always_hold_one_text_as_long_as_the_model_reads() {
        let deep = Config {
            vocab_size: 1000,
            hidden: 512,
            intermediate: 512,
            layers: 24,
            heads: 8,
            hidden_act: Activation::Gelu,
            layer_norm_eps: 1e-12,
            max_seq_len: 4096,
            pooling: Pooling::Mean,
            semantic_dimensions: 512,
            normalize: true,
            lexical: None,
        };
        assert_eq!(deep.request_tokens(), 4096);
        let short = Config {
            layers: 6,
            hidden: 384,
            intermediate: 1536,
            max_seq_len: 256,
            ..deep
        };
        assert_eq!(short.request_tokens(), 45_000);
    }
}
