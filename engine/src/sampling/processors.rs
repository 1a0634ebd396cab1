//! Logits processors: what the tokens of a sequence do to its next row of logits, greedy or sampled.
//!
//! They are those of transformers (`generation/logits_process.py`) in the order of its `_get_logits_processor`, in f32. A row
//! after them depends on the row before and the sequence's own tokens alone, so that batching, drafts and caches change nothing.
//! Temperature, top-k and top-p come after them (`sampler`). Where the values come from is the business of
//! `generation_config` and of whoever asks.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is asked of the processors; absent where nothing is. The names are transformers'.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessorOptions {
    /// Logits of tokens that the sequence holds, the prompt among it, are divided by this where they are positive and
    /// multiplied with it where they are negative (Keskar et al. 2019); 1 changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// No run of so many tokens comes twice, the prompt among it; 0 lets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_repeat_ngram_size: Option<usize>,
    /// Runs of tokens that are never completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_words_ids: Option<Vec<Vec<u32>>>,
    /// No end token before the sequence has so many tokens, those of the prompt among them. `min_new_tokens` goes before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<usize>,
    /// No end token before the answer has so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_new_tokens: Option<usize>,
    /// Tokens that are never chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppress_tokens: Option<Vec<u32>>,
    /// Tokens that no answer begins with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begin_suppress_tokens: Option<Vec<u32>>,
    /// What is added to the logit of the last token of a run, where the sequence ends with those before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence_bias: Option<Vec<(Vec<u32>, f32)>>,
    /// The first token of an answer to a prompt of one token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_bos_token_id: Option<u32>,
    /// The last token of an answer that reaches its limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_eos_token_id: Option<Vec<u32>>,
}

impl ProcessorOptions {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those of `self`, and where they are absent those of `below`.
    pub fn over(&self, below: &Self) -> Self {
        let above = self.clone();
        Self {
            repetition_penalty: above.repetition_penalty.or(below.repetition_penalty),
            no_repeat_ngram_size: above.no_repeat_ngram_size.or(below.no_repeat_ngram_size),
            bad_words_ids: above.bad_words_ids.or_else(|| below.bad_words_ids.clone()),
            min_length: above.min_length.or(below.min_length),
            min_new_tokens: above.min_new_tokens.or(below.min_new_tokens),
            suppress_tokens: above.suppress_tokens.or_else(|| below.suppress_tokens.clone()),
            begin_suppress_tokens: above.begin_suppress_tokens.or_else(|| below.begin_suppress_tokens.clone()),
            sequence_bias: above.sequence_bias.or_else(|| below.sequence_bias.clone()),
            forced_bos_token_id: above.forced_bos_token_id.or(below.forced_bos_token_id),
            forced_eos_token_id: above.forced_eos_token_id.or_else(|| below.forced_eos_token_id.clone()),
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// A penalty that is not above 0, or a bias that is no number, with the name of the option.
    pub fn check(&self) -> Result<()> {
        match self.repetition_penalty {
            Some(penalty) if !(penalty > 0.0 && penalty.is_finite()) => {
                return Err(Error::input(format!("a `repetition_penalty` of {penalty} is not possible"))
                    .with_hint("it is above 0; 1 changes nothing"));
            }
            _ => {}
        }
        // Minus infinity is a ban.
        match self.sequence_bias.iter().flatten().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY) {
            Some((ids, bias)) => Err(Error::input(format!("a `sequence_bias` of {bias} for {ids:?} is not possible"))),
            None => Ok(()),
        }
    }

    /// The same without what changes no row.
    fn active(mut self, eos: &[u32], ignore_eos: bool) -> Self {
        self.repetition_penalty = self.repetition_penalty.filter(|penalty| *penalty != 1.0);
        self.no_repeat_ngram_size = self.no_repeat_ngram_size.filter(|size| *size > 0);
        // As transformers has it, no end token is a bad word by itself.
        let is_word = |word: &Vec<u32>| !word.is_empty() && !matches!(word[..], [id] if eos.contains(&id));
        self.bad_words_ids = self.bad_words_ids.map(|words| words.into_iter().filter(is_word).collect());
        self.sequence_bias = self.sequence_bias.map(|list| {
            // A dictionary in transformers: of equal runs the last counts.
            let last = |at: usize, ids: &[u32]| list[at + 1..].iter().all(|(other, _)| other != ids);
            let kept = list.iter().enumerate().filter(|(at, (ids, _))| !ids.is_empty() && last(*at, ids));
            kept.map(|(_, biased)| biased.clone()).collect()
        });
        if self.min_new_tokens.is_some() {
            self.min_length = None;
        }
        if ignore_eos || eos.is_empty() {
            (self.min_length, self.min_new_tokens) = (None, None);
        }
        if ignore_eos {
            self.forced_eos_token_id = None;
        }
        self.min_length = self.min_length.filter(|least| *least > 0);
        self.min_new_tokens = self.min_new_tokens.filter(|least| *least > 0);
        let some = |ids: &Vec<u32>| !ids.is_empty();
        self.bad_words_ids = self.bad_words_ids.filter(|words| !words.is_empty());
        self.sequence_bias = self.sequence_bias.filter(|list| !list.is_empty());
        self.suppress_tokens = self.suppress_tokens.filter(some);
        self.begin_suppress_tokens = self.begin_suppress_tokens.filter(some);
        self.forced_eos_token_id = self.forced_eos_token_id.filter(some);
        self
    }

    /// The first of the options that names a token beyond a vocabulary. transformers fails on all of them but those that are
    /// suppressed, which suppress nothing there; who asks for that has made a mistake.
    fn beyond(&self, vocab: usize) -> Option<(&'static str, u32)> {
        let bad = self.bad_words_ids.iter().flatten().map(|ids| ("bad_words_ids", ids.as_slice()));
        let biased = self.sequence_bias.iter().flatten().map(|(ids, _)| ("sequence_bias", ids.as_slice()));
        let first = self.forced_bos_token_id.as_ref().map(|id| ("forced_bos_token_id", std::slice::from_ref(id)));
        let last = self.forced_eos_token_id.as_ref().map(|ids| ("forced_eos_token_id", ids.as_slice()));
        let suppressed = self.suppressed().map(|(name, ids)| (name, ids.as_slice()));
        let mut all = bad.chain(biased).chain(first).chain(last).chain(suppressed);
        all.find_map(|(name, ids)| Some((name, *ids.iter().find(|id| **id as usize >= vocab)?)))
    }

    fn suppressed(&self) -> impl Iterator<Item = (&'static str, &Vec<u32>)> {
        let all = self.suppress_tokens.iter().map(|ids| ("suppress_tokens", ids));
        all.chain(self.begin_suppress_tokens.iter().map(|ids| ("begin_suppress_tokens", ids)))
    }

    /// Tokens beyond a vocabulary that are to be suppressed, by the name of the option.
    pub fn suppressed_beyond(&self, vocab: usize) -> impl Iterator<Item = (&'static str, u32)> {
        let beyond = move |id: &&u32| **id as usize >= vocab;
        self.suppressed().flat_map(move |(name, ids)| ids.iter().filter(beyond).map(move |id| (name, *id)))
    }

    /// The same without them, as transformers has it.
    pub fn without_suppressed_beyond(&self, vocab: usize) -> Self {
        let within = |ids: &Option<Vec<u32>>| {
            ids.as_ref().map(|ids| ids.iter().copied().filter(|id| (*id as usize) < vocab).collect())
        };
        let (suppress_tokens, begin_suppress_tokens) =
            (within(&self.suppress_tokens), within(&self.begin_suppress_tokens));
        Self { suppress_tokens, begin_suppress_tokens, ..self.clone() }
    }
}

/// Processors that change rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Processors {
    options: ProcessorOptions,
    eos: Vec<u32>,
}

/// Where a sequence is when its next row of logits comes.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Its tokens, those of the prompt among them.
    pub tokens: &'a [u32],
    /// How many of them are the prompt.
    pub prompt: usize,
    /// Most tokens of its answer.
    pub max_new_tokens: usize,
}

impl Processors {
    /// Those of the options that can change a row, `None` where there are none. `eos` are the tokens that end an answer, unless
    /// they are ignored.
    ///
    /// # Errors
    /// Tokens that a vocabulary of `vocab` does not have.
    pub fn new(options: ProcessorOptions, eos: &[u32], ignore_eos: bool, vocab: usize) -> Result<Option<Self>> {
        options.check()?;
        let options = options.active(eos, ignore_eos);
        if let Some((name, id)) = options.beyond(vocab) {
            return Err(Error::input(format!("token {id} of `{name}` is outside the vocabulary of {vocab}"))
                .with_hint(
                    "ids of tokens are below the size of the vocabulary; those of another model mean other tokens",
                ));
        }
        Ok((!options.is_empty()).then(|| Self { options, eos: eos.to_vec() }))
    }

    /// What they are; everything that decides what they do but the end tokens.
    pub fn options(&self) -> &ProcessorOptions {
        &self.options
    }

    /// Changes a row of logits.
    pub fn apply(&self, row: &mut [f32], at: Progress<'_>) {
        let (options, Progress { tokens, prompt, max_new_tokens }) = (&self.options, at);
        let (chosen, longest) = (tokens.len().saturating_sub(prompt), prompt.saturating_add(max_new_tokens));
        for (id, bias) in self.biases(tokens) {
            row.get_mut(id as usize).into_iter().for_each(|x| *x += bias);
        }
        if let Some(penalty) = options.repetition_penalty {
            penalize(row, tokens, penalty as f32);
        }
        if let Some(size) = options.no_repeat_ngram_size
            && let Some(start) = (tokens.len() + 1).checked_sub(size)
        {
            let ends = &tokens[start..];
            for window in tokens.windows(size).filter(|window| window[..size - 1] == *ends) {
                ban(row, &window[size - 1..]);
            }
        }
        for word in options.bad_words_ids.iter().flatten() {
            if let Some((last, before)) = word.split_last()
                && tokens.ends_with(before)
            {
                ban(row, &[*last]);
            }
        }
        let short = options.min_length.is_some_and(|least| tokens.len() < least)
            || options.min_new_tokens.is_some_and(|least| chosen < least);
        if short {
            ban(row, &self.eos);
        }
        if let Some(bos) = options.forced_bos_token_id.filter(|_| tokens.len() == 1) {
            force(row, &[bos]);
        }
        if let Some(eos) = options.forced_eos_token_id.as_ref().filter(|_| tokens.len() + 1 == longest) {
            force(row, eos);
        }
        options.suppress_tokens.iter().for_each(|ids| ban(row, ids));
        // A token that is forced to be the first begins no answer.
        let first = usize::from(prompt <= 1 && options.forced_bos_token_id.is_some());
        options.begin_suppress_tokens.iter().filter(|_| chosen == first).for_each(|ids| ban(row, ids));
    }

    /// What is added to which logits: the sum of all runs that end with a token comes first, as in transformers.
    fn biases(&self, tokens: &[u32]) -> Vec<(u32, f32)> {
        let mut biases: Vec<(u32, f32)> = Vec::new();
        let all = self.options.sequence_bias.iter().flatten();
        let (single, longer): (Vec<_>, Vec<_>) = all.partition(|(ids, _)| ids.len() == 1);
        for (ids, bias) in single.into_iter().chain(longer) {
            let Some((last, _)) = ids.split_last().filter(|(_, before)| tokens.ends_with(before)) else { continue };
            match biases.iter_mut().find(|(id, _)| id == last) {
                Some(slot) => slot.1 += bias,
                None => biases.push((*last, *bias)),
            }
        }
        biases
    }
}

/// Each token once, however often it comes: all are read before any is written.
fn penalize(row: &mut [f32], tokens: &[u32], penalty: f32) {
    let penalized = |x: f32| if x < 0.0 { x * penalty } else { x / penalty };
    let logits: Vec<Option<f32>> = tokens.iter().map(|id| row.get(*id as usize).map(|x| penalized(*x))).collect();
    for (id, logit) in tokens.iter().zip(logits) {
        if let (Some(slot), Some(logit)) = (row.get_mut(*id as usize), logit) {
            *slot = logit;
        }
    }
}

fn ban(row: &mut [f32], ids: &[u32]) {
    for id in ids {
        row.get_mut(*id as usize).into_iter().for_each(|x| *x = f32::NEG_INFINITY);
    }
}

fn force(row: &mut [f32], ids: &[u32]) {
    row.fill(f32::NEG_INFINITY);
    for id in ids {
        row.get_mut(*id as usize).into_iter().for_each(|x| *x = 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: f32 = f32::NEG_INFINITY;

    fn processors(options: ProcessorOptions) -> Processors {
        Processors::new(options, &[1], false, 6).expect("possible").expect("something to do")
    }

    /// Six logits after `tokens`, of which the first `prompt` are the prompt.
    fn row(options: ProcessorOptions, tokens: &[u32], prompt: usize) -> Vec<f32> {
        let mut row = vec![1.0, 2.0, -1.0, 4.0, 0.0, -3.0];
        processors(options).apply(&mut row, Progress { tokens, prompt, max_new_tokens: 4 });
        row
    }

    #[test]
    fn a_token_is_penalized_once_however_often_it_came() {
        let options = ProcessorOptions { repetition_penalty: Some(2.0), ..Default::default() };
        assert_eq!(row(options, &[3, 2, 3, 3, 9], 2), [1.0, 2.0, -2.0, 2.0, 0.0, -3.0]);
    }

    #[test]
    fn no_run_comes_twice() {
        let options = |size| ProcessorOptions { no_repeat_ngram_size: Some(size), ..Default::default() };
        // 2 3 was followed by 4 and by 5.
        let tokens = [2, 3, 4, 2, 3, 5, 2, 3];
        assert_eq!(row(options(3), &tokens, 8), [1.0, 2.0, -1.0, 4.0, NONE, NONE]);
        assert_eq!(row(options(2), &tokens, 1), [1.0, 2.0, -1.0, 4.0, NONE, NONE]);
        assert_eq!(row(options(1), &[0, 5], 1), [NONE, 2.0, -1.0, 4.0, 0.0, NONE]);
        assert_eq!(row(options(3), &[2], 1), [1.0, 2.0, -1.0, 4.0, 0.0, -3.0]);
        assert_eq!(row(options(9), &tokens, 1), [1.0, 2.0, -1.0, 4.0, 0.0, -3.0]);
    }

    #[test]
    fn words_are_not_completed_and_runs_are_biased() {
        let options = ProcessorOptions {
            bad_words_ids: Some(vec![vec![3], vec![2, 4], vec![3, 5], vec![1], vec![]]),
            ..Default::default()
        };
        // The end token by itself is no bad word.
        assert_eq!(row(options, &[0, 2], 1), [1.0, 2.0, -1.0, NONE, NONE, -3.0]);
        let bias = vec![(vec![0], 0.5), (vec![2, 0], 1.0), (vec![3, 4], 1.0), (vec![1, 2, 5], -1.0)];
        let options = ProcessorOptions { sequence_bias: Some(bias), ..Default::default() };
        assert_eq!(row(options, &[1, 2], 1), [2.5, 2.0, -1.0, 4.0, 0.0, -4.0]);
    }

    #[test]
    fn an_answer_does_not_end_too_early() {
        let new = |least| ProcessorOptions { min_new_tokens: Some(least), min_length: Some(99), ..Default::default() };
        assert_eq!(row(new(2), &[4, 4, 4], 2)[1], NONE);
        assert_eq!(row(new(2), &[4, 4, 4, 4], 2)[1], 2.0, "min_new_tokens goes before min_length");
        let all = |least| ProcessorOptions { min_length: Some(least), ..Default::default() };
        assert_eq!((row(all(4), &[4, 4, 4], 2)[1], row(all(4), &[4; 4], 2)[1]), (NONE, 2.0));
    }

    #[test]
    fn tokens_are_forced_and_suppressed() {
        let forced = ProcessorOptions {
            forced_bos_token_id: Some(4),
            forced_eos_token_id: Some(vec![1, 5]),
            begin_suppress_tokens: Some(vec![3]),
            suppress_tokens: Some(vec![0]),
            ..Default::default()
        };
        assert_eq!(row(forced.clone(), &[2], 1), [NONE, NONE, NONE, NONE, 0.0, NONE]);
        assert_eq!(row(forced.clone(), &[2, 4], 1), [NONE, 2.0, -1.0, NONE, 0.0, -3.0], "behind the forced token");
        assert_eq!(row(forced.clone(), &[2, 2], 2), [NONE, 2.0, -1.0, NONE, 0.0, -3.0]);
        assert_eq!(row(forced.clone(), &[2, 2, 2], 2), [NONE, 2.0, -1.0, 4.0, 0.0, -3.0]);
        assert_eq!(row(forced, &[2, 2, 2, 2, 2], 2), [NONE, 0.0, NONE, NONE, NONE, 0.0], "the last of four");
    }

    #[test]
    fn what_changes_nothing_is_nothing() {
        let neutral = ProcessorOptions {
            repetition_penalty: Some(1.0),
            no_repeat_ngram_size: Some(0),
            bad_words_ids: Some(vec![vec![], vec![1]]),
            min_length: Some(9),
            min_new_tokens: Some(0),
            suppress_tokens: Some(vec![]),
            ..Default::default()
        };
        assert_eq!(Processors::new(neutral, &[1], false, 6).expect("possible"), None);
        let least = ProcessorOptions { min_new_tokens: Some(3), ..Default::default() };
        assert_eq!(Processors::new(least.clone(), &[], false, 6).expect("possible"), None);
        assert_eq!(Processors::new(least, &[1], true, 6).expect("possible"), None, "ends are ignored");
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        let refused = |options| Processors::new(options, &[1], false, 6).expect_err("impossible").chain();
        for penalty in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let options = ProcessorOptions { repetition_penalty: Some(penalty), ..Default::default() };
            assert!(refused(options).contains("repetition_penalty"));
        }
        let bad = ProcessorOptions { bad_words_ids: Some(vec![vec![5, 6]]), ..Default::default() };
        assert_eq!(refused(bad), "token 6 of `bad_words_ids` is outside the vocabulary of 6");
        let (none, six) = (ProcessorOptions::default(), || Some(vec![5, 6]));
        for (name, options) in [
            ("suppress_tokens", ProcessorOptions { suppress_tokens: six(), ..none.clone() }),
            ("begin_suppress_tokens", ProcessorOptions { begin_suppress_tokens: six(), ..none.clone() }),
            ("forced_bos_token_id", ProcessorOptions { forced_bos_token_id: Some(6), ..none.clone() }),
            ("forced_eos_token_id", ProcessorOptions { forced_eos_token_id: six(), ..none.clone() }),
            ("sequence_bias", ProcessorOptions { sequence_bias: Some(vec![(vec![5, 6], 1.0)]), ..none }),
        ] {
            assert_eq!(refused(options), format!("token 6 of `{name}` is outside the vocabulary of 6"));
        }
    }

    #[test]
    fn what_is_said_goes_before_what_lies_below() {
        let file = ProcessorOptions {
            repetition_penalty: Some(1.5),
            suppress_tokens: Some(vec![3]),
            ..ProcessorOptions::default()
        };
        let said = ProcessorOptions { suppress_tokens: Some(vec![]), min_new_tokens: Some(2), ..Default::default() };
        let both = said.over(&file);
        assert_eq!((both.repetition_penalty, both.min_new_tokens), (Some(1.5), Some(2)));
        assert_eq!(both.suppress_tokens, Some(vec![]));
        assert_eq!(serde_json::to_string(&ProcessorOptions::default()).expect("JSON"), "{}");
    }
}
