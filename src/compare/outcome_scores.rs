//! What became of answers as scores, so that gates on `golden.finish_length_rate` and its like go the way of all metrics: pairs,
//! tests, intervals, filters.
//!
//! A score of the rate's name passes where the answer did not become that. A line that does not tell counts among the errored: what
//! is not known can't pass. Reasons of rules call it what it is (`gate`).

use std::collections::BTreeSet;

use super::cases::{CaseLines, Cases};
use crate::error::Result;
use crate::record::{AnswerOutcome, ResultLine};
use crate::rule::{Figure, Gate, Statistic};
use crate::score::{Lacking, Score};

/// The rates that a gate asks for.
pub(super) fn asked(gate: &Gate) -> BTreeSet<AnswerOutcome> {
    let outcome = |figure: &Figure| {
        let Statistic::OutcomeRate(asked) = figure.metric()?.statistic else { return None };
        AnswerOutcome::ALL.into_iter().find(|outcome| rate(*outcome) == asked)
    };
    gate.figures().iter().filter_map(outcome).collect()
}

/// Cases with the asked outcomes among their scores.
pub(super) struct WithOutcomes<'a> {
    pub cases: &'a dyn Cases,
    pub asked: &'a BTreeSet<AnswerOutcome>,
}

impl Cases for WithOutcomes<'_> {
    fn lines(&self) -> Result<CaseLines<'_>> {
        Ok(Box::new(self.cases.lines()?.map(|line| line.map(|line| with_outcomes(line, self.asked)))))
    }
}

fn with_outcomes(mut line: ResultLine, asked: &BTreeSet<AnswerOutcome>) -> ResultLine {
    if line.error.is_some() {
        // The rates have a row, and this case errs in it.
        let rates = asked.iter().map(|outcome| (rate(*outcome), score(false)));
        line.scores.extend(rates.collect::<Vec<_>>());
        return line;
    }
    for outcome in asked {
        match line.shows(*outcome) {
            Some(shown) => drop(line.scores.insert(rate(*outcome), score(!shown))),
            None => {
                line.scores.insert(rate(*outcome), score(false));
                line.error = Some(format!("whether the answer is {} is not recorded", outcome.words()));
            }
        }
        let Some(lacking) = lacking(*outcome) else { continue };
        let of_scorer = |(name, found): (&String, &Score)| {
            (!name.ends_with("_rate"))
                .then(|| (format!("{name}.{}", rate(*outcome)), score(found.outcome != Some(lacking))))
        };
        let scores: Vec<(String, Score)> = line.scores.iter().filter_map(of_scorer).collect();
        line.scores.extend(scores);
    }
    line
}

fn rate(outcome: AnswerOutcome) -> String {
    format!("{}_rate", outcome.name())
}

fn lacking(outcome: AnswerOutcome) -> Option<Lacking> {
    Lacking::ALL.into_iter().find(|lacking| lacking.rate() == rate(outcome))
}

fn score(passed: bool) -> Score {
    Score { passed, value: f64::from(u8::from(passed)), explanation: String::new(), outcome: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::tests::{broken, line};
    use crate::engine::Finish;
    use crate::rule::{OUTCOME_RATES, SCORER_RATES};

    #[test]
    fn every_rate_is_an_outcome() {
        let names: Vec<String> = AnswerOutcome::ALL.into_iter().map(rate).collect();
        assert_eq!(names, OUTCOME_RATES);
        let of_scorers = AnswerOutcome::ALL.into_iter().filter(|outcome| lacking(*outcome).is_some()).map(rate);
        assert_eq!(of_scorers.collect::<Vec<_>>(), SCORER_RATES);
        let gate = |metric: &str| Gate { metric: metric.into(), ..Gate::default() };
        assert_eq!(asked(&gate("golden.finish_length_rate")), [AnswerOutcome::FinishLength].into());
        assert_eq!(asked(&gate("golden.match.not_extracted_rate")), [AnswerOutcome::NotExtracted].into());
        assert!(asked(&gate("golden.match.pass_rate")).is_empty() && asked(&gate("finish_length_rate")).is_empty());
        let fail_if = "golden.empty_rate > 0.1 or golden.match.mean < 1";
        let gate = Gate { fail_if: Some(fail_if.into()), ..Gate::default() };
        assert_eq!(asked(&gate), [AnswerOutcome::Empty].into());
    }

    #[test]
    fn what_is_not_known_errs() {
        let asked = [AnswerOutcome::FinishLength, AnswerOutcome::NotExtracted].into();
        let mut cut = line("golden", "1", true);
        cut.finish = Some(Finish::Length);
        cut.scores.get_mut("match").unwrap().outcome = Some(Lacking::NotExtracted);
        let cut = with_outcomes(cut, &asked);
        let passed = |name: &str| cut.scores[name].passed;
        assert!(!passed("finish_length_rate") && !passed("not_extracted_rate") && !passed("match.not_extracted_rate"));
        let plain = with_outcomes(line("golden", "1", true), &asked);
        assert!(plain.scores.values().all(|score| score.passed) && plain.scores.len() == 4);
        let mut unknown = line("golden", "1", true);
        unknown.finish = None;
        assert!(with_outcomes(unknown, &asked).error.is_some());
        assert!(with_outcomes(broken("golden", "1"), &asked).scores.contains_key("finish_length_rate"));
    }
}
