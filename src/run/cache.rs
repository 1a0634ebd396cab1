//! A bounded memory of what was computed before: the targets of a dataset come again and again.
//!
//! Two generations: what is used moves to the young one; when that is full it becomes the old one and the old one goes.
//! What is in the cache changes how much is computed, never what: the vector of a text is batch-invariant.

use std::collections::HashMap;

use crate::record::Key;

/// Keeps up to a number of bytes of values by the text they belong to.
pub(super) struct Cache<T> {
    young: HashMap<Key, T>,
    old: HashMap<Key, T>,
    young_bytes: usize,
    limit: usize,
}

/// Bytes of an entry beside its value.
const ENTRY: usize = 64;

impl<T: Clone> Cache<T> {
    /// A cache of about `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), young_bytes: 0, limit }
    }

    /// The value of a text; `bytes` tells how large a value is.
    pub fn get(&mut self, key: Key, bytes: impl Fn(&T) -> usize) -> Option<T> {
        if let Some(value) = self.young.get(&key) {
            return Some(value.clone());
        }
        let value = self.old.remove(&key)?;
        self.put(key, value.clone(), bytes(&value));
        Some(value)
    }

    /// Remembers the value of a text.
    pub fn put(&mut self, key: Key, value: T, bytes: usize) {
        if self.young.insert(key, value).is_none() {
            self.young_bytes += bytes + ENTRY;
        }
        if self.young_bytes > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Work;

    fn key(text: &str) -> Key {
        Key::of(Work::Encoded, &[text.as_bytes()])
    }

    #[test]
    fn keeps_what_is_used_and_stays_small() {
        let mut cache = Cache::new(100 * (ENTRY + 8));
        for n in 0..10_000_u64 {
            cache.put(key(&n.to_string()), n, 8);
            if n > 0 {
                assert_eq!(cache.get(key("0"), |_| 8), Some(0), "{n}");
            }
            assert!(cache.young.len() + cache.old.len() <= 102);
        }
        assert_eq!(cache.get(key("5"), |_| 8), None);
    }
}
