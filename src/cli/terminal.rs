//! The border to the terminal: its width, whether it may be coloured, text that survives a closed pipe, and nothing in that text
//! that a terminal obeys or a reader does not see.
//!
//! Names, ids, paths and messages come from files, arguments and models. Whatever is for a person goes through [`tell`] (standard
//! error), [`lines`] or [`page`] (standard output), which show control, direction and invisible characters as `\u{1b}`. Formats for
//! programs go through [`json`], [`file`] and [`stdout`]: as they are into a file or a pipe, where every byte counts, and without
//! such characters where standard output is a terminal; JSON is escaped without loss there. `tests/cli/escapes.rs` sends hostile
//! names through the commands, and refuses other ways out in the sources.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::report::terminal::Style;
use crate::report::{visible, visible_json, visible_lines};

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

/// Writes a message to standard error in one piece, as a `note` where it carries JSON; see `say!`. Further lines of it are marked,
/// so that none of them looks like a message of its own.
pub fn tell(text: std::fmt::Arguments<'_>) {
    let text = text.to_string();
    if tells_in_json() {
        tell_object(&json!({"event": "note", "text": text.strip_prefix("note: ").unwrap_or(&text)}))
    } else {
        write_line(&marked(&text))
    }
}

/// Writes a JSON object to standard error.
pub fn tell_object(object: &Value) {
    write_line(&visible_json(&object.to_string()));
}

/// A message of one or more lines, visible.
fn marked(text: &str) -> String {
    let lines: Vec<String> = text.trim_end_matches('\n').split('\n').map(visible).collect();
    lines.join("\n  | ")
}

/// Writes a line to standard error in one piece, as far as it goes.
fn write_line(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

/// Writes a text of karat's own to standard error below whatever stands there, and takes no memory for it.
pub fn last_words(text: &[u8]) {
    let mut stderr = std::io::stderr();
    // A progress bar may stand on the line.
    let _ = stderr.write_all(b"\n").and_then(|()| stderr.write_all(text));
}

/// From now on a panic tells its message as everything else is told.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        match trace.status() {
            std::backtrace::BacktraceStatus::Captured => tell(format_args!("{panic}\n{trace}")),
            _ => tell(format_args!("{panic}")),
        }
    }));
}

/// What clap has to say: help and version, which are results, or a usage error.
///
/// # Errors
/// As for [`lines`].
pub fn usage(error: &clap::Error) -> Result<()> {
    let told = error.use_stderr();
    // An error quotes the call, in which somebody else's colours may stand.
    let color = !told && coloured(std::io::stdout().is_terminal());
    let text = if color { error.render().ansi().to_string() } else { error.render().to_string() };
    let text = visible_lines(&text, color);
    if told {
        write_line(text.trim_end_matches('\n'))
    } else {
        put(&text)?
    }
    Ok(())
}

/// How the report is shown on standard output: as wide as the terminal, and coloured only there.
pub fn style() -> Style {
    let terminal = std::io::stdout().is_terminal();
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let width = if terminal {
        terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)).or(columns)
    } else {
        columns
    };
    let width = width.filter(|width| *width >= 20).unwrap_or(Style::default().width);
    Style { width, color: coloured(terminal), ..Style::default() }
}

/// Whether to colour what goes to a terminal, or not to one.
fn coloured(terminal: bool) -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    terminal && !no_color && !dumb
}

/// Writes a result to standard output, a line for each item, whatever the item holds. A reader that has gone away is no error.
///
/// # Errors
/// It cannot be written for another reason: a full disk.
pub fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<()> {
    put(&lines.into_iter().map(|line| visible(line.as_ref()) + "\n").collect::<String>())
}

/// Writes a page of lines to standard output, with the colours of reports where they are on.
///
/// # Errors
/// As for [`lines`].
pub fn page(text: &str) -> Result<()> {
    put(&visible_lines(text, style().color))
}

/// Writes JSON to standard output.
///
/// # Errors
/// As for [`lines`].
pub fn json(text: &str) -> Result<()> {
    put(&if std::io::stdout().is_terminal() { visible_json(text) } else { text.to_owned() })
}

/// Writes what is a file of another format to standard output.
///
/// # Errors
/// As for [`lines`].
pub fn file(text: &str) -> Result<()> {
    put(&if std::io::stdout().is_terminal() { visible_lines(text, false) } else { text.to_owned() })
}

fn put(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Error::io("write", "<stdout>", error)),
        _ => Ok(()),
    }
}

/// Standard output for lines of JSON.
pub fn stdout() -> Box<dyn Write> {
    let out = std::io::stdout();
    if out.is_terminal() { Box::new(VisibleJson { out, begun: Vec::new() }) } else { Box::new(out) }
}

/// Shows lines of JSON on a terminal, each when it is whole.
struct VisibleJson<W: Write> {
    out: W,
    begun: Vec<u8>,
}

impl<W: Write> Write for VisibleJson<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.begun.extend_from_slice(bytes);
        if let Some(end) = self.begun.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.begun.split_off(end + 1);
            let whole = std::mem::replace(&mut self.begun, rest);
            self.out.write_all(visible_json(&String::from_utf8_lossy(&whole)).as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let rest = std::mem::take(&mut self.begun);
        self.out.write_all(visible_json(&String::from_utf8_lossy(&rest)).as_bytes())?;
        self.out.flush()
    }
}

/// A path as an argument of a shell, quoted where it must be.
pub fn argument(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    if text.chars().all(plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_a_message_looks_like_another() {
        assert_eq!(marked("a\u{1b}[2J\nerror: b\u{202e}\n"), "a\\u{1b}[2J\n  | error: b\\u{202e}");
    }

    #[test]
    fn json_on_a_terminal_comes_line_by_line_and_loses_nothing() {
        let value = json!({"id": "\u{9b}31m\u{202e}", "text": "❤\u{fe0f} \u{e0041}"});
        let line = format!("{value}\n");
        let mut shown = VisibleJson { out: Vec::new(), begun: Vec::new() };
        // In pieces that part characters.
        for piece in line.as_bytes().chunks(3) {
            shown.write_all(piece).unwrap();
        }
        let text = String::from_utf8(shown.out.clone()).unwrap();
        assert_eq!(text, "{\"id\":\"\\u009b31m\\u202e\",\"text\":\"❤\u{fe0f} \\udb40\\udc41\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        shown.write_all(b"{}").unwrap();
        shown.flush().unwrap();
        assert!(shown.out.ends_with(b"\n{}"));
    }
}
