//! The terminal that results go to: its width, whether it may be coloured, and text that survives a closed pipe.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::report::terminal::Style;

/// A line to standard error, formatted as by `format!`. A terminal that has gone or a full disk costs the line, never
/// the work that it tells of.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::terminal::tell(format_args!($($text)*)) };
}

/// Whether standard error carries JSON objects and nothing else.
static JSON: AtomicBool = AtomicBool::new(false);

/// From now on standard error carries JSON objects and nothing else.
pub fn tell_in_json() {
    JSON.store(true, Ordering::Relaxed);
}

/// Whether [`tell_in_json`] was called.
pub fn tells_in_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Writes a line to standard error in one piece, as a `note` where it carries JSON; see `say!`.
pub fn tell(text: std::fmt::Arguments<'_>) {
    match tells_in_json() {
        true => {
            let text = text.to_string();
            tell_object(&json!({"event": "note", "text": text.strip_prefix("note: ").unwrap_or(&text)}));
        }
        false => write_line(&text.to_string()),
    }
}

/// Writes a JSON object to standard error.
pub fn tell_object(object: &Value) {
    write_line(&object.to_string());
}

/// Writes a line to standard error in one piece, as far as it goes.
fn write_line(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// How the report is shown on standard output: as wide as the terminal, and coloured only there.
pub fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let width = match terminal {
        true => terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)).or(columns),
        false => columns,
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    let width = width.filter(|width| *width >= 20).unwrap_or(Style::default().width);
    Style { width, color: terminal && !no_color && !dumb, ..Style::default() }
}

/// Writes a result to standard output. A reader that has gone away is no error.
///
/// # Errors
/// It cannot be written for another reason: a full disk.
pub fn show(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("write", "<stdout>", error)),
        _ => Ok(()),
    }
}

/// A path as an argument of a shell, quoted where it must be.
pub fn argument(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    match text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}
