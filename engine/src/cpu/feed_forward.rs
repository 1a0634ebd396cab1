//! A feed-forward block: a product, an activation, perhaps gated, and a product.

use super::activation;
use super::linear::Linear;
use super::norm::Norm;
use super::rows::Rows;
use crate::models::spec::FeedForwardSpec;

/// A feed-forward block with its weights.
pub struct FeedForward {
    pub(crate) up: Linear,
    pub(crate) down: Linear,
    pub(crate) spec: FeedForwardSpec,
}

impl FeedForward {
    pub(crate) fn new(up: Linear, down: Linear, spec: FeedForwardSpec) -> Self {
        Self { up, down, spec }
    }

    /// The product that goes into the activation, of rows that `norm` prepares.
    pub fn inner(&self, x: &Rows, norm: Option<&Norm>) -> Rows {
        normed(&self.up, x, norm)
    }

    fn activate(&self, x: &[f32], to: &mut [f32]) {
        if self.spec.gated {
            activation::gated_row(x, to, self.spec.activation)
        } else {
            activation::activate_row(x, to, self.spec.activation)
        }
    }

    /// What comes out of the block, of what goes into the activation.
    pub fn outer(&self, inner: &Rows) -> Rows {
        self.down.forward_made(inner, |x, to| self.activate(x, to))
    }

    /// [`FeedForward::outer`], added to rows.
    pub fn outer_add(&self, inner: &Rows, to: &mut Rows) {
        self.down.forward_made_add(inner, |x, to| self.activate(x, to), to);
    }

    /// `[tokens, hidden]` -> `[tokens, hidden]`.
    pub fn forward(&self, x: &Rows) -> Rows {
        self.outer(&self.inner(x, None))
    }
}

/// The product of rows that `norm` prepares.
pub(super) fn normed(linear: &Linear, x: &Rows, norm: Option<&Norm>) -> Rows {
    match norm {
        Some(norm) => linear.forward_made(x, |x, to| norm.row_into(x, to)),
        None => linear.forward(x),
    }
}
