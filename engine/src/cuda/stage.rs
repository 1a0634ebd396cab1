//! What a step tells the GPU: one buffer of words, filled on the host and copied at once. Plain data.
//!
//! Where things lie depends on the padded batch size alone, so that what was captured for one step serves all of that size.

use std::ops::Range;

use super::plan::{self, Item, Plan, Planner};
use crate::cpu::cache::BLOCK_SIZE;
use crate::cpu::rotary::{Rope, RopeRows};
use crate::error::{Error, Result};
use crate::scheduler::backend::Step;

/// Words at a multiple of which everything begins: 16 bytes.
const ALIGNMENT: usize = 4;

/// Where the counts of plans begin among the counts.
pub const PLANS: usize = 3;

/// The padded batch size of so many rows: powers of two and what lies halfway between them, from 16 to `most`. At most
/// a third of the rows is padding then.
pub fn padded(rows: usize, most: usize) -> usize {
    let power = rows.next_power_of_two();
    let between = power / 4 * 3;
    (if rows <= between { between } else { power }).max(16).min(most)
}

/// What all steps have in common.
pub struct Bounds {
    /// Sequences of a step at most.
    pub sequences: usize,
    /// Tokens of the longest.
    pub longest: usize,
    /// Rotary embeddings.
    pub ropes: Vec<Rope>,
    /// Who shares out attention, for each window of a layer.
    pub planners: Vec<Planner>,
}

/// Where things lie, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Rows.
    pub rows: usize,
    /// The number of rows; of KV blocks to copy; of deferred tokens; of items and combined items of every plan.
    pub counts: Range<usize>,
    /// `[rows]`: token ids.
    pub ids: Range<usize>,
    /// `[rows]`: KV blocks.
    pub kv_block: Range<usize>,
    /// `[rows]`: positions.
    pub position: Range<usize>,
    /// `[rows, pairs]`: cosines and sines of every rotary embedding.
    pub angles: Vec<[Range<usize>; 2]>,
    /// `[sequences, 2]`: KV blocks to copy, from, to.
    pub copies: Range<usize>,
    /// `[sequences, 2]`: deferred tokens: row, output request of the step before.
    pub deferred: Range<usize>,
    /// Items and combined items of every plan.
    pub plans: Vec<[Range<usize>; 2]>,
    /// The KV blocks of the sequences.
    pub table: usize,
}

impl Layout {
    /// Where the count with this number lies.
    pub fn count(&self, at: usize) -> Range<usize> {
        self.counts.start + at..self.counts.start + at + 1
    }

    /// The layout of steps of this padded batch size.
    pub fn new(bounds: &Bounds, rows: usize) -> Self {
        let mut end = 0;
        let mut take = |words: usize| {
            let start = end;
            end = start + words.next_multiple_of(ALIGNMENT);
            start..start + words
        };
        let sequences = bounds.sequences.min(rows);
        let counts = take(PLANS + 2 * bounds.planners.len());
        let (ids, kv_block, position) = (take(rows), take(rows), take(rows));
        let angles = bounds.ropes.iter().map(|rope| [(); 2].map(|()| take(rows * rope.pairs()))).collect();
        let copies = take(2 * bounds.sequences);
        let deferred = take(2 * bounds.sequences);
        let plans = bounds.planners.iter().map(|planner| {
            let most = planner.most(rows, sequences, bounds.longest);
            [take(most.items * Item::WORDS), take(most.combines * Item::WORDS)]
        });
        let plans = plans.collect();
        Self { rows, counts, ids, kv_block, position, angles, copies, deferred, plans, table: end }
    }

    /// Words of the largest step whose sequences have at most so many KV blocks.
    pub fn words(&self, bounds: &Bounds, kv_blocks: usize) -> usize {
        // One more, so that a table of no KV blocks is no empty buffer.
        self.table + (bounds.sequences.min(self.rows) * kv_blocks).max(1)
    }

    /// Writes a step and gives the number of words that say something.
    ///
    /// # Errors
    /// The step has more of something than there is room for.
    pub fn write(&self, bounds: &Bounds, step: &Step, words: &mut [u32]) -> Result<usize> {
        let rows = step.tokens.len();
        let (sequences, table) = plan::cached(&step.segments);
        let used = self.table + table.len();
        let pairs = |list: usize, place: &Range<usize>| 2 * list <= place.len();
        let fits = pairs(step.copies.len(), &self.copies) && pairs(step.deferred.len(), &self.deferred);
        let fits = fits && rows <= self.rows && used <= words.len();
        if !fits || step.segments.iter().map(|segment| segment.len).sum::<usize>() != rows {
            return Err(Error::internal(format!(
                "failed to stage a step of {rows} tokens for {} rows of a GPU",
                self.rows
            )));
        }
        words[self.count(0).start] = rows as u32;
        words[self.count(1).start] = step.copies.len() as u32;
        words[self.count(2).start] = step.deferred.len() as u32;
        words[self.ids.clone()][..rows].copy_from_slice(&step.tokens);
        for (at, (from, to)) in step.copies.iter().enumerate() {
            words[self.copies.start + 2 * at] = *from;
            words[self.copies.start + 2 * at + 1] = *to;
        }
        for (at, deferred) in step.deferred.iter().enumerate() {
            words[self.deferred.start + 2 * at] = deferred.row as u32;
            words[self.deferred.start + 2 * at + 1] = deferred.output as u32;
        }
        let tokens = step.segments.iter().flat_map(|s| (s.start..s.start + s.len).map(move |at| (s, at)));
        let mut positions = Vec::with_capacity(rows);
        for (row, (segment, at)) in tokens.enumerate() {
            words[self.kv_block.start + row] = segment.blocks[at / BLOCK_SIZE];
            words[self.position.start + row] = at as u32;
            positions.push(at);
        }
        let rotations: Vec<usize> = step.segments.iter().flat_map(|s| std::iter::repeat_n(s.rotation, s.len)).collect();
        for (rope, [cosines, sines]) in bounds.ropes.iter().zip(&self.angles) {
            let angles = RopeRows::new(&positions, &rotations, rope);
            for (to, from) in [(cosines, angles.cosines()), (sines, angles.sines())] {
                words[to.clone()].iter_mut().zip(from).for_each(|(to, from)| *to = from.to_bits());
            }
        }
        for (at, (planner, places)) in bounds.planners.iter().zip(&self.plans).enumerate() {
            let Plan { items, combines } = planner.plan(&sequences);
            for (list, place, count) in [(items, &places[0], 2 * at), (combines, &places[1], 2 * at + 1)] {
                words[self.count(PLANS + count).start] = list.len() as u32;
                let Some(to) = words[place.clone()].get_mut(..list.len() * Item::WORDS) else {
                    return Err(Error::internal(format!("failed to stage {} shares of attention", list.len())));
                };
                let (to, _) = to.as_chunks_mut::<{ Item::WORDS }>();
                to.iter_mut().zip(list).for_each(|(to, item)| *to = item.words());
            }
        }
        words[self.table..used].copy_from_slice(&table);
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::plan::{Heads, Mask};
    use crate::scheduler::backend::{DeferredToken, Segment};

    #[test]
    fn rooms_are_few_and_large_enough() {
        let sizes: std::collections::BTreeSet<usize> = (1..=2048).map(|rows| padded(rows, 2048)).collect();
        assert!(sizes.len() < 20, "{sizes:?}");
        for rows in 1..=2048 {
            let size = padded(rows, 2048);
            assert!(size >= rows && (size == 16 || size * 2 <= rows * 3), "{rows}: {size}");
        }
        assert_eq!(padded(100, 112), 112);
    }

    #[test]
    fn a_step_is_laid_out_without_overlap() {
        let heads = Heads { queries: 4, keys: 2, size: 8, scale: 1.0, cap: None, mask: Mask::causal(None) };
        let planner = |window| Planner {
            heads: Heads { mask: Mask::causal(window), ..heads },
            tile_rows: 16,
            multiprocessors: 1,
        };
        let ropes = vec![Rope::fixed(vec![1.0, 0.1, 0.01, 0.001])];
        let bounds = Bounds { sequences: 8, longest: 4096, ropes, planners: vec![planner(None), planner(Some(5))] };
        let layout = Layout::new(&bounds, 32);
        let mut places =
            vec![&layout.counts, &layout.ids, &layout.kv_block, &layout.position, &layout.copies, &layout.deferred];
        places.extend(layout.angles.iter().chain(&layout.plans).flatten());
        places.sort_by_key(|place| (place.start, place.end));
        assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start && pair[1].start % ALIGNMENT == 0));
        assert!(places.iter().all(|place| place.end <= layout.table));

        let segment = |start, len, kv_blocks: &[u32]| Segment { start, len, blocks: kv_blocks.into(), rotation: 0 };
        let step = Step {
            copies: vec![(7, 9)],
            tokens: vec![5, 6, 0, 8],
            deferred: vec![DeferredToken { row: 2, output: 9 }],
            segments: vec![segment(31, 2, &[3, 4]), segment(0, 2, &[9])],
            ..Step::default()
        };
        let mut words = vec![u32::MAX; layout.words(&bounds, 4)];
        let used = layout.write(&bounds, &step, &mut words).unwrap();
        assert_eq!(words[layout.counts.clone()], [4, 1, 1, 2, 0, 2, 0]);
        assert_eq!(words[layout.ids.clone()][..4], [5, 6, 0, 8]);
        assert_eq!(words[layout.deferred.clone()][..2], [2, 9]);
        assert_eq!(words[layout.kv_block.clone()][..4], [3, 4, 9, 9]);
        assert_eq!(words[layout.position.clone()][..4], [31, 32, 0, 1]);
        assert_eq!(words[layout.copies.clone()][..2], [7, 9]);
        assert_eq!(words[layout.table..used], [3, 4, 9]);
        assert_eq!(f32::from_bits(words[layout.angles[0][0].start]), 31f64.cos() as f32);
        assert!(layout.write(&bounds, &Step { tokens: vec![1; 33], ..step }, &mut words).is_err());
    }
}
