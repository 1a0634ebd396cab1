//! What scorers need of other models: collected, without duplicates, in batches.

use std::collections::HashMap;
use std::sync::Arc;

use super::cache::Cache;
use super::event::{Phase, Watch};
use super::meter::Meter;
use crate::engine::{Classifier, Embedder, EncodeTotals, TextInput};
use crate::error::{Error, Result};
use crate::record::{Journal, Key, Work};
use crate::score::{Answer, Need};

/// Memory for vectors and label probabilities of earlier chunks.
const CACHE_BYTES: usize = 16 << 20;

/// The models behind needs, with what they said before.
pub(super) struct Encoders {
    /// Where what they say goes before anything else, and where that of the interrupted run is.
    pub journal: Option<Arc<Journal>>,
    pub embedder: Option<Embedder>,
    pub classifier: Option<Classifier>,
    vectors: Cache<Arc<[f32]>>,
    labels: Cache<Arc<[(String, f32)]>>,
}

impl Default for Encoders {
    fn default() -> Self {
        let (vectors, labels) = (Cache::new(CACHE_BYTES), Cache::new(CACHE_BYTES));
        Self { journal: None, embedder: None, classifier: None, vectors, labels }
    }
}

/// Answers to the needs of one chunk.
#[derive(Default)]
pub(super) struct Answers {
    embed: HashMap<String, Answer>,
    classify: HashMap<String, Answer>,
}

impl Answers {
    /// The answers to these needs, in their order.
    pub fn to(&self, needs: &[Need]) -> Vec<Answer> {
        let answer = |need: &Need| {
            let found = match need {
                Need::Embed(text) => self.embed.get(text),
                Need::Classify(text) => self.classify.get(text),
            };
            found.cloned().unwrap_or_else(|| Answer::Failed("the need was not answered".into()))
        };
        needs.iter().map(answer).collect()
    }
}

impl Encoders {
    /// Whether there is no model that could be needed.
    pub fn is_empty(&self) -> bool {
        self.embedder.is_none() && self.classifier.is_none()
    }

    /// Answers the needs of a chunk, each different text once.
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
        let waiting = || Answer::Failed("the model did not answer".into());
        for need in needs {
            match need {
                Need::Embed(text) if !answers.embed.contains_key(text) => {
                    let known = match self.vectors.get(text, |vector| vector.len() * size_of::<f32>()) {
                        Some(vector) => Some(vector),
                        None => self.journalled("embedder", text, meter, floats)?,
                    };
                    if known.is_none() {
                        to_embed.push(text.clone());
                    }
                    answers.embed.insert(text.clone(), known.map_or_else(waiting, Answer::Embedding));
                }
                Need::Classify(text) if !answers.classify.contains_key(text) => {
                    let known = match self.labels.get(text, |labels| label_bytes(labels)) {
                        Some(labels) => Some(labels),
                        None => self.journalled("toxicity", text, meter, labels)?,
                    };
                    if known.is_none() {
                        to_classify.push(text.clone());
                    }
                    answers.classify.insert(text.clone(), known.map_or_else(waiting, Answer::Labels));
                }
                Need::Embed(_) => meter.count("embedder.duplicates", 1),
                Need::Classify(_) => meter.count("toxicity.duplicates", 1),
            }
        }
        if !to_embed.is_empty() {
            meter.piece(Phase::Embed, || self.embed(to_embed, &mut answers, meter, watch))?;
        }
        if !to_classify.is_empty() {
            meter.piece(Phase::Classify, || self.classify(to_classify, &mut answers, meter, watch))?;
        }
        Ok(answers)
    }

    /// What the interrupted run made of a text.
    fn journalled<T>(
        &self,
        role: &str,
        text: &str,
        meter: &Meter,
        parse: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(journal) = &self.journal else { return Ok(None) };
        let Some(bytes) = journal.find(&key(role, text))? else { return Ok(None) };
        meter.count(&format!("{role}.resumed"), 1);
        let read = || Error::internal(format!("read what the {role} made of a text in the journal"));
        parse(&bytes).map(Some).ok_or_else(read)
    }

    fn embed(&mut self, texts: Vec<String>, answers: &mut Answers, meter: &Meter, watch: Watch<'_>) -> Result<()> {
        let Some(embedder) = &mut self.embedder else { return Err(Error::internal("find the embedder")) };
        let (cache, journal) = (&mut self.vectors, self.journal.as_deref());
        let sink = |place: u64, outcome: std::result::Result<crate::engine::Embedding, String>| {
            let text = texts.get(place as usize).ok_or_else(|| Error::internal("find the text of an embedding"))?;
            let answer = match outcome {
                Ok(embedding) => {
                    let vector: Arc<[f32]> = embedding.vector.into();
                    if let Some(journal) = journal {
                        journal.put(Work::Encoded, &key("embedder", text), &float_bytes(&vector))?;
                    }
                    cache.put(text, vector.clone(), vector.len() * size_of::<f32>());
                    Answer::Embedding(vector)
                }
                Err(reason) => Answer::Failed(reason),
            };
            answers.embed.insert(text.clone(), answer);
            Ok(())
        };
        let progress = |_: &EncodeTotals| journal.map_or(Ok(()), Journal::flush).and_then(|()| watch.check());
        let totals = embedder.embed(texts.clone().into_iter().map(Ok), sink, progress)?;
        count(meter, "embedder", &totals);
        Ok(())
    }

    fn classify(&mut self, texts: Vec<String>, answers: &mut Answers, meter: &Meter, watch: Watch<'_>) -> Result<()> {
        let Some(classifier) = &mut self.classifier else { return Err(Error::internal("find the toxicity model")) };
        let (cache, journal) = (&mut self.labels, self.journal.as_deref());
        let sink = |place: u64, outcome: std::result::Result<crate::engine::Classification, String>| {
            let text = texts.get(place as usize).ok_or_else(|| Error::internal("find the text of a classification"))?;
            let answer = match outcome {
                Ok(classification) => {
                    let labels: Arc<[(String, f32)]> = classification.scores.into();
                    if let Some(journal) = journal {
                        journal.put(Work::Encoded, &key("toxicity", text), &label_text(&labels)?)?;
                    }
                    cache.put(text, labels.clone(), label_bytes(&labels));
                    Answer::Labels(labels)
                }
                Err(reason) => Answer::Failed(reason),
            };
            answers.classify.insert(text.clone(), answer);
            Ok(())
        };
        let inputs = texts.iter().map(|text| Ok(TextInput { text: text.clone(), text_pair: None }));
        let progress = |_: &EncodeTotals| journal.map_or(Ok(()), Journal::flush).and_then(|()| watch.check());
        let totals = classifier.classify(inputs, sink, progress)?;
        count(meter, "toxicity", &totals);
        Ok(())
    }
}

/// What the journal finds the values of a text by.
fn key(role: &str, text: &str) -> Key {
    Key::of(Work::Encoded, &[role.as_bytes(), text.as_bytes()])
}

/// A vector as the journal holds it: its bits.
fn float_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|x| x.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Option<Arc<[f32]>> {
    let (floats, rest) = bytes.as_chunks();
    rest.is_empty().then(|| floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Labels as the journal holds them: names, and the bits of their probabilities.
fn label_text(labels: &[(String, f32)]) -> Result<Vec<u8>> {
    let bits: Vec<(&str, u32)> = labels.iter().map(|(label, p)| (label.as_str(), p.to_bits())).collect();
    serde_json::to_vec(&bits).map_err(|e| Error::internal("write the journal").caused_by(e))
}

fn labels(bytes: &[u8]) -> Option<Arc<[(String, f32)]>> {
    let bits: Vec<(String, u32)> = serde_json::from_slice(bytes).ok()?;
    Some(bits.into_iter().map(|(label, bits)| (label, f32::from_bits(bits))).collect())
}

fn label_bytes(labels: &[(String, f32)]) -> usize {
    labels.iter().map(|(label, _)| label.len() + size_of::<(String, f32)>()).sum()
}

fn count(meter: &Meter, role: &str, totals: &EncodeTotals) {
    meter.count(&format!("{role}.texts"), totals.texts);
    meter.count(&format!("{role}.tokens"), totals.tokens);
    meter.count(&format!("{role}.truncated"), totals.truncated);
    meter.count(&format!("{role}.steps"), totals.steps);
}
