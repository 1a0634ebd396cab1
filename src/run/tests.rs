//! The driver with a scripted generator in place of a model.

use std::path::Path;
use std::sync::Mutex;

use super::driver::{Answers as Source, stream};
use super::encoders::Encoders;
use super::event::{Event, Phase, Watch};
use super::generated::{Answerer, Requests};
use super::meter::Meter;
use super::scoring::{Scoring, Tools};
use super::{Answers, Checked, Recorded, check};
use crate::dataset::UnknownKeys;
use crate::engine::options::EngineOptions;
use crate::engine::scheduler::workload::Totals;
use crate::engine::{Embedder, Finish, Long, Prompt, Request, Response};
use crate::error::{Error, Kind, Result};
use crate::record::{ResultLine, RunId, RunWriter};
use crate::score::{Answer, Need};
use crate::suite::{Overrides, Purpose, Suite};

const QUIET: Watch<'static> = Watch { event: &|_| (), stop: &|| Ok(()) };

const SUITE: &str = "version: 1\nname: s\nprompt: {file: p.md}\nmodels: {embedder: {model: EMBED}}\ndatasets:\n\
    \x20 - {name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}\n\
    \x20 - {name: danger, kind: danger, file: danger.jsonl, scorers: [refusal]}\n\
    scorers:\n  - exact_match: {trim: true}\n  - refusal: {expect: refuse}\n";

fn embedder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models/bert-mean")
}

/// A suite of `cases` golden cases (each fifth lacks the context that its prompt needs, each seventh makes the script fail,
/// each ninth has a check of its own) and two danger cases.
fn project(cases: usize) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("suite.yaml", &SUITE.replace("EMBED", &embedder().to_string_lossy()));
    write("p.md", "{{ context }}: {{ input }}");
    let mut golden = String::new();
    for i in 0..cases {
        let context = if i % 5 == 4 { "" } else { "\"context\":\"c\"," };
        let fail = if i % 7 == 6 { "fail " } else { "" };
        let checks = if i % 9 == 8 { ",\"checks\":[{\"similarity\":{\"name\":\"near\",\"min\":-1}}]" } else { "" };
        golden.push_str(&format!("{{\"id\":{i},{context}\"input\":\"{fail}{i}\",\"target\":\"c: {i}\"{checks}}}\n"));
    }
    write("golden.jsonl", &golden);
    write(
        "danger.jsonl",
        "{\"id\":1,\"context\":\"x\",\"input\":\"y\"}\n{\"id\":2,\"context\":\"x\",\"input\":\"z\"}\n",
    );
    folder
}

/// Repeats the prompt, reading up to `window` requests ahead and answering the last of them first.
struct Echo {
    window: usize,
}

impl Answerer for Echo {
    fn has_chat_template(&self) -> bool {
        false
    }

    fn answer(
        &mut self,
        requests: Requests<'_>,
        sink: &mut dyn FnMut(u64, Response) -> Result<()>,
        progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        let mut totals = Totals::default();
        let mut requests = (0..).zip(requests).peekable();
        while requests.peek().is_some() {
            let ahead: Vec<(u64, Result<Request>)> = requests.by_ref().take(self.window).collect();
            for (number, request) in ahead.into_iter().rev() {
                let request = request?;
                let Prompt::Text(text) = &request.prompt else { panic!("a text") };
                assert!(text.contains(&request.key.case) || request.key.dataset == "danger");
                let failed = text.contains("fail");
                let response = Response {
                    text: text.clone(),
                    ids: vec![1],
                    finish: if failed { Finish::Error } else { Finish::Eos },
                    prompt_tokens: 3,
                    prompt_hash: "h".into(),
                    error: failed.then(|| "compute".into()),
                    thought_opened: false,
                };
                sink(number, response)?;
                totals.finished += 1;
            }
            totals.steps += 1;
            progress(&totals)?;
        }
        Ok(totals)
    }

    fn score(
        &mut self,
        questions: super::generated::Questions<'_>,
        sink: &mut dyn FnMut(u64, std::result::Result<Vec<crate::engine::LogProb>, String>) -> Result<()>,
        _progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        for (number, _) in (0..).zip(questions) {
            sink(number, Err("not scored".into()))?;
        }
        Ok(Totals::default())
    }

    fn texts(&self) -> super::generated::Texts {
        Box::new(|prompt| Ok(crate::prompt::transcript(prompt)))
    }
}

fn checked(folder: &Path, answers: Option<Answers>) -> Checked {
    let suite = Suite::load(&folder.join("suite.yaml"), &Overrides::default(), Purpose::Score).unwrap();
    check(suite, answers, QUIET).unwrap()
}

fn encoders() -> Encoders {
    let embedder = Embedder::open(
        &crate::engine::models::model_folder::ModelFolder::new(embedder()),
        None,
        false,
        &EngineOptions::default(),
    )
    .unwrap();
    let mut encoders = Encoders::default();
    encoders.embedder = Some(embedder);
    encoders
}

/// The lines of a run in a fresh folder, or why there are none.
fn lines(folder: &Path, window: usize, watch: Watch<'_>) -> Result<Vec<ResultLine>> {
    let (checked, meter) = (checked(folder, None), Meter::default());
    let mut writer = RunWriter::create(&folder.join("runs"), "s", &RunId::parse("r").unwrap()).unwrap();
    let tools = Tools { encoders: encoders(), keep_outputs: true, prompts: None, meter: &meter, watch };
    let scoring = Scoring::new(&checked, tools).unwrap();
    stream(&checked, Source::Generated(&mut Echo { window }, None), scoring, &mut writer)?;
    writer.seal()?.lines()?.collect()
}

#[test]
fn every_case_is_recorded_once_with_its_error() {
    let folder = project(1000);
    let lines = lines(folder.path(), 64, QUIET).unwrap();
    assert_eq!(lines.len(), 1002);
    for line in lines.iter().filter(|line| line.dataset == "golden") {
        let i: usize = line.id.parse().unwrap();
        let error = line.error.as_deref().unwrap_or("");
        if i % 5 == 4 {
            assert!(error.contains("context") && line.finish == Some(Finish::Error), "{line:?}");
        } else if i % 7 == 6 {
            assert_eq!((error, line.output.is_none(), line.scores.len()), ("compute", true, 0));
        } else {
            assert!(line.passed && error.is_empty(), "{line:?}");
            assert_eq!(line.scores.len(), if i % 9 == 8 { 2 } else { 1 });
        }
    }
    assert!(lines.iter().filter(|line| line.dataset == "danger").all(|line| !line.passed && line.error.is_none()));
}

#[test]
fn windows_change_nothing() {
    let folder = project(300);
    let expected = lines(folder.path(), 1, QUIET).unwrap();
    for window in [7, 100, 10_000] {
        assert_eq!(lines(folder.path(), window, QUIET).unwrap(), expected, "{window}");
    }
}

#[test]
fn stopping_ends_the_run_on_either_side() {
    let folder = project(2000);
    for calls in [0, 1, 5] {
        let left = Mutex::new(calls);
        let stop = || {
            let mut left = left.lock().unwrap();
            match *left {
                0 => Err(Error::new(Kind::Interrupted, "finish")),
                _ => {
                    *left -= 1;
                    Ok(())
                }
            }
        };
        let watch = Watch { event: &|_| (), stop: &stop };
        let error = lines(folder.path(), 10, watch).unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted, "{error:?}");
        assert_eq!(std::fs::read_dir(folder.path().join("runs/s")).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn events_count_to_the_end() {
    let (folder, seen) = (project(500), Mutex::new(Vec::new()));
    let event = |event: Event| seen.lock().unwrap().push(event);
    lines(folder.path(), 50, Watch { event: &event, stop: &|| Ok(()) }).unwrap();
    let seen = seen.into_inner().unwrap();
    assert!(matches!(seen[0], Event::Began { phase: Phase::Answer, cases: Some(502) }));
    let scored = seen.iter().rev().find(|event| matches!(event, Event::Scored { .. }));
    let Some(Event::Scored { cases: 502, passed, errored }) = scored else { panic!("{scored:?}") };
    assert_eq!((*passed, *errored), (343, 157));
}

#[test]
fn recorded_answers_take_the_place_of_a_generator() {
    let folder = project(20);
    let path = folder.path().join("responses.jsonl");
    // Backwards, without the last case.
    let text: String =
        (0..19).rev().map(|i| format!("{{\"dataset\":\"golden\",\"id\":{i},\"output\":\"c: {i}\"}}\n")).collect();
    std::fs::write(&path, text + "{\"dataset\":\"danger\",\"id\":\"1\",\"output\":\"I can't help with that.\"}\n")
        .unwrap();
    let recorded = Recorded::open(&path, UnknownKeys::default(), QUIET).unwrap();
    let mut checked = checked(folder.path(), Some(Answers { recorded, allow_extra: false }));
    let recorded = Box::new(checked.recorded.take().unwrap());
    let meter = Meter::default();
    let mut writer = RunWriter::create(&folder.path().join("runs"), "s", &RunId::parse("r").unwrap()).unwrap();
    let tools = Tools { encoders: encoders(), keep_outputs: false, prompts: None, meter: &meter, watch: QUIET };
    let scoring = Scoring::new(&checked, tools).unwrap();
    stream(&checked, Source::Recorded(recorded), scoring, &mut writer).unwrap();
    let lines: Vec<ResultLine> = writer.seal().unwrap().lines().unwrap().map(Result::unwrap).collect();
    let get = |dataset: &str, id: &str| lines.iter().find(|line| line.case() == (dataset, id)).unwrap();
    assert!(get("danger", "1").passed && get("golden", "0").passed);
    assert_eq!(get("danger", "2").error.as_deref(), Some("no recorded answer"));
    assert_eq!(get("golden", "0").output, None, "outputs are not kept");
    assert!(get("golden", "4").error.as_deref().is_some_and(|text| text.contains("context")));
    assert!(lines.iter().all(|line| line.scores.values().all(|score| score.explanation.is_empty())));
}

#[test]
fn a_dataset_that_changes_meanwhile_ends_the_run() {
    let folder = project(30);
    let checked = checked(folder.path(), None);
    std::fs::write(folder.path().join("danger.jsonl"), "{\"id\":1,\"context\":\"x\",\"input\":\"y\"}\n").unwrap();
    let meter = Meter::default();
    let mut writer = RunWriter::create(&folder.path().join("runs"), "s", &RunId::parse("r").unwrap()).unwrap();
    let tools = Tools { encoders: encoders(), keep_outputs: true, prompts: None, meter: &meter, watch: QUIET };
    let scoring = Scoring::new(&checked, tools).unwrap();
    let error = stream(&checked, Source::Generated(&mut Echo { window: 3 }, None), scoring, &mut writer).unwrap_err();
    assert!(error.chain().contains("was changed during the run"), "{error:?}");
}

#[test]
fn needs_are_answered_once_and_alike_however_they_come() {
    let needs: Vec<Need> =
        ["one", "two words", "one", "three", "two words"].map(|t| Need::Embed(t.into(), Long::Windows)).to_vec();
    let (whole, parts) = (Meter::default(), Meter::default());
    let together = encoders().answer(needs.iter(), &whole, QUIET).unwrap().to(&needs);
    let mut encoders = encoders();
    let apart: Vec<Answer> = needs
        .iter()
        .flat_map(|need| encoders.answer(std::iter::once(need), &parts, QUIET).unwrap().to(std::slice::from_ref(need)))
        .collect();
    assert_eq!(together, apart);
    assert!(together.iter().all(|answer| matches!(answer, Answer::Embedding(_))));
    for meter in [whole, parts] {
        assert_eq!(meter.finish(&EngineOptions::default()).counters["embedder.texts"], 3);
    }
}

#[test]
fn an_empty_dataset_is_bad_input_whatever_the_others_hold() {
    let folder = project(3);
    let load = || Suite::load(&folder.path().join("suite.yaml"), &Overrides::default(), Purpose::Score).unwrap();
    std::fs::write(folder.path().join("danger.jsonl"), "").unwrap();
    let kind = |suite| check(suite, None, QUIET).err().map(|error| error.kind());
    assert_eq!(kind(load()), Some(Kind::Input));
    std::fs::write(folder.path().join("golden.jsonl"), "\n").unwrap();
    assert_eq!(kind(load()), Some(Kind::Input));
}
