//! Memory that both sides of the boundary read and write.

/// A piece of memory that grows by what is needed and no more, since wasm memory never shrinks, and keeps what lies in
/// it. It begins at a multiple of 8, so that JavaScript may look at it as u32 or f32.
#[derive(Default)]
pub struct Area {
    words: Vec<u64>,
}

impl Area {
    /// Makes the area at least so many bytes long.
    pub fn make_room(&mut self, byte_length: usize) {
        let words = byte_length.div_ceil(size_of::<u64>());
        if self.words.len() < words {
            self.words.reserve_exact(words - self.words.len());
            self.words.resize(words, 0);
        }
    }

    /// How long it is by now.
    pub fn byte_length(&self) -> usize {
        self.words.len() * size_of::<u64>()
    }

    /// Where it begins, until it grows.
    pub fn address(&mut self) -> *mut u8 {
        self.words.as_mut_ptr().cast()
    }

    /// All of it, with what earlier calls have left.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the same memory, whose every byte is initialised, borrowed for as long; bytes need no alignment.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.byte_length()) }
    }

    /// All of it, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let byte_length = self.byte_length();
        // SAFETY: as in `bytes`; and any bytes make a u64.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), byte_length) }
    }

    /// All of it as f32, as the machine has them: little-endian in wasm.
    pub fn floats(&self) -> &[f32] {
        // SAFETY: as in `bytes`; any four bytes make an f32, whose alignment is not more than that of a u64.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), self.words.len() * 2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_an_area_stays_when_it_grows() {
        let mut area = Area::default();
        area.make_room(3);
        area.bytes_mut()[..3].copy_from_slice(b"abc");
        area.make_room(1_000_000);
        assert_eq!(&area.bytes()[..4], b"abc\0");
        assert_eq!(area.byte_length(), 1_000_000);
        area.make_room(5);
        assert_eq!(area.byte_length(), 1_000_000);
    }

    #[test]
    fn an_area_may_be_looked_at_as_floats() {
        let mut area = Area::default();
        area.make_room(8);
        area.bytes_mut()[4..8].copy_from_slice(&1.5_f32.to_ne_bytes());
        assert_eq!(area.floats(), [0.0, 1.5]);
    }
}
