//! Reads files of text pairs, and refuses a bad one before any training has begun.

use std::fs;
use std::hash::Hasher;
use std::path::Path;

use siphasher::sip::SipHasher13;

use crate::text_set::{Reading, TextSet};

/// One file of pairs. Batches are drawn from one source each, so that a batch's negatives are of
/// the same kind as its positives and cannot be told apart by style alone.
pub struct Source {
    pub name: String,
    /// Text 2 i is the anchor of pair i, text 2 i + 1 its positive.
    pub texts: TextSet,
    /// A hash of each text: equal texts in a batch are not each other's negatives.
    pub keys: Vec<u64>,
}

impl Source {
    pub fn pair_count(&self) -> usize {
        self.keys.len() / 2
    }
}

/// The lines of a file, `anchor<TAB>positive` each; a first line that says just that is a header.
pub fn read_pairs(path: &Path) -> Result<Vec<(String, String)>, String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let mut pairs = Vec::new();
    for (index, line) in lines(&bytes).enumerate() {
        let number = index + 1;
        let line = std::str::from_utf8(line).map_err(|error| {
            let at = error.valid_up_to() + 1;
            format!(
                "{shown}:{number}: expected UTF-8, found other bytes from byte {at} of the line on"
            )
        })?;
        if number == 1 && line == "anchor\tpositive" {
            continue;
        }
        let columns: Vec<&str> = line.split('\t').collect();
        let [anchor, positive] = columns[..] else {
            let found = columns.len();
            return Err(format!(
                "{shown}:{number}: expected 2 columns (anchor, a tab, positive), found {found}: {}",
                excerpt(line)
            ));
        };
        for (column, text) in [("anchor", anchor), ("positive", positive)] {
            if text.trim().is_empty() {
                return Err(format!(
                    "{shown}:{number}: expected text in the column {column}, found none"
                ));
            }
        }
        pairs.push((anchor.to_owned(), positive.to_owned()));
    }
    if pairs.len() < 2 {
        let found = pairs.len();
        return Err(format!(
            "{shown}: expected at least 2 pairs, since the other pairs of a batch are its negatives, found {found}"
        ));
    }
    Ok(pairs)
}

/// Reads and tokenises the pairs of a file.
pub fn read_source(path: &Path, reading: &Reading) -> Result<Source, String> {
    let pairs = read_pairs(path)?;
    let texts: Vec<&str> = pairs
        .iter()
        .flat_map(|(anchor, positive)| [anchor.as_str(), positive.as_str()])
        .collect();
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Source {
        name,
        texts: TextSet::of(&texts, reading),
        keys: texts.iter().map(|text| text_key(text)).collect(),
    })
}

/// Equal texts have equal keys.
pub fn text_key(text: &str) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Lines ended by `\n` or `\r\n`; the last one may lack its end.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let count = if bytes.is_empty() { 0 } else { usize::MAX };
    bytes
        .split(|&byte| byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .take(count)
}

/// The beginning of a line, for an error message.
pub fn excerpt(line: &str) -> String {
    const SHOWN_CHARACTERS: usize = 60;
    match line.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{:?}...", &line[..end]),
        None => format!("{line:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
        let folder = std::env::temp_dir().join(format!("train-pairs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        let result = read_pairs(&path);
        fs::remove_file(&path).unwrap();
        result.map_err(|message| message.replace(&*folder.to_string_lossy(), "DIR"))
    }

    #[test]
    fn reads_pairs_with_and_without_a_header() {
        let expected = vec![
            ("a b".to_owned(), "c".to_owned()),
            ("d".to_owned(), "e".to_owned()),
        ];
        assert_eq!(read("plain.tsv", b"a b\tc\nd\te").unwrap(), expected);
        assert_eq!(
            read("header.tsv", b"anchor\tpositive\r\na b\tc\r\nd\te\r\n").unwrap(),
            expected
        );
    }

    #[test]
    fn refuses_a_bad_file_and_names_the_line_and_what_was_expected() {
        let cases: [(&str, &[u8], &str); 6] = [
            (
                "one-column.tsv",
                b"a\tb\nonly one\n",
                "DIR/one-column.tsv:2: expected 2 columns (anchor, a tab, positive), found 1: \"only one\"",
            ),
            (
                "three-columns.tsv",
                b"a\tb\tc\n",
                "DIR/three-columns.tsv:1: expected 2 columns (anchor, a tab, positive), found 3: \"a\\tb\\tc\"",
            ),
            (
                "blank-text.tsv",
                b"a\tb\nc\t  \n",
                "DIR/blank-text.tsv:2: expected text in the column positive, found none",
            ),
            (
                "not-utf8.tsv",
                b"a\tb\nab\xff\tb\n",
                "DIR/not-utf8.tsv:2: expected UTF-8, found other bytes from byte 3 of the line on",
            ),
            (
                "one-pair.tsv",
                b"a\tb\n",
                "DIR/one-pair.tsv: expected at least 2 pairs, since the other pairs of a batch are its negatives, found 1",
            ),
            (
                "empty.tsv",
                b"",
                "DIR/empty.tsv: expected at least 2 pairs, since the other pairs of a batch are its negatives, found 0",
            ),
        ];
        for (name, bytes, message) in cases {
            assert_eq!(read(name, bytes).unwrap_err(), message);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read_pairs(Path::new("no/such/file.tsv")).unwrap_err();
        assert!(
            message.starts_with("no/such/file.tsv: cannot be read: "),
            "{message}"
        );
    }
}
