//! The device that computes, and the fingerprint of its numerics.

use serde::{Deserialize, Serialize};

use crate::cpu::cache::PAGE;
use crate::cpu::decoder::Decoder;
use crate::cpu::encoder::{Encoder, EncoderSpec};
use crate::cpu::simd::InstructionSet;
use crate::cuda::{self, Card};
use crate::error::{Error, Result};
use crate::models::encoder_weights::HeadKind;
use crate::models::identity::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::models::weights::gguf_file;
use crate::options::{Cards, DeviceChoice, DtypeChoice, EngineOptions};
use crate::scheduler::backend::{Backend, EncoderBackend};

/// Raised whenever a stored golden-bits test changes: results of two versions must not be compared silently.
pub const NUMERICS_VERSION: u32 = 2;

/// What decides the bits of a result besides model, input and options. Equal fingerprints give equal bytes: every kernel
/// gives the same bits on every instruction set of an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of karat's numerics.
    pub numerics_version: u32,
    /// Device class and architecture.
    pub device: String,
    /// Type of the weights in memory; `gguf` for quantised ones, as they are in the file.
    pub weights: String,
    /// Type of the KV cache.
    pub kv: String,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { numerics_version, device, weights, kv } = self;
        write!(f, "v{numerics_version} {device} weights={weights} kv={kv}")
    }
}

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
            Err(error) => (DeviceChoice::Cpu, Some(format!("computing on the CPU: failed to {}", error.fragment()))),
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
            Err(Error::input(format!("share the work among cuda:{} and cuda:{}", cards[0].index, other.index))
                .with_hint(format!("cards must be alike to give equal bytes; one is {}, the other {other}", cards[0])))
        }
    }
}

/// Checks that the chosen device and type can compute a model folder here, and says what its numerics are.
///
/// # Errors
/// A device, type or instruction set that this build or machine does not have.
pub fn fingerprint(folder: &ModelFolder, options: &EngineOptions) -> Result<Fingerprint> {
    let numerics_version = NUMERICS_VERSION;
    if let DeviceChoice::Cuda(cards) = resolve(options.device)?.0 {
        let device = alike(cards)?.swap_remove(0).to_string();
        let weights = cuda::dtype(options.dtype).name().to_owned();
        return Ok(Fingerprint { numerics_version, device, kv: weights.clone(), weights });
    }
    let weights = match options.dtype {
        DtypeChoice::Auto if gguf_file(folder)?.is_some() => "gguf",
        DtypeChoice::Auto | DtypeChoice::F32 => "f32",
        DtypeChoice::Bf16 => "bf16",
        DtypeChoice::F16 => {
            return Err(Error::input("compute in f16 on the CPU")
                .with_hint("use `--dtype f32` or `--dtype bf16`: files of every type are read"));
        }
    };
    InstructionSet::check()?;
    Ok(Fingerprint {
        numerics_version,
        device: format!("cpu {}", std::env::consts::ARCH),
        weights: weights.into(),
        // bfloat16 throughout: the cache follows the weights.
        kv: if weights == "bf16" { "bf16" } else { "f32" }.into(),
    })
}

/// A decoder with its weights and KV pages for each of the chosen devices.
///
/// # Errors
/// Weights that are missing, broken, do not fit the specification or the device; a device that cannot be used.
pub fn decoders(folder: &ModelFolder, spec: &DecoderSpec, options: &EngineOptions) -> Result<Vec<Box<dyn Backend>>> {
    match resolve(options.device)?.0 {
        DeviceChoice::Cuda(cards) => cuda::decoders(&alike(cards)?, folder, spec, options),
        _ => {
            let page = spec.cache_shape(options.dtype).page_bytes() as u64;
            let pages = pages(options, spec.context, page, || available_memory().map_or(4 << 30, |free| free / 2));
            Ok(vec![Box::new(Decoder::load(folder, spec.clone(), options.dtype, pages)?)])
        }
    }
}

/// An encoder with its weights.
///
/// # Errors
/// As for [`decoders`].
pub fn encoder(
    folder: &ModelFolder,
    spec: EncoderSpec,
    head: HeadKind,
    options: &EngineOptions,
) -> Result<Box<dyn EncoderBackend>> {
    let load = |spec, dtype| Encoder::load(folder, spec, dtype, head);
    match resolve(options.device)?.0 {
        // The first of several: encoders are small, and their work is not shared.
        DeviceChoice::Cuda(cards) => {
            // Their heads stay on the host, in f32.
            let host = load(spec, DtypeChoice::F32)?;
            cuda::encoder(&alike(cards)?.swap_remove(0), host, options)
        }
        _ => Ok(Box::new(load(spec, options.dtype)?)),
    }
}

/// How an encoder is computed that was asked for with these options: on the processor where cards do not compute its kind.
pub fn encoder_options(spec: &EncoderSpec, options: &EngineOptions) -> EngineOptions {
    if options.device == DeviceChoice::Cpu || cuda::computes(spec) {
        return *options;
    }
    let dtype = if options.dtype == DtypeChoice::F16 { DtypeChoice::F32 } else { options.dtype };
    EngineOptions { device: DeviceChoice::Cpu, dtype, ..*options }
}

/// KV pages of so many bytes: as many as the sequences in flight could ever need, bounded by the memory given, or by `share`
/// where it is not said how much that is.
pub fn pages(options: &EngineOptions, context: usize, page: u64, share: impl FnOnce() -> u64) -> usize {
    let useful = (options.max_seqs as u64).saturating_mul(context.div_ceil(PAGE) as u64);
    let given = match options.kv_gib {
        Some(gib) => (gib * f64::from(1u32 << 30)) as u64,
        None => share(),
    };
    useful.min((given / page).max(1)).min(u64::from(u32::MAX)) as usize
}

/// Runs a step inside the thread pool, so that its many short parallel sections do not each hand over to it.
pub fn in_pool<R: Send>(step: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| step())
}

/// Bytes of memory that this process could still get without swapping, where the system tells: what the machine has
/// free, within the limit of a container.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    Some(limit.map_or(u64::MAX, |limit| limit.saturating_sub(used)).min(kib * 1024))
}
