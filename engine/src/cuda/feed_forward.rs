//! A feed-forward block on a GPU. The arithmetic is that of `cpu/feed_forward.rs`.

use cudarc::driver::CudaSlice;

use super::pass::Pass;
use super::weight::{Products, Stored, To, Weight};
use crate::cpu::feed_forward::FeedForward as HostFeedForward;
use crate::error::Result;
use crate::models::spec::FeedForwardSpec;

/// A feed-forward block.
pub struct FeedForward<T> {
    up: Weight<T>,
    down: Weight<T>,
    spec: FeedForwardSpec,
}

impl<T: Stored> FeedForward<T> {
    /// Copies one of the host.
    ///
    /// # Errors
    /// The GPU has no room for it.
    pub fn new(products: &Products, host: &HostFeedForward) -> Result<Self> {
        let up = Weight::new(products, &host.up, To::Rows)?;
        Ok(Self { up, down: Weight::new(products, &host.down, To::Wide)?, spec: host.spec })
    }

    /// Its widths: of what goes into the activation, and of what comes out of it.
    pub fn widths(spec: &FeedForwardSpec) -> (usize, usize) {
        (if spec.gated { 2 * spec.intermediate } else { spec.intermediate }, spec.intermediate)
    }

    /// `y = down(act(up(x)))`, rows of f32; `inner` and `activated` are for what is between.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn forward(
        &mut self,
        pass: &Pass<'_>,
        x: &CudaSlice<T>,
        (inner, activated): (&mut CudaSlice<T>, &mut CudaSlice<T>),
        y: &mut CudaSlice<f32>,
    ) -> Result<()> {
        let FeedForwardSpec { intermediate, activation, gated, .. } = self.spec;
        self.up.rows(pass.rows(pass.hidden), x, inner)?;
        let (rows, form) = (pass.rows(intermediate), (activation, gated));
        pass.kernels.activations.activate(rows, form, &inner.as_view(), &mut activated.as_view_mut())?;
        self.down.wide(rows, activated, y)
    }
}
