//! A mixture of experts: who takes which, rows grouped by expert, and what experts say put together. See `experts.cu`; the
//! products between are those of `gemm`, the activation that of `activate`.
//!
//! ```text
//! logits -> route -> groups;  x -> multiply_grouped -> activate -> multiply_grouped -> combine -> out
//! ```
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, CudaView, CudaViewMut, DeviceRepr, DriverError, LaunchConfig, PushKernelArg,
    ValidAsZeroBits,
};

use super::gemm::TILE_ROWS;
use super::{Module, Rows, THREADS, address, blocks, failed, holds, int, ptx, typed};
use crate::cuda::matmul::{Kind, Number};
use crate::error::{Error, Result};

/// Experts that there can be.
const MOST_EXPERTS: usize = 256;
/// Numbers of a row that a block of `combine` has.
const PART: usize = 1024;
/// Threads of the one block of `group`.
const GROUP_THREADS: u32 = 1024;

/// Sizes of a mixture.
#[derive(Clone, Copy, Debug)]
pub struct Mixture {
    /// Experts, at most 256.
    pub experts: usize,
    /// Experts that a token takes.
    pub chosen: usize,
    /// What the first row of every expert is a multiple of. The products here need no more than 1, which leaves no gaps.
    pub multiple: usize,
}

impl Mixture {
    /// Grouped rows of some tokens at most: with the gaps.
    pub fn rows(&self, tokens: usize) -> usize {
        let pairs = tokens * self.chosen;
        pairs + pairs.min(self.experts) * (self.multiple - 1)
    }

    /// Tiles of some tokens at most: every expert that has rows may have one that is not full.
    pub fn tiles(&self, tokens: usize) -> usize {
        let pairs = tokens * self.chosen;
        (pairs + pairs.min(self.experts) * (TILE_ROWS - 1)) / TILE_ROWS
    }
}

/// Which experts the tokens of a step take, and the rows grouped by expert: a token has a row for each of its experts. On a
/// GPU, filled by [`ExpertKernels::route`].
pub struct Groups {
    /// Sizes.
    pub mixture: Mixture,
    /// Tokens that there is room for.
    pub tokens: usize,
    /// `[tokens, chosen]`: the experts of a token, ascending.
    pub experts: CudaSlice<u32>,
    /// `[tokens, chosen]`: their weights.
    pub weights: CudaSlice<f32>,
    /// `[experts + 1]`: where the rows of an expert begin; at last, where all end.
    pub offsets: CudaSlice<u32>,
    /// `[rows]`: the token of a row. Gaps are as they were.
    pub order: CudaSlice<u32>,
    /// `[tokens, chosen]`: the rows of a token.
    pub place: CudaSlice<u32>,
    /// `[tiles, 3]`: an expert, its first row, how many rows.
    pub tiles: CudaSlice<u32>,
    /// How many tiles there are, one number.
    pub tile_count: CudaSlice<u32>,
}

impl Groups {
    /// Makes room for the tokens of a step.
    ///
    /// # Errors
    /// No memory is left, or sizes that no mixture has.
    pub fn new(stream: &Arc<CudaStream>, mixture: Mixture, tokens: usize) -> Result<Self> {
        let Mixture { experts, chosen, multiple } = mixture;
        let sized = (1..=MOST_EXPERTS).contains(&experts) && (1..=experts).contains(&chosen) && multiple >= 1;
        if !sized || tokens.checked_mul(chosen * multiple).is_none_or(|rows| i32::try_from(rows).is_err()) {
            return Err(Error::internal(format!("failed to group {tokens} tokens of {mixture:?}")));
        }
        // At least one: a buffer of no values has no address.
        fn zeros<N: DeviceRepr + ValidAsZeroBits>(stream: &Arc<CudaStream>, values: usize) -> Result<CudaSlice<N>> {
            let failed = |error: DriverError| Error::input("failed to allocate the groups of experts").caused_by(error);
            stream.alloc_zeros(values.max(1)).map_err(failed)
        }
        Ok(Self {
            mixture,
            tokens,
            experts: zeros(stream, tokens * chosen)?,
            weights: zeros(stream, tokens * chosen)?,
            offsets: zeros(stream, experts + 1)?,
            order: zeros(stream, mixture.rows(tokens))?,
            place: zeros(stream, tokens * chosen)?,
            tiles: zeros(stream, 3 * mixture.tiles(tokens))?,
            tile_count: zeros(stream, 1)?,
        })
    }

    /// How many grouped rows there are, gaps among them; one number, as [`Rows::count`] is.
    pub fn count(&self) -> CudaView<'_, u32> {
        self.offsets.slice(self.mixture.experts..)
    }

    /// That there is room for the tokens of a step.
    pub(super) fn hold(&self, name: &str, tokens: usize) -> Result<()> {
        holds(name, "groups", self.tokens, tokens)
    }
}

/// A block that every token takes.
pub struct Shared<'a, Y> {
    /// `[tokens, width]`: what it says.
    pub y: &'a CudaView<'a, Y>,
    /// `[tokens]`: its gate, of which the sigmoid is its weight.
    pub gates: &'a CudaView<'a, f32>,
}

/// The kernels of a mixture for one kind of numbers.
pub struct ExpertKernels {
    stream: Arc<CudaStream>,
    kind: Kind,
    route: CudaFunction,
    group: CudaFunction,
    combine: CudaFunction,
    wide_combine: CudaFunction,
}

impl ExpertKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind) -> Result<Self> {
        let module = Module::load(stream.context(), "experts", ptx::EXPERTS)?;
        Ok(Self {
            stream: stream.clone(),
            kind,
            route: module.function("route")?,
            group: module.function("group")?,
            combine: module.of("combine", kind)?,
            wide_combine: module.of("combine", Kind::F32)?,
        })
    }

    /// Chooses the experts of every token by the logits of the router, and groups the rows. `rows.width` is the number of
    /// experts. Weights are the softmax over all experts or, normalised, over the chosen.
    ///
    /// # Errors
    /// Buffers that are too short, or logits of another mixture.
    pub fn route(
        &self,
        rows: Rows<'_>,
        normalised: bool,
        logits: &CudaView<'_, f32>,
        groups: &mut Groups,
    ) -> Result<()> {
        let name = "route";
        let Mixture { experts, chosen, multiple } = groups.mixture;
        holds(name, "the logits", logits.len(), rows.values(name)?)?;
        groups.hold(name, rows.most)?;
        if rows.width != experts {
            return Err(Error::internal(format!("failed to route by {} logits among {experts} experts", rows.width)));
        }
        let (most, experts, chosen) = (int(name, rows.most)?, int(name, experts)?, int(name, chosen)?);
        let (multiple, normalised) = (int(name, multiple)?, i32::from(normalised));
        if rows.most > 0 {
            let mut launch = self.stream.launch_builder(&self.route);
            launch.arg(logits).arg(rows.count).arg(&experts).arg(&chosen).arg(&normalised);
            launch.arg(&mut groups.experts).arg(&mut groups.weights);
            let config = blocks(name, (rows.most.div_ceil(THREADS / 32), 1), 0)?;
            // SAFETY: the parameters of `route`; lengths were checked, and groups have room by their making.
            unsafe { launch.launch(config) }.map_err(failed(name))?;
        }
        let mut launch = self.stream.launch_builder(&self.group);
        launch.arg(&groups.experts).arg(rows.count).arg(&most).arg(&experts).arg(&chosen).arg(&multiple);
        launch.arg(&mut groups.offsets).arg(&mut groups.order).arg(&mut groups.place);
        launch.arg(&mut groups.tiles).arg(&mut groups.tile_count);
        let config = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (GROUP_THREADS, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the parameters of `group`; groups have room by their making for the tokens, of which it takes no more than
        // the most, and `route` names no experts but those there are.
        unsafe { launch.launch(config) }.map_err(failed("group")).map(drop)
    }

    /// What the experts of every token say, by their weights; plus what the block says that all tokens take. `rows` are the
    /// tokens, `y` the grouped rows, in the kind of the kernels or in f32.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn combine<Y: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        (groups, y): (&Groups, &CudaView<'_, Y>),
        shared: Option<&Shared<'_, Y>>,
        to: &mut CudaViewMut<'_, f32>,
    ) -> Result<()> {
        let name = "combine";
        let wide = Y::KIND == Kind::F32;
        typed::<Y>(name, if wide { Kind::F32 } else { self.kind })?;
        let values = rows.values(name)?;
        groups.hold(name, rows.most)?;
        holds(name, "the grouped rows", y.len(), groups.mixture.rows(rows.most) * rows.width)?;
        holds(name, "the rows of the result", to.len(), values)?;
        if let Some(shared) = shared {
            holds(name, "the rows of the shared block", shared.y.len(), values)?;
            holds(name, "the gates", shared.gates.len(), rows.most)?;
        }
        if values == 0 {
            return Ok(());
        }
        let (chosen, width) = (int(name, groups.mixture.chosen)?, int(name, rows.width)?);
        let config = blocks(name, (rows.most, rows.width.div_ceil(PART)), 0)?;
        let gates = address(&self.stream, shared.map(|shared| shared.gates));
        let shared = address(&self.stream, shared.map(|shared| shared.y));
        let mut launch = self.stream.launch_builder(if wide { &self.wide_combine } else { &self.combine });
        launch.arg(y).arg(&groups.place).arg(&groups.weights).arg(rows.count).arg(&chosen);
        launch.arg(&shared).arg(&gates).arg(&width).arg(to);
        // SAFETY: the parameters of `combine`; lengths were checked, and the shared block may be null.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }
}
