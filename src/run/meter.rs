//! Times and counts of a run: everything that may differ between two equal runs.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::event::{Event, Phase, Watch};
use crate::engine::device::processor;
use crate::engine::options::{BackendChoice, DeviceChoice, EngineOptions};
use crate::error::Result;
use crate::record::{Performance, Phase as RecordedPhase};

/// Adds up times and counts from all threads of a run.
pub struct Meter {
    started: Instant,
    sums: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    phases: BTreeMap<Phase, Duration>,
    counters: BTreeMap<String, u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { started: Instant::now(), sums: Mutex::default() }
    }
}

impl Meter {
    /// Runs one phase from its begin to its end, telling both.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn phase<T>(
        &self,
        watch: Watch<'_>,
        phase: Phase,
        cases: Option<u64>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        watch.tell(Event::Began { phase, cases });
        let began = Instant::now();
        let result = work();
        self.add_time(phase, began.elapsed());
        watch.tell(Event::Ended { phase, seconds: began.elapsed().as_secs_f64(), complete: result.is_ok() });
        result
    }

    /// Runs one piece of a phase that works in pieces.
    pub fn piece<T>(&self, phase: Phase, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.add_time(phase, began.elapsed());
        result
    }

    fn add_time(&self, phase: Phase, time: Duration) {
        if let Ok(mut sums) = self.sums.lock() {
            *sums.phases.entry(phase).or_default() += time;
        }
    }

    /// Adds to a counter.
    pub fn count(&self, name: &str, n: u64) {
        if let Ok(mut sums) = self.sums.lock() {
            match sums.counters.get_mut(name) {
                Some(sum) => *sum += n,
                None => {
                    sums.counters.insert(name.to_owned(), n);
                }
            }
        }
    }

    /// Raises a counter to at least this.
    pub fn raise(&self, name: &str, n: u64) {
        if let Ok(mut sums) = self.sums.lock() {
            let highest = sums.counters.entry(name.to_owned()).or_default();
            *highest = n.max(*highest);
        }
    }

    /// Everything as `performance.json` keeps it.
    pub fn finish(self, engine: &EngineOptions) -> Performance {
        let sums = self.sums.into_inner().unwrap_or_default();
        let phase = |phase: &Phase| {
            let seconds = sums.phases.get(phase)?.as_secs_f64();
            Some(RecordedPhase { name: phase.name().into(), seconds })
        };
        let counter = |name: &str| sums.counters.get(name).copied().unwrap_or(0);
        let generated_tokens = counter(GENERATED);
        let answering = sums.phases.get(&Phase::Answer).map_or(0.0, Duration::as_secs_f64);
        Performance {
            wall_seconds: self.started.elapsed().as_secs_f64(),
            phases: Phase::ALL.iter().filter_map(phase).collect(),
            prompt_tokens: counter(PROMPT),
            generated_tokens,
            tokens_per_second: (generated_tokens > 0).then(|| generated_tokens as f64 / answering.max(1e-9)),
            peak_memory_bytes: peak_memory(),
            device: machine(engine.device),
            threads: rayon::current_num_threads() as u64,
            settings: settings(engine),
            counters: sums.counters,
            hashing: BTreeMap::new(),
            probe: None,
        }
    }
}

/// Counter of prompt tokens computed by the generator.
pub const PROMPT: &str = "generator.prompt_tokens";
/// Counter of generated tokens.
pub const GENERATED: &str = "generator.generated_tokens";

fn settings(engine: &EngineOptions) -> BTreeMap<String, Value> {
    let EngineOptions {
        backend,
        device: _,
        dtype,
        batch_tokens,
        prefill_chunk,
        max_seqs,
        window,
        kv_gib,
        prefix_sharing,
        drafts,
    } = *engine;
    let settings = [
        ("dtype", dtype.name().into()),
        ("batch_tokens", batch_tokens.into()),
        ("prefill_chunk", prefill_chunk.into()),
        ("max_seqs", max_seqs.into()),
        ("window", window.into()),
        ("kv_gib", kv_gib.into()),
        ("prefix_sharing", prefix_sharing.into()),
        ("drafts", drafts.into()),
    ];
    let backend = (backend != BackendChoice::Fast).then(|| ("backend", backend.name().into()));
    settings.into_iter().chain(backend).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The machine in words: the processor's name where the system tells, and the device.
fn machine(device: DeviceChoice) -> String {
    format!("{device}, {}", processor().unwrap_or_else(|| std::env::consts::ARCH.into()))
}

/// Most memory that this process has held, where the system tells.
fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_and_counters_add_up() {
        let meter = Meter::default();
        meter.piece(Phase::Score, || ());
        meter.piece(Phase::Check, || ());
        meter.count("x", 2);
        meter.count("x", 3);
        meter.raise("y", 5);
        meter.raise("y", 4);
        meter.count(GENERATED, 7);
        let performance = meter.finish(&EngineOptions::default());
        let names: Vec<&str> = performance.phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, ["check", "score"]);
        assert_eq!((performance.counters["x"], performance.counters["y"], performance.generated_tokens), (5, 5, 7));
        assert_eq!(performance.settings["batch_tokens"], 512);
    }
}
