//! The weights of a decoder in the memory of a GPU: what is loaded, how layers see, and whether it fits.

use std::sync::Arc;

use cudarc::driver::CudaSlice;

use super::driver::Opened;
use super::gpu::{free_of, size};
use super::launch::norm::NormWeights;
use super::layer::Layer;
use super::plan::{Heads, Mask};
use super::weight::{Products, Stored, To, Weight, matrix, upload};
use crate::cpu::layer::Loader;
use crate::error::{Error, Kind, Result};
use crate::models::model_folder::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::models::weights::{Checkpoint, count_weights};

/// The weights of a decoder.
pub struct Weights<T> {
    /// `[vocab, hidden]`; the head's own where the model shares it.
    pub embedding: Arc<CudaSlice<T>>,
    /// `[context, hidden]`, where the model has such a table.
    pub positions: Option<CudaSlice<f32>>,
    /// All layers.
    pub layers: Vec<Layer<T>>,
    /// The norm behind the last one.
    pub norm: NormWeights,
    /// What gives logits.
    pub head: Weight<T>,
}

impl<T: Stored> Weights<T> {
    /// Those of a folder on every GPU; the host reads each once.
    ///
    /// # Errors
    /// Weights that are missing or broken, or more than fits a GPU.
    pub fn load(gpus: &[Products], folder: &ModelFolder, spec: &DecoderSpec) -> Result<Vec<Self>> {
        let checkpoint = Checkpoint::open(folder, T::ON_HOST)?;
        let loader = Loader::new(&checkpoint, spec);
        let windows = windows(spec);
        let mut layers: Vec<Vec<Layer<T>>> = gpus.iter().map(|_| Vec::with_capacity(spec.layers.len())).collect();
        for (index, layer) in spec.layers.iter().enumerate() {
            let plan = windows.iter().position(|window| *window == layer.window).unwrap_or(0);
            let host = loader.layer(index)?;
            for (gpu, layers) in gpus.iter().zip(&mut layers) {
                layers.push(Layer::new(gpu, &host, (heads(spec, layer.window), plan))?);
            }
        }
        let table = loader.table()?;
        let own = (!spec.tied).then(|| loader.head()).transpose()?;
        let positions = spec.positions.then(|| loader.positions()).transpose()?;
        let norm = loader.last_norm()?;
        let rest = |(gpu, layers): (&Products, Vec<Layer<T>>)| {
            let stream = gpu.lt.stream();
            let embedding = matrix(stream, &table)?;
            let head = match &own {
                Some(head) => Weight::new(gpu, head, To::Wide)?,
                None => Weight::of(gpu, embedding.clone(), &table, To::Wide)?,
            };
            let positions = positions.as_deref().map(|table| upload(stream, table)).transpose()?;
            Ok(Self { embedding, positions, layers, norm: NormWeights::new(stream, &norm)?, head })
        };
        gpus.iter().zip(layers).map(rest).collect()
    }
}

/// Windows that layers have, each once, in the order of the layers.
pub fn windows(spec: &DecoderSpec) -> Vec<Option<usize>> {
    let mut windows = Vec::new();
    for layer in &spec.layers {
        if !windows.contains(&layer.window) {
            windows.push(layer.window);
        }
    }
    windows
}

/// The heads of a layer with this window.
pub fn heads(spec: &DecoderSpec, window: Option<usize>) -> Heads {
    let attention = &spec.attention;
    Heads {
        queries: attention.queries,
        keys: attention.keys,
        size: attention.head_size,
        scale: attention.scale,
        cap: attention.soft_cap,
        mask: Mask::causal(window),
    }
}

/// That the weights of a folder fit a GPU.
///
/// # Errors
/// They do not, with the sizes.
pub fn fits<T: Stored>(opened: &Opened, folder: &ModelFolder) -> Result<()> {
    let needed = count_weights(folder)?.values().sum::<u64>().saturating_mul(size_of::<T>() as u64);
    let (free, total) = opened.memory()?;
    if needed <= free {
        return Ok(());
    }
    let (gpu, kind) = (opened.gpu.index, T::KIND.name());
    let what = format!("{} of weights in {kind} do not fit on cuda:{gpu}", size(needed));
    // What another process holds may be free later; a GPU that is too small stays so.
    let kind = if needed > total { Kind::Input } else { Kind::Environment };
    Err(Error::new(kind, format!("{what}, where {}", free_of((free, total))))
        .at(folder.path())
        .with_hint("a model must fit one GPU: take a larger GPU, a smaller model, or `--dtype bf16` where it was f32"))
}
