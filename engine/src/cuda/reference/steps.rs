//! Steps for attention, and what must hold of all that computes it: for the reference everywhere, for the kernels on a GPU.
//!
//! A text's numbers depend on its name and on positions alone, so that its results can be compared from step to step.

use std::collections::HashMap;

use super::attention::{Source, formula};
use super::numbers::{Stored, assert_near, numbers, widened};
use crate::cpu::cache::BLOCK_SIZE;
use crate::cuda::plan::{Heads, Mask, Planner, Sequence, cached, packed};
use crate::scheduler::backend::Segment;

/// Rows behind those of a step, and KV blocks of no sequence.
const SPARE: usize = 2;
/// Longest text.
pub const LONGEST: usize = 1200;

/// Consecutive tokens of one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub text: u64,
    /// Position of the first.
    pub start: usize,
    /// How many.
    pub len: usize,
}

/// Numbers of a step. What nobody may read is NaN.
pub struct Step<T> {
    /// What it has.
    pub parts: Vec<Part>,
    /// The same as plans take it.
    pub sequences: Vec<Sequence>,
    /// `[tokens + 2, (queries + 2·keys)·size]`
    pub qkv: Vec<T>,
    /// Keys, values, and the table.
    pub cache: Option<(Vec<T>, Vec<T>, Vec<u32>)>,
}

impl<T: Stored> Step<T> {
    /// Of parts of texts whose keys and values lie in a cache, or of whole texts without.
    pub fn new(heads: &Heads, parts: &[Part], with_cache: bool) -> Self {
        let Heads { queries, keys, size, .. } = *heads;
        let width = (queries + 2 * keys) * size;
        let tokens: usize = parts.iter().map(|part| part.len).sum();
        let mut qkv = Vec::with_capacity((tokens + SPARE) * width);
        for part in parts {
            let text = numbers::<T>(LONGEST * width, part.text);
            qkv.extend_from_slice(&text[part.start * width..][..part.len * width]);
        }
        let nan = T::narrow(f32::NAN);
        qkv.resize((tokens + SPARE) * width, nan);
        if !with_cache {
            let sequences = packed(parts.iter().map(|part| part.len));
            return Self { parts: parts.to_vec(), sequences, qkv, cache: None };
        }
        let kv_blocks: usize = parts.iter().map(|part| (part.start + part.len).div_ceil(BLOCK_SIZE)).sum();
        // From behind, so that neighbours are not.
        let mut free = (SPARE as u32..(SPARE + kv_blocks) as u32).rev();
        let segment = |part: &Part| {
            let kv_blocks = free.by_ref().take((part.start + part.len).div_ceil(BLOCK_SIZE)).collect();
            Segment { start: part.start, len: part.len, blocks: kv_blocks, rotation: 0 }
        };
        let segments: Vec<Segment> = parts.iter().map(segment).collect();
        let (sequences, table) = cached(&segments);
        let mut cache = [0; 2].map(|_| vec![nan; (SPARE + kv_blocks) * keys * BLOCK_SIZE * size]);
        for (part, segment) in parts.iter().zip(&segments) {
            let text = numbers::<T>(LONGEST * width, part.text);
            for (position, row) in text.chunks_exact(width).enumerate().take(part.start + part.len) {
                let kv_block = segment.blocks[position / BLOCK_SIZE] as usize;
                for head in 0..keys {
                    let at = ((kv_block * keys + head) * BLOCK_SIZE + position % BLOCK_SIZE) * size;
                    for (side, cache) in cache.iter_mut().enumerate() {
                        let head = queries + side * keys + head;
                        cache[at..at + size].copy_from_slice(&row[head * size..][..size]);
                    }
                }
            }
        }
        // In the rows themselves nobody may look.
        qkv.chunks_exact_mut(width).for_each(|row| row[queries * size..].fill(nan));
        let [key_cache, value_cache] = cache;
        Self { parts: parts.to_vec(), sequences, qkv, cache: Some((key_cache, value_cache, table)) }
    }

    /// Tokens.
    pub fn tokens(&self) -> usize {
        self.parts.iter().map(|part| part.len).sum()
    }

    /// All of it as f32, for the reference.
    pub fn wide<R>(&self, run: impl FnOnce(&Source<'_>) -> R) -> R {
        let qkv = widened(&self.qkv);
        let cache = self.cache.as_ref().map(|(keys, values, table)| (widened(keys), widened(values), table));
        let cache = cache.as_ref().map(|(keys, values, table)| (keys.as_slice(), values.as_slice(), table.as_slice()));
        run(&Source { qkv: &qkv, cache })
    }

    /// The values of a position of the first part's first key head.
    fn value(&mut self, heads: &Heads, position: usize) -> &mut [T] {
        let (_, values, table) = self.cache.as_mut().unwrap();
        let at = (table[position / BLOCK_SIZE] as usize * heads.keys * BLOCK_SIZE + position % BLOCK_SIZE) * heads.size;
        &mut values[at..at + heads.size]
    }
}

/// Query heads, key heads, values per head: as models have them, and odd ones.
pub const SHAPES: [(usize, usize, usize); 10] = [
    (4, 4, 64),
    (8, 1, 64),
    (6, 2, 128),
    (8, 2, 256),
    (5, 1, 80),
    (6, 1, 96),
    (7, 1, 40),
    (4, 1, 33),
    (3, 3, 8),
    (20, 1, 160),
];

/// Heads of a shape whose scores are spread well.
pub fn heads((queries, keys, size): (usize, usize, usize), cap: Option<f32>, mask: Mask) -> Heads {
    Heads { queries, keys, size, scale: 6.0 / (size as f32).sqrt(), cap, mask }
}

/// A plan's GPU: without multiprocessors nothing is in parts, with many all that can be.
pub fn planner(heads: Heads, tile_rows: usize, multiprocessors: usize) -> Planner {
    Planner { heads, tile_rows, multiprocessors }
}

/// A part.
pub fn part(text: u64, start: usize, len: usize) -> Part {
    Part { text, start, len }
}

/// Steps whose results are compared with the formula.
fn some_steps<T: Stored>(heads: &Heads) -> Vec<Step<T>> {
    let mixed = [part(1, 0, 50), part(2, 37, 19), part(3, 1099, 1), part(4, 511, 2), part(5, 0, 1), part(6, 700, 3)];
    vec![Step::new(heads, &mixed, true), Step::new(heads, &[part(1, 0, 65), part(2, 0, 1), part(3, 0, 131)], false)]
}

/// That results are near the formula. `run` gives the rows of a step, those behind too, which it must leave as they were: `mark`.
pub fn assert_attention<T: Stored>(
    (shape, tile_rows): ((usize, usize, usize), usize),
    (mark, steps): (T, f32),
    run: &dyn Fn(&Planner, &Step<T>) -> Vec<T>,
) {
    let masks = [
        Mask::causal(None),
        Mask::causal(Some(1)),
        Mask::causal(Some(45)),
        Mask::causal(Some(600)),
        Mask::both(None),
        Mask::both(Some(70)),
    ];
    for (mask, cap) in masks.into_iter().flat_map(|mask| [(mask, None), (mask, Some(2.5))]) {
        let heads = heads(shape, cap, mask);
        for step in some_steps::<T>(&heads) {
            let right = step.wide(|source| formula(&heads, source, &step.sequences, step.tokens()));
            for multiprocessors in [0, 1000] {
                let found = run(&planner(heads, tile_rows, multiprocessors), &step);
                assert_near(&found[..right.len()], &right, steps);
                assert!(found[right.len()..].iter().all(|x| *x == mark), "rows behind: {heads:?}");
            }
        }
    }
}

/// That a row has the same bits in every step it may be in, and however that is shared out.
pub fn assert_invariant<T: Stored>(
    (shape, tile_rows): ((usize, usize, usize), usize),
    run: &dyn Fn(&Planner, &Step<T>) -> Vec<T>,
) {
    // Chunks begin at 512 and 1024; windows begin within chunks and KV blocks.
    let steps = [
        vec![part(1, 1060, 40)],
        vec![part(1, 1060, 7)],
        vec![part(1, 1067, 33), part(2, 0, 9)],
        vec![part(3, 500, 30)],
        vec![part(3, 511, 1), part(1, 1099, 1), part(4, 31, 1)],
        vec![part(4, 0, 40), part(3, 510, 3), part(1, 1086, 2)],
        vec![part(1, 1080, 1)],
        vec![part(1, 1088, 1), part(1, 1087, 1), part(3, 529, 1), part(2, 8, 1)],
        vec![part(2, 0, 1), part(2, 1, 1), part(4, 32, 8)],
    ];
    for window in [None, Some(33), Some(540), Some(600)] {
        let heads = heads(shape, None, Mask::causal(window));
        let mut results = Results::new();
        for parts in &steps {
            let step = Step::new(&heads, parts, true);
            for multiprocessors in [0, 1000] {
                results.add(&heads, &step, &run(&planner(heads, tile_rows, multiprocessors), &step));
            }
        }
        assert!(results.again > 200, "{}", results.again);
    }
    let texts = [part(1, 0, 90), part(2, 0, 1), part(3, 0, 200), part(4, 0, 33)];
    for window in [None, Some(50)] {
        let heads = heads(shape, None, Mask::both(window));
        let mut results = Results::new();
        for parts in [&texts[..], &texts[2..], &texts[..1], &texts[1..3]] {
            let step = Step::new(&heads, parts, false);
            results.add(&heads, &step, &run(&planner(heads, tile_rows, 1000), &step));
        }
        assert!(results.again > 200, "{}", results.again);
    }
}

/// Results of positions of texts.
struct Results<T> {
    rows: HashMap<(u64, usize), Vec<T>>,
    /// How many were there before.
    again: usize,
}

impl<T: Stored> Results<T> {
    fn new() -> Self {
        Self { rows: HashMap::new(), again: 0 }
    }

    fn add(&mut self, heads: &Heads, step: &Step<T>, found: &[T]) {
        let mut rows = found.chunks_exact(heads.queries * heads.size);
        for part in &step.parts {
            for (position, row) in (part.start..part.start + part.len).zip(rows.by_ref()) {
                assert!(row.iter().all(|x| x.wide().is_finite()));
                if let Some(before) = self.rows.insert((part.text, position), row.to_vec()) {
                    assert!(before == row, "position {position} of {part:?} in {:?}: {heads:?}", step.parts);
                    self.again += 1;
                }
            }
        }
    }
}

/// That a value that is not finite reaches the rows that see it, and no others.
pub fn assert_contained<T: Stored>(
    (shape, tile_rows): ((usize, usize, usize), usize),
    run: &dyn Fn(&Planner, &Step<T>) -> Vec<T>,
) {
    for (window, bad) in [(None, 70), (None, 95), (Some(9), 70), (Some(20), 96)] {
        let heads = heads(shape, None, Mask::causal(window));
        let planner = planner(heads, tile_rows, 1000);
        let mut step = Step::<T>::new(&heads, &[part(1, 60, 60), part(2, 0, 3)], true);
        let right = run(&planner, &step);
        step.value(&heads, bad).fill(T::narrow(f32::INFINITY));
        let found = run(&planner, &step);
        for (at, (found, right)) in found.iter().zip(&right).enumerate().take(63 * heads.queries * heads.size) {
            let (row, head) = (at / heads.size / heads.queries, at / heads.size % heads.queries);
            let position = 60 + row;
            let sees = row < 60 && head < heads.group() && heads.mask.keys(position, position, 120).contains(&bad);
            assert!(if sees { !found.wide().is_finite() } else { found == right }, "row {row}, head {head}: {heads:?}");
        }
    }
}
