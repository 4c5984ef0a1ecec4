//! What a second reader, written from `model/FORMAT.md` alone, has made of texts: `golden/*.jsonl`.

use embedder_wasm::format::WeightsError;
use embedder_wasm::format::container::WeightsFile;
use embedder_wasm::format::writer::safetensors_container;
use embedder_wasm::models::static_table::StaticTable;
use embedder_wasm::models::{Model, Scratch};
use embedder_wasm::tokenizers::Tokenizer;
use serde_json::Value;

const TOLERANCE: f64 = 1e-6;

pub struct Golden {
    pub file: &'static [u8],
    /// A text in each line.
    pub lines: &'static str,
}

impl Golden {
    pub fn lines(&self) -> impl Iterator<Item = Value> {
        self.lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
    }

    pub fn compare_tokens(&self, tokenizer: Tokenizer) {
        let file = WeightsFile::from_bytes(self.file.to_vec()).unwrap();
        let table = StaticTable::from_file(file).unwrap();
        for line in self.lines() {
            let text = line["text"].as_str().unwrap();
            let mut ids = Vec::new();
            let count = tokenizer.for_each_token(
                text,
                table.table_rows(),
                table.config().max_seq_len,
                |id| ids.push(Value::from(id)),
                |_| {},
            );
            assert_eq!(Value::from(ids), line["token_ids"], "{text:?}");
            assert_eq!(Value::from(count.tokens), line["words"], "{text:?}");
            assert_eq!(
                Value::from(tokenizer.count_words(text)),
                line["words"],
                "{text:?}"
            );
        }
    }

    /// Compares the embeddings of the lines that have this field, which must be more than 1,000 values.
    pub fn compare_embeddings(&self, file: Vec<u8>, field: &str) {
        let model = model(file).unwrap();
        assert_eq!(model.info().dimensions, 56);
        let mut scratch = Scratch::default();
        let mut values_compared = 0;
        for line in self.lines() {
            let Some(expected) = line[field].as_array() else {
                continue;
            };
            let text = line["text"].as_str().unwrap();
            let mut embedding = vec![f32::NAN; line["dimensions"].as_u64().unwrap() as usize];
            model.embed(text, &mut scratch, &mut embedding);
            assert_eq!(embedding.len(), expected.len());
            for (value, expected) in embedding.iter().zip(expected) {
                let difference = (f64::from(*value) - expected.as_f64().unwrap()).abs();
                assert!(
                    difference <= TOLERANCE,
                    "{text:?}: {value} instead of {expected}"
                );
                values_compared += 1;
            }
        }
        assert!(values_compared > 1000, "{values_compared}");
    }

    /// The file with another header and other bytes of its tensors.
    pub fn with(&self, change: impl FnOnce(&mut Value, &mut [u8])) -> Vec<u8> {
        let header_end = 8 + u64::from_le_bytes(self.file[..8].try_into().unwrap()) as usize;
        let mut header: Value = serde_json::from_slice(&self.file[8..header_end]).unwrap();
        let mut data = self.file[header_end..].to_vec();
        change(&mut header, &mut data);
        safetensors_container(&header.to_string(), &data)
    }
}

pub fn model(file: Vec<u8>) -> Result<Model, WeightsError> {
    Model::from_file(WeightsFile::from_bytes(file)?)
}

/// Each file must be refused with its message.
pub fn assert_refused(cases: impl IntoIterator<Item = (Vec<u8>, &'static str)>) {
    for (file, message) in cases {
        let found = model(file).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), Some(message));
    }
}
