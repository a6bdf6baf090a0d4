//! Texts put side by side: which of them are alike.

use std::ops::Range;

use rayon::ThreadPool;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::error::Invalid;
use crate::lsh::Banding;
use crate::minhash::MinHash;
use crate::shingle::{ShingleSet, Shingling, jaccard};

/// What remains of a text: enough to find it and to compare it.
pub struct Sketch {
    shingles: ShingleSet,
    keys: Box<[u64]>,
}

/// Makes sketches that can be compared with one another.
pub struct Sketcher {
    pub shingling: Shingling,
    pub minhash: MinHash,
    pub threshold: f64,
    banding: Banding,
}

impl Sketcher {
    pub fn new(shingling: Shingling, minhash: MinHash, threshold: f64) -> Result<Self, Invalid> {
        let banding = Banding::new(threshold, minhash.num_hashes())?;
        Ok(Self {
            shingling,
            minhash,
            threshold,
            banding,
        })
    }

    /// The sketches of many texts, made on the threads of `pool`.
    pub fn sketch_all(&self, texts: &[&str], pool: &ThreadPool) -> Vec<Sketch> {
        pool.install(|| texts.par_iter().map(|text| self.sketch(text)).collect())
    }

    pub fn sketch(&self, text: &str) -> Sketch {
        let shingles = self.shingling.shingles(text);
        let keys = self.banding.keys(&self.minhash.signature(&shingles));
        Sketch { shingles, keys }
    }
}

/// Texts with one and the same shingle set.
struct Group {
    sketch: Sketch,
    /// Ascending, never empty.
    texts: Vec<usize>,
}

/// Sketches of texts, which are numbered from 0 as they come.
pub struct Corpus {
    threshold: f64,
    len: usize,
    /// By their first text; blank texts are in none.
    groups: Vec<Group>,
    /// The groups, ascending, that have a band key.
    buckets: FxHashMap<u64, Vec<usize>>,
}

impl Corpus {
    pub fn new(threshold: f64) -> Self {
        Self {
            threshold,
            len: 0,
            groups: Vec::new(),
            buckets: FxHashMap::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn num_groups(&self) -> usize {
        self.groups.len()
    }

    /// Adds a text and returns its number.
    pub fn add(&mut self, sketch: Sketch) -> usize {
        let text = self.len;
        self.len += 1;
        if sketch.shingles.is_empty() {
            return text;
        }
        if let Some(group) = self.group_of(&sketch) {
            self.groups[group].texts.push(text);
            return text;
        }
        for key in &sketch.keys {
            self.buckets
                .entry(*key)
                .or_default()
                .push(self.groups.len());
        }
        self.groups.push(Group {
            sketch,
            texts: vec![text],
        });
        text
    }

    /// Adds texts and returns their numbers.
    pub fn extend(&mut self, sketches: Vec<Sketch>) -> Range<usize> {
        let start = self.len;
        for sketch in sketches {
            self.add(sketch);
        }
        start..self.len
    }

    /// The texts at least as similar as the threshold, the most similar first.
    pub fn matches(&self, sketch: &Sketch) -> Vec<(usize, f64)> {
        let mut found: Vec<(usize, f64)> = self
            .similar_groups(sketch, 0)
            .into_iter()
            .flat_map(|(group, similarity)| {
                let texts = self.groups[group].texts.iter();
                texts.map(move |text| (*text, similarity))
            })
            .collect();
        found.sort_by(|(a, near), (b, far)| far.total_cmp(near).then(a.cmp(b)));
        found
    }

    /// The pairs of several groups, in their order, found on the threads of `pool`.
    pub fn pairs_of(&self, groups: &[usize], pool: &ThreadPool) -> Vec<(usize, usize, f64)> {
        let found: Vec<_> = pool.install(|| groups.par_iter().map(|g| self.pairs(*g)).collect());
        found.concat()
    }

    /// The pairs whose left side is the first text of `group`: its copies, and the first texts of
    /// the later groups that are similar.
    fn pairs(&self, group: usize) -> Vec<(usize, usize, f64)> {
        let Group { sketch, texts } = &self.groups[group];
        let copies = texts[1..].iter().map(|copy| (*copy, 1.0));
        let others = self
            .similar_groups(sketch, group + 1)
            .into_iter()
            .map(|(other, similarity)| (self.groups[other].texts[0], similarity));
        let mut pairs: Vec<_> = copies
            .chain(others)
            .map(|(right, similarity)| (texts[0], right, similarity))
            .collect();
        pairs.sort_unstable_by_key(|(_, right, _)| *right);
        pairs
    }

    fn group_of(&self, sketch: &Sketch) -> Option<usize> {
        let bucket = self.buckets.get(&sketch.keys[0])?;
        let same = |group: &&usize| self.groups[**group].sketch.shingles == sketch.shingles;
        bucket.iter().find(same).copied()
    }

    /// The groups from number `start` on that are similar to `sketch`, by verified similarity.
    fn similar_groups(&self, sketch: &Sketch, start: usize) -> Vec<(usize, f64)> {
        let mut candidates: Vec<usize> = sketch
            .keys
            .iter()
            .filter_map(|key| self.buckets.get(key))
            .flat_map(|bucket| &bucket[bucket.partition_point(|group| *group < start)..])
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        candidates
            .into_iter()
            .map(|group| {
                let shingles = &self.groups[group].sketch.shingles;
                (group, jaccard(shingles, &sketch.shingles))
            })
            .filter(|(_, similarity)| *similarity >= self.threshold)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(texts: &[&str]) -> (Sketcher, Corpus) {
        let shingling = Shingling::new(1, "word").unwrap();
        let sketcher = Sketcher::new(shingling, MinHash::new(64).unwrap(), 0.5).unwrap();
        let mut corpus = Corpus::new(0.5);
        for text in texts {
            corpus.add(sketcher.sketch(text));
        }
        (sketcher, corpus)
    }

    #[test]
    fn matches_come_most_similar_first() {
        let (sketcher, corpus) = corpus(&["a b c", "x y", "a b c d", "A, B, C!"]);
        let matches = corpus.matches(&sketcher.sketch("c b a"));
        assert_eq!(matches, [(0, 1.0), (3, 1.0), (2, 0.75)]);
    }

    #[test]
    fn copies_pair_with_the_first_of_them_only() {
        let (_, corpus) = corpus(&["a b c", "a b c d", "a b c", "a b c"]);
        assert_eq!(corpus.num_groups(), 2);
        assert_eq!(corpus.pairs(0), [(0, 1, 0.75), (0, 2, 1.0), (0, 3, 1.0)]);
        assert_eq!(corpus.pairs(1), []);
    }

    #[test]
    fn blank_texts_are_counted_and_match_nothing() {
        let (sketcher, corpus) = corpus(&["", "  "]);
        assert_eq!((corpus.len(), corpus.num_groups()), (2, 0));
        assert_eq!(corpus.matches(&sketcher.sketch("")), []);
    }
}
