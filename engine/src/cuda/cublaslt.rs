//! What cuBLASLt gives and takes, owned and safe: handle, descriptions of products and matrices, algorithms.
#![expect(unsafe_code, reason = "calls of cuBLASLt, which knows no safe ones")]

use std::ffi::c_void;
use std::mem::MaybeUninit;

use cudarc::cublas::sys::cublasOperation_t::CUBLAS_OP_T;
use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;
use sys::cublasLtMatmulAlgoCapAttributes_t::CUBLASLT_ALGO_CAP_STAGES_IDS;
use sys::cublasLtMatmulAlgoConfigAttributes_t as ConfigAttribute;
use sys::cublasLtMatmulDescAttributes_t as DescAttribute;
use sys::cublasLtMatmulPreferenceAttributes_t as PreferenceAttribute;

use super::algorithm::Config;

/// Result of a call.
pub type Result<T> = std::result::Result<T, CublasError>;

/// Answers that the heuristics are asked for; they have fewer.
const ANSWERS: usize = 64;

/// `CUBLASLT_CLUSTER_SHAPE_1x1x1`: a tile alone.
const ALONE: u16 = 2;

/// Owns what one function of cuBLASLt makes and another one destroys.
macro_rules! owned {
    ($(#[$doc:meta])* $name:ident, $raw:ty, $destroy:path) => {
        $(#[$doc])*
        pub struct $name($raw);

        // SAFETY: memory of the host that belongs to no thread.
        unsafe impl Send for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: made by the constructor, destroyed here alone. A failure leaves nothing to do.
                let _ = unsafe { $destroy(self.0) };
            }
        }
    };
}

owned!(/// The library, on the GPU that was current when it was made.
    Handle, sys::cublasLtHandle_t, result::destroy_handle);
owned!(/// What a product does.
    Product, sys::cublasLtMatmulDesc_t, result::destroy_matmul_desc);
owned!(/// How a matrix lies in memory.
    Layout, sys::cublasLtMatrixLayout_t, result::destroy_matrix_layout);
owned!(/// What an algorithm may need.
    Preference, sys::cublasLtMatmulPreference_t, result::destroy_matmul_pref);

// SAFETY: cuBLASLt's handle may be used by several threads at once.
unsafe impl Sync for Handle {}

impl Handle {
    pub fn new() -> Result<Self> {
        result::create_handle().map(Self)
    }
}

impl Product {
    /// `y = wᵀ · x`, both stored column by column, with sums in f32.
    pub fn new(compute: sys::cublasComputeType_t) -> Result<Self> {
        let product = Self(result::create_matmul_desc(compute, sys::cudaDataType_t::CUDA_R_32F)?);
        product.set(DescAttribute::CUBLASLT_MATMUL_DESC_TRANSA, &CUBLAS_OP_T)?;
        Ok(product)
    }

    /// Adds a vector to every column, one of y's type.
    pub fn add_bias(&self) -> Result<()> {
        self.set(DescAttribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS)
    }

    /// Where that vector is.
    pub fn bias_at(&self, pointer: u64) -> Result<()> {
        self.set(DescAttribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &pointer)
    }

    fn set<T>(&self, attribute: DescAttribute, value: &T) -> Result<()> {
        // SAFETY: `value` is what the attribute's documentation names, and is read during the call.
        unsafe { result::set_matmul_desc_attribute(self.0, attribute, (&raw const *value).cast(), size_of::<T>()) }
    }
}

impl Layout {
    /// Columns back to back.
    pub fn new(kind: sys::cudaDataType_t, rows: usize, columns: usize) -> Result<Self> {
        result::create_matrix_layout(kind, rows as u64, columns as u64, rows as i64).map(Self)
    }
}

impl Preference {
    /// At most this workspace; partial sums are never reduced; w, x and y begin at multiples of these bytes.
    pub fn new(workspace: usize, [w, x, y]: [u32; 3]) -> Result<Self> {
        let preference = Self(result::create_matmul_pref()?);
        preference.set(PreferenceAttribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace)?;
        let none = sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE;
        preference.set(PreferenceAttribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &none)?;
        preference.set(PreferenceAttribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &w)?;
        preference.set(PreferenceAttribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &x)?;
        preference.set(PreferenceAttribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &y)?;
        preference.set(PreferenceAttribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &y)?;
        Ok(preference)
    }

    fn set<T>(&self, attribute: PreferenceAttribute, value: &T) -> Result<()> {
        // SAFETY: as in `Product::set`.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, (&raw const *value).cast(), size_of::<T>()) }
    }
}

/// A product on matrices of given sizes.
pub struct Problem<'a> {
    pub handle: &'a Handle,
    pub product: &'a Product,
    pub w: &'a Layout,
    pub x: &'a Layout,
    pub y: &'a Layout,
}

/// Where its matrices are, and the scale of what y holds before.
pub struct Buffers {
    pub w: u64,
    pub x: u64,
    pub y: u64,
    pub beta: f32,
    pub workspace: (u64, usize),
}

impl Problem<'_> {
    /// What the heuristics answer, fastest first.
    pub fn heuristics(&self, preference: &Preference) -> Result<Vec<Algorithm>> {
        let mut answers = [const { MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::uninit() }; ANSWERS];
        let mut count = 0;
        // SAFETY: all descriptions are alive; at most `ANSWERS` answers are written.
        let status = unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle.0,
                self.product.0,
                self.w.0,
                self.x.0,
                self.y.0,
                self.y.0,
                preference.0,
                ANSWERS as i32,
                answers.as_mut_ptr().cast(),
                &raw mut count,
            )
        };
        status.result()?;
        let written = answers.iter().take(usize::try_from(count).unwrap_or(0));
        // SAFETY: these were written.
        let answers = written.map(|answer| unsafe { answer.assume_init_ref() });
        Ok(answers.filter(|answer| answer.state.result().is_ok()).map(|answer| Algorithm(answer.algo)).collect())
    }

    /// The workspace that an algorithm needs for this problem, if it takes it.
    pub fn needs(&self, algorithm: &Algorithm) -> Option<usize> {
        let mut answer = MaybeUninit::<sys::cublasLtMatmulHeuristicResult_t>::uninit();
        // SAFETY: all descriptions are alive; the answer is written where the status says so.
        unsafe {
            let status = sys::cublasLtMatmulAlgoCheck(
                self.handle.0,
                self.product.0,
                self.w.0,
                self.x.0,
                self.y.0,
                self.y.0,
                &raw const algorithm.0,
                answer.as_mut_ptr(),
            );
            status.result().ok().map(|()| answer.assume_init().workspaceSize)
        }
    }

    /// Puts the product on a stream.
    ///
    /// # Safety
    /// The buffers hold matrices of the problem's layouts on the handle's GPU until the product is computed.
    pub unsafe fn launch(&self, algorithm: &Algorithm, buffers: &Buffers, stream: sys::cudaStream_t) -> Result<()> {
        let (alpha, beta) = (1.0f32, buffers.beta);
        let y = buffers.y as *mut c_void;
        // SAFETY: descriptions are alive, scales are read during the call, buffers are the caller's promise.
        unsafe {
            result::matmul(
                self.handle.0,
                self.product.0,
                (&raw const alpha).cast(),
                (&raw const beta).cast(),
                buffers.w as *const c_void,
                self.w.0,
                buffers.x as *const c_void,
                self.x.0,
                y.cast_const(),
                self.y.0,
                y,
                self.y.0,
                &raw const algorithm.0,
                buffers.workspace.0 as *mut c_void,
                buffers.workspace.1,
                stream,
            )
        }
    }
}

/// An algorithm with all its attributes.
#[derive(Clone, Copy)]
pub struct Algorithm(sys::cublasLtMatmulAlgo_t);

impl Algorithm {
    /// Without split and reduction; `None` where it cannot be without.
    pub fn whole(mut self) -> Option<Self> {
        self.set(ConfigAttribute::CUBLASLT_ALGO_CONFIG_SPLITK_NUM, &1u32).ok()?;
        self.set(ConfigAttribute::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, &0u32).ok()?;
        Some(self)
    }

    /// With clusters of one tile; `None` where it knows no clusters. Whether it takes them, [`Problem::needs`] tells.
    pub fn alone(mut self) -> Option<Self> {
        self.set(ConfigAttribute::CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, &ALONE).ok()?;
        Some(self)
    }

    /// Its attributes. One that an algorithm does not have reads as 0.
    pub fn config(&self) -> Config {
        use ConfigAttribute as A;
        Config {
            id: self.get::<i32>(A::CUBLASLT_ALGO_CONFIG_ID),
            tile: self.get(A::CUBLASLT_ALGO_CONFIG_TILE_ID),
            stages: self.get(A::CUBLASLT_ALGO_CONFIG_STAGES_ID),
            split: self.get(A::CUBLASLT_ALGO_CONFIG_SPLITK_NUM),
            reduction: self.get(A::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME),
            swizzle: self.get(A::CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING),
            custom: self.get(A::CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION),
            inner: self.get::<u16>(A::CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID).into(),
            cluster: self.get::<u16>(A::CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID).into(),
        }
    }

    /// Whether it has stages to choose from.
    pub fn staged(&self) -> bool {
        let (mut stages, mut written) = ([0u32; 64], 0);
        // SAFETY: writes at most the given bytes, and how many they were.
        let status = unsafe {
            sys::cublasLtMatmulAlgoCapGetAttribute(
                &raw const self.0,
                CUBLASLT_ALGO_CAP_STAGES_IDS,
                stages.as_mut_ptr().cast(),
                size_of_val(&stages),
                &raw mut written,
            )
        };
        status.result().is_ok() && stages.iter().take(written / size_of::<u32>()).any(|stages| *stages != 0)
    }

    fn get<T: Default>(&self, attribute: ConfigAttribute) -> T {
        let (mut value, mut written) = (T::default(), 0);
        // SAFETY: writes at most the given bytes.
        let status = unsafe {
            sys::cublasLtMatmulAlgoConfigGetAttribute(
                &raw const self.0,
                attribute,
                (&raw mut value).cast(),
                size_of::<T>(),
                &raw mut written,
            )
        };
        if status.result().is_ok() { value } else { T::default() }
    }

    fn set<T>(&mut self, attribute: ConfigAttribute, value: &T) -> Result<()> {
        // SAFETY: reads the given bytes.
        let status = unsafe {
            sys::cublasLtMatmulAlgoConfigSetAttribute(
                &raw mut self.0,
                attribute,
                (&raw const *value).cast(),
                size_of::<T>(),
            )
        };
        status.result()
    }
}
