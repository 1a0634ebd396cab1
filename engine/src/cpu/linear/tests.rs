//! Products against plain sums in f64, against their definition bit by bit, and blocks against candle's.

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use half::bf16;

use super::*;
use crate::sampling;

const KINDS: [(Kind, GgmlDType); 10] = [
    (Kind::Q4_0, GgmlDType::Q4_0),
    (Kind::Q4_1, GgmlDType::Q4_1),
    (Kind::Q5_0, GgmlDType::Q5_0),
    (Kind::Q5_1, GgmlDType::Q5_1),
    (Kind::Q8_0, GgmlDType::Q8_0),
    (Kind::Q2K, GgmlDType::Q2K),
    (Kind::Q3K, GgmlDType::Q3K),
    (Kind::Q4K, GgmlDType::Q4K),
    (Kind::Q5K, GgmlDType::Q5K),
    (Kind::Q6K, GgmlDType::Q6K),
];

fn values(len: usize, seed: u64) -> Vec<f32> {
    (0..len).map(|i| (sampling::uniform(seed, i as u32) * 2.0 - 1.0) as f32).collect()
}

/// Random weights quantised by candle: its blocks and what it makes of them.
fn quantised(dtype: GgmlDType, inputs: usize, outputs: usize) -> (Vec<u8>, Vec<f32>) {
    let plain = Tensor::from_vec(values(inputs * outputs, 3), (outputs, inputs), &Device::Cpu).unwrap();
    let tensor = QTensor::quantize(&plain, dtype).unwrap();
    let back = tensor.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    (tensor.data().unwrap().into_owned(), back)
}

/// Every type of weights for a layer, with the weights that it stands for; those whose blocks fit.
fn layers(inputs: usize, outputs: usize) -> Vec<(String, Weights, Vec<f32>)> {
    let plain = values(inputs * outputs, 3);
    let get = |output: usize, input: usize| plain[output * inputs + input];
    let rounded: Vec<f32> = plain.iter().map(|x| bf16::from_f32(*x).to_f32()).collect();
    let mut layers = vec![
        ("f32".to_owned(), Weights::f32(inputs, outputs, get), plain.clone()),
        ("bf16".to_owned(), Weights::bf16(inputs, outputs, get), rounded),
    ];
    for (kind, dtype) in KINDS.into_iter().filter(|(kind, _)| inputs.is_multiple_of(kind.block())) {
        let (bytes, back) = quantised(dtype, inputs, outputs);
        let packed = Quantized::pack(kind, &bytes, inputs, outputs, |row| row);
        layers.push((format!("{kind:?}"), Weights::Quantized(packed), back));
    }
    layers
}

fn product(set: InstructionSet, layer: &Linear, x: &[f32], rows: usize) -> Vec<f32> {
    let mut out = vec![0.5; rows * layer.outputs];
    let x = Rows::new(x.to_vec(), x.len() / rows);
    let output = Output { to: out.as_mut_ptr(), bias: layer.bias.as_deref(), add: true };
    layer.product(set, &From { x: &x, make: None }, output);
    out
}

#[test]
fn blocks_hold_what_candle_reads_in_them() {
    for (inputs, outputs) in [(256, 3), (768, 70), (544, 33)] {
        for (name, weights, right) in layers(inputs, outputs) {
            let got: Vec<f32> = (0..outputs).flat_map(|output| weights.output(inputs, output)).collect();
            let wrong = got.iter().zip(&right).position(|(a, b)| (a - b).abs() > 1e-6 * b.abs().max(0.1));
            assert_eq!(wrong, None, "{name} {inputs}×{outputs}");
        }
    }
}

#[test]
fn packed_weights_take_hardly_more_than_their_blocks() {
    for (kind, dtype) in KINDS {
        let (bytes, _) = quantised(dtype, 1024, 64);
        let packed = Quantized::pack(kind, &bytes, 1024, 64, |row| row);
        // A scale of a sub-block takes a byte, whatever it takes in the file: 16 bytes more of 84, 4 more of 110.
        let most = match kind {
            Kind::Q2K => 1.2,
            Kind::Q3K => 1.04,
            _ => 1.03,
        };
        assert!(packed.bytes() as f64 <= most * bytes.len() as f64, "{kind:?}: {} of {}", packed.bytes(), bytes.len());
    }
}

#[test]
fn products_are_right_and_alike_on_every_instruction_set() {
    for (inputs, outputs) in [(1, 1), (5, 3), (31, 40), (256, 65), (384, 96), (768, 33), (1184, 64)] {
        for (name, weights, plain) in layers(inputs, outputs) {
            let layer = Linear::new(vec![(outputs, weights)], inputs, Some(values(outputs, 4)));
            for rows in [1, 7, 13, 100] {
                let x = values(rows * inputs, 5);
                let portable = product(InstructionSet::PORTABLE, &layer, &x, rows);
                for set in InstructionSet::available() {
                    let got = product(set, &layer, &x, rows);
                    let wrong = got.iter().zip(&portable).position(|(a, b)| a.to_bits() != b.to_bits());
                    assert_eq!(wrong, None, "{name} {inputs}×{outputs}, {rows} rows, {set:?}");
                }
                for (at, got) in portable.iter().enumerate() {
                    let (row, output) = (at / outputs, at % outputs);
                    let pairs = x[row * inputs..(row + 1) * inputs].iter().zip(&plain[output * inputs..]);
                    let right: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
                    let right = 0.5 + right + f64::from(layer.bias.as_ref().unwrap()[output]);
                    // Rounding of the inputs: each half a step of 2^-8, or of a 127th, adding up like a random walk.
                    let step = match name.as_str() {
                        "f32" => 1e-6,
                        "bf16" => 2e-3,
                        _ => 3e-3,
                    };
                    let bound = step * (4.0 + 3.0 * (inputs as f64).sqrt());
                    assert!((f64::from(*got) - right).abs() < bound, "{name} {inputs}×{outputs}: {got}, not {right}");
                }
            }
        }
    }
}

/// The definition in the module's words: chunks of 256 inputs, fused steps from zero in each, the chunks in order.
#[test]
fn f32_products_are_their_definition() {
    let (inputs, outputs, rows) = if cfg!(miri) { (300, 40, 9) } else { (1000, 50, 30) };
    let (plain, x) = (values(inputs * outputs, 3), values(rows * inputs, 5));
    let weights = Weights::f32(inputs, outputs, |output, input| plain[output * inputs + input]);
    let layer = Linear::new(vec![(outputs, weights)], inputs, None);
    let got = product(InstructionSet::detect(), &layer, &x, rows);
    for (at, got) in got.iter().enumerate() {
        let (row, output) = (at / outputs, at % outputs);
        let (x, w) = (&x[row * inputs..(row + 1) * inputs], &plain[output * inputs..(output + 1) * inputs]);
        let chunks = x.chunks(256).zip(w.chunks(256));
        let sums = chunks.map(|(x, w)| x.iter().zip(w).fold(0.0f32, |sum, (x, w)| x.mul_add(*w, sum)));
        let right = 0.5 + sums.reduce(|a, b| a + b).unwrap();
        assert_eq!(got.to_bits(), right.to_bits(), "row {row}, output {output}");
    }
}

/// Outputs of a layer; Miri needs minutes for more.
const PART: usize = if cfg!(miri) { 8 } else { 40 };

#[test]
fn parts_stand_side_by_side() {
    let (inputs, rows) = (256, if cfg!(miri) { 2 } else { 9 });
    let parts = || layers(inputs, PART).into_iter().map(|(_, weights, _)| (PART, weights)).collect::<Vec<_>>();
    let outputs = PART * parts().len();
    let bias = values(outputs, 6);
    let whole = Linear::new(parts(), inputs, Some(bias.clone()));
    let x = values(rows * inputs, 5);
    let got = product(InstructionSet::detect(), &whole, &x, rows);
    for (index, part) in parts().into_iter().enumerate() {
        let columns = PART * index..PART * (index + 1);
        let alone = Linear::new(vec![part], inputs, Some(bias[columns.clone()].to_vec()));
        let alone = product(InstructionSet::detect(), &alone, &x, rows);
        for row in 0..rows {
            assert_eq!(
                got[row * outputs..][columns.clone()],
                alone[row * PART..(row + 1) * PART],
                "part {index}, row {row}"
            );
        }
    }
    let tokens: Vec<u32> = [0, PART - 1, PART, outputs - 1, 2 * PART + 5].map(|token| token as u32).to_vec();
    for (row, token) in whole.gather(&tokens).iter().zip(tokens) {
        assert_eq!(row, parts()[token as usize / PART].1.output(inputs, token as usize % PART), "{token}");
    }
}

#[test]
fn what_is_not_a_number_stays_so() {
    for (name, weights, _) in layers(256, PART) {
        let layer = Linear::new(vec![(PART, weights)], 256, None);
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = values(3 * 256, 5);
            x[256 + 7] = bad;
            let got = product(InstructionSet::detect(), &layer, &x, 3);
            let finite = |row: usize| got[row * PART..(row + 1) * PART].iter().filter(|x| x.is_finite()).count();
            assert_eq!((finite(0), finite(1), finite(2)), (PART, 0, PART), "{name} {bad}");
        }
    }
}
