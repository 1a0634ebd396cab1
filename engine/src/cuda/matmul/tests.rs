//! Products on a GPU: batch invariance, and the products themselves against sums in f64.
//!
//! `scripts/check_cuda.sh` runs them where there is a GPU.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, DevicePtr, DevicePtrMut, DeviceRepr, ValidAsZeroBits};
use half::{bf16, f16};

use super::{ALIGNMENT, Form, Kind, Lt, Matmul, Number, Operands};
use crate::cuda::driver::{Opened, open, usable};

/// Rows of the sweep.
const ROWS: usize = 600;

/// K and N of the sweep: small and large models, heads, vocabularies.
const INPUTS: [usize; 4] = [576, 896, 4096, 14_336];
const OUTPUTS: [usize; 5] = [64, 576, 4096, 4864, 32_000];

/// A number that can be made and read.
trait Value: Number + Copy + PartialEq + std::fmt::Debug + DeviceRepr + ValidAsZeroBits {
    fn of(value: f32) -> Self;
    fn bits(self) -> u32;
    fn wide(self) -> f64;
}

macro_rules! value {
    ($type:ty, $of:expr, $wide:expr) => {
        impl Value for $type {
            fn of(value: f32) -> Self {
                $of(value)
            }
            fn bits(self) -> u32 {
                self.to_bits().into()
            }
            fn wide(self) -> f64 {
                $wide(self)
            }
        }
    };
}

value!(f32, |value| value, f64::from);
value!(bf16, bf16::from_f32, bf16::to_f64);
value!(f16, f16::from_f32, f16::to_f64);

/// Numbers in -1..1, the same every time.
fn numbers<T: Value>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::of((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// A GPU with cuBLASLt, and the numbers of one type that all products take the first of.
struct Bench<T> {
    opened: Opened,
    lt: Arc<Lt>,
    x: Vec<T>,
    w: Vec<T>,
    x_gpu: CudaSlice<T>,
    w_gpu: CudaSlice<T>,
}

impl<T: Value> Bench<T> {
    fn new(inputs: usize, outputs: usize) -> Self {
        let opened = open(usable(0).unwrap()).unwrap();
        let lt = Lt::new(&opened.stream).unwrap();
        let (x, w) = (numbers((ROWS + 16) * inputs, 1), numbers(inputs * outputs, 2));
        let (x_gpu, w_gpu) = (opened.stream.clone_htod(&x).unwrap(), opened.stream.clone_htod(&w).unwrap());
        Self { opened, lt, x, w, x_gpu, w_gpu }
    }

    /// y of the rows from `start` on.
    fn multiply<O: Value>(&self, matmul: &mut Matmul, start: usize, rows: usize, y: &mut CudaSlice<O>) {
        let inputs = matmul.form().inputs;
        let x = self.x_gpu.slice(start * inputs..);
        matmul.launch::<T, O>(rows, Operands { x: &x, w: &self.w_gpu, bias: None::<&CudaSlice<O>>, y }).unwrap();
    }

    fn rows<O: Value>(&self, y: &CudaSlice<O>, outputs: usize, rows: std::ops::Range<usize>) -> Vec<O> {
        self.opened.stream.clone_dtoh(&y.slice(rows.start * outputs..rows.end * outputs)).unwrap()
    }

    /// Every number of rows, from the first row on and up to the last: first, middle and last row have the bits that they have
    /// among all 600.
    fn sweep<O: Value>(&self, inputs: usize, outputs: usize) {
        let form = Form { inputs, outputs, kind: T::KIND, output: O::KIND, bias: false, add: false };
        let mut matmul = Matmul::new(&self.lt, form).unwrap();
        println!("{}", matmul.name());
        let room = matmul.rows(ROWS) * outputs;
        let (mut all, mut some) =
            (self.opened.stream.alloc_zeros(room).unwrap(), self.opened.stream.alloc_zeros(room).unwrap());
        self.multiply::<O>(&mut matmul, 0, ROWS, &mut all);
        let all = self.rows(&all, outputs, 0..ROWS);
        let aligned = (inputs * size_of::<T>()).is_multiple_of(ALIGNMENT);
        for rows in 1..=ROWS {
            for start in if aligned { vec![0, ROWS - rows] } else { vec![0] } {
                self.multiply::<O>(&mut matmul, start, rows, &mut some);
                for row in [0, rows / 2, rows - 1] {
                    let here = self.rows(&some, outputs, row..row + 1);
                    let there = &all[(start + row) * outputs..][..outputs];
                    let same = here.iter().zip(there).all(|(a, b)| a.bits() == b.bits());
                    assert!(same, "row {} alone among {rows} from {start} differs: {}", start + row, matmul.name());
                }
            }
        }
        self.check(&all, inputs, outputs, &mut |row, output| self.sum(inputs, row, output));
    }

    /// Σ x·w in f64.
    fn sum(&self, inputs: usize, row: usize, output: usize) -> f64 {
        let (x, w) = (&self.x[row * inputs..][..inputs], &self.w[output * inputs..][..inputs]);
        x.iter().zip(w).map(|(x, w)| x.wide() * w.wide()).sum()
    }

    /// Some values, spread out, against what they should be. Sums of K terms below 1 in f32 err by a small multiple of √K
    /// units of 2⁻²⁴ times the size of the partial sums, about √K/3; TF32 would err a thousandfold.
    fn check<O: Value>(&self, y: &[O], inputs: usize, outputs: usize, expected: &mut dyn FnMut(usize, usize) -> f64) {
        let unit = match O::KIND {
            Kind::F32 => 0.0,
            Kind::Bf16 => 1.0 / 256.0,
            Kind::F16 => 1.0 / 2048.0,
        };
        for probe in 0..200 {
            let (row, output) = (probe * 7 % ROWS, probe * 7919 % outputs);
            let (here, there) = (y[row * outputs + output].wide(), expected(row, output));
            let bound = 2e-7 * inputs as f64 + unit * there.abs();
            assert!(
                (here - there).abs() <= bound,
                "row {row} output {output} of {inputs}: {here} for {there}, {bound}"
            );
        }
    }
}

fn sweep<T: Value>() {
    let bench = Bench::<T>::new(*INPUTS.last().unwrap(), *OUTPUTS.last().unwrap());
    for inputs in INPUTS {
        for outputs in OUTPUTS {
            bench.sweep::<f32>(inputs, outputs);
            if size_of::<T>() == 2 {
                bench.sweep::<T>(inputs, outputs);
            }
        }
    }
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn products_are_batch_invariant_f32() {
    sweep::<f32>();
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn products_are_batch_invariant_bf16() {
    sweep::<bf16>();
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn products_are_batch_invariant_f16() {
    sweep::<f16>();
}

/// A bias, a sum onto y, and rows that no multiple of 16 bytes divides.
fn extras<T: Value, O: Value>(inputs: usize, outputs: usize) {
    let bench = Bench::<T>::new(inputs, outputs);
    let stream = &bench.opened.stream;
    let form = Form { inputs, outputs, kind: T::KIND, output: O::KIND, bias: true, add: true };
    let mut matmul = Matmul::new(&bench.lt, form).unwrap();
    println!("{}", matmul.name());
    let (bias, before) = (numbers::<O>(outputs, 3), numbers::<O>(matmul.rows(ROWS) * outputs, 4));
    let bias_gpu = stream.clone_htod(&bias).unwrap();
    let compute = |matmul: &mut Matmul, rows: usize| {
        let mut y = stream.clone_htod(&before).unwrap();
        let operands = Operands { x: &bench.x_gpu, w: &bench.w_gpu, bias: Some(&bias_gpu), y: &mut y };
        matmul.launch::<T, O>(rows, operands).unwrap();
        bench.rows(&y, outputs, 0..rows)
    };
    let all = compute(&mut matmul, ROWS);
    for rows in (1..=64).chain([127, 128, 129, 255, 256, 257, 599]) {
        let same = compute(&mut matmul, rows).iter().zip(&all).all(|(a, b)| a.bits() == b.bits());
        assert!(same, "{rows} rows: {}", matmul.name());
    }
    bench.check(&all, inputs, outputs, &mut |row, output| {
        bench.sum(inputs, row, output) + bias[output].wide() + before[row * outputs + output].wide()
    });
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn biases_and_sums_onto_y() {
    extras::<bf16, f32>(896, 4096);
    extras::<bf16, bf16>(896, 128);
    extras::<f16, f32>(4096, 896);
    extras::<f32, f32>(896, 4096);
    // Neither rows of x nor rows of y begin at multiples of 16 bytes.
    extras::<bf16, f32>(902, 99);
    extras::<f32, f32>(577, 33);
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn a_captured_product_gives_the_same_bits() {
    use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
    let (inputs, outputs) = (896, 4864);
    let bench = Bench::<bf16>::new(inputs, outputs);
    let stream = &bench.opened.stream;
    let form = Form { inputs, outputs, kind: bf16::KIND, output: f32::KIND, bias: false, add: false };
    let mut matmul = Matmul::new(&bench.lt, form).unwrap();
    let mut y = stream.alloc_zeros::<f32>(matmul.rows(ROWS) * outputs).unwrap();
    bench.multiply(&mut matmul, 0, ROWS, &mut y);
    let plain = bench.rows(&y, outputs, 0..ROWS);
    stream.memset_zeros(&mut y).unwrap();
    stream.begin_capture(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED).unwrap();
    bench.multiply(&mut matmul, 0, ROWS, &mut y);
    let flags = CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
    let graph = stream.end_capture(flags).unwrap().unwrap();
    assert!(bench.rows(&y, outputs, 0..1).iter().all(|value| *value == 0.0), "a capture computes nothing");
    graph.launch().unwrap();
    assert_eq!(bench.rows(&y, outputs, 0..ROWS), plain);
}

#[test]
#[ignore = "needs a CUDA GPU"]
fn what_does_not_fit_is_refused() {
    let bench = Bench::<bf16>::new(64, 64);
    let form = Form { inputs: 64, outputs: 64, kind: bf16::KIND, output: f32::KIND, bias: false, add: false };
    let mut matmul = Matmul::new(&bench.lt, form).unwrap();
    let mut y = bench.opened.stream.alloc_zeros::<f32>(64 * 64).unwrap();
    fn refused<X, W, B, Y>(matmul: &mut Matmul, rows: usize, operands: Operands<'_, X, W, B, Y>, what: &str)
    where
        X: DevicePtr<bf16>,
        W: DevicePtr<bf16>,
        B: DevicePtr<f32>,
        Y: DevicePtrMut<f32>,
    {
        let error = matmul.launch::<bf16, f32>(rows, operands).unwrap_err();
        assert!(error.message().ends_with(what), "{error:?}");
    }
    let none = None::<&CudaSlice<f32>>;
    let (x, w) = (&bench.x_gpu, &bench.w_gpu);
    refused(&mut matmul, 65, Operands { x, w, bias: none, y: &mut y }, "a matrix is too short");
    let odd = x.slice(1..);
    let what = "a buffer does not begin at a multiple of 16 bytes";
    refused(&mut matmul, 8, Operands { x: &odd, w, bias: none, y: &mut y }, what);
    assert!(Matmul::new(&bench.lt, Form { output: f16::KIND, ..form }).is_err(), "no product of bf16 is in f16");
}
