//! What may be known about a model from outside.

use serde_json::{Map, Value};

use crate::format::WeightsError;
use crate::format::container::Metadata;

/// A model's name, sizes and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInfo {
    pub name: String,
    /// As it stands in the weights file.
    pub architecture: &'static str,
    /// As it stands in the weights file.
    pub tokenizer: &'static str,
    /// How most of the weights are stored: F32, I8 or I4.
    pub dtype: &'static str,
    /// Of an embedding.
    pub dimensions: usize,
    /// Of its semantic part, which comes first; behind it is the lexical one, where there is one.
    pub semantic_dimensions: usize,
    /// Of one text; what is behind is not read.
    pub max_input_tokens: usize,
    /// Of all texts of one request, so that it stays well below the CPU time that Cloudflare allows.
    pub max_request_tokens: usize,
    /// Whether embeddings have length 1.
    pub normalize: bool,
    /// In the longest text; in a shorter one it may be less.
    pub multiply_adds_per_token: u64,
    /// Further names under which the model is served, with the dimensions that each has by default.
    pub aliases: Vec<(String, usize)>,
    pub prompts: Prompts,
}

/// What is put before a text, by what the text is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompts {
    pub query: Option<String>,
    pub document: Option<String>,
}

impl ModelInfo {
    /// As a JSON object with the fields' names in camelCase.
    pub fn to_json(&self) -> String {
        let aliases = self.aliases.iter();
        let aliases = aliases.map(|(name, dimensions)| (name.as_str(), (*dimensions).into()));
        let prompts = [
            ("query", self.prompts.query.as_deref().into()),
            ("document", self.prompts.document.as_deref().into()),
        ];
        let fields: [(&str, Value); 12] = [
            ("name", self.name.as_str().into()),
            ("architecture", self.architecture.into()),
            ("tokenizer", self.tokenizer.into()),
            ("dtype", self.dtype.into()),
            ("dimensions", self.dimensions.into()),
            ("semanticDimensions", self.semantic_dimensions.into()),
            ("maxInputTokens", self.max_input_tokens.into()),
            ("maxRequestTokens", self.max_request_tokens.into()),
            ("normalize", self.normalize.into()),
            ("multiplyAddsPerToken", self.multiply_adds_per_token.into()),
            ("aliases", object(aliases)),
            ("prompts", object(prompts)),
        ];
        object(fields).to_string()
    }
}

/// One loop for all objects: `json!` writes each field's code out, which a new isolate would have to compile.
fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        object.insert(name.to_owned(), value);
    }
    Value::Object(object)
}

/// The model's name, which must be there.
pub fn read_name(metadata: &Metadata) -> Result<String, WeightsError> {
    match metadata.text("name")? {
        "" => metadata.wrong("name", "the model's name"),
        name => Ok(name.to_owned()),
    }
}

/// `aliases`, in the order of their names: a JSON object in which each name has its default dimensions, at most
/// the model's own. It may be left out.
pub fn read_aliases(
    metadata: &Metadata,
    dimensions: usize,
) -> Result<Vec<(String, usize)>, WeightsError> {
    let Some(text) = metadata.optional_text("aliases")? else {
        return Ok(Vec::new());
    };
    // By the parser that reads heads, so that wasm has only one.
    let aliases = match serde_json::from_slice(text.as_bytes()) {
        Ok(Value::Object(aliases)) => Some(aliases),
        _ => None,
    };
    let aliases = aliases.and_then(|aliases| {
        let alias = |(name, value): (String, Value)| {
            let alias_dimensions = usize::try_from(value.as_u64()?).ok()?;
            let is_valid = !name.is_empty() && (1..=dimensions).contains(&alias_dimensions);
            is_valid.then_some((name, alias_dimensions))
        };
        aliases.into_iter().map(alias).collect()
    });
    match aliases {
        Some(aliases) => Ok(aliases),
        None => metadata.wrong(
            "aliases",
            &format!(
                "a JSON object whose fields are names and whose values are dimensions from 1 to {dimensions}"
            ),
        ),
    }
}

/// `query_prompt` and `document_prompt`, each of which may be left out.
pub fn read_prompts(metadata: &Metadata) -> Result<Prompts, WeightsError> {
    let prompt =
        |field: &str| Ok::<_, WeightsError>(metadata.optional_text(field)?.map(str::to_owned));
    Ok(Prompts {
        query: prompt("query_prompt")?,
        document: prompt("document_prompt")?,
    })
}
