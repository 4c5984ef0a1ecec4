//! The shortest decimal that reads back to the same f32, and of these the nearest. What an embedding
//! is made of, numbers between 1/8192 and 1, takes one exact multiplication in 64 bits; any other
//! number goes to `zmij`, whose 128-bit products are slow in wasm.

/// What `write_decimal` needs of `output`, whatever it writes.
pub const MAX_DECIMAL_BYTES: usize = 32;

/// Writes a finite number and returns its length; may write beyond that, within `MAX_DECIMAL_BYTES`.
#[inline]
pub fn write_decimal(output: &mut [u8], value: f32) -> usize {
    let Some(output) = output.first_chunk_mut::<MAX_DECIMAL_BYTES>() else {
        unreachable!("the caller makes room for a number");
    };
    match nearest_shortest(value) {
        Some(decimal) => decimal.write(value.is_sign_negative(), output),
        None => write_with_zmij(output, value),
    }
}

#[cold]
fn write_with_zmij(output: &mut [u8; MAX_DECIMAL_BYTES], value: f32) -> usize {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    output[..text.len()].copy_from_slice(text);
    text.len()
}

/// `digits / 10^places`
struct Decimal {
    /// Below 2 * 10^8.
    digits: u32,
    /// 8 to 12; the last of them may be zeros.
    places: u32,
}

/// For numbers `significand * 2^exponent` of one exponent: how they become a whole number of units
/// of the last decimal place, which is the largest that is not larger than `2^exponent`, the
/// distance between two of them.
#[derive(Clone, Copy)]
struct Scale {
    /// `2^exponent * 10^places`, from 1 to 10, with `POINT` bits after the point: exact.
    step: u64,
    places: u32,
}

const POINT: u32 = 36;
/// The biased exponent of 2^-13: below it `step` would need more than `POINT` bits.
const FIRST_EXPONENT: u32 = 127 - 13;
/// One for each exponent from 2^-13 to 2^-1; the last ones fill up to a power of two.
const SCALES: [Scale; 16] = {
    let mut scales = [Scale { step: 0, places: 0 }; 16];
    let mut index = 0;
    while index < 13 {
        let mut places = 0;
        let mut units: u128 = 1 << POINT;
        let shift = 36 - index as u32;
        while units >> shift < 1 << POINT {
            units *= 10;
            places += 1;
        }
        assert!((units >> shift) << shift == units);
        scales[index] = Scale {
            step: (units >> shift) as u64,
            places,
        };
        index += 1;
    }
    scales
};

#[inline(always)]
fn nearest_shortest(value: f32) -> Option<Decimal> {
    let bits = value.to_bits();
    let index = ((bits >> 23) & 0xFF).wrapping_sub(FIRST_EXPONENT);
    let fraction = bits & 0x7F_FFFF;
    // Below a power of two numbers lie closer together than above it.
    if index >= 13 || fraction == 0 {
        return None;
    }
    let Scale { step, places } = SCALES[index as usize & 15];
    // In units of the last place. Below 2^24 * 10 * 2^36, so nothing is lost.
    let scaled = u64::from(fraction | (1 << 23)) * step;
    // Every decimal that is nearer than half a step reads back to the number; at exactly half a step
    // it does when the significand is even. One with a place less is shorter; there is at most one.
    let tens = (scaled >> POINT) as u32 / 10;
    let above = scaled - (u64::from(tens * 10) << POINT);
    let below = (10 << POINT) - above;
    let is_even = u64::from(!fraction & 1);
    let digits = if 2 * above.min(below) < step + is_even {
        (tens + u32::from(below < above)) * 10
    } else {
        // Half a step is half a unit or more: the nearest unit is near enough.
        let nearest = (scaled + (1 << (POINT - 1))) >> POINT;
        let is_tie = (scaled << (64 - POINT)) == 1 << 63;
        nearest as u32 - u32::from(is_tie & (nearest & 1 == 1))
    };
    Some(Decimal { digits, places })
}

impl Decimal {
    #[inline(always)]
    fn write(&self, is_negative: bool, output: &mut [u8; MAX_DECIMAL_BYTES]) -> usize {
        let start = usize::from(is_negative);
        let places = (self.places & 15) as usize;
        let first_digit = self.digits / 100_000_000;
        let digits = eight_digits(self.digits - first_digit * 100_000_000);
        // The last digit is the highest byte that is not 0.
        let trailing_zeros = digits.leading_zeros() as usize / 8;
        output[0] = b'-';
        output[start..start + 8].copy_from_slice(b"0.000000");
        // The ninth digit from the right, where there is one, then eight.
        let ninth = start + (places - 7);
        output[ninth & 15] = b'0' + first_digit as u8;
        output[(ninth & 15) + 1..(ninth & 15) + 9]
            .copy_from_slice(&(digits | 0x3030_3030_3030_3030).to_le_bytes());
        output[start + 1] = b'.';
        start + 2 + places - trailing_zeros
    }
}

/// The eight decimal digits of a number below 10^8, one in each byte, the first in the lowest: two
/// halves, four pairs and eight digits are each divided at once.
#[inline(always)]
fn eight_digits(number: u32) -> u64 {
    let halves = u64::from(number / 10_000) | (u64::from(number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let pairs = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000F_000F_000F_000F;
    tens | ((pairs - tens * 10) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: f32) -> String {
        let mut output = [0; MAX_DECIMAL_BYTES];
        let length = write_decimal(&mut output, value);
        String::from_utf8_lossy(&output[..length]).into_owned()
    }

    fn agrees_with_zmij(bits: impl Iterator<Item = u32>) {
        for value in bits.map(f32::from_bits).filter(|value| value.is_finite()) {
            let expected = zmij::Buffer::new().format_finite(value).to_owned();
            assert_eq!(written(value), expected, "{:#x}", value.to_bits());
        }
    }

    #[test]
    fn numbers_of_every_size_are_written_as_zmij_writes_them() {
        agrees_with_zmij((0..=u32::MAX).step_by(9973));
    }

    #[test]
    fn numbers_near_the_ends_of_the_fast_range_are_written_as_zmij_writes_them() {
        let ends = (0..=14).map(|power| 2_f32.powi(-power).to_bits());
        agrees_with_zmij(ends.flat_map(|end| end - 1000..end + 1000));
    }

    /// 20 seconds: `cargo test --release -- --ignored every_number`
    #[test]
    #[ignore = "takes 20 seconds"]
    fn every_number_of_the_fast_range_is_written_as_zmij_writes_it() {
        agrees_with_zmij((2_f32.powi(-13).to_bits()..1_f32.to_bits()).chain([0x8000_0000, 0]));
    }
}
