//! `experts.cu`. Its exp is within a unit in the last place of f64 of the right one, which is here.

use super::numbers::{Stored, warp_sum};

/// A number that is the higher the earlier an expert is chosen.
fn key(logit: f32, expert: usize) -> u64 {
    let bits = if logit == 0.0 { 0 } else { logit.to_bits() };
    let bits = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    u64::from(bits) << 32 | (256 - expert as u64)
}

/// `route` of a token: its experts, ascending, with their weights.
pub fn route(logits: &[f32], chosen: usize, normalised: bool) -> Vec<(u32, f32)> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by_key(|expert| std::cmp::Reverse(key(logits[*expert], *expert)));
    let highest = f64::from(logits[order[0]]);
    let part = |expert: usize| libm::exp(f64::from(logits[expert]) - highest);
    order.truncate(chosen);
    let sum = if normalised {
        order.iter().fold(0.0, |sum, expert| sum + part(*expert))
    } else {
        let mut lanes = [0.0; 32];
        (0..logits.len()).for_each(|expert| lanes[expert % 32] += part(expert));
        warp_sum(&lanes)
    };
    order.sort_unstable();
    order.into_iter().map(|expert| (expert as u32, (part(expert) / sum) as f32)).collect()
}

/// Rows grouped by expert.
#[derive(Debug, PartialEq)]
pub struct Grouped {
    /// Where the rows of an expert begin, and where all end.
    pub offsets: Vec<u32>,
    /// The token of a row; none in gaps.
    pub order: Vec<Option<u32>>,
    /// The row of every pair.
    pub place: Vec<u32>,
    /// Expert, first row, rows.
    pub tiles: Vec<[u32; 3]>,
}

/// `group` of the pairs `experts`, `chosen` to a token, of `count` experts.
pub fn group(experts: &[u32], chosen: usize, count: usize, multiple: usize, tile_rows: usize) -> Grouped {
    let (mut order, mut place) = (vec![], vec![0; experts.len()]);
    let (mut offsets, mut tiles) = (vec![], vec![]);
    for expert in 0..count as u32 {
        let first = order.len();
        offsets.push(first as u32);
        for (pair, _) in experts.iter().enumerate().filter(|(_, of)| **of == expert) {
            place[pair] = order.len() as u32;
            order.push(Some((pair / chosen) as u32));
        }
        let end = order.len();
        let tile = |at: usize| [expert, at as u32, (end - at).min(tile_rows) as u32];
        tiles.extend((first..end).step_by(tile_rows).map(tile));
        order.resize(end.next_multiple_of(multiple), None);
    }
    offsets.push(order.len() as u32);
    Grouped { offsets, order, place, tiles }
}

/// `combine` of a token: the rows of its experts with their weights, and that of the shared block with its gate.
pub fn combine<T: Stored>(width: usize, rows: &[(&[T], f32)], shared: Option<(&[T], f32)>) -> Vec<f32> {
    let shared = shared.map(|(row, gate)| (row, (1.0 / (1.0 + libm::exp(-f64::from(gate)))) as f32));
    let value = |at: usize| {
        let rows = rows.iter().copied().chain(shared);
        rows.fold(0.0, |sum: f32, (row, weight)| row[at].wide().mul_add(weight, sum))
    };
    (0..width).map(value).collect()
}

#[cfg(test)]
mod tests {
    use half::bf16;
    use proptest::prelude::*;

    use super::*;
    use crate::cpu::experts as cpu;
    use crate::cpu::experts::AddScaled;
    use crate::cpu::simd;
    use crate::cuda::reference::numbers::{assert_near, numbers, widened};

    fn assert_routes_as_the_cpu(logits: &[f32], chosen: usize, normalised: bool) {
        let mut right = cpu::route(logits, chosen, normalised);
        right.sort_by_key(|(expert, _)| *expert);
        let found = route(logits, chosen, normalised);
        assert_eq!(found.len(), chosen);
        for ((expert, weight), (right_expert, right_weight)) in found.iter().zip(&right) {
            assert_eq!(*expert as usize, *right_expert, "{logits:?}");
            // The sum over all is in another order, in f64: near the middle of two f32 that may be one unit.
            assert!(
                weight.to_bits().abs_diff(right_weight.to_bits()) <= u32::from(!normalised),
                "{weight} {right_weight}"
            );
        }
    }

    #[test]
    fn tokens_take_the_experts_that_the_cpu_gives_them() {
        for (experts, chosen) in [(1, 1), (4, 2), (60, 4), (128, 8), (256, 16), (33, 33)] {
            for seed in 0..20 {
                let logits: Vec<f32> = numbers::<f32>(experts, seed).iter().map(|x| 8.0 * x).collect();
                // Rounded to few values, most are ties.
                let tied: Vec<f32> = logits.iter().map(|x| (x / 4.0).round() * 4.0).collect();
                for normalised in [false, true] {
                    assert_routes_as_the_cpu(&logits, chosen, normalised);
                    assert_routes_as_the_cpu(&tied, chosen, normalised);
                }
            }
        }
    }

    #[test]
    fn ties_go_to_the_lowest_number_and_zeros_are_equal() {
        let of = |logits: &[f32]| route(logits, 2, true).iter().map(|(expert, _)| *expert).collect::<Vec<_>>();
        assert_eq!(of(&[1.0, 1.0, 1.0]), [0, 1]);
        assert_eq!(of(&[0.0, 2.0, 1.0, 2.0, 2.0]), [1, 3]);
        assert_eq!(of(&[-1.0, -0.0, 0.0, 0.0]), [1, 2]);
        assert_eq!(of(&[f32::NEG_INFINITY, -3.0, f32::NEG_INFINITY]), [0, 1]);
        assert_routes_as_the_cpu(&[-0.0, 0.0, -0.0, -1.0], 2, true);
    }

    #[test]
    fn weights_are_parts_of_the_softmax() {
        let logits = numbers::<f32>(40, 5);
        for normalised in [false, true] {
            let found = route(&logits, 6, normalised);
            let exp = |expert: usize| f64::from(logits[expert]).exp();
            let sum: f64 = if normalised {
                found.iter().map(|(expert, _)| exp(*expert as usize)).sum()
            } else {
                (0..40).map(exp).sum()
            };
            let right: Vec<f64> = found.iter().map(|(expert, _)| exp(*expert as usize) / sum).collect();
            assert_near(&found.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(), &right, 1.0);
        }
    }

    proptest! {
        #[test]
        fn groups_are_a_stable_permutation(
            picks in proptest::collection::vec(proptest::collection::vec(0.0f32..1.0, 12), 0..90),
            chosen in 1usize..12,
            multiple in prop_oneof![Just(1usize), Just(4), Just(8)],
        ) {
            let (count, tile_rows) = (12, 8);
            let of = |logits: &Vec<f32>| route(logits, chosen, true).into_iter().map(|(expert, _)| expert);
            let experts: Vec<u32> = picks.iter().flat_map(of).collect();
            let found = group(&experts, chosen, count, multiple, tile_rows);
            // Every pair has a row of its own, its token's and its expert's.
            let mut rows = found.place.clone();
            rows.sort_unstable();
            rows.dedup();
            prop_assert_eq!(rows.len(), experts.len());
            prop_assert_eq!(found.order.iter().flatten().count(), experts.len());
            for (pair, (row, expert)) in found.place.iter().zip(&experts).enumerate() {
                prop_assert_eq!(found.order[*row as usize], Some((pair / chosen) as u32));
                let bounds = &found.offsets[*expert as usize..][..2];
                prop_assert!((bounds[0]..bounds[1]).contains(row));
            }
            // An expert's rows begin where they should, in the order of their tokens, and gaps are behind them.
            let most = experts.len() + experts.len().min(count) * (multiple - 1);
            prop_assert!(found.order.len() <= most);
            for bounds in found.offsets.windows(2) {
                prop_assert!((bounds[0] as usize).is_multiple_of(multiple));
                let rows = &found.order[bounds[0] as usize..bounds[1] as usize];
                let real = rows.iter().flatten().count();
                prop_assert!(rows[..real].iter().all(Option::is_some) && rows.len() - real < multiple);
                prop_assert!(rows[..real].is_sorted_by(|a, b| a < b));
            }
            // Tiles are the rows, each once.
            let tiled: Vec<u32> = found.tiles.iter().flat_map(|[_, first, rows]| *first..first + rows).collect();
            prop_assert_eq!(tiled, rows);
            prop_assert!(found.tiles.iter().all(|[_, _, rows]| (1..=tile_rows as u32).contains(rows)));
            let own = |[expert, first, _]: &[u32; 3]| {
                (found.offsets[*expert as usize]..found.offsets[*expert as usize + 1]).contains(first)
            };
            prop_assert!(found.tiles.iter().all(own));
            prop_assert!(found.tiles.len() <= (experts.len() + experts.len().min(count) * (tile_rows - 1)) / tile_rows);
        }
    }

    #[test]
    fn what_experts_say_has_the_bits_of_the_cpu() {
        let width = 37;
        let rows: Vec<Vec<bf16>> = (0..5).map(|row| numbers(width, row)).collect();
        let weights = [0.4, 0.3, 0.2, 0.1];
        let said: Vec<(&[bf16], f32)> = rows.iter().map(Vec::as_slice).zip(weights).collect();
        let gate = 0.7f32;
        let found = combine(width, &said, Some((&rows[4], gate)));
        let mut right = vec![0.0; width];
        let sigmoid = (1.0 / (1.0 + libm::exp(-f64::from(gate)))) as f32;
        for (row, weight) in rows.iter().zip(weights.into_iter().chain([sigmoid])) {
            simd::dispatch(AddScaled { to: &mut right, row: &widened(row), weight });
        }
        assert_eq!(found, right);
        let exact = |at: usize| {
            let of = |row: usize, weight: f64| f64::from(rows[row][at].to_f32()) * weight;
            (0..4).map(|row| of(row, weights[row].into())).sum::<f64>() + of(4, 1.0 / (1.0 + (-0.7f64).exp()))
        };
        assert_near(&found, &(0..width).map(exact).collect::<Vec<_>>(), 8.0);
        assert_eq!(combine(width, &said[..1], None)[0], rows[0][0].to_f32() * 0.4);
    }
}
