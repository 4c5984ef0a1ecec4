//! The teacher's vectors: what a transformer makes of texts, as targets for the table's own.
//!
//! A folder holds shards `texts-NNN.safetensors` (tensor `vectors`, F16 [n, d]) with one text a line in
//! `texts-NNN.txt`, the same for single words (`words-NNN`), and `pca.safetensors` (F32 `mean` [d],
//! `rotation` [d, d], its columns by falling variance). Beside the folder, `word-counts.txt` says how
//! often each of the words comes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors};

use crate::matrix::{View, product};
use crate::pairs::text_key;
use crate::text_set::{Reading, TextSet};

/// SIF: a word of frequency p counts a / (a + p).
const WORD_FREQUENCY_PRIOR: f64 = 1e-3;

/// Texts with the vectors that they should have.
pub struct Lessons {
    pub texts: TextSet,
    /// Of length 1, in the dimensions of the table.
    pub targets: Vectors,
}

/// A teacher's vectors of texts.
pub struct Vectors {
    pub dimensions: usize,
    /// texts x dimensions.
    pub values: Vec<f32>,
    /// The place of the text with each key (`text_key`).
    pub places: HashMap<u64, u32>,
}

impl Vectors {
    fn of(texts: &[String], values: Vec<f32>, dimensions: usize) -> Self {
        let keys = texts.iter().map(|text| text_key(text));
        Self {
            dimensions,
            values,
            places: keys.zip(0..).collect(),
        }
    }

    pub fn row(&self, place: usize) -> &[f32] {
        &self.values[place * self.dimensions..(place + 1) * self.dimensions]
    }

    pub fn have_all(&self, keys: &[u64]) -> bool {
        keys.iter().all(|key| self.places.contains_key(key))
    }

    /// The vectors of the texts with these keys, end to end; none where the teacher has not read them all.
    pub fn of_keys(&self, keys: &[u64]) -> Option<Vec<f32>> {
        let mut found = Vec::with_capacity(keys.len() * self.dimensions);
        for key in keys {
            found.extend_from_slice(self.row(*self.places.get(key)? as usize));
        }
        Some(found)
    }
}

pub struct Teacher {
    folder: PathBuf,
    mean: Vec<f32>,
    /// d x dimensions: the first columns of the rotation.
    rotation: Vec<f32>,
    dimensions: usize,
}

/// A teacher's vectors of texts as the folder has them: for similarities alone, whose axes do not matter. They have any
/// number of dimensions, and need no `pca.safetensors`.
pub fn similarities(folder: &Path) -> Result<Vectors, String> {
    let mut dimensions = None;
    let mut values = Vec::new();
    let texts = for_each_shard(folder, "texts-", usize::MAX, |path, shape, raw| {
        let found = shape[1];
        let expected = *dimensions.get_or_insert(found);
        if found != expected {
            return Err(format!(
                "{}: expected vectors of {expected} values, as in the files before, found {found}",
                path.display()
            ));
        }
        values.extend(raw);
        Ok(())
    })?;
    let dimensions = dimensions.unwrap_or_default();
    values
        .par_chunks_mut(dimensions)
        .for_each(embedder_wasm::kernels::norm::normalize);
    Ok(Vectors::of(&texts, values, dimensions))
}

impl Teacher {
    /// `dimensions` values of each rotated vector are kept.
    pub fn open(folder: &Path, dimensions: usize) -> Result<Self, String> {
        let path = folder.join("pca.safetensors");
        let bytes = read(&path)?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let (_, mean) = floats(&path, &tensors, "mean")?;
        let (shape, rotation) = floats(&path, &tensors, "rotation")?;
        if shape != [mean.len(), mean.len()] || mean.len() < dimensions {
            return Err(format!(
                "{}: expected a mean of at least {dimensions} values and a square rotation of it, found {} and {shape:?}",
                path.display(),
                mean.len()
            ));
        }
        let rotation = rotation
            .chunks(mean.len())
            .flat_map(|row| row[..dimensions].iter().copied())
            .collect();
        Ok(Self {
            folder: folder.to_owned(),
            mean,
            rotation,
            dimensions,
        })
    }

    /// All texts of the folder, at most `limit`.
    pub fn lessons(&self, reading: &Reading, limit: usize) -> Result<Lessons, String> {
        let (texts, targets) = self.shards("texts-", limit)?;
        Ok(Lessons {
            targets: Vectors::of(&texts, targets, self.dimensions),
            texts: TextSet::of(&texts, reading),
        })
    }

    /// The vectors of single words.
    pub fn words(&self) -> Result<HashMap<String, Vec<f32>>, String> {
        let (words, vectors) = self.shards("words-", usize::MAX)?;
        let vectors = vectors.chunks(self.dimensions).map(<[f32]>::to_vec);
        Ok(words.into_iter().zip(vectors).collect())
    }

    /// Start values: a row is the mean, by counts, of the weighted vectors of the words that use it.
    pub fn start_values(&self, reading: &Reading, rows: &mut [f32]) -> Result<(), String> {
        let (words, vectors) = self.shards("words-", usize::MAX)?;
        let path = self.folder.with_file_name("word-counts.txt");
        let counts = String::from_utf8_lossy(&read(&path)?)
            .lines()
            .map(|line| {
                line.parse()
                    .map_err(|_| format!("{}: expected a number, found {line:?}", path.display()))
            })
            .collect::<Result<Vec<f64>, String>>()?;
        if counts.len() < words.len() {
            return Err(format!(
                "{}: expected {} counts, found {}",
                path.display(),
                words.len(),
                counts.len()
            ));
        }
        let total: f64 = counts.iter().sum();
        let dimensions = self.dimensions;
        let mut sums = vec![0.0f64; rows.len()];
        let mut weights = vec![0.0f64; rows.len() / dimensions];
        let tokens = TextSet::of(&words, reading);
        for (word, (vector, count)) in vectors.chunks(dimensions).zip(&counts).enumerate() {
            let weight = WORD_FREQUENCY_PRIOR / (WORD_FREQUENCY_PRIOR + count / total);
            for &row in tokens.rows(word) {
                let row = row as usize;
                weights[row] += count;
                for (sum, value) in sums[row * dimensions..(row + 1) * dimensions]
                    .iter_mut()
                    .zip(vector)
                {
                    *sum += count * weight * f64::from(*value);
                }
            }
        }
        for ((row, sum), weight) in rows
            .chunks_mut(dimensions)
            .zip(sums.chunks(dimensions))
            .zip(&weights)
        {
            if *weight > 0.0 {
                row.iter_mut()
                    .zip(sum)
                    .for_each(|(value, sum)| *value = (sum / weight) as f32);
            } else {
                row.iter_mut().for_each(|value| *value *= 0.1);
            }
        }
        Ok(())
    }

    fn shards(&self, prefix: &str, limit: usize) -> Result<(Vec<String>, Vec<f32>), String> {
        let mut vectors = Vec::new();
        let texts = for_each_shard(&self.folder, prefix, limit, |path, shape, raw| {
            if shape[1] != self.mean.len() {
                return Err(format!(
                    "{}: expected vectors of {} values, found {}",
                    path.display(),
                    self.mean.len(),
                    shape[1]
                ));
            }
            vectors.extend(self.rotated(raw));
            Ok(())
        })?;
        vectors.truncate(limit.saturating_mul(self.dimensions));
        Ok((texts, vectors))
    }

    /// Centred, rotated, cut to `dimensions` and of length 1.
    fn rotated(&self, mut raw: Vec<f32>) -> Vec<f32> {
        let width = self.mean.len();
        raw.par_chunks_mut(width).for_each(|vector| {
            vector
                .iter_mut()
                .zip(&self.mean)
                .for_each(|(value, mean)| *value -= mean);
        });
        let mut vectors = vec![0.0; raw.len() / width * self.dimensions];
        product(
            View::new(&raw, raw.len() / width, width),
            View::new(&self.rotation, width, self.dimensions),
            &mut vectors,
        );
        vectors
            .par_chunks_mut(self.dimensions)
            .for_each(embedder_wasm::kernels::norm::normalize);
        vectors
    }
}

/// Calls `vectors` with the path, the shape [texts, values] and the values of each shard in the order of their names, until there are
/// `limit` texts, and returns these.
fn for_each_shard(
    folder: &Path,
    prefix: &str,
    limit: usize,
    mut vectors: impl FnMut(&Path, [usize; 2], Vec<f32>) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    let shown = folder.display();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|error| format!("{shown}: cannot be read: {error}"))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with(prefix) && name.ends_with(".safetensors")
        })
        .collect();
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        if texts.len() >= limit {
            break;
        }
        let lines = String::from_utf8_lossy(&read(&path.with_extension("txt"))?).into_owned();
        let lines: Vec<&str> = lines.lines().collect();
        let bytes = read(&path)?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let (shape, raw) = floats(&path, &tensors, "vectors")?;
        let [rows, width] = shape[..] else {
            return Err(format!(
                "{}: expected vectors [texts, values], found {shape:?}",
                path.display()
            ));
        };
        if rows != lines.len() {
            return Err(format!(
                "{}: expected {} vectors, one for each line, found {rows}",
                path.display(),
                lines.len()
            ));
        }
        vectors(&path, [rows, width], raw)?;
        texts.extend(lines.into_iter().map(str::to_owned));
    }
    if texts.is_empty() {
        return Err(format!(
            "{shown}: expected files {prefix}NNN.safetensors, found none"
        ));
    }
    texts.truncate(limit);
    Ok(texts)
}

fn floats(
    path: &Path,
    tensors: &SafeTensors,
    name: &str,
) -> Result<(Vec<usize>, Vec<f32>), String> {
    let tensor = tensors
        .tensor(name)
        .map_err(|error| format!("{}: tensor {name}: {error}", path.display()))?;
    let values = match tensor.dtype() {
        Dtype::F32 => tensor
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect(),
        Dtype::F16 => {
            let halves: Vec<f16> = tensor
                .data()
                .as_chunks::<2>()
                .0
                .iter()
                .map(|value| f16::from_le_bytes(*value))
                .collect();
            let mut values = vec![0.0; halves.len()];
            halves.convert_to_f32_slice(&mut values);
            values
        }
        other => {
            return Err(format!(
                "{}: tensor {name}: expected F32 or F16, found {other:?}",
                path.display()
            ));
        }
    };
    Ok((tensor.shape().to_vec(), values))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    fn write_shard(folder: &Path, name: &str, texts: &[&str], width: usize) {
        let values: Vec<u8> = (0..texts.len() * width)
            .flat_map(|value| (value as f32 + 1.0).to_le_bytes())
            .collect();
        let view = TensorView::new(Dtype::F32, vec![texts.len(), width], &values).unwrap();
        let bytes = safetensors::serialize([("vectors", view)], None).unwrap();
        fs::write(folder.join(format!("{name}.safetensors")), bytes).unwrap();
        fs::write(folder.join(format!("{name}.txt")), texts.join("\n")).unwrap();
    }

    #[test]
    fn similarities_have_a_vector_of_length_1_for_each_text_of_all_shards() {
        let folder =
            std::env::temp_dir().join(format!("train-similarities-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write_shard(&folder, "texts-000", &["one", "two"], 2);
        write_shard(&folder, "texts-001", &["three"], 2);
        let found = similarities(&folder).unwrap();
        let row = found.row(found.places[&text_key("two")] as usize);
        assert!(
            (row[0] - 0.6).abs() < 1e-6 && (row[1] - 0.8).abs() < 1e-6,
            "{row:?}"
        );
        assert!(found.have_all(&["one", "three"].map(text_key)));
        assert!(!found.have_all(&["one", "four"].map(text_key)));

        write_shard(&folder, "texts-002", &["four"], 3);
        let message = similarities(&folder).err().unwrap();
        assert!(
            message.ends_with("texts-002.safetensors: expected vectors of 2 values, as in the files before, found 3"),
            "{message}"
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
