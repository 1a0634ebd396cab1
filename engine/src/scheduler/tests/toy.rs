//! A toy model: a backend whose keys are the tokens themselves, and what a sequence alone would give.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::request::{Finish, Sampling};
use crate::sampling::processors::{ProcessorOptions, Processors, Progress};
use crate::sampling::{TokenLogProb, argmax};
use crate::scheduler::backend::{
    AsyncBackend, Backend, DeferredToken, OutputKind, OutputRequest, Shape, Step, StepOutput, processing_of,
};
use crate::scheduler::draft::Draft;
use crate::scheduler::workload::{Closed, Goal, Outcome, Watcher, Work};

pub(super) const VOCAB: usize = 5;
pub(super) const BLOCK_SIZE: usize = 8;

/// What a model would choose after these tokens: any of them changes it.
pub(super) fn next(tokens: &[u32]) -> u32 {
    let mut hash = Sha256::new();
    tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
    u32::from(hash.finalize()[0]) % VOCAB as u32
}

/// Logits after these tokens, of which [`next`] is the highest.
pub(super) fn logits(tokens: &[u32]) -> Vec<f32> {
    let mut hash = Sha256::new();
    tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
    let mut row: Vec<f32> = hash.finalize()[1..=VOCAB].iter().map(|byte| f32::from(*byte) / 8.0 - 16.0).collect();
    row[next(tokens) as usize] = 20.0;
    row
}

/// What a processed sequence asks for: everything that looks at its tokens, its length or its end.
pub(super) fn processors(goal: usize) -> Option<Arc<Processors>> {
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

/// Blocks that hold tokens, and what was asked.
pub(super) struct Paper {
    pub(super) blocks: Vec<[Option<u32>; BLOCK_SIZE]>,
    /// A token that is no finite number: neither is any row that sees it.
    pub(super) poison: Option<u32>,
    pub(super) rows: usize,
    pub(super) steps: usize,
}

impl Paper {
    pub(super) fn new(blocks: usize) -> Self {
        Self { blocks: vec![[None; BLOCK_SIZE]; blocks], poison: None, rows: 0, steps: 0 }
    }

    /// The first `len` tokens of a sequence as its blocks have them.
    pub(super) fn read(&self, blocks: &[u32], len: usize) -> Vec<u32> {
        let slot = |at: usize| self.blocks[blocks[at / BLOCK_SIZE] as usize][at % BLOCK_SIZE];
        (0..len).map(|at| slot(at).unwrap_or_else(|| panic!("position {at} was never written"))).collect()
    }
}

impl Backend for Paper {
    fn shape(&self) -> Shape {
        Shape { vocab: VOCAB, context: 200, block_size: BLOCK_SIZE, blocks: self.blocks.len() }
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        for (from, to) in &step.copies {
            self.blocks[*to as usize] = self.blocks[*from as usize];
        }
        let (mut tokens, mut rows) = (step.tokens.iter(), Vec::new());
        for segment in &step.segments {
            for at in segment.start..segment.start + segment.len {
                self.blocks[segment.blocks[at / BLOCK_SIZE] as usize][at % BLOCK_SIZE] = tokens.next().copied();
                rows.push((segment, at + 1));
            }
        }
        self.rows += rows.len();
        self.steps += 1;
        let see = |(at, request): (usize, &OutputRequest)| {
            let (segment, len) = rows[request.row];
            let tokens = self.read(&segment.blocks, len);
            if self.poison.is_some_and(|poison| tokens.contains(&poison)) {
                return StepOutput::NotFinite;
            }
            let seen = next(&tokens);
            if let Some(processing) = processing_of(&step.processing, at) {
                let mut row = logits(&tokens);
                processing.apply(&mut row);
                return argmax(&row).map_or(StepOutput::NothingLeft, StepOutput::Next);
            }
            match request.kind {
                OutputKind::Next { .. } => StepOutput::Next(seen),
                OutputKind::Score { target } => StepOutput::Score { logprob: -f64::from(seen), greedy: seen == target },
                OutputKind::Candidates { first, count } => {
                    let one = |target: &u32| candidate(seen, *target);
                    StepOutput::Candidates(step.targets[first..first + count].iter().map(one).collect())
                }
                OutputKind::Logits => StepOutput::Logits(vec![seen as f32]),
            }
        };
        Ok(step.outputs.iter().enumerate().map(see).collect())
    }
}

/// A candidate where `seen` would be chosen.
fn candidate(seen: u32, target: u32) -> TokenLogProb {
    TokenLogProb { logprob: -f64::from(10 * seen + target), greedy: seen == target }
}

/// The same as an asynchronous backend.
pub(super) struct Early {
    pub(super) paper: Paper,
    /// What the last step answered.
    pub(super) last: Vec<StepOutput>,
    /// What was not asked for yet.
    pub(super) answers: VecDeque<Vec<StepOutput>>,
    /// Steps that were begun while another one was not finished.
    pub(super) overlapped: usize,
}

impl Early {
    pub(super) fn new(blocks: usize) -> Self {
        Self { paper: Paper::new(blocks), last: Vec::new(), answers: VecDeque::new(), overlapped: 0 }
    }
}

impl Backend for Early {
    fn shape(&self) -> Shape {
        self.paper.shape()
    }

    fn step(&mut self, _step: &Step) -> Result<Vec<StepOutput>> {
        unreachable!("it is asynchronous")
    }

    fn as_async(&mut self) -> Option<&mut dyn AsyncBackend> {
        Some(self)
    }
}

impl AsyncBackend for Early {
    fn begin(&mut self, step: &Step) -> Result<()> {
        assert!(self.answers.len() < 2 && !step.tokens.is_empty());
        self.overlapped += self.answers.len();
        let mut step = step.clone();
        for DeferredToken { row, output } in &step.deferred {
            step.tokens[*row] = match self.last[*output] {
                StepOutput::Next(token) => token,
                // Fails as well.
                StepOutput::NotFinite if self.paper.poison.is_some() => self.paper.poison.unwrap_or_default(),
                _ => panic!("output {output} chose nothing"),
            };
        }
        self.last = self.paper.step(&step)?;
        self.answers.push_back(self.last.clone());
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<StepOutput>> {
        Ok(self.answers.pop_front().expect("a step that was begun"))
    }
}

/// Ends an answer at token 0.
pub(super) struct Zero;

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
pub(super) struct Asked {
    pub(super) tokens: Vec<u32>,
    pub(super) goal: usize,
    pub(super) number: usize,
    pub(super) guess: Guess,
}

/// What is guessed of an answer.
#[derive(Clone, Debug)]
pub(super) enum Guess {
    Nothing,
    Right,
    /// One token of it is another one.
    Nearly(usize, u32),
    Any(Vec<u32>),
}

impl Asked {
    pub(super) fn draft(&self) -> Draft {
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
    pub(super) fn answer(&self) -> Vec<u32> {
        self.whole_answer().0
    }

    /// The same, and whether something was left to choose to the end.
    pub(super) fn whole_answer(&self) -> (Vec<u32>, bool) {
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
    pub(super) fn from(&self) -> usize {
        self.number % (self.tokens.len() + 1)
    }

    /// Tokens that may come next, one of them twice.
    fn candidates(&self) -> Vec<u32> {
        (0..=self.number % VOCAB).map(|at| (at % 3) as u32).collect()
    }

    pub(super) fn work(&self) -> Work {
        let goal = match self.goal {
            0 => Goal::Score { from: self.from() },
            1 => Goal::Logits,
            9 => Goal::Candidates { targets: self.candidates() },
            _ => Goal::Generate {
                max_new_tokens: self.number,
                sampling: Sampling::default(),
                processors: processors(self.goal),
                key: 0,
                draft: self.draft(),
                watcher: Box::new(Zero),
            },
        };
        Work::new(self.tokens.clone(), goal)
    }

    /// What the sequence alone gives, written down.
    pub(super) fn right(&self) -> String {
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
                let greedy: Vec<bool> = seen.iter().zip(&tokens[scored]).map(|(seen, token)| seen == token).collect();
                format!("{} {greedy:?}", -(seen.iter().sum::<u32>() as f64) + 0.0)
            }
            1 => format!("{:?}", [next(tokens) as f32]),
            9 => {
                let all = self.candidates().into_iter().map(|target| candidate(next(tokens), target)).collect();
                written(&Outcome::Scored(all))
            }
            _ => match self.whole_answer() {
                (answer, true) => format!("{answer:?}"),
                (_, false) => "the logits processors leave no token".into(),
            },
        }
    }
}

pub(super) fn written(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Generated { tokens, .. } => format!("{tokens:?}"),
        Outcome::Scored(scored) => {
            let sum: f64 = scored.iter().map(|one| one.logprob).sum();
            let greedy: Vec<bool> = scored.iter().map(|one| one.greedy).collect();
            format!("{} {greedy:?}", sum + 0.0)
        }
        Outcome::Logits(logits) => format!("{logits:?}"),
        Outcome::Failed(reason) => reason.clone(),
    }
}

/// Sequences of which many begin like another one.
pub(super) fn workload() -> impl Strategy<Value = Vec<Asked>> {
    let stems = prop::collection::vec(prop::collection::vec(0..VOCAB as u32, 1..60), 1..4);
    let ids = |most| prop::collection::vec(0..VOCAB as u32, 1..most);
    let guess = prop_oneof![
        Just(Guess::Nothing),
        Just(Guess::Right),
        (0usize..30, 0..VOCAB as u32).prop_map(|(at, token)| Guess::Nearly(at, token)),
        ids(20).prop_map(Guess::Any),
    ];
    let one = (any::<prop::sample::Index>(), 0usize..60, ids(20), 0usize..10, 0usize..30, guess);
    (stems, prop::collection::vec(one, 1..40)).prop_map(|(stems, all)| {
        let asked = |(stem, cut, rest, goal, number, guess): (prop::sample::Index, usize, Vec<u32>, _, _, _)| {
            let stem = stem.get(&stems);
            Asked { tokens: [&stem[..cut.min(stem.len())], &rest[..]].concat(), goal, number, guess }
        };
        all.into_iter().map(asked).collect()
    })
}
