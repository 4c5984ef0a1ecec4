//! What holds for any bytes and any text, by proptest: the weights reader neither panics nor asks for
//! more memory than the file has room for, and the tokenizer hands out rows of the table alone.
//! `PROPTEST_CASES=100000 cargo test --release --test properties` runs more of the same.

mod counting_allocator;

use counting_allocator::peak_allocation;
use embedder_wasm::format::container::{Head, WeightsFile};
use embedder_wasm::format::writer::{Writer, f32_bytes, safetensors_container, v1, v1_container};
use embedder_wasm::format::{Dtype, WeightsError};
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::tokenizers::hashed_rows::{RESERVED_ROWS, UNKNOWN_TOKEN_ID};
use embedder_wasm::tokenizers::own_rows::OwnRowTables;
use embedder_wasm::tokenizers::{TableRows, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

// ------------------------------------------------------------------------------------- weights: any bytes

fn model(file: Vec<u8>) -> Result<Model, WeightsError> {
    Model::from_file(WeightsFile::from_bytes(file)?)
}

/// Whatever is read is inside the file, and consistent with itself.
fn check_reading(file: &[u8]) -> Result<(), TestCaseError> {
    let (head, allocated) = peak_allocation(|| Head::parse(file));
    // The header as JSON values takes some dozen bytes for each of its own; the table is not touched.
    prop_assert!(
        allocated <= 4096 + 200 * file.len(),
        "{allocated} bytes were allocated for a file of {}",
        file.len()
    );
    let Ok(weights) = WeightsFile::from_bytes(file.to_vec()) else {
        return Ok(());
    };
    prop_assert_eq!(head, Ok(Some(weights.head.clone())));
    prop_assert_eq!(weights.head.file_bytes, file.len());
    for tensor in &weights.head.tensors {
        let values: usize = tensor.shape.iter().product();
        prop_assert_eq!(tensor.range.len(), values * tensor.dtype.bytes());
    }
    let is_usable = Model::check_head(&weights.head).is_ok();
    let Ok(model) = Model::from_file(weights) else {
        return Ok(());
    };
    prop_assert!(is_usable, "a head that was refused made a model");
    let mut embedding = vec![0.0; model.info().dimensions];
    let words = model.embed("one two !!! three", &mut Scratch::default(), &mut embedding);
    let expected_words = match model.info().tokenizer {
        "ascii-words" => 4,
        _ => 3,
    };
    prop_assert_eq!(words.tokens, expected_words);
    prop_assert!(embedding.iter().all(|value| value.is_finite()));
    Ok(())
}

/// What happens to a good file: bytes that change, bytes that are missing, bytes in the middle.
#[derive(Clone, Debug)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => any::<prop::sample::Index>().prop_map(Damage::Cut),
        1 => (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
    ]
}

fn damaged(mut file: Vec<u8>, all: Vec<Damage>) -> Vec<u8> {
    for damage in all {
        if file.is_empty() {
            break;
        }
        match damage {
            Damage::Set(at, byte) => {
                let at = at.index(file.len());
                file[at] = byte;
            }
            Damage::Cut(at) => file.truncate(at.index(file.len())),
            Damage::Insert(at, bytes) => {
                let at = at.index(file.len());
                file.splice(at..at, bytes);
            }
        }
    }
    file
}

fn good_v1() -> impl Strategy<Value = Vec<u8>> {
    (3_usize..9, 1_usize..9, any::<bool>()).prop_flat_map(|(rows, dimensions, normalize)| {
        prop::collection::vec(-1e3_f32..1e3, rows * dimensions)
            .prop_map(move |values| v1(dimensions, 8, normalize, &values))
    })
}

fn good_safetensors() -> impl Strategy<Value = Vec<u8>> {
    (3_usize..9, 1_usize..9).prop_flat_map(|(rows, dimensions)| {
        let values = prop::collection::vec(any::<u8>(), rows * dimensions);
        let scales = prop::collection::vec(-1e3_f32..1e3, rows);
        (values, scales).prop_map(move |(values, scales)| {
            Writer::new("tiny")
                .describe("tokenizer", "ascii-words")
                .describe("max_seq_len", 8)
                .describe("normalize", true)
                .add("embeddings", Dtype::I8, &[rows, dimensions], values)
                .add("scales", Dtype::F32, &[rows], f32_bytes(&scales))
                .finish()
        })
    })
}

fn good_words_and_stems() -> impl Strategy<Value = Vec<u8>> {
    let sizes = (3_usize..9, 1_usize..40, 1_usize..4, 1_usize..9);
    sizes.prop_flat_map(|(rows, row_bytes, blocks, stems)| {
        let bytes = prop::collection::vec(any::<u8>(), rows * row_bytes);
        let scales = prop::collection::vec(any::<i16>(), rows);
        let idf = prop::collection::vec(any::<u8>(), stems);
        (bytes, scales, idf).prop_map(move |(bytes, scales, idf)| {
            let scales: Vec<u8> = scales.into_iter().flat_map(i16::to_le_bytes).collect();
            Writer::new("tiny")
                .describe("tokenizer", "words-and-stems")
                .describe("max_seq_len", 8)
                .describe("normalize", true)
                .describe("lexical_dim", blocks * 4)
                .describe("lexical_weight", 0.7)
                .describe("scale_unit", 0.01)
                .add("embeddings", Dtype::U8, &[rows, row_bytes], bytes)
                .add("scales", Dtype::I16, &[rows], scales)
                .add("idf", Dtype::U8, &[stems], idf)
                .finish()
        })
    })
}

/// Numbers where a reader's arithmetic may break.
fn size() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u64..70).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec![
            json!(0),
            json!(1_u64 << 31),
            json!(u32::MAX),
            json!(1_u64 << 32),
            json!(1_u64 << 62),
            json!(u64::MAX),
            json!(-1),
            json!(1.5),
            json!("3"),
            json!(null),
        ]),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(file in prop::collection::vec(any::<u8>(), 0..400)) {
        check_reading(&file)?;
    }

    #[test]
    fn a_good_file_is_read(file in prop_oneof![good_v1(), good_safetensors(), good_words_and_stems()]) {
        prop_assert!(model(file.clone()).is_ok());
        check_reading(&file)?;
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(
        file in prop_oneof![good_v1(), good_safetensors(), good_words_and_stems()],
        all in prop::collection::vec(damage(), 1..4),
    ) {
        check_reading(&damaged(file, all))?;
    }

    #[test]
    fn a_v1_header_of_any_sizes_is_read_or_refused(
        vocab_size in size(), embedding_dim in size(), max_seq_len in size(),
        table in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let header = json!({
            "vocab_size": vocab_size, "embedding_dim": embedding_dim, "max_seq_len": max_seq_len, "normalize": true,
        });
        check_reading(&v1_container(&header.to_string(), &table))?;
    }

    #[test]
    fn a_safetensors_header_of_any_sizes_is_read_or_refused(
        shape in prop::collection::vec(size(), 0..4),
        offsets in prop::collection::vec(size(), 0..4),
        scales_shape in prop::collection::vec(size(), 0..2),
        scales_offsets in prop::collection::vec(size(), 0..3),
        dtype in prop::sample::select(vec!["F32", "I8", "U8", "F16", "F64", "BOOL", "Q4"]),
        data in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let header = json!({
            "__metadata__": {
                "format": "embeddings-worker", "name": "tiny", "tokenizer": "ascii-words",
                "max_seq_len": "8", "normalize": "true",
            },
            "embeddings": {"dtype": dtype, "shape": shape, "data_offsets": offsets},
            "scales": {"dtype": "F32", "shape": scales_shape, "data_offsets": scales_offsets},
        });
        check_reading(&safetensors_container(&header.to_string(), &data))?;
    }
}

// ------------------------------------------------------------------------------------ tokenizer: any text

/// Text of English words as a stemmer cuts them, of scripts with and without spaces between words, and of all else.
fn prose() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        3 => "[a-z]{0,6}(s|es|ies|ed|ing|ly|ness|ational|fulness|'s|y|yed|sses|eed)?",
        2 => prop::sample::select(vec![" ", "-", "'", "\u{2019}", ". ", "\n"]).prop_map(str::to_owned),
        1 => "[\u{e00}-\u{eff}\u{3040}-\u{30ff}\u{4e00}-\u{9fff}]{1,4}",
        1 => "[A-Z\u{c0}-\u{17f}\u{400}-\u{4ff}]{1,6}",
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

/// Text with much white space, of which Unicode has several kinds, and much that looks like it.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-zA-Z0-9]{1,8}",
        prop::sample::select(vec![
            " ", "\t", "\r\n", "\u{85}", "\u{a0}", "\u{1680}", "\u{2003}", "\u{2028}", "\u{3000}",
            "\u{200b}", "\u{feff}", "\u{1c}", "\0",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

fn token_ids(text: &str, vocab_size: usize, max_words: usize) -> (Vec<u32>, usize, usize) {
    let mut ids = Vec::new();
    let count = Tokenizer::AsciiWords.for_each_token(
        text,
        TableRows::shared(vocab_size),
        max_words,
        |id| ids.push(id),
        |_| {},
    );
    (ids, count.tokens, count.tokens_read)
}

proptest! {
    #[test]
    fn every_word_of_any_text_is_a_row_of_the_table(
        text in text(),
        vocab_size in prop_oneof![Just(3_usize), 3..100_usize, Just(u32::MAX as usize)],
        max_words in prop_oneof![1..8_usize, Just(u32::MAX as usize)],
    ) {
        let (ids, words, words_read) = token_ids(&text, vocab_size, max_words);
        prop_assert_eq!(words, text.split_whitespace().count());
        prop_assert_eq!(words, Tokenizer::AsciiWords.count_words(&text));
        prop_assert_eq!(words_read, words.min(max_words));
        prop_assert_eq!(ids.len(), words_read);
        for (id, word) in ids.iter().zip(text.split_whitespace()) {
            if word.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
                prop_assert!((RESERVED_ROWS..vocab_size).contains(&(*id as usize)), "{:?}: row {}", word, id);
            } else {
                prop_assert_eq!(*id, UNKNOWN_TOKEN_ID, "{:?}", word);
            }
        }
    }

    #[test]
    fn every_word_and_stem_of_any_text_is_a_row_of_the_table(
        text in prop_oneof![prose(), text()],
        vocab_size in prop_oneof![Just(3_usize), 3..100_usize, Just(u32::MAX as usize)],
        max_words in prop_oneof![1..8_usize, Just(u32::MAX as usize)],
    ) {
        let (mut ids, mut stems) = (Vec::new(), 0);
        let rows = TableRows::shared(vocab_size);
        let count = Tokenizer::WordsAndStems.for_each_token(&text, rows, max_words, |id| ids.push(id), |_| stems += 1);
        prop_assert_eq!(count.tokens, Tokenizer::WordsAndStems.count_words(&text));
        prop_assert_eq!(stems, count.tokens_read);
        prop_assert_eq!(count.tokens_read, count.tokens.min(max_words));
        prop_assert_eq!(ids.len(), 2 * count.tokens_read);
        prop_assert!(ids.iter().all(|id| (RESERVED_ROWS..vocab_size).contains(&(*id as usize))), "{:?}", ids);
    }

    #[test]
    fn every_token_of_any_text_as_written_has_rows_of_the_table(
        text in prop_oneof![prose(), text(), any::<String>()],
        own in prop::collection::hash_set("[a-z]{1,3}", 1..20),
        shared in prop_oneof![1..100_usize, Just(1 << 20)],
        max_words in prop_oneof![1..8_usize, Just(u32::MAX as usize)],
    ) {
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let tables = OwnRowTables::build(&own, &own).unwrap();
        let own = tables.view();
        let rows = TableRows { vocab_size: own.first_shared_row() + shared, own };
        let (mut ids, mut stems) = (Vec::new(), 0);
        let count = Tokenizer::TextAsWritten.for_each_token(&text, rows, max_words, |id| ids.push(id), |_| stems += 1);
        prop_assert_eq!(count.tokens, Tokenizer::TextAsWritten.count_words(&text));
        prop_assert_eq!(count.tokens_read, count.tokens.min(max_words));
        prop_assert!(stems >= count.tokens_read && ids.len() >= stems, "{} words, {stems} stems, {ids:?}", count.tokens_read);
        prop_assert!(ids.iter().all(|id| (RESERVED_ROWS..rows.vocab_size).contains(&(*id as usize))), "{:?}", ids);
    }

    #[test]
    fn case_and_punctuation_change_no_row(word in "[a-z0-9]{1,12}", vocab_size in 3..10_000_usize) {
        let dressed = format!("«{}»!", word.to_ascii_uppercase());
        prop_assert_eq!(token_ids(&word, vocab_size, 8), token_ids(&dressed, vocab_size, 8));
    }

    #[test]
    fn a_texts_rows_are_those_of_its_words_in_order(
        words in prop::collection::vec("[a-z]{1,6}|[!?]{1,3}", 0..20),
        space in prop::sample::select(vec![" ", "\n\n", "\u{3000}"]),
    ) {
        let one_by_one: Vec<u32> = words.iter().flat_map(|word| token_ids(word, 1000, 8).0).collect();
        prop_assert_eq!(token_ids(&words.join(space), 1000, 100).0, one_by_one);
    }
}

// -------------------------------------------------------------------------------------- memory, by thread

#[test]
fn the_peak_is_counted() {
    let (_, peak) = peak_allocation(|| drop(vec![0_u8; 1_000_000]));
    assert!((1_000_000..1_001_000).contains(&peak), "{peak}");
}
