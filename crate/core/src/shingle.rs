//! Texts as sets of hashed shingles.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use xxhash_rust::xxh3::xxh3_64;

use crate::error::Invalid;

/// Distinct shingle hashes in ascending order.
pub type ShingleSet = Box<[u64]>;

#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Word,
    Char,
}

impl Unit {
    pub fn parse(name: &str) -> Result<Self, Invalid> {
        match name {
            "word" => Ok(Self::Word),
            "char" => Ok(Self::Char),
            _ => Err(Invalid(format!(
                "unit must be 'word' or 'char', not '{name}'"
            ))),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Char => "char",
        }
    }
}

/// How texts are cut: into runs of `size` consecutive units.
#[derive(Clone, Copy, Debug)]
pub struct Shingling {
    pub size: usize,
    pub unit: Unit,
}

impl Shingling {
    pub fn new(size: i64, unit: &str) -> Result<Self, Invalid> {
        let unit = Unit::parse(unit)?;
        match usize::try_from(size) {
            Ok(size) if size > 0 => Ok(Self { size, unit }),
            _ => Err(Invalid(format!("shingle must be at least 1, not {size}"))),
        }
    }

    /// The shingles of `text`; a text shorter than one shingle is its own, a blank one has none.
    pub fn shingles(&self, text: &str) -> ShingleSet {
        let (clean, units) = self.cut(&fold(text));
        if units.is_empty() {
            return ShingleSet::default();
        }
        let mut hashes: Vec<u64> = units
            .windows(self.size.min(units.len()))
            .map(|run| &clean[run[0].start..run[run.len() - 1].end])
            .map(|shingle| xxh3_64(shingle.as_bytes()))
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.into_boxed_slice()
    }

    /// The part of `folded` that counts, and where each of its units lies.
    fn cut(&self, folded: &str) -> (String, Vec<Range<usize>>) {
        match self.unit {
            Unit::Word => {
                let mut clean = String::with_capacity(folded.len());
                let mut units = Vec::new();
                for word in folded.unicode_words() {
                    if !clean.is_empty() {
                        clean.push(' ');
                    }
                    let start = clean.len();
                    clean.push_str(word);
                    units.push(start..clean.len());
                }
                (clean, units)
            }
            Unit::Char => {
                let clean = folded.split_whitespace().collect::<Vec<_>>().join(" ");
                let units = clean
                    .char_indices()
                    .map(|(start, char)| start..start + char.len_utf8())
                    .collect();
                (clean, units)
            }
        }
    }
}

/// Makes texts that differ only in case or in the encoding of their characters the same.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        text.nfkc().collect::<String>().to_lowercase()
    }
}

/// |a ∩ b| / |a ∪ b|; 0 if either is empty, as a blank text is like no other.
pub fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let (mut i, mut j, mut shared) = (0, 0, 0);
    while let (Some(left), Some(right)) = (a.get(i), b.get(j)) {
        shared += usize::from(left == right);
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    shared as f64 / (a.len() + b.len() - shared) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(size: i64, unit: &str, text: &str) -> ShingleSet {
        Shingling::new(size, unit).unwrap().shingles(text)
    }

    #[test]
    fn shingles_are_runs_of_units() {
        assert_eq!(cut(2, "word", "a b c d").len(), 3);
        assert_eq!(cut(2, "char", "abcd").len(), 3);
        assert_eq!(cut(2, "char", "aaaa").len(), 1, "a set, not a bag");
    }

    #[test]
    fn a_short_text_is_one_shingle_and_a_blank_one_none() {
        assert_eq!(cut(9, "word", "two words").len(), 1);
        assert!(cut(1, "word", " \t…!").is_empty());
        assert!(cut(1, "char", " \n ").is_empty());
    }

    #[test]
    fn words_do_not_run_together() {
        assert_ne!(cut(2, "word", "ab c"), cut(2, "word", "a bc"));
    }

    #[test]
    fn ascii_folds_as_any_other_text_does() {
        let ascii = "Straße 12".replace('ß', "ss");
        let folded: String = ascii.nfkc().collect::<String>().to_lowercase();
        assert_eq!(fold(&ascii), folded);
    }

    #[test]
    fn jaccard_is_shared_over_all() {
        assert_eq!(jaccard(&[1, 2, 3], &[2, 3, 4]), 0.5);
        assert_eq!(jaccard(&[1, 2], &[3, 4]), 0.0);
        assert_eq!(jaccard(&[7], &[7]), 1.0);
        assert_eq!(jaccard(&[], &[]), 0.0);
    }
}
