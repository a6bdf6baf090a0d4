//! MinHash signatures: short vectors that agree in as many slots as their sets overlap.

use crate::error::Invalid;

const MAX_HASHES: i64 = 4096;
const SEED: u64 = 0x6e65_6172_6475_7021; // "neardup!"
/// What a slot holds when there was nothing to hash.
const EMPTY: u32 = u32::MAX;

/// A family of hash functions, the same on every machine.
pub struct MinHash {
    /// `x -> factor * x + offset` modulo 2^64, one for each slot; an odd factor makes it a permutation.
    permutations: Vec<(u64, u64)>,
}

impl MinHash {
    pub fn new(num_hashes: i64) -> Result<Self, Invalid> {
        if !(1..=MAX_HASHES).contains(&num_hashes) {
            return Err(Invalid(format!(
                "num_hashes must be from 1 to {MAX_HASHES}, not {num_hashes}"
            )));
        }
        let mut state = SEED;
        let permutations = (0..num_hashes)
            .map(|_| (split_mix(&mut state) | 1, split_mix(&mut state)))
            .collect();
        Ok(Self { permutations })
    }

    pub fn num_hashes(&self) -> usize {
        self.permutations.len()
    }

    /// The upper half of each permutation's smallest value over `shingles`.
    pub fn signature(&self, shingles: &[u64]) -> Vec<u32> {
        let smallest = |&(factor, offset): &(u64, u64)| {
            shingles
                .iter()
                .map(|shingle| factor.wrapping_mul(*shingle).wrapping_add(offset))
                .min()
                .map_or(EMPTY, |hash| (hash >> 32) as u32)
        };
        self.permutations.iter().map(smallest).collect()
    }
}

/// The share of slots in which two signatures agree: an unbiased estimate of Jaccard.
pub fn estimate(a: &[u32], b: &[u32]) -> Result<f64, Invalid> {
    if a.len() != b.len() || a.is_empty() {
        return Err(Invalid(format!(
            "signatures must have the same length, above 0, not {} and {}",
            a.len(),
            b.len()
        )));
    }
    let agreeing = a.iter().zip(b).filter(|(a, b)| a == b && **a != EMPTY);
    Ok(agreeing.count() as f64 / a.len() as f64)
}

/// SplitMix64, <https://prng.di.unimi.it/splitmix64.c>.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(count: usize, mut seed: u64) -> Vec<u64> {
        (0..count).map(|_| split_mix(&mut seed)).collect()
    }

    #[test]
    fn split_mix_gives_its_published_values() {
        assert_eq!(
            random(2, 1234567),
            [6457827717110365317, 3203168211198807973]
        );
    }

    #[test]
    fn estimates_lie_near_the_true_similarity() {
        let minhash = MinHash::new(1024).unwrap();
        let all = random(300, 1);
        for shared in [0, 50, 150, 270, 300] {
            // `shared` of 300 in both, the rest split between the two.
            let middle = shared + (300 - shared) / 2;
            let left = [&all[..shared], &all[shared..middle]].concat();
            let right = [&all[..shared], &all[middle..]].concat();
            let estimated =
                estimate(&minhash.signature(&left), &minhash.signature(&right)).unwrap();
            let truth = shared as f64 / 300.0;
            // Three standard errors at worst: sqrt(0.25 / 1024) = 0.016.
            assert!((estimated - truth).abs() < 0.05, "{estimated} for {truth}");
        }
    }

    #[test]
    fn blank_texts_agree_with_nothing() {
        let blank = MinHash::new(8).unwrap().signature(&[]);
        assert_eq!(estimate(&blank, &blank).unwrap(), 0.0);
    }
}
