//! Rotary embeddings from both spellings of the options.

use serde_json::Value;

use super::Config;
use crate::cpu::rotary::{Rope, Scaling};
use crate::error::{Error, Result, nearest};

const KINDS: [&str; 6] = ["default", "linear", "dynamic", "llama3", "yarn", "longrope"];

/// What a family does where its configuration says nothing, and how older ones spell it.
#[derive(Clone, Copy)]
pub struct Defaults {
    /// Base of the frequencies.
    pub theta: f64,
    /// Share of each head that turns.
    pub share: f64,
    /// Keys of the base.
    pub theta_key: &'static str,
    /// Key of the share.
    pub share_key: &'static str,
}

impl Defaults {
    /// The usual keys.
    pub const fn theta(theta: f64) -> Self {
        Self { theta, share: 1.0, theta_key: "rope_theta", share_key: "partial_rotary_factor" }
    }
}

/// The rotary embedding of a configuration: `rope_parameters`, or `rope_theta` and `rope_scaling`.
///
/// # Errors
/// The kind is not supported or one of its numbers is missing.
pub fn read(config: &Config, head_size: usize, defaults: Defaults) -> Result<Rope> {
    Options { config, own: options(config), defaults }.rope(head_size)
}

/// The rotary embedding of one layer type, where `rope_parameters` tells them apart; `scaled` says whether the older
/// spelling's `rope_scaling` is this type's.
///
/// # Errors
/// As for [`read`].
pub fn read_layer_type(
    config: &Config,
    kind: &str,
    scaled: bool,
    head_size: usize,
    defaults: Defaults,
) -> Result<Rope> {
    let own = match config.get("rope_parameters").and_then(|all| all.get(kind)) {
        Some(own) => Some(own),
        None if scaled => options(config),
        None => None,
    };
    Options { config, own, defaults }.rope(head_size)
}

fn options(config: &Config) -> Option<&Value> {
    config.get("rope_parameters").or_else(|| config.get("rope_scaling"))
}

struct Options<'a> {
    config: &'a Config,
    own: Option<&'a Value>,
    defaults: Defaults,
}

impl Options<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.own.and_then(|own| own.get(key)).filter(|value| !value.is_null())
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.value(key).and_then(Value::as_f64)
    }

    fn missing(&self, key: &str) -> Error {
        Error::input(format!("the RoPE scaling has no `{key}`")).at(self.config.path())
    }

    fn need(&self, key: &str) -> Result<f64> {
        self.number(key).ok_or_else(|| self.missing(key))
    }

    fn list(&self, key: &str, len: usize) -> Result<Vec<f64>> {
        let list = self.value(key).and_then(Value::as_array).ok_or_else(|| self.missing(key))?;
        let numbers: Vec<f64> = list.iter().filter_map(Value::as_f64).filter(|x| *x > 0.0).collect();
        if numbers.len() != len || list.len() != len {
            return Err(Error::input(format!("`{key}` of the RoPE scaling does not hold {len} factors above zero"))
                .at(self.config.path()));
        }
        Ok(numbers)
    }

    /// The length that the model was trained at, before any scaling.
    fn original(&self) -> Result<usize> {
        let told = match self.number("original_max_position_embeddings") {
            Some(told) => told as usize,
            None => match self.config.optional_count("original_max_position_embeddings")? {
                Some(told) => told,
                None => self.config.count("max_position_embeddings")?,
            },
        };
        match told {
            2.. => Ok(told),
            _ => Err(self.missing("original_max_position_embeddings")),
        }
    }

    fn rope(&self, head_size: usize) -> Result<Rope> {
        let defaults = self.defaults;
        let theta = match self.number("rope_theta") {
            Some(theta) => theta,
            None => self.config.number_or(defaults.theta_key, defaults.theta)?,
        };
        let text = |key: &str| self.value(key).and_then(Value::as_str);
        let kind = text("rope_type").or_else(|| text("type")).unwrap_or("default");
        // Some models rotate only the first part of each head.
        let share = match self.number("partial_rotary_factor") {
            Some(share) => share,
            None => self.config.number_or(defaults.share_key, defaults.share)?,
        };
        let rotated = (head_size as f64 * share) as usize;
        let known = share > 0.0 && share <= 1.0 && theta > 0.0;
        if !known {
            let what = format!(
                "RoPE over a share of {share} of heads of size {head_size} by powers of {theta} is not possible"
            );
            return Err(Error::input(what).at(self.config.path()));
        }
        // An odd number of values turns one more, at speeds of the odd number, as in transformers.
        let plain = (0..rotated.div_ceil(2)).map(|i| libm::pow(theta, -((2 * i) as f64) / rotated as f64));
        match kind {
            "default" => Ok(Rope::fixed(plain.collect())),
            "linear" => {
                let factor = self.need("factor")?;
                Ok(Rope::fixed(plain.map(|f| f / factor).collect()))
            }
            "llama3" => Ok(Rope::fixed(self.llama3(plain)?)),
            // As ggml stores Llama 3's and others': what each speed is divided by.
            "gguf_factors" => {
                let plain: Vec<f64> = plain.collect();
                let factors = self.list("factors", plain.len())?;
                Ok(Rope::fixed(plain.iter().zip(factors).map(|(f, factor)| f / factor).collect()))
            }
            "dynamic" => {
                let (factor, original) = (self.need("factor")?, self.config.count("max_position_embeddings")?);
                if rotated <= 2 {
                    return Err(Error::input("the rotation of a single pair cannot be scaled").at(self.config.path()));
                }
                let scaling = Scaling::Dynamic { original, theta, factor, size: rotated };
                Ok(Rope { inverse_frequencies: plain.collect(), factor: 1.0, scaling })
            }
            "yarn" if text("type") != Some("yarn") || self.value("short_factor").is_none() => {
                self.yarn(plain.collect(), theta)
            }
            // Phi-3's first files call it so.
            "longrope" | "su" | "yarn" => self.long(plain.collect()),
            other => Err(Error::input(format!("RoPE scaling `{other}` is not supported"))
                .at(self.config.path())
                .with_hint(nearest(other, KINDS))),
        }
    }

    /// transformers' `_compute_llama3_parameters`: long waves are slowed by the factor, short ones kept, those between are
    /// blended.
    fn llama3(&self, plain: impl Iterator<Item = f64>) -> Result<Vec<f64>> {
        let (factor, original) = (self.need("factor")?, self.need("original_max_position_embeddings")?);
        let (low, high) = (self.need("low_freq_factor")?, self.need("high_freq_factor")?);
        let blended = plain.map(|f| {
            let wave = 2.0 * std::f64::consts::PI / f;
            if wave < original / high {
                f
            } else if wave > original / low {
                f / factor
            } else {
                let smooth = (original / wave - low) / (high - low);
                (1.0 - smooth) * f / factor + smooth * f
            }
        });
        Ok(blended.collect())
    }

    /// YaRN (Peng et al., 2023) as transformers' `_compute_yarn_parameters` has it.
    fn yarn(&self, plain: Vec<f64>, theta: f64) -> Result<Rope> {
        let original = self.original()? as f64;
        let factor = match self.number("factor") {
            Some(factor) => factor,
            None => self.config.count("max_position_embeddings")? as f64 / original,
        };
        let scale = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * libm::log(factor) + 1.0 };
        let set = |key: &str| self.number(key).filter(|x| *x != 0.0);
        let attention = match (self.number("attention_factor"), set("mscale"), set("mscale_all_dim")) {
            (Some(told), _, _) => told,
            (None, Some(one), Some(all)) => scale(one) / scale(all),
            _ => scale(1.0),
        };
        let size = 2.0 * plain.len() as f64;
        // The pair that turns so often within the original length.
        let pair =
            |turns: f64| size * libm::log(original / (turns * 2.0 * std::f64::consts::PI)) / (2.0 * libm::log(theta));
        let (mut low, mut high) = (pair(set("beta_fast").unwrap_or(32.0)), pair(set("beta_slow").unwrap_or(1.0)));
        if self.value("truncate").and_then(Value::as_bool).unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, mut high) = (low.max(0.0), high.min(size - 1.0));
        if low == high {
            high += 0.001;
        }
        let speeds = plain.iter().enumerate().map(|(i, f)| {
            let slowed = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            f / factor * slowed + f * (1.0 - slowed)
        });
        Ok(Rope { inverse_frequencies: speeds.collect(), factor: attention, scaling: Scaling::Fixed })
    }

    /// LongRoPE (Ding et al., 2024) as transformers' `_compute_longrope_parameters` has it.
    fn long(&self, plain: Vec<f64>) -> Result<Rope> {
        let original = self.original()?;
        let factor = match self.number("factor") {
            Some(factor) => factor,
            None => self.config.count("max_position_embeddings")? as f64 / original as f64,
        };
        let attention = match self.number("attention_factor") {
            Some(told) => told,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + libm::log(factor) / libm::log(original as f64)).sqrt(),
        };
        let scaled = |key: &str| -> Result<Vec<f64>> {
            let factors = self.list(key, plain.len())?;
            Ok(plain.iter().zip(factors).map(|(f, factor)| f / factor).collect())
        };
        let scaling = Scaling::Long { original, inverse_frequencies: scaled("long_factor")? };
        Ok(Rope { inverse_frequencies: scaled("short_factor")?, factor: attention, scaling })
    }
}
