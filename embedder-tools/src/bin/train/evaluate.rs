//! What the training is measured by: rated sentence pairs, and pairs that were held out.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

use crate::matrix::{View, product};
use crate::pairs::{Source, excerpt, lines, read_source};
use crate::table::Table;
use crate::text_set::{Reading, TextSet};
use crate::trainer::LexicalGuidance;

/// What the model is measured on and never trained on.
pub struct HeldOut {
    ratings: Vec<(String, Vec<f32>, TextSet)>,
    retrieval: Vec<Retrieval>,
    pairs: Option<Source>,
}

impl HeldOut {
    pub fn read(
        ratings: &[PathBuf],
        retrieval: &[PathBuf],
        pairs: Option<&Path>,
        reading: &Reading,
    ) -> Result<Self, String> {
        // A text is measured whole, not as short as it is trained on.
        let reading = Reading {
            max_words: usize::MAX,
            ..*reading
        };
        Ok(Self {
            ratings: ratings
                .iter()
                .map(|path| {
                    let set = read_ratings(path)?;
                    Ok((name(path), set.ratings, TextSet::of(&set.texts, &reading)))
                })
                .collect::<Result<_, String>>()?,
            retrieval: retrieval
                .iter()
                .map(|path| Retrieval::read(path, &reading))
                .collect::<Result<_, _>>()?,
            pairs: pairs.map(|path| read_source(path, &reading)).transpose()?,
        })
    }

    #[cfg(test)]
    pub fn of_pairs(pairs: Source) -> Self {
        Self {
            ratings: Vec::new(),
            retrieval: Vec::new(),
            pairs: Some(pairs),
        }
    }

    pub fn print(&self, table: &Table, lexical: Option<&LexicalGuidance>, when: &str) {
        for part in parts(lexical) {
            let vectors = |set: &TextSet| vectors(table, set, part);
            let dimensions = dimensions(table, part);
            let when = format!(
                "{when}, lexical weight {}",
                part.map_or(0.0, |part| part.weight)
            );
            for (name, ratings, texts) in &self.ratings {
                let score = sts_score(ratings, &vectors(texts), dimensions);
                let baseline = tf_idf_score(ratings, &texts.all_rows());
                println!(
                    "{when}: {name}: Spearman x 100 {score:.2} (TF-IDF on the same tokens {baseline:.2})"
                );
            }
            for set in &self.retrieval {
                let score = set.score(&vectors(&set.queries), &vectors(&set.documents), dimensions);
                println!("{when}: {}: nDCG@10 x 100 {score:.2}", set.name);
            }
            if let Some(source) = &self.pairs {
                let accuracy =
                    retrieval_accuracy(&vectors(&source.texts), dimensions, &source.keys);
                let count = source.pair_count();
                println!(
                    "{when}: {}: own positive nearest of {count}: {accuracy:.2} %",
                    source.name
                );
            }
        }
    }

    /// How often (in %) an anchor's nearest positive is its own among the pairs held out: the mean over the semantic
    /// part alone and the whole vector, since a model serves both. None without such pairs.
    pub fn pair_score(&self, table: &Table, lexical: Option<&LexicalGuidance>) -> Option<f32> {
        let source = self.pairs.as_ref()?;
        let parts = parts(lexical);
        let sum: f32 = parts
            .iter()
            .map(|part| {
                let vectors = vectors(table, &source.texts, *part);
                retrieval_accuracy(&vectors, dimensions(table, *part), &source.keys)
            })
            .sum();
        Some(sum / parts.len() as f32)
    }
}

/// What is measured: the semantic part alone, and where there is a lexical one both.
fn parts<'a, 'b>(lexical: Option<&'a LexicalGuidance<'b>>) -> Vec<Option<&'a LexicalGuidance<'b>>> {
    std::iter::once(None).chain(lexical.map(Some)).collect()
}

fn dimensions(table: &Table, lexical: Option<&LexicalGuidance>) -> usize {
    table.dimensions + lexical.map_or(0, |part| part.dimensions)
}

/// The vectors as the model will make them.
fn vectors(table: &Table, texts: &TextSet, lexical: Option<&LexicalGuidance>) -> Vec<f32> {
    let semantic = table.pool(&texts.all_rows()).vectors;
    let Some(part) = lexical else {
        return semantic;
    };
    let indices: Vec<usize> = (0..texts.len()).collect();
    let sketches = texts.sketches(&indices, part.idf, part.dimensions);
    let share = 1.0 / (1.0 + part.weight * part.weight).sqrt();
    semantic
        .chunks(table.dimensions)
        .zip(sketches.chunks(part.dimensions))
        .flat_map(|(semantic, sketch)| {
            let semantic = semantic.iter().map(move |value| value * share);
            semantic.chain(sketch.iter().map(move |value| value * share * part.weight))
        })
        .collect()
}

fn name(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// A search task: which documents answer which queries.
struct Retrieval {
    name: String,
    queries: TextSet,
    documents: TextSet,
    /// For each query, the gain of the documents that answer it.
    relevant: Vec<HashMap<usize, f32>>,
}

impl Retrieval {
    fn read(folder: &Path, reading: &Reading) -> Result<Self, String> {
        let (document_ids, documents) = read_jsonl(&folder.join("corpus.jsonl"))?;
        let (query_ids, queries) = read_jsonl(&folder.join("queries.jsonl"))?;
        let path = folder.join("qrels.tsv");
        let shown = path.display();
        let qrels = fs::read_to_string(&path)
            .map_err(|error| format!("{shown}: cannot be read: {error}"))?;
        let mut relevant = vec![HashMap::new(); queries.len()];
        for (index, line) in qrels.lines().enumerate().skip(1) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [query, document, gain] = columns[..] else {
                return Err(format!(
                    "{shown}:{}: expected query, document, gain, found {}",
                    index + 1,
                    excerpt(line)
                ));
            };
            let gain: f32 = gain
                .parse()
                .map_err(|_| format!("{shown}:{}: expected a number, found {gain:?}", index + 1))?;
            if let (Some(&query), Some(&document)) =
                (query_ids.get(query), document_ids.get(document))
                && gain > 0.0
            {
                relevant[query].insert(document, gain);
            }
        }
        Ok(Self {
            name: name(folder),
            queries: TextSet::of(&queries, reading),
            documents: TextSet::of(&documents, reading),
            relevant,
        })
    }

    /// nDCG@10 x 100, over the queries that have an answer.
    fn score(&self, queries: &[f32], documents: &[f32], dimensions: usize) -> f32 {
        const DEPTH: usize = 10;
        let (rows, columns) = (self.queries.len(), self.documents.len());
        let mut cosines = vec![0.0; rows * columns];
        product(
            View::new(queries, rows, dimensions),
            View::new(documents, columns, dimensions).transposed(),
            &mut cosines,
        );
        let discount = |rank: usize| 1.0 / (rank as f32 + 2.0).log2();
        let scores: Vec<f32> = cosines
            .par_chunks(columns)
            .zip(&self.relevant)
            .filter(|(_, relevant)| !relevant.is_empty())
            .map(|(cosines, relevant)| {
                let mut order: Vec<usize> = (0..columns).collect();
                order.sort_by(|&a, &b| cosines[b].total_cmp(&cosines[a]));
                let found: f32 = (0..DEPTH.min(columns))
                    .map(|rank| relevant.get(&order[rank]).unwrap_or(&0.0) * discount(rank))
                    .sum();
                let mut gains: Vec<f32> = relevant.values().copied().collect();
                gains.sort_by(|a, b| b.total_cmp(a));
                let best: f32 = gains
                    .iter()
                    .take(DEPTH)
                    .enumerate()
                    .map(|(rank, gain)| gain * discount(rank))
                    .sum();
                found / best
            })
            .collect();
        100.0 * scores.iter().sum::<f32>() / scores.len().max(1) as f32
    }
}

/// Ids and texts (title and text, where there is a title) of a JSONL file.
fn read_jsonl(path: &Path) -> Result<(HashMap<String, usize>, Vec<String>), String> {
    let shown = path.display();
    let content =
        fs::read_to_string(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let (mut ids, mut texts) = (HashMap::new(), Vec::new());
    for (index, line) in content.lines().enumerate() {
        let entry: Value = serde_json::from_str(line)
            .map_err(|error| format!("{shown}:{}: not valid JSON: {error}", index + 1))?;
        let (Some(id), Some(text)) = (entry["_id"].as_str(), entry["text"].as_str()) else {
            return Err(format!(
                "{shown}:{}: expected _id and text, found {}",
                index + 1,
                excerpt(line)
            ));
        };
        ids.insert(id.to_owned(), texts.len());
        let title = entry["title"].as_str().unwrap_or_default();
        texts.push(format!("{title} {text}").trim().to_owned());
    }
    Ok((ids, texts))
}

/// Sentence pairs with a rating of how alike they are.
pub struct Ratings {
    pub ratings: Vec<f32>,
    /// Texts 2 i and 2 i + 1 are those of rating i.
    pub texts: Vec<String>,
}

/// Reads `rating<TAB>sentence<TAB>sentence`; further columns are ignored, and so is a first line
/// whose first column is no number.
pub fn read_ratings(path: &Path) -> Result<Ratings, String> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| format!("{shown}: cannot be read: {error}"))?;
    let mut set = Ratings {
        ratings: Vec::new(),
        texts: Vec::new(),
    };
    for (index, line) in lines(&bytes).enumerate() {
        let number = index + 1;
        let line =
            std::str::from_utf8(line).map_err(|_| format!("{shown}:{number}: expected UTF-8"))?;
        let columns: Vec<&str> = line.split('\t').collect();
        let [rating, first, second, ..] = columns[..] else {
            return Err(format!(
                "{shown}:{number}: expected 3 columns (rating, sentence, sentence), found {}: {}",
                columns.len(),
                excerpt(line)
            ));
        };
        match rating.parse::<f32>() {
            Ok(rating) if rating.is_finite() => set.ratings.push(rating),
            _ if number == 1 => continue,
            _ => {
                return Err(format!(
                    "{shown}:{number}: expected a number as rating, found {}",
                    excerpt(rating)
                ));
            }
        }
        set.texts.extend([first.to_owned(), second.to_owned()]);
    }
    if set.ratings.len() < 2 {
        return Err(format!(
            "{shown}: expected at least 2 rated pairs, found {}",
            set.ratings.len()
        ));
    }
    Ok(set)
}

/// Spearman's correlation x 100 of the vectors' cosines with the ratings. `vectors` are unit
/// vectors, two for each rating.
pub fn sts_score(ratings: &[f32], vectors: &[f32], dimensions: usize) -> f32 {
    let cosines: Vec<f32> = vectors
        .chunks(2 * dimensions)
        .map(|pair| {
            pair[..dimensions]
                .iter()
                .zip(&pair[dimensions..])
                .map(|(a, b)| a * b)
                .sum()
        })
        .collect();
    100.0 * spearman(ratings, &cosines)
}

/// The same for TF-IDF vectors over the tokens: what needs no training at all. The document
/// frequencies are those of the rated sentences themselves.
pub fn tf_idf_score(ratings: &[f32], texts: &[&[u32]]) -> f32 {
    let counts: Vec<HashMap<u32, f32>> = texts
        .iter()
        .map(|ids| {
            let mut counts = HashMap::new();
            ids.iter()
                .for_each(|&id| *counts.entry(id).or_insert(0.0) += 1.0);
            counts
        })
        .collect();
    let mut document_counts: HashMap<u32, f32> = HashMap::new();
    for id in counts.iter().flat_map(HashMap::keys) {
        *document_counts.entry(*id).or_insert(0.0) += 1.0;
    }
    let weight = |id: &u32, count: &f32| {
        count * ((1.0 + texts.len() as f32) / (1.0 + document_counts[id])).ln()
    };
    let dot = |a: &HashMap<u32, f32>, b: &HashMap<u32, f32>| {
        let mut products: Vec<f32> = a
            .iter()
            .filter_map(|(id, count)| b.get(id).map(|other| weight(id, count) * weight(id, other)))
            .collect();
        // A map's order differs from run to run, and with it the last bits of a sum.
        products.sort_by(f32::total_cmp);
        products.iter().sum::<f32>()
    };
    let cosines: Vec<f32> = counts
        .chunks(2)
        .map(|pair| {
            dot(&pair[0], &pair[1])
                / (dot(&pair[0], &pair[0]) * dot(&pair[1], &pair[1]))
                    .sqrt()
                    .max(f32::MIN_POSITIVE)
        })
        .collect();
    100.0 * spearman(ratings, &cosines)
}

/// How often (in %) the nearest of all positives is an anchor's own. `vectors` holds anchor and
/// positive of each pair; `keys` are equal for equal texts, and any positive with the right text counts.
pub fn retrieval_accuracy(vectors: &[f32], dimensions: usize, keys: &[u64]) -> f32 {
    let side = |which: usize| -> Vec<f32> {
        vectors
            .chunks(2 * dimensions)
            .flat_map(|pair| {
                pair[which * dimensions..(which + 1) * dimensions]
                    .iter()
                    .copied()
            })
            .collect()
    };
    let (anchors, positives) = (side(0), side(1));
    let pairs = keys.len() / 2;
    const ANCHORS_AT_ONCE: usize = 1024;
    let mut found = 0;
    for (block, anchors) in anchors.chunks(ANCHORS_AT_ONCE * dimensions).enumerate() {
        let rows = anchors.len() / dimensions;
        let mut cosines = vec![0.0; rows * pairs];
        product(
            View::new(anchors, rows, dimensions),
            View::new(&positives, pairs, dimensions).transposed(),
            &mut cosines,
        );
        found += cosines
            .par_chunks(pairs)
            .enumerate()
            .filter(|(row, cosines)| {
                let nearest = (0..pairs)
                    .max_by(|&a, &b| cosines[a].total_cmp(&cosines[b]))
                    .unwrap_or(0);
                keys[2 * nearest + 1] == keys[2 * (block * ANCHORS_AT_ONCE + row) + 1]
            })
            .count();
    }
    100.0 * found as f32 / pairs as f32
}

pub fn spearman(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let covariance = |x: &[f64], y: &[f64]| {
        x.iter()
            .zip(y)
            .map(|(x, y)| (x - mean) * (y - mean))
            .sum::<f64>()
    };
    (covariance(&a, &b) / (covariance(&a, &a) * covariance(&b, &b)).sqrt()) as f32
}

/// Ranks from 0, equal values sharing the mean of theirs.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut rank = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = rank as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&index| ranks[index] = shared);
        rank += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spearman_is_the_correlation_of_ranks_and_shares_the_rank_of_ties() {
        assert!((spearman(&[1.0, 2.0, 3.0], &[10.0, 400.0, 401.0]) - 1.0).abs() < 1e-6);
        assert!((spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-6);
        // Ranks 0, 1.5, 1.5, 3 against 0, 1, 2, 3: 4.5 / sqrt(4.5 x 5).
        assert!((spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]) - 0.948_683).abs() < 1e-5);
    }

    #[test]
    fn retrieval_counts_the_anchors_whose_own_positive_is_nearest() {
        let vectors = [
            [1.0, 0.0],
            [1.0, 0.0],
            [0.0, 1.0],
            [0.0, 1.0],
            [0.6, 0.8],
            [0.8, -0.6],
        ]
        .concat();
        assert!((retrieval_accuracy(&vectors, 2, &[1, 2, 3, 4, 5, 6]) - 200.0 / 3.0).abs() < 1e-4);
    }

    #[test]
    fn tf_idf_ranks_pairs_by_the_rare_tokens_that_they_share() {
        let texts: [&[u32]; 6] = [&[1, 5], &[1, 5], &[1, 7], &[1, 8], &[1, 2, 9], &[1, 2, 4]];
        assert!((tf_idf_score(&[3.0, 1.0, 2.0], &texts) - 100.0).abs() < 1e-4);
    }

    #[test]
    fn refuses_ratings_that_are_no_numbers() {
        let path = std::env::temp_dir().join(format!("train-ratings-{}.tsv", std::process::id()));
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            let result = read_ratings(&path);
            fs::remove_file(&path).unwrap();
            result.map_err(|message| message.replace(&*path.to_string_lossy(), "FILE"))
        };
        let set = read("score\ts1\ts2\n5.0\ta\tb\tmore\n1\tc\td\n").unwrap();
        assert_eq!(
            (set.ratings, set.texts),
            (
                vec![5.0, 1.0],
                ["a", "b", "c", "d"].map(String::from).to_vec()
            )
        );
        assert_eq!(
            read("1\ta\tb\nx\tc\td\n").err().unwrap(),
            "FILE:2: expected a number as rating, found \"x\""
        );
        assert_eq!(
            read("1\ta\n").err().unwrap(),
            "FILE:1: expected 3 columns (rating, sentence, sentence), found 2: \"1\\ta\""
        );
        assert_eq!(
            read("1\ta\tb\n").err().unwrap(),
            "FILE: expected at least 2 rated pairs, found 1"
        );
    }
}
