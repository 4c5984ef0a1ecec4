//! Which tokens have a row of their own, and which others are misspellings of those: two perfect hash functions
//! (perfect_hash.rs). The tokens are stored nowhere. A slot has a fingerprint of its token, so that few others are taken for it.

use std::collections::HashMap;

use super::hashed_rows::{RESERVED_ROWS, WORD_KEY, hash};
use super::perfect_hash::{PerfectHash, slot_of};

/// Shorter words become other words when they are misspelt. In bytes; of longer ones fewer are misspelt in one place only.
const MISSPELT_BYTES: std::ops::RangeInclusive<usize> = 5..=20;
/// Of an entry for a misspelling the low bits are a row, the others are a fingerprint.
const ROW_BITS: u32 = 17;
/// What the rows of the entries are below.
pub const MAX_OWN_ROW: usize = 1 << ROW_BITS;

/// The tables as they lie in a file, little-endian.
#[derive(Clone, Copy)]
pub struct OwnRows<'a> {
    displacements: &'a [[u8; 2]],
    fingerprints: &'a [[u8; 2]],
    misspelt_displacements: &'a [[u8; 2]],
    misspelt_rows: &'a [[u8; 4]],
}

impl<'a> OwnRows<'a> {
    /// No token has a row of its own.
    pub const NONE: OwnRows<'static> = OwnRows {
        displacements: &[],
        fingerprints: &[],
        misspelt_displacements: &[],
        misspelt_rows: &[],
    };

    /// In the order of `OwnRowTables::NAMES`: u16, u16, u16, u32. The first two both have entries, or neither has, and so the last
    /// two.
    pub fn new(tables: [&'a [u8]; 4]) -> Self {
        let [
            displacements,
            fingerprints,
            misspelt_displacements,
            misspelt_rows,
        ] = tables;
        Self {
            displacements: displacements.as_chunks().0,
            fingerprints: fingerprints.as_chunks().0,
            misspelt_displacements: misspelt_displacements.as_chunks().0,
            misspelt_rows: misspelt_rows.as_chunks().0,
        }
    }

    /// The row of the token with this hash, where it has one of its own.
    pub fn row_of(&self, hash: u64) -> Option<u32> {
        if self.fingerprints.is_empty() {
            return None;
        }
        let slot = slot_of(hash, self.displacements, self.fingerprints.len());
        let fingerprint = u16::from_le_bytes(self.fingerprints[slot]);
        (fingerprint == hash as u16).then_some((RESERVED_ROWS + slot) as u32)
    }

    /// The row of the frequent word that a token without a row of its own is a misspelling of: one with which it has a text in
    /// common that both become, or are, when one letter behind the first is left out of either.
    pub fn row_of_misspelt(&self, token: &str) -> Option<u32> {
        let is_word = token.bytes().all(|byte| byte.is_ascii_lowercase());
        if self.misspelt_rows.is_empty() || !is_word || !MISSPELT_BYTES.contains(&token.len()) {
            return None;
        }
        find_spelling(token, |spelling| {
            let hash = hash(WORD_KEY, spelling);
            let slot = slot_of(hash, self.misspelt_displacements, self.misspelt_rows.len());
            let entry = u32::from_le_bytes(self.misspelt_rows[slot]);
            (entry >> ROW_BITS == misspelt_fingerprint(hash)).then_some(entry % (1 << ROW_BITS))
        })
    }

    /// The first of the rows that all other tokens share.
    pub fn first_shared_row(&self) -> usize {
        RESERVED_ROWS + self.fingerprints.len()
    }

    /// The greatest row that a misspelling has; 0 where there is none.
    pub fn greatest_misspelt_row(&self) -> u32 {
        let rows = self
            .misspelt_rows
            .iter()
            .map(|entry| u32::from_le_bytes(*entry) % (1 << ROW_BITS));
        rows.max().unwrap_or(0)
    }
}

fn misspelt_fingerprint(hash: u64) -> u32 {
    hash as u32 % (1 << (u32::BITS - ROW_BITS))
}

/// The first that `find` finds among a word of `MISSPELT_BYTES` ASCII letters and what it becomes when one letter behind the
/// first is left out.
fn find_spelling<T>(word: &str, mut find: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    let word = word.as_bytes();
    let mut shorter = [0; *MISSPELT_BYTES.end()];
    let shorter = &mut shorter[..word.len() - 1];
    shorter.copy_from_slice(&word[1..]);
    find(word).or_else(|| {
        (1..word.len()).find_map(|left_out| {
            shorter[left_out - 1] = word[left_out - 1];
            find(shorter)
        })
    })
}

/// The tables before they are in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwnRowTables(pub [Vec<u8>; 4]);

impl OwnRowTables {
    /// Of the tensors.
    pub const NAMES: [&'static str; 4] = [
        "displacements",
        "fingerprints",
        "misspelt_displacements",
        "misspelt_rows",
    ];

    /// Gives each of these tokens a row of its own; those of `often_misspelt`, the most frequent first, which are among them, have their
    /// misspellings found.
    pub fn build(tokens: &[&str], often_misspelt: &[&str]) -> Result<Self, String> {
        let hashes: Vec<u64> = tokens
            .iter()
            .map(|token| hash(WORD_KEY, token.as_bytes()))
            .collect();
        let own = PerfectHash::build(&hashes)?;
        let fingerprints = own
            .slots
            .iter()
            .map(|slot| slot.map_or(0, |index| hashes[index] as u16));
        let fingerprints: Vec<u8> = fingerprints.flat_map(u16::to_le_bytes).collect();
        let view = OwnRows::new([&own.displacements, &fingerprints, &[], &[]]);

        let mut rows_by_hash = HashMap::new();
        for &token in often_misspelt
            .iter()
            .filter(|token| MISSPELT_BYTES.contains(&token.len()))
        {
            let row = view.row_of(hash(WORD_KEY, token.as_bytes()));
            let row = row.ok_or_else(|| format!("{token:?} has no row of its own"))?;
            if row as usize >= MAX_OWN_ROW {
                return Err(format!(
                    "row {row} of {token:?} does not fit in {ROW_BITS} bits"
                ));
            }
            find_spelling(token, |spelling| -> Option<()> {
                let hash = hash(WORD_KEY, spelling);
                rows_by_hash.entry(hash).or_insert(row);
                None
            });
        }
        let mut misspelt: Vec<(u64, u32)> = rows_by_hash.into_iter().collect();
        misspelt.sort_unstable();
        let hashes: Vec<u64> = misspelt.iter().map(|(hash, _)| *hash).collect();
        let near = PerfectHash::build(&hashes)?;
        let entries = near.slots.iter().map(|slot| {
            slot.map_or(0, |index| {
                let (hash, row) = misspelt[index];
                misspelt_fingerprint(hash) << ROW_BITS | row
            })
        });
        let entries = entries.flat_map(u32::to_le_bytes).collect();
        Ok(Self([
            own.displacements,
            fingerprints,
            near.displacements,
            entries,
        ]))
    }

    /// How a reader sees them.
    pub fn view(&self) -> OwnRows<'_> {
        OwnRows::new(self.0.each_ref().map(Vec::as_slice))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn row_of(tables: &OwnRowTables, token: &str) -> Option<u32> {
        tables.view().row_of(hash(WORD_KEY, token.as_bytes()))
    }

    #[test]
    fn each_token_has_a_row_of_its_own_and_hardly_another_has_one() {
        let names = |letter| (0..50_000).map(move |number| format!("{letter}{number}"));
        let (own, others): (Vec<String>, Vec<String>) =
            (names('a').collect(), names('b').collect());
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        let tables = OwnRowTables::build(&own, &[]).unwrap();
        let rows: HashSet<u32> = own
            .iter()
            .map(|token| row_of(&tables, token).unwrap())
            .collect();
        assert_eq!(rows.len(), own.len());
        let first_shared = tables.view().first_shared_row() as u32;
        assert!(rows.iter().all(|row| (2..first_shared).contains(row)));
        let mistaken = others
            .iter()
            .filter(|token| row_of(&tables, token).is_some())
            .count();
        // 50,000 / 65,536 on average.
        assert!(mistaken <= 6, "{mistaken}");
    }

    #[test]
    fn a_word_misspelt_in_one_place_has_the_row_of_the_word() {
        let words = ["definitely", "password", "receive", "separate", "right"];
        let tables = OwnRowTables::build(&words, &words).unwrap();
        let cases = [
            ("definately", Some("definitely")),
            ("definitly", Some("definitely")),
            ("definiteley", Some("definitely")),
            ("pasword", Some("password")),
            ("passsword", Some("password")),
            ("paswsord", Some("password")),
            ("passward", Some("password")),
            ("recieve", Some("receive")),
            ("seperate", Some("separate")),
            ("rihgt", Some("right")),
            // In two places; in the first letter; too short; no letters a to z alone.
            ("definatly", None),
            ("eceive", None),
            ("rght", None),
            ("passw0rd", None),
            ("unlike", None),
        ];
        for (misspelt, word) in cases {
            let expected = word.map(|word| row_of(&tables, word).unwrap());
            assert_eq!(
                tables.view().row_of_misspelt(misspelt),
                expected,
                "{misspelt}"
            );
        }
    }

    #[test]
    fn of_two_words_the_more_frequent_one_is_meant() {
        let words = ["causal", "casual"];
        let tables = OwnRowTables::build(&words, &words).unwrap();
        assert_eq!(
            tables.view().row_of_misspelt("casal"),
            row_of(&tables, "causal")
        );
    }

    #[test]
    fn without_tables_no_token_has_a_row_of_its_own() {
        let tables = OwnRowTables::default();
        assert_eq!(row_of(&tables, "word"), None);
        assert_eq!(tables.view().row_of_misspelt("wordd"), None);
        assert_eq!(tables.view().first_shared_row(), RESERVED_ROWS);
    }

    #[test]
    fn what_cannot_be_built_is_refused() {
        let twice = OwnRowTables::build(&["word", "word"], &[]);
        assert_eq!(
            twice,
            Err(
                "no displacement separates the 2 hashes of one bucket; two of them may be equal"
                    .to_owned()
            )
        );
        let unknown = OwnRowTables::build(&["word"], &["unknown"]);
        assert_eq!(unknown, Err("\"unknown\" has no row of its own".to_owned()));
    }
}
