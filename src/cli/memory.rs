//! The end of a process that the system gives no more memory.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Exit, terminal};

/// What helps.
const HINT: &str = "free memory or raise the limit (ulimit -v), or ask for less (--kv-gib, --window, --threads); a command that \
                    keeps a journal goes on with --resume";

/// Says that memory is over and ends the process as a failure of the environment. It takes no memory itself.
pub fn out_of_memory(bytes: usize) -> ! {
    static TOLD: AtomicBool = AtomicBool::new(false);
    // Several threads may fail at the same moment: the first one tells.
    while TOLD.swap(true, Ordering::AcqRel) {
        std::thread::park();
    }
    let mut text = [0; 1024];
    let mut rest = &mut text[..];
    let written = if terminal::tells_in_json() {
        writeln!(
            rest,
            r#"{{"event":"error","text":"failed to get {bytes} bytes of memory","place":null,"cause":null,"hint":"{HINT}"}}"#
        )
    } else {
        writeln!(rest, "error: failed to get {bytes} bytes of memory\nhint: {HINT}")
    };
    let length = if written.is_ok() { 1024 - rest.len() } else { 0 };
    terminal::last_words(&text[..length]);
    end(i32::from(Exit::Environment.code()))
}

/// Ends the process without anything that would take memory first.
#[cfg(unix)]
fn end(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

#[cfg(not(unix))]
#[expect(clippy::exit, reason = "the process has no memory to return with")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
