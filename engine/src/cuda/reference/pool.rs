//! `pool.cu`.

use crate::request::Pooling;

/// `pool` of the rows of one text.
pub fn pool(rows: &[f32], width: usize, skipped: usize, pooling: Pooling) -> Vec<f32> {
    let tokens = rows.len() / width;
    (0..width)
        .map(|column| one(&|token| rows[token * width + column], (tokens, skipped.min(tokens)), pooling))
        .collect()
}

fn one(x: &dyn Fn(usize) -> f32, (tokens, skipped): (usize, usize), pooling: Pooling) -> f32 {
    match pooling {
        Pooling::Cls => return x(0),
        Pooling::Last => return x(tokens - 1),
        _ if skipped == tokens => return 0.0,
        _ => {}
    }
    let counted =
        |token: usize| if pooling == Pooling::WeightedMean { x(token) * (token + 1) as f32 } else { x(token) };
    let join = |a: f32, b: f32| match pooling {
        Pooling::Max => {
            if b <= a {
                a
            } else {
                b
            }
        }
        _ => a + b,
    };
    let result = (skipped + 1..tokens).fold(counted(skipped), |result, token| join(result, counted(token)));
    let count = (tokens - skipped) as f32;
    match pooling {
        Pooling::Mean => result / count,
        Pooling::MeanSqrtLen => result / count.sqrt(),
        Pooling::WeightedMean => result / ((tokens - skipped) * (skipped + 1 + tokens) / 2) as f32,
        _ => result,
    }
}

/// All of them.
pub const POOLINGS: [Pooling; 6] =
    [Pooling::Mean, Pooling::Cls, Pooling::Last, Pooling::Max, Pooling::MeanSqrtLen, Pooling::WeightedMean];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Rows, pooling};
    use crate::cuda::reference::numbers::numbers;

    #[test]
    fn pooling_has_the_bits_of_the_cpu() {
        let (width, tokens) = (19, 23);
        let x = numbers::<f32>(width * tokens, 8);
        for how in POOLINGS {
            for skipped in [0, 1, 22, 23, 40] {
                let right = pooling::pool(&Rows::new(x.clone(), width), &[tokens], &[skipped], how);
                assert_eq!(pool(&x, width, skipped, how), right[0], "{how:?}");
            }
        }
    }
}
