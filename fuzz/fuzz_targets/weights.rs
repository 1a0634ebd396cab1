//! Weight files: arbitrary bytes as `model.safetensors`, as the index of shards and as a GGUF file, under the specification
//! of a fixture and under the one that the GGUF file itself brings.
#![no_main]

use std::sync::LazyLock;

use karat::engine::Pooling;
use karat::engine::models::families;
use karat::engine::models::families::Config;
use karat::engine::cpu::{Decoder, Encoder};
use karat::engine::models::EncoderSpec;
use karat::engine::models::{DecoderSpec, HeadKind, weight_files};
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::options::DtypeChoice;
use libfuzzer_sys::fuzz_target;

static SPECS: LazyLock<(DecoderSpec, EncoderSpec)> = LazyLock::new(|| {
    let config = |name| Config::read(&ModelFolder::new(karat_fuzz::fixture(name))).expect("a fixture");
    let decoder = families::decoder(&config("llama")).expect("a decoder");
    (decoder, families::encoder(&config("bert")).expect("an encoder"))
});

fuzz_target!(|data: &[u8]| {
    let (folder, weights) = karat_fuzz::file("model.safetensors", data);
    let (decoder, encoder) = SPECS.clone();
    if let Err(error) = Decoder::load(&ModelFolder::new(folder), decoder.clone(), DtypeChoice::Auto, 1) {
        karat_fuzz::shown(&error);
    }
    if let Err(error) = Encoder::load(&ModelFolder::new(folder), encoder, DtypeChoice::Auto, HeadKind::Pool(Pooling::Mean, Vec::new())) {
        karat_fuzz::shown(&error);
    }
    std::fs::remove_file(weights).expect("remove a file");
    let (_, index) = karat_fuzz::file("model.safetensors.index.json", data);
    if let Err(error) = weight_files(&ModelFolder::new(folder)) {
        karat_fuzz::shown(&error);
    }
    std::fs::remove_file(index).expect("remove a file");
    let (_, weights) = karat_fuzz::file("model.gguf", data);
    let own = Config::read(&ModelFolder::new(folder)).and_then(|config| families::decoder(&config));
    for spec in [own, Ok(decoder)] {
        if let Err(error) = spec.and_then(|spec| Decoder::load(&ModelFolder::new(folder), spec, DtypeChoice::Auto, 1)) {
            karat_fuzz::shown(&error);
        }
    }
    std::fs::remove_file(weights).expect("remove a file");
});
