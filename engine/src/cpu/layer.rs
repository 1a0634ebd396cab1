//! A decoder layer: attention and feed-forward block around the residual stream, and how both are loaded.

use super::attention::{self, AttentionShape};
use super::cache::LayerCache;
use super::experts::Experts;
use super::feed_forward::{FeedForward, normed};
use super::linear::Linear;
use super::norm::Norm;
use super::rotary::{self, HeadNorm, Heads, RopeRows};
use super::rows::Rows;
use crate::error::Result;
use crate::models::spec::{DecoderSpec, HeadNorms, NormSpec, Projections};
use crate::models::weights::{Checkpoint, Matrix, Order};
use crate::scheduler::backend::Segment;

/// The residual stream of a step and what its tokens need to know.
pub struct Stream<'a> {
    /// `[tokens, hidden]`; layers add to it in place.
    pub x: &'a mut Rows,
    /// The specification.
    pub spec: &'a DecoderSpec,
    /// Whose tokens they are.
    pub segments: &'a [Segment],
    /// Angles of each of the specification's rotary embeddings.
    pub ropes: &'a [RopeRows],
}

impl Stream<'_> {
    /// Adds a block's result to the stream, normalised and scaled as the family does.
    fn add(&mut self, mut y: Rows, post_norm: Option<&Norm>) {
        let scale = self.spec.residual_scale;
        y.for_each(|_, row| {
            if let Some(norm) = post_norm {
                norm.row(row);
            }
            if scale != 1.0 {
                row.iter_mut().for_each(|x| *x *= scale);
            }
        });
        self.x.add(&y);
    }

    /// Whether products may be added to the stream as they come.
    fn is_plain(&self, post_norm: Option<&Norm>) -> bool {
        post_norm.is_none() && self.spec.residual_scale == 1.0
    }
}

pub(crate) enum Block {
    Dense(FeedForward),
    Experts(Experts),
}

/// A layer with its weights.
pub struct Layer {
    pub(crate) attention_norm: Option<Norm>,
    pub(crate) query_key_value: Linear,
    pub(crate) head_norms: [HeadNorm; 2],
    pub(crate) output: Linear,
    pub(crate) attention_post_norm: Option<Norm>,
    /// `None` also where both blocks of a parallel layer read attention's.
    pub(crate) feed_forward_norm: Option<Norm>,
    pub(crate) shares_norm: bool,
    pub(crate) block: Block,
    pub(crate) feed_forward_post_norm: Option<Norm>,
    pub(crate) attention: AttentionShape,
    pub(crate) rope: Option<usize>,
}

impl Layer {
    /// Adds the layer to the stream, its keys and values to the cache.
    pub fn forward(&self, stream: &mut Stream<'_>, cache: &mut LayerCache) {
        let attended = self.attend(stream, cache);
        // In a parallel layer the feed-forward block must read the stream before attention is added to it.
        let before = stream.spec.parallel.then(|| self.feed(stream));
        let post_norm = self.attention_post_norm.as_ref();
        if stream.is_plain(post_norm) {
            self.output.forward_add(&attended, stream.x);
        } else {
            stream.add(self.output.forward(&attended), post_norm);
        }
        let fed = before.unwrap_or_else(|| self.feed(stream));
        let post_norm = self.feed_forward_post_norm.as_ref();
        match (&self.block, stream.is_plain(post_norm)) {
            (Block::Dense(block), true) => block.outer_add(&fed, stream.x),
            (Block::Dense(block), false) => stream.add(block.outer(&fed), post_norm),
            (Block::Experts(_), _) => stream.add(fed, post_norm),
        }
    }

    fn attend(&self, stream: &Stream<'_>, cache: &mut LayerCache) -> Rows {
        let mut qkv = normed(&self.query_key_value, stream.x, self.attention_norm.as_ref());
        let AttentionShape { queries, keys, size, .. } = self.attention;
        let [query_norm, key_norm] = &self.head_norms;
        let heads = Heads { queries, keys, size, query_norm, key_norm };
        rotary::prepare_heads(&mut qkv, &heads, self.rope.map(|rope| &stream.ropes[rope]));
        cache.write(&qkv, queries, stream.segments);
        attention::paged(&qkv, cache, stream.segments, &self.attention)
    }

    /// What the feed-forward block makes of the stream up to its activation; all of it where there are experts.
    fn feed(&self, stream: &Stream<'_>) -> Rows {
        let norm = if self.shares_norm { &self.attention_norm } else { &self.feed_forward_norm };
        match &self.block {
            Block::Dense(block) => block.inner(stream.x, norm.as_ref()),
            Block::Experts(experts) => match norm {
                Some(norm) => experts.forward(&norm.forward(stream.x)),
                None => experts.forward(stream.x),
            },
        }
    }
}

/// Loads the parts of a decoder by the names of its specification.
pub struct Loader<'a> {
    weights: &'a Checkpoint,
    spec: &'a DecoderSpec,
    base: String,
}

impl<'a> Loader<'a> {
    /// Finds out what stands before the names: bare models leave it out, models of several parts put more there.
    pub fn new(weights: &'a Checkpoint, spec: &'a DecoderSpec) -> Self {
        let names = &spec.names;
        let bases = [
            names.base.to_owned(),
            String::new(),
            format!("language_model.{}", names.base),
            format!("{}language_model.", names.base),
        ];
        let there = |base: &&String| weights.contains(&format!("{base}{}.weight", names.embedding));
        let base = bases.iter().find(there).cloned().unwrap_or_else(|| names.base.to_owned());
        Self { weights, spec, base }
    }

    fn order(&self) -> Order {
        if self.spec.names.transposed { Order::Columns } else { Order::Rows }
    }

    /// Token vectors as a head would be packed.
    pub fn table(&self) -> Result<Linear> {
        let table = Matrix::new(format!("{}{}", self.base, self.spec.names.embedding), self.spec.vocab);
        self.weights.matrices(&[table], self.spec.hidden, false)
    }

    /// The head of a model that does not share its token vectors.
    pub fn head(&self) -> Result<Linear> {
        let head = Matrix::new(self.head_name(), self.spec.vocab);
        self.weights.matrices(&[head], self.spec.hidden, self.spec.head_bias)
    }

    fn head_name(&self) -> String {
        let within = self.base.strip_suffix(self.spec.names.base).unwrap_or_default();
        format!("{within}{}", self.spec.names.head)
    }

    /// The tensor of a head of its own, where the weights hold one that differs from the token vectors.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn separate_head(&self) -> Result<Option<String>> {
        let head = format!("{}.weight", self.head_name());
        let table = format!("{}{}.weight", self.base, self.spec.names.embedding);
        Ok((self.weights.contains(&head) && self.weights.differ(&head, &table)?).then_some(head))
    }

    /// Holds a head that is tied to the token vectors, and lies in the weights all the same, against what can be used.
    ///
    /// # Errors
    /// Its shape or type is another: it would differ from the token vectors, and be the one that counts.
    pub fn check_spare_head(&self) -> Result<()> {
        if self.weights.contains(&format!("{}.weight", self.head_name())) {
            let head = Matrix::new(self.head_name(), self.spec.vocab);
            self.weights.matrices(&[head], self.spec.hidden, false).map(drop)
        } else {
            Ok(())
        }
    }

    /// `[context, hidden]` position vectors.
    pub fn positions(&self) -> Result<Vec<f32>> {
        let name = format!("{}{}.weight", self.base, self.spec.names.positions);
        self.weights.table(&name, self.spec.context, self.spec.hidden)
    }

    /// The norm behind the last layer.
    pub fn last_norm(&self) -> Result<Norm> {
        self.norm(&format!("{}{}", self.base, self.spec.names.norm), self.spec.hidden, self.spec.norm)
    }

    fn norm(&self, name: &str, width: usize, spec: NormSpec) -> Result<Norm> {
        let mut weight =
            if spec.weight { self.weights.vector(&format!("{name}.weight"), width)? } else { vec![1.0; width] };
        weight.iter_mut().for_each(|w| *w += spec.offset);
        let bias = spec.bias.then(|| self.weights.vector(&format!("{name}.bias"), width)).transpose()?;
        Ok(Norm { kind: spec.kind, weight, bias, eps: spec.eps })
    }

    /// A layer.
    pub fn layer(&self, index: usize) -> Result<Layer> {
        let (spec, names) = (self.spec, &self.spec.names);
        let layer = &spec.layers[index];
        let below = format!("{}{}.{index}.", self.base, names.layers);
        let norm = |name: Option<&str>| {
            name.map(|name| self.norm(&format!("{below}{name}"), spec.hidden, spec.norm)).transpose()
        };
        let attention = spec.attention;
        let inner = attention.queries * attention.head_size;
        let output = Matrix { order: self.order(), ..Matrix::new(format!("{below}{}", names.output), spec.hidden) };
        let block = match &spec.experts {
            Some(experts) if layer.experts => Block::Experts(Experts::load(self.weights, spec, experts, &below)?),
            _ => Block::Dense(self.feed_forward(&below)?),
        };
        Ok(Layer {
            attention_norm: norm(names.attention_norm)?,
            query_key_value: self.query_key_value(&below)?,
            head_norms: [self.head_norm(&below, 0)?, self.head_norm(&below, 1)?],
            output: self.weights.matrices(&[output], inner, attention.output_bias)?,
            attention_post_norm: norm(names.attention_post_norm)?,
            feed_forward_norm: norm(names.feed_forward_norm)?,
            shares_norm: spec.parallel && names.feed_forward_norm.is_none(),
            block,
            feed_forward_post_norm: norm(names.feed_forward_post_norm)?,
            attention: spec.attention_shape(layer),
            rope: layer.rope,
        })
    }

    fn query_key_value(&self, below: &str) -> Result<Linear> {
        let attention = &self.spec.attention;
        let (queries, keys) = (attention.queries * attention.head_size, attention.keys * attention.head_size);
        let matrix = |name: &str, outputs: usize| Matrix {
            order: self.order(),
            ..Matrix::new(format!("{below}{name}"), outputs)
        };
        let parts = match self.spec.names.query_key_value {
            Projections::Separate([q, k, v]) => vec![matrix(q, queries), matrix(k, keys), matrix(v, keys)],
            Projections::Fused(name) => vec![matrix(name, queries + 2 * keys)],
            Projections::ByHead(name) => {
                vec![Matrix { order: Order::ByHead(attention.queries), ..matrix(name, queries + 2 * keys) }]
            }
        };
        self.weights.matrices(&parts, self.spec.hidden, attention.query_key_value_bias)
    }

    fn head_norm(&self, below: &str, side: usize) -> Result<HeadNorm> {
        let (spec, attention) = (self.spec, &self.spec.attention);
        let name = format!("{below}{}", spec.names.head_norms[side]);
        let heads = if side == 0 { attention.queries } else { attention.keys };
        let bare = NormSpec { bias: false, ..spec.norm };
        match attention.head_norms {
            HeadNorms::Absent => Ok(HeadNorm::Each(Vec::new())),
            HeadNorms::Shared => Ok(HeadNorm::Each(vec![self.norm(&name, attention.head_size, spec.norm)?])),
            HeadNorms::PerHead => {
                let norm = |head| self.norm(&format!("{name}.norms.{head}"), attention.head_size, bare);
                Ok(HeadNorm::Each((0..heads).map(norm).collect::<Result<_>>()?))
            }
            HeadNorms::Whole => Ok(HeadNorm::Whole(self.norm(&name, heads * attention.head_size, spec.norm)?)),
        }
    }

    fn feed_forward(&self, below: &str) -> Result<FeedForward> {
        let (spec, names) = (self.spec.feed_forward, &self.spec.names);
        let width = if spec.gated { 2 * spec.intermediate } else { spec.intermediate };
        let matrix = |name: &&str, outputs: usize| Matrix {
            order: self.order(),
            ..Matrix::new(format!("{below}{name}"), outputs)
        };
        let up: Vec<Matrix> = names.up.iter().map(|name| matrix(name, width / names.up.len())).collect();
        let up = self.weights.matrices(&up, self.spec.hidden, spec.bias)?;
        let down = self.weights.matrices(&[matrix(&names.down, self.spec.hidden)], spec.intermediate, spec.bias)?;
        Ok(FeedForward::new(up, down, spec))
    }
}
