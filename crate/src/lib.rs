//! Near-duplicate detection of texts.
//!
//! A text becomes the set of its hashed shingles (`shingle`), the set a MinHash signature
//! (`minhash`), the signature a few band keys (`lsh`); texts that share a key are candidates, and
//! their sets decide (`corpus`). Only `python` and `pool` know who is calling.

mod corpus;
mod error;
mod lsh;
mod minhash;
mod pool;
mod python;
mod shingle;
