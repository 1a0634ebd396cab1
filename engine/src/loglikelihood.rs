//! Questions for log-probabilities as sequences for the scheduler, and their answers put together again.
//!
//! Several continuations of one context are one sequence that ends with the context, of which one row gives the first token of every
//! continuation, and one more for each continuation that has further tokens. Those begin with the context, whose blocks they
//! share (`scheduler/blocks`). Sums are taken in the order of the tokens, so that a continuation has the same bits alone.

use crate::error::{Error, Result};
use crate::render::{Renderer, Split};
use crate::request::{LogProb, Scored};
use crate::sampling::TokenLogProb;
use crate::scheduler::workload::{Goal, Outcome, Work};

/// A question's sequences, and how its answers are put together from theirs.
pub struct Question {
    /// The sequences.
    pub work: Vec<Work>,
    /// For each answer, the scored tokens that it adds up, in order.
    pub answers: Vec<Vec<Piece>>,
}

/// Scored tokens of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// All of the sequence with this number.
    All(usize),
    /// Of the sequence with this number, the one with this number.
    One(usize, usize),
}

impl Question {
    /// The sequences of a question; `alone` where a row depends on the length of its whole sequence, so that continuations of unequal
    /// length have no row in common.
    ///
    /// # Errors
    /// Texts that cannot be encoded, or of which nothing is left to score.
    pub fn new(renderer: &Renderer, scored: &Scored, alone: bool) -> Result<Self> {
        match scored {
            Scored::Ids(ids) if ids.len() < 2 => {
                let message = format!("{} token ids cannot be scored: the first has nothing before it", ids.len());
                Err(Error::input(message).with_hint("give at least two"))
            }
            Scored::Ids(ids) => Ok(Self::one(Split { ids: ids.clone(), from: 1 })),
            Scored::Pair { context, continuation } => {
                let mut splits = renderer.split(context, std::slice::from_ref(continuation))?;
                splits.pop().map(Self::one).ok_or_else(|| Error::internal("failed to split a text"))
            }
            Scored::Choices { continuations, .. } if continuations.is_empty() => {
                Err(Error::input("there are no continuations to score"))
            }
            Scored::Choices { context, continuations } => {
                Ok(Self::choices(renderer.split(context, continuations)?, alone))
            }
            Scored::Rolling(text) => {
                let work: Vec<Work> = renderer.windows(text)?.into_iter().map(score).collect();
                let pieces = (0..work.len()).map(Piece::All).collect();
                Ok(Self { work, answers: vec![pieces] })
            }
            Scored::Several(questions) => {
                let mut all = Self { work: Vec::new(), answers: Vec::new() };
                for question in questions {
                    let Self { work, answers } = Self::new(renderer, question, alone)?;
                    let before = all.work.len();
                    let moved = |piece| match piece {
                        Piece::All(sequence) => Piece::All(before + sequence),
                        Piece::One(sequence, at) => Piece::One(before + sequence, at),
                    };
                    all.answers.extend(answers.into_iter().map(|pieces| pieces.into_iter().map(moved).collect()));
                    all.work.extend(work);
                }
                if all.work.is_empty() { Err(Error::input("there is nothing to score")) } else { Ok(all) }
            }
        }
    }

    fn one(split: Split) -> Self {
        Self { work: vec![score(split)], answers: vec![vec![Piece::All(0)]] }
    }

    fn choices(splits: Vec<Split>, alone: bool) -> Self {
        let context = |split: &Split| split.ids[..split.from].to_vec();
        let shared = context(&splits[0]);
        // One continuation needs no other's rows; and contexts are equal unless a tokenizer is stranger than any.
        if alone || splits.len() == 1 || splits.iter().any(|split| context(split) != shared) {
            let answers = (0..splits.len()).map(|at| vec![Piece::All(at)]).collect();
            return Self { work: splits.into_iter().map(score).collect(), answers };
        }
        let (mut targets, mut work, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for split in splits {
            let first = split.ids[split.from];
            let at = targets.iter().position(|target| *target == first).unwrap_or_else(|| {
                targets.push(first);
                targets.len() - 1
            });
            let mut pieces = vec![Piece::One(0, at)];
            if split.ids.len() > split.from + 1 {
                // The context's sequence is the first.
                work.push(score(Split { from: split.from + 1, ..split }));
                pieces.push(Piece::All(work.len()));
            }
            answers.push(pieces);
        }
        work.insert(0, Work::new(shared, Goal::Candidates { targets }));
        Self { work, answers }
    }
}

fn score(split: Split) -> Work {
    Work::new(split.ids, Goal::Score { from: split.from })
}

/// The answers, from what came of a question's sequences.
///
/// # Errors
/// Why the first sequence that failed did.
pub fn gather(answers: &[Vec<Piece>], outcomes: Vec<Outcome>) -> std::result::Result<Vec<LogProb>, String> {
    let scored = |(sequence, outcome)| match outcome {
        Outcome::Scored(scored) => Ok(scored),
        // What fails the context's own sequence fails all of them.
        Outcome::Failed(reason) => match answers.iter().position(|pieces| pieces.contains(&Piece::All(sequence))) {
            Some(at) if answers.len() > 1 => Err(format!("failed to score continuation {at}: {reason}")),
            _ => Err(reason),
        },
        Outcome::Generated { .. } | Outcome::Logits(_) => Err("the sequence was not scored".into()),
    };
    let scored = outcomes.into_iter().enumerate().map(scored);
    let scored: Vec<Vec<TokenLogProb>> = scored.collect::<std::result::Result<_, _>>()?;
    let tokens = |piece: &Piece| match *piece {
        Piece::All(sequence) => &scored[sequence][..],
        Piece::One(sequence, at) => &scored[sequence][at..=at],
    };
    let answer = |pieces: &Vec<Piece>| {
        pieces.iter().flat_map(tokens).fold(LogProb { logprob: 0.0, tokens: 0, greedy: true }, |sum, token| LogProb {
            logprob: sum.logprob + token.logprob,
            tokens: sum.tokens + 1,
            greedy: sum.greedy && token.greedy,
        })
    };
    Ok(answers.iter().map(answer).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(ids: &[u32], from: usize) -> Split {
        Split { ids: ids.to_vec(), from }
    }

    fn scored(values: &[(f64, bool)]) -> Outcome {
        Outcome::Scored(
            values.iter().map(|(logprob, greedy)| TokenLogProb { logprob: *logprob, greedy: *greedy }).collect(),
        )
    }

    #[test]
    fn one_row_gives_the_first_token_of_every_choice() {
        let question =
            Question::choices(vec![split(&[1, 2, 7], 2), split(&[1, 2, 8, 9], 2), split(&[1, 2, 7, 3, 4], 2)], false);
        let work: Vec<_> = question.work.iter().map(|work| work.tokens.clone()).collect();
        assert_eq!(work, [vec![1, 2], vec![1, 2, 8, 9], vec![1, 2, 7, 3, 4]]);
        assert!(matches!(&question.work[0].goal, Goal::Candidates { targets } if *targets == [7, 8]));
        assert!(question.work[1..].iter().all(|work| matches!(work.goal, Goal::Score { from: 3 })));
        let outcomes = vec![
            scored(&[(-1.0, true), (-2.0, false)]),
            scored(&[(-0.5, true)]),
            scored(&[(-0.25, true), (-4.0, true)]),
        ];
        let answers = gather(&question.answers, outcomes).unwrap();
        let seen: Vec<_> = answers.iter().map(|one| (one.logprob, one.tokens, one.greedy)).collect();
        assert_eq!(seen, [(-1.0, 1, true), (-2.5, 2, false), (-5.25, 3, true)]);
    }

    #[test]
    fn a_single_choice_is_a_pair_and_a_sequence_that_fails_fails_the_question() {
        let question = Question::choices(vec![split(&[1, 2, 7], 2)], false);
        assert!(matches!(question.work[..], [Work { goal: Goal::Score { from: 2 }, .. }]));
        let failed = || Outcome::Failed("too long".into());
        assert_eq!(gather(&question.answers, vec![failed()]), Err("too long".into()));
        let question = Question::choices(vec![split(&[1, 2, 7], 2), split(&[1, 2, 8, 9], 2)], false);
        let outcomes = vec![scored(&[(-1.0, true), (-2.0, false)]), failed()];
        let error = "failed to score continuation 1: too long";
        assert_eq!(gather(&question.answers, outcomes), Err(error.into()));
        assert_eq!(gather(&question.answers, vec![failed(), scored(&[(-1.0, true)])]), Err("too long".into()));
    }
}
