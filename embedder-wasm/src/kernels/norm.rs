//! Lengths of vectors.

/// Divides by the L2 norm, if that is greater than 0. The sum of squares runs in order, as in the
/// native code, so that the last bits agree.
pub fn normalize(vector: &mut [f32]) {
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if norm > 0.0 {
        for value in vector {
            *value /= norm;
        }
    }
}

/// The L2 norm of a vector whose last bits need not agree with the native code's: eight sums run side by
/// side, since one alone would wait for each of its additions.
pub fn norm_in_lanes(vector: &[f32]) -> f32 {
    let (chunks, rest) = vector.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value * value;
        }
    }
    let rest: f32 = rest.iter().map(|value| value * value).sum();
    (sums.iter().sum::<f32>() + rest).sqrt()
}

/// 0 for 0: what has no length stays as it is.
pub fn inverse(norm: f32) -> f32 {
    if norm > 0.0 { 1.0 / norm } else { 0.0 }
}

/// Multiplies each value.
pub fn scale(vector: &mut [f32], factor: f32) {
    for value in vector {
        *value *= factor;
    }
}
