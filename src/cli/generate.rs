//! `karat generate`: answers for lines of prompts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answers::AnswerArgs;
use super::cache_args::CacheArgs;
use super::chat_args::{ChatArgs, ChatFlags, Continued, warn};
use super::engine_args::{EngineArgs, LineArgs};
use super::lines::Identified;
use super::processor_args::ProcessorArgs;
use super::progress::{self, Done};
use super::progress_args::ProgressArgs;
use super::session::{self, Flags, Ready, Start};
use super::signals::WallArgs;
use super::{Exit, line_keys, model};
use crate::dataset::{Keys, fault};
use crate::engine::chat::{Clock, check_names};
use crate::engine::models::kind::Role;
use crate::engine::render::Renderer;
use crate::engine::response_cache::ResponseCache;
use crate::engine::scheduler::workload::Totals;
use crate::engine::{
    CaseKey, Finish, GenerateOptions, Generator, Message, ProcessorOptions, Prompt, Request, Sampling,
};
use crate::error::{Error, Result};

/// Arguments of `karat generate`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat generate ./my-model --in prompts.jsonl --out answers.jsonl --max-new-tokens 128"
)]
pub struct Args {
    /// A model folder, a .gguf file, name@version of the registry, or org/name[@revision] on the hub.
    model: String,
    #[command(flatten)]
    lines: LineArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    cache: CacheArgs,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = GenerateOptions::default().max_new_tokens, value_name = "N")]
    max_new_tokens: usize,
    /// Do not stop at the model's end tokens.
    #[arg(long)]
    ignore_eos: bool,
    /// Softmax temperature; 0 is greedy.
    #[arg(long, default_value_t = 0.0, value_name = "T", allow_negative_numbers = true)]
    temperature: f64,
    /// Sample from the most probable tokens that add up to this.
    #[arg(long, default_value_t = 1.0, value_name = "P", allow_negative_numbers = true)]
    top_p: f64,
    /// Sample from this many most probable tokens; 0 is all.
    #[arg(long, default_value_t = 0, value_name = "K")]
    top_k: usize,
    /// Seed of the random numbers.
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// A string that ends an answer; may be given several times.
    #[arg(long, value_name = "S")]
    stop: Vec<String>,
    /// What `strftime_now` shows to a chat template.
    #[arg(long, default_value = DEFAULT_NOW, value_name = "RFC3339")]
    now: String,
    #[command(flatten)]
    processors: ProcessorArgs,
    #[command(flatten)]
    chat: ChatArgs,
    #[command(flatten)]
    wall: WallArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// The moment that chat templates see unless told otherwise: fixed, so that equal inputs give equal bytes.
pub const DEFAULT_NOW: &str = "2026-01-01T00:00:00Z";

/// One input line.
#[derive(Deserialize)]
pub struct Line {
    #[serde(default)]
    id: Value,
    prompt: Option<String>,
    prompt_ids: Option<Vec<u32>>,
    messages: Option<Vec<Message>>,
    max_new_tokens: Option<usize>,
    seed: Option<u64>,
    stop: Option<Stops>,
    repetition_penalty: Option<f64>,
    no_repeat_ngram_size: Option<usize>,
    bad_words_ids: Option<Vec<Vec<u32>>>,
    min_length: Option<usize>,
    min_new_tokens: Option<usize>,
    suppress_tokens: Option<Vec<u32>>,
    begin_suppress_tokens: Option<Vec<u32>>,
    add_generation_prompt: Option<bool>,
    continue_final_message: Option<Continued>,
    chat_template_kwargs: Option<Map<String, Value>>,
    draft_ids: Option<Vec<u32>>,
}

/// One stop string or several.
#[derive(Clone)]
struct Stops(Vec<String>);

impl<'de> Deserialize<'de> for Stops {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let wrong = || serde::de::Error::custom("`stop` must be a text or a list of texts");
        match Value::deserialize(deserializer)? {
            Value::String(one) => Ok(Self(vec![one])),
            Value::Array(list) => {
                let texts = list.into_iter().map(|v| v.as_str().map(str::to_owned).ok_or_else(wrong));
                Ok(Self(texts.collect::<std::result::Result<_, _>>()?))
            }
            _ => Err(wrong()),
        }
    }
}

impl Identified for Line {
    const KEYS: &'static Keys = &line_keys::GENERATE;

    fn id(&self) -> &Value {
        &self.id
    }

    fn check(&self) -> Result<()> {
        let given = [self.prompt.is_some(), self.prompt_ids.is_some(), self.messages.is_some()];
        if given.iter().filter(|g| **g).count() != 1 {
            return Err(Error::input("the line needs exactly one of `prompt`, `prompt_ids` and `messages`"));
        }
        for (index, message) in self.messages.iter().flatten().enumerate() {
            if let Some(fault) = fault(message) {
                let error = Error::input(format!("message {} {fault}", index + 1));
                return Err(error.with_hint("a message is {\"role\": \"user\", \"content\": \"…\"}"));
            }
        }
        let about_chat = [
            ("add_generation_prompt", self.add_generation_prompt.is_some()),
            ("continue_final_message", self.continue_final_message.is_some()),
            ("chat_template_kwargs", self.chat_template_kwargs.is_some()),
        ];
        if let Some((key, _)) = about_chat.iter().find(|(_, given)| *given && self.messages.is_none()) {
            let error = Error::input(format!("`{key}` needs `messages`"));
            return Err(
                error.with_hint("it says how the chat template renders messages; a plain prompt is taken as it is")
            );
        }
        ChatFlags::check_line(self.add_generation_prompt, self.continue_final_message.as_ref())?;
        self.chat_template_kwargs.as_ref().map_or(Ok(()), check_names)?;
        self.processors().check()
    }
}

impl Line {
    /// The logits processors that it asks for.
    fn processors(&self) -> ProcessorOptions {
        ProcessorOptions {
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            bad_words_ids: self.bad_words_ids.clone(),
            min_length: self.min_length,
            min_new_tokens: self.min_new_tokens,
            suppress_tokens: self.suppress_tokens.clone(),
            begin_suppress_tokens: self.begin_suppress_tokens.clone(),
            ..ProcessorOptions::default()
        }
    }

    /// The id and what to continue, its own keys over the flags.
    pub fn into_prompt(self, flags: &ChatFlags) -> (Value, Prompt) {
        let prompt = match (self.prompt, self.prompt_ids, self.messages) {
            (Some(text), _, _) => Prompt::Text(text),
            (_, Some(ids), _) => Prompt::Ids(ids),
            (_, _, messages) => Prompt::Messages {
                messages: messages.unwrap_or_default(),
                chat: flags.of_line(self.add_generation_prompt, self.continue_final_message, self.chat_template_kwargs),
            },
        };
        (self.id, prompt)
    }
}

/// One output line.
#[derive(Serialize)]
struct Answer<'a> {
    id: Value,
    text: &'a str,
    ids: &'a [u32],
    finish: Finish,
    prompt_tokens: usize,
    /// The prompt ended with the start of a thought, so that the text begins within one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    thought_opened: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

impl Args {
    fn options(&self) -> Result<GenerateOptions> {
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return Err(Error::input(format!("`--temperature {}` is not between 0 and 100", self.temperature))
                .with_hint("it is 0 or more"));
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(Error::input(format!("`--top-p {}` is not above 0 and at most 1", self.top_p))
                .with_hint("it is above 0 and at most 1"));
        }
        let processors = self.processors.options();
        processors.check()?;
        Ok(GenerateOptions {
            max_new_tokens: self.max_new_tokens,
            ignore_eos: self.ignore_eos,
            sampling: Sampling { temperature: self.temperature, top_p: self.top_p, top_k: self.top_k },
            seed: self.seed,
            stop: self.stop.clone(),
            processors,
            generation_config: self.processors.file(),
        })
    }
}

/// The request of a line: its own options over the flags.
fn request(mut line: Line, options: &GenerateOptions, chat: &ChatFlags) -> Request {
    let mut options = options.clone();
    options.max_new_tokens = line.max_new_tokens.unwrap_or(options.max_new_tokens);
    options.seed = line.seed.unwrap_or(options.seed);
    if let Some(stop) = &line.stop {
        options.stop = stop.0.clone();
    }
    options.processors = line.processors().over(&options.processors);
    let draft = line.draft_ids.take().unwrap_or_default();
    let (id, prompt) = line.into_prompt(chat);
    let case = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
    Request { prompt, options, key: CaseKey { dataset: String::new(), case, repeat: 0 }, draft }
}

fn done(totals: &Totals) -> Done {
    Done {
        lines: totals.finished,
        cached: totals.cached,
        prompt_tokens: totals.prefill_tokens,
        generated_tokens: totals.generated_tokens,
        ..Done::default()
    }
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let form = args.progress.begin();
    let options = args.options()?;
    let clock = Clock::parse(&args.now)?;
    let chat = args.chat.options()?;
    let mut shape = json!({"generation": options, "now": args.now});
    chat.show_in(&mut shape);
    let Args { lines, answers, wall, engine, .. } = &args;
    let ready = match session::open::<Line>("generate", Flags { lines, answers, wall, engine, form }, shape)? {
        Start::Ready(ready) => ready,
        Start::Not(exit) => return Ok(exit),
    };
    let mut generator = opened(&args, clock, &ready)?;
    generator.warnings(&options)?.iter().for_each(|note| say!("warning: {note}"));
    let (lines, session) = ready.begin();
    let totals = generator.generate(
        lines.map(|line| Ok(request(line?, &options, &chat))),
        |number, response| {
            session.put(number, response.finish == Finish::Error, |id| Answer {
                id,
                text: &response.text,
                ids: &response.ids,
                finish: response.finish,
                prompt_tokens: response.prompt_tokens,
                thought_opened: response.thought_opened,
                error: response.error.as_deref(),
            })
        },
        |totals| session.step(done(totals)),
    );
    session.end_progress(totals.as_ref().ok().map(done));
    if let Err(error) = generator.keep() {
        say!("answers were not kept: {}", error.chain());
    }
    let (totals, ended) = session.close(totals, done)?;
    warn(generator.renderer());
    if !form.is_quiet() {
        let seconds = ended.seconds;
        say!(
            "generated {} tokens for {} prompts of {} tokens in {seconds:.2} s ({:.0} generated tokens/s, {} steps), \
             {} answers from the cache, loaded in {:.2} s{}",
            totals.generated_tokens,
            ended.answered - totals.cached,
            totals.prefill_tokens + totals.shared_tokens,
            progress::per_second(totals.generated_tokens, seconds),
            totals.steps,
            totals.cached,
            ended.loaded,
            progress::peak_note()
        );
    }
    ended.exit()
}

/// The model, with the answers that are known of it.
fn opened(args: &Args, clock: Clock, ready: &Ready<Line>) -> Result<Generator> {
    let cache = args.cache.folder();
    let model = model::named(&args.model, Role::Generator, ready.engine.backend)?;
    let renderer = Arc::new(Renderer::open(&model, clock)?);
    if cache.is_some() {
        // What answers are kept by; a folder that changes under karat is no reason to do without a cache.
        model.hashes()?;
    }
    let opened = cache.map(|cache| ResponseCache::open(&cache.responses(), &model, &ready.engine));
    let known = opened.and_then(|opened| opened.inspect_err(|error| say!("without the cache: {}", error.chain())).ok());
    let generator = Generator::with_cache(&model, renderer, &ready.engine, known)?;
    generator.notes().iter().for_each(|note| say!("warning: {note}"));
    ready.settle(&model, generator.fingerprint())?;
    Ok(generator)
}
