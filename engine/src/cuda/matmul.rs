//! Products of matrices on a GPU: `y = x · wᵀ`, optionally with a bias, optionally added to what `y` holds.
//!
//! x is M×K, w is N×K, y is M×N, all row by row without gaps. x and w are in one type, f32, bf16 or f16; y is in that type or
//! in f32. Sums are in f32 throughout: no TF32, no sums in 16 bits, no split of K.
//!
//! **A row's bits do not depend on the other rows.** A [`Matmul`] belongs to one weight and has one algorithm of cuBLASLt, chosen
//! when it is made (see `algorithm`) and used for every M; where that takes no M but multiples of 16, rows are filled up. What
//! was chosen is its [`name`](Matmul::name).
//!
//! **It can be captured** in a CUDA graph: a launch allocates no memory of the GPU, waits for nothing and uses the caller's
//! buffers and one workspace, which is there from the start. All products of a [`Lt`] go through one stream, since they share
//! the workspace.

#![expect(unsafe_code, reason = "puts products on a stream with pointers into the GPU's memory")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::cublaslt::sys::{cublasComputeType_t as Compute, cudaDataType_t as DataType};
use cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DriverError};

use super::algorithm::{ALIGNMENT, Candidate, Config, REFERENCE_ROWS, Rows, alignment, choose};
use super::cublaslt::{self, Algorithm, Buffers, Handle, Layout, Preference, Problem, Product};
use crate::error::{Error, Result};

/// Bytes of the workspace: what NVIDIA recommends for Hopper. A constant, since the heuristics' answers depend on it.
const WORKSPACE: usize = 32 << 20;

/// The type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// 32 bits.
    F32,
    /// bfloat16.
    Bf16,
    /// 16 bits.
    F16,
}

impl Kind {
    fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::F32 => DataType::CUDA_R_32F,
            Self::Bf16 => DataType::CUDA_R_16BF,
            Self::F16 => DataType::CUDA_R_16F,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }
}

/// A type of numbers on a GPU.
pub trait Number {
    /// Which one.
    const KIND: Kind;
}

impl Number for f32 {
    const KIND: Kind = Kind::F32;
}

impl Number for half::bf16 {
    const KIND: Kind = Kind::Bf16;
}

impl Number for half::f16 {
    const KIND: Kind = Kind::F16;
}

/// A product, but for its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// K: values of a row of x.
    pub inputs: usize,
    /// N: values of a row of y.
    pub outputs: usize,
    /// Type of x and w.
    pub kind: Kind,
    /// Type of y and the bias: the same, or f32.
    pub output: Kind,
    /// Whether a bias of N values is added.
    pub bias: bool,
    /// Whether the product is added to what y holds.
    pub add: bool,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { inputs, outputs, kind, output, bias, add } = *self;
        write!(f, "{inputs}->{outputs} {}->{}", kind.name(), output.name())?;
        f.write_str(if bias { " + bias" } else { "" })?;
        f.write_str(if add { " + y" } else { "" })
    }
}

impl Form {
    fn check(&self) -> Result<()> {
        let typed = self.output == self.kind || self.output == Kind::F32;
        // Integers of cuBLASLt.
        let sized = [self.inputs, self.outputs].iter().all(|size| (1..=i32::MAX as usize).contains(size));
        if typed && sized { Ok(()) } else { Err(Error::internal(format!("failed to multiply {self} on a GPU"))) }
    }
}

/// cuBLASLt on a GPU, with the workspace and the stream of all its products.
pub struct Lt {
    handle: Handle,
    workspace: CudaSlice<u8>,
    stream: Arc<CudaStream>,
    /// What was chosen: a model has few forms and many weights.
    choices: Mutex<HashMap<Form, Choice>>,
}

/// What is chosen for a form.
#[derive(Clone, Copy)]
struct Choice {
    algorithm: Algorithm,
    config: Config,
    rows: Rows,
}

impl Lt {
    /// Opens cuBLASLt for a stream.
    ///
    /// # Errors
    /// The library is not there, or the GPU has no memory left.
    pub fn new(stream: &Arc<CudaStream>) -> Result<Arc<Self>> {
        let failed =
            |error: DriverError| Error::environment("failed to allocate the workspace of cuBLASLt").caused_by(error);
        stream.context().bind_to_thread().map_err(failed)?;
        let handle = Handle::new().map_err(|error| {
            Error::environment("failed to open cuBLASLt")
                .caused_by(error)
                .with_hint("is libcublasLt.so.13 in LD_LIBRARY_PATH?")
        })?;
        let workspace = stream.alloc_zeros(WORKSPACE).map_err(failed)?;
        Ok(Arc::new(Self { handle, workspace, stream: stream.clone(), choices: Mutex::default() }))
    }

    /// The stream.
    pub fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }
}

/// The matrices of one product: x of M×K, w of N×K, the bias of N values where the form has one, y of M×N. Each begins at
/// a multiple of 16 bytes, and x and y have room for [`Matmul::rows`] rows; what is in the rows beyond M is never read
/// for the others, and is overwritten in y.
pub struct Operands<'a, X, W, B, Y> {
    /// x.
    pub x: &'a X,
    /// w.
    pub w: &'a W,
    /// The bias.
    pub bias: Option<&'a B>,
    /// y.
    pub y: &'a mut Y,
}

/// The product of one weight.
pub struct Matmul {
    lt: Arc<Lt>,
    form: Form,
    product: Product,
    w: Layout,
    choice: Choice,
}

impl Matmul {
    /// Chooses the algorithm for a weight; some milliseconds for the first of a form. Equal forms get equal algorithms.
    ///
    /// # Errors
    /// A form that is none, or one for which cuBLASLt has no algorithm that is batch-invariant.
    pub fn new(lt: &Arc<Lt>, form: Form) -> Result<Self> {
        form.check()?;
        let failed =
            |error| Error::internal(format!("failed to describe the product {form} to cuBLASLt")).caused_by(error);
        let bind = lt.stream.context().bind_to_thread();
        bind.map_err(|e| Error::internal("failed to make a GPU current").caused_by(e))?;
        let product = description(lt, form).map_err(failed)?;
        let w = Layout::new(form.kind.data_type(), form.inputs, form.outputs).map_err(failed)?;
        let mut choices = lt.choices.lock().unwrap_or_else(PoisonError::into_inner);
        let choice = match choices.get(&form) {
            Some(choice) => *choice,
            None => {
                let (x, y) = shapes(form, REFERENCE_ROWS).map_err(failed)?;
                let problem = Problem { handle: &lt.handle, product: &product, w: &w, x: &x, y: &y };
                let answers = problem.heuristics(&preference(form).map_err(failed)?).map_err(failed)?;
                *choices.entry(form).or_insert(among(answers, &problem, form)?)
            }
        };
        drop(choices);
        Ok(Self { lt: lt.clone(), form, product, w, choice })
    }

    /// What it computes.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Form and algorithm. Belongs to the numerics.
    pub fn name(&self) -> String {
        let filled = if self.choice.rows == Rows::Any { "" } else { " rows filled up" };
        format!("{} {}{filled}", self.form, self.choice.config)
    }

    /// The rows that x and y must have room for.
    pub fn rows(&self, rows: usize) -> usize {
        self.choice.rows.computed(rows)
    }

    /// Puts the product of the first `rows` rows on the stream. It does not wait for it, and can be captured.
    ///
    /// # Errors
    /// Buffers that are too short, begin elsewhere than at a multiple of 16 bytes, or are of other types than the form says.
    pub fn launch<T: Number, O: Number>(
        &mut self,
        rows: usize,
        operands: Operands<'_, impl DevicePtr<T>, impl DevicePtr<T>, impl DevicePtr<O>, impl DevicePtrMut<O>>,
    ) -> Result<()> {
        let Operands { x, w, bias, y } = operands;
        let Form { inputs, outputs, kind, output, add, .. } = self.form;
        let fail =
            |what: &str| Err(Error::internal(format!("failed to multiply {rows} rows by {}: {what}", self.form)));
        let computed = self.rows(rows);
        if (T::KIND, O::KIND) != (kind, output) {
            return fail("the types are others");
        }
        if bias.is_some() != self.form.bias || bias.is_some_and(|bias| bias.len() < outputs) {
            return fail("the bias is another");
        }
        if x.len() < computed * inputs || w.len() < inputs * outputs || y.len() < computed * outputs {
            return fail("a matrix is too short");
        }
        if rows == 0 {
            return Ok(());
        }
        let stream = &self.lt.stream;
        // The guards order streams by events, of which there are none where one stream does everything.
        let (x, _x) = x.device_ptr(stream);
        let (w, _w) = w.device_ptr(stream);
        let (y, _y) = y.device_ptr_mut(stream);
        let (workspace, _workspace) = self.lt.workspace.device_ptr(stream);
        let bias = bias.map(|bias| bias.device_ptr(stream));
        let bias_at = bias.as_ref().map(|(pointer, _)| *pointer);
        if [Some(x), Some(w), Some(y), bias_at]
            .iter()
            .flatten()
            .any(|pointer| !pointer.is_multiple_of(ALIGNMENT as u64))
        {
            return fail("a buffer does not begin at a multiple of 16 bytes");
        }
        let form = self.form;
        let failed = |error| Error::internal(format!("failed to multiply {rows} rows by {form}")).caused_by(error);
        stream.context().bind_to_thread().map_err(|e| Error::internal("failed to make a GPU current").caused_by(e))?;
        if let Some(pointer) = bias_at {
            self.product.bias_at(pointer).map_err(failed)?;
        }
        let (x_layout, y_layout) = shapes(form, computed).map_err(failed)?;
        let problem =
            Problem { handle: &self.lt.handle, product: &self.product, w: &self.w, x: &x_layout, y: &y_layout };
        let beta = if add { 1.0 } else { 0.0 };
        let buffers = Buffers { w, x, y, beta, workspace: (workspace, WORKSPACE) };
        // SAFETY: types and lengths were held against the layouts; the buffers live as long as the stream's work, which cudarc
        // frees them behind.
        unsafe { problem.launch(&self.choice.algorithm, &buffers, stream.cu_stream().cast()) }.map_err(failed)
    }
}

/// What the product does. In f32 *pedantic*: no TF32, whatever the environment asks for, and no f32 put together from halves.
fn description(lt: &Lt, form: Form) -> cublaslt::Result<Product> {
    let product = Product::new(match form.kind {
        Kind::F32 => Compute::CUBLAS_COMPUTE_32F_PEDANTIC,
        Kind::Bf16 | Kind::F16 => Compute::CUBLAS_COMPUTE_32F,
    })?;
    if form.bias {
        product.add_bias()?;
        // The heuristics want to see a bias. This is none, but begins where the least aligned one may begin.
        product.bias_at(lt.workspace.device_ptr(&lt.stream).0 + ALIGNMENT as u64)?;
    }
    Ok(product)
}

fn preference(form: Form) -> cublaslt::Result<Preference> {
    let row = alignment(form.inputs * form.kind.bytes());
    Preference::new(WORKSPACE, [row, row, alignment(form.outputs * form.output.bytes())])
}

/// x and y of some rows. cuBLASLt sees columns where we see rows.
fn shapes(form: Form, rows: usize) -> cublaslt::Result<(Layout, Layout)> {
    let x = Layout::new(form.kind.data_type(), form.inputs, rows)?;
    Ok((x, Layout::new(form.output.data_type(), form.outputs, rows)?))
}

/// The one of the heuristics' answers that is used for a form.
fn among(answers: Vec<Algorithm>, problem: &Problem<'_>, form: Form) -> Result<Choice> {
    let pinned: Vec<(Algorithm, bool)> = answers.into_iter().filter_map(|answer| pin(problem, answer)).collect();
    let candidates: Vec<Candidate> = pinned
        .iter()
        .map(|(algorithm, clustered)| {
            let takes = |rows: usize| {
                let Ok((x, y)) = shapes(form, rows) else { return false };
                let problem = Problem { x: &x, y: &y, ..*problem };
                problem.needs(algorithm).is_some_and(|bytes| bytes <= WORKSPACE)
            };
            let rows = Rows::of(takes);
            Candidate { config: algorithm.config(), staged: algorithm.staged(), clustered: *clustered, rows }
        })
        .collect();
    let chosen = choose(&candidates).map_err(|error| error.context(format!("failed to multiply {form}")))?;
    Ok(Choice { algorithm: pinned[chosen].0, config: candidates[chosen].config, rows: candidates[chosen].rows })
}

/// An answer of the heuristics with nothing left open, and whether it takes clusters.
fn pin(problem: &Problem<'_>, answer: Algorithm) -> Option<(Algorithm, bool)> {
    let whole = answer.whole()?;
    if whole.config().cluster != 0 {
        return Some((whole, true));
    }
    let alone = whole.alone().filter(|alone| problem.needs(alone).is_some());
    Some(alone.map_or((whole, false), |alone| (alone, true)))
}

#[cfg(test)]
mod tests;
