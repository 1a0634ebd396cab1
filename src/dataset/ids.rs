//! The check that ids are unique: which line had an id first, at 22 to 36 bytes a case.
//!
//! The standard hash map would need up to 55 bytes a case and, while it grows, half as much again. Here 64 small tables
//! grow one at a time by half their size, and keep a 128-bit hash and a line, not the id.

use std::hash::{BuildHasher, RandomState};

const SHARDS: usize = 64;
/// Slots are 20 bytes; at most 17 of 20 are in use, and at least 11 of 20 after growth.
const MAX_LOAD: (usize, usize) = (17, 20);
const FIRST_SLOTS: usize = 8;

/// Which line had an id first.
pub(super) struct IdTable {
    shards: Vec<Shard>,
    /// Two keyed hashes of 64 bits make one of 128.
    keys: [RandomState; 2],
}

#[derive(Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: [u8; 16],
    /// 0 marks an empty slot; lines count from 1.
    line: u32,
}

impl IdTable {
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            keys: std::array::from_fn(|_| RandomState::new()),
        }
    }

    /// Notes `id` at `line`; gives the line that had it before, if one had. Lines beyond 2³²−1 are shown as that.
    pub fn insert(&mut self, id: &str, line: u64) -> Option<u64> {
        let mut hash = [0; 16];
        hash[..8].copy_from_slice(&self.keys[0].hash_one(id).to_le_bytes());
        hash[8..].copy_from_slice(&self.keys[1].hash_one(id).to_le_bytes());
        let line = u32::try_from(line).unwrap_or(u32::MAX).max(1);
        self.shards[usize::from(hash[0]) % SHARDS].insert(Slot { hash, line }).map(u64::from)
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.capacity() * size_of::<Slot>()).sum()
    }
}

impl Shard {
    fn insert(&mut self, slot: Slot) -> Option<u32> {
        if self.used * MAX_LOAD.1 >= self.slots.len() * MAX_LOAD.0 {
            self.grow();
        }
        let mut at = home(&slot.hash, self.slots.len());
        loop {
            let found = &mut self.slots[at];
            if found.line == 0 {
                *found = slot;
                self.used += 1;
                return None;
            }
            if found.hash == slot.hash {
                return Some(found.line);
            }
            at = (at + 1) % self.slots.len();
        }
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 3 / 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); length]);
        self.used = 0;
        for slot in old.into_iter().filter(|slot| slot.line != 0) {
            self.insert(slot);
        }
    }
}

/// The slot where a hash would like to be: its upper half scaled to the number of slots, which is no power of two.
fn home(hash: &[u8; 16], slots: usize) -> usize {
    let upper = u64::from_le_bytes(std::array::from_fn(|i| hash[8 + i]));
    ((u128::from(upper) * slots as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_line_of_every_id() {
        let mut table = IdTable::new();
        for line in 1..=5_000_u64 {
            assert_eq!(table.insert(&format!("case-{line}"), line), None);
        }
        for line in 1..=5_000_u64 {
            assert_eq!(table.insert(&format!("case-{line}"), 9_999), Some(line));
        }
    }

    #[test]
    fn costs_at_most_forty_bytes_a_case() {
        let mut table = IdTable::new();
        for line in 1..=200_000_u64 {
            table.insert(&line.to_string(), line);
            if line >= 20_000 && line % 1_000 == 0 {
                let each = table.bytes() as f64 / line as f64;
                assert!(each <= 40.0, "{each} bytes a case at {line}");
            }
        }
    }
}
