//! The extension module: arguments in, results out, and everything between without the GIL.

use std::sync::RwLock;
use std::time::{Duration, Instant};

use neardup_core::Invalid;
use neardup_core::corpus::{Corpus, Sketch, Sketcher};
use neardup_core::minhash::{self, MinHash};
use neardup_core::pool::{self, ThreadPool};
use neardup_core::shingle::{self, Shingling};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyRange, PyString};

/// The least time between two looks for Ctrl-C: each needs the GIL, which a busy Python thread is
/// slow to give up.
const PATIENCE: Duration = Duration::from_millis(100);
/// How many items are worked on between two looks at the clock.
const CHUNK: usize = 256;
const UNPOISONED: &str = "nothing panics under this lock";

// Nothing here relies on the GIL: shared state is immutable or behind a lock.
#[pymodule(gil_used = false)]
mod _neardup {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{Index, estimate, find_duplicates, signature, similarity};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

/// The Jaccard similarity of two texts' shingle sets, from 0 to 1.
#[pyfunction]
#[pyo3(signature = (left, right, *, shingle=3, unit="word"))]
fn similarity(py: Python<'_>, left: &str, right: &str, shingle: i64, unit: &str) -> PyResult<f64> {
    let shingling = Shingling::new(shingle, unit).map_err(invalid)?;
    Ok(py.detach(|| shingle::jaccard(&shingling.shingles(left), &shingling.shingles(right))))
}

/// The MinHash signature of a text: `num_hashes` integers below 2**32.
#[pyfunction]
#[pyo3(signature = (text, *, num_hashes=128, shingle=3, unit="word"))]
fn signature(
    py: Python<'_>,
    text: &str,
    num_hashes: i64,
    shingle: i64,
    unit: &str,
) -> PyResult<Vec<u32>> {
    let shingling = Shingling::new(shingle, unit).map_err(invalid)?;
    let minhash = MinHash::new(num_hashes).map_err(invalid)?;
    Ok(py.detach(|| minhash.signature(&shingling.shingles(text))))
}

/// The similarity of two texts, estimated from their signatures.
#[pyfunction]
fn estimate(left: Vec<u32>, right: Vec<u32>) -> PyResult<f64> {
    minhash::estimate(&left, &right).map_err(invalid)
}

/// The pairs of near-duplicates among texts, as (left, right, similarity) with left < right.
#[pyfunction]
#[pyo3(signature = (texts, *, threshold=0.8, num_hashes=128, shingle=3, unit="word"))]
fn find_duplicates(
    py: Python<'_>,
    texts: &Bound<'_, PyAny>,
    threshold: f64,
    num_hashes: i64,
    shingle: i64,
    unit: &str,
) -> PyResult<Vec<(usize, usize, f64)>> {
    let sketcher = sketcher(threshold, num_hashes, shingle, unit)?;
    let sketches = sketch_all(py, &sketcher, texts)?;
    let corpus = py.detach(|| {
        let mut corpus = Corpus::new(threshold);
        corpus.extend(sketches);
        corpus
    });
    let groups: Vec<usize> = (0..corpus.num_groups()).collect();
    in_chunks(py, &groups, |pool, chunk| corpus.pairs_of(chunk, pool))
}

/// Texts to look up near-duplicates in; safe to share between threads.
#[pyclass(frozen, module = "neardup")]
struct Index {
    sketcher: Sketcher,
    /// Locked only while detached: a thread that waits for it must not hold the GIL.
    corpus: RwLock<Corpus>,
}

#[pymethods]
impl Index {
    #[new]
    #[pyo3(signature = (*, threshold=0.8, num_hashes=128, shingle=3, unit="word"))]
    fn new(threshold: f64, num_hashes: i64, shingle: i64, unit: &str) -> PyResult<Self> {
        Ok(Self {
            sketcher: sketcher(threshold, num_hashes, shingle, unit)?,
            corpus: RwLock::new(Corpus::new(threshold)),
        })
    }

    /// Adds a text and returns its number.
    fn add(&self, py: Python<'_>, text: &str) -> usize {
        py.detach(|| {
            let sketch = self.sketcher.sketch(text);
            self.corpus.write().expect(UNPOISONED).add(sketch)
        })
    }

    /// Adds all of the texts, or none if there is an error, and returns their numbers.
    fn add_many<'py>(
        &self,
        py: Python<'py>,
        texts: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyRange>> {
        let sketches = sketch_all(py, &self.sketcher, texts)?;
        let added = py.detach(|| self.corpus.write().expect(UNPOISONED).extend(sketches));
        PyRange::new(py, added.start as isize, added.end as isize)
    }

    /// The texts similar to this one, as (number, similarity), the most similar first.
    fn query(&self, py: Python<'_>, text: &str) -> Vec<(usize, f64)> {
        py.detach(|| {
            let sketch = self.sketcher.sketch(text);
            self.corpus.read().expect(UNPOISONED).matches(&sketch)
        })
    }

    fn __len__(&self, py: Python<'_>) -> usize {
        py.detach(|| self.corpus.read().expect(UNPOISONED).len())
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let Shingling { size, unit } = self.sketcher.shingling;
        format!(
            "<Index of {} texts: threshold={}, num_hashes={}, shingle={size}, unit='{}'>",
            self.__len__(py),
            self.sketcher.threshold,
            self.sketcher.minhash.num_hashes(),
            unit.name(),
        )
    }
}

fn invalid(error: Invalid) -> PyErr {
    PyValueError::new_err(error.0)
}

fn sketcher(threshold: f64, num_hashes: i64, shingle: i64, unit: &str) -> PyResult<Sketcher> {
    let shingling = Shingling::new(shingle, unit).map_err(invalid)?;
    let minhash = MinHash::new(num_hashes).map_err(invalid)?;
    Sketcher::new(shingling, minhash, threshold).map_err(invalid)
}

fn sketch_all(
    py: Python<'_>,
    sketcher: &Sketcher,
    texts: &Bound<'_, PyAny>,
) -> PyResult<Vec<Sketch>> {
    let texts = read_texts(texts)?;
    in_chunks(py, &texts, |pool, chunk| {
        let chunk: Vec<&str> = chunk.iter().map(|text| &**text).collect();
        sketcher.sketch_all(&chunk, pool)
    })
}

/// The strings of an iterable, borrowed from Python without a copy.
fn read_texts(texts: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedStr>> {
    if texts.is_instance_of::<PyString>() {
        let message = "texts must be an iterable of str, not one str";
        return Err(PyTypeError::new_err(message));
    }
    let read = |(position, text): (usize, PyResult<Bound<'_, PyAny>>)| {
        let text = text?;
        let text = text.cast::<PyString>().map_err(|_| {
            let kind = text.get_type();
            PyTypeError::new_err(format!("texts[{position}] must be a str, not {kind}"))
        })?;
        text.clone().try_into()
    };
    texts.try_iter()?.enumerate().map(read).collect()
}

/// `work` on chunks of the items, on all cores and detached from Python but to look for Ctrl-C.
fn in_chunks<T: Sync, R: Send>(
    py: Python<'_>,
    items: &[T],
    work: impl Fn(&ThreadPool, &[T]) -> Vec<R> + Sync,
) -> PyResult<Vec<R>> {
    let pool = pool::get().map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
    let mut results = Vec::with_capacity(items.len());
    let mut chunks = items.chunks(CHUNK);
    while chunks.len() > 0 {
        py.check_signals()?;
        py.detach(|| {
            let started = Instant::now();
            for chunk in chunks.by_ref() {
                results.extend(work(pool, chunk));
                if started.elapsed() > PATIENCE {
                    break;
                }
            }
        });
    }
    Ok(results)
}
