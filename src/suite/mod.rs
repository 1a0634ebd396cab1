//! Suites: a YAML file and the command line to one validated [`Plan`]; nothing runs before everything that can be
//! checked is checked.
//!
//! Layers: built-in defaults, the suite file, [`Overrides`]. The file is read into a tree that knows places (`yaml`), the
//! options are laid over it, and the plan is read from the tree, so that every error names file, line and column, or the
//! option. Environment variables are not expanded: a plan says all there is to say.

mod layers;
mod lint;
mod lint_generation;
mod lint_header;
mod lint_prompts;
mod lint_scorers;
mod lint_tags;
#[cfg(test)]
mod lint_tests;
mod load;
mod overrides;
mod plan;
mod reference;
mod schema;
#[cfg(test)]
mod schema_tests;
mod survey;
#[cfg(test)]
mod tests;
mod validate;
mod validate_datasets;

pub use lint::{Linted, has_errors, lint};
pub use load::{Purpose, Suite, parse_check};
pub use overrides::Overrides;
pub use plan::{DangerPolicy, DatasetPlan, Generation, ModelPlan, Models, Plan, ProbePlan, ToxicityPlan};
pub use reference::reference;
pub use schema::{schema, schema_text};
pub use survey::Survey;
