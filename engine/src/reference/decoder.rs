//! A decoder of candle-transformers as a backend: one sequence at a time.
//!
//! A sequence is computed in one way, however its tokens come: as a whole up to the first row that is read, then token by
//! token, or, where the family's keys and values do not serve (see [`Family`]), as a whole for every row that is read. So its
//! answers do not depend on the bounds of steps either.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::families::{FAMILIES, Family, Model};
use super::settings::{self, refuse_gguf, refused};
use super::weights::Weights;
use crate::cpu;
use crate::cpu::decoder::answer;
use crate::error::{Error, Result, similar};
use crate::models::DecoderSpec;
use crate::models::families::{self, Config};
use crate::models::model_folder::ModelFolder;
use crate::models::weights::Checkpoint;
use crate::options::DtypeChoice;
use crate::scheduler::backend::{Backend, Shape, Step, StepOutput, processing_of};

const HEAD: &str = "lm_head.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// A decoder of candle-transformers as its folder describes it, before its weights are loaded.
pub struct Plan {
    family: &'static Family,
    config: serde_json::Value,
    vocab: usize,
    context: usize,
    /// Tokens of the longest sequence of which it keeps keys and values.
    cached: usize,
    tied: bool,
    notes: Vec<String>,
}

impl Plan {
    /// Reads what a folder says of its model.
    ///
    /// # Errors
    /// The family is not known, or asks for what candle-transformers does not have; files that are missing or broken.
    pub fn read(folder: &ModelFolder, config: &Config) -> Result<Self> {
        refuse_gguf(folder)?;
        let family = family(config)?;
        let mut notes = Vec::new();
        // What only candle-transformers knows, only it can check.
        let spec = if families::is_decoder(config) { Some(families::decoder(config)?) } else { None };
        let mut tied = match &spec {
            Some(spec) => spec.tied,
            None => config.flag_or("tie_word_embeddings", false)?,
        };
        if let Some(spec) = &spec {
            cpu::check_weights(folder, spec)?;
        }
        let weights = Weights::new(Checkpoint::open(folder, DtypeChoice::F32)?);
        if tied
            && let (Some(head), Some(embedding)) = (weights.held(HEAD), weights.held(EMBEDDING))
            && weights.checkpoint().differ(head, embedding)?
        {
            tied = false;
            notes.push(format!("{HEAD} differs from the tied embedding: the separate head is used"));
        }
        let (vocab, context) = match &spec {
            Some(spec) => (spec.vocab, spec.context),
            None => (config.count("vocab_size")?, config.count("max_position_embeddings")?),
        };
        let window = spec.as_ref().and_then(window);
        let reach = match window {
            Some(window) if !family.windows && window < context => {
                notes.push(format!(
                    "sequences end at {window} tokens: candle-transformers' {} has no sliding windows",
                    family.model_type
                ));
                window
            }
            _ => context,
        };
        let cached = if family.caches { window.unwrap_or(context) } else { 0 };
        let config = settings::decoder(config, family, spec.as_ref(), tied)?;
        Ok(Self { family, config, vocab, context: reach, cached, tied, notes })
    }

    /// Number of token ids.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// What a user should know of the model, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Holds the headers of the weights against the model.
    ///
    /// # Errors
    /// Those of [`Plan::load`].
    pub fn check(&self, folder: &ModelFolder) -> Result<()> {
        self.model(Checkpoint::headers(folder)?).map(drop)
    }

    /// The decoder with its weights.
    ///
    /// # Errors
    /// Weights that are missing or broken, that do not fit the configuration, or that candle-transformers would leave unread.
    pub fn load(&self, folder: &ModelFolder) -> Result<Box<dyn Backend>> {
        let model = self.model(Checkpoint::open(folder, DtypeChoice::F32)?)?;
        // Blocks hold nothing here: one is all that a sequence needs.
        let shape = Shape { vocab: self.vocab, context: self.context, block_size: self.context, blocks: 1 };
        Ok(Box::new(Decoder { model, shape, cached: self.cached, tokens: Vec::new(), computed: 0 }))
    }

    fn model(&self, checkpoint: Checkpoint) -> Result<Box<dyn Model>> {
        let name = self.family.model_type;
        let weights = Weights::new(checkpoint);
        let model = (self.family.load)(self.config.clone(), weights.builder());
        let model = model.map_err(|error| weights.failure(error, name))?;
        let spare = |tensor: &String| (self.tied && tensor == HEAD) || tensor.ends_with("rotary_emb.inv_freq");
        match weights.unread().iter().find(|tensor| !spare(tensor)) {
            Some(tensor) => {
                let message = format!("candle-transformers' {name} does not read tensor `{tensor}`");
                Err(Error::input(message).at(weights.checkpoint().folder().path()).with_hint(
                    "the reference backend computes a model as a whole or not at all; `--backend fast` may know it",
                ))
            }
            None => Ok(model),
        }
    }
}

/// The family of a configuration.
fn family(config: &Config) -> Result<&'static Family> {
    let name = config.model_type()?;
    if let Some(family) = FAMILIES.iter().find(|family| family.model_type == name) {
        return Ok(family);
    }
    let known: Vec<&str> = FAMILIES.iter().map(|family| family.model_type).collect();
    if families::is_decoder(config) {
        return Err(refused(config, "model of this family that computes as transformers does")
            .with_hint(format!("the reference backend generates with {}", known.join(", "))));
    }
    let meant = similar(name, &known).map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    Err(Error::input(format!("the reference backend cannot generate with model type `{name}`"))
        .at(config.path())
        .with_hint(format!("{meant}it generates with {}", known.join(", "))))
}

/// The smallest window of a layer.
fn window(spec: &DecoderSpec) -> Option<usize> {
    spec.layers.iter().filter_map(|layer| layer.window).min()
}

struct Decoder {
    model: Box<dyn Model>,
    shape: Shape,
    cached: usize,
    /// The sequence so far.
    tokens: Vec<u32>,
    /// How many of its tokens the model has keys and values of.
    computed: usize,
}

impl Decoder {
    /// Gives the model tokens of the sequence; the logits behind the last.
    fn forward(&mut self, tokens: Range<usize>) -> candle_core::Result<Vec<f32>> {
        let start = tokens.start;
        let tokens = Tensor::new(&self.tokens[tokens], &Device::Cpu)?.unsqueeze(0)?;
        let logits: Vec<f32> = self.model.forward(&tokens, start)?.flatten_all()?.to_vec1()?;
        let others = logits.len().saturating_sub(self.shape.vocab);
        Ok(logits[others..].to_vec())
    }

    /// The logits behind the first `end` tokens of the sequence.
    fn logits(&mut self, end: usize) -> candle_core::Result<Vec<f32>> {
        let serve = (1..end).contains(&self.computed) && end <= self.cached;
        if !serve {
            self.model.clear();
            self.computed = 0;
        }
        let mut logits = Vec::new();
        while self.computed < end {
            let next = if self.computed == 0 { end } else { self.computed + 1 };
            logits = self.forward(self.computed..next)?;
            self.computed = next;
        }
        Ok(logits)
    }
}

impl Backend for Decoder {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn one_by_one(&self) -> bool {
        true
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        let mut outputs = Vec::with_capacity(step.outputs.len());
        let mut requests = step.outputs.iter().enumerate().peekable();
        let mut row = 0;
        for segment in &step.segments {
            if segment.start == 0 {
                self.tokens.clear();
                self.computed = 0;
            }
            if segment.start != self.tokens.len() {
                return Err(Error::internal("failed to compute one sequence at a time"));
            }
            let behind = row + segment.len;
            self.tokens.extend(&step.tokens[row..behind]);
            while let Some((at, request)) = requests.next_if(|(_, request)| request.row < behind) {
                let logits = self.logits(segment.start + request.row - row + 1);
                let mut logits =
                    logits.map_err(|e| Error::internal("failed to compute with candle-transformers").caused_by(e))?;
                outputs.push(answer(&mut logits, request, (processing_of(&step.processing, at), &step.targets)));
            }
            row = behind;
        }
        Ok(outputs)
    }
}
