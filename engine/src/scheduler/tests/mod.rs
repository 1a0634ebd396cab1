//! The scheduler over a backend whose keys are the tokens themselves: whatever it schedules, shares or copies, every
//! answer must be the one that the sequence alone would give.

mod toy;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use self::toy::*;
use super::backend::{Backend, Shape, Step, StepOutput};
use super::dispatcher;
use super::workload::{Goal, List, Outcome, RequestSource, Totals, Work};
use super::{Limits, Scheduler, run_all};
use crate::error::{Error, Result};

proptest! {
    #[test]
    fn every_answer_is_that_of_the_sequence_alone(
        all in workload(), blocks in 14usize..200, batch_tokens in 2usize..80, prefill_chunk in 1usize..70, max_seqs in 1usize..20,
        window in 1usize..50, sharing in any::<bool>(), drafts in any::<bool>(), gpus in 1usize..5,
        ahead in any::<bool>(),
    ) {
        let limits = Limits { batch_tokens, prefill_chunk, max_seqs, window, sharing, drafts };
        let mut list = List::new(all.iter().map(Asked::work).collect());
        let backend = |_| if ahead {
Box::new(Early::new(blocks)) as Box<dyn Backend>
} else {
Box::new(Paper::new(blocks))
};
        let totals = dispatcher::run(&mut (0..gpus).map(backend).collect::<Vec<_>>(), limits, &mut list).unwrap();
        let outcomes = list.into_outcomes();
        prop_assert_eq!((totals.finished, outcomes.len()), (all.len() as u64, all.len()));
        for (asked, outcome) in all.iter().zip(&outcomes) {
            prop_assert_eq!(asked.right(), written(outcome), "{:?}", asked);
        }
    }
}

/// Failed where a row that is read sees the poison.
fn poisoned(asked: &Asked, poison: u32) -> bool {
    let Asked { tokens, goal, .. } = asked;
    match goal {
        0 if !(1..tokens.len()).contains(&asked.from()) => false,
        0 => tokens[..tokens.len() - 1].contains(&poison),
        1 | 9 => tokens.contains(&poison),
        _ if asked.number == 0 => false,
        _ => {
            // The last token that is chosen goes through the model no more.
            let (answer, ended) = asked.whole_answer();
            let computed = answer.len() - usize::from(ended);
            tokens.contains(&poison) || answer[..computed].contains(&poison)
        }
    }
}

proptest! {
    /// A sequence fails by itself: neither those that begin alike and wait for what it was to compute, nor those beside it.
    #[test]
    fn what_is_not_finite_fails_alone(
        all in workload(), blocks in 14usize..200, batch_tokens in 2usize..80, prefill_chunk in 1usize..20, max_seqs in 1usize..20,
        drafts in any::<bool>(), gpus in 1usize..3, ahead in any::<bool>(),
    ) {
        let limits = Limits { batch_tokens, prefill_chunk, max_seqs, window: 50, sharing: true, drafts };
        let mut list = List::new(all.iter().map(Asked::work).collect());
        let poison = Some(4);
        let backend = |_| if ahead {
                let mut early = Early::new(blocks);
                early.paper.poison = poison;
                Box::new(early) as Box<dyn Backend>

} else {
Box::new(Paper { poison, ..Paper::new(blocks) })
};
        let totals = dispatcher::run(&mut (0..gpus).map(backend).collect::<Vec<_>>(), limits, &mut list).unwrap();
        let outcomes = list.into_outcomes();
        prop_assert_eq!((totals.finished, outcomes.len()), (all.len() as u64, all.len()));
        for (asked, outcome) in all.iter().zip(&outcomes) {
            let right = if poisoned(asked, 4) {
"the logits are not finite numbers".to_owned()
} else {
asked.right()
};
            prop_assert_eq!(right, written(outcome), "{:?}", asked);
        }
    }
}

/// Two texts that are scored, one from its first token on and one from its last: the first fails with its first chunk, the second
/// waits for blocks that the first was to compute.
#[test]
fn blocks_of_a_sequence_that_failed_are_computed_by_who_waits() {
    let tokens: Vec<u32> = std::iter::once(4).chain((0..60).map(|at| at % 4)).collect();
    let score = |from| Work::new(tokens.clone(), Goal::Score { from });
    let limits = Limits { batch_tokens: 16, prefill_chunk: 8, max_seqs: 4, window: 99, sharing: true, drafts: false };
    let clean = Asked { tokens: vec![1; 40], goal: 1, number: 0, guess: Guess::Nothing };
    for max_seqs in [1, 4] {
        let mut paper = Paper { poison: Some(4), ..Paper::new(60) };
        let work = vec![score(1), score(60), score(58), clean.work()];
        let outcomes = run_all(&mut paper, Limits { max_seqs, ..limits }, work).unwrap();
        let written: Vec<String> = outcomes.iter().map(written).collect();
        assert!(written[..3].iter().all(|outcome| outcome.contains("finite")), "{written:?}");
        assert_eq!(written[3], clean.right());
    }
}

/// All steps but the first are begun while another one is computed, and what is generated costs no more rows.
#[test]
fn a_backend_that_runs_ahead_never_waits() {
    let asked = |first: u32| Asked { tokens: vec![1 + first % 4; 3], goal: 2, number: 1000, guess: Guess::Nothing };
    let all: Vec<Asked> = (0..40).map(asked).collect();
    let work = || all.iter().map(Asked::work).collect();
    let limits =
        Limits { batch_tokens: 64, prefill_chunk: 64, max_seqs: 40, window: 99, sharing: false, drafts: false };
    let (mut early, mut paper) = (Early::new(2000), Paper::new(2000));
    let mut list = List::new(work());
    let totals = Scheduler::new(&mut early, limits).run(&mut list).unwrap();
    run_all(&mut paper, limits, work()).unwrap();
    assert_eq!(early.overlapped as u64, totals.steps - 1);
    // Answers end unforeseen at token 0, and each has then computed one row more.
    assert!(early.paper.rows > paper.rows && early.paper.rows <= paper.rows + 40, "{}", early.paper.rows);
    // An end that is foreseen costs nothing.
    let short = |first: u32| Asked { number: 1 + (first as usize % 3), ..asked(first) };
    let short: Vec<Asked> = (0..40).map(short).filter(|asked| !asked.answer().contains(&0)).collect();
    let work = || short.iter().map(Asked::work).collect();
    let (mut early, mut paper) = (Early::new(2000), Paper::new(2000));
    run_all(&mut early, limits, work()).unwrap();
    run_all(&mut paper, limits, work()).unwrap();
    assert_eq!((early.paper.rows, short.len() > 9), (paper.rows, true));
}

/// Processors look at every token before the next: a backend that runs ahead is read first, and a right guess still saves steps.
#[test]
fn processed_answers_wait_for_every_token() {
    let asked = |first: u32| Asked { tokens: vec![first % 5, 3, 1], goal: 6, number: 12, guess: Guess::Nothing };
    let all: Vec<Asked> = (0..5).map(asked).collect();
    let limits = Limits { batch_tokens: 64, prefill_chunk: 64, max_seqs: 9, window: 99, sharing: false, drafts: false };
    let (mut early, mut paper) = (Early::new(2000), Paper::new(2000));
    let outcomes = run_all(&mut early, limits, all.iter().map(Asked::work).collect()).unwrap();
    run_all(&mut paper, limits, all.iter().map(Asked::work).collect()).unwrap();
    assert!(all.iter().zip(&outcomes).all(|(asked, outcome)| asked.right() == written(outcome)));
    assert_eq!((early.overlapped, early.paper.rows), (0, paper.rows));
    let (longest, drafts) = (all.iter().max_by_key(|asked| asked.answer().len()).unwrap(), true);
    let mut paper = Paper::new(2000);
    let guessed = Asked { guess: Guess::Right, ..longest.clone() };
    let outcome = run_all(&mut paper, Limits { drafts, ..limits }, vec![guessed.work()]).unwrap().remove(0);
    assert_eq!((written(&outcome), paper.steps), (longest.right(), 1));
}

/// Whoever stops in the middle leaves nothing behind that the next run would take for its own.
#[test]
fn a_run_that_stops_finishes_what_it_began() {
    struct Stopped(List);
    impl RequestSource for Stopped {
        fn next(&mut self, wait: bool) -> Result<Option<std::result::Result<Work, String>>> {
            self.0.next(wait)
        }

        fn done(&mut self, index: u64, outcome: Outcome) -> Result<()> {
            self.0.done(index, outcome)
        }

        fn stepped(&mut self, totals: &Totals) -> Result<()> {
            if totals.steps == 3 { Err(Error::internal("go on")) } else { Ok(()) }
        }
    }
    let asked = |first: u32| Asked { tokens: vec![first % 5, 2, 3], goal: 2, number: 20, guess: Guess::Nothing };
    let all: Vec<Asked> = (0..20).map(asked).collect();
    let limits = Limits { batch_tokens: 64, prefill_chunk: 64, max_seqs: 20, window: 99, sharing: true, drafts: true };
    let mut early = Early::new(2000);
    let work = || all.iter().map(Asked::work).collect();
    Scheduler::new(&mut early, limits).run(&mut Stopped(List::new(work()))).expect_err("stopped");
    assert!(early.overlapped > 0 && early.answers.is_empty());
    for (asked, outcome) in all.iter().zip(run_all(&mut early, limits, work()).unwrap()) {
        assert_eq!(asked.right(), written(&outcome));
    }
}

/// A backend that fails at its third step.
struct Failing(Paper);

impl Backend for Failing {
    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        match self.0.steps {
            2 => Err(Error::internal("reach the GPU")),
            _ => self.0.step(step),
        }
    }
}

#[test]
fn a_gpu_that_fails_ends_the_run() {
    let asked = |first: u32| Asked { tokens: vec![first, 2, 3], goal: 2, number: 40, guess: Guess::Nothing };
    let mut list = List::new((0..200).map(|i| asked(i % 5).work()).collect());
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(Paper::new(200)), Box::new(Failing(Paper::new(200)))];
    let limits = Limits { batch_tokens: 8, prefill_chunk: 8, max_seqs: 4, window: 50, sharing: false, drafts: false };
    let error = dispatcher::run(&mut backends, limits, &mut list).expect_err("failed");
    assert!(error.chain().contains("reach the GPU"), "{}", error.chain());
}

/// A backend that panics at its third step.
struct Panicking(Paper);

impl Backend for Panicking {
    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        assert!(self.0.steps < 2, "the GPU burns");
        self.0.step(step)
    }
}

/// One GPU is no exception.
#[test]
fn a_panic_of_the_only_gpu_is_an_error() {
    let asked = Asked { tokens: vec![1, 2, 3], goal: 2, number: 40, guess: Guess::Nothing };
    let limits = Limits { batch_tokens: 8, prefill_chunk: 1, max_seqs: 4, window: 50, sharing: false, drafts: false };
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(Panicking(Paper::new(200)))];
    let error = dispatcher::run(&mut backends, limits, &mut List::new(vec![asked.work()])).expect_err("failed");
    assert!(error.chain().contains("the GPU burns"), "{}", error.chain());
}

/// A request may ask for any number of tokens; what GPUs are given is added up.
#[test]
fn requests_for_any_number_of_tokens_are_shared_out() {
    let asked = |i: u32| Asked { tokens: vec![i % 5, 2, 3], goal: 2, number: usize::MAX, guess: Guess::Nothing };
    let mut list = List::new((0..9).map(|i| asked(i).work()).collect());
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(Paper::new(200)), Box::new(Paper::new(200))];
    let limits = Limits { batch_tokens: 64, prefill_chunk: 8, max_seqs: 4, window: 50, sharing: true, drafts: true };
    dispatcher::run(&mut backends, limits, &mut list).unwrap();
    assert_eq!(list.into_outcomes().len(), 9);
}

/// Other GPUs wait for requests meanwhile: the run must not wait for an answer that never comes.
#[test]
fn a_gpu_whose_thread_panics_ends_the_run() {
    let asked = |first: u32| Asked { tokens: vec![first, 2, 3], goal: 2, number: 40, guess: Guess::Nothing };
    let mut list = List::new((0..200).map(|i| asked(i % 5).work()).collect());
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(Paper::new(200)), Box::new(Panicking(Paper::new(200)))];
    let limits = Limits { batch_tokens: 8, prefill_chunk: 8, max_seqs: 4, window: 50, sharing: false, drafts: false };
    let error = dispatcher::run(&mut backends, limits, &mut list).expect_err("failed");
    assert!(error.chain().contains("the GPU burns"), "{}", error.chain());
}

/// An answer is handed out with the step in which it ends, whatever stands before it, and before the next step.
#[test]
fn answers_come_as_they_end() {
    struct Order {
        list: List,
        /// By step, who had ended behind it.
        ended: Vec<Vec<u64>>,
        new: Vec<u64>,
    }
    impl RequestSource for Order {
        fn next(&mut self, wait: bool) -> Result<Option<std::result::Result<Work, String>>> {
            self.list.next(wait)
        }

        fn done(&mut self, index: u64, outcome: Outcome) -> Result<()> {
            self.new.push(index);
            self.list.done(index, outcome)
        }

        fn stepped(&mut self, totals: &Totals) -> Result<()> {
            self.ended.push(std::mem::take(&mut self.new));
            assert_eq!(totals.finished as usize, self.ended.concat().len());
            Ok(())
        }
    }
    // The first takes 24 steps, the others 5 each, one behind the other; one of them needs none.
    let scored = |number| Asked { tokens: vec![1; 40], goal: 1, number, guess: Guess::Nothing };
    let mut all: Vec<Work> = (0..5).map(|_| scored(0).work()).collect();
    all.insert(2, Asked { tokens: vec![1], goal: 2, number: 0, guess: Guess::Nothing }.work());
    all[0].tokens = [1, 2].repeat(95);
    let limits = Limits { batch_tokens: 16, prefill_chunk: 8, max_seqs: 2, window: 99, sharing: false, drafts: false };
    let mut order = Order { list: List::new(all), ended: Vec::new(), new: Vec::new() };
    Scheduler::new(&mut Paper::new(100), limits).run(&mut order).unwrap();
    let ended: Vec<u64> = order.ended.concat();
    assert_eq!(ended.first(), Some(&2), "{ended:?}");
    assert_eq!(ended.last(), Some(&0), "{ended:?}");
    assert_eq!(order.ended.len(), 24);
    assert!(order.ended[4].contains(&1) && order.ended[23].contains(&0), "{:?}", order.ended);
}

/// A backend that never answers what it is asked.
struct Silent(Paper);

impl Backend for Silent {
    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        self.0.step(step)?;
        Ok(Vec::new())
    }
}

/// Where nothing can be computed any more and nothing has ended, nobody waits for ever.
#[test]
fn a_run_that_cannot_go_on_ends_with_an_error() {
    let limits = Limits { batch_tokens: 16, prefill_chunk: 8, max_seqs: 2, window: 9, sharing: true, drafts: false };
    let work = Asked { tokens: vec![1; 20], goal: 0, number: 1, guess: Guess::Nothing }.work();
    let error = run_all(&mut Silent(Paper::new(20)), limits, vec![work]).err().expect("an end");
    assert_eq!(error.kind(), crate::error::Kind::Internal);
    assert!(error.message().contains("1 sequences run") && error.hint().is_some(), "{error}");
}

/// A backend that counts the rows it computes.
struct Counted(Paper, Arc<AtomicUsize>);

impl Backend for Counted {
    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        self.1.fetch_add(step.tokens.len(), Ordering::Relaxed);
        self.0.step(step)
    }
}

#[test]
fn gpus_get_equal_shares() {
    let asked = |i: u32| Asked {
        tokens: (0..20 + i * 7 % 90).map(|at| (i + at) % VOCAB as u32).collect(),
        goal: 1,
        number: 0,
        guess: Guess::Nothing,
    };
    let rows: [Arc<AtomicUsize>; 3] = std::array::from_fn(|_| Arc::default());
    let counted = |rows: &Arc<AtomicUsize>| Box::new(Counted(Paper::new(500), rows.clone())) as Box<dyn Backend>;
    let mut backends: Vec<_> = rows.iter().map(counted).collect();
    let mut list = List::new((0..300).map(|i| asked(i).work()).collect());
    let limits =
        Limits { batch_tokens: 64, prefill_chunk: 64, max_seqs: 9, window: 1000, sharing: false, drafts: false };
    dispatcher::run(&mut backends, limits, &mut list).unwrap();
    let rows = rows.map(|rows| rows.load(Ordering::Relaxed));
    let all: usize = (0..300).map(|i| asked(i).tokens.len()).sum();
    assert_eq!(rows.iter().sum::<usize>(), all);
    // Whoever has least gets the next: two GPUs are never apart by more than a request.
    assert!(rows.iter().all(|rows| rows.abs_diff(all / 3) <= 110), "{rows:?}");
}

/// Prompts with one beginning of 100 tokens: it is computed once, and each prompt's own rest.
#[test]
fn a_common_beginning_is_computed_once() {
    let stem: Vec<u32> = (0..100).map(|at| at % VOCAB as u32).collect();
    let all = |n: u32| {
        (0..n).map(|i| Asked {
            tokens: [&stem[..], &[i % 5, i / 5 % 5, i / 25]].concat(),
            goal: 2,
            number: 1,
            guess: Guess::Nothing,
        })
    };
    for max_seqs in [1, 4, 100] {
        let mut paper = Paper::new(2000);
        let limits =
            Limits { batch_tokens: 64, prefill_chunk: 1000, max_seqs, window: 1000, sharing: true, drafts: true };
        run_all(&mut paper, limits, all(50).map(|asked| asked.work()).collect()).unwrap();
        // 12 full blocks are lent; of the thirteenth four tokens are copied, more where earlier prompts went the same way.
        assert!(paper.rows <= 100 + 50 * 3, "{max_seqs}: {} rows", paper.rows);
        let mut apart = Paper::new(2000);
        let limits = Limits { sharing: false, ..limits };
        run_all(&mut apart, limits, all(50).map(|asked| asked.work()).collect()).unwrap();
        assert_eq!(apart.rows, 50 * 103);
    }
}

/// Questions to many contexts of one length, in any order, on a cache that holds a few of them: each context is computed
/// once, since its questions go one after another.
#[test]
fn what_begins_alike_goes_together() {
    let context = |n: u32| (0..120).map(move |at| (n >> (at % 8) & 1) + at % 3);
    let (contexts, questions) = (64, 8);
    let asked = |i: u32| {
        let (n, question) = (i * 37 % contexts, i / contexts);
        let rest = (0..4 + question % 3).map(|at| (question + at) % VOCAB as u32);
        Asked { tokens: context(n).chain(rest).collect(), goal: 2, number: 1, guess: Guess::Nothing }
    };
    let all = || (0..contexts * questions).map(|i| asked(i).work()).collect::<Vec<_>>();
    let limits =
        Limits { batch_tokens: 64, prefill_chunk: 1000, max_seqs: 6, window: 1000, sharing: true, drafts: false };
    // Blocks for the sequences in flight and about eight contexts more.
    let mut paper = Paper::new(6 * 17 + 8 * 15);
    run_all(&mut paper, limits, all()).unwrap();
    let (once, rests) = (contexts as usize * 120, (contexts * questions) as usize * 7);
    assert!(paper.rows <= once + rests, "{} rows, {once} of contexts", paper.rows);
}

/// The memory of a run is what its sequences hold and a bounded rest.
#[test]
fn prompts_that_are_done_do_not_fill_the_cache() {
    let mut paper = Paper::new(10_000);
    let asked = |i: u32| Asked {
        tokens: (0..64).map(|at| (i >> (at % 16)) % 2 + at % 3).collect(),
        goal: 2,
        number: 1,
        guess: Guess::Nothing,
    };
    let limits =
        Limits { batch_tokens: 64, prefill_chunk: 1000, max_seqs: 4, window: 100, sharing: true, drafts: true };
    run_all(&mut paper, limits, (0..600).map(|i| asked(i).work()).collect()).unwrap();
    let touched = paper.blocks.iter().filter(|block| block.iter().any(Option::is_some)).count();
    assert!(touched <= 4 * 9 + 128 + 9, "{touched} blocks touched");
}

/// Steps of one sequence after another: an answer that is what it was needs one.
#[test]
fn a_right_guess_saves_steps() {
    let start = |first: u32| Asked { tokens: vec![first, 2, 3], goal: 2, number: 40, guess: Guess::Nothing };
    let longest = (0..VOCAB as u32).map(start).max_by_key(|asked| asked.answer().len()).expect("some");
    let asked = |guess: Guess| Asked { guess, ..longest.clone() };
    let answer = longest.answer();
    let steps = |guess: Guess, batch_tokens: usize| {
        let mut paper = Paper::new(100);
        let limits = Limits { batch_tokens, prefill_chunk: 1000, max_seqs: 1, window: 9, sharing: true, drafts: true };
        let outcomes = run_all(&mut paper, limits, vec![asked(guess).work()]).unwrap();
        assert_eq!(written(&outcomes[0]), format!("{answer:?}"));
        paper.steps
    };
    assert!(answer.len() > 4, "{answer:?}");
    assert_eq!(steps(Guess::Right, 64), 1);
    assert!(steps(Guess::Right, 4) <= 1 + answer.len().div_ceil(3));
    let changed = Guess::Nearly(2, (answer[2] + 1) % VOCAB as u32);
    assert!(steps(changed, 64) < answer.len());
}
