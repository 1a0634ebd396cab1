//! How the matrices of a layer lie in a file.

/// A matrix of a layer, by its name without `.weight` and `.bias`.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The name.
    pub name: String,
    /// Number of outputs.
    pub outputs: usize,
    /// How it lies in the file.
    pub order: Order,
}

impl Matrix {
    /// One that lies output by output.
    pub fn new(name: String, outputs: usize) -> Self {
        Self { name, outputs, order: Order::Rows }
    }
}

/// How a matrix lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `[outputs, inputs]`.
    Rows,
    /// `[inputs, outputs]`.
    Columns,
    /// `[outputs, inputs]`, the query, key and value rows of each of so many heads together; outputs are all queries, then
    /// all keys, then all values.
    ByHead(usize),
    /// The one with this number in a stack of `of`, `[of, outputs, inputs]`, whose name may or may not end in `.weight`.
    Slice {
        /// Which one.
        number: usize,
        /// How many there are.
        of: usize,
    },
}

impl Order {
    pub(super) fn shape(self, outputs: usize, inputs: usize) -> Vec<usize> {
        match self {
            Self::Rows | Self::ByHead(_) => vec![outputs, inputs],
            Self::Columns => vec![inputs, outputs],
            Self::Slice { of, .. } => vec![of, outputs, inputs],
        }
    }

    /// The row in the file of an output.
    pub(super) fn row(self, output: usize, outputs: usize) -> usize {
        match self {
            Self::Rows | Self::Columns => output,
            Self::ByHead(heads) => {
                let size = outputs / heads / 3;
                let (kind, head, at) = (output / (heads * size), output / size % heads, output % size);
                (3 * head + kind) * size + at
            }
            Self::Slice { number, .. } => number * outputs + output,
        }
    }
}
