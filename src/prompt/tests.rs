//! Tests of the whole way from prompt files and a case to a prompt.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::dataset::{Sample, Source};
use crate::engine::Prompt;
use crate::error::Error;

pub(super) fn sample(line: &str) -> Sample {
    let source = Source::file("a.jsonl").unwrap();
    source.read(Box::new(std::io::Cursor::new(line.as_bytes().to_vec()))).unwrap().next().unwrap().unwrap()
}

/// A folder with a template, a system prompt and two examples.
fn folder(template: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.md"), template).unwrap();
    std::fs::write(folder.path().join("system.md"), "Be brief.\n").unwrap();
    let shots = "{\"input\":\"1+1\",\"target\":[\"2\",\"two\"]}\n{\"input\":\"2+2\",\"target\":4}\n";
    std::fs::write(folder.path().join("shots.jsonl"), shots).unwrap();
    folder
}

fn template_only() -> PromptSpec {
    PromptSpec { file: Some("t.md".into()), ..PromptSpec::default() }
}

fn full() -> PromptSpec {
    let few_shot = Some(FewShot { file: "shots.jsonl".into(), count: Some(2), ..FewShot::default() });
    PromptSpec { system: Some("system.md".into()), few_shot, ..template_only() }
}

fn load(template: &str) -> Result<Builder, Error> {
    Builder::load(&template_only(), folder(template).path(), Purpose::default())
}

fn text(template: &str, line: &str) -> Result<String, Error> {
    match load(template)?.build(&sample(line), false)? {
        Prompt::Text(text) => Ok(text),
        other => panic!("{other:?}"),
    }
}

fn messages(builder: &Builder, line: &str) -> Vec<(String, String)> {
    let Prompt::Messages { messages, .. } = builder.build(&sample(line), true).unwrap() else {
        panic!("not a conversation")
    };
    let part = |message: &crate::engine::Message, key: &str| message[key].as_str().unwrap().to_owned();
    messages.iter().map(|message| (part(message, "role"), part(message, "content"))).collect()
}

#[test]
fn renders_the_fields_of_a_case() {
    let line =
        r#"{"input":"a <b> {{ x }}","context":"c","choices":["p","q"],"level":3,"metadata":{"deep":{"k":[1.5,null]}}}"#;
    let template = "---\nversion: 1\n---\n{{ context }}: {{ input }}\n{% for choice in choices %}\n  {{ loop.index }}. {{ choice }}\n{% endfor %}\n{{ metadata.level }} {{ metadata.deep.k[0] }} {{ input.upper() }}\n";
    let expected = "c: a <b> {{ x }}\n  1. p\n  2. q\n3 1.5 A <B> {{ X }}";
    assert_eq!(text(template, line).unwrap(), expected);
    let plain = Builder::load(&PromptSpec::default(), Path::new(""), Purpose::default()).unwrap();
    assert_eq!(plain.build(&sample(line), false).unwrap(), Prompt::Text("a <b> {{ x }}".into()));
    assert_eq!(text("{% if context %}{{ context }} {% endif %}{{ input }}", r#"{"input":"i"}"#).unwrap(), "i");
}

/// As Python's `json.dumps(value, ensure_ascii=False)` writes it, whose arguments it takes.
#[test]
fn json_is_that_of_chat_templates() {
    let line = r#"{"input":"i","metadata":{"order":{"item":"men's <XL> & belt","n":[1,2.0,null,true],"a":"é"}}}"#;
    let table = [
        ("tojson", r#"{"item": "men's <XL> & belt", "n": [1, 2.0, null, true], "a": "é"}"#),
        ("tojson(ensure_ascii=true)", r#"{"item": "men's <XL> & belt", "n": [1, 2.0, null, true], "a": "\u00e9"}"#),
        ("tojson(sort_keys=true)", r#"{"a": "é", "item": "men's <XL> & belt", "n": [1, 2.0, null, true]}"#),
        ("tojson(separators=(',', ':'))", r#"{"item":"men's <XL> & belt","n":[1,2.0,null,true],"a":"é"}"#),
        (
            "tojson(indent=1)",
            "{\n \"item\": \"men's <XL> & belt\",\n \"n\": [\n  1,\n  2.0,\n  null,\n  true\n ],\n \"a\": \"é\"\n}",
        ),
    ];
    for (filter, expected) in table {
        let template = format!("{{{{ metadata.order|{filter} }}}}{{# {{{{ input }}}} #}}");
        assert_eq!(text(&template, line).unwrap(), expected, "{filter}");
    }
    assert_eq!(text("{{ input|tojson }}", r#"{"input":"<\"it's\">"}"#).unwrap(), r#""<\"it's\">""#);
    assert_eq!(text("{{ tags|tojson }}{{ input }}", r#"{"input":"","tags":["a&b"]}"#).unwrap(), r#"["a&b"]"#);
    assert!(text("{{ metadata.none|tojson }}{{ input }}", line).is_err());
}

#[test]
fn missing_fields_are_errors_at_their_line() {
    let front = "---\nversion: \"1\"\n---\nfirst {{ input }}\n";
    for part in ["{{ context }}", "{% for c in choices %}{{ c }}{% endfor %}", "{{ metadata.level }}"] {
        let error = text(&format!("{front}{part}\n"), r#"{"input":"i"}"#).unwrap_err();
        assert_eq!(error.location().unwrap().line, Some(5), "{error}");
        assert!(error.hint().unwrap().contains("{% if"), "{error}");
    }
}

#[test]
fn wrong_templates_are_errors_at_their_line() {
    let table = [
        ("{{ input }}\n{{ inptu }}\n", Some(2), "unknown placeholder `inptu`", "`input`"),
        ("{{ input }}\ntarget {{ target }}", Some(2), "would show the answer to the model", "take it out"),
        ("{{ input }}\n\n{% if target[0] %}x{% endif %}", Some(3), "would show the answer to the model", ""),
        ("---\nversion: 1\n---\n{{ input }}\n{{ input", Some(5), "failed to parse the template: syntax error", ""),
        ("{{ input }} {{ level }}", Some(1), "unknown placeholder `level`", "metadata.level"),
        ("---\nverison: 1\n---\n", Some(2), "unknown key `verison`", "`version`"),
        ("---\nversion: 1\n", Some(1), "no closing `---`", ""),
        ("---\nversion: [1]\n---\n", Some(2), "not a map of strings", ""),
    ];
    for (template, line, message, hint) in table {
        let error = load(template).unwrap_err();
        assert!(error.message().contains(message), "{template}: {error}");
        assert_eq!(error.location().unwrap().line, line, "{template}: {error}");
        assert!(error.hint().unwrap_or_default().contains(hint), "{template}: {:?}", error.hint());
    }
    let missing = Builder::load(&template_only(), Path::new("/nowhere"), Purpose::default()).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/t.md"));
}

#[test]
fn chat_text_system_and_examples() {
    let folder = folder("Q: {{ input }}\nA:\n");
    let builder = Builder::load(&full(), folder.path(), Purpose::default()).unwrap();
    let expected = [
        ("system", "Be brief."),
        ("user", "Q: 1+1\nA:"),
        ("assistant", "2"),
        ("user", "Q: 2+2\nA:"),
        ("assistant", "4"),
        ("user", "Q: 3+3\nA:"),
    ];
    let expected: Vec<_> = expected.iter().map(|(role, content)| (role.to_string(), content.to_string())).collect();
    assert_eq!(messages(&builder, r#"{"input":"3+3"}"#), expected);
    let Prompt::Text(text) = builder.build(&sample(r#"{"input":"3+3"}"#), false).unwrap() else { panic!("no text") };
    assert_eq!(text, "Be brief.\n\nQ: 1+1\nA: 2\n\nQ: 2+2\nA: 4\n\nQ: 3+3\nA:");
    assert!(builder.has_example(&sample(r#"{"input":"2+2"}"#)) && !builder.has_example(&sample(r#"{"input":"3+3"}"#)));
}

#[test]
fn conversations_bypass_the_template_but_get_the_system_prompt() {
    let folder = folder("Q: {{ input }}");
    let builder = Builder::load(&full(), folder.path(), Purpose::default()).unwrap();
    let user = json!({"input": [{"role": "user", "content": "hi"}]}).to_string();
    assert_eq!(messages(&builder, &user), [("system".into(), "Be brief.".into()), ("user".into(), "hi".into())]);
    let own = json!({"input": [{"role": "system", "content": "S"}, {"role": "user", "content": "hi"}]}).to_string();
    assert_eq!(messages(&builder, &own)[0], ("system".into(), "S".into()));
    assert!(builder.build(&sample(&user), false).unwrap_err().message().contains("no chat template"));
    let never = Builder::load(&PromptSpec { chat: Chat::Never, ..full() }, folder.path(), Purpose::default()).unwrap();
    assert!(never.build(&sample(&user), true).unwrap_err().message().contains("`chat` is off"));
    assert!(matches!(never.build(&sample(r#"{"input":"x"}"#), true).unwrap(), Prompt::Text(_)));
    let always =
        Builder::load(&PromptSpec { chat: Chat::Always, ..full() }, folder.path(), Purpose::default()).unwrap();
    assert!(always.check_model(true).is_ok() && always.check_model(false).is_err());
}

#[test]
fn examples_must_be_usable() {
    let folder = folder("{{ input }}");
    let mut spec = full();
    spec.few_shot = Some(FewShot { file: "shots.jsonl".into(), count: Some(3), ..FewShot::default() });
    assert!(Builder::load(&spec, folder.path(), Purpose::default()).unwrap_err().message().contains("the file has 2"));
    for line in [r#"{"input":"x"}"#, r#"{"input":[{"role":"user","content":"x"}],"target":"y"}"#] {
        std::fs::write(folder.path().join("shots.jsonl"), line).unwrap();
        let error = Builder::load(&full(), folder.path(), Purpose::default()).unwrap_err();
        assert!(error.to_string().ends_with("shots.jsonl:1)"), "{error}");
    }
}

#[test]
fn the_hash_follows_the_content_alone() {
    let hash =
        |spec: &PromptSpec, folder: &Path| Builder::load(spec, folder, Purpose::default()).unwrap().hash().to_owned();
    let folder = folder("Q: {{ input }}");
    let base = hash(&full(), folder.path());
    assert_eq!(base.len(), 64);
    std::fs::write(folder.path().join("t.md"), "---\ndescription: asks\n---\nQ: {{ input }}").unwrap();
    assert_eq!(hash(&full(), folder.path()), base);
    assert_ne!(hash(&template_only(), folder.path()), base);
    assert_ne!(hash(&PromptSpec { chat: Chat::Never, ..full() }, folder.path()), base);
    std::fs::write(folder.path().join("system.md"), "Be long.").unwrap();
    assert_ne!(hash(&full(), folder.path()), base);
}

#[test]
fn line_ends_of_files_are_not_part_of_the_prompt() {
    let template =
        "---\nversion: \"1\"\n---\nAnswer:\n{% if context %}\n{{ context }}\n{% endif %}\n{{ input }}\nEnd\n";
    let build = |ends: &str| {
        let folder = folder(&template.replace('\n', ends));
        std::fs::write(folder.path().join("system.md"), "Be brief.\nAlways.\n".replace('\n', ends)).unwrap();
        std::fs::write(folder.path().join("shots.jsonl"), "{\"input\":\"1+1\",\"target\":2}\n".replace('\n', ends))
            .unwrap();
        let few_shot = Some(FewShot { file: "shots.jsonl".into(), count: None, ..FewShot::default() });
        let builder = Builder::load(&PromptSpec { few_shot, ..full() }, folder.path(), Purpose::default()).unwrap();
        let prompt = builder.build(&sample(r#"{"input":"2+2"}"#), false).unwrap();
        (builder.hash().to_owned(), prompt, builder.files()["t.md"].clone())
    };
    let (hash, prompt, file) = build("\n");
    assert_eq!(prompt, Prompt::Text("Be brief.\nAlways.\n\nAnswer:\n1+1\nEnd 2\n\nAnswer:\n2+2\nEnd".into()));
    for ends in ["\r\n", "\r"] {
        let (other_hash, other_prompt, other_file) = build(ends);
        assert_eq!((&other_hash, &other_prompt), (&hash, &prompt), "{ends:?}");
        assert_ne!(other_file, file, "the hash of a file is that of its bytes");
    }
}

#[test]
fn examples_are_the_same_whatever_file_they_stand_in() {
    let folder = folder("Q: {{ input }}");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("a.jsonl", "{\"input\":\"1+1\",\"target\":\"2\"}\n{\"input\":\"2+2\",\"target\":\"4\"}\n");
    write("a.json", "[{\"input\":\"1+1\",\"target\":\"2\"},\n{\"input\":\"2+2\",\"target\":\"4\"}]");
    write("a.csv", "input,target\n1+1,2\n2+2,4\n");
    write("a.tsv", "input\ttarget\n1+1\t2\n2+2\t4\n");
    let hash = |name: &str| {
        let few_shot = Some(FewShot { file: name.into(), count: Some(2), ..FewShot::default() });
        Builder::load(&PromptSpec { few_shot, ..template_only() }, folder.path(), Purpose::default())
            .unwrap()
            .hash()
            .to_owned()
    };
    for name in ["a.json", "a.csv", "a.tsv"] {
        assert_eq!(hash(name), hash("a.jsonl"), "{name}");
    }
}

#[test]
fn versions_must_agree() {
    let folder = folder("---\nversion: \"2\"\n---\n{{ input }}");
    let wanted = |version: &str| PromptSpec { version: Some(version.into()), ..template_only() };
    assert_eq!(Builder::load(&wanted("2"), folder.path(), Purpose::default()).unwrap().version(), Some("2"));
    assert!(Builder::load(&wanted("1"), folder.path(), Purpose::default()).unwrap_err().message().contains("`2`"));
    assert_eq!(Builder::load(&template_only(), folder.path(), Purpose::default()).unwrap().version(), Some("2"));
}

#[test]
fn the_linter_lists_every_problem() {
    let folder = folder("{{ qestion }}\n{{ target }}\n{{ metadata.x }}{% set y = 1 %}{{ y }}{{ range(2) }}\n");
    let findings = lint(&template_only(), folder.path());
    let seen: Vec<_> = findings.iter().map(|f| (f.severity, f.place.as_ref().unwrap().line)).collect();
    assert_eq!(seen, [(Severity::Error, Some(1)), (Severity::Error, Some(2)), (Severity::Warning, None)]);
    assert!(lint(&PromptSpec::default(), folder.path()).is_empty());
}

#[test]
fn a_digest_is_that_of_the_whole_prompt() {
    let lines = [
        r#"{"id":"a","input":"x"}"#,
        r#"{"id":"b","input":"quote \" slash \\ line\n tab\t \u0001 ünï","context":"Paris","tags":["t"],"metadata":{"k":1}}"#,
        r#"{"id":"c","input":"","context":" "}"#,
        r#"{"id":"d","input":[{"role":"user","content":"hi"}]}"#,
    ];
    let templates = [
        "{{ input }}",
        "Say \"so\":\\\n\n  {% if context %}\n{{ context }}{% endif %}\n{{ input }} of {{ id }}\n",
        "ü {# note #}\n {{- input }}{{ tags }}{{ metadata }}",
        "always the same \n",
    ];
    for template in templates {
        for spec in [template_only(), full()] {
            for chat in [Chat::Auto, Chat::Never] {
                let builder =
                    Builder::load(&PromptSpec { chat, ..spec.clone() }, folder(template).path(), Purpose::default())
                        .unwrap();
                for line in lines {
                    let sample = sample(line);
                    let whole = builder.build(&sample, true).map(|prompt| digest::digest(&prompt));
                    let told = builder.digest(&sample, true);
                    assert_eq!(told.map_err(|e| e.chain()), whole.map_err(|e| e.chain()), "{template} {line}");
                }
            }
        }
    }
    // Pinned: records hold it.
    let builder = load("{{ input }}").unwrap();
    let digest = builder.digest(&sample(lines[0]), true).unwrap();
    assert_eq!(digest, "3211e3a048aaea5e2ff1a8eb2296f4618b22135af68070711b968f14ceb3cd51");
}

#[test]
fn a_template_that_would_overflow_the_parser_is_an_error() {
    for sign in ["-", "not ", "1+"] {
        let template = format!("{{{{ {}1 }}}}", sign.repeat(20_000));
        let error = text(&template, r#"{"input":"a"}"#).unwrap_err();
        assert!(error.chain().contains("a tag has more than"), "{}", error.chain());
    }
}

#[test]
fn what_a_template_makes_is_bounded() {
    for change in [
        "{% set ns.t = ns.t ~ ns.t %}",
        "{% set ns.t = ns.t + ns.t %}",
        "{% set ns.l = ns.l + ns.l %}",
        "{% set ns.l = ns.l * 2 %}",
    ] {
        let template = format!(
            "{{% set ns = namespace(t='ab', l=[1]) %}}{{% for i in range(60) %}}{change}{{% endfor %}}{{{{ ns.t[:9] }}}}"
        );
        let error = text(&template, r#"{"input":"a"}"#).unwrap_err();
        assert!(error.chain().contains("at most"), "{change}: {}", error.chain());
    }
    // Lines and white space stay what they are, and messages show the template's own source.
    let template = "{% for i in [1, 2] %}\n  {{ input ~ i }}\n{% endfor %}\nend {{ 1 + 2 }}\n";
    assert_eq!(text(template, r#"{"input":"a"}"#).unwrap(), "  a1\n  a2\nend 3");
    let error = text("{{ input }}\n{{ context ~ input }}\n", r#"{"input":"a"}"#).unwrap_err();
    assert!(!error.chain().contains("karat_") && error.location().is_some(), "{error:?}");
}

/// Rows with a topic, a question and an answer, four examples of two answers among them.
fn rows() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let row = |n: usize| json!({"topic": format!("t{n}"), "q": format!("q{n}?"), "a": if n.is_multiple_of(3) { "yes" } else { "no" }});
    let lines: String = (0..6).map(|n| format!("{}\n", row(n))).collect();
    std::fs::write(folder.path().join("rows.jsonl"), lines).unwrap();
    folder
}

fn spec() -> PromptSpec {
    PromptSpec {
        text: Some("Q: {{ q }}\n".into()),
        target: Some("{{ a }}".into()),
        description: Some("About {{ topic }}.\n\n".into()),
        few_shot: Some(FewShot { file: "rows.jsonl".into(), count: Some(2), ..FewShot::default() }),
        ..PromptSpec::default()
    }
}

/// The cases of the rows, completed, and what asks them.
fn completed(spec: &PromptSpec, request: RequestKind) -> (Vec<Sample>, std::sync::Arc<Builder>) {
    let folder = rows();
    let path = folder.path().join("rows.jsonl");
    let purpose = Purpose { request, cases: Some(&path) };
    let builder = std::sync::Arc::new(Builder::load(spec, folder.path(), purpose).unwrap());
    let source = Source::file(&path).unwrap();
    let source = Source { fields: builder.fields(spec, Default::default()), derive: builder.derive(), ..source };
    (source.open().unwrap().collect::<Result<_, _>>().unwrap(), builder)
}

fn asked(spec: &PromptSpec, request: RequestKind, case: usize, chat: bool) -> Question {
    let (cases, builder) = completed(spec, request);
    builder.question(&cases[case], chat).unwrap()
}

#[test]
fn descriptions_prefixes_and_examples_are_laid_out_as_lm_eval_does() {
    let shown = |spec: &PromptSpec, chat| asked(spec, RequestKind::Generate, 0, chat).transcript();
    // The case itself, the first of the file, is not among its examples.
    let plain = "About t0.\n\nQ: q1?\nno\n\nQ: q2?\nno\n\nQ: q0?\n";
    assert_eq!(shown(&spec(), false), plain);
    let prefixed =
        PromptSpec { answer_prefix: Some("A {{ topic }}:".into()), target_delimiter: Some("\n".into()), ..spec() };
    let text = "About t0.\n\nQ: q1?\nA t1: no\n\nQ: q2?\nA t2: no\n\nQ: q0?\nA t0:";
    assert_eq!(shown(&prefixed, false), text);
    let turns = "[system]\nAbout t0.\n\n\n\n[user]\nQ: q1?\n\n\n[assistant]\nA t1: no\n\n[user]\nQ: q2?\n\n\n[assistant]\n\
                 A t2: no\n\n[user]\nQ: q0?\n\n\n[assistant]\nA t0:";
    assert_eq!(shown(&prefixed, true), turns);
    let mut one = prefixed.clone();
    one.few_shot.as_mut().unwrap().join = Join::Text;
    let turn =
        "[system]\nAbout t0.\n\n\n\n[user]\nQ: q1?\nA t1: no\n\nQ: q2?\nA t2: no\n\nQ: q0?\n\n\n[assistant]\nA t0:";
    assert_eq!(shown(&one, true), turn);
}

#[test]
fn choices_stand_behind_what_the_text_ends_with() {
    let with = |spec: &PromptSpec, chat| match asked(spec, RequestKind::Choice, 1, chat) {
        Question::Choices { continuations, .. } => continuations,
        other => panic!("{other:?}"),
    };
    let choice =
        PromptSpec { choices: Some(Choices::Fixed(vec!["yes".into(), "{{ a }}".into(), "x".into()])), ..spec() };
    assert_eq!(with(&choice, false), ["yes", "no", "x"], "white space is there already");
    let bare = PromptSpec { text: Some("{{ q }}".into()), ..choice.clone() };
    assert_eq!(with(&bare, false), [" yes", " no", " x"]);
    assert_eq!(with(&bare, true), ["yes", "no", "x"], "in a turn of its own");
    let said = PromptSpec { target_delimiter: Some("\t".into()), ..choice.clone() };
    assert_eq!(with(&said, false), ["\tyes", "\tno", "\tx"]);
    let (cases, _) = completed(&choice, RequestKind::Choice);
    assert_eq!(cases.iter().map(|case| case.gold.clone()).collect::<Vec<_>>(), [[0], [1], [1], [0], [1], [1]]);
    let contexts = PromptSpec { continuation: Some("so {{ topic }}".into()), ..bare };
    let Question::Contexts(pairs) = asked(&contexts, RequestKind::Choice, 1, false) else { panic!("not contexts") };
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[0].1, " so t1");
    assert!(matches!(&pairs[1].0, Prompt::Text(text) if text.ends_with("\n\nno")), "{pairs:?}");
}

#[test]
fn drawn_examples_are_balanced_and_never_the_case() {
    for draw in [Draw::First, Draw::Random, Draw::Balanced] {
        let mut spec = spec();
        spec.few_shot.as_mut().unwrap().draw = draw;
        let (cases, _) = completed(&spec, RequestKind::Generate);
        for (at, case) in cases.iter().enumerate() {
            assert!(case.shots.len() == 2 && !case.shots.contains(&at), "{draw:?} {at}: {:?}", case.shots);
            let answers: std::collections::HashSet<bool> = case.shots.iter().map(|shot| shot % 3 == 0).collect();
            assert!(draw != Draw::Balanced || answers.len() == 2, "{at}: {:?}", case.shots);
        }
    }
}

/// An input that is a template sees the row, and one that is none is what it is.
#[test]
fn inputs_are_templates_where_the_suite_says_so() {
    let line = r#"{"input":"Say {{ word }}","word":"hi"}"#;
    for (render_input, expected) in [(true, "Say hi"), (false, "Say {{ word }}")] {
        let spec = PromptSpec { render_input, ..PromptSpec::default() };
        let builder = std::sync::Arc::new(Builder::load(&spec, Path::new(""), Purpose::default()).unwrap());
        let source = Source::file("a.jsonl").unwrap();
        let source = Source { fields: builder.fields(&spec, Default::default()), derive: builder.derive(), ..source };
        let mut cases = source.read(Box::new(std::io::Cursor::new(line.as_bytes().to_vec()))).unwrap();
        let case = cases.next().unwrap().unwrap();
        assert_eq!(builder.build(&case, false).unwrap(), Prompt::Text(expected.into()));
    }
}

/// The rendered input is what a template sees that names it, also by the row's own key; a conversation is none to render.
#[test]
fn a_rendered_input_is_the_one_that_templates_see() {
    let spec = PromptSpec { render_input: true, text: Some("T {{ input }}".into()), ..PromptSpec::default() };
    let builder = std::sync::Arc::new(Builder::load(&spec, Path::new(""), Purpose::default()).unwrap());
    let source = Source::file("a.jsonl").unwrap();
    let source = Source { fields: builder.fields(&spec, Default::default()), derive: builder.derive(), ..source };
    let first =
        |line: &str| source.read(Box::new(std::io::Cursor::new(line.as_bytes().to_vec()))).unwrap().next().unwrap();
    let case = first(r#"{"input":"hello {{ x }}","x":3}"#).unwrap();
    assert_eq!(builder.build(&case, false).unwrap(), Prompt::Text("T hello 3".into()));
    let error = first(r#"{"input":[{"role":"user","content":"{{ x }}"}],"x":3}"#).unwrap_err();
    assert!(error.message().contains("the input is a conversation"), "{error}");
}

#[test]
fn what_a_conversation_has_no_place_for_is_an_error() {
    let line = r#"{"input":[{"role":"user","content":"hi"}],"choices":["a","b"],"target":"a"}"#;
    let told = |spec: PromptSpec| {
        let purpose = Purpose { request: RequestKind::Choice, cases: None };
        let builder = Builder::load(&spec, Path::new(""), purpose).unwrap();
        builder.question(&sample(line), true).map(|_| ()).unwrap_err().to_string()
    };
    let one = |text: &str| Some(text.to_owned());
    assert!(told(PromptSpec { answer_prefix: one("A:"), ..PromptSpec::default() }).contains("`answer_prefix`"));
    assert!(told(PromptSpec { description: one("D"), ..PromptSpec::default() }).contains("`description`"));
    assert!(told(PromptSpec { continuation: one("c"), ..PromptSpec::default() }).contains("the choices are contexts"));
}

#[test]
fn nothing_is_not_scored() {
    let empty = PromptSpec { target: Some("{{ '' }}".into()), few_shot: None, ..spec() };
    let (cases, builder) = completed(&empty, RequestKind::Loglikelihood);
    assert!(builder.question(&cases[0], false).unwrap_err().to_string().contains("target of the case is empty"));
    let continuation = Some(String::new());
    let choice = PromptSpec {
        choices: Some(Choices::Fixed(vec!["yes".into(), "no".into()])),
        continuation,
        few_shot: None,
        ..spec()
    };
    let (cases, builder) = completed(&choice, RequestKind::Choice);
    assert!(builder.question(&cases[0], false).unwrap_err().to_string().contains("`prompt.continuation` is empty"));
}

/// A case is told by its whole row: another row with the same question is an example like any other, and changes no draw.
#[test]
fn equal_questions_are_not_the_same_case() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let line = |n: usize| {
        format!("{{\"input\":\"{}\",\"target\":\"a{n}\"}}\n", if n.is_multiple_of(2) { "Same" } else { "Other" })
    };
    std::fs::write(&path, (0..8).map(line).collect::<String>()).unwrap();
    let drawn = |text: Option<&str>| {
        let few_shot = FewShot { file: "rows.jsonl".into(), count: Some(2), draw: Draw::Random, ..FewShot::default() };
        let spec = PromptSpec { text: text.map(str::to_owned), few_shot: Some(few_shot), ..PromptSpec::default() };
        let purpose = Purpose { request: RequestKind::Generate, cases: Some(&path) };
        let builder = std::sync::Arc::new(Builder::load(&spec, folder.path(), purpose).unwrap());
        let fields = builder.fields(&spec, Default::default());
        let source = Source { fields, derive: builder.derive(), ..Source::file(&path).unwrap() };
        source.open().unwrap().map(|case| case.unwrap().shots).collect::<Vec<_>>()
    };
    assert_eq!(drawn(None), drawn(Some("{{ input }}")));
    assert!(drawn(None).iter().enumerate().all(|(at, shots)| !shots.contains(&at)));
}
