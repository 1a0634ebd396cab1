//! Templates of our own, with what jinja2 3.1.6 in the environment of transformers 5 prints for them, and, where the
//! shared folder is there, published templates with recorded renderings.

#![allow(clippy::print_stderr)]

use std::path::{Path, PathBuf};

use super::*;

fn map(json: Json) -> Map<String, Json> {
    match json {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

fn render(source: &str, variables: Json) -> Result<String> {
    let tokens = SpecialTokens::from_map(&map(serde_json::json!({"bos_token": "<s>", "eos_token": "</s>"})));
    let now = Clock::parse("2024-07-26T00:00:00Z")?;
    ChatTemplate::new(source, tokens)?.render(&[], &with(Turn::Opened, variables), &now)
}

fn with(turn: Turn, variables: Json) -> ChatOptions {
    ChatOptions { turn, kwargs: std::sync::Arc::new(map(variables)) }
}

fn closed() -> ChatOptions {
    with(Turn::Closed, Json::Null)
}

/// The folder of shared reference data.
fn shared() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let shared = std::env::var_os("KARAT_SHARED").map_or(root, PathBuf::from);
    assert!(
        shared.join("data/chat_templates/rendered.jsonl").exists(),
        "{} has no data/chat_templates/rendered.jsonl",
        shared.display()
    );
    shared.join("data/chat_templates")
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn published_templates_render_as_recorded() {
    let dir = shared();
    let recorded = std::fs::read_to_string(dir.join("rendered.jsonl")).expect("readable");
    let now = Clock::parse("2024-07-26T00:00:00Z").expect("a clock");
    let (mut count, mut raised) = (0, 0);
    for line in recorded.lines() {
        let row = map(serde_json::from_str(line).expect("JSON"));
        let text = |key: &str| row[key].as_str().expect("a text");
        let source = std::fs::read_to_string(dir.join(text("template"))).expect("a template");
        let template = ChatTemplate::new(&source, SpecialTokens::from_map(&row)).expect("compiles");
        let messages: Vec<Message> =
            row["messages"].as_array().expect("a list").iter().map(|message| map(message.clone())).collect();
        let generate = row["add_generation_prompt"].as_bool().expect("a flag");
        let place = format!("{} {} {generate}", text("template"), text("case"));
        let turn = if generate { Turn::Opened } else { Turn::Closed };
        let options = with(turn, serde_json::json!({"date_string": "26 Jul 2024"}));
        let rendered = template.render(&messages, &options, &now);
        match row.get("expected") {
            Some(expected) => assert_eq!(rendered.expect(&place), expected.as_str().expect("a text"), "{place}"),
            None => {
                let error = rendered.expect_err(&place);
                let message = text("error").split_once(": ").expect("kind and message").1;
                assert!(error.message().contains(message), "{place}: {error} instead of {message}");
                raised += 1;
            }
        }
        count += 1;
    }
    eprintln!("{count} renderings, {raised} raise");
    assert!(count > 0);
}

#[test]
fn small_templates_print_what_transformers_prints() {
    // Written by scripts/chat_agreed.py.
    let mut lines = include_str!("agreed.jsonl").lines();
    let variables: Json = serde_json::from_str(lines.next().expect("a first line")).expect("JSON");
    for line in lines {
        let row = map(serde_json::from_str(line).expect("JSON"));
        let template = row["template"].as_str().expect("a text");
        let rendered = render(template, variables.clone());
        match row.get("expected") {
            Some(expected) => assert_eq!(rendered.expect(template), expected.as_str().expect("a text"), "{template:?}"),
            None => assert!(rendered.is_err(), "{template:?} should raise"),
        }
    }
}

#[test]
fn messages_keep_order_numbers_and_reasoning() {
    let template = ChatTemplate::new("{{ messages|tojson }}", SpecialTokens::default()).expect("compiles");
    let message = map(serde_json::json!({"role": "user", "content": null, "n": 1, "x": 1.0, "a": {"z": 1, "b": null}}));
    let now = Clock::default();
    let text = template.render(&[message], &closed(), &now).expect("renders");
    assert_eq!(text, r#"[{"role": "user", "n": 1, "x": 1.0, "a": {"z": 1, "b": null}}]"#, "null goes, but not within");
    let message = map(serde_json::json!({"role": "assistant", "reasoning": "r", "content": "c"}));
    let text = template.render(&[message], &closed(), &now).expect("renders");
    assert_eq!(
        text,
        r#"[{"thinking": "r", "role": "assistant", "reasoning": "r", "content": "c", "reasoning_content": "r"}]"#
    );
}

#[test]
fn a_folder_gives_file_and_line_of_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
    let load = || {
        let folder = ModelFolder::new(dir.path());
        let tokens = SpecialTokens::from_folder(&folder, &[]).expect("readable");
        ChatTemplate::from_folder(&folder, &tokens)
    };
    let now = Clock::default();
    assert!(load().expect("fine").is_none());

    write("chat_template.json", r#"{"chat_template": "json"}"#);
    let text = load().expect("fine").expect("a template").render(&[], &closed(), &now);
    assert_eq!(text.expect("renders"), "json");

    write(
        "tokenizer_config.json",
        r#"{"bos_token": {"content": "<b>"}, "chat_template": [{"name": "default", "template": "{{ bos_token }}d"}]}"#,
    );
    let text = load().expect("fine").expect("a template").render(&[], &closed(), &now);
    assert_eq!(text.expect("renders"), "<b>d");

    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "{{ tools[0] }}"}]}"#,
    );
    let template = load().expect("fine").expect("a template");
    let with_tools = |tools: Json| template.render(&[], &with(Turn::Closed, serde_json::json!({"tools": tools})), &now);
    assert_eq!(with_tools(serde_json::json!(["t"])).expect("renders"), "t");
    assert_eq!(with_tools(Json::Null).expect("renders"), "d");
    assert!(template.mentions("tools"));

    write("tokenizer_config.json", r#"{"chat_template": [{"name": "tool_use", "template": "t"}]}"#);
    let error = load().err().expect("no default");
    assert!(error.message().contains("tool_use") && error.hint().is_some());

    write("tokenizer_config.json", r#"{"chat_template": "a\n{{ raise_exception('no') }}"}"#);
    let error = load().expect("fine").expect("a template").render(&[], &closed(), &now).expect_err("raises");
    assert_eq!(error.message(), "failed to render the chat template (its line 2): no");

    write("chat_template.jinja", "a\n\n{{ messages[0].content.x.y }}");
    let error = load().expect("fine").expect("a template").render(&[], &closed(), &now).expect_err("undefined");
    assert_eq!(error.location().and_then(|location| location.line), Some(3));
    assert!(error.message().contains("undefined"), "{error}");

    write("chat_template.jinja", "a\n{% if %}");
    let error = load().err().expect("a syntax error");
    assert_eq!(error.location().and_then(|location| location.line), Some(2));
    assert!(error.to_string().contains("chat_template.jinja:2"));
}

/// What would end the process in minijinja or in recursion: an error, or text, but never a panic.
#[test]
fn hostile_templates_fail_alone() {
    let deep = format!("{{{{ {}", "(".repeat(100_000));
    let blocks = "{% if a %}".repeat(10_000);
    let sources = [
        "{{ ''[::-1] }}",
        "{{ [][::-1] }}",
        "{% for m in messages[::-1] %}{{ m }}{% endfor %}",
        "{{ 'abc'[0:3:-1] }}",
        "{{ 'abc'[1:-9223372036854775808:-9223372036854775808] }}",
        "{{ [1, 2, 3][2:1:-1]|list }}{{ (1, 2)[5:1:-3] }}",
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}{{ [ns] }}{{ {'a': ns}|string }}",
        "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns|tojson }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{% set ns.b = ns %}{{ ns }}{{ [ns]|tojson }}",
        "{% set ns = namespace() %}{% set ns.me = [ns][::-1] %}{{ ns }}{{ ns.me }}",
        "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{{ {'a': 1}|tojson(indent=9223372036854775807) }}{{ 'a'|center(9223372036854775807) }}",
        "{{ 'a' * 9223372036854775807 }}",
        "{{ [1] * 9223372036854775807 }}",
        "{{ 'a'.ljust(9223372036854775807) }}{{ 'a'|indent(9223372036854775807) }}",
        "{{ -9223372036854775808 // -1 }}{{ 9223372036854775807 * 9223372036854775807 * 9223372036854775807 }}",
        "{{ 170141183460469231731687303715884105727|int + 1 }}{{ 2 ** 200 }}{{ 5 % 0 }}",
        "{{ 'a'|int(base=37) }}{{ ''|first }}{{ []|min }}{{ strftime_now('%') }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor %}{% endfor %}",
        deep.as_str(),
        blocks.as_str(),
    ];
    for source in sources {
        let shown: String = source.chars().take(100).collect();
        eprintln!("{shown}");
        match render(source, serde_json::json!({})) {
            Ok(text) => assert!(text.len() < 100_000, "{shown}: {} bytes", text.len()),
            Err(error) => assert!(!error.chain().is_empty()),
        }
    }
}

fn conversation(messages: Json) -> Vec<Message> {
    messages.as_array().expect("a list").iter().cloned().map(map).collect()
}

/// What transformers 5.24 gives for `continue_final_message=True` and for the name of a field.
#[test]
fn a_last_message_goes_on() {
    let plain = "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}";
    let trims = "{% for m in messages %}<{{ m.role }}>{{ m.content|trim }}<end>{% endfor %}{{ 'tail' }}";
    let parts = "{% for m in messages %}{% for p in m.content %}{{ p.text }}|{% endfor %}<end>{% endfor %}";
    let thinks = "{% for m in messages %}<{{ m.reasoning_content }}>{{ m.content }}{% endfor %}";
    let run = |source: &str, messages: Json, field: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::default()).expect("compiles");
        let options = with(Turn::Continued(field.into()), Json::Null);
        template
            .render(&conversation(messages), &options, &Clock::default())
            .map_err(|error| error.message().to_owned())
    };
    let pay =
        |text: &str| serde_json::json!([{"role": "user", "content": "How?"}, {"role": "assistant", "content": text}]);
    assert_eq!(run(plain, pay("By card "), "content"), Ok("<user>How?<end><assistant>By card ".into()));
    assert_eq!(run(trims, pay(" By card \n"), "content"), Ok("<user>How?<end><assistant>By card".into()));
    assert_eq!(run(plain, pay(""), "content"), Ok("<user>How?<end><assistant>".into()));
    let listed = serde_json::json!([{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"text": "b"}, {"image": 1}]}]);
    assert_eq!(run(parts, listed, "content"), Ok("a|b".into()), "the last text of a list");
    let thought = serde_json::json!([{"role": "assistant", "reasoning": "so", "content": ""}]);
    assert_eq!(run(thinks, thought.clone(), "reasoning"), Ok("<so".into()), "under whichever name it is read");
    let fails = |source: &str, messages: Json, field: &str, why: &str| {
        let error = run(source, messages, field).expect_err(why);
        assert!(error.contains(why), "{error}");
    };
    fails("{{ messages|length }}<end>", pay("x"), "content", "never reads `content`");
    fails("{# content #}{{ messages|length }}", pay("x"), "content", "the rendered conversation does not contain it");
    fails(plain, serde_json::json!([{"role": "assistant", "content": null}]), "content", "has no `content`");
    fails(plain, serde_json::json!([]), "content", "the conversation has none");
    fails(plain, serde_json::json!([{"role": "assistant", "content": [{"image": 1}]}]), "content", "has no text");
    fails(plain, thought, "tool_calls", "has no `tool_calls`");
}

#[test]
fn arguments_are_seen_and_own_variables_are_not_for_callers() {
    let source =
        "{% if enable_thinking is defined and not enable_thinking %}off{% endif %}{% set mine = 1 %}{{ mine }}";
    let template = ChatTemplate::new(source, SpecialTokens::default()).expect("compiles");
    let off = with(Turn::Closed, serde_json::json!({"enable_thinking": false}));
    assert_eq!(template.render(&[], &off, &Clock::default()).expect("renders"), "off1");
    assert!(template.mentions("enable_thinking") && !template.mentions("enable_thinkin"));
    for name in ["messages", "add_generation_prompt", "continue_final_message"] {
        let own = with(Turn::Closed, serde_json::json!({name: true}));
        let error = template.render(&[], &own, &Clock::default()).expect_err("refused");
        assert!(error.message().contains(name) && error.hint().is_some());
    }
}

#[test]
fn a_list_that_is_printed_or_left_out_is_noticed() {
    let run = |source: &str, role: &str, text: &str| {
        let template = ChatTemplate::new(source, SpecialTokens::default()).expect("compiles");
        let messages = conversation(serde_json::json!([{"role": role, "content": [{"type": "text", "text": text}]}]));
        let text = template.render(&messages, &closed(), &Clock::default()).expect("renders");
        Listing::of(&messages, &text)
    };
    let prints = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
    assert_eq!(run(prints, "user", "it's"), Some(Listing::Printed));
    let json = "{% for m in messages %}{{ m.content|tojson }}{% endfor %}";
    assert_eq!(run(json, "user", "hi"), Some(Listing::Printed));
    assert_eq!(run(json, "tool", "hi"), None, "as some templates show what tools say");
    let strings = "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% endif %}{% endfor %}";
    assert_eq!(run(strings, "user", "hi"), Some(Listing::LeftOut));
    let parts = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}";
    assert_eq!(run(parts, "user", " hi "), None);
}
