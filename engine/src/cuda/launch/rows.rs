//! Rows of the residual stream: token vectors, norms, and what a block adds to it. See `rows.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::sys::CUfunction_attribute as Attribute;
use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, LaunchConfig, PushKernelArg};

use super::norm::{Argument, NormWeights};
use super::{Module, Rows, address, blocks, failed, holds, int, ptx, typed};
use crate::cuda::matmul::{Kind, Number};
use crate::error::{Error, Result};

/// Bytes of shared memory that a row may fill: what all GPUs from 8.0 on have, but for some that the kernels need themselves.
const ROW_BYTES: usize = 96 << 10;

/// The kernels on rows for one kind of numbers.
pub struct RowKernels {
    stream: Arc<CudaStream>,
    kind: Kind,
    embed: CudaFunction,
    norm: CudaFunction,
    wide_norm: CudaFunction,
    add_norm: CudaFunction,
    add_wide_norm: CudaFunction,
    norm_sum: CudaFunction,
    norm_wide_sum: CudaFunction,
}

/// Which vectors tokens take.
pub struct Embedding<'a, T> {
    /// `[rows]`: the token of each.
    pub ids: &'a CudaView<'a, u32>,
    /// `[vocab, width]`: token vectors.
    pub table: &'a CudaView<'a, T>,
    /// Factor of them.
    pub scale: f32,
    /// Positions, and segments where there are positions: added to each other, then to the token vectors.
    pub added: [Option<Added<'a>>; 2],
}

/// A table that is added to token vectors.
#[derive(Clone, Copy)]
pub struct Added<'a> {
    /// `[count, width]`.
    pub table: &'a CudaView<'a, f32>,
    /// `[rows]`: the row of each token. One that the table has not is zero.
    pub index: &'a CudaView<'a, u32>,
}

/// `Added` of `rows.cu`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct AddedArgument {
    table: u64,
    index: u64,
    count: u32,
}

// SAFETY: `Added` of `rows.cu` has these fields: two pointers and an unsigned.
unsafe impl DeviceRepr for AddedArgument {}

/// What is added to the stream, and what becomes of it.
pub struct Step<'a, Y> {
    /// `[rows, width]`: what a block adds; of a product in the kind of the kernels or in f32.
    pub y: &'a CudaView<'a, Y>,
    /// The norm of that.
    pub post_norm: Option<&'a NormWeights>,
    /// Factor of that.
    pub scale: f32,
    /// The norm of the stream that the next product reads.
    pub norm: Option<&'a NormWeights>,
}

impl RowKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind) -> Result<Self> {
        let module = Module::load(stream.context(), "rows", ptx::ROWS)?;
        // A row in shared memory may need more than the 48 KiB that kernels have unasked.
        let load = |name: &str, kind: Kind| {
            let function = module.of(name, kind)?;
            let room = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(room, ROW_BYTES as i32).map_err(failed(name))?;
            Ok::<_, Error>(function)
        };
        Ok(Self {
            stream: stream.clone(),
            kind,
            embed: module.of("embed", kind)?,
            norm: load("norm", kind)?,
            wide_norm: load("norm", Kind::F32)?,
            add_norm: load("add_norm", kind)?,
            add_wide_norm: load("add_wide_norm", kind)?,
            norm_sum: load("norm_sum", kind)?,
            norm_wide_sum: load("norm_wide_sum", kind)?,
        })
    }

    /// `to = table[ids] · scale + (added + added)`, f32. A token that the table has not gives NaN.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn embed<T: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        embedding: &Embedding<'_, T>,
        to: &mut CudaViewMut<'_, f32>,
    ) -> Result<()> {
        let name = "embed";
        typed::<T>(name, self.kind)?;
        holds(name, "the stream", to.len(), rows.values(name)?)?;
        holds(name, "ids", embedding.ids.len(), rows.most)?;
        if rows.most * rows.width == 0 {
            return Ok(());
        }
        let [first, second] = embedding.added.map(|added| added.map(|added| self.added(rows, added)).transpose());
        let (first, second) = (first?.unwrap_or_default(), second?.unwrap_or_default());
        if first.table == 0 && second.table != 0 {
            return Err(Error::internal("failed to start the kernel `embed`: the first table to add is missing"));
        }
        let vocab = int(name, embedding.table.len() / rows.width)?;
        let (width, config) = (int(name, rows.width)?, blocks(name, (rows.most, 1), 0)?);
        let mut launch = self.stream.launch_builder(&self.embed);
        launch.arg(embedding.ids).arg(rows.count).arg(embedding.table).arg(&vocab).arg(&embedding.scale);
        launch.arg(&first).arg(&second).arg(&width).arg(to);
        // SAFETY: the parameters of `embed`; lengths were checked, and it holds indices against its tables.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    fn added(&self, rows: Rows<'_>, added: Added<'_>) -> Result<AddedArgument> {
        holds("embed", "rows of a table to add", added.index.len(), rows.most)?;
        let count = int("embed", added.table.len() / rows.width)?.unsigned_abs();
        let (table, index) = (address(&self.stream, Some(added.table)), address(&self.stream, Some(added.index)));
        Ok(AddedArgument { table, index, count })
    }

    /// `to = norm(from)`; without a norm the rows as they are. To rows of the kind of the kernels or in f32.
    ///
    /// # Errors
    /// Buffers that are too short, or a norm of another width.
    pub fn norm<O: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        from: &CudaView<'_, f32>,
        norm: Option<&NormWeights>,
        to: &mut CudaViewMut<'_, O>,
    ) -> Result<()> {
        let name = "norm";
        let function = if O::KIND == Kind::F32 { &self.wide_norm } else { &self.norm };
        typed::<O>(name, if O::KIND == Kind::F32 { Kind::F32 } else { self.kind })?;
        let values = rows.values(name)?;
        holds(name, "the rows", from.len(), values)?;
        holds(name, "the rows of the result", to.len(), values)?;
        let norm = Argument::of(&self.stream, name, norm, rows.width)?;
        let (width, config) = (int(name, rows.width)?, in_shared(name, rows)?);
        if values == 0 {
            return Ok(());
        }
        let mut launch = self.stream.launch_builder(function);
        launch.arg(from).arg(rows.count).arg(&norm).arg(&width).arg(to);
        // SAFETY: the parameters of `norm`; lengths were checked.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    /// The residual step of decoders: `x += scale · post_norm(y)`, then `to = norm(x)` where it is given.
    ///
    /// # Errors
    /// Buffers that are too short, or a norm of another width.
    pub fn add_norm<T: Number + DeviceRepr, Y: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        step: &Step<'_, Y>,
        x: &mut CudaViewMut<'_, f32>,
        to: Option<&mut CudaViewMut<'_, T>>,
    ) -> Result<()> {
        let name = "add_norm";
        let wide = self.sum_is_wide::<T, Y>(name)?;
        let values = rows.values(name)?;
        holds(name, "the stream", x.len(), values)?;
        holds(name, "what is added", step.y.len(), values)?;
        if let Some(to) = &to {
            holds(name, "the rows of the result", to.len(), values)?;
        }
        let post_norm = Argument::of(&self.stream, name, step.post_norm, rows.width)?;
        let norm = Argument::of(&self.stream, name, step.norm, rows.width)?;
        let (width, config) = (int(name, rows.width)?, in_shared(name, rows)?);
        if values == 0 {
            return Ok(());
        }
        let to = address(&self.stream, to.map(|to| to.as_view()).as_ref());
        let mut launch = self.stream.launch_builder(if wide { &self.add_wide_norm } else { &self.add_norm });
        launch.arg(x).arg(step.y).arg(rows.count).arg(&post_norm).arg(&step.scale).arg(&norm).arg(&width).arg(&to);
        // SAFETY: the parameters of `add_norm`; lengths were checked, and `to` may be null.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    /// The residual step of encoders: `x = norm(x + y)`, and the same in `to`; without y the norm alone.
    ///
    /// # Errors
    /// Buffers that are too short, or a norm of another width.
    pub fn norm_sum<T: Number + DeviceRepr, Y: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        (y, norm): (Option<&CudaView<'_, Y>>, Option<&NormWeights>),
        x: &mut CudaViewMut<'_, f32>,
        to: &mut CudaViewMut<'_, T>,
    ) -> Result<()> {
        let name = "norm_sum";
        let wide = self.sum_is_wide::<T, Y>(name)?;
        let values = rows.values(name)?;
        holds(name, "the stream", x.len(), values)?;
        holds(name, "the rows of the result", to.len(), values)?;
        if let Some(y) = y {
            holds(name, "what is added", y.len(), values)?;
        }
        let norm = Argument::of(&self.stream, name, norm, rows.width)?;
        let (width, config) = (int(name, rows.width)?, in_shared(name, rows)?);
        if values == 0 {
            return Ok(());
        }
        let y = address(&self.stream, y);
        let mut launch = self.stream.launch_builder(if wide { &self.norm_wide_sum } else { &self.norm_sum });
        launch.arg(x).arg(&y).arg(rows.count).arg(&norm).arg(&width).arg(to);
        // SAFETY: the parameters of `norm_sum`; lengths were checked, and `y` may be null.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    /// Whether what is added is f32 and the result is not.
    fn sum_is_wide<T: Number, Y: Number>(&self, name: &str) -> Result<bool> {
        typed::<T>(name, self.kind)?;
        let wide = Y::KIND == Kind::F32;
        typed::<Y>(name, if wide { Kind::F32 } else { self.kind })?;
        Ok(wide)
    }
}

/// One block a row, with room for the row.
fn in_shared(name: &str, rows: Rows<'_>) -> Result<LaunchConfig> {
    let bytes = rows.width.next_multiple_of(4) * size_of::<f32>();
    if bytes > ROW_BYTES {
        return Err(Error::internal(format!("failed to start the kernel `{name}` on rows of {} values", rows.width)));
    }
    blocks(name, (rows.most, 1), bytes)
}
