//! The bitwise sweep of every operation: batch invariance, and the same bits for any threads and chunking.
//!
//! Tiny models hide what breaks this (K never splits below 512, small products never thread), so the sweep uses the shapes
//! of real models. The last tests put back what the design forbids, the one-row product and the padded softmax, and show
//! that the sweep sees it.

use candle_core::{Device, Tensor};

use super::activation::{self, Activation};
use super::attention::{self, AttentionShape};
use super::cache::{BLOCK_SIZE, CacheShape, KvCache};
use super::linear::{Kind, Linear, Quantized, Weights};
use super::norm::{Norm, NormKind};
use super::relative::{self, Bias, Disentangled, PositionBlocks};
use super::rotary::{self, HeadNorm, Heads, Rope, RopeRows};
use super::rows::Rows;
use crate::sampling;
use crate::scheduler::backend::Segment;

/// Pseudo-random values in [-1, 1) that differ from index to index.
fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len).map(|i| (sampling::uniform(seed, i as u32) * 2.0 - 1.0) as f32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Numbers of rows around every boundary of tiles, blocks and thread splits, up to `most`.
fn row_counts(most: usize) -> impl Iterator<Item = usize> {
    [1, 2, 3, 5, 8, 16, 17, 31, 32, 33, 48, 63, 64, 65, 96, 128, 129, 192, 256, 300, 511, 512]
        .into_iter()
        .filter(move |m| *m < most)
}

/// Rows of `forward` over `rows` rows must equal the same rows computed among `most`, whatever the threads and offset.
fn first_difference(inputs: usize, most: usize, forward: impl Fn(Rows) -> Vec<f32> + Sync) -> Option<String> {
    let x = values(most * inputs, 7);
    let part = |from: usize, rows: usize| Rows::new(x[from * inputs..(from + rows) * inputs].to_vec(), inputs);
    let whole = with_threads(2, || forward(part(0, most)));
    let width = whole.len() / most;
    for rows in row_counts(most) {
        for threads in [1, 2] {
            for from in [0, most - rows] {
                let got = with_threads(threads, || forward(part(from, rows)));
                if bits(&got) != bits(&whole[from * width..(from + rows) * width]) {
                    return Some(format!("{rows} rows from {from}, {threads} threads"));
                }
            }
        }
    }
    None
}

fn gated(x: &Rows, activation: Activation) -> Rows {
    x.map(x.columns() / 2, |row, out| activation::gated_row(row, out, activation))
}

/// Types of weights.
#[derive(Clone, Copy, Debug)]
enum Of {
    F32,
    Bf16,
    Quantized(Kind),
}

/// Random bytes as the blocks of a quantised type, with scales that keep the weights near one.
fn blocks(kind: Kind, count: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..count * kind.bytes()).map(|i| (sampling::uniform(9, i as u32) * 256.0) as u8).collect();
    let half = |x: f32| half::f16::from_f32(x).to_le_bytes();
    for (index, block) in bytes.chunks_exact_mut(kind.bytes()).enumerate() {
        let scale = half((1.0 + (index % 7) as f32) / f32::from(1u16 << if kind.block() == 256 { 10 } else { 6 }));
        let at = match kind {
            Kind::Q2K => 80,
            Kind::Q3K => 108,
            Kind::Q6K => 208,
            _ => 0,
        };
        block[at..at + 2].copy_from_slice(&scale);
        if kind.minimum() {
            block[at + 2..at + 4].copy_from_slice(&half(0.01));
        }
    }
    bytes
}

fn weights(of: Of, inputs: usize, outputs: usize) -> Weights {
    let plain = values(inputs * outputs, 3);
    let get = |output: usize, input: usize| plain[output * inputs + input];
    match of {
        Of::F32 => Weights::f32(inputs, outputs, get),
        Of::Bf16 => Weights::bf16(inputs, outputs, get),
        Of::Quantized(kind) => {
            let bytes = blocks(kind, outputs * inputs / kind.block());
            Weights::Quantized(Quantized::pack(kind, &bytes, inputs, outputs, |row| row))
        }
    }
}

fn linear(of: Of, inputs: usize, outputs: usize) -> Linear {
    Linear::new(vec![(outputs, weights(of, inputs, outputs))], inputs, Some(values(outputs, 4)))
}

#[test]
fn products_do_not_depend_on_their_companions() {
    // Inputs × outputs of SmolLM2-135M, MiniLM, BERT-base, Qwen2.5-0.5B, narrow heads, and a wide vocabulary.
    let shapes: [(usize, usize); 11] = [
        (576, 960),
        (576, 3072),
        (1536, 576),
        (384, 1152),
        (768, 64),
        (768, 2),
        (768, 3072),
        (896, 1152),
        (896, 9728),
        (4864, 896),
        (576, 49152),
    ];
    let types = [Of::F32, Of::Bf16, Of::Quantized(Kind::Q8_0), Of::Quantized(Kind::Q4K), Of::Quantized(Kind::Q6K)];
    let rare = [Kind::Q2K, Kind::Q3K].map(|kind| (Of::Quantized(kind), (768, 64)));
    for (of, (inputs, outputs)) in types.into_iter().flat_map(|of| shapes.map(|shape| (of, shape))).chain(rare) {
        if matches!(of, Of::Quantized(kind) if !inputs.is_multiple_of(kind.block())) {
            continue;
        }
        let most = if outputs > 20_000 { 130 } else { 600 };
        let layer = linear(of, inputs, outputs);
        let difference = first_difference(inputs, most, |x| layer.forward(&x).values().to_vec());
        assert_eq!(difference, None, "{of:?} {inputs}×{outputs}");
    }
}

#[test]
fn row_operations_do_not_depend_on_their_companions() {
    for width in [24, 576, 896, 1000, 4864] {
        for (kind, bias) in [(NormKind::Rms, None), (NormKind::Layer, Some(values(width, 5)))] {
            let norm = Norm { kind, weight: values(width, 6), bias, eps: 1e-6 };
            assert_eq!(first_difference(width, 200, |x| norm.forward(&x).values().to_vec()), None, "{kind:?} {width}");
        }
        for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Tanh] {
            let difference = first_difference(width, 200, |mut x| {
                activation::activate(&mut x, activation);
                x.values().to_vec()
            });
            assert_eq!(difference, None, "{activation:?} {width}");
            let difference = first_difference(width, 200, |x| gated(&x, activation).values().to_vec());
            assert_eq!(difference, None, "gated {activation:?} {width}");
        }
    }
    let frequencies: Vec<f64> = (0..32).map(|i| libm::pow(10_000.0, -f64::from(i) / 32.0)).collect();
    let norm = Norm { kind: NormKind::Rms, weight: values(64, 8), bias: None, eps: 1e-6 };
    let norm = HeadNorm::Each(vec![norm]);
    let heads = Heads { queries: 9, keys: 3, size: 64, query_norm: &norm, key_norm: &norm };
    let rope = Rope::fixed(frequencies);
    // Every row at the same position, so that offsets in the sweep do not change what is asked.
    let difference = first_difference(15 * 64, 200, |mut x| {
        let rope = RopeRows::new(&vec![1234; x.rows()], &vec![0; x.rows()], &rope);
        rotary::prepare_heads(&mut x, &heads, Some(&rope));
        x.values().to_vec()
    });
    assert_eq!(difference, None, "rotation");
}

/// Attention of one sequence fed to the cache in chunks, beside neighbours that come and go.
struct Fed<'a> {
    shape: AttentionShape,
    qkv: &'a [f32],
    len: usize,
    /// Whether the cache keeps bfloat16.
    bf16: bool,
}

impl Fed<'_> {
    fn cache(&self, blocks: usize) -> KvCache {
        let shape = CacheShape { bf16: self.bf16, layers: 1, heads: self.shape.keys, size: self.shape.size };
        let mut cache = KvCache::new(shape, blocks).unwrap();
        // Blocks come back dirty from other sequences, at worst from one that failed.
        let width = (self.shape.queries + 2 * self.shape.keys) * self.shape.size;
        let all: Vec<u32> = (0..blocks as u32).collect();
        let segment = Segment { start: 0, len: blocks * BLOCK_SIZE, blocks: all, rotation: 0 };
        let dirty = Rows::new(vec![f32::NAN; blocks * BLOCK_SIZE * width], width);
        cache.layers[0].write(&dirty, self.shape.queries, &[segment]);
        cache
    }

    /// All outputs of the sequence; `neighbours` shorter sequences share every step.
    fn run(&self, chunk: usize, neighbours: usize) -> Vec<f32> {
        let width = (self.shape.queries + 2 * self.shape.keys) * self.shape.size;
        let own = self.len.div_ceil(BLOCK_SIZE);
        let mut cache = self.cache(own + neighbours);
        let mut out = Vec::new();
        for start in (0..self.len).step_by(chunk) {
            let len = chunk.min(self.len - start);
            let mut rows: Vec<f32> = Vec::new();
            let mut segments = Vec::new();
            for n in 0..neighbours {
                let count = 1 + (start + n) % 5;
                rows.extend(values(count * width, 100 + n as u64));
                segments.push(Segment { start: n % 7, len: count, blocks: vec![(own + n) as u32], rotation: 0 });
            }
            let before: usize = segments.iter().map(|s| s.len).sum();
            rows.extend_from_slice(&self.qkv[start * width..(start + len) * width]);
            // Blocks in no particular order: where they lie must not matter.
            let blocks = (0..(start + len).div_ceil(BLOCK_SIZE)).map(|p| (own - 1 - p) as u32).collect();
            segments.push(Segment { start, len, blocks, rotation: 0 });
            let qkv = Rows::new(rows, width);
            cache.layers[0].write(&qkv, self.shape.queries, &segments);
            let attended = attention::paged(&qkv, &cache.layers[0], &segments, &self.shape);
            out.extend_from_slice(&attended.values()[before * self.shape.queries * self.shape.size..]);
        }
        out
    }
}

#[test]
fn attention_does_not_depend_on_chunks_neighbours_or_threads() {
    for (queries, keys, size, window, soft_cap, len) in [
        (14, 2, 64, None, None, 1500),
        (14, 2, 64, Some(300), None, 1500),
        (9, 3, 64, None, None, 333),
        (4, 4, 24, Some(16), None, 200),
        (4, 2, 256, Some(100), Some(0.5), 300),
        (2, 1, 128, None, None, 260),
    ] {
        let shape = AttentionShape { queries, keys, size, scale: 0.125, soft_cap, window };
        let qkv = values(len * (queries + 2 * keys) * size, 9);
        // Numbers that bfloat16 holds exactly: kept as such, they must give what they give as f32.
        let exact: Vec<f32> = qkv.iter().map(|x| half::bf16::from_f32(*x).to_f32()).collect();
        let f32_of_exact = with_threads(1, || Fed { shape, qkv: &exact, len, bf16: false }.run(len, 0));
        for (bf16, qkv) in [(false, &qkv), (true, &exact)] {
            let fed = Fed { shape, qkv, len, bf16 };
            let whole = with_threads(2, || fed.run(len, 0));
            assert!(whole.iter().all(|x| x.is_finite()), "stale blocks must not show");
            for (chunk, neighbours, threads) in [(1, 3, 2), (8, 0, 1), (31, 5, 2), (32, 2, 1), (100, 1, 2), (len, 9, 1)]
            {
                let got = with_threads(threads, || fed.run(chunk, neighbours));
                let case =
                    format!("{queries}/{keys}×{size}, window {window:?}: chunks of {chunk}, {neighbours} neighbours");
                assert!(bits(&got) == bits(&whole), "{case}, bf16 {bf16}");
            }
            if bf16 {
                assert!(bits(&whole) == bits(&f32_of_exact), "{queries}/{keys}×{size}")
            } else {
                check_attention(&shape, qkv, len, &whole)
            }
        }
    }
}

/// Against the definition in f64, for a few rows.
fn check_attention(shape: &AttentionShape, qkv: &[f32], len: usize, got: &[f32]) {
    let width = (shape.queries + 2 * shape.keys) * shape.size;
    let part = |token: usize, head: usize| &qkv[token * width + head * shape.size..][..shape.size];
    for token in [0, 1, 31, 32, 33, len / 2, len - 1] {
        for head in 0..shape.queries {
            let key_head = shape.queries + head / (shape.queries / shape.keys);
            let from = shape.window.map_or(0, |w| (token + 1).saturating_sub(w));
            let dot = |key: usize| -> f64 {
                let pairs = part(token, head).iter().zip(part(key, key_head));
                let score = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>() * f64::from(shape.scale);
                shape.soft_cap.map_or(score, |cap| f64::from(cap) * libm::tanh(score / f64::from(cap)))
            };
            let scores: Vec<f64> = (from..=token).map(dot).collect();
            let highest = scores.iter().fold(f64::MIN, |a, b| a.max(*b));
            let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
            let sum: f64 = weights.iter().sum();
            for i in 0..shape.size {
                let value = |key: usize| f64::from(part(key, key_head + shape.keys)[i]);
                let right: f64 = weights.iter().zip(from..).map(|(w, key)| w / sum * value(key)).sum();
                let at = (token * shape.queries + head) * shape.size + i;
                assert!(
                    (f64::from(got[at]) - right).abs() < 2e-6,
                    "token {token} head {head}: {} not {right}",
                    got[at]
                );
            }
        }
    }
}

/// What a row does not see may be any number, none included: 0 · NaN is NaN, so that it must be left out.
#[test]
fn what_a_row_does_not_see_does_not_reach_it() {
    for (queries, keys, size, window, len) in [
        (4, 4, 24, None, 130),
        (4, 4, 24, Some(16), 200),
        (9, 3, 64, None, 97),
        (4, 2, 64, Some(40), 150),
        (8, 1, 16, None, 70),
    ] {
        let shape = AttentionShape { queries, keys, size, scale: 0.125, soft_cap: None, window };
        let (width, out) = ((queries + 2 * keys) * size, queries * size);
        let clean = values(len * width, 12);
        let whole = |qkv: &[f32], chunk: usize| with_threads(2, || Fed { shape, qkv, len, bf16: false }.run(chunk, 2));
        let expected = whole(&clean, len);
        for poisoned in [7, 31, 32, 47, 66] {
            for value in [f32::NAN, f32::INFINITY] {
                let mut qkv = clean.clone();
                qkv[poisoned * width + queries * size..(poisoned + 1) * width].fill(value);
                for chunk in [1, 5, 8, 13, len] {
                    let got = whole(&qkv, chunk);
                    for token in 0..len {
                        let sees = token >= poisoned && window.is_none_or(|window| token < poisoned + window);
                        let (row, right) = (&got[token * out..][..out], &expected[token * out..][..out]);
                        let case =
                            format!("{queries}/{keys}×{size}, window {window:?}, chunks of {chunk}, token {token}");
                        assert_eq!(row.iter().any(|x| x.is_nan()), sees, "{case}: {value} at {poisoned}");
                        assert!(sees || bits(row) == bits(right), "{case}: {value} at {poisoned}");
                    }
                }
            }
        }
        // In both directions, a window is what keeps a row from a key.
        let Some(window) = window else { continue };
        let both = |qkv: &[f32]| attention::bidirectional(&Rows::new(qkv.to_vec(), width), &[len], &shape, None);
        let (expected, mut poisoned) = (both(&clean), clean.clone());
        poisoned[66 * width + queries * size..67 * width].fill(f32::NAN);
        let got = both(&poisoned);
        for token in 0..len {
            let sees = token.abs_diff(66) <= window / 2;
            let [row, right] = [&got, &expected].map(|rows| &rows.values()[token * out..][..out]);
            assert!(
                if sees { row.iter().any(|x| x.is_nan()) } else { bits(row) == bits(right) },
                "both ways, token {token}"
            );
        }
    }
}

#[test]
fn packed_encoder_attention_does_not_depend_on_neighbours() {
    let shape = AttentionShape { queries: 12, keys: 12, size: 32, scale: 0.2, soft_cap: None, window: None };
    let width = 36 * 32;
    for len in [1, 7, 24, 32, 33, 130] {
        let own = values(len * width, 11);
        let alone = {
            let qkv = Rows::new(own.clone(), width);
            with_threads(1, || attention::bidirectional(&qkv, &[len], &shape, None))
        };
        let others = [5, 64, 1];
        let mut rows = values(others.iter().sum::<usize>() * width, 12);
        let before = rows.len() / width;
        rows.extend_from_slice(&own);
        let qkv = Rows::new(rows, width);
        let lengths = [5, 64, 1, len];
        let packed = with_threads(2, || attention::bidirectional(&qkv, &lengths, &shape, None));
        assert_eq!(bits(&packed.values()[before * 12 * 32..]), bits(alone.values()), "{len} tokens");
    }
}

/// Rows at any place, with any neighbours and threads, against the definition in f64.
#[test]
fn attention_with_summands_does_not_depend_on_neighbours() {
    let (heads, size, scale) = (4, 24, 0.17);
    let (width, span) = (heads * size, 40);
    let vectors = [values(2 * span * width, 31), values(2 * span * width, 32)];
    let options = Disentangled {
        content_to_position: true,
        position_to_content: true,
        shared: false,
        norm: false,
        span,
        bucketed_to: Some(200),
    };
    let [keys, queries] = vectors.each_ref().map(|rows| Some(PositionBlocks::new(rows, heads, size)));
    let disentangled = Bias::Disentangled { options: options.clone(), keys, queries, scale };
    let buckets = Bias::Buckets { table: values(32 * heads, 33), heads };
    for (window, len) in [None, Some(18)].into_iter().flat_map(|w| [1, 7, 31, 32, 33, 150].map(|len| (w, len))) {
        let shape = AttentionShape { queries: heads, keys: heads, size, scale, soft_cap: None, window };
        let own = values(len * 3 * width, 34);
        for bias in [&disentangled, &buckets] {
            let attend = |rows: Vec<f32>, lengths: &[usize], threads| {
                let qkv = Rows::new(rows, 3 * width);
                let attended = with_threads(threads, || attention::bidirectional(&qkv, lengths, &shape, Some(bias)));
                attended.values().to_vec()
            };
            let alone = attend(own.clone(), &[len], 1);
            let beside = [values(70 * 3 * width, 35), own.clone()].concat();
            let packed = attend(beside, &[5, 64, 1, len], 2);
            assert_eq!(bits(&packed[70 * width..]), bits(&alone), "{len} tokens, window {window:?}");
            let part = |token: usize, at: usize, head: usize| &own[(token * 3 + at) * width + head * size..][..size];
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
            for (token, head) in [0, len / 2, len - 1].into_iter().flat_map(|t| (0..heads).map(move |h| (t, h))) {
                let query = part(token, 0, head);
                let score = |key: usize| {
                    let own = dot(query, part(key, 1, head)) * f64::from(scale);
                    let place = match bias {
                        Bias::Buckets { table, .. } => {
                            f64::from(table[relative::bucket(key as i64 - token as i64) * heads + head])
                        }
                        Bias::Disentangled { .. } => {
                            let at = options.row(token as i64 - key as i64) * width + head * size;
                            let sum = dot(query, &vectors[0][at..at + size])
                                + dot(part(key, 1, head), &vectors[1][at..at + size]);
                            sum * f64::from(scale)
                        }
                    };
                    let near = window.is_none_or(|w| token.abs_diff(key) <= w / 2);
                    if near { (own + place).exp() } else { 0.0 }
                };
                let weights: Vec<f64> = (0..len).map(score).collect();
                let sum: f64 = weights.iter().sum();
                for i in 0..size {
                    let right: f64 = (0..len).map(|key| weights[key] / sum * f64::from(part(key, 2, head)[i])).sum();
                    let got = f64::from(alone[token * width + head * size + i]);
                    assert!((got - right).abs() < 2e-5, "token {token} of {len}, head {head}: {got} not {right}");
                }
            }
        }
    }
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// What the design forbids must be seen by the sweep: a lone row goes to a matrix-vector kernel with its own order.
#[test]
fn the_sweep_sees_the_one_row_path() {
    let (inputs, outputs) = (4864, 896);
    let weight = Tensor::from_vec(values(inputs * outputs, 3), (inputs, outputs), &Device::Cpu).unwrap();
    // candle's own product does not double a lone row.
    let difference = first_difference(inputs, 64, |x| {
        let x = Tensor::from_slice(x.values(), (x.rows(), inputs), &Device::Cpu).unwrap();
        flat(&x.matmul(&weight).unwrap())
    });
    assert!(difference.is_some_and(|d| d.starts_with("1 rows")));
}

/// A softmax over a padded width rounds differently from one over the real width, though the padding weighs nothing.
#[test]
fn the_sweep_sees_a_padded_softmax() {
    let scores = values(24, 13);
    let softmax = |width: usize| {
        let mut padded = vec![f32::NEG_INFINITY; width];
        padded[..24].copy_from_slice(&scores);
        let row = Tensor::from_vec(padded, (1, width), &Device::Cpu).unwrap();
        flat(&candle_nn::ops::softmax_last_dim(&row).unwrap())[..24].to_vec()
    };
    let differs = [25, 32, 40, 64, 100].into_iter().any(|width| bits(&softmax(width)) != bits(&softmax(24)));
    assert!(differs, "candle's softmax became invariant; this test needs another example");
}

/// Golden bits of karat's own kernels, equal on every instruction set. Whoever changes them raises `NUMERICS_VERSION`:
/// records of the two versions differ without any model having changed.
#[test]
fn golden_bits() {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    let mut add = |values: &[f32]| values.iter().for_each(|x| hash.update(x.to_bits().to_le_bytes()));
    let shape = AttentionShape { queries: 4, keys: 2, size: 40, scale: 0.158, soft_cap: None, window: Some(70) };
    let qkv = values(150 * 8 * 40, 21);
    add(&Fed { shape, qkv: &qkv, len: 150, bf16: false }.run(37, 1));
    let mut x = Rows::new(values(5 * 100, 22), 100);
    for (kind, bias) in [(NormKind::Rms, None), (NormKind::Layer, Some(values(100, 23)))] {
        let norm = Norm { kind, weight: values(100, 24), bias, eps: 1e-5 };
        add(norm.forward(&x).values());
    }
    for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Tanh] {
        add(gated(&x, activation).values());
    }
    let rope = Rope::fixed(vec![1.0, 0.3, 0.01, 1e-4]);
    let rope = RopeRows::new(&[0, 3, 77, 4000, 100_000], &[0; 5], &rope);
    let none = HeadNorm::Each(Vec::new());
    let heads = Heads { queries: 8, keys: 2, size: 10, query_norm: &none, key_norm: &none };
    rotary::prepare_heads(&mut x, &heads, Some(&rope));
    add(x.values());
    let x = Rows::new(values(5 * 768, 26), 768);
    for of in [Of::F32, Of::Bf16, Of::Quantized(Kind::Q8_0), Of::Quantized(Kind::Q4K), Of::Quantized(Kind::Q6K)] {
        add(linear(of, 768, 70).forward(&x).values());
    }
    let row = values(3000, 25);
    let (logprob, _) = sampling::score(&row, 17).unwrap();
    hash.update(logprob.to_bits().to_le_bytes());
    let got = crate::hash::hex(&hash.finalize()[..8]);
    assert_eq!((crate::device::NUMERICS_VERSION, got.as_str()), (2, "4392490b4cefce45"));
}
