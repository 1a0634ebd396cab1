//! Products of our own, `y = x · wᵀ`: of experts, whose rows differ in their weights, and those that cuBLASLt has no algorithm
//! for that is batch-invariant. See `gemm.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, LaunchConfig, PushKernelArg};

use super::experts::Groups;
use super::{Module, Rows, address, failed, holds, int, ptx, typed};
use crate::cuda::matmul::{Kind, Number};
use crate::error::{Error, Result};

/// Rows of a tile, as `tile.cuh` has them.
pub const TILE_ROWS: usize = 64;
/// Outputs of a tile.
const COLUMNS: usize = 128;
/// Threads of a block.
const THREADS: u32 = 128;
/// Tiles of a band, whose rows and weights are to stay in the cache: 1024 rows, or some experts.
const BAND: usize = 16;

/// The products for one kind of x and w.
pub struct GemmKernels {
    stream: Arc<CudaStream>,
    kind: Kind,
    gemm: CudaFunction,
    wide_gemm: CudaFunction,
}

/// What is multiplied. Rows are without gaps; those of a multiple of 16 bytes that begin at such a one are read the fast way.
pub struct Product<'a, T, O> {
    /// `[rows, inputs]`.
    pub x: &'a CudaView<'a, T>,
    /// `[outputs, inputs]`, of experts `[experts, outputs, inputs]`.
    pub w: &'a CudaView<'a, T>,
    /// `[outputs]`, of experts `[experts, outputs]`.
    pub bias: Option<&'a CudaView<'a, O>>,
    /// Values of a row of y.
    pub outputs: usize,
    /// Whether it is added to what y holds.
    pub add: bool,
}

/// Which rows there are.
struct Walk<'a> {
    /// How many rows, or how many tiles.
    count: &'a CudaView<'a, u32>,
    /// The tiles and the row of x of every row, 0 where each has its own.
    tiles: u64,
    order: u64,
    /// Tiles at most.
    most: usize,
}

impl GemmKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind) -> Result<Self> {
        let module = Module::load(stream.context(), "gemm", ptx::GEMM)?;
        let (gemm, wide_gemm) = (module.of("gemm", kind)?, module.of("wide_gemm", kind)?);
        Ok(Self { stream: stream.clone(), kind, gemm, wide_gemm })
    }

    /// `y[row] = x[row] · wᵀ + bias`, or added to y. `rows.width` is that of x; y is in the kind of the kernels or in f32.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn multiply<T: Number + DeviceRepr, O: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        product: &Product<'_, T, O>,
        y: &mut CudaViewMut<'_, O>,
    ) -> Result<()> {
        let name = "gemm";
        holds(name, "x", product.x.len(), rows.values(name)?)?;
        holds(name, "y", y.len(), values(name, rows.most, product.outputs)?)?;
        let walk = Walk { count: rows.count, tiles: 0, order: 0, most: rows.most.div_ceil(TILE_ROWS) };
        self.launch(&walk, (rows.width, 1), product, y)
    }

    /// `y[row] = x[row] · w[expert]ᵀ + bias[expert]`, or added to y, for the grouped rows of y; gaps stay as they are. x has
    /// rows of tokens where `gathered`, else grouped ones as well. `rows` are the tokens with the width of x.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn multiply_grouped<T: Number + DeviceRepr, O: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        (groups, gathered): (&Groups, bool),
        product: &Product<'_, T, O>,
        y: &mut CudaViewMut<'_, O>,
    ) -> Result<()> {
        let name = "gemm";
        groups.hold(name, rows.most)?;
        let grouped = groups.mixture.rows(rows.most);
        let x_rows = if gathered { rows.most } else { grouped };
        holds(name, "x", product.x.len(), values(name, x_rows, rows.width)?)?;
        holds(name, "y", y.len(), values(name, grouped, product.outputs)?)?;
        let walk = Walk {
            count: &groups.tile_count.as_view(),
            tiles: address(&self.stream, Some(&groups.tiles.as_view())),
            order: address(&self.stream, gathered.then_some(&groups.order.as_view())),
            most: groups.mixture.tiles(rows.most),
        };
        self.launch(&walk, (rows.width, groups.mixture.experts), product, y)
    }

    /// After x and y were held against the rows.
    fn launch<T: Number + DeviceRepr, O: Number + DeviceRepr>(
        &self,
        walk: &Walk<'_>,
        (inputs, experts): (usize, usize),
        product: &Product<'_, T, O>,
        y: &mut CudaViewMut<'_, O>,
    ) -> Result<()> {
        let (name, outputs) = ("gemm", product.outputs);
        typed::<T>(name, self.kind)?;
        let wide = O::KIND != self.kind;
        typed::<O>(name, if wide { Kind::F32 } else { self.kind })?;
        let weights = values(name, experts, outputs)?;
        holds(name, "w", product.w.len(), values(name, weights, inputs)?)?;
        if let Some(bias) = product.bias {
            holds(name, "the bias", bias.len(), weights)?;
        }
        if walk.most * outputs == 0 {
            return Ok(());
        }
        let (inputs, columns) = (int(name, inputs)?, int(name, outputs)?);
        let (band, add) = (BAND.min(walk.most), i32::from(product.add));
        let blocks = int(name, walk.most.next_multiple_of(band) * outputs.div_ceil(COLUMNS))?.unsigned_abs();
        let band = int(name, band)?;
        let bias = address(&self.stream, product.bias);
        let mut launch = self.stream.launch_builder(if wide { &self.wide_gemm } else { &self.gemm });
        launch.arg(product.x).arg(product.w).arg(&bias).arg(y).arg(walk.count).arg(&walk.tiles).arg(&walk.order);
        launch.arg(&inputs).arg(&columns).arg(&band).arg(&add);
        let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the parameters of `gemm`; lengths were checked, tiles and order are those of groups, and null where there
        // are none, as the bias may be.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }
}

/// Values of some rows.
fn values(name: &str, rows: usize, width: usize) -> Result<usize> {
    let values = rows.checked_mul(width);
    values.ok_or_else(|| {
        Error::internal(format!("failed to start the kernel `{name}` for {rows} rows of {width} values"))
    })
}
