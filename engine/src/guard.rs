//! Panics in code that is not karat's own become errors.
//!
//! A model folder brings its own programs along: templates for minijinja, decoders for tokenizers. Both crates panic on
//! some of them (`''[::-1]`, a `Strip` decoder with `stop` on a token shorter than that), which must fail a case or a
//! file, never the process. [`guarded`] is for calls into such crates. A panic of karat's own is a bug and stays loud, but
//! it must not let another thread wait for ever: [`caught`] makes it the error of the run.
//! Templates that never end run out of [`FUEL`]; what fills the memory or overflows the stack is no panic, and is kept from
//! happening: by `chat::held` in templates, by `tokenizer::bounds` in tokenizers.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::error::{Error, Result};

/// Instructions that one rendering may take: seconds of work, and many times what the longest conversation needs.
pub const FUEL: u64 = 50_000_000;

thread_local! {
    /// Whether a panic of this thread is expected and must not be printed.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Puts the question of [`QUIET`] before whatever hook there is; once, since hooks are the process's.
static HOOK: Once = Once::new();

/// What `foreign` gives, or an error to `task` with the panic's message as its cause.
///
/// The call must leave nothing behind that a later call relies on: what it was changing when it panicked stays as it is.
///
/// # Errors
/// `foreign` panicked.
pub fn guarded<T>(task: &str, foreign: impl FnOnce() -> T) -> Result<T> {
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    let result = catch_unwind(AssertUnwindSafe(foreign));
    QUIET.set(outer);
    result.map_err(|panic| Error::input(format!("failed to {task}")).caused_by(message(panic.as_ref())))
}

/// What `own` gives, or an internal error to `task`: a thread whose panic others would wait for. The message is printed as that
/// of any panic.
///
/// # Errors
/// `own` panicked.
pub fn caught<T>(task: &str, own: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(own)).map_err(|panic| {
        // std gives no other word of a thread that could not be started.
        if text(panic.as_ref()).starts_with("failed to spawn thread") {
            let error = Error::environment(format!("failed to {task}: the system gives karat no more threads"));
            return error.with_hint("raise the limits (ulimit -u, ulimit -v), or ask for fewer threads (--threads)");
        }
        let error = Error::internal(format!("failed to {task}")).caused_by(format!("panic: {}", text(panic.as_ref())));
        error.with_hint("this is a bug of karat; please report it with the message above")
    })
}

fn message(panic: &(dyn Any + Send)) -> String {
    format!("panic in a library: {}", text(panic))
}

fn text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_call_goes_on() {
        let list: Vec<u32> = Vec::new();
        let error = guarded("look", || list[0]).unwrap_err();
        assert_eq!(error.message(), "failed to look");
        assert!(error.chain().contains("index out of bounds"), "{}", error.chain());
        assert_eq!(guarded("look", || 7).unwrap(), 7);
        assert!(!QUIET.get());
        let error = caught("look", || list[0]).unwrap_err();
        assert!(error.kind() == crate::error::Kind::Internal && error.chain().contains("index out of bounds"));
    }
}
