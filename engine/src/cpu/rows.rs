//! [`Rows`]: the activations of packed tokens, and how operations on them are spread over threads.
//!
//! Each row is computed alone, in one order, by one thread, so its bits never depend on the batch or on how rows are
//! spread over threads. No operation here touches more than one row at a time except to copy.

use rayon::prelude::*;

use super::simd::{self, Kernel, Lanes};

/// Rows per parallel task at the least, so that small steps do not pay for threads they cannot use.
const MIN_VALUES_PER_TASK: usize = 16 * 1024;

/// Rows of `width` values that one parallel task should take.
pub(crate) fn rows_per_task(width: usize) -> usize {
    (MIN_VALUES_PER_TASK / width.max(1)).max(1)
}

/// A matrix of f32 values in host memory, row after row: one row per token of a step, one column per value of its vector.
///
/// Functions that take several panic where their shapes do not fit, as slices do.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    values: Vec<f32>,
    columns: usize,
}

impl Rows {
    /// A matrix of its values, `[rows, columns]`.
    ///
    /// # Panics
    /// There are no columns, or the values do not fill the last row.
    pub fn new(values: Vec<f32>, columns: usize) -> Self {
        assert!(columns > 0 && values.len().is_multiple_of(columns), "{} values in rows of {columns}", values.len());
        Self { values, columns }
    }

    /// A matrix of zeros.
    ///
    /// # Panics
    /// There are no columns.
    pub fn zeros(rows: usize, columns: usize) -> Self {
        Self::new(vec![0.0; rows * columns], columns)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Values of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All values, row after row.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, row after row.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// The rows in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.columns)
    }

    /// The rows in order.
    pub fn iter_mut(&mut self) -> std::slice::ChunksExactMut<'_, f32> {
        self.values.chunks_exact_mut(self.columns)
    }

    /// Applies `f(index, row)` to every row in place, in parallel.
    pub fn for_each(&mut self, f: impl Fn(usize, &mut [f32]) + Sync) {
        let per_task = rows_per_task(self.columns);
        self.values.par_chunks_mut(per_task * self.columns).enumerate().for_each(|(task, chunk)| {
            for (row, values) in chunk.chunks_exact_mut(self.columns).enumerate() {
                f(task * per_task + row, values);
            }
        });
    }

    /// A matrix of as many rows of `columns` values, each written by `f(row, new row)`, in parallel.
    pub fn map(&self, columns: usize, f: impl Fn(&[f32], &mut [f32]) + Sync) -> Self {
        let mut out = Self::zeros(self.rows(), columns);
        let per_task = rows_per_task(self.columns.max(columns));
        let tasks = out.values.par_chunks_mut(per_task * columns).zip(self.values.par_chunks(per_task * self.columns));
        tasks.for_each(|(out, rows)| {
            let pairs = out.chunks_exact_mut(columns).zip(rows.chunks_exact(self.columns));
            pairs.for_each(|(out, row)| f(row, out));
        });
        out
    }

    /// Adds another matrix of the same shape, element by element.
    ///
    /// # Panics
    /// The shapes differ.
    pub fn add(&mut self, other: &Self) {
        assert_eq!((self.rows(), self.columns), (other.rows(), other.columns), "a sum of two shapes");
        let columns = self.columns;
        self.for_each(|row, to| add_row(to, &other.values[row * columns..(row + 1) * columns]));
    }

    /// The rows with these indices, in this order.
    ///
    /// # Panics
    /// There is no such row.
    pub fn gather(&self, rows: &[usize]) -> Self {
        let mut out = Self::zeros(rows.len(), self.columns);
        for (to, row) in out.iter_mut().zip(rows) {
            to.copy_from_slice(&self.values[row * self.columns..(row + 1) * self.columns]);
        }
        out
    }
}

struct AddRow<'a> {
    row: &'a mut [f32],
    other: &'a [f32],
}

impl Kernel for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        simd::map_row::<L>(
            self.row,
            0.0,
            #[inline(always)]
            |at, x| x.add(simd::load_padded::<L>(self.other, at, 0.0)),
        );
    }
}

/// `row += other`, element by element.
pub(crate) fn add_row(row: &mut [f32], other: &[f32]) {
    simd::dispatch(AddRow { row, other });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_mapped_added_and_gathered() {
        // More rows than one task takes.
        let count = 2 * rows_per_task(3) + 5;
        let mut x = Rows::new((0..3 * count).map(|i| i as f32).collect(), 3);
        assert_eq!((x.rows(), x.columns()), (count, 3));
        let sums = x.map(1, |row, out| out[0] = row.iter().sum());
        assert_eq!((sums.rows(), sums.columns()), (count, 1));
        assert!(sums.values().iter().enumerate().all(|(row, sum)| *sum == (9 * row + 3) as f32));
        let before = x.clone();
        x.for_each(|index, row| row.fill(index as f32));
        assert!(x.iter().enumerate().all(|(index, row)| row == [index as f32; 3]));
        x.add(&before);
        let last = (4 * (count - 1)) as f32;
        assert_eq!(x.gather(&[count - 1, 0]).values(), [last, last + 1.0, last + 2.0, 0.0, 1.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "5 values in rows of 2")]
    fn a_row_that_is_not_full_is_refused() {
        Rows::new(vec![0.0; 5], 2);
    }

    #[test]
    #[should_panic(expected = "a sum of two shapes")]
    fn a_sum_of_two_shapes_is_refused() {
        Rows::zeros(2, 6).add(&Rows::zeros(3, 4));
    }
}
