//! Pure packing: how many tokens of which sequences go into the next step.
//!
//! Decoding sequences come first, one token each, since they hold KV blocks that others wait for; the rest of the budget
//! goes to prefill chunks in order of admission. The choice changes speed only: rows are batch-invariant.

/// What a running sequence could do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runnable {
    /// Tokens that are known but not in the cache yet: 1 while decoding, more while prefilling.
    pub waiting: usize,
    /// Whether its prompt is complete.
    pub decoding: bool,
}

/// Bounds of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Rows of a step.
    pub tokens: usize,
    /// Rows of one sequence's prefill in a step.
    pub chunk: usize,
}

/// Tokens that each sequence contributes to the next step, in the order given. `turn` rotates who decodes first when
/// there are more decoding sequences than rows.
pub fn pack(sequences: &[Runnable], budget: Budget, turn: usize) -> Vec<usize> {
    let mut take = vec![0; sequences.len()];
    let mut left = budget.tokens;
    let count = sequences.len();
    for offset in 0..count {
        let index = (turn % count + offset) % count;
        if left > 0 && sequences[index].decoding {
            take[index] = 1;
            left -= 1;
        }
    }
    for (index, sequence) in sequences.iter().enumerate() {
        if !sequence.decoding {
            take[index] = sequence.waiting.min(budget.chunk).min(left);
            left -= take[index];
        }
    }
    take
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn runnable() -> impl Strategy<Value = Runnable> {
        prop_oneof![
            Just(Runnable { waiting: 1, decoding: true }),
            (1usize..400).prop_map(|waiting| Runnable { waiting, decoding: false }),
        ]
    }

    proptest! {
        #[test]
        fn a_step_keeps_its_bounds_and_always_moves(
            sequences in prop::collection::vec(runnable(), 1..80), tokens in 2usize..300, chunk in 1usize..200,
            turn in prop_oneof![0usize..200, Just(usize::MAX)],
        ) {
            let take = pack(&sequences, Budget { tokens, chunk }, turn);
            prop_assert!(take.iter().sum::<usize>() <= tokens);
            prop_assert!(take.iter().sum::<usize>() >= 1);
            for (taken, sequence) in take.iter().zip(&sequences) {
                prop_assert!(*taken <= sequence.waiting);
                prop_assert!(sequence.decoding || *taken <= chunk);
            }
            // The budget is used up unless everybody got all that is allowed.
            let wanted: usize = sequences.iter().map(|s| if s.decoding { 1 } else { s.waiting.min(chunk) }).sum();
            prop_assert_eq!(take.iter().sum::<usize>(), wanted.min(tokens));
        }

        #[test]
        fn nobody_starves(count in 1usize..60, tokens in 2usize..20) {
            let sequences = vec![Runnable { waiting: 1, decoding: true }; count];
            let mut served = vec![0usize; count];
            let mut turn = 0;
            for _ in 0..count.div_ceil(tokens) {
                let take = pack(&sequences, Budget { tokens, chunk: 8 }, turn);
                turn += tokens.min(count);
                served.iter_mut().zip(take).for_each(|(s, t)| *s += t);
            }
            prop_assert!(served.iter().all(|s| *s >= 1));
        }
    }
}
