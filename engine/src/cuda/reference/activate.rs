//! `activate.cu`. Its exp, tanh and erf are within two units in the last place of the right ones, which are here.

use super::numbers::Stored;
use crate::cpu::activation::Activation;

fn tanh(x: f32) -> f32 {
    libm::tanh(x.into()) as f32
}

/// The activation of a number.
pub fn activated(activation: Activation, x: f32) -> f32 {
    let half = x * 0.5;
    match activation {
        Activation::Silu => x / (1.0 + libm::exp(f64::from(-x)) as f32),
        Activation::Gelu => {
            let erf = libm::erf(f64::from(x * std::f32::consts::FRAC_1_SQRT_2)) as f32;
            erf.mul_add(half, half)
        }
        Activation::GeluTanh => tanh((x * x * x).mul_add(0.044_715, x) * 0.797_884_6).mul_add(half, half),
        Activation::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        Activation::Tanh => tanh(x),
    }
}

/// `activate` of a row.
pub fn activate<T: Stored>(x: &[T], activation: Activation, gated: bool) -> Vec<T> {
    let (gates, ups) = if gated { x.split_at(x.len() / 2) } else { (x, x) };
    let value = |(gate, up): (&T, &T)| {
        let value = activated(activation, gate.wide());
        T::narrow(if gated { value * up.wide() } else { value })
    };
    gates.iter().zip(ups).map(value).collect()
}

/// `cap_logits` of a row.
pub fn cap_logits(row: &mut [f32], scale: f32, cap: Option<f32>) {
    for x in row {
        *x *= scale;
        if let Some(cap) = cap {
            *x = tanh(*x / cap) * cap;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::activation::gated_row;
    use crate::cuda::reference::numbers::{assert_near, numbers};

    #[test]
    fn activations_are_those_of_the_cpu() {
        let x: Vec<f32> = numbers::<f32>(512, 5).iter().map(|x| 6.0 * x).collect();
        let all = [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu, Activation::Tanh];
        for activation in all {
            let mut right = vec![0.0; 256];
            gated_row(&x, &mut right, activation);
            let right: Vec<f64> = right.iter().map(|x| f64::from(*x)).collect();
            assert_near(&activate(&x, activation, true), &right, 200.0);
        }
    }

    #[test]
    fn logits_are_scaled_then_capped() {
        let mut row = [100.0, -0.5];
        cap_logits(&mut row, 2.0, Some(30.0));
        assert_near(&row, &[30.0 * (200.0f64 / 30.0).tanh(), 30.0 * (-1.0f64 / 30.0).tanh()], 4.0);
        cap_logits(&mut row[..1], 2.0, None);
        assert!(row[0] > 59.0);
    }
}
