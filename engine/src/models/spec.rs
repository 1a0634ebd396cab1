//! What distinguishes decoder families: a specification, data only, that the one parametric decoder follows.
//!
//! Every family of `arch` maps its `config.json` to a [`DecoderSpec`]. There is no arithmetic here and nothing that names a
//! family.

use crate::cpu::activation::Activation;
use crate::cpu::attention::AttentionShape;
use crate::cpu::cache::CacheShape;
use crate::cpu::norm::NormKind;
use crate::cpu::rotary::Rope;
use crate::error::{Error, Result};
use crate::options::DtypeChoice;

/// What distinguishes decoder families.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// Number of token ids.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Longest sequence.
    pub context: usize,
    /// Factor of the token vectors.
    pub embedding_scale: f32,
    /// Whether a table of positions is added to the token vectors.
    pub positions: bool,
    /// The norms of the residual stream.
    pub norm: NormSpec,
    /// Attention.
    pub attention: AttentionSpec,
    /// The feed-forward block of layers without experts.
    pub feed_forward: FeedForwardSpec,
    /// The feed-forward block of layers with experts.
    pub experts: Option<ExpertsSpec>,
    /// Whether attention and feed-forward block read the same stream and are added to it together (GPT-J, GPT-NeoX).
    pub parallel: bool,
    /// Factor of what a block adds to the stream.
    pub residual_scale: f32,
    /// Rotary embeddings that layers refer to.
    pub ropes: Vec<Rope>,
    /// The layers.
    pub layers: Vec<LayerSpec>,
    /// Factor of the logits.
    pub logit_scale: f32,
    /// Logits are `cap · tanh(logit / cap)`.
    pub logit_soft_cap: Option<f32>,
    /// The head shares the embedding table.
    pub tied: bool,
    /// Bias on the head.
    pub head_bias: bool,
    /// What the tensors are called.
    pub names: Names,
}

/// A norm with its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NormSpec {
    /// Which one.
    pub kind: NormKind,
    /// Added to the variance.
    pub eps: f32,
    /// Added to the stored weights (1 where they are stored as distances from 1).
    pub offset: f32,
    /// Whether it has a weight.
    pub weight: bool,
    /// Whether it has a bias.
    pub bias: bool,
}

impl NormSpec {
    /// RMSNorm as Llama has it.
    pub fn rms(eps: f64) -> Self {
        Self { kind: NormKind::Rms, eps: eps as f32, offset: 0.0, weight: true, bias: false }
    }

    /// LayerNorm with weight and bias.
    pub fn layer(eps: f64) -> Self {
        Self { kind: NormKind::Layer, eps: eps as f32, offset: 0.0, weight: true, bias: true }
    }
}

/// Norms of queries and keys before the rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadNorms {
    /// None.
    Absent,
    /// Every head by itself, all with the same weights.
    Shared,
    /// Every head by itself, each with its own weights and without a bias (`norms.<head>`).
    PerHead,
    /// All heads together as one row.
    Whole,
}

/// Attention of all layers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttentionSpec {
    /// Query heads.
    pub queries: usize,
    /// Key/value heads.
    pub keys: usize,
    /// Values per head.
    pub head_size: usize,
    /// Factor of the scores.
    pub scale: f32,
    /// Scores are `cap · tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// Biases on q, k and v.
    pub query_key_value_bias: bool,
    /// Bias on the output projection.
    pub output_bias: bool,
    /// Norms of queries and keys.
    pub head_norms: HeadNorms,
}

impl AttentionSpec {
    /// Scores scaled by 1/√size; no biases, norms or caps.
    pub fn new(queries: usize, keys: usize, head_size: usize) -> Self {
        Self {
            queries,
            keys,
            head_size,
            scale: (1.0 / (head_size as f64).sqrt()) as f32,
            soft_cap: None,
            query_key_value_bias: false,
            output_bias: false,
            head_norms: HeadNorms::Absent,
        }
    }
}

/// A feed-forward block: `down(act(gate(x)) · up(x))`, or `down(act(up(x)))`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeedForwardSpec {
    /// Width inside.
    pub intermediate: usize,
    /// Activation.
    pub activation: Activation,
    /// Whether it has a gate.
    pub gated: bool,
    /// Whether it has biases.
    pub bias: bool,
}

/// A mixture of experts: gated feed-forward blocks of which each token takes a few (Shazeer et al., 2017).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertsSpec {
    /// Experts of a layer.
    pub count: usize,
    /// Experts of a token.
    pub chosen: usize,
    /// Width inside an expert.
    pub intermediate: usize,
    /// Whether the weights of the chosen ones are scaled to add up to one.
    pub normalised: bool,
    /// Width of a feed-forward block that every token takes beside them, behind a sigmoid gate (Qwen2-MoE).
    pub shared: Option<usize>,
}

/// What may differ from layer to layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// A token sees itself and the `window - 1` tokens before it.
    pub window: Option<usize>,
    /// Which of the rotary embeddings turns queries and keys.
    pub rope: Option<usize>,
    /// Whether its feed-forward block is a mixture of experts.
    pub experts: bool,
}

/// How the projections of queries, keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projections {
    /// One tensor each.
    Separate([&'static str; 3]),
    /// One tensor: all queries, all keys, all values.
    Fused(&'static str),
    /// One tensor: query, key and value of each head in turn.
    ByHead(&'static str),
}

/// Names of tensors: the first few below the model, the others below a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// What stands before all of them but the head; left out in checkpoints of the bare model.
    pub base: &'static str,
    /// Token vectors.
    pub embedding: &'static str,
    /// Position vectors.
    pub positions: &'static str,
    /// Layers, before their number.
    pub layers: &'static str,
    /// Norm before attention.
    pub attention_norm: Option<&'static str>,
    /// Norm of what attention adds.
    pub attention_post_norm: Option<&'static str>,
    /// Projections.
    pub query_key_value: Projections,
    /// Norms of queries and keys.
    pub head_norms: [&'static str; 2],
    /// Output projection.
    pub output: &'static str,
    /// Norm before the feed-forward block. Where both blocks run in parallel and this is absent, both read attention's.
    pub feed_forward_norm: Option<&'static str>,
    /// Norm of what the feed-forward block adds.
    pub feed_forward_post_norm: Option<&'static str>,
    /// Gate and up in the order of the product, one tensor or two; up alone where there is no gate.
    pub up: &'static [&'static str],
    /// Down.
    pub down: &'static str,
    /// The router of experts, and their block with the names of its parts.
    pub experts: ExpertNames,
    /// The last norm.
    pub norm: &'static str,
    /// The head.
    pub head: &'static str,
    /// Whether matrices lie input by input (`Conv1D` of GPT-2).
    pub transposed: bool,
}

/// Names of a mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpertNames {
    /// The router.
    pub router: &'static str,
    /// Before an expert's number.
    pub experts: &'static str,
    /// Gate, up, down below an expert.
    pub parts: [&'static str; 3],
}

/// Names of Llama's tensors, which most families share.
pub const LLAMA_NAMES: Names = Names {
    base: "model.",
    embedding: "embed_tokens",
    positions: "",
    layers: "layers",
    attention_norm: Some("input_layernorm"),
    attention_post_norm: None,
    query_key_value: Projections::Separate(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    head_norms: ["self_attn.q_norm", "self_attn.k_norm"],
    output: "self_attn.o_proj",
    feed_forward_norm: Some("post_attention_layernorm"),
    feed_forward_post_norm: None,
    up: &["mlp.gate_proj", "mlp.up_proj"],
    down: "mlp.down_proj",
    experts: ExpertNames { router: "mlp.gate", experts: "mlp.experts", parts: ["gate_proj", "up_proj", "down_proj"] },
    norm: "norm",
    head: "lm_head",
    transposed: false,
};

impl DecoderSpec {
    /// Checks what the arithmetic relies on.
    ///
    /// # Errors
    /// Counts that are zero or do not divide.
    pub fn check(&self) -> Result<()> {
        let AttentionSpec { queries, keys, head_size, .. } = self.attention;
        let counts = [
            ("vocab_size", self.vocab),
            ("hidden_size", self.hidden),
            ("intermediate_size", self.feed_forward.intermediate),
            ("max_position_embeddings", self.context),
            ("num_hidden_layers", self.layers.len()),
            ("num_attention_heads", queries),
            ("num_key_value_heads", keys),
            ("head_dim", head_size),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::input(format!("`{name}` of the model is zero")));
        }
        if !queries.is_multiple_of(keys) {
            return Err(Error::input(format!("{queries} query heads are not a multiple of {keys} key heads")));
        }
        if matches!(self.names.query_key_value, Projections::ByHead(_)) && queries != keys {
            return Err(Error::input("projections that are stored head by head need as many key heads as query heads"));
        }
        if self.ropes.iter().any(|rope| 2 * rope.pairs() > head_size) {
            return Err(Error::input(format!("RoPE rotates more than the {head_size} values of a head")));
        }
        if self.tied && self.head_bias {
            return Err(Error::input("a head with a bias cannot share the token vectors"));
        }
        if self.layers.iter().any(|layer| layer.window == Some(0)) {
            return Err(Error::input("the sliding window is zero tokens"));
        }
        let Some(experts) = &self.experts else { return Ok(()) };
        let some = experts.count > 0 && experts.intermediate > 0;
        if !some || experts.chosen == 0 || experts.chosen > experts.count {
            return Err(Error::input(format!("the model chooses {} of {} experts", experts.chosen, experts.count)));
        }
        Ok(())
    }

    /// Heads and sizes of the KV cache.
    pub fn cache_shape(&self, dtype: DtypeChoice) -> CacheShape {
        let bf16 = dtype == DtypeChoice::Bf16;
        CacheShape { bf16, layers: self.layers.len(), heads: self.attention.keys, size: self.attention.head_size }
    }

    /// Heads, sizes and masks of a layer's attention.
    pub fn attention_shape(&self, layer: &LayerSpec) -> AttentionShape {
        let AttentionSpec { queries, keys, head_size: size, scale, soft_cap, .. } = self.attention;
        AttentionShape { queries, keys, size, scale, soft_cap, window: layer.window }
    }

    /// What the rotation of a sequence of at most `length` tokens depends on; sequences that differ in it share nothing.
    pub fn rotation(&self, length: usize) -> usize {
        self.ropes.iter().map(|rope| rope.rotation(length)).max().unwrap_or(0)
    }
}
