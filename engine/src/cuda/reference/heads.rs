//! `heads.cu`.

use super::numbers::{Stored, narrowed, widened};
use super::rows::{Order, applied, moments, normed};
use crate::cpu::rotary::HeadNorm;

/// How a row is laid out and prepared.
pub struct Heads<'a> {
    /// Query heads, key heads, values per head.
    pub shape: (usize, usize, usize),
    /// Norms of queries and keys.
    pub norms: [&'a HeadNorm; 2],
    /// Cosines and sines of the token.
    pub angles: Option<(&'a [f32], &'a [f32])>,
}

/// The row of a token with its queries and keys prepared.
pub fn prepare<T: Stored>(row: &[T], heads: &Heads<'_>) -> Vec<T> {
    let (queries, keys, size) = heads.shape;
    let row = widened(row);
    let (query_row, rest) = row.split_at(queries * size);
    let (key_row, values) = rest.split_at(keys * size);
    let mut prepared = side(query_row, size, heads.norms[0]);
    prepared.extend(side(key_row, size, heads.norms[1]));
    if let Some((cosines, sines)) = heads.angles {
        prepared.chunks_exact_mut(size).for_each(|head| turn(head, cosines, sines));
    }
    prepared.extend(values);
    narrowed(&prepared)
}

fn side(row: &[f32], size: usize, norm: &HeadNorm) -> Vec<f32> {
    match norm {
        HeadNorm::Each(norms) if norms.is_empty() => row.to_vec(),
        HeadNorm::Each(norms) => {
            let heads = row.chunks_exact(size).zip(norms.iter().cycle());
            heads.flat_map(|(head, norm)| normed(head, norm, Order::Warp)).collect()
        }
        HeadNorm::Whole(norm) => {
            let moments = moments(row, norm, Order::Block);
            let bias = |at: usize| norm.bias.as_ref().map(|bias| bias[at]);
            row.iter().enumerate().map(|(at, x)| applied(*x, moments, norm.weight[at], bias(at))).collect()
        }
    }
}

fn turn(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let pairs = cosines.len();
    for pair in 0..pairs {
        let (a, b, cosine, sine) = (head[pair], head[pair + pairs], cosines[pair], sines[pair]);
        head[pair] = a * cosine - b * sine;
        head[pair + pairs] = b * cosine + a * sine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Rows;
    use crate::cpu::norm::NormKind;
    use crate::cpu::rotary::{self, Rope, RopeRows};
    use crate::cuda::reference::numbers::{assert_near, numbers};
    use crate::cuda::reference::rows::some_norm;

    #[test]
    fn heads_are_prepared_as_on_the_cpu() {
        let (queries, keys, size) = (4, 2, 20);
        let speeds = vec![1.0, 0.5, 0.25, 0.125, 0.0625, 0.03, 0.01];
        let angles: Vec<f64> = speeds.iter().map(|speed| speed * 9.0).collect();
        let cosines: Vec<f32> = angles.iter().map(|angle| libm::cos(*angle) as f32).collect();
        let sines: Vec<f32> = angles.iter().map(|angle| libm::sin(*angle) as f32).collect();
        let rms = |width| some_norm(NormKind::Rms, false, width);
        let kinds = [
            [HeadNorm::Each(vec![]), HeadNorm::Each(vec![])],
            [HeadNorm::Each(vec![rms(size)]), HeadNorm::Each(vec![some_norm(NormKind::Layer, true, size)])],
            [HeadNorm::Each((0..queries).map(|_| rms(size)).collect()), HeadNorm::Each(vec![rms(size), rms(size)])],
            [HeadNorm::Whole(rms(queries * size)), HeadNorm::Whole(some_norm(NormKind::Layer, true, keys * size))],
        ];
        let width = (queries + 2 * keys) * size;
        let row = numbers::<f32>(width, 7);
        for [query_norm, key_norm] in &kinds {
            for turned in [false, true] {
                let rope = RopeRows::new(&[9], &[0], &Rope::fixed(speeds.clone()));
                let mut cpu = Rows::new(row.clone(), width);
                let heads = rotary::Heads { queries, keys, size, query_norm, key_norm };
                rotary::prepare_heads(&mut cpu, &heads, turned.then_some(&rope));
                let right: Vec<f64> = cpu.values().iter().map(|x| f64::from(*x)).collect();
                let angles = turned.then_some((cosines.as_slice(), sines.as_slice()));
                let heads = Heads { shape: (queries, keys, size), norms: [query_norm, key_norm], angles };
                assert_near(&prepare(&row, &heads), &right, 64.0);
            }
        }
    }
}
