//! How attention's work is shared out over blocks of a GPU. Plain data; see `attention.cuh`.
//!
//! A step's query rows (a token and one of the query heads that share a key head) are cut into tiles, and a block walks the keys
//! that a tile sees, for one key head. Where a sequence has few rows and far more keys than its share of the GPU, each chunk of
//! its keys is a block's, and a second kernel puts the chunks' states together. Which way a sequence goes depends on the step;
//! its bits do not, since the arithmetic is that of the chunks either way.

use std::cmp::Reverse;
use std::ops::Range;

use crate::cpu::cache::BLOCK_SIZE;
use crate::scheduler::backend::Segment;

/// Keys of a chunk.
pub const CHUNK: usize = 16 * BLOCK_SIZE;
/// Rows of a state in parts: sequences with more rows are never split.
pub const PART_ROWS: usize = 16;
/// States of one chunk and key head that there is room for, at 16 rows each: 66 MiB where heads have 128 values.
const STATES: usize = 8192;
/// Blocks that a multiprocessor is to have: some compute while others wait for memory.
const BLOCKS: usize = 4;
/// `WHOLE` of `attention.cuh`.
pub const WHOLE: u32 = u32::MAX;

/// A share of the work: `Item` of `attention.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whose.
    pub sequence: Sequence,
    /// Which rows: `tile · tile_rows…` of the sequence.
    pub tile: u32,
    /// First chunk.
    pub from: u32,
    /// The chunk behind the last one.
    pub to: u32,
    /// Where the state of the only chunk goes, or where those to combine begin; [`WHOLE`] where the block writes the result.
    pub partial: u32,
}

impl Item {
    /// Numbers of an item on the GPU.
    pub const WORDS: usize = 8;

    /// As it lies on the GPU.
    pub fn words(self) -> [u32; Self::WORDS] {
        let Sequence { first, tokens, start, kv_blocks } = self.sequence;
        [first, tokens, start, kv_blocks, self.tile, self.from, self.to, self.partial]
    }
}

/// Consecutive tokens of one sequence in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// Row of the first.
    pub first: u32,
    /// How many.
    pub tokens: u32,
    /// Position of the first.
    pub start: u32,
    /// Where the sequence's KV blocks begin in the table; 0 where there is none.
    pub kv_blocks: u32,
}

/// The sequences of a step with a cache, and the table of their KV blocks.
pub fn cached(segments: &[Segment]) -> (Vec<Sequence>, Vec<u32>) {
    let (mut sequences, mut table, mut first) = (Vec::with_capacity(segments.len()), Vec::new(), 0);
    for segment in segments {
        let (tokens, start, kv_blocks) = (segment.len as u32, segment.start as u32, table.len() as u32);
        sequences.push(Sequence { first, tokens, start, kv_blocks });
        table.extend(&segment.blocks);
        first += tokens;
    }
    (sequences, table)
}

/// The sequences of a step without a cache: whole texts of these lengths, back to back.
pub fn packed(lens: impl IntoIterator<Item = usize>) -> Vec<Sequence> {
    let mut first = 0;
    let sequence = |len| {
        let sequence = Sequence { first, tokens: len as u32, start: 0, kv_blocks: 0 };
        first += sequence.tokens;
        sequence
    };
    lens.into_iter().map(sequence).collect()
}

/// What a token sees: itself, and others of its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mask {
    /// How many positions before it; `None`: all.
    pub before: Option<usize>,
    /// How many behind it; `None`: all.
    pub after: Option<usize>,
}

impl Mask {
    /// All before it, or of those the last `window - 1`.
    pub fn causal(window: Option<usize>) -> Self {
        Self { before: window.map(|window| window.saturating_sub(1)), after: Some(0) }
    }

    /// All, or `window / 2` on either side.
    pub fn both(window: Option<usize>) -> Self {
        let side = window.map(|window| window / 2);
        Self { before: side, after: side }
    }

    /// The keys that positions `first..=last` see of a sequence of `end` tokens.
    pub fn keys(self, first: usize, last: usize, end: usize) -> Range<usize> {
        let from = self.before.map_or(0, |before| first.saturating_sub(before));
        from..self.after.map_or(end, |after| last.saturating_add(after).saturating_add(1).min(end))
    }
}

/// The heads of a layer, and what their tokens see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heads {
    /// Query heads, a multiple of the key heads.
    pub queries: usize,
    /// Key/value heads.
    pub keys: usize,
    /// Values per head, 256 at most.
    pub size: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Scores become `cap · tanh(score / cap)`.
    pub cap: Option<f32>,
    /// What a token sees.
    pub mask: Mask,
}

impl Heads {
    /// Query heads that share a key head.
    pub fn group(&self) -> usize {
        self.queries / self.keys.max(1)
    }
}

/// Shares the work of layers that have equal heads and see the same.
#[derive(Clone, Copy, Debug)]
pub struct Planner {
    /// Theirs.
    pub heads: Heads,
    /// Rows of a tile: `AttentionKernels::tile_rows`.
    pub tile_rows: usize,
    /// Multiprocessors of the GPU.
    pub multiprocessors: usize,
}

/// How a step is shared out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One per block and key head, the longest first.
    pub items: Vec<Item>,
    /// Sequences in parts, to be combined.
    pub combines: Vec<Item>,
}

/// What plans need at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Most {
    /// Items.
    pub items: usize,
    /// Items to combine.
    pub combines: usize,
}

impl Planner {
    /// States of a chunk, of all key heads each, that there is room for.
    pub fn partials(&self) -> usize {
        STATES / self.heads.keys.max(1)
    }

    /// Room for the plans of all steps of at most so many tokens and sequences, of which none is longer than `longest` after
    /// the step.
    pub fn most(&self, tokens: usize, sequences: usize, longest: usize) -> Most {
        let sequences = sequences.min(tokens);
        // Each sequence's last tile may have one row.
        let tiles = (tokens * self.heads.group() + sequences * (self.tile_rows - 1)) / self.tile_rows;
        let seen = match self.heads.mask {
            Mask { before: Some(before), after: Some(after) } => before.saturating_add(after).saturating_add(PART_ROWS),
            _ => longest,
        };
        let chunks = longest.div_ceil(CHUNK).min(seen.div_ceil(CHUNK) + 1);
        // Those in parts are above the average of so many.
        let in_parts = sequences.min((self.blocks() - 1) / self.heads.keys).min(self.partials() / 2);
        if chunks < 2 || in_parts == 0 || !self.splits(1) {
            return Most { items: tiles, combines: 0 };
        }
        Most { items: tiles + self.partials().min(in_parts * chunks), combines: in_parts }
    }

    /// Blocks that the GPU is to have.
    fn blocks(&self) -> usize {
        (BLOCKS * self.multiprocessors).max(1)
    }

    /// Whether a sequence of so many tokens may be in parts.
    fn splits(&self, tokens: usize) -> bool {
        tokens * self.heads.group() <= PART_ROWS
    }

    /// Shares out a step.
    pub fn plan(&self, sequences: &[Sequence]) -> Plan {
        let mut tiles: Vec<(Item, usize)> = sequences.iter().flat_map(|sequence| self.tiles(*sequence)).collect();
        tiles.sort_by_key(|(_, keys)| Reverse(*keys));
        // What a block has to do where all have the same.
        let all: usize = tiles.iter().map(|(_, keys)| *keys).sum();
        let share = (all * self.heads.keys).div_ceil(self.blocks());
        let (mut items, mut plan, mut partial) = (Vec::new(), Plan::default(), 0);
        for (item, keys) in tiles {
            let chunks = item.to - item.from;
            let fits = (partial + chunks) as usize <= self.partials();
            if chunks < 2 || keys <= share || !fits || !self.splits(item.sequence.tokens as usize) {
                items.push((item, keys));
                continue;
            }
            plan.combines.push(Item { partial, ..item });
            for from in item.from..item.to {
                items.push((Item { from, to: from + 1, partial, ..item }, keys.min(CHUNK)));
                partial += 1;
            }
        }
        items.sort_by_key(|(_, keys)| Reverse(*keys));
        plan.items = items.into_iter().map(|(item, _)| item).collect();
        plan
    }

    /// A sequence's tiles, and how many keys each sees.
    fn tiles(&self, sequence: Sequence) -> impl Iterator<Item = (Item, usize)> {
        let Self { tile_rows, heads, .. } = *self;
        let (group, start, tokens) = (heads.group(), sequence.start as usize, sequence.tokens as usize);
        (0..(tokens * group).div_ceil(tile_rows)).map(move |tile| {
            let (first, last) = (tile * tile_rows / group, ((tile + 1) * tile_rows - 1) / group);
            let keys = heads.mask.keys(start + first, start + last.min(tokens - 1), start + tokens);
            let (from, to) = ((keys.start / CHUNK) as u32, keys.end.div_ceil(CHUNK) as u32);
            (Item { sequence, tile: tile as u32, from, to, partial: WHOLE }, keys.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn heads(queries: usize, keys: usize, mask: Mask) -> Heads {
        Heads { queries, keys, size: 64, scale: 1.0, cap: None, mask }
    }

    fn planners() -> impl Strategy<Value = Planner> {
        let mask = prop_oneof![
            proptest::option::of(1usize..3000).prop_map(Mask::causal),
            proptest::option::of(1usize..3000).prop_map(Mask::both),
        ];
        (1usize..40, 1usize..9, prop_oneof![Just(16usize), Just(64)], mask, 0usize..200).prop_map(
            |(group, keys, tile_rows, mask, multiprocessors)| Planner {
                heads: heads(group * keys, keys, mask),
                tile_rows,
                multiprocessors,
            },
        )
    }

    fn segments() -> impl Strategy<Value = Vec<Segment>> {
        let len = prop_oneof![3 => Just(1usize), 1 => 0usize..200];
        let start = prop_oneof![1 => Just(0usize), 2 => 0usize..3000, 1 => 0usize..200_000];
        let segment = (start, len).prop_map(|(start, len)| {
            let kv_blocks = (0..(start + len).div_ceil(BLOCK_SIZE) as u32).collect();
            Segment { start, len, blocks: kv_blocks, rotation: 0 }
        });
        proptest::collection::vec(segment, 0..20)
    }

    proptest! {
        #[test]
        fn every_row_sees_every_key_once(planner in planners(), segments in segments()) {
            let (sequences, table) = cached(&segments);
            let plan = planner.plan(&sequences);
            let (group, mask) = (planner.heads.group(), planner.heads.mask);
            let tokens = segments.iter().map(|segment| segment.len).sum();
            let longest = segments.iter().map(|segment| segment.start + segment.len).max().unwrap_or(0);
            let most = planner.most(tokens, segments.iter().filter(|segment| segment.len > 0).count(), longest);
            prop_assert!(plan.items.len() <= most.items && plan.combines.len() <= most.combines);
            let mut written = HashSet::new();
            let mut partials = HashSet::new();
            for item in &plan.items {
                let (sequence, whole) = (item.sequence, item.partial == WHOLE);
                prop_assert!(sequences.contains(&sequence) && item.from < item.to);
                let (start, tokens) = (sequence.start as usize, sequence.tokens as usize);
                let rows = item.tile as usize * planner.tile_rows..;
                let rows: Vec<usize> = rows.take(planner.tile_rows).take_while(|row| *row < tokens * group).collect();
                prop_assert!(!rows.is_empty());
                if whole {
                    for row in rows {
                        let at = start + row / group;
                        let keys = mask.keys(at, at, start + tokens);
                        prop_assert!(item.from as usize * CHUNK <= keys.start && keys.end <= item.to as usize * CHUNK);
                        prop_assert!(written.insert((sequence.first as usize + row / group, row % group)));
                    }
                } else {
                    prop_assert!(item.tile == 0 && tokens * group <= PART_ROWS && item.to == item.from + 1);
                    prop_assert!((item.partial as usize) < planner.partials() && partials.insert(item.partial));
                }
            }
            for combine in &plan.combines {
                let sequence = combine.sequence;
                let (start, tokens) = (sequence.start as usize, sequence.tokens as usize);
                let keys = mask.keys(start, start + tokens - 1, start + tokens);
                prop_assert!(combine.from as usize == keys.start / CHUNK);
                prop_assert!(combine.to as usize == keys.end.div_ceil(CHUNK) && combine.tile == 0);
                for (chunk, partial) in (combine.from..combine.to).zip(combine.partial..) {
                    let part = Item { from: chunk, to: chunk + 1, partial, ..*combine };
                    prop_assert!(plan.items.contains(&part) && partials.remove(&partial));
                }
                for row in 0..tokens * group {
                    prop_assert!(written.insert((sequence.first as usize + row / group, row % group)));
                }
            }
            prop_assert!(partials.is_empty());
            prop_assert_eq!(written.len(), tokens * group);
            for (sequence, segment) in sequences.iter().zip(&segments) {
                prop_assert_eq!(&table[sequence.kv_blocks as usize..][..segment.blocks.len()], &segment.blocks);
            }
        }
    }

    #[test]
    fn a_long_sequence_is_split_where_the_gpu_is_idle() {
        let planner = Planner { heads: heads(32, 8, Mask::causal(None)), tile_rows: 64, multiprocessors: 132 };
        let step = |count: u32, end: u32| {
            let sequence = |first| Sequence { first, tokens: 1, start: end - 1, kv_blocks: 0 };
            planner.plan(&(0..count).map(sequence).collect::<Vec<_>>())
        };
        assert_eq!((step(1, 100_000).items.len(), step(1, 100_000).combines.len()), (196, 1));
        assert_eq!((step(3, 100_000).items.len(), step(3, 100_000).combines.len()), (588, 3));
        // Enough blocks without.
        assert_eq!((step(100, 100_000).items.len(), step(100, 100_000).combines.len()), (100, 0));
        // No room for the states of all.
        assert_eq!((step(10, 150_000).items.len(), step(10, 150_000).combines.len()), (3 * 293 + 7, 3));
        // Nothing to split.
        assert_eq!((step(1, 512).items.len(), step(1, 512).combines.len()), (1, 0));
    }

    #[test]
    fn chunks_outside_the_window_are_left_out() {
        let planner = Planner { heads: heads(4, 4, Mask::causal(Some(600))), tile_rows: 16, multiprocessors: 132 };
        let plan = planner.plan(&[Sequence { first: 0, tokens: 1, start: 9999, kv_blocks: 0 }]);
        // Keys 9400..10000.
        assert_eq!(plan.combines.iter().map(|item| (item.from, item.to)).collect::<Vec<_>>(), [(18, 20)]);
        assert_eq!(plan.items.len(), 2);
    }

    #[test]
    fn items_lie_as_kernels_read_them() {
        let sequence = Sequence { first: 1, tokens: 2, start: 3, kv_blocks: 4 };
        let item = Item { sequence, tile: 5, from: 6, to: 7, partial: 8 };
        assert_eq!((item.words(), Item::WORDS), ([1, 2, 3, 4, 5, 6, 7, 8], 8));
    }

    #[test]
    fn texts_lie_back_to_back() {
        let sequences = packed([3, 0, 5]);
        let found: Vec<_> = sequences.iter().map(|sequence| (sequence.first, sequence.tokens)).collect();
        assert_eq!(found, [(0, 3), (3, 0), (3, 5)]);
    }
}
