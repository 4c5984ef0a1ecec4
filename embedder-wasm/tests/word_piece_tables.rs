//! Static models with the tokenizer `wordpiece`: the mean of the rows of word pieces, what is left out of it, and what a
//! file must say.

use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::writer::{Writer, f32_bytes};
use embedder_wasm::format::{Dtype, WeightsError};
use embedder_wasm::models::{Model, Scratch, TokenCount};

const VOCABULARY: &str = "[UNK]\nhello\nworld\n##s\nrust";
const ROWS: usize = 5;
const DIMENSIONS: usize = 2;
/// The row of token n is (2 n, 1).
const ROW_VALUES: [f32; ROWS * DIMENSIONS] = [0.0, 1.0, 2.0, 1.0, 4.0, 1.0, 6.0, 1.0, 8.0, 1.0];

#[test]
fn an_embedding_is_the_mean_of_the_rows_of_the_pieces() {
    let model = loaded(file(&[]));
    let (embedding, count) = embed(&model, "Hello worlds");
    assert_eq!(embedding, [(2.0 + 4.0 + 6.0) / 3.0, 1.0]);
    assert_eq!(
        count,
        TokenCount {
            tokens: 3,
            tokens_read: 3
        }
    );
    assert_eq!(model.count("Hello worlds"), count);
}

#[test]
fn rows_in_eight_bits_are_levels_times_a_scale() {
    let writer = described(&[]);
    let levels = vec![0, 1, 2, 1, 4, 1, 6, 1, 8, 1];
    let scales = f32_bytes(&[0.5, 0.25, 2.0, 1.0, 1.0]);
    let file = writer
        .add("scales", Dtype::F32, &[ROWS], scales)
        .add("embeddings", Dtype::I8, &[ROWS, DIMENSIONS], levels)
        .finish();
    let (embedding, _) = embed(&loaded(file), "hello world");
    assert_eq!(embedding, [(0.5 + 8.0) / 2.0, (0.25 + 2.0) / 2.0]);
}

#[test]
fn unknown_words_count_as_tokens_and_as_rows_unless_they_are_dropped() {
    let kept = loaded(file(&[]));
    let dropped = loaded(file(&[("drop_unknown", "true")]));
    assert_eq!(embed(&kept, "hello xyz").0, [1.0, 1.0]);
    let (embedding, count) = embed(&dropped, "hello xyz");
    assert_eq!(embedding, [2.0, 1.0]);
    assert_eq!(
        count,
        TokenCount {
            tokens: 2,
            tokens_read: 2
        }
    );
}

#[test]
fn a_text_of_dropped_words_alone_is_the_zero_vector() {
    let model = loaded(file(&[("drop_unknown", "true"), ("normalize", "true")]));
    assert_eq!(embed(&model, "xyz").0, [0.0, 0.0]);
    assert_eq!(embed(&model, "").0, [0.0, 0.0]);
}

#[test]
fn so_many_pieces_are_read_and_unknown_ones_are_among_them() {
    let model = loaded(file(&[("max_seq_len", "2"), ("drop_unknown", "true")]));
    let (embedding, count) = embed(&model, "xyz hello world rust");
    assert_eq!(embedding, [2.0, 1.0]);
    assert_eq!(
        count,
        TokenCount {
            tokens: 4,
            tokens_read: 2
        }
    );
    assert_eq!(model.count("xyz hello world rust"), count);
}

#[test]
fn so_many_characters_are_read_and_no_half_ones() {
    // "é hello " has eight characters and nine bytes.
    let model = loaded(file(&[("max_characters", "8"), ("drop_unknown", "true")]));
    let (embedding, count) = embed(&model, "é hello world rust");
    assert_eq!(embedding, [2.0, 1.0]);
    assert_eq!(
        count,
        TokenCount {
            tokens: 4,
            tokens_read: 2
        }
    );
    assert_eq!(model.count("é hello world rust"), count);
    assert_eq!(
        model.count("é hello"),
        TokenCount {
            tokens: 2,
            tokens_read: 2
        },
        "a shorter text is read whole"
    );
}

#[test]
fn a_normalised_model_gives_vectors_of_length_1_also_for_fewer_dimensions() {
    let model = loaded(file(&[("normalize", "true")]));
    let (embedding, _) = embed(&model, "hello world");
    let norm = 10_f32.sqrt();
    assert!((embedding[0] - 3.0 / norm).abs() < 1e-6 && (embedding[1] - 1.0 / norm).abs() < 1e-6);
    let mut first = [0.0; 1];
    model.embed("hello world", &mut Scratch::default(), &mut first);
    assert_eq!(first, [1.0]);
}

#[test]
fn the_lexical_part_stands_behind_the_mean() {
    let lexical = [
        ("normalize", "true"),
        ("lexical_dim", "8"),
        ("lexical_weight", "0.5"),
    ];
    let file = with_table(described(&lexical))
        .add("idf", Dtype::U8, &[4], vec![10, 20, 30, 40])
        .finish();
    let model = loaded(file);
    assert_eq!(
        (model.info().dimensions, model.info().semantic_dimensions),
        (10, 2)
    );
    let mut embedding = [0.0; 10];
    model.embed("hello world", &mut Scratch::default(), &mut embedding);
    let norm = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    assert!((norm(&embedding) - 1.0).abs() < 1e-6);
    assert!((norm(&embedding[2..]) / norm(&embedding[..2]) - 0.5).abs() < 1e-6);
    assert!((embedding[0] / embedding[1] - 3.0).abs() < 1e-5);
    // The first dimensions alone are the model's own.
    let mut semantic = [0.0; 2];
    model.embed("hello world", &mut Scratch::default(), &mut semantic);
    assert!((norm(&semantic) - 1.0).abs() < 1e-6);
}

#[test]
fn the_model_says_what_it_is() {
    let info_of = loaded(file(&[("aliases", r#"{"other":1}"#)]));
    let info = info_of.info();
    assert_eq!(
        (
            info.architecture,
            info.tokenizer,
            info.dtype,
            info.max_input_tokens
        ),
        ("static", "wordpiece", "F32", 100)
    );
    assert_eq!(info.aliases, [("other".to_owned(), 1)]);
}

macro_rules! refused {
    ($($name:ident: $file:expr => $message:expr;)*) => {$(
        #[test]
        fn $name() {
            let error = load($file).err().expect("the file is refused");
            assert_eq!(error.to_string(), $message);
        }
    )*};
}

mod is_refused {
    use super::*;

    refused! {
        no_drop_unknown: file(&[("drop_unknown", "")])
            => r#"header.__metadata__.drop_unknown: expected "true" or "false", found """#;
        no_characters: file(&[("max_characters", "0")])
            => r#"header.__metadata__.max_characters: expected an integer from 1 to 4294967295, found "0""#;
        a_lexical_part_without_normalisation: with_table(described(&[("lexical_dim", "8"), ("lexical_weight", "1")]))
            .add("idf", Dtype::U8, &[1], vec![1]).finish()
            => r#"header.__metadata__.normalize: expected "true", which a lexical part needs, found "false""#;
        a_vocabulary_that_is_longer_than_the_table: without_vocabulary(&[])
            .add("vocabulary", Dtype::U8, &[28], b"[UNK]\nhello\nworld\n##s\nrust\nx".to_vec())
            .add("embeddings", Dtype::F32, &[ROWS, DIMENSIONS], f32_bytes(&ROW_VALUES)).finish()
            => "tensor vocabulary: expected at most 5 tokens, one for each row of embeddings, found 6";
        an_unknown_token_that_is_not_there: file(&[("unknown_token", "<unk>")])
            => r#"tokenizer wordpiece: unknown_token: "<unk>" is no token of the vocabulary"#;
    }
}

fn load(file: Vec<u8>) -> Result<Model, WeightsError> {
    WeightsFile::from_bytes(file).and_then(Model::from_file)
}

fn loaded(file: Vec<u8>) -> Model {
    load(file).unwrap_or_else(|error| panic!("{error}"))
}

fn embed(model: &Model, text: &str) -> ([f32; DIMENSIONS], TokenCount) {
    let mut embedding = [9.0; DIMENSIONS];
    let count = model.embed(text, &mut Scratch::default(), &mut embedding);
    (embedding, count)
}

/// A file with the table above, but for these fields.
fn file(changed: &[(&str, &str)]) -> Vec<u8> {
    with_table(described(changed)).finish()
}

fn with_table(writer: Writer) -> Writer {
    writer.add(
        "embeddings",
        Dtype::F32,
        &[ROWS, DIMENSIONS],
        f32_bytes(&ROW_VALUES),
    )
}

fn described(changed: &[(&str, &str)]) -> Writer {
    let vocabulary = VOCABULARY.as_bytes().to_vec();
    without_vocabulary(changed).add("vocabulary", Dtype::U8, &[vocabulary.len()], vocabulary)
}

fn without_vocabulary(changed: &[(&str, &str)]) -> Writer {
    let fields = [
        ("architecture", "static"),
        ("tokenizer", "wordpiece"),
        ("lower_case", "true"),
        ("strip_accents", "true"),
        ("clean_text", "true"),
        ("chinese_chars", "true"),
        ("unknown_token", "[UNK]"),
        ("continuing_prefix", "##"),
        ("max_word_characters", "100"),
        ("drop_unknown", "false"),
        ("max_seq_len", "100"),
        ("normalize", "false"),
    ];
    let all = fields
        .iter()
        .filter(|(field, _)| changed.iter().all(|(other, _)| other != field))
        .chain(changed);
    all.fold(Writer::new("tiny"), |writer, (field, value)| {
        writer.describe(field, value)
    })
}
