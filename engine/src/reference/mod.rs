//! The reference backend: candle-transformers' model code, one sequence at a time.
//!
//! An independent second opinion on the families that the engine computes itself, and the only one on a few that it does not.
//! Scheduling, sampling, stop conditions, tokenizers and pooling are the engine's own; the arithmetic between token ids and
//! logits or token vectors is candle-transformers'. It is slow, computes on the CPU and in f32 alone, and its bits are those of
//! one model of processor: [`candle_core`]'s products choose their blocks by its caches.
//!
//! | file | what |
//! |---|---|
//! | `families` | decoders of candle-transformers behind one trait |
//! | `settings` | a `config.json` as candle-transformers reads it, and what of it is not known there |
//! | `weights` | tensors of a model folder, and which of them were asked for |
//! | `decoder` | a decoder as a [`Backend`](crate::scheduler::backend::Backend) |
//! | `encoder` | an encoder as an [`EncoderBackend`](crate::scheduler::backend::EncoderBackend) |
//!
//! What a family of candle-transformers does not compute as transformers does is refused, not approximated: scaled rotary
//! frequencies that it does not know, tensors that it would leave unread, sequences beyond a window that it does not have.

#[cfg(feature = "reference")]
mod decoder;
#[cfg(feature = "reference")]
mod encoder;
#[cfg(feature = "reference")]
mod families;
#[cfg(feature = "reference")]
mod settings;
#[cfg(feature = "reference")]
mod weights;

#[cfg(feature = "reference")]
pub use decoder::Plan;
#[cfg(feature = "reference")]
pub(crate) use encoder::{check_encoder, encoder};
#[cfg(feature = "reference")]
pub(crate) use families::is_only_here;

/// Whether this build has it.
pub const BUILT: bool = cfg!(feature = "reference");

/// What computes, as fingerprints name it.
pub const NAME: &str = "candle-transformers 0.11.1";

/// Checks that this build has it.
///
/// # Errors
/// It does not.
pub fn check_built() -> crate::error::Result<()> {
    if BUILT {
        return Ok(());
    }
    Err(crate::error::Error::input(
        "this karat was built without the feature `reference`, which `--backend reference` needs",
    )
    .with_hint("`cargo build --release` builds one with it"))
}

#[cfg(not(feature = "reference"))]
mod absent;
#[cfg(not(feature = "reference"))]
pub use absent::Plan;
#[cfg(not(feature = "reference"))]
pub(crate) use absent::{check_encoder, encoder, is_only_here};

#[cfg(test)]
mod tests {
    /// Records name the version whose code computed.
    #[test]
    fn the_name_is_that_of_the_locked_version() {
        let lock = include_str!("../../../Cargo.lock");
        let package =
            lock.split("[[package]]").find(|package| package.contains("name = \"candle-transformers\"")).unwrap();
        let version = super::NAME.strip_prefix("candle-transformers ").unwrap();
        assert!(package.contains(&format!("version = \"{version}\"")), "{package}");
    }
}
