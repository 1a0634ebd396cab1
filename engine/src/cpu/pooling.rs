//! One vector of the vectors of a text's tokens, as sentence-transformers' `Pooling` and `Normalize` make it.
//!
//! Sums run over the tokens in order.

use super::rows::{Rows, add_row};
use crate::request::Pooling;

/// Pools the vectors of packed tokens to one per text. The first `skipped` tokens of a text, its prompt, do not count where
/// tokens are averaged; nothing left gives zeros.
pub fn pool(tokens: &Rows, lengths: &[usize], skipped: &[usize], pooling: Pooling) -> Vec<Vec<f32>> {
    let width = tokens.columns();
    let mut start = 0;
    let pool = |(len, skipped): (&usize, &usize)| {
        let rows = &tokens.values()[start * width..(start + len) * width];
        start += len;
        one(rows, (*skipped).min(*len), width, pooling)
    };
    lengths.iter().zip(skipped).map(pool).collect()
}

fn one(rows: &[f32], skipped: usize, width: usize, pooling: Pooling) -> Vec<f32> {
    let counted = &rows[skipped * width..];
    let count = counted.len() / width;
    match pooling {
        Pooling::Cls => rows[..width].to_vec(),
        Pooling::Last => rows[rows.len() - width..].to_vec(),
        _ if count == 0 => vec![0.0; width],
        Pooling::Mean => divided(sum(counted, width), count as f32),
        Pooling::MeanSqrtLen => divided(sum(counted, width), (count as f32).sqrt()),
        Pooling::Max => {
            let mut highest = counted[..width].to_vec();
            for row in counted.chunks_exact(width).skip(1) {
                highest.iter_mut().zip(row).for_each(|(a, b)| *a = if *b <= *a { *a } else { *b });
            }
            highest
        }
        // A token weighs its place in the text, counted from one, prompt included.
        Pooling::WeightedMean => {
            let weighted: Vec<f32> = counted
                .chunks_exact(width)
                .enumerate()
                .flat_map(|(at, row)| row.iter().map(move |x| x * (skipped + at + 1) as f32))
                .collect();
            let weights: usize = (skipped + 1..=skipped + count).sum();
            divided(sum(&weighted, width), weights as f32)
        }
    }
}

fn sum(rows: &[f32], width: usize) -> Vec<f32> {
    let mut rows = rows.chunks_exact(width);
    let mut sum = rows.next().unwrap_or_default().to_vec();
    rows.for_each(|row| add_row(&mut sum, row));
    sum
}

fn divided(mut row: Vec<f32>, by: f32) -> Vec<f32> {
    row.iter_mut().for_each(|x| *x /= by);
    row
}

/// Divides by the Euclidean length, as sentence-transformers' `Normalize` does; a zero vector stays.
pub fn unit_length(vector: &mut [f32]) {
    let square = vector.iter().fold(0.0f64, |sum, x| sum + f64::from(*x) * f64::from(*x));
    let length = square.sqrt().max(1e-12);
    vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_by_hand() {
        // Two texts of three and one tokens.
        let tokens = Rows::new(vec![1.0, -1.0, 2.0, 0.0, 6.0, 4.0, 5.0, 7.0], 2);
        let pooled = |skipped: [usize; 2], pooling| pool(&tokens, &[3, 1], &skipped, pooling);
        assert_eq!(pooled([0, 0], Pooling::Mean), [[3.0, 1.0], [5.0, 7.0]]);
        assert_eq!(pooled([1, 1], Pooling::Mean), [[4.0, 2.0], [0.0, 0.0]]);
        assert_eq!(pooled([2, 0], Pooling::Cls), [[1.0, -1.0], [5.0, 7.0]]);
        assert_eq!(pooled([0, 0], Pooling::Last), [[6.0, 4.0], [5.0, 7.0]]);
        assert_eq!(pooled([0, 0], Pooling::Max), [[6.0, 4.0], [5.0, 7.0]]);
        assert_eq!(pooled([0, 9], Pooling::WeightedMean), [[23.0 / 6.0, 11.0 / 6.0], [0.0, 0.0]]);
        assert_eq!(pooled([2, 0], Pooling::MeanSqrtLen), [[6.0, 4.0], [5.0, 7.0]]);
    }
}
