//! SIGINT, SIGTERM and `--max-wall` as a question that long work asks between steps; a second SIGINT ends the process at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Span, SpanRelativeTo};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Kind, Result};

/// When the process started, as far as this module knows.
static STARTED: OnceLock<Instant> = OnceLock::new();

/// Notes that the process starts now: what `--max-wall` counts from. From here on a limit on file sizes is an error of the write, not
/// the end of the process.
pub fn note_start() {
    STARTED.get_or_init(Instant::now);
    // Where the system refuses, its signal ends the process as before.
    #[cfg(unix)]
    drop(signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()));
}

/// A time of more than 0, as people write it; days have 24 hours.
pub fn duration(text: &str) -> std::result::Result<Duration, String> {
    let text = text.trim();
    let days = || text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let parsed = text.parse::<SignedDuration>().or_else(|error| days().map_err(|_| error.to_string()))?;
    Duration::try_from(parsed).ok().filter(|time| !time.is_zero()).ok_or_else(|| "it is more than 0".into())
}

/// The flag that bounds the time of a command.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Long runs")]
pub struct WallArgs {
    /// Stop after the step in which this time is over, counted from the start of karat (30m, 1h 30m, 90s); exit code 3.
    #[arg(long, value_name = "DURATION", value_parser = MaxWall::parse)]
    pub max_wall: Option<MaxWall>,
}

/// A time that a command may take, and how it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaxWall {
    time: Duration,
    text: String,
}

impl MaxWall {
    /// Reads a duration as people write it.
    fn parse(text: &str) -> std::result::Result<Self, String> {
        duration(text).map(|time| Self { time, text: text.trim().to_owned() })
    }
}

/// Asked between steps.
#[derive(Clone)]
pub struct Signals {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
    unwanted: Arc<AtomicBool>,
    deadline: Option<Deadline>,
}

/// The moment at which the time is over.
#[derive(Clone)]
struct Deadline {
    at: Instant,
    text: Arc<str>,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen(wall: &WallArgs) -> Result<Self> {
        let failed = |e| Error::io("install signal handlers for", "this process", e);
        let started = *STARTED.get_or_init(Instant::now);
        // A time that no clock can hold is never over.
        let deadline = wall.max_wall.as_ref().and_then(|wall| {
            let at = started.checked_add(wall.time)?;
            Some(Deadline { at, text: wall.text.as_str().into() })
        });
        let (interrupted, terminated, unwanted) = Default::default();
        let signals = Self { interrupted, terminated, unwanted, deadline };
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
    /// A signal came: [`Kind::Interrupted`] or, for SIGTERM, [`Kind::Incomplete`]. The time is over: [`Kind::Incomplete`].
    pub fn check(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        if self.terminated.load(Ordering::Relaxed) {
            return Err(Error::new(Kind::Incomplete, "terminated"));
        }
        match &self.deadline {
            Some(deadline) if Instant::now() >= deadline.at => {
                Err(Error::new(Kind::Incomplete, format!("stopped: `--max-wall {}` is over", deadline.text)))
            }
            _ => Ok(()),
        }
    }

    /// Tells whoever waits for input that nobody wants it any more: the work has failed elsewhere, which is the error that is
    /// shown.
    pub fn want_no_more(&self) {
        self.unwanted.store(true, Ordering::Relaxed);
    }

    /// Whether to go on waiting for input.
    ///
    /// # Errors
    /// Those of [`Signals::check`]; nobody wants the input any more.
    pub fn check_waiting(&self) -> Result<()> {
        self.check()?;
        if self.unwanted.load(Ordering::Relaxed) {
            Err(Error::new(Kind::Incomplete, "stopped: the work has ended"))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent(deadline: Option<Deadline>) -> Signals {
        let (interrupted, terminated, unwanted) = Default::default();
        Signals { interrupted, terminated, unwanted, deadline }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let seconds = |text: &str| MaxWall::parse(text).map(|wall| wall.time.as_secs_f64());
        assert_eq!(seconds("30m"), Ok(1800.0));
        assert_eq!(seconds("1h 30m"), Ok(5400.0));
        assert_eq!(seconds(" 90s "), Ok(90.0));
        assert_eq!(seconds("1.5 hours"), Ok(5400.0));
        assert_eq!(seconds("PT5M"), Ok(300.0));
        assert_eq!((seconds("2d"), seconds("1w 1h")), (Ok(172_800.0), Ok(608_400.0)));
        for wrong in ["", "0s", "30", "-5m", "5m ago", "half an hour", "9999999999999999999h"] {
            assert!(MaxWall::parse(wrong).is_err(), "{wrong}");
        }
        // Whatever fits into the type is taken, also where no clock gets there.
        assert!(MaxWall::parse("2000000000000000h").is_ok());
    }

    #[test]
    fn the_time_is_over_at_its_end_and_signals_come_first() {
        assert!(silent(None).check().is_ok());
        let deadline = |at| Some(Deadline { at, text: "30m".into() });
        assert!(silent(deadline(Instant::now() + Duration::from_secs(3600))).check().is_ok());
        let over = silent(deadline(Instant::now()));
        let error = over.check().unwrap_err();
        assert_eq!((error.kind(), error.message()), (Kind::Incomplete, "stopped: `--max-wall 30m` is over"));
        over.terminated.store(true, Ordering::Relaxed);
        assert_eq!(over.check().unwrap_err().message(), "terminated");
        over.interrupted.store(true, Ordering::Relaxed);
        assert_eq!(over.check().unwrap_err().kind(), Kind::Interrupted);
    }

    #[test]
    fn unwanted_input_is_not_waited_for() {
        let signals = silent(None);
        assert!(signals.check_waiting().is_ok());
        signals.clone().want_no_more();
        assert!(signals.check().is_ok());
        assert!(signals.check_waiting().is_err());
    }
}
