//! The threads that the work is spread over.

use std::process;
use std::sync::Mutex;

pub use rayon::ThreadPool;
use rayon::{ThreadPoolBuildError, ThreadPoolBuilder};

/// This process's pool: one thread for each core, or as many as `RAYON_NUM_THREADS` says.
///
/// Rayon's own global pool would hang a forked child, which inherits the pool but not its threads.
pub fn get() -> Result<&'static ThreadPool, ThreadPoolBuildError> {
    static POOL: Mutex<Option<(u32, &'static ThreadPool)>> = Mutex::new(None);

    let mut current = POOL.lock().expect("nothing panics under this lock");
    match *current {
        Some((owner, pool)) if owner == process::id() => Ok(pool),
        _ => {
            let name = |thread| format!("neardup-{thread}");
            let pool = ThreadPoolBuilder::new().thread_name(name).build()?;
            let pool: &'static ThreadPool = Box::leak(Box::new(pool));
            *current = Some((process::id(), pool));
            Ok(pool)
        }
    }
}
