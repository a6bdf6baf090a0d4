//! Stands for PyO3's crate, by which maturin knows an extension module; `sabotaged` needs no more.
