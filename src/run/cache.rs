//! A bounded memory of what was computed before: the targets of a dataset come again and again.
//!
//! Two generations: what is used moves to the young one; when that is full it becomes the old one and the old one goes.
//! What is in the cache changes how much is computed, never what: a text's vector does not depend on its companions.

use std::collections::HashMap;

/// Keeps up to a number of bytes of values by the text they belong to.
pub(super) struct Cache<T> {
    young: HashMap<[u8; 16], T>,
    old: HashMap<[u8; 16], T>,
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
    pub fn get(&mut self, text: &str, bytes: impl Fn(&T) -> usize) -> Option<T> {
        let key = key(text);
        if let Some(value) = self.young.get(&key) {
            return Some(value.clone());
        }
        let value = self.old.remove(&key)?;
        self.insert(key, value.clone(), bytes(&value));
        Some(value)
    }

    /// Remembers the value of a text.
    pub fn put(&mut self, text: &str, value: T, bytes: usize) {
        self.insert(key(text), value, bytes);
    }

    fn insert(&mut self, key: [u8; 16], value: T, bytes: usize) {
        if self.young.insert(key, value).is_none() {
            self.young_bytes += bytes + ENTRY;
        }
        if self.young_bytes > self.limit / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }
}

fn key(text: &str) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_stays_small() {
        let mut cache = Cache::new(100 * (ENTRY + 8));
        for n in 0..10_000_u64 {
            cache.put(&n.to_string(), n, 8);
            if n > 0 {
                assert_eq!(cache.get("0", |_| 8), Some(0), "{n}");
            }
            assert!(cache.young.len() + cache.old.len() <= 102);
        }
        assert_eq!(cache.get("5", |_| 8), None);
    }
}
