//! Which tests decide, where a suite wants others than the usual ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which tests decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Statistics {
    /// The variant of McNemar's test for paired pass rates, and of the interval that goes with it.
    pub mcnemar: McNemarKind,
}

/// A variant of McNemar's test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum McNemarKind {
    /// Mid-p: its size is near 5 %.
    #[default]
    MidP,
    /// Exact: its size is never above 5 %, and often far below.
    Exact,
}
