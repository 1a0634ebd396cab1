//! The CPU engine beside the floor of the machine, on random weights in real shapes.
//!
//! `floor` is what all threads together can compute on registers and read from memory; the floor of a workload is its FLOPs
//! or bytes over that rate. `product` is one fused layer in every type of weights. The decoder has the layer shape and head
//! of SmolLM2-135M with six of its thirty layers, the encoder is all of MiniLM-L6. A workload's FLOPs are printed as its
//! throughput's denominator: divide elements/s by the floor's to see how far it is.
//!
//! `cargo bench --bench engine`
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use karat::engine::cpu::linear::{Kind, Linear, Quantized, Weights};
use karat::engine::cpu::simd::{DotKernel, Dots, InstructionSet, WIDTH, dispatch_dots_on};
use karat::engine::cpu::{BLOCK_SIZE, Decoder, Encoder, Rows};
use karat::engine::models::HeadKind;
use karat::engine::models::families;
use karat::engine::models::families::Config;
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::options::DtypeChoice;
use karat::engine::scheduler::backend::{Backend, Encoded, EncoderBackend, OutputKind, OutputRequest, Segment, Step};
use karat::engine::{Pooling, Sampling, sampling as sampler};
use rayon::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

const HIDDEN: usize = 576;
const INNER: usize = 1536;
const LAYERS: usize = 6;
const VOCAB: usize = 49152;

/// Writes a model folder with random weights of the given names and shapes.
fn write_model(folder: &Path, config: &serde_json::Value, shapes: &[(String, Vec<usize>)]) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let data: HashMap<&str, Vec<u8>> = shapes
        .iter()
        .map(|(name, shape)| {
            let len: usize = shape.iter().product();
            let values = (0..len).flat_map(|i| ((sampler::uniform(1, i as u32) as f32 - 0.5) * 0.1).to_le_bytes());
            (name.as_str(), values.collect())
        })
        .collect();
    let views = shapes.iter().map(|(name, shape)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), &data[name.as_str()]).unwrap())
    });
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
}

fn decoder() -> Decoder {
    let folder = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": "llama", "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": 9, "num_key_value_heads": 3,
        "max_position_embeddings": 2048, "tie_word_embeddings": true,
    });
    let mut shapes = vec![
        ("model.embed_tokens.weight".to_owned(), vec![VOCAB, HIDDEN]),
        ("model.norm.weight".to_owned(), vec![HIDDEN]),
    ];
    for layer in 0..LAYERS {
        for (part, shape) in [
            ("input_layernorm", vec![HIDDEN]),
            ("post_attention_layernorm", vec![HIDDEN]),
            ("self_attn.q_proj", vec![576, HIDDEN]),
            ("self_attn.k_proj", vec![192, HIDDEN]),
            ("self_attn.v_proj", vec![192, HIDDEN]),
            ("self_attn.o_proj", vec![HIDDEN, 576]),
            ("mlp.gate_proj", vec![INNER, HIDDEN]),
            ("mlp.up_proj", vec![INNER, HIDDEN]),
            ("mlp.down_proj", vec![HIDDEN, INNER]),
        ] {
            shapes.push((format!("model.layers.{layer}.{part}.weight"), shape));
        }
    }
    write_model(folder.path(), &config, &shapes);
    let folder = ModelFolder::new(folder.path());
    let spec = families::decoder(&Config::read(&folder).unwrap()).unwrap();
    Decoder::load(&folder, spec, DtypeChoice::Auto, 64 * 512 / BLOCK_SIZE).unwrap()
}

/// FLOPs of the products of one row through the layers, and through the head.
const LAYER_FLOPS: usize = 2 * LAYERS * (HIDDEN * (960 + 2 * INNER) + (576 + INNER) * HIDDEN);
const HEAD_FLOPS: usize = 2 * HIDDEN * VOCAB;

/// One decode step of `sequences`, each at position `context`.
fn decode_step(sequences: usize, context: usize) -> Step {
    let blocks = (context + 1).div_ceil(BLOCK_SIZE);
    let segment = |s: usize| Segment {
        start: context,
        len: 1,
        blocks: (0..blocks).map(|p| (s * blocks + p) as u32).collect(),
        rotation: 0,
    };
    let kind = OutputKind::Next { sampling: Sampling::default(), key: 0, position: 0 };
    Step {
        tokens: (0..sequences).map(|s| (s * 37 % VOCAB) as u32).collect(),
        segments: (0..sequences).map(segment).collect(),
        outputs: (0..sequences).map(|row| OutputRequest { row, kind }).collect(),
        ..Step::default()
    }
}

/// Fused steps on registers alone, as many chains as hide their latency: what the processor can do at most.
struct Peak {
    bf16: bool,
}

const PEAK_STEPS: usize = 200_000;

impl Peak {
    #[inline(always)]
    fn chains<L: Dots, const CHAINS: usize>(&self) -> (usize, f32) {
        let (x, y) = (black_box(L::splat(1e-3)), black_box(L::splat(0.5)));
        let mut sums = [x; CHAINS];
        for _ in 0..PEAK_STEPS {
            for sum in &mut sums {
                *sum = if self.bf16 { sum.dot_bf16(x, y) } else { sum.fma(x, y) };
            }
        }
        let flops = 2 * WIDTH * CHAINS * PEAK_STEPS * if self.bf16 { 2 } else { 1 };
        (flops, sums.into_iter().map(|sum| sum.to_array()[0]).sum())
    }
}

impl DotKernel for Peak {
    type Output = (usize, f32);

    #[inline(always)]
    fn run<L: Dots>(self) -> Self::Output {
        if L::WIDE { self.chains::<L, 24>() } else { self.chains::<L, 6>() }
    }
}

/// What all threads together can compute and read.
fn floor(c: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let mut group = c.benchmark_group("floor");
    for (name, bf16) in [("f32-flops", false), ("bf16-flops", true)] {
        let peak = |_| dispatch_dots_on(InstructionSet::detect(), Peak { bf16 });
        group.throughput(Throughput::Elements((peak(()).0 * threads) as u64));
        group.bench_function(name, |b| b.iter(|| rayon::broadcast(|_| black_box(peak(())))));
    }
    let memory = vec![1u64; 64 << 20];
    group.throughput(Throughput::Bytes(8 * memory.len() as u64));
    group.bench_function("bytes-read", |b| {
        b.iter(|| memory.par_chunks(memory.len() / threads).map(|part| part.iter().sum::<u64>()).max());
    });
    group.finish();
}

/// One layer's product with its weights in every type, from one row to a full step; the layers of a model in turn, so that
/// weights come from memory as they do in a step.
fn product(c: &mut Criterion) {
    const COPIES: usize = 30;
    let mut group = c.benchmark_group("product");
    group.sample_size(20);
    let plain: Vec<f32> = (0..HIDDEN * 2 * INNER).map(|i| sampler::uniform(1, i as u32) as f32 - 0.5).collect();
    let get = |output: usize, input: usize| plain[output * HIDDEN + input];
    let blocks = vec![0x11u8; HIDDEN / 32 * 2 * INNER * Kind::Q8_0.bytes()];
    let make = |of: &str| match of {
        "f32" => Weights::f32(HIDDEN, 2 * INNER, get),
        "bf16" => Weights::bf16(HIDDEN, 2 * INNER, get),
        _ => Weights::Quantized(Quantized::pack(Kind::Q8_0, &blocks, HIDDEN, 2 * INNER, |row| row)),
    };
    for of in ["f32", "bf16", "q8_0"] {
        let layers: Vec<Linear> = (0..COPIES).map(|_| Linear::new(vec![(2 * INNER, make(of))], HIDDEN, None)).collect();
        for rows in [1usize, 8, 32, 64, 128, 512] {
            let x = Rows::new(vec![0.5; rows * HIDDEN], HIDDEN);
            let mut out = Vec::new();
            group.throughput(Throughput::Elements((2 * COPIES * rows * HIDDEN * 2 * INNER) as u64));
            group.bench_with_input(BenchmarkId::new(of, rows), &x, |b, x| {
                b.iter(|| {
                    rayon::scope(|_| layers.iter().for_each(|layer| layer.forward_into(x, &mut out)));
                });
            });
        }
    }
    group.finish();
}

fn generate(c: &mut Criterion) {
    let mut model = decoder();
    let mut group = c.benchmark_group("generate");
    group.sample_size(20);
    for rows in [1, 8, 32, 64, 128] {
        let step = decode_step(rows, 200);
        let flops = rows * (LAYER_FLOPS + HEAD_FLOPS);
        group.throughput(Throughput::Elements(rows as u64));
        let name = format!("decode-tokens ({} MFLOP/token)", flops / rows / 1_000_000);
        group.bench_with_input(BenchmarkId::new(name, rows), &step, |b, step| b.iter(|| model.step(step).unwrap()));
    }
    for rows in [128usize, 512] {
        let blocks = (0..rows.div_ceil(BLOCK_SIZE) as u32).collect();
        let step = Step {
            tokens: (0..rows as u32).collect(),
            segments: vec![Segment { start: 0, len: rows, blocks, rotation: 0 }],
            ..Step::default()
        };
        group.throughput(Throughput::Elements(rows as u64));
        let name = format!("prefill-tokens ({} MFLOP/token)", LAYER_FLOPS / 1_000_000);
        group.bench_with_input(BenchmarkId::new(name, rows), &step, |b, step| b.iter(|| model.step(step).unwrap()));
    }
    group.finish();
}

fn embed(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let (width, inner, layers, vocab) = (384, 1536, 6, 30522);
    let config = json!({
        "model_type": "bert", "vocab_size": vocab, "hidden_size": width, "intermediate_size": inner,
        "num_hidden_layers": layers, "num_attention_heads": 12, "max_position_embeddings": 512,
    });
    let mut shapes = vec![
        ("embeddings.word_embeddings.weight".to_owned(), vec![vocab, width]),
        ("embeddings.position_embeddings.weight".to_owned(), vec![512, width]),
        ("embeddings.token_type_embeddings.weight".to_owned(), vec![2, width]),
        ("embeddings.LayerNorm.weight".to_owned(), vec![width]),
        ("embeddings.LayerNorm.bias".to_owned(), vec![width]),
    ];
    for layer in 0..layers {
        for (part, outputs, inputs) in [
            ("attention.self.query", width, width),
            ("attention.self.key", width, width),
            ("attention.self.value", width, width),
            ("attention.output.dense", width, width),
            ("intermediate.dense", inner, width),
            ("output.dense", width, inner),
        ] {
            shapes.push((format!("encoder.layer.{layer}.{part}.weight"), vec![outputs, inputs]));
            shapes.push((format!("encoder.layer.{layer}.{part}.bias"), vec![outputs]));
        }
        for part in ["attention.output.LayerNorm", "output.LayerNorm"] {
            for kind in ["weight", "bias"] {
                shapes.push((format!("encoder.layer.{layer}.{part}.{kind}"), vec![width]));
            }
        }
    }
    write_model(folder.path(), &config, &shapes);
    let folder = ModelFolder::new(folder.path());
    let spec = families::encoder(&Config::read(&folder).unwrap()).unwrap();
    let mut model = Encoder::load(&folder, spec, DtypeChoice::Auto, HeadKind::Pool(Pooling::Mean, Vec::new())).unwrap();
    let mut group = c.benchmark_group("embed");
    group.sample_size(20);
    let flops = 2 * layers * (4 * width * width + 2 * width * inner);
    for length in [16, 38, 128] {
        let texts: Vec<Encoded> = (0..512 / length)
            .map(|t| Encoded {
                ids: (0..length as u32).map(|i| 1000 + i * 7 + t as u32).collect(),
                types: vec![0; length],
                skipped: 0,
            })
            .collect();
        let texts: Vec<&Encoded> = texts.iter().collect();
        group.throughput(Throughput::Elements((texts.len() * length) as u64));
        let name = format!("tokens ({} MFLOP/token)", flops / 1_000_000);
        group.bench_with_input(BenchmarkId::new(name, length), &texts, |b, texts| {
            b.iter(|| model.encode(texts).unwrap())
        });
    }
    group.finish();
}

criterion_group!(benches, floor, product, generate, embed);
criterion_main!(benches);
