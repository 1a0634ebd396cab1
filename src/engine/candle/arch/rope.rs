//! Rotary frequencies from both spellings of the options.

use serde_json::Value;

use super::Config;
use crate::error::{Error, Result, nearest};

const KINDS: [&str; 3] = ["default", "linear", "llama3"];

/// Inverse frequencies (`[rotated values / 2]`) of a configuration: `rope_parameters`, or `rope_theta` and `rope_scaling`.
///
/// # Errors
/// The kind is not supported or one of its numbers is missing.
pub fn inverse_frequencies(config: &Config, head_size: usize, default_theta: f64) -> Result<Vec<f64>> {
    let options = config.get("rope_parameters").or_else(|| config.get("rope_scaling"));
    let number = |key: &str| options.and_then(|o| o.get(key)).and_then(Value::as_f64);
    let need = |key: &str| {
        number(key).ok_or_else(|| Error::input(format!("find `{key}` in the rotary options")).at(config.path()))
    };
    let theta = match number("rope_theta") {
        Some(theta) => theta,
        None => config.number_or("rope_theta", default_theta)?,
    };
    let text = |key: &str| options.and_then(|o| o.get(key)).and_then(Value::as_str);
    let kind = text("rope_type").or_else(|| text("type")).unwrap_or("default");
    // Some models rotate only the first part of each head.
    let share = match number("partial_rotary_factor") {
        Some(share) => share,
        None => config.number_or("partial_rotary_factor", 1.0)?,
    };
    let rotated = (head_size as f64 * share) as usize;
    let known = share > 0.0 && share <= 1.0;
    if !known || !rotated.is_multiple_of(2) {
        return Err(Error::input(format!("rotate a share of {share} of heads of size {head_size}")).at(config.path()));
    }
    let plain = (0..rotated / 2).map(|i| libm::pow(theta, -((2 * i) as f64) / rotated as f64));
    match kind {
        "default" => Ok(plain.collect()),
        "linear" => {
            let factor = need("factor")?;
            Ok(plain.map(|f| f / factor).collect())
        }
        "llama3" => {
            let factor = need("factor")?;
            let (low, high) = (need("low_freq_factor")?, need("high_freq_factor")?);
            let original = need("original_max_position_embeddings")?;
            // transformers' `_compute_llama3_parameters`: long waves are slowed by the factor, short ones kept, those
            // between are blended.
            Ok(plain
                .map(|f| {
                    let wave = 2.0 * std::f64::consts::PI / f;
                    if wave < original / high {
                        f
                    } else if wave > original / low {
                        f / factor
                    } else {
                        let smooth = (original / wave - low) / (high - low);
                        (1.0 - smooth) * f / factor + smooth * f
                    }
                })
                .collect())
        }
        other => Err(Error::input(format!("use the rotary embedding `{other}`"))
            .at(config.path())
            .with_hint(nearest(other, KINDS))),
    }
}
