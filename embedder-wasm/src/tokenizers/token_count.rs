/// How many tokens a text has, as the model's tokenizer counts them, and how many of them the model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenCount {
    pub tokens: usize,
    pub tokens_read: usize,
}

impl TokenCount {
    /// Of a text of which a model reads the first `limit` tokens.
    pub fn cut_at(limit: usize, tokens: usize) -> Self {
        Self {
            tokens,
            tokens_read: tokens.min(limit),
        }
    }
}
