//! Activations, copies, pooling.

use half::{bf16, f16};

use super::{Bench, COUNT, MOST, Value, assert_rows};
use crate::cpu::activation::Activation;
use crate::cuda::launch::activate::ActivationKernels;
use crate::cuda::launch::copies::{CopyKernels, KvBlocks};
use crate::cuda::launch::pool::{PoolKernels, Texts};
use crate::cuda::matmul::Kind;
use crate::cuda::reference::numbers::{assert_near, numbers};
use crate::cuda::reference::pool::POOLINGS;
use crate::cuda::reference::{activate, copies, pool};

#[test]
#[ignore = "needs a CUDA GPU"]
fn activations_are_near_the_reference() {
    let bench = Bench::new();
    for width in [1, 300, 1024, 4864] {
        activation_of::<f32>(&bench, width, 16.0);
        activation_of::<bf16>(&bench, width, 1.0);
        activation_of::<f16>(&bench, width, 1.0);
    }
}

fn activation_of<T: Value>(bench: &Bench, width: usize, steps: f32) {
    let kernels = ActivationKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let x: Vec<T> = numbers::<f32>(2 * MOST * width, 1).iter().map(|x| T::narrow(6.0 * x)).collect();
    let (x_gpu, before) = (bench.up(&x), numbers::<T>(MOST * width, 2));
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh] {
        for gated in [false, true] {
            let mut to = bench.up(&before);
            let (view, from) = (x_gpu.as_view(), if gated { 2 * width } else { width });
            let run = |rows: crate::cuda::launch::tests::Rows<'_>| {
                kernels.activate::<T>(rows, (activation, gated), &view, &mut to.as_view_mut())
            };
            bench.rows(width, run).unwrap();
            let found = bench.down(&to);
            for row in 0..COUNT {
                let right = activate::activate(&x[row * from..][..from], activation, gated);
                let right: Vec<f64> = right.iter().map(|x| x.wide().into()).collect();
                assert_near(&found[row * width..][..width], &right, steps);
            }
            assert_eq!(found[COUNT * width..], before[COUNT * width..]);
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn logits_are_near_the_reference() {
    let (bench, width) = (Bench::new(), 3001);
    let kernels = ActivationKernels::load(&bench.opened.stream, Kind::F32).unwrap();
    let before: Vec<f32> = numbers::<f32>(MOST * width, 1).iter().map(|x| 50.0 * x).collect();
    for cap in [None, Some(30.0)] {
        let mut logits = bench.up(&before);
        bench.rows(width, |rows| kernels.cap_logits(rows, (0.7, cap), &mut logits.as_view_mut())).unwrap();
        let found = bench.down(&logits);
        for row in 0..COUNT {
            let mut right = before[row * width..][..width].to_vec();
            activate::cap_logits(&mut right, 0.7, cap);
            let right: Vec<f64> = right.iter().map(|x| f64::from(*x)).collect();
            assert_near(&found[row * width..][..width], &right, 8.0);
        }
        assert_eq!(found[COUNT * width..], before[COUNT * width..]);
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn blocks_are_copied_in_order() {
    let bench = Bench::new();
    blocks_of::<f32>(&bench);
    blocks_of::<bf16>(&bench);
}

fn blocks_of<T: Value>(bench: &Bench) {
    let kernels = CopyKernels::load(&bench.opened.stream).unwrap();
    let (layers, kv_blocks, block_values) = (3, 5, 32 * 3 * 20);
    let per_layer = kv_blocks * block_values;
    let (mut keys, mut values) = (numbers::<T>(layers * per_layer, 1), numbers::<T>(layers * per_layer, 2));
    let (mut keys_gpu, mut values_gpu) = (bench.up(&keys), bench.up(&values));
    // The last pair is not among those that count, and there is no KV block 5.
    let pairs = [0u32, 1, 1, 4, 5, 2, 2, 5, 3, 0];
    let (pairs_gpu, count) = (bench.up(&pairs), bench.up(&[4u32]));
    let (mut keys_view, mut values_view) = (keys_gpu.as_view_mut(), values_gpu.as_view_mut());
    let all = KvBlocks { keys: &mut keys_view, values: &mut values_view, layers, kv_blocks, block_values };
    kernels.copy_kv_blocks::<T>(all, &pairs_gpu.as_view(), &count.as_view()).unwrap();
    for layer in keys.chunks_exact_mut(per_layer).chain(values.chunks_exact_mut(per_layer)) {
        copies::copy_kv_blocks(layer, block_values, &[(0, 1), (1, 4)]);
    }
    assert!(bench.down(&keys_gpu) == keys && bench.down(&values_gpu) == values, "{}", T::KIND.name());
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn rows_are_gathered() {
    let (bench, width) = (Bench::new(), 301);
    let kernels = CopyKernels::load(&bench.opened.stream).unwrap();
    let (from, before) = (numbers::<f32>(4 * width, 1), numbers::<f32>(MOST * width, 2));
    let index = [3u32, 0, 2, 2, 1, 3, 0, 9, 9];
    let (from_gpu, index_gpu, mut to) = (bench.up(&from), bench.up(&index), bench.up(&before));
    let run = |rows: crate::cuda::launch::tests::Rows<'_>| {
        kernels.gather_rows(rows, &from_gpu.as_view(), &index_gpu.as_view(), &mut to.as_view_mut())
    };
    bench.rows(width, run).unwrap();
    let right = |row: usize| copies::gather_rows(&from, width, &index[row..=row]);
    assert_rows(&bench.down(&to), width, right, &before, "gather_rows");
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn pooling_has_the_bits_of_the_reference() {
    let (bench, width) = (Bench::new(), 300);
    let kernels = PoolKernels::load(&bench.opened.stream).unwrap();
    let offsets = [0u32, 1, 5, 205, 206, 300, 302, 400, 400, 400];
    let skipped = [0u32, 1, 3, 1, 94, 0, 99, 0, 0];
    let (x, before) = (numbers::<f32>(400 * width, 1), numbers::<f32>(MOST * width, 2));
    let (x_gpu, offsets_gpu, skipped_gpu) = (bench.up(&x), bench.up(&offsets), bench.up(&skipped));
    let (x_view, offsets_view, skipped_view) = (x_gpu.as_view(), offsets_gpu.as_view(), skipped_gpu.as_view());
    let texts = Texts { x: &x_view, offsets: &offsets_view, skipped: &skipped_view };
    for pooling in POOLINGS {
        let mut to = bench.up(&before);
        bench.rows(width, |rows| kernels.pool(rows, &texts, pooling, &mut to.as_view_mut())).unwrap();
        let pooled = |row: usize| {
            let rows = &x[offsets[row] as usize * width..offsets[row + 1] as usize * width];
            pool::pool(rows, width, skipped[row] as usize, pooling)
        };
        assert_rows(&bench.down(&to), width, pooled, &before, &format!("{pooling:?}"));
    }
}
