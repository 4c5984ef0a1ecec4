//! Slices of work, by proptest: whatever the budgets and whoever comes between two slices, a request gets the answer
//! that it gets alone and in one piece.

use std::ops::Range;
use std::sync::LazyLock;

use embedder_wasm::answer::{ANSWER_HEAD, EncodingFormat};
use embedder_wasm::area::Area;
use embedder_wasm::batch::{self, Format, Slice, TAIL_ROOM, Texts, Workspace, encode};
use embedder_wasm::format::Dtype;
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::row_format::RowFormat;
use embedder_wasm::format::writer::{Writer, v1};
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::random::Random;
use proptest::prelude::*;

/// Rows in f32, a model with stems and a lexical part whose rows are in 4 bits, and an encoder of several layers.
static MODELS: LazyLock<[Model; 3]> = LazyLock::new(|| {
    let rows = Random::new(7).start_values(50 * 8);
    let stored = RowFormat::I4.store(&rows, 8);
    let hybrid = Writer::new("hybrid")
        .describe("tokenizer", "words-and-stems")
        .describe("max_seq_len", 12)
        .describe("normalize", true)
        .describe("lexical_dim", 8)
        .describe("lexical_weight", 0.5)
        .describe("scale_unit", stored.scale_unit.unwrap())
        .add("embeddings", Dtype::U8, &[50, 4], stored.values)
        .add("scales", Dtype::I16, &[50], stored.scales)
        .add("idf", Dtype::U8, &[7], vec![3, 1, 4, 1, 5, 9, 2])
        .finish();
    let encoder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/golden/bert-dense-without-bias.safetensors"
    );
    [
        v1(5, 9, false, &Random::new(3).start_values(40 * 5)),
        hybrid,
        std::fs::read(encoder).unwrap(),
    ]
    .map(|file| Model::from_file(WeightsFile::from_bytes(file).unwrap()).unwrap())
});

/// A request, and how far it is.
#[derive(Clone, Debug)]
struct Request {
    model: usize,
    texts: Vec<String>,
    dimensions: usize,
    format: Format,
    budget: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Answer {
    /// Tokens, tokens read, whether the embedding is zero.
    records: Vec<[u32; 3]>,
    elements: Vec<u8>,
    /// Where the next text stands, if it was begun.
    begun: Vec<u8>,
}

impl Request {
    fn is_done(&self, answer: &Answer) -> bool {
        answer.records.len() == self.texts.len()
    }

    /// One slice, with a copy of the output as JavaScript takes it.
    fn go_on(&self, budget: f64, workspace: &mut Workspace, answer: &mut Answer) {
        let first_index = answer.records.len();
        let left = &self.texts[first_index..];
        let (lengths, bytes) = input(left);
        let slice = Slice {
            texts: Texts::new(&lengths, &bytes).unwrap(),
            dimensions: self.dimensions,
            format: self.format,
            first_index,
            work_budget: budget,
            begun: &answer.begun,
        };
        let done = batch::embed(&MODELS[self.model], slice, workspace);
        assert!(done <= left.len(), "{done} texts were done");
        let output = workspace.output.bytes();
        let numbers: Vec<u32> = output[..8 + 12 * done]
            .as_chunks()
            .0
            .iter()
            .map(|it| u32::from_le_bytes(*it))
            .collect();
        answer.records.extend(numbers[2..].as_chunks().0);
        let elements = &output[8 + 12 * done..];
        let byte_length = numbers[0] as usize;
        assert!(
            elements.len() >= byte_length + TAIL_ROOM,
            "no room for the tail"
        );
        answer.elements.extend(&elements[..byte_length]);
        let progress = |begun: &[u8]| {
            begun
                .first_chunk()
                .map(|layers| u32::from_le_bytes(*layers))
        };
        let begun = elements[byte_length..][..numbers[1] as usize].to_vec();
        assert!(
            done > 0 || progress(&begun) > progress(&answer.begun),
            "nothing was done"
        );
        answer.begun = begun;
    }

    /// All of it at once, in memory of its own.
    fn alone(&self) -> Answer {
        let mut answer = Answer::default();
        let mut workspace = Workspace::default();
        self.go_on(f64::INFINITY, &mut workspace, &mut answer);
        assert!(self.is_done(&answer));
        answer
    }
}

/// What JavaScript writes into the input area.
fn input(texts: &[String]) -> (Vec<u8>, Vec<u8>) {
    let utf16_length = |text: &String| (text.encode_utf16().count() as u32).to_le_bytes();
    let lengths = texts.iter().flat_map(utf16_length).collect();
    (lengths, texts.join("\n").into_bytes())
}

fn text() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        4 => "[a-z]{1,7}ing ",
        2 => Just(" ".to_owned()),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat())
}

/// Of an encoder fewer texts: it takes its time without optimisation.
fn request(models: Range<usize>) -> impl Strategy<Value = Request> {
    let format = prop::sample::select(vec![
        Format::Json(EncodingFormat::Float),
        Format::Json(EncodingFormat::Base64),
        Format::Vectors,
    ]);
    let texts = prop::collection::vec(text(), 1..12);
    (models, texts, 1..=16_usize, format, 0.0..1.0).prop_map(
        |(model, mut texts, dimensions, format, budget)| {
            texts.truncate([12, 12, 3][model]);
            Request {
                model,
                texts,
                dimensions: dimensions.min([5, 16, 16][model]),
                format,
                budget: budget * [400.0, 400.0, 400_000.0][model],
            }
        },
    )
}

proptest! {
    #[test]
    fn slices_of_two_requests_interleaved_at_random_give_the_vectors_that_each_has_alone(
        requests in [request(0..3), request(0..3)],
        turns in prop::collection::vec(any::<bool>(), 48),
    ) {
        let mut workspace = Workspace::default();
        let mut answers = [Answer::default(), Answer::default()];
        for turn in turns.into_iter().map(usize::from).chain([0; 60]).chain([1; 60]) {
            let (request, answer) = (&requests[turn], &mut answers[turn]);
            if !request.is_done(answer) {
                request.go_on(request.budget, &mut workspace, answer);
            }
        }
        for (request, answer) in requests.iter().zip(answers) {
            prop_assert_eq!(answer, request.alone());
        }
    }

    #[test]
    fn a_slice_ends_before_the_text_that_would_exceed_its_budget(request in request(0..2)) {
        let model = &MODELS[request.model];
        let mut answer = Answer::default();
        request.go_on(request.budget, &mut Workspace::default(), &mut answer);
        let work = |texts: &[String]| -> f64 {
            let works = texts.iter().map(|text| model.work(model.count(text).tokens_read));
            works.sum::<u64>() as f64
        };
        let done = answer.records.len();
        prop_assert!(done == 1 || work(&request.texts[..done]) <= request.budget);
        prop_assert!(request.is_done(&answer) || work(&request.texts[..=done]) > request.budget);
    }

    #[test]
    fn vectors_that_are_encoded_later_give_the_bytes_that_they_give_at_once(
        request in request(0..2), format in prop::sample::select(vec![EncodingFormat::Float, EncodingFormat::Base64]),
        chunk in 1..5_usize,
    ) {
        let whole = Request { format: Format::Json(format), ..request.clone() }.alone();
        let vectors = Request { format: Format::Vectors, ..request.clone() }.alone();
        prop_assert_eq!(&whole.records, &vectors.records);
        let values: Vec<f32> = vectors.elements.as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect();
        let mut output = Area::default();
        let mut bytes = Vec::new();
        for (index, rows) in values.chunks(chunk * request.dimensions).enumerate() {
            let length = encode(rows, request.dimensions, format, index * chunk, &mut output);
            prop_assert!(output.byte_length() >= length + TAIL_ROOM);
            bytes.extend(&output.bytes()[..length]);
        }
        prop_assert_eq!(String::from_utf8(bytes), String::from_utf8(whole.elements));
    }

    #[test]
    fn texts_are_found_by_their_lengths_in_utf_16(texts in prop::collection::vec(any::<String>(), 0..9)) {
        let (lengths, bytes) = input(&texts);
        let found: Vec<&str> = Texts::new(&lengths, &bytes).unwrap().collect();
        prop_assert_eq!(found, texts);
    }
}

#[test]
fn a_text_without_a_word_is_told_apart_from_one_of_zeros_in_the_text() {
    let texts = ["", " \n", "0 0", "word", "!!!"]
        .map(str::to_owned)
        .to_vec();
    let request = Request {
        model: 1,
        texts,
        dimensions: 16,
        format: Format::Vectors,
        budget: 0.0,
    };
    let records = request.alone().records;
    assert_eq!(
        records,
        [[0, 0, 1], [0, 0, 1], [2, 2, 0], [1, 1, 0], [0, 0, 1]]
    );
}

#[test]
fn more_elements_than_a_chunk_holds_are_written_whole() {
    let model = &MODELS[0];
    let texts: Vec<String> = (0..20_000).map(|number| format!("word{number}")).collect();
    let (lengths, bytes) = input(&texts);
    let mut workspace = Workspace::default();
    let slice = Slice {
        texts: Texts::new(&lengths, &bytes).unwrap(),
        dimensions: 5,
        format: Format::Json(EncodingFormat::Float),
        first_index: 0,
        work_budget: f64::INFINITY,
        begun: &[],
    };
    assert_eq!(batch::embed(model, slice, &mut workspace), texts.len());
    let output = workspace.output.bytes();
    let byte_length = u32::from_le_bytes(output[..4].try_into().unwrap()) as usize;
    assert!(byte_length > 2 * 1024 * 1024, "{byte_length}");
    let elements = &output[8 + 12 * texts.len()..][..byte_length];
    assert!(elements.starts_with(ANSWER_HEAD));
    let whole = [elements, b"]}"].concat();
    let answer: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    let mut expected = [0.0; 5];
    for (index, text) in texts.iter().enumerate() {
        let element = &answer["data"][index];
        assert_eq!(element["index"], index);
        model.embed(text, &mut Scratch::default(), &mut expected);
        let values = element["embedding"].as_array().unwrap().iter();
        let values: Vec<f32> = values.map(|it| it.as_f64().unwrap() as f32).collect();
        assert_eq!(values, expected, "{index}");
    }
}
