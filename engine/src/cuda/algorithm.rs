//! The rule by which one algorithm of cuBLASLt is chosen for a weight, once and for every number of rows. Plain data.
//!
//! cuBLASLt's own choice looks at the number of rows: other tiles, another split of the inner dimension, and so another order
//! of sums. Products would not be batch-invariant. Here its heuristics are asked once, for [`REFERENCE_ROWS`], and the
//! first of their answers that is *fixed* is kept. Fixed is what leaves nothing open that could be decided at the call:
//!
//! | attribute | must be | because |
//! |---|---|---|
//! | `ID` | as given | which kernels |
//! | `TILE_ID` | set | decides how the outputs are cut; where it is open, the number of rows decides |
//! | `STAGES_ID` | as given; open only where the algorithm has no choice of them | decides how the inner dimension is cut |
//! | `SPLITK_NUM` | 1 | partial sums would be added in an order of their own |
//! | `REDUCTION_SCHEME` | none | the same; and partial sums could be rounded to the output's type |
//! | `CTA_SWIZZLING` | as given | only the order in which tiles are computed |
//! | `CUSTOM_OPTION` | as given | which variant of a kernel |
//! | `INNER_SHAPE_ID` | as given | shape of the tensor cores' instruction |
//! | `CLUSTER_SHAPE_ID` | set: as given, or a tile alone; open only where the algorithm takes no clusters | the same as for tiles |
//!
//! The choice belongs to the numerics: it follows from cuBLASLt's version and from the GPU, both of which are in the
//! fingerprint, and [`Config`] shows it.

use crate::error::{Error, Result};

/// Rows for which the heuristics are asked: what a step of many short sequences has, and few enough that tiles which are
/// wasteful for a handful of rows are not chosen.
pub const REFERENCE_ROWS: usize = 128;

/// Rows are filled up to a multiple of this for an algorithm that does not take every number of them.
pub const ROW_MULTIPLE: usize = 16;

/// Bytes at a multiple of which every buffer begins.
pub const ALIGNMENT: usize = 16;

/// What an algorithm is, completely, in cuBLASLt's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The algorithm.
    pub id: i32,
    /// Tile of outputs.
    pub tile: u32,
    /// Stages: how much of the inner dimension is loaded at a time, and how far ahead.
    pub stages: u32,
    /// Parts of the inner dimension that are added up apart; 0 is 1.
    pub split: i32,
    /// How such parts are added up; 0 where there are none.
    pub reduction: u32,
    /// Order of tiles.
    pub swizzle: u32,
    /// Variant.
    pub custom: u32,
    /// Shape of the inner instruction.
    pub inner: u32,
    /// Cluster of tiles; 0 where there are none.
    pub cluster: u32,
}

impl std::fmt::Display for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, tile, stages, split, reduction, swizzle, custom, inner, cluster } = self;
        write!(f, "algorithm {id} tile {tile} stages {stages} split {split} reduction {reduction} ")?;
        write!(f, "swizzle {swizzle} custom {custom} inner {inner} cluster {cluster}")
    }
}

/// The rows that an algorithm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rows {
    /// None, or not all multiples of [`ROW_MULTIPLE`].
    Unfit,
    /// Multiples of [`ROW_MULTIPLE`].
    Multiples,
    /// Any number.
    Any,
}

impl Rows {
    /// What an algorithm takes, by whether it takes a number of rows.
    pub fn of(mut takes: impl FnMut(usize) -> bool) -> Self {
        // All that a tile can be cut at, then far apart: nothing of a problem but its size changes with the rows. No further:
        // beyond, y of a large vocabulary holds more values than 32 bits count.
        let few = 1..=2 * REFERENCE_ROWS;
        let many = (8..=13).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]);
        let probes: Vec<usize> = few.chain(many).collect();
        let multiples = probes.iter().filter(|rows| rows.is_multiple_of(ROW_MULTIPLE));
        if !multiples.copied().all(&mut takes) {
            return Self::Unfit;
        }
        if probes.into_iter().all(takes) { Self::Any } else { Self::Multiples }
    }

    /// The rows that are computed for some rows.
    pub fn computed(self, rows: usize) -> usize {
        if self == Self::Any { rows } else { rows.next_multiple_of(ROW_MULTIPLE) }
    }
}

/// An answer of the heuristics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What it is.
    pub config: Config,
    /// Whether it has stages to choose from.
    pub staged: bool,
    /// Whether it takes clusters.
    pub clustered: bool,
    /// The rows that it takes.
    pub rows: Rows,
}

impl Candidate {
    /// Whether it leaves nothing open.
    fn fixed(&self) -> bool {
        let Config { tile, stages, split, reduction, cluster, .. } = self.config;
        let staged = stages != 0 || !self.staged;
        let clustered = cluster != 0 || !self.clustered;
        tile != 0 && staged && split <= 1 && reduction == 0 && clustered
    }
}

/// The index of the candidate to use: of those that are fixed the first that takes any number of rows, else the first that
/// takes multiples of [`ROW_MULTIPLE`]. The order is the heuristics' own, fastest first.
///
/// # Errors
/// There is none.
pub fn choose(candidates: &[Candidate]) -> Result<usize> {
    let first = |rows: Rows| candidates.iter().position(|c| c.rows == rows && c.fixed());
    first(Rows::Any).or_else(|| first(Rows::Multiples)).ok_or_else(|| {
        Error::internal(format!(
            "failed to choose among {} algorithms of cuBLASLt: none is batch-invariant",
            candidates.len()
        ))
    })
}

/// The largest power of two, up to [`ALIGNMENT`], that divides a number of bytes.
pub fn alignment(bytes: usize) -> u32 {
    1 << bytes.trailing_zeros().min(ALIGNMENT.trailing_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(tile: u32) -> Candidate {
        let config = Config { id: 66, tile, stages: 35, split: 1, cluster: 3, ..Config::default() };
        Candidate { config, staged: true, clustered: true, rows: Rows::Any }
    }

    fn changed(change: impl Fn(&mut Config)) -> Candidate {
        let mut other = candidate(1);
        change(&mut other.config);
        other
    }

    #[test]
    fn the_first_that_is_fixed_is_chosen() {
        let open = [
            changed(|config| config.tile = 0),
            changed(|config| config.stages = 0),
            changed(|config| config.split = 2),
            changed(|config| config.reduction = 2),
            changed(|config| config.cluster = 0),
        ];
        for open in open {
            assert_eq!(choose(&[open, candidate(20), candidate(21)]).unwrap(), 1, "{open:?}");
        }
        assert!(choose(&open).unwrap_err().message().contains("among 5 algorithms"));
        assert!(choose(&[]).is_err());
    }

    #[test]
    fn what_an_algorithm_does_not_have_is_not_open() {
        let alone = Candidate { clustered: false, ..changed(|config| config.cluster = 0) };
        assert_eq!(choose(&[alone]).unwrap(), 0);
        let unstaged = Candidate { staged: false, ..changed(|config| config.stages = 0) };
        assert_eq!(choose(&[unstaged]).unwrap(), 0);
        assert_eq!(choose(&[changed(|config| config.split = 0)]).unwrap(), 0, "no split at all");
    }

    #[test]
    fn rows_are_filled_up_only_where_nothing_takes_all() {
        let multiples = Candidate { rows: Rows::Multiples, ..candidate(20) };
        let unfit = Candidate { rows: Rows::Unfit, ..candidate(20) };
        assert_eq!(choose(&[unfit, multiples, candidate(21)]).unwrap(), 2);
        assert_eq!(choose(&[unfit, multiples]).unwrap(), 1);
        assert!(choose(&[unfit]).is_err());
        let computed = |rows: Rows| [1, 15, 16, 17, 600].map(|some| rows.computed(some));
        assert_eq!(computed(Rows::Any), [1, 15, 16, 17, 600]);
        assert_eq!(computed(Rows::Multiples), [16, 16, 16, 32, 608]);
    }

    #[test]
    fn one_number_of_rows_that_is_not_taken_counts() {
        assert_eq!(Rows::of(|_| true), Rows::Any);
        assert_eq!(Rows::of(|rows| rows != 37), Rows::Multiples);
        assert_eq!(Rows::of(|rows| rows.is_multiple_of(8)), Rows::Multiples);
        assert_eq!(Rows::of(|rows| rows != 48), Rows::Unfit);
        assert_eq!(Rows::of(|rows| rows < 8_000), Rows::Unfit);
    }

    #[test]
    fn alignment_follows_the_length_of_a_row() {
        assert_eq!([1792, 2 * 900, 2 * 33, 4 * 33].map(alignment), [16, 8, 2, 4]);
        assert_eq!([0, 1, 1 << 20].map(alignment), [16, 1, 16]);
    }

    #[test]
    fn a_choice_shows_itself() {
        let text = "algorithm 66 tile 20 stages 35 split 1 reduction 0 swizzle 0 custom 0 inner 0 cluster 3";
        assert_eq!(candidate(20).config.to_string(), text);
    }
}
