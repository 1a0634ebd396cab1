//! Loads the parts of an encoder, by the names that its family gives them.

use std::sync::Arc;

use super::encoder_spec::{ConvolutionSpec, EncoderSpec, HeadKind, Learned, StageSpec};
use super::model_folder::ModelFolder;
use super::weights::Checkpoint;
use crate::cpu::encoder::{Convolution, Encoder, Head, Layer, Stage};
use crate::cpu::linear::Linear;
use crate::cpu::norm::{Norm, NormKind};
use crate::cpu::relative::{BUCKETS, Bias, Disentangled, PositionBlocks, RelativeBias};
use crate::cpu::rows::Rows;
use crate::device::in_pool;
use crate::error::{Error, Result};
use crate::options::DtypeChoice;

impl Encoder {
    /// Loads the weights of a folder.
    ///
    /// # Errors
    /// Weights that are missing, broken or do not fit the specification.
    pub fn load(folder: &ModelFolder, spec: EncoderSpec, dtype: DtypeChoice, head: HeadKind) -> Result<Self> {
        let weights = Checkpoint::open(folder, dtype)?;
        let headed = format!("{}{}.weight", spec.names.prefix, spec.names.words);
        let prefix = if weights.contains(&headed) { spec.names.prefix } else { "" };
        let loader = Loader { weights: &weights, prefix, spec: &spec };
        let width = spec.embedding;
        let table = |name: &str, rows: usize| match rows {
            0 => Ok(Vec::new()),
            _ => weights.table(&format!("{prefix}{name}.weight"), rows, width),
        };
        let words = Rows::new(table(spec.names.words, spec.vocab)?, width);
        let positions = match spec.learned {
            Learned::None => Vec::new(),
            _ => table("embeddings.position_embeddings", spec.position_rows())?,
        };
        let types = table("embeddings.token_type_embeddings", spec.token_types)?;
        let projection = if width == spec.hidden {
            None
        } else {
            Some(loader.linear(&["embeddings.embed_proj"], (width, spec.hidden), false)?)
        };
        let norm = loader.norm(spec.names.embedding_norm)?;
        let shared = loader.shared_bias()?;
        let vectors = loader.position_vectors()?;
        let layers = (0..spec.windows.len())
            .map(|index| loader.layer(index, shared.as_ref(), vectors.as_ref()))
            .collect::<Result<_>>()?;
        let convolution = spec.convolution.as_ref().map(|c| loader.convolution(c)).transpose()?;
        let last_norm = if spec.norms_before { Some(loader.norm("final_norm")?) } else { None };
        let head = loader.head(head)?;
        Ok(Self { words, positions, types, projection, norm, layers, convolution, last_norm, head, spec })
    }
}

struct Loader<'a> {
    weights: &'a Checkpoint,
    prefix: &'a str,
    spec: &'a EncoderSpec,
}

impl Loader<'_> {
    /// Products side by side, `(inputs, outputs of each)`.
    fn linear(&self, parts: &[&str], (inputs, outputs): (usize, usize), bias: bool) -> Result<Linear> {
        let names: Vec<String> = parts.iter().map(|part| format!("{}{part}", self.prefix)).collect();
        let parts: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), outputs)).collect();
        self.weights.linear(&parts, inputs, bias)
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        self.norm_at(&format!("{}{name}", self.prefix))
    }

    /// A LayerNorm; checkpoints converted from TensorFlow call its weights gamma and beta.
    fn norm_at(&self, name: &str) -> Result<Norm> {
        let width = self.spec.hidden;
        let old = self.weights.contains(&format!("{name}.gamma"));
        let (weight, bias) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        let vector = |part: &str| self.weights.vector(&format!("{name}.{part}"), width);
        let bias = if self.spec.norm_bias { Some(vector(bias)?) } else { None };
        Ok(Norm { kind: NormKind::Layer, weight: vector(weight)?, bias, eps: self.spec.norm_eps })
    }

    fn layer(&self, index: usize, shared: Option<&Arc<Bias>>, vectors: Option<&Rows>) -> Result<Layer> {
        let (spec, names) = (self.spec, &self.spec.names);
        let (width, inner) = (spec.hidden, spec.intermediate);
        let name = |part: &str| format!("{}.{index}.{part}", names.layer);
        let projections: Vec<String> = names.query_key_value.iter().map(|part| name(part)).collect();
        let projections: Vec<&str> = projections.iter().map(String::as_str).collect();
        let each = 3 / projections.len() * width;
        let query_key_value = self.linear(&projections, (width, each), spec.attention_bias)?;
        let normed = index > 0 || !spec.norms_before;
        let bias = match (&spec.relative, vectors) {
            (RelativeBias::Disentangled(options), Some(vectors)) => {
                Some(Arc::new(self.disentangled(options, vectors, &query_key_value, &name)?))
            }
            _ => shared.cloned(),
        };
        Ok(Layer {
            query_key_value,
            output: self.linear(&[&name(names.output)], (width, width), spec.attention_bias)?,
            attention_norm: if normed { Some(self.norm(&name(names.attention_norm))?) } else { None },
            up: self.linear(
                &[&name(names.up)],
                (width, if spec.gated { 2 * inner } else { inner }),
                spec.feed_forward_bias,
            )?,
            down: self.linear(&[&name(names.down)], (inner, width), spec.feed_forward_bias)?,
            feed_forward_norm: self.norm(&name(names.feed_forward_norm))?,
            bias,
        })
    }

    /// Numbers per bucket that all layers share.
    fn shared_bias(&self) -> Result<Option<Arc<Bias>>> {
        let RelativeBias::Buckets(rows) = self.spec.relative else { return Ok(None) };
        let heads = self.spec.heads;
        let name = format!("{}encoder.relative_attention_bias.weight", self.prefix);
        let table = self.weights.table(&name, rows, heads)?;
        debug_assert!(rows >= BUCKETS);
        Ok(Some(Arc::new(Bias::Buckets { table, heads })))
    }

    /// The position vectors of disentangled attention, `[2 · span, hidden]`, normed where the model does.
    fn position_vectors(&self) -> Result<Option<Rows>> {
        let RelativeBias::Disentangled(options) = &self.spec.relative else { return Ok(None) };
        let (rows, width) = (2 * options.span, self.spec.hidden);
        let name = format!("{}encoder.rel_embeddings.weight", self.prefix);
        let vectors = Rows::new(self.weights.table(&name, rows, width)?, width);
        Ok(Some(if options.norm { self.norm("encoder.LayerNorm")?.forward(&vectors) } else { vectors }))
    }

    fn disentangled(
        &self,
        options: &Disentangled,
        vectors: &Rows,
        query_key_value: &Linear,
        name: &dyn Fn(&str) -> String,
    ) -> Result<Bias> {
        let (width, heads, size) = (self.spec.hidden, self.spec.heads, self.spec.head_size());
        let blocks = |rows: &[f32]| PositionBlocks::new(rows, heads, size);
        let own = |part: &str| {
            let projection = self.linear(&[&name(part)], (width, width), true)?;
            Ok(blocks(in_pool(|| projection.forward(vectors)).values()))
        };
        // The layer's own projections give queries, keys and values side by side.
        let shared = |part: usize| {
            let all = in_pool(|| query_key_value.forward(vectors));
            let rows = all.iter().flat_map(|row| &row[part * width..(part + 1) * width]);
            blocks(&rows.copied().collect::<Vec<f32>>())
        };
        let part = |wanted: bool, index: usize, part: &str| match (wanted, options.shared) {
            (false, _) => Ok(None),
            (true, true) => Ok(Some(shared(index))),
            (true, false) => own(part).map(Some),
        };
        Ok(Bias::Disentangled {
            keys: part(options.content_to_position, 1, "attention.self.pos_key_proj")?,
            queries: part(options.position_to_content, 0, "attention.self.pos_query_proj")?,
            options: options.clone(),
            scale: self.spec.scale,
        })
    }

    fn convolution(&self, spec: &ConvolutionSpec) -> Result<Convolution> {
        let (width, kernel) = (self.spec.hidden, spec.kernel);
        let group = width / spec.groups;
        let name = |part: &str| format!("{}encoder.conv.{part}", self.prefix);
        let taps = self.weights.array(&name("conv.weight"), &[width, group, kernel])?;
        let bias = self.weights.vector(&name("conv.bias"), width)?;
        let product = self.weights.made((width, kernel * width), Some(bias), |output, input| {
            let (tap, input) = (input / width, input % width);
            if output / group == input / group { taps[(output * group + input % group) * kernel + tap] } else { 0.0 }
        });
        Ok(Convolution { product, kernel, activation: spec.activation, norm: self.norm("encoder.conv.LayerNorm")? })
    }

    fn head(&self, kind: HeadKind) -> Result<Head> {
        let width = self.spec.hidden;
        match kind {
            HeadKind::Pool(pooling, stages) => {
                let mut at = width;
                let stages = stages.into_iter().map(|stage| self.stage(stage, &mut at)).collect::<Result<_>>()?;
                Ok(Head::Pool { pooling, stages })
            }
            HeadKind::Classify(labels) => {
                let spec = &self.spec.classifier;
                // First: a model without a head is told by what every head has.
                let output = self.weights.linear(&[(spec.output, labels)], width, true)?;
                Ok(Head::Classify {
                    pooling: spec.pooling,
                    dense: self.weights.linear(&[(spec.dense, width)], width, spec.dense_bias)?,
                    activation: spec.activation,
                    norm: spec.norm.map(|name| self.norm_at(name)).transpose()?,
                    output,
                })
            }
        }
    }

    /// Loads a module that takes vectors `width` wide, and says how wide it gives them.
    fn stage(&self, stage: StageSpec, width: &mut usize) -> Result<Stage> {
        let StageSpec::Dense { weights, inputs, outputs, bias, activation } = stage else {
            return Ok(Stage::Normalize);
        };
        if inputs != *width {
            return Err(Error::input(format!("the dense module takes {inputs} values, the vectors have {width}"))
                .at(self.weights.folder().path().join(weights).with_file_name("config.json")));
        }
        *width = outputs;
        let dense = self.weights.beside(&weights)?.linear(&[("linear", outputs)], inputs, bias)?;
        Ok(Stage::Dense(dense, activation))
    }
}
