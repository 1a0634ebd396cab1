//! The generator: a decoder with its tokenizer, answering streams of requests as their answers end.
//!
//! A thread of its own renders and tokenizes ahead of the arithmetic, and looks up what was computed before; the scheduler
//! takes what is ready and new. Nothing is held beyond the window. With a cache that holds answers, weights are loaded when
//! the first request comes whose answer it does not hold.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::answer::Answer;
use crate::device::{self, DecoderPlan, Fingerprint};
use crate::error::{Error, Result};
use crate::loglikelihood::{self, Question};
use crate::models::families;
use crate::models::generation_config::{EndTokens, GenerationConfig};
use crate::models::model_folder::ModelFolder;
use crate::options::{BackendChoice, EngineOptions};
use crate::render::Renderer;
use crate::request::{Finish, GenerateOptions, LogProb, Request, Response, Scored};
use crate::request_queue::{Prepared, RequestQueue, Ticket, feed};
use crate::response_cache::ResponseCache;
use crate::sampling;
use crate::scheduler::Limits;
use crate::scheduler::backend::Backend;
use crate::scheduler::dispatcher;
use crate::scheduler::draft::Draft;
use crate::scheduler::workload::{Closed, Goal, Outcome, RequestSource, Totals, Work};
use crate::thought;
use crate::tokenizer::check_stops;

/// Rendered requests that wait for the scheduler.
const AHEAD: usize = 256;

/// A generator ready to answer.
pub struct Generator {
    folder: ModelFolder,
    renderer: Arc<Renderer>,
    weights: Weights,
    defaults: Defaults,
    options: EngineOptions,
    fingerprint: Fingerprint,
    cache: Option<ResponseCache>,
    /// What tells that a prompt has opened a thought.
    thought_markers: thought::Markers,
    notes: Vec<String>,
    /// Whether the bits of a row depend on how long its sequence comes to be: RoPE scaling by length, and the reference backend.
    rows_depend_on_length: bool,
}

/// The weights, loaded when they are needed.
enum Weights {
    Waiting(DecoderPlan),
    /// One backend for each GPU.
    Loaded(Vec<Box<dyn Backend>>),
}

/// What the folder says of generating.
#[derive(Clone)]
struct Defaults {
    file: GenerationConfig,
    end: EndTokens,
    vocab: usize,
}

/// How long an answer took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// To its first token; to its end, where it has none.
    pub first_token: Duration,
    /// To its end.
    pub total: Duration,
    /// Generated tokens.
    pub tokens: u64,
}

impl Generator {
    /// Loads a model folder.
    ///
    /// # Errors
    /// Missing, broken or contradicting files; a device that is not there.
    pub fn open(folder: &ModelFolder, renderer: Arc<Renderer>, options: &EngineOptions) -> Result<Self> {
        Self::with_cache(folder, renderer, options, None)
    }

    /// Loads a model folder whose answers are kept: those in `cache` are not computed again. Where it holds some, the weights
    /// are not loaded yet.
    ///
    /// # Errors
    /// Those of [`Generator::open`].
    pub fn with_cache(
        folder: &ModelFolder,
        renderer: Arc<Renderer>,
        options: &EngineOptions,
        cache: Option<ResponseCache>,
    ) -> Result<Self> {
        options.check()?;
        let fingerprint = device::fingerprint(folder, options)?;
        let config = families::Config::read(folder)?;
        let plan = DecoderPlan::read(folder, &config, options.backend)?;
        let (vocab, notes) = (plan.vocab(), plan.notes().to_vec());
        renderer.tokenizer().check_vocabulary(folder, vocab)?;
        let file = GenerationConfig::read(folder)?;
        let end = file.end_tokens(&config, renderer.tokenizer(), vocab)?;
        let defaults = Defaults { file, end, vocab };
        // What cannot be applied is known now, not with the first answer.
        defaults.file.check(&defaults.end.ids, defaults.vocab)?;
        let mut weights = Weights::Waiting(plan);
        if cache.as_ref().is_none_or(ResponseCache::is_empty) {
            weights.load(folder, options)?;
        }
        let scaled = families::decoder(&config).is_ok_and(|spec| spec.rotation(usize::MAX) > 0);
        let rows_depend_on_length = scaled || options.backend == BackendChoice::Reference;
        let (folder, thought_markers) = (folder.clone(), thought::known_markers());
        Ok(Self {
            folder,
            renderer,
            weights,
            defaults,
            options: *options,
            fingerprint,
            cache,
            thought_markers,
            notes,
            rows_depend_on_length,
        })
    }

    /// Sets the markers of thoughts; those that models are known to write where they are not set.
    ///
    /// # Errors
    /// Answers would not show them.
    pub fn set_thought_markers(&mut self, markers: thought::Markers) -> Result<()> {
        thought::check(self.renderer.tokenizer(), &markers)?;
        self.thought_markers = markers;
        Ok(())
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a user should know of the model that was loaded, a line each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Tokenizer and chat template.
    pub fn renderer(&self) -> &Arc<Renderer> {
        &self.renderer
    }

    /// What decides the bits of its answers.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// What a user should know of answers with these options: what the folder asks for and does not get, and whether answers
    /// end. A sentence each.
    ///
    /// # Errors
    /// Options that no answer of this model can have.
    pub fn warnings(&self, options: &GenerateOptions) -> Result<Vec<String>> {
        let Defaults { file, end, vocab } = &self.defaults;
        file.processors(options, &end.ids, *vocab)?;
        let ends = end.notes.iter().filter(|_| !options.ignore_eos).cloned();
        Ok(file.notes(options, *vocab).into_iter().chain(ends).collect())
    }

    /// Answers a stream of requests; `sink` gets the responses as they end, each with the place of its request in the stream
    /// (from 0), `progress` is called after each step, behind its responses, and may end the run with an error. A response is
    /// less than a window ahead of the first one that is missing. A request that cannot be answered becomes a response that
    /// says why.
    ///
    /// # Errors
    /// An error of the stream, of `sink` or `progress`, or of the arithmetic as a whole.
    pub fn generate(
        &mut self,
        requests: impl Iterator<Item = Result<Request>> + Send,
        mut sink: impl FnMut(u64, Response) -> Result<()>,
        progress: impl FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let cache = self.cache.take();
        let (renderer, defaults) = (self.renderer.clone(), self.defaults.clone());
        let markers = self.thought_markers.clone();
        let prepare = |request: Request| prepare(&renderer, &defaults, &markers, cache.as_ref(), request);
        let answer = |ticket: Ticket, mut outcomes: Vec<Outcome>| {
            sink(ticket.number, respond(ticket, outcomes.pop(), cache.as_ref()))
        };
        let totals = self.run(requests, prepare, answer, progress);
        self.cache = cache;
        totals
    }

    /// Answers one request alone and computes all of it, whatever the cache holds. Weights that are not loaded yet are loaded
    /// within that time.
    ///
    /// # Errors
    /// Those of [`Generator::generate`].
    pub fn timed(&mut self, request: Request) -> Result<Timing> {
        let cache = self.cache.take();
        let (began, mut first) = (Instant::now(), None);
        let progress = |totals: &Totals| {
            if totals.generated_tokens > 0 {
                first.get_or_insert_with(|| began.elapsed());
            }
            Ok(())
        };
        let answered = self.generate(std::iter::once(Ok(request)), |_, _| Ok(()), progress);
        self.cache = cache;
        let (tokens, total) = (answered?.generated_tokens, began.elapsed());
        Ok(Timing { first_token: first.unwrap_or(total), total, tokens })
    }

    /// Writes new answers down in the cache, if there is one.
    ///
    /// # Errors
    /// Why they could not be kept; they were given all the same.
    pub fn keep(&self) -> Result<()> {
        self.cache.as_ref().map_or(Ok(()), ResponseCache::flush)
    }

    /// Log-probabilities for a stream of questions; as [`Generator::generate`]. `sink` gets an answer for each continuation, one
    /// for questions that have no several.
    ///
    /// # Errors
    /// As for [`Generator::generate`].
    pub fn logprob(
        &mut self,
        questions: impl Iterator<Item = Result<Scored>> + Send,
        mut sink: impl FnMut(u64, std::result::Result<Vec<LogProb>, String>) -> Result<()>,
        progress: impl FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let (renderer, alone) = (self.renderer.clone(), self.rows_depend_on_length);
        let prepare = |scored: Scored| {
            let (work, answers) = match Question::new(&renderer, &scored, alone) {
                Ok(Question { work, answers }) => (Ok(work), answers),
                Err(error) => (Err(error.chain()), Vec::new()),
            };
            Prepared { work: Some(work), ticket: Ticket { answers, ..Ticket::default() } }
        };
        let answer = |ticket: Ticket, outcomes: Vec<Outcome>| {
            sink(ticket.number, loglikelihood::gather(&ticket.answers, outcomes))
        };
        self.run(questions, prepare, answer, progress)
    }

    fn run<T: Send>(
        &mut self,
        items: impl Iterator<Item = Result<T>> + Send,
        prepare: impl Fn(T) -> Prepared + Send,
        answer: impl FnMut(Ticket, Vec<Outcome>) -> Result<()>,
        progress: impl FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let window = self.options.window;
        let (sender, receiver) = sync_channel(AHEAD.min(window));
        let (folder, weights, options) = (&self.folder, &mut self.weights, &self.options);
        std::thread::scope(|scope| {
            scope.spawn(move || feed(items, prepare, sender));
            let mut queue = RequestQueue::new(receiver, window, answer, progress);
            queue.first = queue.next(true)?;
            if queue.first.is_some() {
                queue.totals = dispatcher::run(weights.load(folder, options)?, limits(options), &mut queue)?;
            }
            Ok(queue.totals())
        })
    }
}

impl Weights {
    /// The backends, loaded now if they are not yet.
    fn load(&mut self, folder: &ModelFolder, options: &EngineOptions) -> Result<&mut [Box<dyn Backend>]> {
        if let Self::Waiting(plan) = self {
            *self = Self::Loaded(plan.load(folder, options)?);
        }
        match self {
            Self::Loaded(backends) => Ok(backends),
            Self::Waiting(_) => Err(Error::internal("failed to load the weights")),
        }
    }
}

fn limits(options: &EngineOptions) -> Limits {
    Limits {
        batch_tokens: options.batch_tokens,
        prefill_chunk: options.prefill_chunk.unwrap_or(usize::MAX),
        max_seqs: options.max_seqs,
        window: options.window,
        sharing: options.prefix_sharing,
        drafts: options.drafts,
    }
}

fn prepare(
    renderer: &Arc<Renderer>,
    defaults: &Defaults,
    thought_markers: &[(String, String)],
    cache: Option<&ResponseCache>,
    request: Request,
) -> Prepared {
    let (options, Defaults { file, end, vocab }) = (&request.options, defaults);
    let processors = file.processors(options, &end.ids, *vocab);
    let known = check_stops(&options.stop).and_then(|()| renderer.ids(&request.prompt));
    let (ids, processors) = match known.and_then(|ids| Ok((ids, processors?))) {
        Ok(known) => known,
        Err(error) => return Prepared { work: Some(Err(error.chain())), ticket: Ticket::default() },
    };
    let eos: &[u32] = if options.ignore_eos { &[] } else { &end.ids };
    let stream = sampling::stream_key(options.seed, &request.key);
    let key = cache.and_then(|cache| cache.key(&ids, (eos, processors.as_ref()), options, stream).ok());
    let known = cache.zip(key).and_then(|(cache, key)| cache.get(&key));
    let thought_opened = thought::is_opened(renderer.tokenizer(), (&request.prompt, &ids), thought_markers);
    let ticket = Ticket {
        prompt_tokens: ids.len(),
        prompt_hash: hash_ids(&ids),
        key,
        known,
        thought_opened,
        ..Ticket::default()
    };
    if ticket.known.is_some() {
        return Prepared { work: None, ticket };
    }
    let goal = Goal::Generate {
        max_new_tokens: options.max_new_tokens,
        sampling: options.sampling,
        processors: processors.map(Arc::new),
        key: stream,
        draft: Draft::new(request.draft),
        watcher: Box::new(Answer::new(renderer.clone(), eos.to_vec(), &options.stop)),
    };
    Prepared { work: Some(Ok(vec![Work::new(ids, goal)])), ticket }
}

/// The response to a request: its known answer, or what came of computing it, which is kept.
fn respond(ticket: Ticket, outcome: Option<Outcome>, cache: Option<&ResponseCache>) -> Response {
    let Ticket { prompt_tokens, prompt_hash, key, known, thought_opened, .. } = ticket;
    let closed = match (known, outcome) {
        (Some(known), _) => Ok(known),
        (None, Some(Outcome::Generated { tokens, watcher })) => {
            watcher.close(tokens).map_err(|error| error.chain()).inspect(|closed| {
                if let Some((cache, key)) = cache.zip(key) {
                    cache.put(key, closed);
                }
            })
        }
        (None, Some(Outcome::Failed(reason))) => Err(reason),
        (None, _) => Err("generate an answer".into()),
    };
    match closed {
        Ok(Closed { text, ids, finish }) => {
            Response { text, ids, finish, prompt_tokens, prompt_hash, error: None, thought_opened }
        }
        Err(reason) => Response {
            text: String::new(),
            ids: Vec::new(),
            finish: Finish::Error,
            prompt_tokens,
            prompt_hash,
            error: Some(reason),
            thought_opened,
        },
    }
}

/// SHA-256 over token ids as little-endian 32-bit words, in hex.
pub fn hash_ids(ids: &[u32]) -> String {
    let mut hash = Sha256::new();
    ids.iter().for_each(|id| hash.update(id.to_le_bytes()));
    crate::hash::hex(&hash.finalize())
}
