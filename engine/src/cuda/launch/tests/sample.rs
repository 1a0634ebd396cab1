//! What is read from logits.

use super::{Bench, COUNT, MOST, Rows};
use crate::cuda::launch::sample::{Asked, Found, SampleKernels, WIDEST};
use crate::cuda::reference::sample::{KINDS, sample, samplings, some_row};
use crate::request::Sampling;
use crate::sampling::uniform;
use crate::scheduler::backend::{OutputKind, StepOutput};

/// Reads rows of one width, all in one launch.
fn read(bench: &Bench, kernels: &SampleKernels, rows: &[&[f32]], kinds: &[OutputKind]) -> Vec<Found> {
    let asked: Vec<Asked> = kinds.iter().map(Asked::of).collect();
    let (logits, asked) = (bench.up(&rows.concat()), bench.up(&asked));
    let (mut found, count) = (bench.up(&vec![Found::default(); kinds.len()]), bench.up(&[kinds.len() as u32]));
    let rows = Rows { count: &count.as_view(), most: kinds.len(), width: rows[0].len() };
    kernels.sample(rows, &logits.as_view(), &asked.as_view(), &mut found.as_view_mut()).unwrap();
    bench.down(&found)
}

fn assert_output(found: Found, row: &[f32], kind: &OutputKind, what: &str) {
    match (found.output(kind), sample(row, kind)) {
        (Some(StepOutput::Score { logprob, greedy }), Some(StepOutput::Score { logprob: right, greedy: choice })) => {
            let near = logprob == right || (logprob - right).abs() < 1e-6;
            assert!(near && greedy == choice, "{logprob} is not {right}: {kind:?}, {what}");
        }
        (found, right) => assert_eq!(found, right, "{kind:?}, {what}"),
    }
}

fn every_kind(row: &[f32]) -> Vec<OutputKind> {
    let next =
        |(position, sampling)| OutputKind::Next { sampling, key: 0x1234_5678_9abc_def0, position: position as u32 };
    let best = row.iter().enumerate().fold(0, |best, (id, x)| if *x > row[best] { id } else { best });
    let targets = [0, row.len() / 2, row.len() - 1, row.len(), best];
    let scores = targets.map(|target| OutputKind::Score { target: target as u32 });
    samplings().into_iter().enumerate().map(next).chain(scores).chain([OutputKind::Logits]).collect()
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn what_is_read_is_that_of_the_reference() {
    let bench = Bench::new();
    let kernels = SampleKernels::load(&bench.opened.stream).unwrap();
    // One of more values than a list of candidates has room for, whatever their logits; one that is read in several batches.
    for width in [1, 37, 3001, 20_010] {
        for kind in 0..KINDS {
            let row = some_row(width, kind, 3 + kind as u64);
            let kinds = every_kind(&row);
            let found = read(&bench, &kernels, &vec![row.as_slice(); kinds.len()], &kinds);
            for (found, output) in found.into_iter().zip(&kinds) {
                assert_output(found, &row, output, &format!("row {kind} of {width} logits"));
            }
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn random_numbers_are_those_of_the_cpu() {
    let bench = Bench::new();
    let kernels = SampleKernels::load(&bench.opened.stream).unwrap();
    let row = vec![0.5f32; 1 << 12];
    let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
    let streams = [0, 1, 0xffff_ffff_0000_0001, u64::MAX];
    let kinds: Vec<OutputKind> = streams
        .into_iter()
        .flat_map(|key| [0, 1, 77, u32::MAX].map(|position| OutputKind::Next { sampling, key, position }))
        .collect();
    let found = read(&bench, &kernels, &vec![row.as_slice(); kinds.len()], &kinds);
    for (found, kind) in found.into_iter().zip(&kinds) {
        let OutputKind::Next { key, position, .. } = *kind else { panic!("{kind:?}") };
        let right = (uniform(key, position) * row.len() as f64) as u32;
        assert_eq!(found.output(kind), Some(StepOutput::Next(right)), "{kind:?}");
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn reading_a_row_is_batch_invariant_wherever_it_stands() {
    let bench = Bench::new();
    let kernels = SampleKernels::load(&bench.opened.stream).unwrap();
    let width = 3001;
    let rows: Vec<Vec<f32>> = (0..11).map(|seed| some_row(width, seed as usize % KINDS, seed)).collect();
    let kinds: Vec<OutputKind> = (0..11)
        .map(|at| match at % 4 {
            0 => OutputKind::Score { target: 7 * at },
            _ => OutputKind::Next { sampling: samplings()[30 + 7 * at as usize % 70], key: at.into(), position: 2 },
        })
        .collect();
    let alone: Vec<Found> = (0..11).map(|at| read(&bench, &kernels, &[&rows[at]], &kinds[at..=at])[0]).collect();
    for turned in [0, 1, 2, 7] {
        let order: Vec<usize> = (0..11).map(|at| (at * 3 + turned) % 11).collect();
        let turned_rows: Vec<&[f32]> = order.iter().map(|at| rows[*at].as_slice()).collect();
        let turned_kinds: Vec<OutputKind> = order.iter().map(|at| kinds[*at]).collect();
        let found = read(&bench, &kernels, &turned_rows, &turned_kinds);
        for (place, at) in order.iter().enumerate() {
            assert_eq!(found[place], alone[*at], "row {at} in place {place}");
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn rows_behind_and_rows_not_asked_for_stay() {
    let bench = Bench::new();
    let kernels = SampleKernels::load(&bench.opened.stream).unwrap();
    let width = 101;
    let row = |at: usize| {
        let mut row = some_row(width, 0, 9);
        row[at + 1] = 50.0;
        row
    };
    let logits: Vec<f32> = (0..MOST).flat_map(row).collect();
    let greedy = OutputKind::Next { sampling: Sampling::default(), key: 0, position: 0 };
    let mut asked = vec![Asked::of(&greedy); MOST];
    asked[2] = Asked::of(&OutputKind::Logits);
    let (logits, asked, mut found) = (bench.up(&logits), bench.up(&asked), bench.up(&[Found::default(); MOST]));
    let mut run = |width: usize| {
        let (logits, asked) = (logits.as_view(), asked.as_view());
        bench.rows(width, |rows| kernels.sample(rows, &logits, &asked, &mut found.as_view_mut()))
    };
    assert!(run(width + 1).is_err() && run(WIDEST + 1).is_err());
    run(width).unwrap();
    for (at, found) in bench.down(&found).into_iter().enumerate() {
        if at != 2 && at < COUNT {
            assert_eq!(found.output(&greedy), Some(StepOutput::Next(at as u32 + 1)))
        } else {
            assert_eq!(found, Found::default(), "row {at}")
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn deferred_tokens_are_filled_in() {
    let (bench, width) = (Bench::new(), 50);
    let kernels = SampleKernels::load(&bench.opened.stream).unwrap();
    let mut logits = vec![0.0f32; MOST * width];
    (0..MOST).for_each(|at| logits[at * width + at + 7] = if at == 2 { f32::NAN } else { 1.0 });
    let asked = [Asked::of(&OutputKind::Next { sampling: Sampling::default(), key: 0, position: 0 }); MOST];
    let (logits, asked, mut found) = (bench.up(&logits), bench.up(&asked), bench.up(&[Found::default(); MOST]));
    let (logits, asked) = (logits.as_view(), asked.as_view());
    bench.rows(width, |rows| kernels.sample(rows, &logits, &asked, &mut found.as_view_mut())).unwrap();
    // One of a row that is not there, one of a read that is not there, one beyond the count.
    let pairs = [[5, 0], [0, 3], [1, 2], [6, 1], [3, MOST as u32], [4, 1]];
    let (pairs, count) = (bench.up(pairs.as_flattened()), bench.up(&[5u32]));
    let mut ids = bench.up(&[100u32, 101, 102, 103, 104, 105]);
    kernels.fill_deferred(&found.as_view(), (&pairs.as_view(), &count.as_view()), &mut ids.as_view_mut()).unwrap();
    assert_eq!(bench.down(&ids), [10, u32::MAX, 102, 103, 104, 7]);
}
