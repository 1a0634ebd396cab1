//! The paged KV cache in host memory, laid out for the attention kernel.
//!
//! A page holds [`PAGE`] tokens of one sequence, and position p always lies at slot p % PAGE of the sequence's page
//! p / PAGE, so that key blocks start at absolute positions whatever the chunking. Keys lie transposed (`[size][PAGE]`):
//! the kernel multiplies one query value with sixteen keys at once. Values lie as rows padded to whole lanes.

use candle_core::Tensor;
use rayon::prelude::*;

use super::ops;
use crate::engine::backend::Segment;
use crate::engine::simd::WIDTH;
use crate::error::{Error, Result};

/// Tokens per page, and keys per block of the attention kernel.
pub const PAGE: usize = 32;

/// Heads and sizes of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheShape {
    /// Layers.
    pub layers: usize,
    /// Key/value heads.
    pub heads: usize,
    /// Values per head.
    pub size: usize,
}

impl CacheShape {
    /// f32 values of one head's keys in one page.
    pub fn key_block(&self) -> usize {
        self.size * PAGE
    }

    /// Length of a value row, padded to whole lanes.
    pub fn value_stride(&self) -> usize {
        self.size.next_multiple_of(WIDTH)
    }

    /// f32 values of one head's values in one page.
    pub fn value_block(&self) -> usize {
        self.value_stride() * PAGE
    }

    /// Bytes of one page over all layers.
    pub fn page_bytes(&self) -> usize {
        self.layers * self.heads * (self.key_block() + self.value_block()) * size_of::<f32>()
    }
}

/// Keys and values of one layer.
pub struct LayerCache {
    shape: CacheShape,
    pages: usize,
    /// `[heads][pages][size][PAGE]`
    keys: Vec<f32>,
    /// `[heads][pages][PAGE][value_stride]`
    values: Vec<f32>,
}

impl LayerCache {
    /// Keys and values of one head: `[pages]` blocks each.
    pub fn head(&self, head: usize) -> (&[f32], &[f32]) {
        let (key, value) = (self.pages * self.shape.key_block(), self.pages * self.shape.value_block());
        (&self.keys[head * key..(head + 1) * key], &self.values[head * value..(head + 1) * value])
    }

    /// Copies one page over another.
    fn copy(&mut self, from: u32, to: u32) {
        for (values, block) in [(&mut self.keys, self.shape.key_block()), (&mut self.values, self.shape.value_block())]
        {
            for head in 0..self.shape.heads {
                let at = |page: u32| (head * self.pages + page as usize) * block;
                values.copy_within(at(from)..at(from) + block, at(to));
            }
        }
    }

    /// Stores the key and value heads of the fused rows `[tokens, (queries + 2·heads)·size]` of a step.
    pub fn write(&mut self, qkv: &Tensor, queries: usize, segments: &[Segment]) -> Result<()> {
        let shape = self.shape;
        let width = (queries + 2 * shape.heads) * shape.size;
        let (key_pages, value_pages) = (self.pages * shape.key_block(), self.pages * shape.value_block());
        ops::with_values(qkv, |rows| {
            let keys = self.keys.par_chunks_mut(key_pages);
            let values = self.values.par_chunks_mut(value_pages);
            keys.zip(values).enumerate().for_each(|(head, (keys, values))| {
                let key_at = (queries + head) * shape.size;
                let value_at = key_at + shape.heads * shape.size;
                let mut rows = rows.chunks_exact(width);
                for segment in segments {
                    for position in segment.start..segment.start + segment.len {
                        let Some(row) = rows.next() else { return };
                        let (page, slot) = (segment.pages[position / PAGE] as usize, position % PAGE);
                        let block = &mut keys[page * shape.key_block()..][..shape.key_block()];
                        for (i, x) in row[key_at..key_at + shape.size].iter().enumerate() {
                            block[i * PAGE + slot] = *x;
                        }
                        let at = page * shape.value_block() + slot * shape.value_stride();
                        values[at..at + shape.size].copy_from_slice(&row[value_at..value_at + shape.size]);
                    }
                }
            });
        })
    }
}

/// The pages of all layers.
pub struct KvCache {
    /// One per layer.
    pub layers: Vec<LayerCache>,
    /// Pages of each layer.
    pub pages: usize,
}

impl KvCache {
    /// Reserves address space for `pages` pages; memory is only used once a page is written.
    ///
    /// # Errors
    /// The size does not fit the address space.
    pub fn new(shape: CacheShape, pages: usize) -> Result<Self> {
        let zeroed = |len: Option<usize>| -> Result<Vec<f32>> {
            let len = len.filter(|len| *len < isize::MAX as usize / size_of::<f32>());
            let Some(len) = len else { return Err(Error::input("reserve the KV cache").with_hint("lower --kv-gib")) };
            Ok(vec![0.0; len])
        };
        let layers = (0..shape.layers)
            .map(|_| {
                Ok(LayerCache {
                    shape,
                    pages,
                    keys: zeroed((pages * shape.heads).checked_mul(shape.key_block()))?,
                    values: zeroed((pages * shape.heads).checked_mul(shape.value_block()))?,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers, pages })
    }

    /// Copies pages, from, to, in all layers.
    pub fn copy(&mut self, copies: &[(u32, u32)]) {
        self.layers.par_iter_mut().for_each(|layer| copies.iter().for_each(|(from, to)| layer.copy(*from, *to)));
    }
}
