//! Near-duplicate detection of texts.
//!
//! A text becomes the set of its hashed shingles (`shingle`), the set a MinHash signature
//! (`minhash`), the signature a few band keys (`lsh`); texts that share a key are candidates, and
//! their sets decide (`corpus`). Nothing here knows Python, so it is compiled once for all
//! interpreters.

pub mod corpus;
mod error;
mod lsh;
pub mod minhash;
pub mod pool;
pub mod shingle;

pub use error::Invalid;
