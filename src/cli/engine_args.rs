//! Flags that all engine commands share.

use std::path::PathBuf;

use clap::ArgMatches;

use crate::dataset::UnknownKeys;
use crate::engine::options::{BackendChoice, DeviceChoice, DtypeChoice, EngineOptions};
use crate::engine::{device, reference};
use crate::error::{Error, Result};

/// How to compute; none of these changes an answer but backend, device and type.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Engine tuning (no byte of a result depends on it, backend, device and type aside)")]
pub struct EngineArgs {
    /// Whose model code computes: fast (karat's own), or reference (candle-transformers', one sequence at a time, on the CPU in f32:
    /// a second opinion, and families that only it has).
    #[arg(long, default_value = "fast", value_name = "BACKEND")]
    pub backend: String,
    /// Where to compute: auto (the first NVIDIA GPU that this build can use, else the CPU), cpu, cuda, cuda:N,
    /// cuda:N,N for several GPUs, or cuda:all.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
    /// Type to compute in: auto (f32, or what a GGUF file holds; bf16 on a GPU), f32, bf16, or f16 on a GPU.
    #[arg(long, default_value = "auto", value_name = "TYPE")]
    pub dtype: String,
    /// Threads, 1 to 1024 (default: one per core).
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Most tokens in one step, at least 2 (default: 512, on a GPU 2048).
    #[arg(long, value_name = "N")]
    pub batch_tokens: Option<usize>,
    /// Most prompt tokens of one sequence in one step (default: no bound of its own).
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<usize>,
    /// Most sequences in flight (default: 128, on a GPU 256).
    #[arg(long, value_name = "N")]
    pub max_seqs: Option<usize>,
    /// How many requests may be reordered to fill steps; bounds memory.
    #[arg(long, default_value_t = EngineOptions::default().window, value_name = "N")]
    pub window: usize,
    /// Memory for the KV cache (default: half of what is free; on a GPU what is left beside the model).
    #[arg(long, value_name = "GIB")]
    pub kv_gib: Option<f64>,
    /// Compute equal beginnings of prompts again for every prompt.
    #[arg(long)]
    pub no_prefix_sharing: bool,
    /// Choose one token at a time, without guesses from the baseline or the prompt.
    #[arg(long)]
    pub no_drafts: bool,
}

impl EngineArgs {
    /// Checks the flags and finds the device. [`start_threads`] has started the threads already.
    ///
    /// # Errors
    /// A value out of range; a GPU that cannot be used.
    pub fn apply(&self) -> Result<EngineOptions> {
        let backend = self.backend()?;
        let asked = match (backend, self.device.parse::<DeviceChoice>()?) {
            (BackendChoice::Reference, DeviceChoice::Auto) => DeviceChoice::Cpu,
            (_, asked) => asked,
        };
        let (device, note) = device::resolve(asked)?;
        if let Some(note) = note {
            say!("note: {note}");
        }
        // A GPU reads its weights for many rows in the time of one.
        let more = if device == DeviceChoice::Cpu { [1, 1] } else { [4, 2] };
        let usual = EngineOptions::default();
        let options = EngineOptions {
            backend,
            device,
            dtype: self.dtype.parse::<DtypeChoice>()?,
            batch_tokens: self.batch_tokens.unwrap_or(more[0] * usual.batch_tokens),
            prefill_chunk: self.prefill_chunk,
            max_seqs: self.max_seqs.unwrap_or(more[1] * usual.max_seqs),
            window: self.window,
            kv_gib: self.kv_gib,
            prefix_sharing: !self.no_prefix_sharing,
            drafts: !self.no_drafts,
        };
        options.check()?;
        if backend == BackendChoice::Reference { self.one_by_one(options) } else { Ok(options) }
    }

    /// Whose model code computes.
    ///
    /// # Errors
    /// A backend that is not known, or that this build does not have.
    pub fn backend(&self) -> Result<BackendChoice> {
        let backend = self.backend.parse::<BackendChoice>()?;
        if backend == BackendChoice::Reference {
            reference::check_built()?;
        }
        Ok(backend)
    }

    /// What is left of the options for a backend that takes one sequence at a time.
    fn one_by_one(&self, options: EngineOptions) -> Result<EngineOptions> {
        let asked = [("--max-seqs", self.max_seqs.is_some_and(|count| count > 1)), ("--kv-gib", self.kv_gib.is_some())];
        match asked.iter().find(|(_, asked)| *asked) {
            Some((flag, _)) => Err(Error::input(format!("{flag} does not go with `--backend reference`"))
                .with_hint("it computes one sequence at a time, and has no KV cache to size")),
            None => Ok(EngineOptions { max_seqs: 1, prefix_sharing: false, drafts: false, ..options }),
        }
    }
}

/// Most threads that a call may ask for: more than the largest machines have cores. Each takes memory, and a system has only so many
/// for all that run on it.
const MOST_THREADS: usize = 1024;

/// The number of threads that a call asks for; 0 where it leaves it to the machine.
fn asked_threads(threads: Option<usize>) -> Result<usize> {
    match threads {
        None => Ok(0),
        Some(threads @ 1..=MOST_THREADS) => Ok(threads),
        Some(threads) => Err(Error::input(format!("`--threads {threads}` is not possible"))
            .with_hint(format!("1 to {MOST_THREADS} are possible; more threads than cores make nothing faster"))),
    }
}

/// Starts the thread pool of the process, with as many threads as a call asks for. First of all: whatever is read before (a
/// dataset, examples of a prompt) would start one of its own accord, and then this one could not be. The number of threads never
/// changes an answer.
///
/// # Errors
/// A number out of range; the system has no threads left.
pub fn start_threads(call: &ArgMatches) -> Result<()> {
    let mut command = call;
    while let Some((_, below)) = command.subcommand() {
        command = below;
    }
    // Commands without the flag take what comes.
    let Ok(threads) = command.try_get_one::<usize>("threads") else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(asked_threads(threads.copied())?);
    pool.build_global().map_err(|e| Error::environment("failed to start the thread pool").caused_by(e))
}

/// Where lines come from and go to.
#[derive(clap::Args, Clone)]
pub struct LineArgs {
    /// Input lines (JSONL); - is standard input.
    #[arg(long = "in", default_value = "-", value_name = "FILE")]
    pub input: PathBuf,
    /// Output lines (JSONL); - is standard output.
    #[arg(long = "out", default_value = "-", value_name = "FILE")]
    pub output: PathBuf,
    /// Let keys pass that karat does not know: those of messages reach the chat template, others are ignored. Otherwise they are
    /// errors that name the nearest known key.
    #[arg(long)]
    pub allow_unknown_keys: bool,
}

impl LineArgs {
    /// What becomes of keys that karat does not know.
    pub fn unknown_keys(&self) -> UnknownKeys {
        UnknownKeys::by_flag(self.allow_unknown_keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_a_range() {
        let asked = |threads| asked_threads(threads).map_err(|error| error.message().to_owned());
        assert_eq!([asked(None), asked(Some(1)), asked(Some(1024))], [Ok(0), Ok(1), Ok(1024)]);
        for threads in [0, 1025, 10_000, usize::MAX] {
            assert_eq!(asked(Some(threads)), Err(format!("`--threads {threads}` is not possible")));
        }
    }
}
