//! A mixture of experts on a GPU. The arithmetic is that of `cpu/experts.rs`.

use cudarc::driver::CudaSlice;

use super::feed_forward::FeedForward;
use super::launch::Rows;
use super::launch::experts::Shared;
use super::launch::gemm::Product;
use super::pass::{ExpertSpace, Pass};
use super::weight::{Products, Stored, To, Weight, memory, write};
use crate::cpu::experts::Experts as Host;
use crate::cpu::feed_forward::FeedForward as HostFeedForward;
use crate::cpu::linear::Linear;
use crate::error::{Error, Result};
use crate::models::spec::FeedForwardSpec;

/// The experts of a layer.
pub struct Experts<T> {
    router: Weight<T>,
    /// `[experts, inner, hidden]`.
    up: CudaSlice<T>,
    /// `[experts, hidden, intermediate]`.
    down: CudaSlice<T>,
    spec: FeedForwardSpec,
    normalised: bool,
    /// A block that every token takes, and its gate.
    shared: Option<(FeedForward<T>, Weight<T>)>,
}

impl<T: Stored> Experts<T> {
    /// Copies those of a host.
    ///
    /// # Errors
    /// The GPU has no room for them.
    pub fn new(products: &Products, host: &Host) -> Result<Self> {
        let Some(first) = host.experts.first() else {
            return Err(Error::internal("failed to use a mixture of no experts"));
        };
        let shared = host
            .shared
            .as_ref()
            .map(|(block, gate)| Ok((FeedForward::new(products, block)?, Weight::new(products, gate, To::Wide)?)));
        Ok(Self {
            router: Weight::new(products, &host.router, To::Wide)?,
            up: stacked(products, &host.experts, |block| &block.up)?,
            down: stacked(products, &host.experts, |block| &block.down)?,
            spec: first.spec,
            normalised: host.normalised,
            shared: shared.transpose()?,
        })
    }

    /// What the experts of every token say, rows of f32.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn forward(
        &mut self,
        pass: &Pass<'_>,
        x: &CudaSlice<T>,
        between: (&mut CudaSlice<T>, &mut CudaSlice<T>),
        (space, y): (Option<&mut ExpertSpace<T>>, &mut CudaSlice<f32>),
    ) -> Result<()> {
        let Some(space) = space else { return Err(Error::internal("failed to compute experts without room for them")) };
        let (kernels, hidden) = (pass.kernels, pass.hidden);
        let ExpertSpace { logits, groups, inner, activated, y: said, shared } = space;
        let FeedForwardSpec { intermediate, activation, gated, .. } = self.spec;
        let outputs = FeedForward::<T>::widths(&self.spec).0;
        self.router.wide(pass.rows(hidden), x, logits)?;
        kernels.experts.route(pass.rows(groups.mixture.experts), self.normalised, &logits.as_view(), groups)?;
        let up = Product::<T, T> { x: &x.as_view(), w: &self.up.as_view(), bias: None, outputs, add: false };
        kernels.gemm.multiply_grouped(pass.rows(hidden), (groups, true), &up, &mut inner.as_view_mut())?;
        let grouped = groups.count();
        let rows = Rows { count: &grouped, most: groups.mixture.rows(pass.most), width: intermediate };
        let (from, mut to) = (inner.as_view(), activated.as_view_mut());
        kernels.activations.activate(rows, (activation, gated), &from, &mut to)?;
        let between_products = activated.as_view();
        let down = Product::<T, f32> {
            x: &between_products,
            w: &self.down.as_view(),
            bias: None,
            outputs: hidden,
            add: false,
        };
        let rows = pass.rows(intermediate);
        kernels.gemm.multiply_grouped(rows, (groups, false), &down, &mut said.as_view_mut())?;
        let beside = match (&mut self.shared, shared) {
            (Some((block, gate)), Some((y, gates))) => {
                block.forward(pass, x, between, y)?;
                gate.wide(pass.rows(hidden), x, gates)?;
                Some((y.as_view(), gates.as_view()))
            }
            _ => None,
        };
        let beside = beside.as_ref().map(|(y, gates)| Shared { y, gates });
        kernels.experts.combine(pass.rows(hidden), (groups, &said.as_view()), beside.as_ref(), &mut y.as_view_mut())
    }
}

/// The matrices of all experts, one behind the other.
fn stacked<T: Stored>(
    products: &Products,
    experts: &[HostFeedForward],
    part: impl Fn(&HostFeedForward) -> &Linear,
) -> Result<CudaSlice<T>> {
    let each: Vec<&Linear> = experts.iter().map(part).collect();
    let values = each.iter().map(|linear| linear.outputs() * linear.inputs()).sum();
    let mut to = products.lt.stream().alloc_zeros::<T>(values).map_err(memory("experts"))?;
    let mut at = 0;
    for linear in each {
        let values = linear.outputs() * linear.inputs();
        write(products.lt.stream(), linear, &mut to.slice_mut(at..at + values))?;
        at += values;
    }
    Ok(to)
}
