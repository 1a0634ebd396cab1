//! A mixture of experts: a router chooses feed-forward blocks for every token (Shazeer et al., 2017; Fedus et al., 2021).
//!
//! Tokens are grouped by expert, each group goes through its expert's products at once, and a token adds what its experts
//! say in ascending order of their numbers. Products are batch-invariant, so one token alone with an
//! expert gets what it would get among many. Ties of the router go to the lowest number.

use super::feed_forward::FeedForward;
use super::linear::Linear;
use super::rows::Rows;
use super::simd::{self, Kernel, Lanes};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, ExpertsSpec, FeedForwardSpec};
use crate::models::weights::{Checkpoint, Matrix, Order};

/// The experts of a layer.
pub struct Experts {
    pub(crate) router: Linear,
    pub(crate) experts: Vec<FeedForward>,
    /// A block that every token takes, and its gate.
    pub(crate) shared: Option<(FeedForward, Linear)>,
    pub(crate) chosen: usize,
    pub(crate) normalised: bool,
}

impl Experts {
    /// Loads the experts below a layer's name, stored one by one or stacked (`gate_up_proj` and `down_proj`, or the three
    /// parts, of `[experts, outputs, inputs]`).
    ///
    /// # Errors
    /// Weights that are missing or do not fit.
    pub fn load(weights: &Checkpoint, spec: &DecoderSpec, experts: &ExpertsSpec, below: &str) -> Result<Self> {
        let names = &spec.names.experts;
        let router =
            weights.matrices(&[Matrix::new(format!("{below}{}", names.router), experts.count)], spec.hidden, false)?;
        let stack = format!("{below}{}", names.experts);
        let block =
            FeedForwardSpec { intermediate: experts.intermediate, gated: true, bias: false, ..spec.feed_forward };
        let [gate, up, down] = names.parts;
        let width = experts.intermediate;
        let load = |number: usize| {
            let slice = Order::Slice { number, of: experts.count };
            let stacked =
                |name: &str, outputs: usize| Matrix { order: slice, ..Matrix::new(format!("{stack}.{name}"), outputs) };
            let single = |name: &str, outputs: usize| Matrix::new(format!("{stack}.{number}.{name}"), outputs);
            let (ups, down) = if weights.contains(&format!("{stack}.{number}.{gate}.weight")) {
                (vec![single(gate, width), single(up, width)], single(down, spec.hidden))
            } else if weights.contains(&format!("{stack}.{gate}.weight")) {
                (vec![stacked(gate, width), stacked(up, width)], stacked(down, spec.hidden))
            } else {
                (vec![stacked("gate_up_proj", 2 * width)], stacked("down_proj", spec.hidden))
            };
            let (up, down) = (weights.matrices(&ups, spec.hidden, false)?, weights.matrices(&[down], width, false)?);
            Ok(FeedForward::new(up, down, block))
        };
        let blocks = (0..experts.count).map(load).collect::<Result<_>>()?;
        let shared = experts.shared.map(|width| {
            let name = |part: &str| format!("{below}mlp.shared_expert.{part}");
            let ups = [Matrix::new(name(gate), width), Matrix::new(name(up), width)];
            let up = weights.matrices(&ups, spec.hidden, false)?;
            let down = weights.matrices(&[Matrix::new(name(down), spec.hidden)], width, false)?;
            let gate = Matrix::new(format!("{below}mlp.shared_expert_gate"), 1);
            let block = FeedForward::new(up, down, FeedForwardSpec { intermediate: width, ..block });
            Ok((block, weights.matrices(&[gate], spec.hidden, false)?))
        });
        let (chosen, normalised) = (experts.chosen, experts.normalised);
        Ok(Self { router, experts: blocks, shared: shared.transpose()?, chosen, normalised })
    }

    /// `[tokens, hidden]` -> `[tokens, hidden]`.
    pub fn forward(&self, x: &Rows) -> Rows {
        let width = x.columns();
        // Tokens of each expert with their weights, in ascending order.
        let mut groups: Vec<Vec<(usize, f32)>> = vec![Vec::new(); self.experts.len()];
        for (token, logits) in self.router.forward(x).iter().enumerate() {
            for (expert, weight) in route(logits, self.chosen, self.normalised) {
                groups[expert].push((token, weight));
            }
        }
        let mut out = Rows::zeros(x.rows(), width);
        for (expert, group) in self.experts.iter().zip(&groups).filter(|(_, group)| !group.is_empty()) {
            let rows: Vec<usize> = group.iter().map(|(token, _)| *token).collect();
            let y = expert.forward(&x.gather(&rows));
            for ((token, weight), row) in group.iter().zip(y.iter()) {
                simd::dispatch(AddScaled { to: &mut out.values_mut()[token * width..][..width], row, weight: *weight });
            }
        }
        if let Some((block, gate)) = &self.shared {
            let (y, gates) = (block.forward(x), gate.forward(x));
            for ((to, row), gate) in out.iter_mut().zip(y.iter()).zip(gates.values()) {
                let weight = (1.0 / (1.0 + libm::exp(-f64::from(*gate)))) as f32;
                simd::dispatch(AddScaled { to, row, weight });
            }
        }
        out
    }
}

/// The experts of a token and their weights: the largest of the softmax over all.
pub(crate) fn route(logits: &[f32], chosen: usize, normalised: bool) -> Vec<(usize, f32)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    // Stable: equal logits stay in the order of their numbers, and zeros of both signs are equal.
    order.sort_by(|a, b| (logits[*b] + 0.0).total_cmp(&(logits[*a] + 0.0)));
    let highest = f64::from(logits[order[0]]);
    let weights: Vec<f64> = logits.iter().map(|x| libm::exp(f64::from(*x) - highest)).collect();
    order.truncate(chosen);
    let sum: f64 = if normalised {
        order.iter().fold(0.0, |sum, expert| sum + weights[*expert])
    } else {
        weights.iter().fold(0.0, |sum, weight| sum + weight)
    };
    order.into_iter().map(|expert| (expert, (weights[expert] / sum) as f32)).collect()
}

/// `to += weight · row`.
pub(crate) struct AddScaled<'a> {
    pub to: &'a mut [f32],
    pub row: &'a [f32],
    pub weight: f32,
}

impl Kernel for AddScaled<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let weight = L::splat(self.weight);
        simd::map_row::<L>(
            self.to,
            0.0,
            #[inline(always)]
            |at, x| simd::load_padded::<L>(self.row, at, 0.0).fma(weight, x),
        );
    }
}
