//! The scheduler over a backend whose keys are the tokens themselves: whatever it schedules, shares or copies, every
//! answer must be the one that the sequence alone would give.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::backend::{Ahead, Backend, Carried, Seen, Shape, Step, Want, processing_of};
use super::draft::Draft;
use super::fleet;
use super::workload::{Exchange, Goal, List, Outcome, Totals, Watcher, Work};
use super::{Limits, Scheduler, run_all};
use crate::answer::Closed;
use crate::error::{Error, Result};
use crate::request::{Finish, Sampling};
use crate::sampling::argmax;
use crate::sampling::processors::{ProcessorOptions, Processors, Progress};

const VOCAB: usize = 5;
const PAGE: usize = 8;

/// What a model would choose after these tokens: any of them changes it.
fn next(tokens: &[u32]) -> u32 {
    let mut hash = Sha256::new();
    tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
    u32::from(hash.finalize()[0]) % VOCAB as u32
}

/// Logits after these tokens, of which [`next`] is the highest.
fn logits(tokens: &[u32]) -> Vec<f32> {
    let mut hash = Sha256::new();
    tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
    let mut row: Vec<f32> = hash.finalize()[1..=VOCAB].iter().map(|byte| f32::from(*byte) / 8.0 - 16.0).collect();
    row[next(tokens) as usize] = 20.0;
    row
}

/// What a processed sequence asks for: everything that looks at its tokens, its length or its end.
fn processors(goal: usize) -> Option<Arc<Processors>> {
    let options = match goal {
        6 => ProcessorOptions {
            repetition_penalty: Some(1.8),
            no_repeat_ngram_size: Some(2),
            ..ProcessorOptions::default()
        },
        7 => ProcessorOptions {
            min_new_tokens: Some(7),
            bad_words_ids: Some(vec![vec![1, 2], vec![3, 3, 4]]),
            ..ProcessorOptions::default()
        },
        8 => ProcessorOptions {
            forced_eos_token_id: Some(vec![3]),
            suppress_tokens: Some(vec![4]),
            begin_suppress_tokens: Some(vec![0, 1]),
            ..ProcessorOptions::default()
        },
        _ => return None,
    };
    Processors::new(options, &[0], false, VOCAB).unwrap().map(Arc::new)
}

/// Pages that hold tokens, and what was asked.
struct Paper {
    pages: Vec<[Option<u32>; PAGE]>,
    /// A token that is no finite number: neither is any row that sees it.
    poison: Option<u32>,
    rows: usize,
    steps: usize,
}

impl Paper {
    fn new(pages: usize) -> Self {
        Self { pages: vec![[None; PAGE]; pages], poison: None, rows: 0, steps: 0 }
    }

    /// The first `len` tokens of a sequence as its pages have them.
    fn read(&self, pages: &[u32], len: usize) -> Vec<u32> {
        let slot = |at: usize| self.pages[pages[at / PAGE] as usize][at % PAGE];
        (0..len).map(|at| slot(at).unwrap_or_else(|| panic!("position {at} was never written"))).collect()
    }
}

impl Backend for Paper {
    fn shape(&self) -> Shape {
        Shape { vocab: VOCAB, context: 200, page_tokens: PAGE, pages: self.pages.len() }
    }

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
        for (from, to) in &step.copies {
            self.pages[*to as usize] = self.pages[*from as usize];
        }
        let (mut tokens, mut rows) = (step.tokens.iter(), Vec::new());
        for segment in &step.segments {
            for at in segment.start..segment.start + segment.len {
                self.pages[segment.pages[at / PAGE] as usize][at % PAGE] = tokens.next().copied();
                rows.push((segment, at + 1));
            }
        }
        self.rows += rows.len();
        self.steps += 1;
        let see = |(at, read): (usize, &crate::scheduler::backend::Read)| {
            let (segment, len) = rows[read.row];
            let tokens = self.read(&segment.pages, len);
            if self.poison.is_some_and(|poison| tokens.contains(&poison)) {
                return Seen::NotFinite;
            }
            let seen = next(&tokens);
            if let Some(processing) = processing_of(&step.processing, at) {
                let mut row = logits(&tokens);
                processing.apply(&mut row);
                return argmax(&row).map_or(Seen::NothingLeft, Seen::Next);
            }
            match read.want {
                Want::Next { .. } => Seen::Next(seen),
                Want::Score { target } => Seen::Score { logprob: -f64::from(seen), greedy: seen == target },
                Want::Logits => Seen::Logits(vec![seen as f32]),
            }
        };
        Ok(step.reads.iter().enumerate().map(see).collect())
    }
}

/// The same as a backend that runs ahead.
struct Early {
    paper: Paper,
    /// What the last step answered.
    last: Vec<Seen>,
    /// What was not asked for yet.
    answers: VecDeque<Vec<Seen>>,
    /// Steps that were begun while another one was not finished.
    overlapped: usize,
}

impl Early {
    fn new(pages: usize) -> Self {
        Self { paper: Paper::new(pages), last: Vec::new(), answers: VecDeque::new(), overlapped: 0 }
    }
}

impl Backend for Early {
    fn shape(&self) -> Shape {
        self.paper.shape()
    }

    fn step(&mut self, _step: &Step) -> Result<Vec<Seen>> {
        unreachable!("it runs ahead")
    }

    fn ahead(&mut self) -> Option<&mut dyn Ahead> {
        Some(self)
    }
}

impl Ahead for Early {
    fn begin(&mut self, step: &Step) -> Result<()> {
        assert!(self.answers.len() < 2 && !step.tokens.is_empty());
        self.overlapped += self.answers.len();
        let mut step = step.clone();
        for Carried { row, read } in &step.carried {
            step.tokens[*row] = match self.last[*read] {
                Seen::Next(token) => token,
                // Fails as well.
                Seen::NotFinite if self.paper.poison.is_some() => self.paper.poison.unwrap_or_default(),
                _ => panic!("read {read} chose nothing"),
            };
        }
        self.last = self.paper.step(&step)?;
        self.answers.push_back(self.last.clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Seen>> {
        Ok(self.answers.pop_front().expect("a step that was begun"))
    }
}

/// Ends an answer at token 0.
struct Zero;

impl Watcher for Zero {
    fn ends(&mut self, token: u32) -> bool {
        token == 0
    }

    fn close(self: Box<Self>, ids: Vec<u32>) -> Result<Closed> {
        Ok(Closed { text: String::new(), ids, finish: Finish::Length })
    }
}

/// A sequence to be: its tokens, and what to do with it.
#[derive(Clone, Debug)]
struct Asked {
    tokens: Vec<u32>,
    goal: usize,
    number: usize,
    guess: Guess,
}

/// What is guessed of an answer.
#[derive(Clone, Debug)]
enum Guess {
    Nothing,
    Right,
    /// One token of it is another one.
    Nearly(usize, u32),
    Any(Vec<u32>),
}

impl Asked {
    fn draft(&self) -> Draft {
        let mut answer = self.answer();
        match &self.guess {
            Guess::Nothing => answer.clear(),
            Guess::Right => {}
            Guess::Nearly(at, token) => {
                let len = answer.len().max(1);
                answer.get_mut(at % len).into_iter().for_each(|wrong| *wrong = *token);
            }
            Guess::Any(tokens) => answer = tokens.clone(),
        }
        Draft::new(answer)
    }

    /// What the sequence alone would generate.
    fn answer(&self) -> Vec<u32> {
        self.whole_answer().0
    }

    /// The same, and whether something was left to choose to the end.
    fn whole_answer(&self) -> (Vec<u32>, bool) {
        let (mut tokens, processors) = (self.tokens.clone(), processors(self.goal));
        let (prompt, max_new_tokens) = (tokens.len(), self.number);
        while tokens.len() - self.tokens.len() < self.number {
            let mut row = logits(&tokens);
            if let Some(processors) = &processors {
                processors.apply(&mut row, Progress { tokens: &tokens, prompt, max_new_tokens });
            }
            let Some(chosen) = argmax(&row) else { return (tokens.split_off(prompt), false) };
            tokens.push(chosen);
            if tokens.last() == Some(&0) {
                break;
            }
        }
        (tokens.split_off(prompt), true)
    }

    /// The first token that is scored; the first of all and one behind the last have nothing that could be.
    fn from(&self) -> usize {
        self.number % (self.tokens.len() + 1)
    }

    fn work(&self) -> Work {
        let goal = match self.goal {
            0 => Goal::Score { from: self.from() },
            1 => Goal::Logits,
            _ => Goal::Generate {
                max_new_tokens: self.number,
                sampling: Sampling::default(),
                processors: processors(self.goal),
                key: 0,
                draft: self.draft(),
                watcher: Box::new(Zero),
            },
        };
        Work { tokens: self.tokens.clone(), goal }
    }

    /// What the sequence alone gives, written down.
    fn right(&self) -> String {
        let tokens = &self.tokens;
        match self.goal {
            0 if !(1..tokens.len()).contains(&self.from()) => {
                let (from, len) = (self.from(), tokens.len());
                format!(
                    "the tokens from {from} on of a text of {len} cannot be scored: there are none, or none before them"
                )
            }
            0 => {
                let scored = self.from()..tokens.len();
                let seen: Vec<u32> = scored.clone().map(|at| next(&tokens[..at])).collect();
                let greedy = seen.iter().zip(&tokens[scored]).all(|(seen, token)| seen == token);
                format!("{} {} {greedy}", -(seen.iter().sum::<u32>() as f64) + 0.0, seen.len())
            }
            1 => format!("{:?}", [next(tokens) as f32]),
            _ => match self.whole_answer() {
                (answer, true) => format!("{answer:?}"),
                (_, false) => "the logits processors leave no token".into(),
            },
        }
    }
}

fn written(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Generated { tokens, .. } => format!("{tokens:?}"),
        Outcome::Scored { logprob, tokens, greedy } => format!("{} {tokens} {greedy}", logprob + 0.0),
        Outcome::Logits(logits) => format!("{logits:?}"),
        Outcome::Failed(reason) => reason.clone(),
    }
}

/// Sequences of which many begin like another one.
fn workload() -> impl Strategy<Value = Vec<Asked>> {
    let stems = prop::collection::vec(prop::collection::vec(0..VOCAB as u32, 1..60), 1..4);
    let ids = |most| prop::collection::vec(0..VOCAB as u32, 1..most);
    let guess = prop_oneof![
        Just(Guess::Nothing),
        Just(Guess::Right),
        (0usize..30, 0..VOCAB as u32).prop_map(|(at, token)| Guess::Nearly(at, token)),
        ids(20).prop_map(Guess::Any),
    ];
    let one = (any::<prop::sample::Index>(), 0usize..60, ids(20), 0usize..9, 0usize..30, guess);
    (stems, prop::collection::vec(one, 1..40)).prop_map(|(stems, all)| {
        let asked = |(stem, cut, rest, goal, number, guess): (prop::sample::Index, usize, Vec<u32>, _, _, _)| {
            let stem = stem.get(&stems);
            Asked { tokens: [&stem[..cut.min(stem.len())], &rest[..]].concat(), goal, number, guess }
        };
        all.into_iter().map(asked).collect()
    })
}

proptest! {
    #[test]
    fn every_answer_is_that_of_the_sequence_alone(
        all in workload(), pages in 14usize..200, batch_tokens in 2usize..80, prefill_chunk in 1usize..70, max_seqs in 1usize..20,
        window in 1usize..50, sharing in any::<bool>(), drafts in any::<bool>(), gpus in 1usize..5,
        ahead in any::<bool>(),
    ) {
        let limits = Limits { batch_tokens, prefill_chunk, max_seqs, window, sharing, drafts };
        let mut list = List::new(all.iter().map(Asked::work).collect());
        let backend = |_| if ahead {
Box::new(Early::new(pages)) as Box<dyn Backend>
} else {
Box::new(Paper::new(pages))
};
        let totals = fleet::run(&mut (0..gpus).map(backend).collect::<Vec<_>>(), limits, &mut list).unwrap();
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
        1 => tokens.contains(&poison),
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
        all in workload(), pages in 14usize..200, batch_tokens in 2usize..80, prefill_chunk in 1usize..20, max_seqs in 1usize..20,
        drafts in any::<bool>(), gpus in 1usize..3, ahead in any::<bool>(),
    ) {
        let limits = Limits { batch_tokens, prefill_chunk, max_seqs, window: 50, sharing: true, drafts };
        let mut list = List::new(all.iter().map(Asked::work).collect());
        let poison = Some(4);
        let backend = |_| if ahead {
                let mut early = Early::new(pages);
                early.paper.poison = poison;
                Box::new(early) as Box<dyn Backend>

} else {
Box::new(Paper { poison, ..Paper::new(pages) })
};
        let totals = fleet::run(&mut (0..gpus).map(backend).collect::<Vec<_>>(), limits, &mut list).unwrap();
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
/// waits for pages that the first was to compute.
#[test]
fn pages_of_a_sequence_that_failed_are_computed_by_who_waits() {
    let tokens: Vec<u32> = std::iter::once(4).chain((0..60).map(|at| at % 4)).collect();
    let score = |from| Work { tokens: tokens.clone(), goal: Goal::Score { from } };
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
    impl Exchange for Stopped {
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

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
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
    let error = fleet::run(&mut backends, limits, &mut list).expect_err("failed");
    assert!(error.chain().contains("reach the GPU"), "{}", error.chain());
}

/// A backend that panics at its third step.
struct Panicking(Paper);

impl Backend for Panicking {
    fn shape(&self) -> Shape {
        self.0.shape()
    }

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
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
    let error = fleet::run(&mut backends, limits, &mut List::new(vec![asked.work()])).expect_err("failed");
    assert!(error.chain().contains("the GPU burns"), "{}", error.chain());
}

/// A request may ask for any number of tokens; what GPUs are given is added up.
#[test]
fn requests_for_any_number_of_tokens_are_shared_out() {
    let asked = |i: u32| Asked { tokens: vec![i % 5, 2, 3], goal: 2, number: usize::MAX, guess: Guess::Nothing };
    let mut list = List::new((0..9).map(|i| asked(i).work()).collect());
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(Paper::new(200)), Box::new(Paper::new(200))];
    let limits = Limits { batch_tokens: 64, prefill_chunk: 8, max_seqs: 4, window: 50, sharing: true, drafts: true };
    fleet::run(&mut backends, limits, &mut list).unwrap();
    assert_eq!(list.into_outcomes().len(), 9);
}

/// Other GPUs wait for requests meanwhile: the run must not wait for an answer that never comes.
#[test]
fn a_gpu_whose_thread_panics_ends_the_run() {
    let asked = |first: u32| Asked { tokens: vec![first, 2, 3], goal: 2, number: 40, guess: Guess::Nothing };
    let mut list = List::new((0..200).map(|i| asked(i % 5).work()).collect());
    let mut backends: Vec<Box<dyn Backend>> = vec![Box::new(Paper::new(200)), Box::new(Panicking(Paper::new(200)))];
    let limits = Limits { batch_tokens: 8, prefill_chunk: 8, max_seqs: 4, window: 50, sharing: false, drafts: false };
    let error = fleet::run(&mut backends, limits, &mut list).expect_err("failed");
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
    impl Exchange for Order {
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

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
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

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
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
    fleet::run(&mut backends, limits, &mut list).unwrap();
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
        // 12 full pages are lent; of the thirteenth four tokens are copied, more where earlier prompts went the same way.
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
    // Pages for the sequences in flight and about eight contexts more.
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
    let touched = paper.pages.iter().filter(|page| page.iter().any(Option::is_some)).count();
    assert!(touched <= 4 * 9 + 128 + 9, "{touched} pages touched");
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
