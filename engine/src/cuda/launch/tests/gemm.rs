//! Products of our own.

use half::{bf16, f16};

use super::{Bench, Value};
use crate::cuda::launch::Rows;
use crate::cuda::launch::gemm::{GemmKernels, Product};
use crate::cuda::matmul::Kind;
use crate::cuda::reference::gemm as reference;
use crate::cuda::reference::numbers::numbers;

/// Inputs and outputs: read by 16 bytes and not, less than a step, less than a tile, and some of both.
const SHAPES: [(usize, usize); 7] = [(8, 1), (64, 128), (40, 5), (100, 130), (7, 129), (333, 64), (256, 300)];
/// Rows there are and rows there is room for: of one tile, and of some.
const ROWS: [(usize, usize); 3] = [(1, 1), (7, 9), (150, 260)];

#[test]
#[ignore = "needs a CUDA GPU"]
fn products_are_those_of_the_reference() {
    let bench = Bench::new();
    for shape in SHAPES {
        for rows in ROWS {
            of::<f32, f32>(&bench, shape, rows);
            of::<bf16, bf16>(&bench, shape, rows);
            of::<bf16, f32>(&bench, shape, rows);
            of::<f16, f16>(&bench, shape, rows);
            of::<f16, f32>(&bench, shape, rows);
        }
    }
}

/// That a row is that of the reference: in f32 its bits, else within what the order of a sum may do.
pub(super) fn assert_product<T: Value, O: Value>(
    found: &[O],
    (x, w): (&[T], &[T]),
    (bias, y): (Option<&[O]>, Option<&[O]>),
    what: &str,
) {
    match T::KIND {
        Kind::F32 => assert_eq!(found, reference::product(x, w, bias, y), "{what}"),
        _ => reference::assert_row(found, &reference::right(x, w, bias, y), what),
    }
}

fn of<T: Value, O: Value>(bench: &Bench, (inputs, outputs): (usize, usize), (count, most): (usize, usize)) {
    let kernels = GemmKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let (x, w) = (numbers::<T>(most * inputs, 1), numbers::<T>(outputs * inputs, 2));
    let (bias, before) = (numbers::<O>(outputs, 3), numbers::<O>(most * outputs, 4));
    let (x_gpu, w_gpu, bias_gpu) = (bench.up(&x), bench.up(&w), bench.up(&bias));
    let (count_gpu, bias_view) = (bench.up(&[count as u32]), bias_gpu.as_view());
    for (biased, add) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut y = bench.up(&before);
        let rows = Rows { count: &count_gpu.as_view(), most, width: inputs };
        let (x_view, w_view) = (x_gpu.as_view(), w_gpu.as_view());
        let product = Product { x: &x_view, w: &w_view, bias: biased.then_some(&bias_view), outputs, add };
        kernels.multiply(rows, &product, &mut y.as_view_mut()).unwrap();
        let found = bench.down(&y);
        let (kind, output) = (T::KIND.name(), O::KIND.name());
        for row in 0..count {
            let old = &before[row * outputs..][..outputs];
            let x = &x[row * inputs..][..inputs];
            let what = format!("row {row} of {count}, {inputs}->{outputs} {kind}->{output}, bias {biased}, add {add}");
            let added = (biased.then_some(&bias[..]), add.then_some(old));
            assert_product(&found[row * outputs..][..outputs], (x, &w), added, &what);
        }
        assert!(
            found[count * outputs..] == before[count * outputs..],
            "rows behind: {inputs}->{outputs} {kind}->{output}"
        );
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn rows_are_batch_invariant() {
    let bench = Bench::new();
    for shape in [(64, 130), (200, 128), (99, 40)] {
        batch_invariant::<f32>(&bench, shape);
        batch_invariant::<bf16>(&bench, shape);
        batch_invariant::<f16>(&bench, shape);
    }
}

fn batch_invariant<T: Value>(bench: &Bench, (inputs, outputs): (usize, usize)) {
    let (kernels, count) = (GemmKernels::load(&bench.opened.stream, T::KIND).unwrap(), 150);
    let (x, w) = (numbers::<T>(count * inputs, 1), bench.up(&numbers::<T>(outputs * inputs, 2)));
    let multiply = |x: &[T], offset: usize| {
        // Where a row begins at no multiple of 16 bytes it is read another way.
        let shifted = [&vec![T::narrow(0.0); offset], x].concat();
        let (x_gpu, count) = (bench.up(&shifted), x.len() / inputs);
        let (x_view, w_view) = (x_gpu.slice(offset..), w.as_view());
        let mut y = bench.up(&vec![0.0f32; count * outputs]);
        let (count_gpu, product) =
            (bench.up(&[count as u32]), Product { x: &x_view, w: &w_view, bias: None, outputs, add: false });
        let rows = Rows { count: &count_gpu.as_view(), most: count, width: inputs };
        kernels.multiply(rows, &product, &mut y.as_view_mut()).unwrap();
        bench.down(&y)
    };
    let all = multiply(&x, 0);
    assert!(multiply(&x, 1) == all, "read one by one: {inputs}->{outputs} {}", T::KIND.name());
    for row in [0, 1, 15, 16, 63, 64, 149] {
        let alone = multiply(&x[row * inputs..][..inputs], 0);
        assert!(alone == all[row * outputs..][..outputs], "row {row} of {inputs}->{outputs} {}", T::KIND.name());
    }
}
