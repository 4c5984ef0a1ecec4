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

            /// The same, as f32.
            #[inline(always)]
            pub fn round_to_f32(self) -> F32x4 {
                let rounder = F32x4::splat(super::ROUNDER);
                (self + rounder) - rounder
            }

            /// The sum of the lanes, in a fixed order.
            #[inline(always)]
            pub fn sum(self) -> f32 {
                let [a, b, c, d] = self.lanes();
                (a + b) + (c + d)
            }

            /// The largest of the lanes.
            #[inline(always)]
            pub fn largest(self) -> f32 {
                let [a, b, c, d] = self.lanes();
                a.max(b).max(c.max(d))
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
    use std::ops::{Add, Mul, Sub};

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
        pub fn div(self, other: Self) -> Self {
            Self(array::from_fn(|lane| self.0[lane] / other.0[lane]))
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
    }

    shared!();
}

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub mod simd {
    //! wasm's SIMD.

    use core::arch::wasm32::*;
    use std::ops::{Add, Mul, Sub};

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
        pub fn div(self, other: Self) -> Self {
            Self(f32x4_div(self.0, other.0))
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
    }

    shared!();
}

#[cfg(target_arch = "x86_64")]
pub mod sse {
    //! SSE2, which every x86-64 has: the commands that run natively are as fast as the Worker.

    use core::arch::x86_64::*;
    use std::ops::{Add, Mul, Sub};

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
        pub fn div(self, other: Self) -> Self {
            Self(unsafe { _mm_div_ps(self.0, other.0) })
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
    }

    shared!();
}
