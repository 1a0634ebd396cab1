//! Panics in code that is not karat's own become errors.
//!
//! A model folder brings its own programs along: templates for minijinja, decoders for tokenizers. Both crates panic on
//! some of them (`''[::-1]`, a `Strip` decoder with `stop` on a token shorter than that), which must fail a case or a
//! file, never the process. It guards calls into such crates only: a panic of karat's own is a bug and stays loud.
//! A stack overflow cannot be caught; recursion is bounded where it happens.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

use crate::error::{Error, Result};

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
    result.map_err(|panic| Error::input(task).caused_by(message(panic.as_ref())))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or(panic.downcast_ref::<String>().map(String::as_str));
    format!("panic in a library: {}", text.unwrap_or("no message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_call_goes_on() {
        let list: Vec<u32> = Vec::new();
        let error = guarded("look", || list[0]).unwrap_err();
        assert_eq!(error.fragment(), "look");
        assert!(error.chain().contains("index out of bounds"), "{}", error.chain());
        assert_eq!(guarded("look", || 7).unwrap(), 7);
        assert!(!QUIET.get());
    }
}
