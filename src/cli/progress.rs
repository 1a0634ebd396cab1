//! What a long command shows on standard error: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a plain line appears where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// A counter of cases with a rate of tokens.
pub struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    started: Instant,
    shown: Instant,
}

impl Progress {
    /// Starts counting `what` ("generate"); `total` where it is known.
    pub fn start(what: &str, total: Option<u64>, quiet: bool) -> Self {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let template = match total {
                Some(_) => "{prefix:>12} [{bar:32}] {pos}/{len} {msg} (ETA {eta})",
                None => "{prefix:>12} {spinner} {pos} {msg} ({elapsed})",
            };
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(what.to_owned());
            bar
        });
        let now = Instant::now();
        let shown = now;
        Self { bar, what: what.into(), started: now, shown }
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Shows how far it is.
    pub fn show(&mut self, done: u64, tokens: u64) {
        let rate = tokens as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(format!("{rate:.0} tokens/s"));
        } else if Instant::now().checked_duration_since(self.shown).is_some_and(|since| since >= PLAIN_EVERY) {
            self.shown = Instant::now();
            say!("{}: {done} done, {rate:.0} tokens/s", self.what);
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Most memory that this process has held, in MiB, where the system tells.
pub fn peak_mib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// `, peak memory N MiB`, or nothing where the system does not tell.
pub fn peak_note() -> String {
    peak_mib().map_or_else(String::new, |mib| format!(", peak memory {mib} MiB"))
}
