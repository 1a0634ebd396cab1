//! Token vectors, norms, the residual step.

use half::{bf16, f16};

use super::{Bench, COUNT, MOST, Value, assert_rows};
use crate::cpu::norm::{Norm, NormKind};
use crate::cuda::launch::norm::NormWeights;
use crate::cuda::launch::rows::{Added, Embedding, RowKernels, Step};
use crate::cuda::matmul::Kind;
use crate::cuda::reference::numbers::numbers;
use crate::cuda::reference::rows as reference;
use crate::cuda::reference::rows::some_norm;

/// Odd ones, ones that are read in fours, and one for which shared memory must be asked for.
const WIDTHS: [usize; 6] = [1, 37, 576, 1026, 5120, 16_384];

fn norms(width: usize) -> [Option<Norm>; 4] {
    [
        None,
        Some(some_norm(NormKind::Rms, false, width)),
        Some(some_norm(NormKind::Layer, true, width)),
        Some(some_norm(NormKind::Layer, false, width)),
    ]
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn rows_have_the_bits_of_the_reference() {
    let bench = Bench::new();
    for width in WIDTHS {
        of::<f32>(&bench, width);
        of::<bf16>(&bench, width);
        of::<f16>(&bench, width);
    }
}

fn kind(norm: Option<&Norm>) -> Option<NormKind> {
    norm.map(|norm| norm.kind)
}

fn of<T: Value>(bench: &Bench, width: usize) {
    embed::<T>(bench, width);
    for one in &norms(width) {
        norm::<T, T>(bench, width, one.as_ref());
        norm::<T, f32>(bench, width, one.as_ref());
        norm_sum::<T, T>(bench, width, one.as_ref());
        norm_sum::<T, f32>(bench, width, one.as_ref());
        for other in &norms(width) {
            add_norm::<T, T>(bench, width, [one.as_ref(), other.as_ref()]);
            add_norm::<T, f32>(bench, width, [one.as_ref(), other.as_ref()]);
        }
    }
}

fn embed<T: Value>(bench: &Bench, width: usize) {
    let kernels = RowKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let ids = [4, 0, 3, 3, 1, 2, 4, 9, 9];
    let positions = [0, 1, 2, 0, 1, 2, 7, 0, 0];
    let table = numbers::<T>(5 * width, 1);
    let (one, other) = (numbers::<f32>(3 * width, 2), numbers::<f32>(3 * width, 3));
    let before = numbers::<f32>(MOST * width, 4);
    let (ids_gpu, positions_gpu, table_gpu) = (bench.up(&ids), bench.up(&positions), bench.up(&table));
    let (one_gpu, other_gpu) = (bench.up(&one), bench.up(&other));
    let (one_view, other_view, index) = (one_gpu.as_view(), other_gpu.as_view(), positions_gpu.as_view());
    let (first, second) = (Added { table: &one_view, index: &index }, Added { table: &other_view, index: &index });
    for added in [[None, None], [Some(first), None], [Some(first), Some(second)]] {
        let mut to = bench.up(&before);
        let embedding = Embedding { ids: &ids_gpu.as_view(), table: &table_gpu.as_view(), scale: 1.7, added };
        bench.rows(width, |rows| kernels.embed(rows, &embedding, &mut to.as_view_mut())).unwrap();
        let zeros = vec![0.0; width];
        let right = |row: usize| {
            let of = |table: &'_ Vec<f32>| {
                let at = positions[row] as usize * width;
                table.get(at..at + width).unwrap_or(&zeros).to_vec()
            };
            let (first, second) = (of(&one), of(&other));
            let added = [added[0].map(|_| first.as_slice()), added[1].map(|_| second.as_slice())];
            reference::embed(&table[ids[row] as usize * width..][..width], 1.7, added)
        };
        assert_rows(&bench.down(&to), width, right, &before, &format!("embed {} {width}", T::KIND.name()));
    }
}

fn norm<T: Value, O: Value>(bench: &Bench, width: usize, norm: Option<&Norm>) {
    let kernels = RowKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let (from, before) = (numbers::<f32>(MOST * width, 5), numbers::<O>(MOST * width, 6));
    let weights = norm.map(|norm| NormWeights::new(&bench.opened.stream, norm).unwrap());
    let (from_gpu, mut to) = (bench.up(&from), bench.up(&before));
    let run = |rows: crate::cuda::launch::tests::Rows<'_>| {
        kernels.norm::<O>(rows, &from_gpu.as_view(), weights.as_ref(), &mut to.as_view_mut())
    };
    bench.rows(width, run).unwrap();
    let right = |row: usize| reference::norm::<O>(&from[row * width..][..width], norm);
    assert_rows(&bench.down(&to), width, right, &before, &format!("norm {} {width} {:?}", O::KIND.name(), kind(norm)));
}

fn add_norm<T: Value, Y: Value>(bench: &Bench, width: usize, [post, next]: [Option<&Norm>; 2]) {
    let kernels = RowKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let (x, y, before) = (numbers::<f32>(MOST * width, 5), numbers::<Y>(MOST * width, 6), numbers(MOST * width, 7));
    let weights = |norm: Option<&Norm>| norm.map(|norm| NormWeights::new(&bench.opened.stream, norm).unwrap());
    let (post_weights, next_weights) = (weights(post), weights(next));
    let (y_gpu, scale) = (bench.up(&y), 0.3);
    for given in [false, true] {
        let (mut stream, mut to) = (bench.up(&x), bench.up::<T>(&before));
        let (y_view, post_norm, norm) = (y_gpu.as_view(), post_weights.as_ref(), next_weights.as_ref());
        let step = Step { y: &y_view, post_norm, scale, norm };
        let mut to_view = to.as_view_mut();
        let to_view = given.then_some(&mut to_view);
        bench.rows(width, |rows| kernels.add_norm::<T, Y>(rows, &step, &mut stream.as_view_mut(), to_view)).unwrap();
        let right = |row: usize| {
            let mut x = x[row * width..][..width].to_vec();
            let out = reference::add_norm::<T, Y>(&mut x, &y[row * width..][..width], (post, scale), next);
            (x, out)
        };
        let what = format!("add_norm {} {} {width} {:?} {:?}", T::KIND.name(), Y::KIND.name(), kind(post), kind(next));
        assert_rows(&bench.down(&stream), width, |row| right(row).0, &x, &what);
        if given {
            assert_rows(&bench.down(&to), width, |row| right(row).1, &before, &what)
        } else {
            assert_eq!(bench.down(&to), before)
        }
    }
}

fn norm_sum<T: Value, Y: Value>(bench: &Bench, width: usize, norm: Option<&Norm>) {
    let kernels = RowKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let (x, y, before) = (numbers::<f32>(MOST * width, 5), numbers::<Y>(MOST * width, 6), numbers(MOST * width, 7));
    let weights = norm.map(|norm| NormWeights::new(&bench.opened.stream, norm).unwrap());
    let y_gpu = bench.up(&y);
    for given in [false, true] {
        let (mut stream, mut to) = (bench.up(&x), bench.up::<T>(&before));
        let y_view = y_gpu.as_view();
        let run = |rows: crate::cuda::launch::tests::Rows<'_>| {
            let (mut x, mut to) = (stream.as_view_mut(), to.as_view_mut());
            kernels.norm_sum::<T, Y>(rows, (given.then_some(&y_view), weights.as_ref()), &mut x, &mut to)
        };
        bench.rows(width, run).unwrap();
        let right = |row: usize| {
            let mut x = x[row * width..][..width].to_vec();
            let out = reference::norm_sum::<T, Y>(&mut x, given.then_some(&y[row * width..][..width]), norm);
            (x, out)
        };
        let what = format!("norm_sum {} {} {width} {:?}", T::KIND.name(), Y::KIND.name(), kind(norm));
        assert_rows(&bench.down(&stream), width, |row| right(row).0, &x, &what);
        assert_rows(&bench.down(&to), width, |row| right(row).1, &before, &what);
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn a_token_beyond_the_table_is_not_a_number() {
    let bench = Bench::new();
    let kernels = RowKernels::load(&bench.opened.stream, Kind::Bf16).unwrap();
    let (ids, table) = (bench.up(&[5u32; MOST]), bench.up(&numbers::<bf16>(5 * 8, 1)));
    let mut to = bench.up(&[0.0f32; MOST * 8]);
    let embedding = Embedding { ids: &ids.as_view(), table: &table.as_view(), scale: 1.0, added: [None, None] };
    bench.rows(8, |rows| kernels.embed(rows, &embedding, &mut to.as_view_mut())).unwrap();
    let found = bench.down(&to);
    assert!(found[..COUNT * 8].iter().all(|x| x.is_nan()));
    assert_eq!(found[COUNT * 8..], [0.0; 16]);
}
