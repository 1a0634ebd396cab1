//! The thread that brings a log to the disk, a moment after something was written to it.
//!
//! A sync costs milliseconds, an answer of a small model less: syncing each would be most of the work. Waiting a little
//! gathers what comes meanwhile. A sync that fails is kept by the [`Disk`].

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::disk::Disk;

/// From the first write that is not synced to the sync: with the sync's own time it stays below a second.
const DELAY: Duration = Duration::from_millis(500);

/// A running thread. Dropping it syncs what is left and ends it.
pub(super) struct Syncer {
    shared: Arc<Shared>,
    /// Absent once it is to end.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    disk: Arc<Disk>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Since when something is not synced.
    unsynced: Option<Instant>,
    ending: bool,
}

impl Syncer {
    /// Starts the thread; nothing where the system has none to give.
    pub(super) fn start(disk: Arc<Disk>) -> Option<Self> {
        let shared = Arc::new(Shared { disk, state: Mutex::default(), changed: Condvar::new() });
        let work = shared.clone();
        let thread = std::thread::Builder::new().name("sync".into()).spawn(move || work.run()).ok()?;
        Some(Self { shared, thread: Some(thread) })
    }

    /// Something was written.
    pub(super) fn written(&self) {
        let mut state = self.shared.state();
        if state.unsynced.is_none() {
            state.unsynced = Some(Instant::now());
            self.shared.changed.notify_all();
        }
    }

    /// All that was written is being synced by someone else.
    pub(super) fn forget(&self) {
        self.shared.state().unsynced = None;
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state().ending = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.state();
        loop {
            let Some(since) = state.unsynced else {
                if state.ending {
                    return;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = DELAY.saturating_sub(since.elapsed());
            if !state.ending && !left.is_zero() {
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            state.unsynced = None;
            drop(state);
            // The disk keeps a failure for the next call.
            let _ = self.disk.sync();
            state = self.state();
        }
    }
}
