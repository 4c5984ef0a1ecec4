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
    /// texts x dimensions, of length 1.
    pub targets: Vec<f32>,
    /// The place of the text with each key (`text_key`).
    pub places: HashMap<u64, u32>,
}

impl Lessons {
    /// The targets of the texts with these keys, end to end; none where the teacher has not read them all.
    pub fn targets_of(&self, keys: &[u64], dimensions: usize) -> Option<Vec<f32>> {
        let mut targets = Vec::with_capacity(keys.len() * dimensions);
        for key in keys {
            let start = *self.places.get(key)? as usize * dimensions;
            targets.extend_from_slice(&self.targets[start..start + dimensions]);
        }
        Some(targets)
    }
}

pub struct Teacher {
    folder: PathBuf,
    mean: Vec<f32>,
    /// d x dimensions: the first columns of the rotation.
    rotation: Vec<f32>,
    dimensions: usize,
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
        let keys = texts.iter().map(|text| text_key(text));
        Ok(Lessons {
            places: keys.zip(0..).collect(),
            texts: TextSet::of(&texts, reading),
            targets,
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
        let shown = self.folder.display();
        let mut paths: Vec<PathBuf> = fs::read_dir(&self.folder)
            .map_err(|error| format!("{shown}: cannot be read: {error}"))?
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with(prefix) && name.ends_with(".safetensors")
            })
            .collect();
        paths.sort();
        let (mut texts, mut vectors) = (Vec::new(), Vec::new());
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
            if shape != [lines.len(), self.mean.len()] {
                return Err(format!(
                    "{}: expected vectors [{}, {}], one for each line, found {shape:?}",
                    path.display(),
                    lines.len(),
                    self.mean.len()
                ));
            }
            vectors.extend(self.rotated(raw));
            texts.extend(lines.into_iter().map(str::to_owned));
        }
        if texts.is_empty() {
            return Err(format!(
                "{shown}: expected files {prefix}NNN.safetensors, found none"
            ));
        }
        texts.truncate(limit);
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
