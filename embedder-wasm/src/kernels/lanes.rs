//! Four lanes of f32 or i32, eight of i16: what the kernels are written in. `plain` is what every target can do,
//! `simd` the same in wasm's SIMD (without the relaxed one) and `sse` in what every x86-64 has; all three give the
//! same bits. A kernel adds up lane by lane, in one order, so that it gives the same bits everywhere too.

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub use simd::*;

#[cfg(target_arch = "x86_64")]
pub use sse::*;

#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
pub use plain::*;

/// 1.5 x 2^23: added to a number of magnitude up to 2^22, it leaves the nearest whole number (ties to even) in the
/// lowest bits of the sum.
const ROUNDER: f32 = 12_582_912.0;

/// What all three share: what is made of their operations.
macro_rules! shared {
    () => {
        impl F32x4 {
            /// The nearest whole numbers, ties to even, of numbers of magnitude up to 2^22.
            #[inline(always)]
            pub fn round(self) -> I32x4 {
                let rounder = F32x4::splat(super::ROUNDER);
                (self + rounder).bits() - rounder.bits()
            }

            /// The sum of the lanes, in a fixed order.
            #[inline(always)]
            pub fn sum(self) -> f32 {
                let [a, b, c, d] = self.lanes();
                (a + b) + (c + d)
            }

            #[inline(always)]
            pub fn load(values: &[f32; 4]) -> Self {
                // SAFETY: four values can be read.
                unsafe { Self::load_from(values.as_ptr()) }
            }

            #[inline(always)]
            pub fn store(self, values: &mut [f32; 4]) {
                // SAFETY: four values can be written.
                unsafe { self.store_to(values.as_mut_ptr()) }
            }
        }

        impl I16x8 {
            #[inline(always)]
            pub fn load(values: &[i16; 8]) -> Self {
                // SAFETY: eight values can be read.
                unsafe { Self::load_from(values.as_ptr()) }
            }

            #[inline(always)]
            pub fn store(self, values: &mut [i16; 8]) {
                // SAFETY: eight values can be written.
                unsafe { self.store_to(values.as_mut_ptr()) }
            }
        }
    };
}

pub mod plain {
    //! Arrays, lane by lane.

    use std::array;
    use std::ops::{Add, Div, Mul, Sub};

    #[derive(Clone, Copy, Debug)]
    pub struct F32x4([f32; 4]);
    #[derive(Clone, Copy, Debug)]
    pub struct I32x4([i32; 4]);
    #[derive(Clone, Copy, Debug)]
    pub struct I16x8([i16; 8]);

    impl F32x4 {
        #[inline(always)]
        pub fn splat(value: f32) -> Self {
            Self([value; 4])
        }

        /// # Safety
        /// Four values can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_from(values: *const f32) -> Self {
            // SAFETY: as above.
            Self(unsafe { values.cast::<[f32; 4]>().read_unaligned() })
        }

        /// # Safety
        /// Four values can be written at `values`.
        #[inline(always)]
        pub unsafe fn store_to(self, values: *mut f32) {
            // SAFETY: as above.
            unsafe { values.cast::<[f32; 4]>().write_unaligned(self.0) }
        }

        #[inline(always)]
        pub fn lanes(self) -> [f32; 4] {
            self.0
        }

        /// The largest of the lanes.
        #[inline(always)]
        pub fn largest(self) -> f32 {
            let [a, b, c, d] = self.0;
            let halves = Self([c, d, a, b]).max(self);
            halves.0[0].max(halves.0[1])
        }

        /// The other's lane where it is greater.
        #[inline(always)]
        pub fn max(self, other: Self) -> Self {
            Self(array::from_fn(|lane| {
                if self.0[lane] < other.0[lane] {
                    other.0[lane]
                } else {
                    self.0[lane]
                }
            }))
        }

        /// The other's lane where it is smaller.
        #[inline(always)]
        pub fn min(self, other: Self) -> Self {
            Self(array::from_fn(|lane| {
                if other.0[lane] < self.0[lane] {
                    other.0[lane]
                } else {
                    self.0[lane]
                }
            }))
        }

        #[inline(always)]
        pub fn abs(self) -> Self {
            Self(self.0.map(f32::abs))
        }

        #[inline(always)]
        pub fn bits(self) -> I32x4 {
            I32x4(self.0.map(|value| value.to_bits() as i32))
        }
    }

    impl Add for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(array::from_fn(|lane| self.0[lane] + other.0[lane]))
        }
    }

    impl Sub for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(array::from_fn(|lane| self.0[lane] - other.0[lane]))
        }
    }

    impl Div for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(array::from_fn(|lane| self.0[lane] / other.0[lane]))
        }
    }

    impl Mul for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(array::from_fn(|lane| self.0[lane] * other.0[lane]))
        }
    }

    impl I32x4 {
        #[inline(always)]
        pub fn splat(value: i32) -> Self {
            Self([value; 4])
        }

        #[inline(always)]
        pub fn lanes(self) -> [i32; 4] {
            self.0
        }

        #[inline(always)]
        pub fn shift_left<const BITS: u32>(self) -> Self {
            Self(self.0.map(|value| value << BITS))
        }

        #[inline(always)]
        pub fn to_f32(self) -> F32x4 {
            F32x4(self.0.map(|value| value as f32))
        }

        #[inline(always)]
        pub fn as_f32_bits(self) -> F32x4 {
            F32x4(self.0.map(|value| f32::from_bits(value as u32)))
        }
    }

    impl Add for I32x4 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(array::from_fn(|lane| {
                self.0[lane].wrapping_add(other.0[lane])
            }))
        }
    }

    impl Sub for I32x4 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(array::from_fn(|lane| {
                self.0[lane].wrapping_sub(other.0[lane])
            }))
        }
    }

    impl I16x8 {
        /// # Safety
        /// 16 bytes can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_from<T>(values: *const T) -> Self {
            // SAFETY: as above.
            Self(unsafe { values.cast::<[i16; 8]>().read_unaligned() })
        }

        /// Two values, four times.
        ///
        /// # Safety
        /// Two values can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_pair(values: *const i16) -> Self {
            // SAFETY: as above.
            let [a, b] = unsafe { values.cast::<[i16; 2]>().read_unaligned() };
            Self([a, b, a, b, a, b, a, b])
        }

        /// # Safety
        /// Eight values can be written at `values`.
        #[inline(always)]
        pub unsafe fn store_to(self, values: *mut i16) {
            // SAFETY: as above.
            unsafe { values.cast::<[i16; 8]>().write_unaligned(self.0) }
        }

        #[inline(always)]
        pub fn high_bytes(self) -> Self {
            Self(self.0.map(|value| value >> 8))
        }

        /// The sums of the products of neighbours.
        #[inline(always)]
        pub fn dot(self, other: Self) -> I32x4 {
            I32x4(array::from_fn(|lane| {
                let product = |index: usize| i32::from(self.0[index]) * i32::from(other.0[index]);
                product(2 * lane).wrapping_add(product(2 * lane + 1))
            }))
        }

        /// Eight i32, those that do not fit moved to the nearest that do.
        #[inline(always)]
        pub fn narrow(low: I32x4, high: I32x4) -> Self {
            Self(array::from_fn(|lane| {
                let value = if lane < 4 {
                    low.0[lane]
                } else {
                    high.0[lane - 4]
                };
                value.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
            }))
        }

        /// The first four lanes of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_low(self, other: Self) -> Self {
            Self(array::from_fn(|lane| [self.0, other.0][lane % 2][lane / 2]))
        }

        /// The last four lanes of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_high(self, other: Self) -> Self {
            Self(array::from_fn(|lane| {
                [self.0, other.0][lane % 2][4 + lane / 2]
            }))
        }

        /// The first two pairs of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_pairs_low(self, other: Self) -> Self {
            let ([a, b, c, d, ..], [e, f, g, h, ..]) = (self.0, other.0);
            Self([a, b, e, f, c, d, g, h])
        }

        /// The last two pairs of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_pairs_high(self, other: Self) -> Self {
            let ([.., a, b, c, d], [.., e, f, g, h]) = (self.0, other.0);
            Self([a, b, e, f, c, d, g, h])
        }

        /// Writes the first four lanes and the last four to two places.
        #[inline(always)]
        pub fn store_halves(self, low: &mut [i16; 4], high: &mut [i16; 4]) {
            let [a, b, c, d, e, f, g, h] = self.0;
            *low = [a, b, c, d];
            *high = [e, f, g, h];
        }

        /// Writes the four pairs, `distance` values from one to the next.
        ///
        /// # Safety
        /// Two values can be written at each place.
        #[inline(always)]
        pub unsafe fn store_pairs_to(self, values: *mut i16, distance: usize) {
            for (index, pair) in self.0.as_chunks::<2>().0.iter().enumerate() {
                // SAFETY: as above.
                unsafe {
                    values
                        .add(index * distance)
                        .cast::<[i16; 2]>()
                        .write_unaligned(*pair)
                }
            }
        }
    }

    shared!();
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod simd {
    //! wasm's SIMD.

    use core::arch::wasm32::*;
    use std::ops::{Add, Div, Mul, Sub};

    #[derive(Clone, Copy, Debug)]
    pub struct F32x4(v128);
    #[derive(Clone, Copy, Debug)]
    pub struct I32x4(v128);
    #[derive(Clone, Copy, Debug)]
    pub struct I16x8(v128);

    impl F32x4 {
        #[inline(always)]
        pub fn splat(value: f32) -> Self {
            Self(f32x4_splat(value))
        }

        /// # Safety
        /// Four values can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_from(values: *const f32) -> Self {
            // SAFETY: as above; a wasm load may be unaligned.
            Self(unsafe { v128_load(values.cast()) })
        }

        /// # Safety
        /// Four values can be written at `values`.
        #[inline(always)]
        pub unsafe fn store_to(self, values: *mut f32) {
            // SAFETY: as above; a wasm store may be unaligned.
            unsafe { v128_store(values.cast(), self.0) }
        }

        #[inline(always)]
        pub fn lanes(self) -> [f32; 4] {
            [
                f32x4_extract_lane::<0>(self.0),
                f32x4_extract_lane::<1>(self.0),
                f32x4_extract_lane::<2>(self.0),
                f32x4_extract_lane::<3>(self.0),
            ]
        }

        /// The largest of the lanes.
        #[inline(always)]
        pub fn largest(self) -> f32 {
            let halves = self.max(Self(i32x4_shuffle::<2, 3, 0, 1>(self.0, self.0)));
            let all = halves.max(Self(i32x4_shuffle::<1, 0, 3, 2>(halves.0, halves.0)));
            f32x4_extract_lane::<0>(all.0)
        }

        /// The other's lane where it is greater.
        #[inline(always)]
        pub fn max(self, other: Self) -> Self {
            Self(f32x4_pmax(self.0, other.0))
        }

        /// The other's lane where it is smaller.
        #[inline(always)]
        pub fn min(self, other: Self) -> Self {
            Self(f32x4_pmin(self.0, other.0))
        }

        #[inline(always)]
        pub fn abs(self) -> Self {
            Self(f32x4_abs(self.0))
        }

        #[inline(always)]
        pub fn bits(self) -> I32x4 {
            I32x4(self.0)
        }
    }

    impl Add for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(f32x4_add(self.0, other.0))
        }
    }

    impl Sub for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(f32x4_sub(self.0, other.0))
        }
    }

    impl Div for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(f32x4_div(self.0, other.0))
        }
    }

    impl Mul for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(f32x4_mul(self.0, other.0))
        }
    }

    impl I32x4 {
        #[inline(always)]
        pub fn splat(value: i32) -> Self {
            Self(i32x4_splat(value))
        }

        #[inline(always)]
        pub fn lanes(self) -> [i32; 4] {
            [
                i32x4_extract_lane::<0>(self.0),
                i32x4_extract_lane::<1>(self.0),
                i32x4_extract_lane::<2>(self.0),
                i32x4_extract_lane::<3>(self.0),
            ]
        }

        #[inline(always)]
        pub fn shift_left<const BITS: u32>(self) -> Self {
            Self(i32x4_shl(self.0, BITS))
        }

        #[inline(always)]
        pub fn to_f32(self) -> F32x4 {
            F32x4(f32x4_convert_i32x4(self.0))
        }

        #[inline(always)]
        pub fn as_f32_bits(self) -> F32x4 {
            F32x4(self.0)
        }
    }

    impl Add for I32x4 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(i32x4_add(self.0, other.0))
        }
    }

    impl Sub for I32x4 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(i32x4_sub(self.0, other.0))
        }
    }

    impl I16x8 {
        /// # Safety
        /// 16 bytes can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_from<T>(values: *const T) -> Self {
            // SAFETY: as above; a wasm load may be unaligned.
            Self(unsafe { v128_load(values.cast()) })
        }

        /// Two values, four times.
        ///
        /// # Safety
        /// Two values can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_pair(values: *const i16) -> Self {
            // SAFETY: as above; a wasm load may be unaligned.
            Self(unsafe { v128_load32_splat(values.cast()) })
        }

        /// # Safety
        /// Eight values can be written at `values`.
        #[inline(always)]
        pub unsafe fn store_to(self, values: *mut i16) {
            // SAFETY: as above; a wasm store may be unaligned.
            unsafe { v128_store(values.cast(), self.0) }
        }

        #[inline(always)]
        pub fn high_bytes(self) -> Self {
            Self(i16x8_shr(self.0, 8))
        }

        /// The sums of the products of neighbours.
        #[inline(always)]
        pub fn dot(self, other: Self) -> I32x4 {
            I32x4(i32x4_dot_i16x8(self.0, other.0))
        }

        /// Eight i32, those that do not fit moved to the nearest that do.
        #[inline(always)]
        pub fn narrow(low: I32x4, high: I32x4) -> Self {
            Self(i16x8_narrow_i32x4(low.0, high.0))
        }

        /// The first four lanes of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_low(self, other: Self) -> Self {
            Self(i16x8_shuffle::<0, 8, 1, 9, 2, 10, 3, 11>(self.0, other.0))
        }

        /// The last four lanes of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_high(self, other: Self) -> Self {
            Self(i16x8_shuffle::<4, 12, 5, 13, 6, 14, 7, 15>(self.0, other.0))
        }

        /// The first two pairs of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_pairs_low(self, other: Self) -> Self {
            Self(i32x4_shuffle::<0, 4, 1, 5>(self.0, other.0))
        }

        /// The last two pairs of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_pairs_high(self, other: Self) -> Self {
            Self(i32x4_shuffle::<2, 6, 3, 7>(self.0, other.0))
        }

        /// Writes the first four lanes and the last four to two places.
        #[inline(always)]
        pub fn store_halves(self, low: &mut [i16; 4], high: &mut [i16; 4]) {
            // SAFETY: four values can be written to each; a wasm store may be unaligned.
            unsafe {
                v128_store64_lane::<0>(self.0, low.as_mut_ptr().cast());
                v128_store64_lane::<1>(self.0, high.as_mut_ptr().cast());
            }
        }

        /// Writes the four pairs, `distance` values from one to the next.
        ///
        /// # Safety
        /// Two values can be written at each place.
        #[inline(always)]
        pub unsafe fn store_pairs_to(self, values: *mut i16, distance: usize) {
            // SAFETY: as above; a wasm store may be unaligned.
            unsafe {
                v128_store32_lane::<0>(self.0, values.cast());
                v128_store32_lane::<1>(self.0, values.add(distance).cast());
                v128_store32_lane::<2>(self.0, values.add(2 * distance).cast());
                v128_store32_lane::<3>(self.0, values.add(3 * distance).cast());
            }
        }
    }

    shared!();
}

#[cfg(target_arch = "x86_64")]
pub mod sse {
    //! SSE2, which every x86-64 has: the commands that run natively are as fast as the Worker.

    use core::arch::x86_64::*;
    use std::ops::{Add, Div, Mul, Sub};

    #[derive(Clone, Copy, Debug)]
    pub struct F32x4(__m128);
    #[derive(Clone, Copy, Debug)]
    pub struct I32x4(__m128i);
    #[derive(Clone, Copy, Debug)]
    pub struct I16x8(__m128i);

    // SAFETY of all intrinsics here: SSE2 belongs to x86-64, and what reads or writes memory says what it needs.

    impl F32x4 {
        #[inline(always)]
        pub fn splat(value: f32) -> Self {
            Self(unsafe { _mm_set1_ps(value) })
        }

        /// # Safety
        /// Four values can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_from(values: *const f32) -> Self {
            Self(unsafe { _mm_loadu_ps(values) })
        }

        /// # Safety
        /// Four values can be written at `values`.
        #[inline(always)]
        pub unsafe fn store_to(self, values: *mut f32) {
            unsafe { _mm_storeu_ps(values, self.0) }
        }

        #[inline(always)]
        pub fn lanes(self) -> [f32; 4] {
            let mut lanes = [0.0; 4];
            unsafe { _mm_storeu_ps(lanes.as_mut_ptr(), self.0) };
            lanes
        }

        /// The largest of the lanes.
        #[inline(always)]
        pub fn largest(self) -> f32 {
            unsafe {
                let halves = _mm_max_ps(self.0, _mm_movehl_ps(self.0, self.0));
                _mm_cvtss_f32(_mm_max_ss(halves, _mm_shuffle_ps::<1>(halves, halves)))
            }
        }

        /// The other's lane where it is greater.
        #[inline(always)]
        pub fn max(self, other: Self) -> Self {
            Self(unsafe { _mm_max_ps(other.0, self.0) })
        }

        /// The other's lane where it is smaller.
        #[inline(always)]
        pub fn min(self, other: Self) -> Self {
            Self(unsafe { _mm_min_ps(other.0, self.0) })
        }

        #[inline(always)]
        pub fn abs(self) -> Self {
            Self(unsafe { _mm_andnot_ps(_mm_set1_ps(-0.0), self.0) })
        }

        #[inline(always)]
        pub fn bits(self) -> I32x4 {
            I32x4(unsafe { _mm_castps_si128(self.0) })
        }
    }

    impl Add for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm_add_ps(self.0, other.0) })
        }
    }

    impl Sub for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(unsafe { _mm_sub_ps(self.0, other.0) })
        }
    }

    impl Div for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(unsafe { _mm_div_ps(self.0, other.0) })
        }
    }

    impl Mul for F32x4 {
        type Output = Self;
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(unsafe { _mm_mul_ps(self.0, other.0) })
        }
    }

    impl I32x4 {
        #[inline(always)]
        pub fn splat(value: i32) -> Self {
            Self(unsafe { _mm_set1_epi32(value) })
        }

        #[inline(always)]
        pub fn lanes(self) -> [i32; 4] {
            let mut lanes = [0; 4];
            unsafe { _mm_storeu_si128(lanes.as_mut_ptr().cast(), self.0) };
            lanes
        }

        #[inline(always)]
        pub fn shift_left<const BITS: u32>(self) -> Self {
            Self(unsafe { _mm_sll_epi32(self.0, _mm_cvtsi32_si128(BITS as i32)) })
        }

        #[inline(always)]
        pub fn to_f32(self) -> F32x4 {
            F32x4(unsafe { _mm_cvtepi32_ps(self.0) })
        }

        #[inline(always)]
        pub fn as_f32_bits(self) -> F32x4 {
            F32x4(unsafe { _mm_castsi128_ps(self.0) })
        }
    }

    impl Add for I32x4 {
        type Output = Self;
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(unsafe { _mm_add_epi32(self.0, other.0) })
        }
    }

    impl Sub for I32x4 {
        type Output = Self;
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(unsafe { _mm_sub_epi32(self.0, other.0) })
        }
    }

    impl I16x8 {
        /// # Safety
        /// 16 bytes can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_from<T>(values: *const T) -> Self {
            Self(unsafe { _mm_loadu_si128(values.cast()) })
        }

        /// Two values, four times.
        ///
        /// # Safety
        /// Two values can be read at `values`.
        #[inline(always)]
        pub unsafe fn load_pair(values: *const i16) -> Self {
            Self(unsafe { _mm_set1_epi32(values.cast::<i32>().read_unaligned()) })
        }

        /// # Safety
        /// Eight values can be written at `values`.
        #[inline(always)]
        pub unsafe fn store_to(self, values: *mut i16) {
            unsafe { _mm_storeu_si128(values.cast(), self.0) }
        }

        #[inline(always)]
        pub fn high_bytes(self) -> Self {
            Self(unsafe { _mm_srai_epi16::<8>(self.0) })
        }

        /// The sums of the products of neighbours.
        #[inline(always)]
        pub fn dot(self, other: Self) -> I32x4 {
            I32x4(unsafe { _mm_madd_epi16(self.0, other.0) })
        }

        /// Eight i32, those that do not fit moved to the nearest that do.
        #[inline(always)]
        pub fn narrow(low: I32x4, high: I32x4) -> Self {
            Self(unsafe { _mm_packs_epi32(low.0, high.0) })
        }

        /// The first four lanes of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_low(self, other: Self) -> Self {
            Self(unsafe { _mm_unpacklo_epi16(self.0, other.0) })
        }

        /// The last four lanes of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_high(self, other: Self) -> Self {
            Self(unsafe { _mm_unpackhi_epi16(self.0, other.0) })
        }

        /// The first two pairs of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_pairs_low(self, other: Self) -> Self {
            Self(unsafe { _mm_unpacklo_epi32(self.0, other.0) })
        }

        /// The last two pairs of both, one by one in turn.
        #[inline(always)]
        pub fn interleave_pairs_high(self, other: Self) -> Self {
            Self(unsafe { _mm_unpackhi_epi32(self.0, other.0) })
        }

        /// Writes the first four lanes and the last four to two places.
        #[inline(always)]
        pub fn store_halves(self, low: &mut [i16; 4], high: &mut [i16; 4]) {
            unsafe {
                _mm_storel_epi64(low.as_mut_ptr().cast(), self.0);
                _mm_storel_epi64(high.as_mut_ptr().cast(), _mm_unpackhi_epi64(self.0, self.0));
            }
        }

        /// Writes the four pairs, `distance` values from one to the next.
        ///
        /// # Safety
        /// Two values can be written at each place.
        #[inline(always)]
        pub unsafe fn store_pairs_to(self, values: *mut i16, distance: usize) {
            let mut pairs = [0_i32; 4];
            unsafe { _mm_storeu_si128(pairs.as_mut_ptr().cast(), self.0) };
            for (index, pair) in pairs.into_iter().enumerate() {
                unsafe {
                    values
                        .add(index * distance)
                        .cast::<i32>()
                        .write_unaligned(pair)
                }
            }
        }
    }

    shared!();
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::{plain, sse};

    /// Numbers of all magnitudes, and those at which rounding is decided.
    fn floats() -> Vec<[f32; 4]> {
        let mut random = crate::random::Random::new(1);
        let mut values = vec![
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            1e-40,
            -1e30,
            4_194_303.5,
        ];
        values.extend((0..2000).map(|_| {
            let exponent = random.next_u64() % 60;
            let value = (random.next_u64() % 2_000_001) as f32 - 1e6;
            value * 2f32.powi(exponent as i32 - 50)
        }));
        values.as_chunks().0.to_vec()
    }

    fn whole_numbers() -> Vec<[i16; 8]> {
        let mut random = crate::random::Random::new(2);
        let mut values = vec![[i16::MIN; 8], [i16::MAX; 8], [-1; 8], [0; 8]];
        values.extend((0..500).map(|_| std::array::from_fn(|_| random.next_u64() as i16)));
        values
    }

    fn bits(lanes: [f32; 4]) -> [u32; 4] {
        lanes.map(f32::to_bits)
    }

    /// Applies the same operation in both, to all neighbours among the inputs.
    macro_rules! same {
        ($inputs:expr, $vector:ident, $convert:expr, |$a:ident, $b:ident| $operation:expr) => {
            for pair in $inputs.windows(2) {
                let plain = {
                    let ($a, $b) = (
                        plain::$vector::load(&pair[0]),
                        plain::$vector::load(&pair[1]),
                    );
                    $convert($operation)
                };
                let sse = {
                    let ($a, $b) = (sse::$vector::load(&pair[0]), sse::$vector::load(&pair[1]));
                    $convert($operation)
                };
                assert_eq!(plain, sse, "{:?} {:?}", pair[0], pair[1]);
            }
        };
    }

    #[test]
    fn operations_on_f32_give_the_same_bits_in_plain_code_and_in_sse() {
        let floats = floats();
        same!(floats, F32x4, bits, |a, b| (a + b).lanes());
        same!(floats, F32x4, bits, |a, b| (a - b).lanes());
        same!(floats, F32x4, bits, |a, b| (a * b).lanes());
        same!(floats, F32x4, bits, |a, b| (a / b)
            .lanes()
            .map(|x| if x.is_nan() { 0.0 } else { x }));
        same!(floats, F32x4, bits, |a, b| a.max(b).lanes());
        same!(floats, F32x4, bits, |a, b| a.min(b).lanes());
        same!(floats, F32x4, bits, |a, b| (a.abs() + b).lanes());
        same!(floats, F32x4, f32::to_bits, |a, b| (a * b).sum());
        same!(floats, F32x4, f32::to_bits, |a, b| (a.abs() + b.abs())
            .largest());
        same!(floats, F32x4, |lanes: [i32; 4]| lanes, |a, b| (a.round()
            + b.bits())
        .lanes());
        same!(floats, F32x4, bits, |a, b| (a.bits() + b.bits())
            .to_f32()
            .lanes());
        same!(floats, F32x4, |lanes: [i32; 4]| lanes, |a, b| {
            (a.bits().shift_left::<7>() - b.bits()).lanes()
        });
    }

    #[test]
    fn operations_on_whole_numbers_give_the_same_in_plain_code_and_in_sse() {
        let numbers = whole_numbers();
        macro_rules! stored {
            ($vector:expr) => {{
                let mut values = [0; 8];
                $vector.store(&mut values);
                values
            }};
        }
        same!(numbers, I16x8, |x: [i32; 4]| x, |a, b| a.dot(b).lanes());
        same!(numbers, I16x8, |x: [i16; 8]| x, |a, b| {
            stored!(a.high_bytes().interleave_low(b))
        });
        same!(numbers, I16x8, |x: [i16; 8]| x, |a, b| stored!(
            a.interleave_high(b)
        ));
        same!(numbers, I16x8, |x: [i16; 8]| x, |a, b| stored!(
            a.interleave_pairs_low(b)
        ));
        same!(numbers, I16x8, |x: [i16; 8]| x, |a, b| stored!(
            a.interleave_pairs_high(b)
        ));
        same!(numbers, I16x8, |x: [[i16; 4]; 2]| x, |a, b| {
            let [mut low, mut high] = [[0; 4]; 2];
            a.interleave_low(b).store_halves(&mut low, &mut high);
            [low, high]
        });
        same!(numbers, I16x8, |x: [i16; 20]| x, |a, b| {
            let mut places = [0; 20];
            // SAFETY: the last pair is at 18.
            unsafe { a.interleave_high(b).store_pairs_to(places.as_mut_ptr(), 6) };
            places
        });
        for pair in numbers.windows(2) {
            let [low, high] = [pair[0], pair[1]].map(|half| {
                let wide: [f32; 4] = std::array::from_fn(|lane| f32::from(half[lane]) * 1.5);
                wide
            });
            let mut found = [[0; 8]; 2];
            let (a, b) = (plain::F32x4::load(&low), plain::F32x4::load(&high));
            plain::I16x8::narrow(a.round(), b.round()).store(&mut found[0]);
            let (a, b) = (sse::F32x4::load(&low), sse::F32x4::load(&high));
            sse::I16x8::narrow(a.round(), b.round()).store(&mut found[1]);
            assert_eq!(found[0], found[1]);
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_whole_number_and_of_two_to_the_even_one() {
        let rounded = plain::F32x4::load(&[0.5, 1.5, -2.5, 2046.5])
            .round()
            .lanes();
        assert_eq!(rounded, [0, 2, -2, 2046]);
        let rounded = plain::F32x4::load(&[-0.51, 0.49, 7.0, -3.5])
            .round()
            .lanes();
        assert_eq!(rounded, [-1, 0, 7, -4]);
    }
}
