//! What distinguishes encoder families, and what is loaded on top of an encoder.

use crate::cpu::activation::Activation;
use crate::cpu::relative::RelativeBias;
use crate::cpu::rotary::Rope;
use crate::request::Pooling;

/// What distinguishes encoder families.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderSpec {
    /// What the family calls its tensors.
    pub names: Names,
    /// Number of token ids.
    pub vocab: usize,
    /// Width of the word vectors; where it is not `hidden`, a product leads there.
    pub embedding: usize,
    /// Width of the token vectors.
    pub hidden: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Attention heads.
    pub heads: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Tokens of the longest text.
    pub positions: usize,
    /// Where positions come from, apart from `relative` and `rotations`.
    pub learned: Learned,
    /// Rows of the segment table; 0 without one.
    pub token_types: usize,
    /// Whether tokens choose their segments; else all are of the first.
    pub segments: bool,
    /// The window of each layer: a token sees half of it on either side.
    pub windows: Vec<Option<usize>>,
    /// Relative-position biases of the scores.
    pub relative: RelativeBias,
    /// Rotary frequencies of layers without and with a window.
    pub rotations: Option<[Rope; 2]>,
    /// Whether norms stand before attention and feed-forward block instead of after them. The first attention then takes the
    /// embeddings as they are, which were normed just before, and a norm ends the stack (ModernBERT).
    pub norms_before: bool,
    /// Epsilon of the layer norms.
    pub norm_eps: f32,
    /// Biases of the norms.
    pub norm_bias: bool,
    /// Biases of the attention's products.
    pub attention_bias: bool,
    /// Biases of the feed-forward block.
    pub feed_forward_bias: bool,
    /// Activation of the feed-forward block.
    pub activation: Activation,
    /// Whether the feed-forward block multiplies the activation with a gate.
    pub gated: bool,
    /// A convolution over the embeddings that the first layer's output is added to.
    pub convolution: Option<ConvolutionSpec>,
    /// How the family classifies.
    pub classifier: ClassifierSpec,
}

/// Learned position vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Learned {
    /// None.
    None,
    /// One per position.
    Counted,
    /// One per position, beginning after the row of the padding token; a padding token inside a text has that row and is not
    /// counted (RoBERTa's `create_position_ids_from_input_ids`).
    After(u32),
}

/// DeBERTa's `ConvLayer`.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvolutionSpec {
    /// Tokens that it covers, odd.
    pub kernel: usize,
    /// Groups of channels that do not mix.
    pub groups: usize,
    /// Activation.
    pub activation: Activation,
}

/// A sequence-classification head: pool, dense layer, activation, perhaps a norm, and the product that gives the logits.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierSpec {
    /// How tokens become one row.
    pub pooling: Pooling,
    /// Name of the dense layer.
    pub dense: &'static str,
    /// Whether it has a bias.
    pub dense_bias: bool,
    /// What follows it.
    pub activation: Activation,
    /// Name of the norm that follows.
    pub norm: Option<&'static str>,
    /// Name of the last product.
    pub output: &'static str,
}

impl EncoderSpec {
    /// Values per head.
    pub fn head_size(&self) -> usize {
        self.hidden / self.heads
    }

    /// Rows of the position table.
    pub(crate) fn position_rows(&self) -> usize {
        match self.learned {
            Learned::None => 0,
            Learned::Counted => self.positions,
            Learned::After(padding) => self.positions + padding as usize + 1,
        }
    }
}

/// What a family calls its tensors; those of a layer follow `layer.<index>.`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Names {
    /// Stands before the encoder's tensors in models with heads; bare encoders keep theirs at the top.
    pub prefix: &'static str,
    /// Word vectors.
    pub words: &'static str,
    /// Norm of the embeddings.
    pub embedding_norm: &'static str,
    /// The layers.
    pub layer: &'static str,
    /// Projections of queries, keys and values, or one of all three.
    pub query_key_value: &'static [&'static str],
    /// What follows attention.
    pub output: &'static str,
    /// Norm of the attention block.
    pub attention_norm: &'static str,
    /// First product of the feed-forward block.
    pub up: &'static str,
    /// Its second.
    pub down: &'static str,
    /// Its norm.
    pub feed_forward_norm: &'static str,
}

/// What to load on top of the encoder.
#[derive(Clone, Debug, PartialEq)]
pub enum HeadKind {
    /// One vector per text, and what is done to it.
    Pool(Pooling, Vec<StageSpec>),
    /// This many logits per text.
    Classify(usize),
}

/// A module of a sentence-transformers folder that works on pooled vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum StageSpec {
    /// `Dense`: the file of its weights, inputs and outputs, whether it has a bias, what follows it.
    Dense {
        /// File of its weights within the model's folder.
        weights: String,
        /// Width before.
        inputs: usize,
        /// Width after.
        outputs: usize,
        /// Whether it has a bias.
        bias: bool,
        /// What follows.
        activation: Option<Activation>,
    },
    /// `Normalize`.
    Normalize,
}
