//! The tokenizer `wordpiece`: the longest pieces of a vocabulary, as BERT reads text. Id for id what Hugging
//! Face's `tokenizers` gives for BertNormalizer, BertPreTokenizer, WordPiece and `[CLS] ... [SEP]`.
//!
//! Special tokens typed in a text are not special. `tokenizers`, and with it sentence-transformers,
//! reads "[SEP]" in a text as the one token that ends texts, unless `encode_special_tokens` is set
//! (transformers: `split_special_tokens`); here it is what that setting gives: "[", "sep" and "]". A text
//! that a stranger wrote cannot put an end to itself.

use super::text_cleaning::{CleaningOptions, TextCleaner, Word};

pub struct WordPieceOptions<'a> {
    pub cleaning: CleaningOptions,
    /// The token of a word that the vocabulary has no pieces for.
    pub unknown_token: &'a str,
    /// What tokens begin with that continue a word.
    pub continuing_prefix: &'a str,
    /// A longer word is unknown.
    pub max_word_characters: usize,
    /// The first token of each text.
    pub cls_token: &'a str,
    /// The last token of each text.
    pub sep_token: &'a str,
}

/// With more characters than this a word would cost more than the text around it.
const MOST_WORD_CHARACTERS: usize = 1_000;

pub struct WordPiece {
    vocabulary: Vocabulary,
    cleaner: TextCleaner,
    prefix: Box<[u8]>,
    unknown: u32,
    cls: u32,
    sep: u32,
}

impl WordPiece {
    /// `vocabulary`: the tokens joined by line feeds, in the order of their ids.
    ///
    /// Keeps a copy (230 KB for 30,522 tokens, a hundredth of such a model's weights): an index into
    /// somebody else's bytes would need them with each call, and could be given others.
    pub fn new(vocabulary: &[u8], options: WordPieceOptions) -> Result<Self, String> {
        let WordPieceOptions {
            cleaning,
            max_word_characters,
            ..
        } = options;
        if !(1..=MOST_WORD_CHARACTERS).contains(&max_word_characters) {
            return Err(format!(
                "max_word_characters: expected 1 to {MOST_WORD_CHARACTERS}, found {max_word_characters}"
            ));
        }
        let vocabulary = Vocabulary::new(vocabulary)?;
        let special = |field: &str, token: &str| {
            vocabulary
                .find(hash(START, token.as_bytes()), &[], token.as_bytes())
                .ok_or_else(|| format!("{field}: {token:?} is no token of the vocabulary"))
        };
        Ok(Self {
            unknown: special("unknown_token", options.unknown_token)?,
            cls: special("cls_token", options.cls_token)?,
            sep: special("sep_token", options.sep_token)?,
            prefix: options.continuing_prefix.as_bytes().into(),
            cleaner: TextCleaner::new(cleaning, max_word_characters),
            vocabulary,
        })
    }

    /// Tokens in the vocabulary: ids are below it.
    pub fn vocabulary_size(&self) -> usize {
        self.vocabulary.ends.len()
    }

    /// The id of the unknown token.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Replaces `ids` by those of a text, at most `max_tokens` (2 or more) with the special ones, and
    /// returns how many the whole text has.
    pub fn encode(&self, text: &str, max_tokens: usize, ids: &mut Vec<u32>) -> usize {
        ids.clear();
        ids.push(self.cls);
        let mut tokens = 2;
        self.for_each_piece(text, |id| {
            if tokens < max_tokens {
                ids.push(id);
            }
            tokens += 1;
        });
        ids.push(self.sep);
        tokens
    }

    /// The tokens of a text, with the special ones.
    pub fn count(&self, text: &str) -> usize {
        let mut tokens = 2;
        self.for_each_piece(text, |_| tokens += 1);
        tokens
    }

    /// Calls `piece` with the id of each piece of a text, without special tokens.
    pub fn for_each_piece(&self, text: &str, mut piece: impl FnMut(u32)) {
        let mut pieces = Pieces::default();
        self.cleaner.for_each_word(text, |word| match word {
            Word::Text(word) => match self.vocabulary.find(hash(START, word), &[], word) {
                Some(id) => piece(id),
                None if self.split(word, &mut pieces) => {
                    pieces.ids.iter().for_each(|&id| piece(id))
                }
                None => piece(self.unknown),
            },
            Word::TooLong => piece(self.unknown),
        });
    }

    /// Whether a word consists of pieces, and which: each time the longest one.
    fn split(&self, word: &[u8], pieces: &mut Pieces) -> bool {
        pieces.ids.clear();
        let continuing = hash(START, &self.prefix);
        let (mut state, mut prefix) = (START, &[][..]);
        let mut rest = word;
        while !rest.is_empty() {
            let longest =
                self.vocabulary
                    .longest_piece(state, prefix, rest, &mut pieces.beginnings);
            let Some((id, length)) = longest else {
                return false;
            };
            pieces.ids.push(id);
            rest = &rest[length..];
            (state, prefix) = (continuing, &self.prefix);
        }
        true
    }
}

/// Of one word; kept from word to word for the room that they have.
#[derive(Default)]
struct Pieces {
    ids: Vec<u32>,
    /// Lengths and hashes of what may be the next piece.
    beginnings: Vec<(usize, u64)>,
}

/// The tokens and a hash table of them.
struct Vocabulary {
    text: Box<[u8]>,
    /// Where each token ends in `text`; the next begins one byte behind it.
    ends: Vec<u32>,
    /// A power of two of words. Each beginning of a token has its bit, by its hash; nearly all that begins
    /// no token has none.
    beginnings: Vec<u64>,
    /// A power of two of places, half of them or more empty. A token lies at the place of its hash, or at the first one behind it
    /// that was free: `1 + id` in the lower `ID_BITS`, and of its hash as many bits as are left.
    places: Vec<u32>,
}

const ID_BITS: u32 = 20;
const ID_MASK: u32 = (1 << ID_BITS) - 1;
const EMPTY: u32 = 0;

impl Vocabulary {
    fn new(text: &[u8]) -> Result<Self, String> {
        std::str::from_utf8(text).map_err(|error| {
            format!(
                "vocabulary: expected UTF-8, found other bytes at {}",
                error.valid_up_to()
            )
        })?;
        if text.is_empty() {
            return Err("vocabulary: expected tokens, found none".into());
        }
        let tokens = 1 + line_feeds(text);
        let most_tokens = ID_MASK as usize;
        if tokens > most_tokens {
            return Err(format!(
                "vocabulary: expected at most {most_tokens} tokens, found {tokens}"
            ));
        }
        let mut vocabulary = Self {
            text: text.into(),
            ends: Vec::with_capacity(tokens),
            beginnings: vec![0; (tokens / 2).next_power_of_two()],
            places: vec![EMPTY; (2 * tokens).next_power_of_two()],
        };
        for _ in 0..tokens {
            vocabulary.add_next_token()?;
        }
        Ok(vocabulary)
    }

    /// Each byte is looked at once: this runs when an isolate is cold, in code that is compiled in haste.
    #[inline(never)]
    fn add_next_token(&mut self) -> Result<(), String> {
        let id = self.ends.len();
        let start = self.start(id);
        let mut state = START;
        let mut end = start;
        while let Some(&byte) = self.text.get(end)
            && byte != b'\n'
        {
            state = hash(state, &[byte]);
            let (word, bit) = self.beginning(state);
            self.beginnings[word] |= bit;
            end += 1;
        }
        let token = &self.text[start..end];
        if token.is_empty() {
            return Err(format!("vocabulary: token {id} is empty"));
        }
        match self.look_up(state, &[], token) {
            Ok(other) => {
                let token = String::from_utf8_lossy(token);
                return Err(format!(
                    "vocabulary: tokens {other} and {id} are both {token:?}"
                ));
            }
            Err(free) => self.places[free] = fingerprint(state) | (id as u32 + 1),
        }
        self.ends.push(end as u32);
        Ok(())
    }

    /// The longest token that is `prefix` with a beginning of `rest`, and the length of that beginning.
    fn longest_piece(
        &self,
        hash_of_prefix: u64,
        prefix: &[u8],
        rest: &[u8],
        beginnings: &mut Vec<(usize, u64)>,
    ) -> Option<(u32, usize)> {
        beginnings.clear();
        let mut state = hash_of_prefix;
        for (index, &byte) in rest.iter().enumerate() {
            state = hash(state, &[byte]);
            if !self.may_begin_a_token(state) {
                break;
            }
            let length = index + 1;
            // A character ends where the next byte does not continue it.
            if rest.get(length).is_none_or(|next| next & 0xC0 != 0x80) {
                beginnings.push((length, state));
            }
        }
        beginnings.iter().rev().find_map(|&(length, hash)| {
            let id = self.find(hash, prefix, &rest[..length])?;
            Some((id, length))
        })
    }

    fn may_begin_a_token(&self, hash: u64) -> bool {
        let (word, bit) = self.beginning(hash);
        self.beginnings[word] & bit != 0
    }

    fn beginning(&self, hash: u64) -> (usize, u64) {
        let bits = upper_half(hash) as usize;
        ((bits / 64) & (self.beginnings.len() - 1), 1 << (bits % 64))
    }

    /// The id of the token that is `prefix` and `piece` together, whose hash is `hash`.
    fn find(&self, hash: u64, prefix: &[u8], piece: &[u8]) -> Option<u32> {
        self.look_up(hash, prefix, piece).ok()
    }

    /// The token's id, or the place where it would be.
    fn look_up(&self, hash: u64, prefix: &[u8], piece: &[u8]) -> Result<u32, usize> {
        let mask = self.places.len() - 1;
        let fingerprint = fingerprint(hash);
        let mut place = upper_half(hash) as usize & mask;
        loop {
            let entry = self.places[place];
            if entry == EMPTY {
                return Err(place);
            }
            if entry & !ID_MASK == fingerprint {
                let id = (entry & ID_MASK) - 1;
                if self.token(id as usize).strip_prefix(prefix) == Some(piece) {
                    return Ok(id);
                }
            }
            place = (place + 1) & mask;
        }
    }

    fn token(&self, id: usize) -> &[u8] {
        &self.text[self.start(id)..self.ends[id] as usize]
    }

    fn start(&self, id: usize) -> usize {
        if id == 0 {
            0
        } else {
            self.ends[id - 1] as usize + 1
        }
    }
}

/// Not part of what calls it once: V8 would optimise all of that.
#[inline(never)]
fn line_feeds(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

/// The hash of no bytes.
const START: u64 = 0;

/// The hash of more bytes behind those whose hash is `state`: FNV-1a with another multiplier (2^64 / the
/// golden ratio), whose products differ in their upper halves after a single byte.
fn hash(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |state, &byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    })
}

/// The upper bits of a product depend on all bits of its factors.
fn upper_half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

fn fingerprint(hash: u64) -> u32 {
    upper_half(hash) & !ID_MASK
}
