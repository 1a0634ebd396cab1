//! Heads: norms, rotation, and where keys and values go.

use half::{bf16, f16};

use super::{Bench, COUNT, MOST, Value, assert_rows};
use crate::cpu::cache::BLOCK_SIZE;
use crate::cpu::norm::NormKind;
use crate::cpu::rotary::{HeadNorm as Host, Heads};
use crate::cuda::launch::heads::{Cache, HeadKernels, HeadNorm, Rotation};
use crate::cuda::reference::heads as reference;
use crate::cuda::reference::numbers::numbers;
use crate::cuda::reference::rows::some_norm;

/// Query heads, key heads, size, pairs: as models have them, and odd ones.
const SHAPES: [(usize, usize, usize, usize); 5] =
    [(32, 8, 128, 64), (12, 12, 64, 32), (9, 3, 80, 10), (3, 1, 33, 7), (8, 4, 256, 128)];
/// KV blocks of the cache, and those of the tokens; the last but one of the seven there are has none.
const KV_BLOCKS: usize = 6;
const BLOCK_OF: [u32; MOST] = [5, 5, 0, 2, 2, 6, 1, 3, 3];
const POSITIONS: [u32; MOST] = [30, 31, 32, 64, 65, 3, 1000, 1, 2];
/// Rows of the angles, and those of the tokens.
const ANGLES: usize = 4;
const ANGLE_OF: [u32; MOST] = [0, 1, 2, 3, 3, 2, 1, 0, 0];

#[test]
#[ignore = "needs a CUDA GPU"]
fn heads_have_the_bits_of_the_reference() {
    let bench = Bench::new();
    for shape in SHAPES {
        of::<f32>(&bench, shape);
        of::<bf16>(&bench, shape);
        of::<f16>(&bench, shape);
    }
}

fn of<T: Value>(bench: &Bench, shape: (usize, usize, usize, usize)) {
    let (queries, keys, size, _) = shape;
    let rms = |width| some_norm(NormKind::Rms, false, width);
    let layer = |width| some_norm(NormKind::Layer, true, width);
    let each = |heads: usize| {
        let mut norms = vec![some_norm(NormKind::Layer, false, size); heads];
        norms.iter_mut().enumerate().for_each(|(head, norm)| norm.weight[0] += head as f32);
        Host::Each(norms)
    };
    let kinds = [
        [Host::Each(vec![]), Host::Each(vec![])],
        [Host::Each(vec![rms(size)]), Host::Each(vec![layer(size)])],
        [each(queries), each(keys)],
        [Host::Whole(rms(queries * size)), Host::Whole(layer(keys * size))],
        [Host::Each(vec![]), Host::Whole(rms(keys * size))],
    ];
    for norms in &kinds {
        for (turned, cached) in [(true, true), (true, false), (false, true), (false, false)] {
            prepare::<T>(bench, shape, norms, (turned, cached));
        }
    }
}

fn prepare<T: Value>(
    bench: &Bench,
    (queries, keys, size, pairs): (usize, usize, usize, usize),
    norms: &[Host; 2],
    (turned, cached): (bool, bool),
) {
    let stream = &bench.opened.stream;
    let kernels = HeadKernels::load(stream, T::KIND).unwrap();
    let width = (queries + 2 * keys) * size;
    let before = numbers::<T>(MOST * width, 1);
    let (cosines, sines) = (numbers::<f32>(ANGLES * pairs, 2), numbers::<f32>(ANGLES * pairs, 3));
    let (keys_before, values_before) =
        (numbers::<T>(KV_BLOCKS * keys * BLOCK_SIZE * size, 4), numbers::<T>(KV_BLOCKS * keys * BLOCK_SIZE * size, 5));

    let mut qkv = bench.up(&before);
    let (cosines_gpu, sines_gpu, index) = (bench.up(&cosines), bench.up(&sines), bench.up(&ANGLE_OF));
    let (mut keys_gpu, mut values_gpu) = (bench.up(&keys_before), bench.up(&values_before));
    let (block_of, positions) = (bench.up(&BLOCK_OF), bench.up(&POSITIONS));
    let (cosines_view, sines_view, index_view) = (cosines_gpu.as_view(), sines_gpu.as_view(), index.as_view());
    let rotation = Rotation { cosines: &cosines_view, sines: &sines_view, pairs, index: &index_view };
    let [query_norm, key_norm] = norms.each_ref().map(|norm| HeadNorm::new(stream, norm).unwrap());
    let heads = Heads { queries, keys, size, query_norm: &query_norm, key_norm: &key_norm };
    let run = |rows: crate::cuda::launch::tests::Rows<'_>| {
        let (mut keys_view, mut values_view) = (keys_gpu.as_view_mut(), values_gpu.as_view_mut());
        let (kv_block, position) = (block_of.as_view(), positions.as_view());
        let cache = Cache {
            keys: &mut keys_view,
            values: &mut values_view,
            kv_block: &kv_block,
            position: &position,
            kv_blocks: KV_BLOCKS,
        };
        let with = (turned.then_some(&rotation), cached.then_some(cache));
        kernels.prepare::<T>(rows, &heads, with, &mut qkv.as_view_mut())
    };
    bench.rows(width, run).unwrap();

    let prepared = |row: usize| {
        let at = ANGLE_OF[row] as usize * pairs;
        let angles = turned.then_some((&cosines[at..at + pairs], &sines[at..at + pairs]));
        let heads = reference::Heads { shape: (queries, keys, size), norms: norms.each_ref(), angles };
        reference::prepare(&before[row * width..][..width], &heads)
    };
    let what = format!("{} {queries} {keys} {size} {pairs} turned {turned} cached {cached}", T::KIND.name());
    let in_place = |row: usize| {
        let mut right = prepared(row);
        if cached {
            right[queries * size..].copy_from_slice(&before[row * width + queries * size..][..2 * keys * size]);
        }
        right
    };
    assert_rows(&bench.down(&qkv), width, in_place, &before, &what);

    let (mut right_keys, mut right_values) = (keys_before, values_before);
    for row in (0..COUNT).filter(|row| cached && (BLOCK_OF[*row] as usize) < KV_BLOCKS) {
        let prepared = prepared(row);
        for head in 0..keys {
            let slot = POSITIONS[row] as usize % BLOCK_SIZE;
            let at = ((BLOCK_OF[row] as usize * keys + head) * BLOCK_SIZE + slot) * size;
            right_keys[at..at + size].copy_from_slice(&prepared[(queries + head) * size..][..size]);
            right_values[at..at + size].copy_from_slice(&prepared[(queries + keys + head) * size..][..size]);
        }
    }
    assert!(bench.down(&keys_gpu) == right_keys, "keys: {what}");
    assert!(bench.down(&values_gpu) == right_values, "values: {what}");
}
