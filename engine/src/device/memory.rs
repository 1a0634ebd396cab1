//! How much memory there is, and how much of it the KV cache gets.

use crate::cpu::BLOCK_SIZE;
use crate::options::EngineOptions;

/// KV blocks of so many bytes: as many as the sequences in flight could ever need, bounded by the memory given, or by `share`
/// where it is not said how much that is.
pub fn kv_blocks(options: &EngineOptions, context: usize, block: u64, share: impl FnOnce() -> u64) -> usize {
    let useful = (options.max_seqs as u64).saturating_mul(context.div_ceil(BLOCK_SIZE) as u64);
    let given = match options.kv_gib {
        Some(gib) => (gib * f64::from(1u32 << 30)) as u64,
        None => share(),
    };
    useful.min((given / block).max(1)).min(u64::from(u32::MAX)) as usize
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
