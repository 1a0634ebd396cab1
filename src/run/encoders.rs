//! What scorers need of other models: collected, without duplicates, in batches.

use std::collections::HashMap;
use std::sync::Arc;

use super::event::{Phase, Watch};
use super::known::{Known, Labels, Vectors};
use super::meter::Meter;
use crate::engine::{Classification, Classifier, Embedder, EncodeTotals, Reading, TextInput, Unread};
use crate::error::{Error, Result};
use crate::record::Journal;
use crate::score::{Answer, Need};

/// The models behind needs, with what they said before.
pub(super) struct Encoders {
    /// Where what they say goes before anything else, and where that of the interrupted run is.
    pub journal: Option<Arc<Journal>>,
    pub embedder: Option<Embedder>,
    pub classifier: Option<Classifier>,
    vectors: Known<Vectors>,
    labels: Known<Labels>,
}

impl Default for Encoders {
    fn default() -> Self {
        let (vectors, labels) = (Known::vectors(), Known::labels());
        Self { journal: None, embedder: None, classifier: None, vectors, labels }
    }
}

/// Answers to the needs of one chunk.
#[derive(Default)]
pub(super) struct Answers(HashMap<Need, Answer>);

impl Answers {
    /// The answers to these needs, in their order.
    pub fn to(&self, needs: &[Need]) -> Vec<Answer> {
        let unanswered = || Answer::Failed("the need was not answered".into());
        needs.iter().map(|need| self.0.get(need).cloned().unwrap_or_else(unanswered)).collect()
    }
}

impl Encoders {
    /// Whether there is no model that could be needed.
    pub fn is_empty(&self) -> bool {
        self.embedder.is_none() && self.classifier.is_none()
    }

    /// Answers the needs of a chunk, each different one once.
    ///
    /// # Errors
    /// The arithmetic as a whole failed, or the run has to stop. A single text that cannot be encoded is an answer.
    pub fn answer<'n>(
        &mut self,
        needs: impl Iterator<Item = &'n Need>,
        meter: &Meter,
        watch: Watch<'_>,
    ) -> Result<Answers> {
        let mut answers = Answers::default();
        // In order of first appearance: which texts share a step changes no bit, but a fixed order is easier to trust.
        let (mut to_embed, mut to_classify) = (Vec::new(), Vec::new());
        let journal = self.journal.clone();
        let journal = journal.as_deref();
        for need in needs {
            if answers.0.contains_key(need) {
                let role = if matches!(need, Need::Embed(..)) { self.vectors.role } else { self.labels.role };
                meter.count(&format!("{role}.duplicates"), 1);
                continue;
            }
            let (known, waiting) = match need {
                Need::Embed(..) => (self.vectors.find(need, journal, meter)?.map(Answer::Embedding), &mut to_embed),
                Need::Classify(..) => (self.labels.find(need, journal, meter)?.map(Answer::Labels), &mut to_classify),
            };
            if known.is_none() {
                waiting.push(need);
            }
            answers.0.insert(need.clone(), known.unwrap_or_else(|| Answer::Failed("the model did not answer".into())));
        }
        if !to_embed.is_empty() {
            meter.piece(Phase::Embed, || self.embed(&to_embed, &mut answers, meter, watch))?;
        }
        if !to_classify.is_empty() {
            meter.piece(Phase::Classify, || self.classify(&to_classify, &mut answers, meter, watch))?;
        }
        Ok(answers)
    }

    fn embed(&mut self, needs: &[&Need], answers: &mut Answers, meter: &Meter, watch: Watch<'_>) -> Result<()> {
        let Some(embedder) = &mut self.embedder else { return Err(Error::internal("failed to find the embedder")) };
        let (vectors, journal) = (&mut self.vectors, self.journal.as_deref());
        let sink = |place: u64, outcome: std::result::Result<Vectors, Unread>| {
            let need =
                needs.get(place as usize).ok_or_else(|| Error::internal("failed to find the text of an embedding"))?;
            let answer = match outcome {
                Ok(made) => Answer::Embedding(vectors.keep(need, made, journal)?),
                Err(unread) => unanswered(unread),
            };
            answers.0.insert((*need).clone(), answer);
            Ok(())
        };
        let progress = |_: &EncodeTotals| journal.map_or(Ok(()), Journal::flush).and_then(|()| watch.check());
        let totals = embedder.embed(needs.iter().map(|need| Ok(input(need))), sink, progress)?;
        count(meter, vectors.role, &totals);
        Ok(())
    }

    fn classify(&mut self, needs: &[&Need], answers: &mut Answers, meter: &Meter, watch: Watch<'_>) -> Result<()> {
        let Some(classifier) = &mut self.classifier else {
            return Err(Error::internal("failed to find the toxicity model"));
        };
        let (labels, journal) = (&mut self.labels, self.journal.as_deref());
        let sink = |place: u64, outcome: std::result::Result<Reading<Classification>, Unread>| {
            let need = needs
                .get(place as usize)
                .ok_or_else(|| Error::internal("failed to find the text of a classification"))?;
            let answer = match outcome {
                Ok(made) => Answer::Labels(labels.keep(need, made.map(|made| made.scores), journal)?),
                Err(unread) => unanswered(unread),
            };
            answers.0.insert((*need).clone(), answer);
            Ok(())
        };
        let progress = |_: &EncodeTotals| journal.map_or(Ok(()), Journal::flush).and_then(|()| watch.check());
        let totals = classifier.classify(needs.iter().map(|need| Ok(input(need))), sink, progress)?;
        count(meter, labels.role, &totals);
        Ok(())
    }
}

fn input(need: &Need) -> TextInput {
    TextInput { text: need.text().to_owned(), text_pair: None, long: need.long() }
}

fn unanswered(unread: Unread) -> Answer {
    match unread {
        Unread::TooLong(length) => Answer::TooLong(length),
        Unread::Failed(reason) => Answer::Failed(reason),
    }
}

fn count(meter: &Meter, role: &str, totals: &EncodeTotals) {
    meter.count(&format!("{role}.texts"), totals.texts);
    meter.count(&format!("{role}.tokens"), totals.tokens);
    meter.count(&format!("{role}.truncated"), totals.truncated);
    meter.count(&format!("{role}.steps"), totals.steps);
    if totals.windows > 0 {
        meter.count(&format!("{role}.long"), totals.long);
        meter.count(&format!("{role}.windows"), totals.windows);
    }
}
