//! Locality-sensitive hashing: signatures cut into bands, so that similar ones share a band.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::error::Invalid;

/// How often a pair at the threshold itself may share no band.
const MISS: f64 = 0.01;

/// `bands` runs of `rows` slots; a pair of similarity s shares one with chance 1 - (1 - s^rows)^bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Banding {
    bands: usize,
    rows: usize,
}

impl Banding {
    /// The banding with the fewest false candidates that misses at most 1 in 100 pairs at `threshold`.
    pub fn new(threshold: f64, num_hashes: usize) -> Result<Self, Invalid> {
        if !(threshold > 0.0 && threshold <= 1.0) {
            return Err(Invalid(format!(
                "threshold must be above 0 and at most 1, not {threshold}"
            )));
        }
        (1..=num_hashes)
            .rev()
            .map(|rows| Self {
                bands: num_hashes / rows,
                rows,
            })
            .find(|banding| banding.miss_chance(threshold) <= MISS)
            .ok_or_else(|| {
                Invalid(format!(
                    "threshold {threshold} is too low for num_hashes {num_hashes}: raise either"
                ))
            })
    }

    /// One key for each band of `signature`; equal keys mean equal slots in the same band.
    pub fn keys(&self, signature: &[u32]) -> Box<[u64]> {
        let key = |(band, slots): (usize, &[u32])| {
            let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
            xxh3_64_with_seed(&bytes, band as u64)
        };
        let bands = signature.chunks_exact(self.rows).take(self.bands);
        bands.enumerate().map(key).collect()
    }

    fn miss_chance(&self, similarity: f64) -> f64 {
        power(1.0 - power(similarity, self.rows), self.bands)
    }
}

/// By plain multiplication, because `f64::powi` may round differently from machine to machine.
fn power(base: f64, exponent: usize) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_banding_is_known() {
        let known = Banding { bands: 21, rows: 6 };
        assert_eq!(Banding::new(0.8, 128).unwrap(), known);
    }

    #[test]
    fn only_equal_signatures_meet_at_threshold_one() {
        let whole = Banding {
            bands: 1,
            rows: 128,
        };
        assert_eq!(Banding::new(1.0, 128).unwrap(), whole);
    }

    #[test]
    fn no_threshold_is_missed_more_often_than_promised() {
        for percent in 4..=100 {
            let threshold = f64::from(percent) / 100.0;
            let banding = Banding::new(threshold, 128).unwrap();
            assert!(
                banding.miss_chance(threshold) <= MISS,
                "{banding:?} at {threshold}"
            );
        }
    }

    #[test]
    fn a_threshold_out_of_reach_is_refused() {
        for threshold in [0.0, -0.5, 1.1, f64::NAN, 0.001] {
            assert!(Banding::new(threshold, 128).is_err(), "{threshold}");
        }
    }

    #[test]
    fn the_same_slots_in_another_band_are_another_key() {
        let keys = Banding { bands: 2, rows: 2 }.keys(&[1, 2, 1, 2]);
        assert_eq!(keys.len(), 2);
        assert_ne!(keys[0], keys[1]);
    }
}
