//! SIGINT and SIGTERM as a question that long work asks between steps; a second SIGINT ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Kind, Result};

/// Asked between steps.
#[derive(Clone)]
pub struct Signals {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> Result<Self> {
        let failed = |e| Error::io("install signal handlers for", "this process", e);
        let signals = Self { interrupted: Arc::default(), terminated: Arc::default() };
        // Registered first, so that it acts on the second signal only: the flag is still unset at the first.
        let twice = signals.interrupted.clone();
        signal_hook::flag::register_conditional_shutdown(SIGINT, 130, twice).map_err(failed)?;
        signal_hook::flag::register(SIGINT, signals.interrupted.clone()).map_err(failed)?;
        signal_hook::flag::register(SIGTERM, signals.terminated.clone()).map_err(failed)?;
        Ok(signals)
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// A signal came: [`Kind::Interrupted`] or, for SIGTERM, [`Kind::Incomplete`].
    pub fn check(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "finish: interrupted"));
        }
        if self.terminated.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Incomplete, "finish: terminated"));
        }
        Ok(())
    }
}
