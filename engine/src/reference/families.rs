//! Decoders of candle-transformers behind one trait.
//!
//! Not here, because candle-transformers 0.11.1 does not compute them as transformers does: Gemma 3 (stops at a tensor that is
//! not contiguous), Granite (has no multipliers), Mixtral (its published models need rotary options that it does not read) and
//! SmolLM3, GPT-2 and GPT-NeoX, which it does not have.

use candle_core::{DType, Device, Error, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models as candle;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::models::families::{Config, DECODERS};

/// A decoder with the keys and values of one sequence.
pub(super) trait Model: Send {
    /// Forgets the sequence.
    fn clear(&mut self);

    /// The logits behind the last of these tokens, `[1, tokens]`, which come after `start` others that it was given before.
    fn forward(&mut self, tokens: &Tensor, start: usize) -> Result<Tensor>;
}

/// A model of a configuration and weights.
type Load = fn(Value, VarBuilder<'_>) -> Result<Box<dyn Model>>;

/// A family of candle-transformers.
pub(super) struct Family {
    /// What configurations call it.
    pub model_type: &'static str,
    /// Its model.
    pub load: Load,
    /// The kind of scaled rotary frequencies that it knows.
    pub scaling: Option<&'static str>,
    /// Whether it masks what is out of a window; only when it computes a sequence as a whole.
    pub windows: bool,
    /// Whether it keeps keys and values.
    pub caches: bool,
}

/// One that keeps keys and values, and knows neither scaled frequencies nor windows.
const fn plain(model_type: &'static str, load: Load) -> Family {
    Family { model_type, load, scaling: None, windows: false, caches: true }
}

/// All of them, by model type.
pub(super) const FAMILIES: [Family; 16] = [
    plain("gemma", |c, w| boxed(candle::gemma::Model::new(false, &read(c)?, w))),
    plain("gemma2", |c, w| boxed(candle::gemma2::Model::new(false, &read(c)?, w))),
    plain("glm4", |c, w| boxed(candle::glm4_new::ModelForCausalLM::new(&read(c)?, w))),
    plain("helium", |c, w| boxed(candle::helium::Model::new(&read(c)?, w))),
    Family { scaling: Some("llama3"), ..plain("llama", |c, w| boxed(Llama::new(c, w))) },
    Family { windows: true, ..plain("mistral", |c, w| boxed(candle::mistral::Model::new(&read(c)?, w))) },
    plain("olmo", |c, w| boxed(candle::olmo::Model::new(&read(c)?, w))),
    plain("olmo2", |c, w| boxed(candle::olmo2::Model::new(&read(c)?, w))),
    plain("phi", |c, w| boxed(candle::phi::Model::new(&read(c)?, w).map(Phi))),
    plain("phi3", |c, w| boxed(candle::phi3::Model::new(&read(c)?, w))),
    plain("qwen2", |c, w| boxed(candle::qwen2::ModelForCausalLM::new(&read(c)?, w))),
    plain("qwen2_moe", |c, w| boxed(candle::qwen2_moe::Model::new(&read(c)?, w))),
    plain("qwen3", |c, w| boxed(candle::qwen3::ModelForCausalLM::new(&read(c)?, w))),
    plain("qwen3_moe", |c, w| boxed(candle::qwen3_moe::ModelForCausalLM::new(&read(c)?, w))),
    Family {
        caches: false,
        ..plain("stablelm", |c, w| boxed(candle::stable_lm::Model::new(&read(c)?, w).map(StableLm)))
    },
    Family { windows: true, ..plain("starcoder2", |c, w| boxed(candle::starcoder2::Model::new(&read(c)?, w))) },
];

/// Whether the engine's own backend does not know a configuration's family, and this one does.
pub(crate) fn is_only_here(config: &Config) -> bool {
    let here = |name: &str| FAMILIES.iter().any(|family| family.model_type == name);
    config.model_type().is_ok_and(|name| !DECODERS.contains(&name) && here(name))
}

/// A configuration as candle-transformers reads it.
fn read<C: DeserializeOwned>(config: Value) -> Result<C> {
    serde_json::from_value(config).map_err(Error::wrap)
}

fn boxed<M: Model + 'static>(model: Result<M>) -> Result<Box<dyn Model>> {
    Ok(Box::new(model?))
}

macro_rules! caching {
    ($($model:ty),*) => {
        $(impl Model for $model {
            fn clear(&mut self) {
                self.clear_kv_cache();
            }

            fn forward(&mut self, tokens: &Tensor, start: usize) -> Result<Tensor> {
                self.forward(tokens, start)
            }
        })*
    };
}

caching!(
    candle::gemma::Model,
    candle::gemma2::Model,
    candle::glm4_new::ModelForCausalLM,
    candle::helium::Model,
    candle::mistral::Model,
    candle::olmo::Model,
    candle::olmo2::Model,
    candle::phi3::Model,
    candle::qwen2::ModelForCausalLM,
    candle::qwen2_moe::Model,
    candle::qwen3::ModelForCausalLM,
    candle::qwen3_moe::ModelForCausalLM,
    candle::starcoder2::Model
);

/// Keys and values stand beside the model.
struct Llama {
    model: candle::llama::Llama,
    empty: candle::llama::Cache,
    cache: candle::llama::Cache,
}

impl Llama {
    fn new(config: Value, weights: VarBuilder<'_>) -> Result<Self> {
        let config = read::<candle::llama::LlamaConfig>(config)?.into_config(false);
        let empty = candle::llama::Cache::new(true, DType::F32, &config, &Device::Cpu)?;
        Ok(Self { model: candle::llama::Llama::load(weights, &config)?, cache: empty.clone(), empty })
    }
}

impl Model for Llama {
    fn clear(&mut self) {
        self.cache = self.empty.clone();
    }

    fn forward(&mut self, tokens: &Tensor, start: usize) -> Result<Tensor> {
        self.model.forward(tokens, start, &mut self.cache)
    }
}

/// Counts the tokens itself.
struct Phi(candle::phi::Model);

impl Model for Phi {
    fn clear(&mut self) {
        self.0.clear_kv_cache();
    }

    fn forward(&mut self, tokens: &Tensor, _start: usize) -> Result<Tensor> {
        self.0.forward(tokens)
    }
}

/// Has keys and values and no way to forget them: its configuration turns them off.
struct StableLm(candle::stable_lm::Model);

impl Model for StableLm {
    fn clear(&mut self) {}

    fn forward(&mut self, tokens: &Tensor, start: usize) -> Result<Tensor> {
        self.0.forward(tokens, start)
    }
}
