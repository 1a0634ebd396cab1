//! A mixture of experts: routing, grouping, products of experts, what they say together.

use cudarc::driver::CudaSlice;
use half::{bf16, f16};

use super::gemm::assert_product;
use super::{Bench, COUNT, MOST, Value};
use crate::cpu::activation::Activation;
use crate::cuda::launch::Rows;
use crate::cuda::launch::activate::ActivationKernels;
use crate::cuda::launch::experts::{ExpertKernels, Groups, Mixture, Shared};
use crate::cuda::launch::gemm::{GemmKernels, Product, TILE_ROWS};
use crate::cuda::matmul::Kind;
use crate::cuda::reference::experts as reference;
use crate::cuda::reference::numbers::{assert_near, numbers};

/// Logits of tokens, of which a third have ties; the first two experts are wanted by most, so that they have some tiles.
fn some_logits(tokens: usize, experts: usize, seed: u64) -> Vec<f32> {
    let mut logits = numbers::<f32>(tokens * experts, seed);
    for (token, row) in logits.chunks_exact_mut(experts).enumerate() {
        row.iter_mut().take(2).for_each(|x| *x += 0.5);
        row.iter_mut().for_each(|x| *x *= 6.0);
        if token % 3 == 0 {
            row.iter_mut().for_each(|x| *x = (*x / 4.0).round() * 4.0);
        }
    }
    logits
}

#[test]
fn there_is_room_for_every_grouping() {
    // What fills the most tiles and leaves the widest gaps: experts with one row more than tiles hold.
    for rows in [vec![], vec![1], vec![1; 5], vec![65; 3], vec![64, 64], vec![1, 0, 129, 0], vec![63, 65, 1, 200]] {
        for multiple in [1, 4, TILE_ROWS] {
            let of = |(expert, rows): (usize, &usize)| vec![expert as u32; *rows];
            let experts: Vec<u32> = rows.iter().enumerate().flat_map(of).collect();
            let mixture = Mixture { experts: rows.len(), chosen: 1, multiple };
            let grouped = reference::group(&experts, 1, rows.len(), multiple, TILE_ROWS);
            assert!(grouped.order.len() <= mixture.rows(experts.len()), "{rows:?} {multiple}");
            assert!(grouped.tiles.len() <= mixture.tiles(experts.len()), "{rows:?}");
        }
    }
    let mixture = Mixture { experts: 3, chosen: 1, multiple: TILE_ROWS };
    assert_eq!((mixture.rows(3), mixture.tiles(3)), (3 * TILE_ROWS, 3));
}

/// Routes tokens; there is room for some more.
fn routed(bench: &Bench, mixture: Mixture, logits: &[f32], normalised: bool) -> (Groups, CudaSlice<u32>) {
    let tokens = logits.len() / mixture.experts;
    let kernels = ExpertKernels::load(&bench.opened.stream, Kind::F32).unwrap();
    let mut groups = Groups::new(&bench.opened.stream, mixture, tokens + 3).unwrap();
    let room = [logits, &numbers(3 * mixture.experts, 9)].concat();
    let (logits, count) = (bench.up(&room), bench.up(&[tokens as u32]));
    let rows = Rows { count: &count.as_view(), most: tokens + 3, width: mixture.experts };
    kernels.route(rows, normalised, &logits.as_view(), &mut groups).unwrap();
    (groups, count)
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn tokens_are_routed_and_grouped() {
    let bench = Bench::new();
    // Tokens, experts, chosen.
    let all =
        [(1, 1, 1), (7, 4, 2), (0, 8, 2), (100, 60, 4), (50, 256, 16), (33, 33, 33), (700, 128, 8), (2000, 10, 1)];
    for (tokens, experts, chosen) in all {
        for (multiple, normalised) in [(1, true), (1, false), (TILE_ROWS, true)] {
            let mixture = Mixture { experts, chosen, multiple };
            let logits = some_logits(tokens, experts, 1);
            let (groups, _) = routed(&bench, mixture, &logits, normalised);
            let (found, weights) = (bench.down(&groups.experts), bench.down(&groups.weights));
            for (token, logits) in logits.chunks_exact(experts).enumerate() {
                for (i, (expert, weight)) in reference::route(logits, chosen, normalised).into_iter().enumerate() {
                    let at = token * chosen + i;
                    assert_eq!(found[at], expert, "token {token} of {mixture:?}");
                    assert!(weights[at].to_bits().abs_diff(weight.to_bits()) <= 1, "{} {weight}", weights[at]);
                }
            }
            let right = reference::group(&found[..tokens * chosen], chosen, experts, multiple, TILE_ROWS);
            assert_eq!(bench.down(&groups.offsets), right.offsets, "{tokens} tokens of {mixture:?}");
            assert_eq!(bench.down(&groups.place)[..tokens * chosen], right.place);
            let order = bench.down(&groups.order);
            assert!(order.iter().zip(&right.order).all(|(found, right)| right.is_none_or(|right| *found == right)));
            let tiles = bench.down(&groups.tile_count)[0] as usize;
            assert_eq!(bench.down(&groups.tiles)[..3 * tiles], right.tiles.concat());
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn what_does_not_fit_is_refused() {
    let bench = Bench::new();
    let stream = &bench.opened.stream;
    let mixture = Mixture { experts: 4, chosen: 2, multiple: 1 };
    for wrong in [
        Mixture { experts: 257, ..mixture },
        Mixture { chosen: 5, ..mixture },
        Mixture { chosen: 0, ..mixture },
        Mixture { multiple: 0, ..mixture },
    ] {
        assert!(Groups::new(stream, wrong, MOST).is_err(), "{wrong:?}");
    }
    let (kernels, gemm) =
        (ExpertKernels::load(stream, Kind::F32).unwrap(), GemmKernels::load(stream, Kind::F32).unwrap());
    let mut groups = Groups::new(stream, mixture, MOST - 1).unwrap();
    let logits = bench.up(&[0.0f32; 4 * MOST]);
    assert!(bench.rows(4, |rows| kernels.route(rows, true, &logits.as_view(), &mut groups)).is_err(), "tokens");
    let mut groups = Groups::new(stream, mixture, MOST).unwrap();
    assert!(bench.rows(3, |rows| kernels.route(rows, true, &logits.as_view(), &mut groups)).is_err(), "experts");
    assert!(bench.rows(4, |rows| kernels.route(rows, true, &logits.slice(1..), &mut groups)).is_err(), "logits");
    // x of 8 inputs, y of 2 outputs; each of the buffers once a value too short.
    for short in 0..4 {
        let one = |which: usize, values: usize| bench.up(&vec![0.0f32; values - usize::from(which == short)]);
        let (x, w, mut y) = (one(0, MOST * 8), one(1, 4 * 2 * 8), one(2, 2 * MOST * 2));
        let product = Product { x: &x.as_view(), w: &w.as_view(), bias: None, outputs: 2, add: false };
        let multiply = |rows: Rows<'_>| gemm.multiply_grouped(rows, (&groups, true), &product, &mut y.as_view_mut());
        assert_eq!(bench.rows(8, multiply).is_ok(), short == 3, "{short}");
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn odd_logits_are_routed_as_the_reference() {
    let (bench, mixture) = (Bench::new(), Mixture { experts: 4, chosen: 2, multiple: 1 });
    let logits = [
        [-1.0, -0.0, 0.0, 0.0],
        [f32::NEG_INFINITY, -3.0, f32::NEG_INFINITY, f32::NEG_INFINITY],
        [f32::MAX, f32::MIN, f32::MAX, 1e-40],
        [0.0, f32::NAN, 1.0, 2.0],
    ];
    let (groups, _) = routed(&bench, mixture, &logits.concat(), true);
    let (experts, weights) = (bench.down(&groups.experts), bench.down(&groups.weights));
    for (token, logits) in logits.iter().enumerate() {
        for (i, (expert, weight)) in reference::route(logits, 2, true).into_iter().enumerate() {
            assert_eq!(experts[2 * token + i], expert, "token {token}");
            assert!(weights[2 * token + i] == weight || weights[2 * token + i].is_nan() && weight.is_nan());
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn rows_meet_the_weights_of_their_experts() {
    let bench = Bench::new();
    for shape in [(64, 130), (40, 128), (33, 7)] {
        for multiple in [1, TILE_ROWS] {
            products::<f32, f32>(&bench, shape, multiple);
            products::<bf16, bf16>(&bench, shape, multiple);
            products::<f16, f32>(&bench, shape, multiple);
        }
    }
}

fn products<T: Value, O: Value>(bench: &Bench, (inputs, outputs): (usize, usize), multiple: usize) {
    let kernels = GemmKernels::load(&bench.opened.stream, T::KIND).unwrap();
    let (mixture, tokens) = (Mixture { experts: 6, chosen: 2, multiple }, 120);
    let (groups, count) = routed(bench, mixture, &some_logits(tokens, 6, 2), true);
    let grouped = mixture.rows(tokens);
    let (w, bias) = (numbers::<T>(6 * outputs * inputs, 3), numbers::<O>(6 * outputs, 4));
    let before = numbers::<O>(grouped * outputs, 5);
    let (w_gpu, bias_gpu) = (bench.up(&w), bench.up(&bias));
    let (w_view, bias_view) = (w_gpu.as_view(), bias_gpu.as_view());
    let (experts, place) = (bench.down(&groups.experts), bench.down(&groups.place));
    for gathered in [true, false] {
        let x = numbers::<T>(if gathered { tokens } else { grouped } * inputs, 6);
        let (x_gpu, mut y) = (bench.up(&x), bench.up(&before));
        let product = Product { x: &x_gpu.as_view(), w: &w_view, bias: Some(&bias_view), outputs, add: false };
        let rows = Rows { count: &count.as_view(), most: tokens, width: inputs };
        kernels.multiply_grouped(rows, (&groups, gathered), &product, &mut y.as_view_mut()).unwrap();
        let found = bench.down(&y);
        let mut real = vec![false; grouped];
        for pair in 0..2 * tokens {
            let (expert, row) = (experts[pair] as usize, place[pair] as usize);
            let x = &x[if gathered { pair / 2 } else { row } * inputs..][..inputs];
            let (w, bias) = (&w[expert * outputs * inputs..][..outputs * inputs], &bias[expert * outputs..][..outputs]);
            let what = format!("row {row} of expert {expert}, {inputs}->{outputs} {}", T::KIND.name());
            assert_product(&found[row * outputs..][..outputs], (x, w), (Some(bias), None), &what);
            real[row] = true;
        }
        for row in (0..grouped).filter(|row| !real[*row]) {
            assert!(found[row * outputs..][..outputs] == before[row * outputs..][..outputs], "gap at row {row}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn what_experts_say_is_near_the_reference() {
    let bench = Bench::new();
    for width in [1, 37, 1028, 2048] {
        combined::<f32>(&bench, width);
        combined::<bf16>(&bench, width);
        combined::<f16>(&bench, width);
    }
}

fn combined<Y: Value>(bench: &Bench, width: usize) {
    let kernels = ExpertKernels::load(&bench.opened.stream, Y::KIND).unwrap();
    let mixture = Mixture { experts: 9, chosen: 3, multiple: 4 };
    let (groups, _) = routed(bench, mixture, &some_logits(MOST, 9, 2), true);
    let (y, before) = (numbers::<Y>(mixture.rows(MOST) * width, 3), numbers::<f32>(MOST * width, 4));
    let (shared, gates) = (numbers::<Y>(MOST * width, 5), numbers::<f32>(MOST, 6));
    let (y_gpu, shared_gpu, gates_gpu) = (bench.up(&y), bench.up(&shared), bench.up(&gates));
    let (shared_view, gates_view) = (shared_gpu.as_view(), gates_gpu.as_view());
    let block = Shared { y: &shared_view, gates: &gates_view };
    let (place, weights) = (bench.down(&groups.place), bench.down(&groups.weights));
    for given in [false, true] {
        let mut to = bench.up(&before);
        let run = |rows: Rows<'_>| {
            kernels.combine(rows, (&groups, &y_gpu.as_view()), given.then_some(&block), &mut to.as_view_mut())
        };
        bench.rows(width, run).unwrap();
        let found = bench.down(&to);
        for token in 0..COUNT {
            let row = |at: usize| (&y[place[at] as usize * width..][..width], weights[at]);
            let rows: Vec<(&[Y], f32)> = (3 * token..3 * token + 3).map(row).collect();
            let shared = given.then_some((&shared[token * width..][..width], gates[token]));
            let right = reference::combine(width, &rows, shared);
            let right: Vec<f64> = right.iter().map(|x| f64::from(*x)).collect();
            // The weight of the shared block may be a unit off.
            assert_near(&found[token * width..][..width], &right, if given { 4.0 } else { 0.0 });
        }
        assert_eq!(found[COUNT * width..], before[COUNT * width..]);
    }
}

/// Hidden values and inner ones of an expert.
const HIDDEN: usize = 72;
const INNER: usize = 48;

#[test]
#[ignore = "needs a CUDA GPU"]
fn tokens_are_batch_invariant() {
    let bench = Bench::new();
    batch_invariant::<f32>(&bench);
    batch_invariant::<bf16>(&bench);
    batch_invariant::<f16>(&bench);
}

fn batch_invariant<T: Value>(bench: &Bench) {
    let (tokens, experts) = (200, 10);
    let (x, logits) = (numbers::<T>(tokens * HIDDEN, 1), some_logits(tokens, experts, 2));
    let (up, down) = (numbers(experts * 2 * INNER * HIDDEN, 3), numbers(experts * HIDDEN * INNER, 4));
    let all = block::<T>(bench, &x, &logits, (&up, &down), 1);
    assert!(block::<T>(bench, &x, &logits, (&up, &down), TILE_ROWS) == all, "with gaps, {}", T::KIND.name());
    assert!(all.iter().all(|x| x.is_finite()));
    for token in [0, 1, 63, 64, 130, 199] {
        let (x, logits) = (&x[token * HIDDEN..][..HIDDEN], &logits[token * experts..][..experts]);
        let alone = block::<T>(bench, x, logits, (&up, &down), 1);
        assert!(alone == all[token * HIDDEN..][..HIDDEN], "token {token}, {}", T::KIND.name());
    }
}

/// All of a mixture, from logits to what it adds.
fn block<T: Value>(bench: &Bench, x: &[T], logits: &[f32], (up, down): (&[T], &[T]), multiple: usize) -> Vec<f32> {
    let (stream, tokens) = (&bench.opened.stream, x.len() / HIDDEN);
    let mixture = Mixture { experts: logits.len() / tokens, chosen: 3, multiple };
    let gemm = GemmKernels::load(stream, T::KIND).unwrap();
    let (groups, count) = routed(bench, mixture, logits, false);
    let (count, most) = (count.as_view(), mixture.rows(tokens));
    let tokens_of = |width: usize| Rows { count: &count, most: tokens, width };
    // Gaps are no numbers, and nothing may come of them.
    let dirty = |width: usize| bench.up(&vec![T::narrow(f32::NAN); most * width]);
    let (x, up, down) = (bench.up(x), bench.up(up), bench.up(down));
    let (mut wide, mut narrow, mut said) = (dirty(2 * INNER), dirty(INNER), dirty(HIDDEN));
    let product = Product { x: &x.as_view(), w: &up.as_view(), bias: None, outputs: 2 * INNER, add: false };
    gemm.multiply_grouped(tokens_of(HIDDEN), (&groups, true), &product, &mut wide.as_view_mut()).unwrap();
    let rows = Rows { count: &groups.count(), most, width: INNER };
    let activate = ActivationKernels::load(stream, T::KIND).unwrap();
    activate.activate(rows, (Activation::Silu, true), &wide.as_view(), &mut narrow.as_view_mut()).unwrap();
    let product = Product { x: &narrow.as_view(), w: &down.as_view(), bias: None, outputs: HIDDEN, add: false };
    gemm.multiply_grouped(tokens_of(INNER), (&groups, false), &product, &mut said.as_view_mut()).unwrap();
    let mut to = bench.up(&vec![0.0f32; tokens * HIDDEN]);
    let kernels = ExpertKernels::load(stream, T::KIND).unwrap();
    kernels.combine(tokens_of(HIDDEN), (&groups, &said.as_view()), None, &mut to.as_view_mut()).unwrap();
    bench.down(&to)
}
