//! `attention.cuh` and `attention.cu`: f32. What the 16-bit kernels compute but for the rounding of weights and the order of
//! sums within a KV block.

use std::ops::Range;

use super::numbers::warp_sum;
use crate::cpu::cache::BLOCK_SIZE;
use crate::cuda::plan::{CHUNK, Heads, PART_ROWS, Plan, Sequence, WHOLE};

/// Where numbers come from.
pub struct Source<'a> {
    /// `[tokens, (queries + 2·keys)·size]`.
    pub qkv: &'a [f32],
    /// Keys and values, `[kv_blocks][key heads][32][size]`, and the table; keys and values of the rows where there is none.
    pub cache: Option<(&'a [f32], &'a [f32], &'a [u32])>,
}

impl Source<'_> {
    fn query(&self, heads: &Heads, row: usize, head: usize) -> &[f32] {
        let width = (heads.queries + 2 * heads.keys) * heads.size;
        &self.qkv[row * width + head * heads.size..][..heads.size]
    }

    /// The key and the value of a position.
    fn key(&self, heads: &Heads, sequence: &Sequence, head: usize, position: usize) -> [&[f32]; 2] {
        if let Some((keys, values, table)) = self.cache {
            let kv_block = table[sequence.kv_blocks as usize + position / BLOCK_SIZE] as usize;
            let at = ((kv_block * heads.keys + head) * BLOCK_SIZE + position % BLOCK_SIZE) * heads.size;
            return [keys, values].map(|cache| &cache[at..at + heads.size]);
        }
        let row = sequence.first as usize + position;
        [heads.queries + head, heads.queries + heads.keys + head].map(|head| self.query(heads, row, head))
    }
}

/// A row's softmax so far.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    highest: f32,
    sum: f32,
    values: Vec<f32>,
}

impl State {
    fn nothing(size: usize) -> Self {
        Self { highest: f32::NEG_INFINITY, sum: 0.0, values: vec![0.0; size] }
    }

    /// `factors` and `merge`.
    fn merge(&mut self, added: &Self) {
        let highest = self.highest.max(added.highest);
        let (before, factor) = (exp_under(self.highest, highest), exp_under(added.highest, highest));
        let join = |x: f32, y: f32| x.mul_add(before, y * factor);
        self.sum = join(self.sum, added.sum);
        self.values.iter_mut().zip(&added.values).for_each(|(x, y)| *x = join(*x, *y));
        self.highest = highest;
    }

    /// The states of chunks in ascending order.
    fn merged(size: usize, states: impl Iterator<Item = Self>) -> Self {
        states.fold(Self::nothing(size), |mut total, state| {
            total.merge(&state);
            total
        })
    }

    /// `quotient`.
    fn result(&self) -> Vec<f32> {
        self.values.iter().map(|x| x / self.sum + 0.0).collect()
    }
}

/// exp(x - highest), where nothing is 0.
fn exp_under(x: f32, highest: f32) -> f32 {
    let reference = if highest == f32::NEG_INFINITY { 0.0 } else { highest };
    libm::expf(x - reference)
}

/// A row: its query, and the keys it sees.
struct Row<'a> {
    heads: &'a Heads,
    query: &'a [f32],
    sees: Range<usize>,
    /// The key and the value of a position.
    key: &'a dyn Fn(usize) -> [&'a [f32]; 2],
}

impl Row<'_> {
    /// The state of a chunk.
    fn chunk(&self, chunk: usize) -> State {
        let mut state = State::nothing(self.heads.size);
        for kv_block in chunk * CHUNK / BLOCK_SIZE..(chunk + 1) * CHUNK / BLOCK_SIZE {
            self.kv_block(kv_block * BLOCK_SIZE, &mut state);
        }
        state
    }

    fn kv_block(&self, base: usize, state: &mut State) {
        let seen = self.sees.start.max(base)..self.sees.end.min(base + BLOCK_SIZE);
        if seen.is_empty() {
            return;
        }
        let mut scores = [f32::NEG_INFINITY; BLOCK_SIZE];
        seen.clone().for_each(|position| scores[position - base] = self.score((self.key)(position)[0]));
        let highest = scores.iter().fold(state.highest, |highest, score| highest.max(*score));
        let weights = scores.map(|score| exp_under(score, highest));
        let factor = exp_under(state.highest, highest);
        state.highest = highest;
        state.sum = state.sum.mul_add(factor, warp_sum(&weights));
        state.values.iter_mut().for_each(|x| *x *= factor);
        for position in seen {
            let value = (self.key)(position)[1];
            state.values.iter_mut().zip(value).for_each(|(x, value)| *x = weights[position - base].mul_add(*value, *x));
        }
    }

    fn score(&self, key: &[f32]) -> f32 {
        let product = self.query.iter().zip(key).fold(0.0f32, |sum, (query, key)| query.mul_add(*key, sum));
        let score = product * self.heads.scale;
        self.heads.cap.map_or(score, |cap| libm::tanhf(score / cap) * cap)
    }
}

/// Runs a plan as a GPU does: tiles of `tile_rows`, parts by way of their states. `out` is `[tokens, queries·size]`.
pub fn attend(heads: &Heads, source: &Source<'_>, plan: &Plan, tile_rows: usize, out: &mut [f32]) {
    let Heads { queries, keys, size, .. } = *heads;
    let mut space = std::collections::HashMap::new();
    // Every row of a tile: its key head, its place in the tile, its row of the step, its query head.
    let rows = |sequence: Sequence, tile: u32, tile_rows: usize| {
        let (group, tile) = (heads.group(), tile as usize * tile_rows);
        let end = (tile + tile_rows).min(sequence.tokens as usize * group);
        (0..keys).flat_map(move |head| {
            (tile..end)
                .map(move |row| (head, row - tile, sequence.first as usize + row / group, head * group + row % group))
        })
    };
    let mut write = |token: usize, head: usize, state: &State| {
        out[(token * queries + head) * size..][..size].copy_from_slice(&state.result());
    };
    for item in &plan.items {
        let sequence = item.sequence;
        for (head, local, token, query_head) in rows(sequence, item.tile, tile_rows) {
            let position = sequence.start as usize + token - sequence.first as usize;
            let sees = heads.mask.keys(position, position, (sequence.start + sequence.tokens) as usize);
            let key = |position| source.key(heads, &sequence, head, position);
            let row = Row { heads, query: source.query(heads, token, query_head), sees, key: &key };
            let mut chunks = (item.from..item.to).map(|chunk| row.chunk(chunk as usize));
            if item.partial == WHOLE {
                write(token, query_head, &State::merged(size, chunks));
            } else {
                space.insert((item.partial, head, local), chunks.next().unwrap());
            }
        }
    }
    for item in &plan.combines {
        for (head, local, token, query_head) in rows(item.sequence, 0, PART_ROWS) {
            let parts = (item.from..item.to).zip(item.partial..);
            let states = parts.map(|(_, partial)| space[&(partial, head, local)].clone());
            write(token, query_head, &State::merged(size, states));
        }
    }
}

/// Softmax by its formula, in f64, for every token and query head of sequences, the others' rows being 0.
pub fn formula(heads: &Heads, source: &Source<'_>, sequences: &[Sequence], tokens: usize) -> Vec<f64> {
    let Heads { queries, size, .. } = *heads;
    let mut out = vec![0.0; tokens * queries * size];
    for sequence in sequences {
        let (first, start, tokens) = (sequence.first as usize, sequence.start as usize, sequence.tokens as usize);
        for (token, head) in (0..tokens).flat_map(|token| (0..queries).map(move |head| (token, head))) {
            let key = |position| source.key(heads, sequence, head / heads.group(), position);
            let query = source.query(heads, first + token, head);
            let scored = |position: usize| {
                let pairs = query.iter().zip(key(position)[0]);
                let product: f64 = pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
                let score = product * f64::from(heads.scale);
                heads.cap.map_or(score, |cap| libm::tanh(score / f64::from(cap)) * f64::from(cap))
            };
            let sees = heads.mask.keys(start + token, start + token, start + tokens);
            let scores: Vec<f64> = sees.clone().map(scored).collect();
            let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|score| libm::exp(score - highest)).collect();
            let sum: f64 = weights.iter().sum();
            let out = &mut out[((first + token) * queries + head) * size..][..size];
            for (position, weight) in sees.zip(weights) {
                let values = key(position)[1].iter();
                out.iter_mut().zip(values).for_each(|(x, value)| *x += weight / sum * f64::from(*value));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::plan::Planner;
    use crate::cuda::reference::steps::{SHAPES, Step, assert_attention, assert_contained, assert_invariant};

    const MARK: f32 = 7.0;

    fn run(planner: &Planner, step: &Step<f32>) -> Vec<f32> {
        let heads = &planner.heads;
        let mut out = vec![MARK; (step.tokens() + 2) * heads.queries * heads.size];
        let plan = planner.plan(&step.sequences);
        step.wide(|source| attend(heads, source, &plan, planner.tile_rows, &mut out));
        out
    }

    #[test]
    fn it_is_near_the_formula() {
        // Sizes make no difference here.
        for shape in SHAPES.into_iter().filter(|(_, _, size)| *size <= 40) {
            assert_attention((shape, 16), (MARK, 256.0), &run);
            assert_attention((shape, 64), (MARK, 256.0), &run);
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_step() {
        assert_invariant(((4, 2, 8), 16), &run);
        assert_invariant(((4, 2, 8), 64), &run);
        assert_invariant(((5, 1, 12), 16), &run);
    }

    #[test]
    fn what_is_not_finite_is_contained() {
        assert_contained(((4, 2, 8), 16), &run);
    }
}
