//! The generator: a decoder with its tokenizer, answering streams of requests in input order.
//!
//! A thread of its own renders and tokenizes ahead of the arithmetic; the scheduler takes what is ready. Nothing is held
//! beyond the window.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::backend::Backend;
use super::candle::{self, Decoder, Fingerprint, PAGE, arch};
use super::draft::Draft;
use super::model_json::read_json;
use super::options::EngineOptions;
use super::render::Renderer;
use super::request::{Finish, LogProb, Request, Response, Scored};
use super::sampler;
use super::scheduler::{Exchange, Goal, Limits, Outcome, Scheduler, Totals, Work};
use crate::error::{Error, Result};

/// Rendered requests that wait for the scheduler.
const AHEAD: usize = 256;

/// A generator ready to answer.
pub struct Generator {
    folder: PathBuf,
    renderer: Arc<Renderer>,
    decoder: Decoder,
    eos: Vec<u32>,
    limits: Limits,
    fingerprint: Fingerprint,
}

/// A request on its way to the scheduler.
struct Prepared {
    work: std::result::Result<Work, String>,
    ticket: Ticket,
}

/// What the answer needs to know of its request.
struct Ticket {
    prompt_tokens: usize,
    prompt_hash: String,
}

impl Generator {
    /// Loads a model folder.
    ///
    /// # Errors
    /// Missing, broken or contradicting files; a device that is not there.
    pub fn open(folder: &Path, renderer: Arc<Renderer>, options: &EngineOptions) -> Result<Self> {
        options.check()?;
        let fingerprint = candle::fingerprint(options.device, options.dtype)?;
        let config = arch::Config::read(folder)?;
        let spec = arch::decoder(&config)?;
        let known = renderer.tokenizer().vocab_size();
        if known > spec.vocab {
            return Err(Error::input(format!("use a tokenizer of {known} tokens with an embedding of {}", spec.vocab))
                .at(folder)
                .with_hint("tokenizer.json and config.json belong to different models"));
        }
        let eos = end_tokens(folder, &config, &renderer)?;
        let pages = pages(&spec, options);
        let decoder = Decoder::load(folder, spec, pages)?;
        let limits = Limits {
            batch_tokens: options.batch_tokens,
            prefill_chunk: options.prefill_chunk.unwrap_or(usize::MAX),
            max_seqs: options.max_seqs,
            window: options.window,
            sharing: options.prefix_sharing,
            drafts: options.drafts,
        };
        Ok(Self { folder: folder.into(), renderer, decoder, eos, limits, fingerprint })
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tokenizer and chat template.
    pub fn renderer(&self) -> &Arc<Renderer> {
        &self.renderer
    }

    /// What decides the bits of its answers.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Answers a stream of requests; `sink` gets the responses in input order, `progress` is called after each step and
    /// may end the run with an error. A request that cannot be answered becomes a response that says why.
    ///
    /// # Errors
    /// An error of the stream, of `sink` or `progress`, or of the arithmetic as a whole.
    pub fn generate(
        &mut self,
        requests: impl Iterator<Item = Result<Request>> + Send,
        mut sink: impl FnMut(Response) -> Result<()>,
        progress: impl FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let (renderer, eos) = (self.renderer.clone(), self.eos.clone());
        let prepare = |request: Request| prepare(&renderer, &eos, request);
        self.run(requests, prepare, |ticket, outcome| sink(respond(ticket, outcome)), progress)
    }

    /// Log-probabilities for a stream of questions; as [`Generator::generate`].
    ///
    /// # Errors
    /// As for [`Generator::generate`].
    pub fn logprob(
        &mut self,
        questions: impl Iterator<Item = Result<Scored>> + Send,
        mut sink: impl FnMut(std::result::Result<LogProb, String>) -> Result<()>,
        progress: impl FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let renderer = self.renderer.clone();
        let prepare = |scored: Scored| {
            let split = renderer.split(&scored).map_err(|e| e.chain());
            let work = split.map(|s| Work { tokens: s.ids, goal: Goal::Score { from: s.from } });
            Prepared { work, ticket: Ticket { prompt_tokens: 0, prompt_hash: String::new() } }
        };
        let answer = |_, outcome| match outcome {
            Outcome::Scored { logprob, tokens, greedy } => sink(Ok(LogProb { logprob, tokens, greedy })),
            Outcome::Failed(reason) => sink(Err(reason)),
            Outcome::Generated { .. } | Outcome::Logits(_) => Err(Error::internal("score a sequence")),
        };
        self.run(questions, prepare, answer, progress)
    }

    fn run<T: Send>(
        &mut self,
        items: impl Iterator<Item = Result<T>> + Send,
        prepare: impl Fn(T) -> Prepared + Send,
        answer: impl FnMut(Ticket, Outcome) -> Result<()>,
        progress: impl FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let (sender, receiver) = sync_channel(AHEAD.min(self.limits.window));
        let decoder: &mut dyn Backend = &mut self.decoder;
        let limits = self.limits;
        std::thread::scope(|scope| {
            scope.spawn(move || feed(items, prepare, sender));
            let mut desk = Desk { receiver, tickets: VecDeque::new(), answer, progress };
            Scheduler::new(decoder, limits).run(&mut desk)
        })
    }
}

/// Prepares requests until there are none left or nobody listens any more.
fn feed<T>(
    items: impl Iterator<Item = Result<T>>,
    prepare: impl Fn(T) -> Prepared,
    sender: SyncSender<Result<Prepared>>,
) {
    for item in items {
        let failed = item.is_err();
        if sender.send(item.map(&prepare)).is_err() || failed {
            return;
        }
    }
}

/// Takes prepared requests to the scheduler and outcomes back to whoever asked.
struct Desk<A, P> {
    receiver: Receiver<Result<Prepared>>,
    tickets: VecDeque<Ticket>,
    answer: A,
    progress: P,
}

impl<A, P> Exchange for Desk<A, P>
where
    A: FnMut(Ticket, Outcome) -> Result<()>,
    P: FnMut(&Totals) -> Result<()>,
{
    fn next(&mut self, wait: bool) -> Result<Option<std::result::Result<Work, String>>> {
        let prepared = match wait {
            true => self.receiver.recv().ok(),
            false => self.receiver.try_recv().ok(),
        };
        let Some(prepared) = prepared.transpose()? else { return Ok(None) };
        self.tickets.push_back(prepared.ticket);
        Ok(Some(prepared.work))
    }

    fn done(&mut self, outcome: Outcome) -> Result<()> {
        let Some(ticket) = self.tickets.pop_front() else {
            return Err(Error::internal("find the request of an answer"));
        };
        (self.answer)(ticket, outcome)
    }

    fn stepped(&mut self, totals: &Totals) -> Result<()> {
        (self.progress)(totals)
    }
}

fn prepare(renderer: &Arc<Renderer>, eos: &[u32], request: Request) -> Prepared {
    let ids = match renderer.ids(&request.prompt) {
        Ok(ids) => ids,
        Err(error) => {
            let ticket = Ticket { prompt_tokens: 0, prompt_hash: String::new() };
            return Prepared { work: Err(error.chain()), ticket };
        }
    };
    let ticket = Ticket { prompt_tokens: ids.len(), prompt_hash: hash_ids(&ids) };
    let options = &request.options;
    let eos = if options.ignore_eos { Vec::new() } else { eos.to_vec() };
    let goal = Goal::Generate {
        max_new_tokens: options.max_new_tokens,
        sampling: options.sampling,
        key: sampler::stream_key(options.seed, &request.key),
        draft: Draft::new(request.draft),
        watcher: Box::new(Answer::new(renderer.clone(), eos, &options.stop)),
    };
    Prepared { work: Ok(Work { tokens: ids, goal }), ticket }
}

fn respond(ticket: Ticket, outcome: Outcome) -> Response {
    let failed = |reason: String| Response {
        text: String::new(),
        ids: Vec::new(),
        finish: Finish::Error,
        prompt_tokens: ticket.prompt_tokens,
        prompt_hash: ticket.prompt_hash.clone(),
        error: Some(reason),
    };
    match outcome {
        Outcome::Generated { tokens, watcher } => match watcher.close(tokens) {
            Ok(closed) => Response {
                text: closed.text,
                ids: closed.ids,
                finish: closed.finish,
                prompt_tokens: ticket.prompt_tokens,
                prompt_hash: ticket.prompt_hash,
                error: None,
            },
            Err(error) => failed(error.chain()),
        },
        Outcome::Failed(reason) => failed(reason),
        Outcome::Scored { .. } | Outcome::Logits(_) => failed("generate an answer".into()),
    }
}

/// SHA-256 over token ids as little-endian 32-bit words, in hex.
pub fn hash_ids(ids: &[u32]) -> String {
    let mut hash = Sha256::new();
    ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    super::identity::hex(&hash.finalize())
}

/// The tokens that end a turn: `generation_config.json`, else `config.json`, else the tokenizer's eos token.
fn end_tokens(folder: &Path, config: &arch::Config, renderer: &Renderer) -> Result<Vec<u32>> {
    let listed = read_json(&folder.join("generation_config.json"))?.and_then(|v| v.get("eos_token_id").cloned());
    let ids = |value: &serde_json::Value| -> Vec<u32> {
        let one = |v: &serde_json::Value| v.as_u64().map(|id| id as u32);
        value.as_array().map_or_else(|| one(value).into_iter().collect(), |list| list.iter().filter_map(one).collect())
    };
    let found = listed.filter(|v| !v.is_null()).or_else(|| config.get("eos_token_id").cloned()).map(|v| ids(&v));
    Ok(found.unwrap_or_else(|| renderer.tokenizer().eos_id().into_iter().collect()))
}

/// KV pages: as many as the sequences in flight could ever need, bounded by the memory given.
fn pages(spec: &candle::DecoderSpec, options: &EngineOptions) -> usize {
    let page = spec.cache_shape().page_bytes() as u64;
    let useful = (options.max_seqs as u64).saturating_mul(spec.context.div_ceil(PAGE) as u64);
    let given = match options.kv_gib {
        Some(gib) => (gib * f64::from(1u32 << 30)) as u64,
        None => candle::available_memory().map_or(4 << 30, |free| free / 2),
    };
    useful.min((given / page).max(1)).min(u64::from(u32::MAX)) as usize
}
