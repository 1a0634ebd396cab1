//! What is private to the command line and reads foreign bytes, for `fuzz/`.

use super::lines::{Identified, Lines};
use super::{classify, embed, generate, logprob};
use crate::dataset::UnknownKeys;
use crate::error::Result;

/// Reads bytes as input lines of `generate`, `logprob`, `embed` and `classify`; what each makes of every line.
pub fn lines(bytes: &[u8]) -> [Vec<Result<()>>; 4] {
    [of::<generate::Line>(bytes), of::<logprob::Line>(bytes), of::<embed::Line>(bytes), of::<classify::Line>(bytes)]
}

fn of<T: Identified + serde::de::DeserializeOwned>(bytes: &[u8]) -> Vec<Result<()>> {
    let reader = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let read = |line: Result<T>| line.map(|line| assert!(line.id().is_string() || line.id().is_number()));
    Lines::<T>::over(reader, "in.jsonl".into(), UnknownKeys::Refuse("--allow-unknown-keys lets them pass"))
        .map(read)
        .collect()
}
