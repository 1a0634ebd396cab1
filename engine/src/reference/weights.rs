//! Tensors of a model folder as candle-transformers asks for them, and which of them it asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Error as CandleError, Result as CandleResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

use crate::error::{Error, Result};
use crate::models::weights::Checkpoint;

/// What stands before the tensors of a decoder; left out in checkpoints of the bare model.
const BASE: &str = "model.";

/// A checkpoint that remembers what was asked of it.
#[derive(Clone)]
pub(super) struct Weights(Arc<Asked>);

struct Asked {
    checkpoint: Checkpoint,
    names: Mutex<BTreeSet<String>>,
    /// The first tensor that could not be given.
    failure: Mutex<Option<Error>>,
}

impl Weights {
    pub fn new(checkpoint: Checkpoint) -> Self {
        Self(Arc::new(Asked { checkpoint, names: Mutex::default(), failure: Mutex::default() }))
    }

    /// In f32, on the CPU.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, Device::Cpu)
    }

    pub fn checkpoint(&self) -> &Checkpoint {
        &self.0.checkpoint
    }

    /// The checkpoint's name of a tensor.
    pub fn held<'a>(&self, name: &'a str) -> Option<&'a str> {
        let known = |name: &&str| self.0.checkpoint.contains(name);
        Some(name).filter(known).or_else(|| name.strip_prefix(BASE).filter(known))
    }

    /// Floats that were not asked for.
    pub fn unread(&self) -> Vec<String> {
        let asked = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.checkpoint.float_names().filter(|name| !asked.contains(*name)).map(str::to_owned).collect()
    }

    /// Why a model was not made of these weights: what was wrong with them, or else what candle-transformers says.
    pub fn failure(&self, error: CandleError, model_type: &str) -> Error {
        let own = self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        own.unwrap_or_else(|| {
            Error::input(format!("the reference backend cannot read the `{model_type}` model"))
                .at(self.0.checkpoint.folder().path().join("config.json"))
                .caused_by(error)
        })
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let name = self.held(name).unwrap_or(name);
        let values = self.0.checkpoint.array(name, shape)?;
        self.0.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        // Of headers alone there are no values: zeros that take no memory.
        let tensor = if values.is_empty() {
            Tensor::zeros(1, DType::F32, &Device::Cpu).and_then(|zero| zero.broadcast_as(shape))
        } else {
            Tensor::from_vec(values, shape, &Device::Cpu)
        };
        tensor.map_err(|e| Error::internal(format!("failed to hold tensor `{name}`")).caused_by(e))
    }
}

impl SimpleBackend for Weights {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, _: &Device) -> CandleResult<Tensor> {
        let tensor = self.tensor(name, shape.dims()).map_err(|error| {
            let told = CandleError::msg(error.chain());
            self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            told
        });
        tensor?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> CandleResult<Tensor> {
        let shape = self.held(name).and_then(|name| self.0.checkpoint.shape(name)).unwrap_or_default();
        self.get(shape.into(), name, Init::Const(0.0), dtype, device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.held(name).is_some()
    }
}
