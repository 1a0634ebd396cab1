//! The latency probe: after the batch, some cases are answered once more, one at a time.
//!
//! A batch hides latency: its answers come when the step that holds them is done. The probe asks as a single user would.
//! Its answers are thrown away, so that it changes no result.

use super::cases::{Case, Cases};
use super::check::Checked;
use super::event::Watch;
use crate::engine::{CaseKey, Generator, Request};
use crate::error::Result;
use crate::prompt::Question;
use crate::record::{Probe, ProbedCase};

/// Asks so many cases, evenly spread over those of the run, each once; the first of them is asked before, untimed, so that
/// weights are loaded and warm.
///
/// # Errors
/// Cases that cannot be read, a failure of the arithmetic, or what the watcher's `stop` says.
pub(super) fn probe(generator: &mut Generator, checked: &Checked, cases: u64, watch: Watch<'_>) -> Result<Probe> {
    let (all, mut probed, mut taken) = (checked.cases(), Probe::default(), 0);
    let has_chat = generator.renderer().has_chat_template();
    for (number, case) in (0..).zip(Cases::new(checked)) {
        let Case { dataset, sample, repeat } = case?;
        // The n-th of them is the one at n / cases of the way.
        if taken >= cases || number * cases < taken * all {
            continue;
        }
        taken += 1;
        watch.check()?;
        // What cannot be asked is an error in the record already.
        let plan = &checked.suite.plan;
        let (prompts, asked) = (&checked.prompts[dataset], &plan.datasets[dataset]);
        let Ok(Question::Answer(prompt)) = prompts.question(&sample, has_chat) else { continue };
        let options = plan.generation_of(asked).options();
        let dataset = checked.sources[dataset].name.clone();
        let key = CaseKey { dataset: dataset.clone(), case: sample.id.clone(), repeat };
        let request = Request { prompt, options, key, draft: Vec::new() };
        if probed.cases.is_empty() {
            generator.timed(request.clone())?;
        }
        let timing = generator.timed(request)?;
        probed.cases.push(ProbedCase {
            dataset,
            id: sample.id,
            first_token_seconds: timing.first_token.as_secs_f64(),
            total_seconds: timing.total.as_secs_f64(),
            tokens: timing.tokens,
        });
    }
    Ok(probed)
}
