//! Embeddings and classifications of streams of texts, as they end.
//!
//! A thread of its own tokenizes ahead. Texts are taken in windows, sorted by length inside a window and packed into
//! steps of a token budget; a text longer than the budget goes whole and alone. Texts beyond the model's limit are cut as
//! transformers cuts them, and what was lost is counted.

use std::borrow::Cow;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde_json::Value;

use super::backend::{Encoded, EncoderBackend};
use super::candle::{self, EncoderSpec, Fingerprint, HeadKind, arch, unit_length};
use super::guard::{caught, guarded};
use super::identity::ModelFolder;
use super::model_json::read_json;
use super::options::EngineOptions;
use super::request::{Classification, Embedding, Pooling, TextInput};
use super::sentence::{self, PromptChoice};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// An encoder with its tokenizer.
struct TextEncoder {
    /// Behind a lock that is never taken, for whoever shares an encoder without computing with it.
    backend: Mutex<Box<dyn EncoderBackend>>,
    texts: Texts,
    batch_tokens: usize,
    window: usize,
    fingerprint: Fingerprint,
}

/// Tokenizes up to the model's limit.
struct Texts {
    tokenizer: Tokenizer,
    cut: Tokenizer,
    limit: usize,
    /// Stands before every text.
    prompt: String,
    /// Tokens of the prompt that averages leave out.
    skipped: usize,
    /// Whether texts are turned into lower case first, whatever the tokenizer does.
    lower_case: bool,
}

/// What an encoder did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeTotals {
    /// Texts encoded.
    pub texts: u64,
    /// Tokens computed.
    pub tokens: u64,
    /// Texts that were cut at the model's limit.
    pub truncated: u64,
    /// Steps computed.
    pub steps: u64,
}

impl Texts {
    fn open(folder: &ModelFolder, config: &arch::Config, spec: &EncoderSpec) -> Result<Self> {
        let tokenizer = Tokenizer::from_folder(folder)?;
        let known = tokenizer.model_vocab_size();
        if known > spec.vocab {
            return Err(Error::input(format!("use a tokenizer of {known} tokens with an embedding of {}", spec.vocab))
                .at(config.path())
                .with_hint("tokenizer.json and config.json belong to different models"));
        }
        let limit = length_limit(folder, spec)?;
        Ok(Self {
            cut: tokenizer.cutting_at(limit)?,
            tokenizer,
            limit,
            prompt: String::new(),
            skipped: 0,
            lower_case: false,
        })
    }

    /// Puts a prompt before every text from here on. Its tokens are counted as sentence-transformers counts them: those of
    /// the prompt alone, without the one that ends a text.
    fn prompt(&mut self, prompt: String, included: bool) -> Result<()> {
        if !prompt.is_empty() && !included {
            let shown = self.lowered(&prompt);
            let ids = self.cut.encode_segments(&shown, None)?.0;
            let plain = self.cut.encode(&shown, false)?;
            let ended = plain.is_empty() || !ids.ends_with(&plain);
            self.skipped = ids.len() - usize::from(ended && !ids.is_empty());
        }
        self.prompt = prompt;
        Ok(())
    }

    /// A text as the tokenizer gets it.
    fn lowered<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.lower_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
    }

    fn encode(&self, input: &TextInput) -> Result<Encoded> {
        let pair = input.text_pair.as_deref();
        let text = match self.prompt.is_empty() {
            true => Cow::Borrowed(&*input.text),
            false => Cow::Owned(format!("{}{}", self.prompt, input.text)),
        };
        let text = self.lowered(&text);
        let (ids, types) = self.cut.encode_segments(&text, pair)?;
        // Only a text of exactly the limit may have been longer.
        let truncated = match ids.len() == self.limit {
            true => self.tokenizer.encode_segments(&text, pair)?.0.len() - ids.len(),
            false => 0,
        };
        if ids.is_empty() {
            return Err(Error::input("encode a text without tokens"));
        }
        Ok(Encoded { ids, types, truncated, skipped: self.skipped })
    }
}

/// One encoded text: its values and the tokens that were cut off, or why there is none.
type Outcome = std::result::Result<(Vec<f32>, usize), String>;

impl TextEncoder {
    fn open(
        folder: &ModelFolder,
        options: &EngineOptions,
        head: impl Fn(&arch::Config) -> Result<HeadKind>,
    ) -> Result<Self> {
        options.check()?;
        let config = arch::Config::read(folder)?;
        let spec = arch::encoder(&config)?;
        let options = candle::encoder_options(&spec, options);
        let fingerprint = candle::fingerprint(folder, &options)?;
        let texts = Texts::open(folder, &config, &spec)?;
        let backend = Mutex::new(candle::encoder(folder, spec, head(&config)?, &options)?);
        let (batch_tokens, window) = (options.batch_tokens, options.window);
        Ok(Self { backend, texts, batch_tokens, window, fingerprint })
    }

    /// Encodes a stream; `sink` gets values and cut tokens of each text, or why there are none, with the text's place in the
    /// stream (from 0): windows in order, and in a window as steps end. `progress` is called behind the texts of a step.
    fn run(
        &mut self,
        inputs: impl Iterator<Item = Result<TextInput>> + Send,
        mut sink: impl FnMut(u64, Outcome) -> Result<()>,
        mut progress: impl FnMut(&EncodeTotals) -> Result<()>,
    ) -> Result<EncodeTotals> {
        let backend = self.backend.get_mut().unwrap_or_else(PoisonError::into_inner);
        let (texts, backend) = (&self.texts, &mut **backend);
        let (batch_tokens, window) = (self.batch_tokens, self.window);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(1);
            scope.spawn(move || {
                let mut inputs = inputs;
                // A text whose encoding panics has failed; an input that panics is an error, not an end.
                let encode =
                    |text: &TextInput| guarded("encode the text", || texts.encode(text)).and_then(|encoded| encoded);
                loop {
                    let read = caught("read the input", || inputs.by_ref().take(window).collect());
                    let (last, encoded) = match read.and_then(|read: Result<Vec<TextInput>>| read) {
                        Ok(read) if read.is_empty() => return,
                        Ok(read) => (read.len() < window, Ok(read.par_iter().map(&encode).collect())),
                        Err(error) => (true, Err(error)),
                    };
                    if sender.send(encoded).is_err() || last {
                        return;
                    }
                }
            });
            let (mut totals, mut first) = (EncodeTotals::default(), 0);
            for encoded in receiver {
                let encoded: Window = encoded?;
                let mut placed = |place: usize, outcome| sink(first + place as u64, outcome);
                encode_window(backend, &encoded, batch_tokens, &mut totals, (&mut placed, &mut progress))?;
                first += encoded.len() as u64;
            }
            Ok(totals)
        })
    }
}

type Window = Vec<Result<Encoded>>;

/// Who gets the outcomes of a window by place, and who is told of every step.
type Told<'a> = (&'a mut dyn FnMut(usize, Outcome) -> Result<()>, &'a mut dyn FnMut(&EncodeTotals) -> Result<()>);

/// Encodes one window, longest texts first; what failed before comes first of all.
fn encode_window(
    backend: &mut dyn EncoderBackend,
    encoded: &[Result<Encoded>],
    batch_tokens: usize,
    totals: &mut EncodeTotals,
    (sink, progress): Told<'_>,
) -> Result<()> {
    for (place, text) in encoded.iter().enumerate() {
        if let Err(error) = text {
            sink(place, Err(error.chain()))?;
        }
    }
    let mut order: Vec<(usize, &Encoded)> =
        encoded.iter().enumerate().filter_map(|(i, text)| Some((i, text.as_ref().ok()?))).collect();
    order.sort_by_key(|(index, text)| (std::cmp::Reverse(text.ids.len()), *index));
    for batch in batches(&order, batch_tokens) {
        let texts: Vec<&Encoded> = batch.iter().map(|(_, text)| *text).collect();
        for ((index, text), values) in batch.iter().zip(backend.encode(&texts)?) {
            totals.texts += 1;
            totals.tokens += text.ids.len() as u64;
            totals.truncated += u64::from(text.truncated > 0);
            let outcome = match values.iter().all(|x| x.is_finite()) {
                true => Ok((values, text.truncated)),
                false => Err("compute vectors that are finite numbers".into()),
            };
            sink(*index, outcome)?;
        }
        totals.steps += 1;
        progress(totals)?;
    }
    Ok(())
}

/// Cuts a list, longest first, into batches of at most `budget` tokens; a longer text makes a batch alone.
fn batches<'a>(order: &'a [(usize, &'a Encoded)], budget: usize) -> impl Iterator<Item = &'a [(usize, &'a Encoded)]> {
    let mut rest = order;
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fits = |(_, text): &&(usize, &Encoded)| {
            tokens += text.ids.len();
            tokens <= budget
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (batch, left) = rest.split_at(count);
        rest = left;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Most tokens of a text: what `sentence_bert_config.json` says, within the model's positions.
fn length_limit(folder: &ModelFolder, spec: &EncoderSpec) -> Result<usize> {
    let told = read_json(folder, "sentence_bert_config.json")?
        .and_then(|config| config.get("max_seq_length").and_then(Value::as_u64))
        .map(|limit| limit as usize);
    let config = read_json(folder, "tokenizer_config.json")?;
    // Tokenizers without a limit carry an astronomic one.
    let tokenizer = config.and_then(|c| c.get("model_max_length").and_then(Value::as_f64)).map(|limit| limit as usize);
    Ok(told.or(tokenizer).unwrap_or(usize::MAX).min(spec.positions))
}

/// A sentence embedder.
pub struct Embedder {
    encoder: TextEncoder,
    normalize: bool,
}

impl Embedder {
    /// Loads a model folder. `pooling` overrides what the folder says; `normalize` adds to it.
    ///
    /// # Errors
    /// Missing, broken or contradicting files; a device that is not there.
    pub fn open(
        folder: &ModelFolder,
        pooling: Option<Pooling>,
        normalize: bool,
        options: &EngineOptions,
    ) -> Result<Self> {
        Self::prompted(folder, pooling, normalize, options, &PromptChoice::Default)
    }

    /// [`Embedder::open`] with a choice of what stands before every text.
    ///
    /// # Errors
    /// As there; a prompt that the folder does not have.
    pub fn prompted(
        folder: &ModelFolder,
        pooling: Option<Pooling>,
        normalize: bool,
        options: &EngineOptions,
        prompt: &PromptChoice,
    ) -> Result<Self> {
        let modules = sentence::modules(folder)?;
        let prompt = prompt.text(folder)?;
        let head = HeadKind::Pool(pooling.unwrap_or(modules.pooling), modules.stages);
        let mut encoder = TextEncoder::open(folder, options, |_| Ok(head.clone()))?;
        encoder.texts.lower_case = modules.lower_case;
        encoder.texts.prompt(prompt, modules.include_prompt)?;
        Ok(Self { encoder, normalize: normalize || modules.normalize })
    }

    /// Embeds a stream of texts; `sink` gets the vectors as they end, each with its text's place in the stream, from 0.
    ///
    /// # Errors
    /// An error of the stream, of `sink` or `progress`, or of the arithmetic as a whole.
    pub fn embed(
        &mut self,
        texts: impl Iterator<Item = Result<String>> + Send,
        mut sink: impl FnMut(u64, std::result::Result<Embedding, String>) -> Result<()>,
        progress: impl FnMut(&EncodeTotals) -> Result<()>,
    ) -> Result<EncodeTotals> {
        let normalize = self.normalize;
        let inputs = texts.map(|text| text.map(|text| TextInput { text, text_pair: None }));
        let answer = |place, outcome: Outcome| {
            let embedding = outcome.map(|(mut vector, truncated_tokens)| {
                if normalize {
                    unit_length(&mut vector);
                }
                Embedding { vector, truncated_tokens }
            });
            sink(place, embedding)
        };
        self.encoder.run(inputs, answer, progress)
    }

    /// What decides the bits of its vectors.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.encoder.fingerprint
    }
}

/// A sequence classifier.
pub struct Classifier {
    encoder: TextEncoder,
    labels: Vec<String>,
    /// Every label for itself (sigmoid) instead of one of all (softmax).
    multi_label: bool,
}

impl Classifier {
    /// Loads a model folder with a classification head.
    ///
    /// # Errors
    /// As for [`Embedder::open`]; a model without labels.
    pub fn open(folder: &ModelFolder, options: &EngineOptions) -> Result<Self> {
        let config = arch::Config::read(folder)?;
        let labels = labels(&config)?;
        let multi_label = config.text_or("problem_type", "")? == "multi_label_classification";
        let count = labels.len();
        let encoder = TextEncoder::open(folder, options, |_| Ok(HeadKind::Classify(count)))?;
        Ok(Self { encoder, labels, multi_label })
    }

    /// The labels in the model's order.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// What decides the bits of its probabilities.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.encoder.fingerprint
    }

    /// Classifies a stream of texts; `sink` gets the answers as they end, each with its text's place in the stream, from 0.
    ///
    /// # Errors
    /// As for [`Embedder::embed`].
    pub fn classify(
        &mut self,
        texts: impl Iterator<Item = Result<TextInput>> + Send,
        mut sink: impl FnMut(u64, std::result::Result<Classification, String>) -> Result<()>,
        progress: impl FnMut(&EncodeTotals) -> Result<()>,
    ) -> Result<EncodeTotals> {
        let (labels, multi_label) = (&self.labels, self.multi_label);
        let answer = |place, outcome: Outcome| {
            let classification = outcome.map(|(logits, truncated_tokens)| {
                let probabilities = probabilities(&logits, multi_label);
                let scores = labels.iter().cloned().zip(probabilities).collect();
                Classification { scores, logits, truncated_tokens }
            });
            sink(place, classification)
        };
        self.encoder.run(texts, answer, progress)
    }
}

/// Sigmoid per label, or softmax over all; one label alone is a sigmoid too, as in transformers' pipeline.
fn probabilities(logits: &[f32], multi_label: bool) -> Vec<f32> {
    if multi_label || logits.len() == 1 {
        return logits.iter().map(|x| (1.0 / (1.0 + libm::exp(-f64::from(*x)))) as f32).collect();
    }
    let highest = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let weights: Vec<f64> = logits.iter().map(|x| libm::exp(f64::from(*x) - f64::from(highest))).collect();
    let sum = weights.iter().fold(0.0, |a, b| a + b);
    weights.iter().map(|w| (w / sum) as f32).collect()
}

/// `id2label` in the order of its ids, or `LABEL_0`… for `num_labels`.
fn labels(config: &arch::Config) -> Result<Vec<String>> {
    if let Some(map) = config.get("id2label").and_then(Value::as_object) {
        let mut labels: Vec<(usize, String)> = map
            .iter()
            .filter_map(|(id, label)| Some((id.parse().ok()?, label.as_str().map_or(label.to_string(), str::to_owned))))
            .collect();
        labels.sort();
        let complete = labels.iter().enumerate().all(|(index, (id, _))| index == *id);
        if complete && labels.len() == map.len() && !labels.is_empty() {
            return Ok(labels.into_iter().map(|(_, label)| label).collect());
        }
        return Err(Error::input("read `id2label` as labels 0, 1, …").at(config.path()));
    }
    let count = config.optional_count("num_labels")?.unwrap_or(2);
    Ok((0..count).map(|id| format!("LABEL_{id}")).collect())
}
