//! Pairing two sorted runs by dataset and id.

use std::iter::Peekable;

use crate::error::Result;
use crate::record::{Manifest, ResultLine};

/// A case as it stands in the two runs.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one pair lives at a time, and most are of the large kind")]
pub enum Pair {
    /// In both.
    Both(ResultLine, ResultLine),
    /// Only in the base run.
    Removed(ResultLine),
    /// Only in the candidate.
    Added(ResultLine),
}

impl Pair {
    /// Dataset and id.
    pub fn case(&self) -> (&str, &str) {
        match self {
            Self::Both(line, _) | Self::Removed(line) | Self::Added(line) => line.case(),
        }
    }

    /// Whether one run lacks it because its call did not ask for it: a case left out of a partial run, or an answer beyond those
    /// that its plan asks for. It is neither missing nor new.
    pub fn unasked(&self, base: &Manifest, candidate: &Manifest) -> bool {
        let (line, lacking) = match self {
            Self::Both(..) => return false,
            Self::Removed(line) => (line, candidate),
            Self::Added(line) => (line, base),
        };
        lacking.selects_some_of(&line.dataset) || line.repeat >= lacking.repeats()
    }
}

/// Merges two runs in the order of dataset and id. Both must be sorted and free of duplicates, which
/// [`crate::record::Lines`] guarantees.
pub fn pairs<B, C>(base: B, candidate: C) -> impl Iterator<Item = Result<Pair>>
where
    B: Iterator<Item = Result<ResultLine>>,
    C: Iterator<Item = Result<ResultLine>>,
{
    Pairs { base: base.peekable(), candidate: candidate.peekable() }
}

struct Pairs<B: Iterator, C: Iterator> {
    base: Peekable<B>,
    candidate: Peekable<C>,
}

impl<B, C> Iterator for Pairs<B, C>
where
    B: Iterator<Item = Result<ResultLine>>,
    C: Iterator<Item = Result<ResultLine>>,
{
    type Item = Result<Pair>;

    fn next(&mut self) -> Option<Self::Item> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (self.base.peek(), self.candidate.peek()) {
            (None, None) => return None,
            // Errors first: what stands behind one is not known.
            (Some(Err(_)), _) | (Some(_), None) => Less,
            (_, Some(Err(_))) | (None, Some(_)) => Greater,
            (Some(Ok(base)), Some(Ok(candidate))) => base.key().cmp(&candidate.key()),
        };
        let pair = match order {
            Less => self.base.next()?.map(Pair::Removed),
            Greater => self.candidate.next()?.map(Pair::Added),
            Equal => match (self.base.next()?, self.candidate.next()?) {
                (Ok(base), Ok(candidate)) => Ok(Pair::Both(base, candidate)),
                (Err(e), _) | (_, Err(e)) => Err(e),
            },
        };
        Some(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::tests::line;
    use crate::error::Error;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn run(keys: &BTreeMap<(String, String), bool>) -> Vec<ResultLine> {
        keys.iter().map(|((dataset, id), passed)| line(dataset, id, *passed)).collect()
    }

    proptest! {
        #[test]
        fn equals_a_join_of_maps(
            base in proptest::collection::btree_map(("[ab]{1,2}", "[0-9]{1,2}"), any::<bool>(), 0..60),
            candidate in proptest::collection::btree_map(("[ab]{1,2}", "[0-9]{1,2}"), any::<bool>(), 0..60),
        ) {
            let keys: BTreeSet<_> = base.keys().chain(candidate.keys()).collect();
            let find = |map: &BTreeMap<(String, String), bool>, key: &(String, String)| {
                map.get(key).map(|passed| line(&key.0, &key.1, *passed))
            };
            let naive: Vec<_> = keys.into_iter().map(|key| match (find(&base, key), find(&candidate, key)) {
                (Some(b), Some(c)) => Pair::Both(b, c),
                (Some(b), None) => Pair::Removed(b),
                (None, Some(c)) => Pair::Added(c),
                (None, None) => unreachable!(),
            }).collect();
            let (base, candidate) = (run(&base).into_iter().map(Ok), run(&candidate).into_iter().map(Ok));
            let merged: Result<Vec<_>> = pairs(base, candidate).collect();
            prop_assert_eq!(merged.unwrap(), naive);
        }
    }

    #[test]
    fn errors_come_through() {
        let bad = || std::iter::once(Err(Error::input("failed to read a result line")));
        let good = || std::iter::once(Ok(line("a", "1", true)));
        assert!(pairs(bad(), good()).next().unwrap().is_err());
        assert!(pairs(good(), bad()).next().unwrap().is_err());
    }
}
