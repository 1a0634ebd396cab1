//! The device that computes: which one a choice means, what its numerics are, and decoders and encoders on it.

mod factory;
mod fingerprint;
mod memory;
mod pool;

pub use factory::{DecoderPlan, decoders, encoder, encoder_options};
pub use fingerprint::{Fingerprint, NUMERICS_VERSION, fingerprint, processor};
pub use memory::{available_memory, pages};
pub use pool::in_pool;

use crate::cuda::{self, Card};
use crate::error::{Error, Result};
use crate::options::{Cards, DeviceChoice};

/// The device of a choice, named by number where it is a card: that of `auto`, too, with a line that says why where it is not
/// a card that this build could use.
///
/// # Errors
/// A card that was asked for and cannot be used, or cards that are not alike.
pub fn resolve(choice: DeviceChoice) -> Result<(DeviceChoice, Option<String>)> {
    match choice {
        DeviceChoice::Cpu => Ok((choice, None)),
        DeviceChoice::Cuda(cards) => alike(cards).map(|_| (choice, None)),
        DeviceChoice::AllCards => {
            let first = cuda::usable(0)?;
            let same = |number: &usize| cuda::usable(*number).is_ok_and(|card| card.to_string() == first.to_string());
            let cards = Cards::new((0..MOST_CARDS).take_while(same)).unwrap_or(Cards::FIRST);
            Ok((DeviceChoice::Cuda(cards), None))
        }
        // A build without cards has nothing to explain.
        DeviceChoice::Auto if !cuda::BUILT => Ok((DeviceChoice::Cpu, None)),
        DeviceChoice::Auto => Ok(match cuda::usable(0) {
            Ok(_) => (DeviceChoice::Cuda(Cards::FIRST), None),
            Err(error) => (DeviceChoice::Cpu, Some(format!("computing on the CPU: {}", error.message()))),
        }),
    }
}

/// Cards that `cuda:all` looks for.
const MOST_CARDS: usize = 64;

/// Cards that can all be used and give the same bits.
fn alike(cards: Cards) -> Result<Vec<Card>> {
    let cards = cards.numbers().map(cuda::usable).collect::<Result<Vec<_>>>()?;
    let differs = |card: &&Card| card.to_string() != cards[0].to_string();
    match cards.iter().find(differs) {
        None => Ok(cards),
        Some(other) => {
            Err(Error::input(format!("cuda:{} and cuda:{} cannot share the work", cards[0].index, other.index))
                .with_hint(format!("cards must be alike to give equal bytes; one is {}, the other {other}", cards[0])))
        }
    }
}
