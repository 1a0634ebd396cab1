//! The thread pool that steps run in.

/// Runs a step inside the thread pool, so that its many short parallel sections do not each hand over to it.
pub fn in_pool<R: Send>(step: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| step())
}
