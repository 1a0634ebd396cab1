//! Embeddings and classifications of streams of texts, as they end.
//!
//! A thread of its own tokenizes ahead. Texts are taken in chunks of the stream, their rows sorted by length inside a chunk
//! and packed into steps of a token budget; a row longer than the budget goes whole and alone. A text is one row, or one for
//! each of its windows where it is longer than the model reads.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use serde_json::Value;

use crate::cpu::unit_length;
use crate::device;
use crate::device::Fingerprint;
use crate::error::{Error, Result};
use crate::guard::{caught, guarded};
use crate::models::model_folder::ModelFolder;
use crate::models::{HeadKind, families};
use crate::options::EngineOptions;
use crate::reading::{Reading, Unread};
use crate::request::{Classification, Pooling, TextInput};
use crate::scheduler::backend::{Encoded, EncoderBackend};
use crate::sentence::{self, PromptChoice};
use crate::texts::{Rows, Texts};

/// An encoder with its tokenizer.
struct TextEncoder {
    /// Behind a lock that is never taken, for whoever shares an encoder without computing with it.
    backend: Mutex<Box<dyn EncoderBackend>>,
    texts: Texts,
    batch_tokens: usize,
    window: usize,
    fingerprint: Fingerprint,
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
    /// Texts that were read in windows.
    pub long: u64,
    /// Their windows.
    pub windows: u64,
    /// Steps computed.
    pub steps: u64,
}

/// What became of one text.
type Outcome = std::result::Result<Reading<Vec<f32>>, Unread>;

impl TextEncoder {
    fn open(
        folder: &ModelFolder,
        options: &EngineOptions,
        head: impl Fn(&families::Config) -> Result<HeadKind>,
    ) -> Result<Self> {
        options.check()?;
        let config = families::Config::read(folder)?;
        let spec = families::encoder(&config)?;
        let options = device::encoder_options(&spec, options);
        let fingerprint = device::fingerprint(folder, &options)?;
        let texts = Texts::open(folder, &config, &spec)?;
        let backend = Mutex::new(device::encoder(folder, &config, spec, head(&config)?, &options)?);
        let (batch_tokens, window) = (options.batch_tokens, options.window);
        Ok(Self { backend, texts, batch_tokens, window, fingerprint })
    }

    /// Encodes a stream; `sink` gets what became of each text, with the text's place in the stream (from 0): chunks in order,
    /// and in a chunk as steps end. `progress` is called behind the texts of a step.
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
                let encode = |text: &TextInput| {
                    let encoded = guarded("encode the text", || texts.encode(text));
                    encoded.unwrap_or_else(|error| Err(error.into()))
                };
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
                let encoded: Chunk = encoded?;
                let mut placed = |place: usize, outcome| sink(first + place as u64, outcome);
                let mut batches = RowBatches { texts, encoded: &encoded, totals: &mut totals, sink: &mut placed };
                batches.encode(backend, batch_tokens, &mut progress)?;
                first += encoded.len() as u64;
            }
            Ok(totals)
        })
    }
}

/// Texts that may be reordered among themselves.
type Chunk = Vec<std::result::Result<Rows, Unread>>;

/// Takes the rows of a chunk to the backend, and texts whose rows are all back to the sink, by their places.
struct RowBatches<'a> {
    texts: &'a Texts,
    encoded: &'a [std::result::Result<Rows, Unread>],
    totals: &'a mut EncodeTotals,
    sink: &'a mut dyn FnMut(usize, Outcome) -> Result<()>,
}

/// A row by its text and its place in it.
struct Row {
    text: usize,
    at: usize,
    tokens: usize,
}

impl Row {
    /// The text's rows and this one of them.
    fn of<'a>(
        &self,
        encoded: &'a [std::result::Result<Rows, Unread>],
        texts: &Texts,
    ) -> Result<(&'a Rows, Cow<'a, Encoded>)> {
        match &encoded[self.text] {
            Ok(rows) => Ok((rows, rows.row(self.at, texts)?)),
            Err(_) => Err(Error::internal("failed to find the rows of a text")),
        }
    }
}

/// Values of a text's rows, and how many are left to compute.
struct Begun {
    values: Vec<Vec<f32>>,
    left: usize,
}

impl RowBatches<'_> {
    /// Longest rows first; what failed before comes first of all.
    fn encode(
        &mut self,
        backend: &mut dyn EncoderBackend,
        batch_tokens: usize,
        progress: &mut dyn FnMut(&EncodeTotals) -> Result<()>,
    ) -> Result<()> {
        let (texts, encoded) = (self.texts, self.encoded);
        let mut order = Vec::new();
        for (text, rows) in encoded.iter().enumerate() {
            match rows {
                Ok(rows) => order.extend((0..rows.count()).map(|at| Row { text, at, tokens: rows.tokens(at) })),
                Err(unread) => (self.sink)(text, Err(unread.clone()))?,
            }
        }
        order.sort_by_key(|row| (std::cmp::Reverse(row.tokens), row.text, row.at));
        let mut begun: HashMap<usize, Begun> = HashMap::new();
        for batch in batches(&order, batch_tokens) {
            let row = |row: &Row| row.of(encoded, texts);
            let rows: Vec<(&Rows, Cow<'_, Encoded>)> = batch.iter().map(row).collect::<Result<_>>()?;
            let packed: Vec<&Encoded> = rows.iter().map(|(_, row)| &**row).collect();
            let values = backend.encode(&packed)?;
            for ((row, (rows, packed)), values) in batch.iter().zip(&rows).zip(values) {
                self.totals.tokens += packed.ids.len() as u64;
                let count = rows.count();
                let text = begun.entry(row.text).or_insert_with(|| Begun { values: vec![vec![]; count], left: count });
                text.values[row.at] = values;
                text.left -= 1;
                if text.left == 0 {
                    let values = begun.remove(&row.text).map(|text| text.values).unwrap_or_default();
                    self.finish(row.text, rows, values)?;
                }
            }
            self.totals.steps += 1;
            progress(self.totals)?;
        }
        Ok(())
    }

    fn finish(&mut self, text: usize, rows: &Rows, values: Vec<Vec<f32>>) -> Result<()> {
        self.totals.texts += 1;
        match rows {
            Rows::Whole(_) => {}
            Rows::Cut(..) => self.totals.truncated += 1,
            Rows::Windows(_) => {
                self.totals.long += 1;
                self.totals.windows += rows.count() as u64;
            }
        }
        let outcome = if values.iter().flatten().all(|x| x.is_finite()) {
            rows.reading(values).ok_or_else(|| Unread::Failed("the values of the text are missing".into()))
        } else {
            Err(Unread::Failed("the vectors are not finite numbers".into()))
        };
        (self.sink)(text, outcome)
    }
}

/// Cuts a list, longest first, into batches of at most `budget` tokens; a longer row makes a batch alone.
fn batches(order: &[Row], budget: usize) -> impl Iterator<Item = &[Row]> {
    let mut rest = order;
    std::iter::from_fn(move || {
        let mut tokens = 0;
        let fits = |row: &&Row| {
            tokens += row.tokens;
            tokens <= budget
        };
        let count = rest.iter().take_while(fits).count().max(1).min(rest.len());
        let (batch, left) = rest.split_at(count);
        rest = left;
        (!batch.is_empty()).then_some(batch)
    })
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
        texts: impl Iterator<Item = Result<TextInput>> + Send,
        mut sink: impl FnMut(u64, std::result::Result<Reading<Vec<f32>>, Unread>) -> Result<()>,
        progress: impl FnMut(&EncodeTotals) -> Result<()>,
    ) -> Result<EncodeTotals> {
        let normalize = self.normalize;
        let vector = |mut vector: Vec<f32>| {
            if normalize {
                unit_length(&mut vector);
            }
            vector
        };
        let answer = |place, outcome: Outcome| sink(place, outcome.map(|reading| reading.map(vector)));
        self.encoder.run(texts, answer, progress)
    }

    /// What decides the bits of its vectors.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.encoder.fingerprint
    }
}

/// Tokens of the passages that long texts are classified by besides windows: two or three sentences, the length that classifiers of
/// insults are trained on. karat-toxicity gives an insult of 12 tokens among calm sentences 0.33 to 0.74 in windows of
/// 254 tokens, by where it stands, and 0.89 or more in passages of 48.
const PASSAGE: usize = 48;

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
        let config = families::Config::read(folder)?;
        let labels = labels(&config)?;
        let multi_label = config.text_or("problem_type", "")? == "multi_label_classification";
        let count = labels.len();
        let mut encoder = TextEncoder::open(folder, options, |_| Ok(HeadKind::Classify(count)))?;
        encoder.texts.passage = Some(PASSAGE);
        Ok(Self { encoder, labels, multi_label })
    }

    /// The labels that a model folder's configuration names, without loading it.
    ///
    /// # Errors
    /// A folder without a configuration, or one that names no labels.
    pub fn labels_of(folder: &ModelFolder) -> Result<Vec<String>> {
        labels(&families::Config::read(folder)?)
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
        mut sink: impl FnMut(u64, std::result::Result<Reading<Classification>, Unread>) -> Result<()>,
        progress: impl FnMut(&EncodeTotals) -> Result<()>,
    ) -> Result<EncodeTotals> {
        let (labels, multi_label) = (&self.labels, self.multi_label);
        let classification = |logits: Vec<f32>| {
            let probabilities = probabilities(&logits, multi_label);
            let scores = labels.iter().cloned().zip(probabilities).collect();
            Classification { scores, logits }
        };
        let answer = |place, outcome: Outcome| sink(place, outcome.map(|reading| reading.map(classification)));
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
fn labels(config: &families::Config) -> Result<Vec<String>> {
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
        return Err(Error::input("`id2label` does not name the labels 0, 1, …").at(config.path()));
    }
    let count = config.optional_count("num_labels")?.unwrap_or(2);
    Ok((0..count).map(|id| format!("LABEL_{id}")).collect())
}
