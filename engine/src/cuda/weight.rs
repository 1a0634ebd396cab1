//! Matrices in the memory of a GPU, each with its product.

use std::sync::Arc;

use cudarc::driver::result::mem_get_info;
use cudarc::driver::{CudaSlice, CudaStream, CudaViewMut, DeviceRepr, DriverError, ValidAsZeroBits};
use rayon::prelude::*;

use super::gpu::free_of;
use super::launch::Rows;
use super::launch::gemm::{GemmKernels, Product};
use super::matmul::{Form, Kind, Lt, Matmul, Number, Operands};
use crate::cpu::linear::Linear;
use crate::error::{Error, Result};
use crate::options::DtypeChoice;

/// Values that are widened, rounded and copied at a time: 64 MiB of f32.
const AT_ONCE: usize = 1 << 24;

/// A type in which a GPU keeps weights, the rows between products, and the KV cache.
pub trait Stored: Number + DeviceRepr + ValidAsZeroBits + Copy + Send + Sync + 'static {
    /// The type on the host that holds weights for it without loss of more than it would lose.
    const ON_HOST: DtypeChoice;

    /// Rounded to nearest even.
    fn narrow(x: f32) -> Self;
}

impl Stored for f32 {
    const ON_HOST: DtypeChoice = DtypeChoice::F32;

    fn narrow(x: f32) -> Self {
        x
    }
}

impl Stored for half::bf16 {
    const ON_HOST: DtypeChoice = DtypeChoice::Bf16;

    fn narrow(x: f32) -> Self {
        Self::from_f32(x)
    }
}

impl Stored for half::f16 {
    const ON_HOST: DtypeChoice = DtypeChoice::F32;

    fn narrow(x: f32) -> Self {
        Self::from_f32(x)
    }
}

/// Where a product goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Rows of the weights' type.
    Rows,
    /// Rows of f32.
    Wide,
}

/// A bias in the type of its product's results.
enum Bias<T> {
    Rows(CudaSlice<T>),
    Wide(CudaSlice<f32>),
}

enum Multiplier {
    Lt(Box<Matmul>),
    Own(Arc<GemmKernels>),
}

/// A matrix `[outputs, inputs]` on a GPU, with its product and perhaps a bias.
pub struct Weight<T> {
    form: Form,
    multiplier: Multiplier,
    matrix: Arc<CudaSlice<T>>,
    bias: Option<Bias<T>>,
}

/// Why memory of a GPU could not be had or written.
pub fn memory(what: &str) -> impl FnOnce(DriverError) -> Error {
    move |error| {
        // Of the GPU that was just asked.
        let free = mem_get_info().map(|(free, total)| format!(", where {}", free_of((free as u64, total as u64))));
        let what = format!("failed to put {what} into the memory of the GPU{}", free.unwrap_or_default());
        Error::environment(what).caused_by(error).with_hint(
            "model, rows and KV blocks must fit one GPU: --dtype bf16 halves weights in f32, lower --batch-tokens, --max-seqs \
             and --kv-gib take less room",
        )
    }
}

/// Numbers as the GPU keeps them, in its memory.
pub fn upload<T: Stored>(stream: &Arc<CudaStream>, values: &[f32]) -> Result<CudaSlice<T>> {
    let narrow: Vec<T> = values.iter().map(|x| T::narrow(*x)).collect();
    stream.clone_htod(&narrow).map_err(memory("numbers"))
}

/// A matrix of the host on the GPU, `[outputs, inputs]`.
pub fn matrix<T: Stored>(stream: &Arc<CudaStream>, linear: &Linear) -> Result<Arc<CudaSlice<T>>> {
    let mut to = stream.alloc_zeros::<T>(linear.outputs() * linear.inputs()).map_err(memory("a weight"))?;
    write(stream, linear, &mut to.as_view_mut())?;
    Ok(Arc::new(to))
}

/// Writes a matrix of the host, a part at a time, for the host would hold it twice.
pub fn write<T: Stored>(stream: &Arc<CudaStream>, linear: &Linear, to: &mut CudaViewMut<'_, T>) -> Result<()> {
    let (outputs, inputs) = (linear.outputs(), linear.inputs());
    let per_part = (AT_ONCE / inputs.max(1)).max(1);
    for from in (0..outputs).step_by(per_part) {
        let rows = from..(from + per_part).min(outputs);
        let part: Vec<T> = linear.rows(rows.clone()).into_par_iter().map(T::narrow).collect();
        let mut to = to.slice_mut(rows.start * inputs..rows.end * inputs);
        stream.memcpy_htod(&part, &mut to).map_err(memory("a weight"))?;
        // The copy may still be reading the part.
        stream.synchronize().map_err(memory("a weight"))?;
    }
    Ok(())
}

/// What multiplies: cuBLASLt, and kernels of our own for forms that it has no fixed algorithm for.
#[derive(Clone)]
pub struct Products {
    /// cuBLASLt.
    pub lt: Arc<Lt>,
    /// Our own.
    pub gemm: Arc<GemmKernels>,
}

impl Products {
    /// For weights of a type, on a stream.
    ///
    /// # Errors
    /// cuBLASLt is not there.
    pub fn new<T: Stored>(stream: &Arc<CudaStream>) -> Result<Self> {
        Ok(Self { lt: Lt::new(stream)?, gemm: Arc::new(GemmKernels::load(stream, T::KIND)?) })
    }
}

impl<T: Stored> Weight<T> {
    /// Copies a layer of the host.
    ///
    /// # Errors
    /// The GPU has no room for it.
    pub fn new(products: &Products, linear: &Linear, to: To) -> Result<Self> {
        Self::of(products, matrix(products.lt.stream(), linear)?, linear, to)
    }

    /// The same, of a matrix that is there already.
    ///
    /// # Errors
    /// As for [`Weight::new`].
    pub fn of(products: &Products, matrix: Arc<CudaSlice<T>>, linear: &Linear, to: To) -> Result<Self> {
        let stream = products.lt.stream();
        let bias = match (linear.bias(), to) {
            (None, _) => None,
            (Some(bias), To::Rows) => Some(Bias::Rows(upload(stream, bias)?)),
            (Some(bias), To::Wide) => Some(Bias::Wide(upload(stream, bias)?)),
        };
        let form = Form {
            inputs: linear.inputs(),
            outputs: linear.outputs(),
            kind: T::KIND,
            output: if to == To::Rows { T::KIND } else { Kind::F32 },
            bias: bias.is_some(),
            add: false,
        };
        let multiplier = match Matmul::new(&products.lt, form) {
            Ok(matmul) => Multiplier::Lt(Box::new(matmul)),
            Err(_) => Multiplier::Own(products.gemm.clone()),
        };
        Ok(Self { form, multiplier, matrix, bias })
    }

    /// Values of a row of results.
    pub fn outputs(&self) -> usize {
        self.form.outputs
    }

    /// `y = x · wᵀ + bias`, of rows as [`To::Rows`] has them.
    ///
    /// # Errors
    /// Buffers that are too short, or a weight made for something else.
    pub fn rows(&mut self, rows: Rows<'_>, x: &CudaSlice<T>, y: &mut CudaSlice<T>) -> Result<()> {
        let bias = match &self.bias {
            Some(Bias::Rows(bias)) => Some(bias),
            _ => None,
        };
        multiply(&mut self.multiplier, self.form, rows, Operands { x, w: &*self.matrix, bias, y })
    }

    /// `y = x · wᵀ + bias`, as [`To::Wide`] has them.
    ///
    /// # Errors
    /// As for [`Weight::rows`].
    pub fn wide(&mut self, rows: Rows<'_>, x: &CudaSlice<T>, y: &mut CudaSlice<f32>) -> Result<()> {
        let bias = match &self.bias {
            Some(Bias::Wide(bias)) => Some(bias),
            _ => None,
        };
        multiply(&mut self.multiplier, self.form, rows, Operands { x, w: &*self.matrix, bias, y })
    }
}

fn multiply<T: Stored, O: Number + DeviceRepr>(
    multiplier: &mut Multiplier,
    form: Form,
    rows: Rows<'_>,
    operands: Operands<'_, CudaSlice<T>, CudaSlice<T>, CudaSlice<O>, CudaSlice<O>>,
) -> Result<()> {
    match multiplier {
        Multiplier::Lt(matmul) => matmul.launch::<T, O>(rows.most, operands),
        Multiplier::Own(gemm) => {
            let Operands { x, w, bias, y } = operands;
            let (x, w, bias) = (x.as_view(), w.as_view(), bias.map(CudaSlice::as_view));
            let product = Product { x: &x, w: &w, bias: bias.as_ref(), outputs: form.outputs, add: false };
            gemm.multiply(Rows { width: form.inputs, ..rows }, &product, &mut y.as_view_mut())
        }
    }
}
