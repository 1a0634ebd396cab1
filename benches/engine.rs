//! Tokens per second of the CPU engine beside the arithmetic floor of the machine, on random weights in real shapes.
//!
//! `floor` is the f32 product rate of all threads on a large product; the floor of a workload is its FLOPs over that rate.
//! The decoder has the layer shape and head of SmolLM2-135M with six of its thirty layers, the encoder is all of MiniLM-L6.
//! A workload's FLOPs are printed as its throughput's denominator: divide elements/s by the floor's to see how far it is.
//!
//! `cargo bench --bench engine`
#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use karat::engine::backend::{Backend, Encoded, EncoderBackend, Read, Segment, Step, Want};
use karat::engine::candle::arch::{self, Config};
use karat::engine::candle::{Decoder, Encoder, HeadKind, PAGE};
use karat::engine::{Pooling, Sampling, sampler};
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
    let spec = arch::decoder(&Config::read(folder.path()).unwrap()).unwrap();
    Decoder::load(folder.path(), spec, 64 * 512 / PAGE).unwrap()
}

/// FLOPs of the products of one row through the layers, and through the head.
const LAYER_FLOPS: usize = 2 * LAYERS * (HIDDEN * (960 + 2 * INNER) + (576 + INNER) * HIDDEN);
const HEAD_FLOPS: usize = 2 * HIDDEN * VOCAB;

/// One decode step of `sequences`, each at position `context`.
fn decode_step(sequences: usize, context: usize) -> Step {
    let pages = (context + 1).div_ceil(PAGE);
    let segment =
        |s: usize| Segment { start: context, len: 1, pages: (0..pages).map(|p| (s * pages + p) as u32).collect() };
    let want = Want::Next { sampling: Sampling::default(), key: 0, position: 0 };
    Step {
        copies: Vec::new(),
        tokens: (0..sequences).map(|s| (s * 37 % VOCAB) as u32).collect(),
        segments: (0..sequences).map(segment).collect(),
        reads: (0..sequences).map(|row| Read { row, want }).collect(),
    }
}

fn floor(c: &mut Criterion) {
    let (m, k, n) = (2048, 768, 3072);
    let (a, b) = (vec![0.5f32; m * k], vec![0.25f32; k * n]);
    let mut out = vec![0.0f32; m * n];
    let mut group = c.benchmark_group("floor");
    group.throughput(Throughput::Elements((2 * m * k * n) as u64));
    group.bench_function("product-flops", |bench| {
        bench.iter(|| {
            let threads = gemm::Parallelism::Rayon(0);
            // SAFETY: the three matrices have the shapes named.
            #[expect(unsafe_code, reason = "gemm takes pointers")]
            unsafe {
                let (o, a, b) = (out.as_mut_ptr(), a.as_ptr(), b.as_ptr());
                let (n1, k1) = (n as isize, k as isize);
                gemm::gemm(m, n, k, o, 1, n1, false, a, 1, k1, b, 1, n1, 0.0, 1.0, false, false, false, threads);
            }
            black_box(&out);
        });
    });
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
        let pages = (0..rows.div_ceil(PAGE) as u32).collect();
        let step = Step {
            copies: Vec::new(),
            tokens: (0..rows as u32).collect(),
            segments: vec![Segment { start: 0, len: rows, pages }],
            reads: Vec::new(),
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
    let spec = arch::encoder(&Config::read(folder.path()).unwrap()).unwrap();
    let mut model = Encoder::load(folder.path(), spec, HeadKind::Pool(Pooling::Mean)).unwrap();
    let mut group = c.benchmark_group("embed");
    group.sample_size(20);
    let flops = 2 * layers * (4 * width * width + 2 * width * inner);
    for length in [16, 38, 128] {
        let texts: Vec<Encoded> = (0..512 / length)
            .map(|t| Encoded {
                ids: (0..length as u32).map(|i| 1000 + i * 7 + t as u32).collect(),
                types: vec![0; length],
                truncated: 0,
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

criterion_group!(benches, floor, generate, embed);
criterion_main!(benches);
