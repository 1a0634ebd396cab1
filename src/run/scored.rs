//! Cases of which log-likelihoods are asked, in place of an answer.
//!
//! A case asks one question, of which the engine leaves nothing for later: what an interruption keeps are whole cases.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

use super::cases::{Case, Cases};
use super::event::Event;
use super::generated::{AnswerStage, Answerer, Questions, Texts, count};
use super::journalled::{Known, keep, known};
use super::outbox::{Answer, Answered, Outbox, SMALLEST, ScoredAnswer, Unasked};
use crate::engine::scheduler::workload::Totals;
use crate::engine::{LogProb, Scored};
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::prompt::{Question, RequestKind};
use crate::record::Journal;
use crate::score::{ChoiceLikelihoods, ContinuationLikelihood, DocumentLikelihood, Likelihoods};

/// What comes back for a question.
type Outcome = std::result::Result<Vec<LogProb>, String>;

/// Asks all cases of datasets that are scored; `before` is what was done until now, for the progress.
pub(super) fn score(answerer: &mut dyn Answerer, before: &Totals, stage: &AnswerStage<'_>) -> Result<()> {
    let AnswerStage { checked, sender, journal, meter, watch } = *stage;
    let mutual = |dataset| checked.suite.scorers(dataset).iter().any(|spec| spec.needs_unconditional());
    let asking = Asking {
        stage,
        texts: answerer.texts(),
        has_chat: answerer.has_chat_template(),
        mutual: checked.suite.plan.datasets.iter().map(mutual).collect(),
        state: Mutex::default(),
        unasked: Unasked::new(sender.clone()),
        resumed: AtomicU64::new(0),
    };
    let mut outbox = Outbox::new(sender.clone(), SMALLEST);
    let done = Cell::new(0);
    let questions: Questions<'_> = Box::new(
        Cases::asked(checked, false).filter_map(|case| case.and_then(|case| asking.question(case)).transpose()),
    );
    let mut sink = |number: u64, outcome: Outcome| {
        let (case, scored) = asking.answered(number, outcome)?;
        done.set(done.get() + 1);
        let Case { dataset, sample, repeat } = case;
        // What went wrong is tried again.
        if let (Some(journal), Ok(_)) = (journal, &scored.outcome) {
            keep(journal, (&checked.sources[dataset].name, &sample.id, repeat), &scored)?;
        }
        outbox.push(Answered { dataset, sample, repeat, answer: Answer::Scored(scored) })
    };
    let tell = |totals: &Totals| {
        watch.tell(Event::Answered {
            cases: before.finished + done.get(),
            cached: before.cached,
            prompt_tokens: before.prefill_tokens + totals.prefill_tokens,
            generated_tokens: before.generated_tokens,
        });
    };
    let mut progress = |totals: &Totals| {
        // Before the next step, and before anybody stops the run.
        journal.map_or(Ok(()), Journal::flush)?;
        watch.check()?;
        tell(totals);
        Ok(())
    };
    let totals = answerer.score(questions, &mut sink, &mut progress)?;
    journal.map_or(Ok(()), Journal::flush)?;
    tell(&totals);
    outbox.flush()?;
    let Asking { unasked, resumed, .. } = asking;
    unasked.finish()?;
    count(meter, &totals, 0, resumed.into_inner());
    Ok(())
}

/// Cases on their way to the engine. They are taken on a thread of its own.
struct Asking<'a> {
    stage: &'a AnswerStage<'a>,
    texts: Texts,
    has_chat: bool,
    /// By dataset, whether choices are asked without the prompt, too.
    mutual: Vec<bool>,
    state: Mutex<State>,
    unasked: Unasked,
    resumed: AtomicU64,
}

/// Cases whose answer has not come yet, by the number of their question; as many as the engine's window.
#[derive(Default)]
struct State {
    /// The number of the next question.
    next: u64,
    cases: HashMap<u64, Pending>,
}

struct Pending {
    case: Case,
    form: Form,
    hash: String,
}

/// How answers become the log-likelihoods of a case.
enum Form {
    /// The choices behind the prompt, and then those without it, where they are asked for.
    Choices,
    Continuation,
    Document(String),
}

impl Asking<'_> {
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        self.state.lock().map_err(|_| Error::internal("failed to note a case"))
    }

    /// The question of a case; none where there is nothing to ask.
    fn question(&self, case: Case) -> Result<Option<Scored>> {
        let AnswerStage { checked, journal, .. } = *self.stage;
        let name = checked.sources[case.dataset].name.as_str();
        match known(journal, (name, &case.sample.id, case.repeat))? {
            Known::Line => return Ok(None),
            Known::Answer(scored) => {
                self.resumed.fetch_add(1, Relaxed);
                return self.unasked.push(case, Answer::Scored(*scored)).map(|()| None);
            }
            Known::Nothing => {}
        }
        let (question, form) = match self.asked(&case) {
            Ok(asked) => asked,
            Err(error) => return self.unasked.push(case, Answer::Unasked(error.chain())).map(|()| None),
        };
        let hash = hash(&question)?;
        let mut state = self.state()?;
        let number = state.next;
        state.next += 1;
        state.cases.insert(number, Pending { case, form, hash });
        Ok(Some(question))
    }

    fn asked(&self, case: &Case) -> Result<(Scored, Form)> {
        let prompt = &self.stage.checked.prompts[case.dataset];
        let chooses = prompt.request() == RequestKind::Choice;
        let mutual = self.mutual[case.dataset];
        Ok(match prompt.question(&case.sample, self.has_chat)? {
            Question::Answer(_) => return Err(Error::internal("failed to ask for a log-likelihood")),
            Question::Choices { context, continuations } if chooses => {
                let alone = Scored::Choices { context: String::new(), continuations: continuations.clone() };
                let asked = Scored::Choices { context: (self.texts)(&context)?, continuations };
                (if mutual { Scored::Several(vec![asked, alone]) } else { asked }, Form::Choices)
            }
            Question::Choices { context, continuations } => {
                let context = (self.texts)(&context)?;
                (Scored::Choices { context, continuations }, Form::Continuation)
            }
            Question::Contexts(pairs) => {
                let pair =
                    |(context, continuation)| Ok(Scored::Pair { context: (self.texts)(&context)?, continuation });
                (Scored::Several(pairs.into_iter().map(pair).collect::<Result<_>>()?), Form::Choices)
            }
            Question::Document(text) => (Scored::Rolling(text.clone()), Form::Document(text)),
        })
    }

    /// Takes the answer to a question.
    fn answered(&self, number: u64, outcome: Outcome) -> Result<(Case, ScoredAnswer)> {
        let found = self.state()?.cases.remove(&number);
        let Pending { case, form, hash } =
            found.ok_or_else(|| Error::internal("failed to find the case of an answer"))?;
        let outcome = outcome.and_then(|scored| likelihoods(&case, &form, &scored));
        Ok((case, ScoredAnswer { outcome, hash }))
    }
}

/// The log-likelihoods of a case from the answers to its question.
fn likelihoods(case: &Case, form: &Form, scored: &[LogProb]) -> std::result::Result<Likelihoods, String> {
    let one = || scored.first().ok_or("nothing was scored");
    let likelihoods = match form {
        Form::Choices => {
            let (behind, alone) = scored.split_at(case.sample.choices.len().min(scored.len()));
            Likelihoods::Choice(choice(case, behind, alone)?)
        }
        Form::Continuation => {
            let LogProb { logprob, tokens, greedy } = *one()?;
            Likelihoods::Continuation(ContinuationLikelihood { logprob, tokens, greedy })
        }
        Form::Document(text) => {
            let LogProb { logprob, tokens, .. } = *one()?;
            Likelihoods::Document(DocumentLikelihood::new(logprob, tokens, text))
        }
    };
    if likelihoods.are_finite() { Ok(likelihoods) } else { Err("a log-likelihood is not finite".into()) }
}

fn choice(case: &Case, behind: &[LogProb], alone: &[LogProb]) -> std::result::Result<ChoiceLikelihoods, String> {
    if behind.len() != case.sample.choices.len() {
        return Err(format!("{} of {} choices were scored", behind.len(), case.sample.choices.len()));
    }
    let choice = ChoiceLikelihoods {
        logprobs: behind.iter().map(|one| one.logprob).collect(),
        tokens: behind.iter().map(|one| one.tokens).collect(),
        greedy: behind.iter().map(|one| one.greedy).collect(),
        unconditional: alone.iter().map(|one| one.logprob).collect(),
        gold: case.sample.gold.clone(),
        ..ChoiceLikelihoods::default()
    };
    Ok(choice.picked())
}

/// SHA-256 of all that is asked for a case.
fn hash(question: &Scored) -> Result<String> {
    let failed = |e| Error::internal("failed to hash what is asked").caused_by(e);
    Ok(sha256(&serde_json::to_vec(&texts(question)).map_err(failed)?))
}

/// The texts of a question: contexts, and what is scored behind each.
fn texts(question: &Scored) -> Vec<(Option<&str>, Vec<&str>)> {
    match question {
        Scored::Pair { context, continuation } => vec![(Some(context), vec![continuation])],
        Scored::Choices { context, continuations } => {
            vec![(Some(context), continuations.iter().map(String::as_str).collect())]
        }
        Scored::Rolling(text) => vec![(None, vec![text])],
        Scored::Several(questions) => questions.iter().flat_map(texts).collect(),
        Scored::Ids(_) => Vec::new(),
    }
}
