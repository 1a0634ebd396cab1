//! Templates of our own, with what jinja2 3.1.6 in the environment of transformers 5 prints for them, and, where the
//! shared folder is there, published templates with recorded renderings.

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
    ChatTemplate::new(source, tokens)?.render_with(&[], true, &now, &map(variables))
}

/// The folder of shared reference data, or why the test is skipped.
fn shared() -> Option<PathBuf> {
    let dir = std::env::var_os("KARAT_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if !dir.join("data/chat_templates/rendered.jsonl").is_file() {
        eprintln!("skipped: {} has no data/chat_templates/rendered.jsonl (set KARAT_SHARED)", dir.display());
        return None;
    }
    Some(dir.join("data/chat_templates"))
}

#[test]
fn published_templates_render_as_recorded() {
    let Some(dir) = shared() else { return };
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
        let extra = map(serde_json::json!({"date_string": "26 Jul 2024"}));
        let rendered = template.render_with(&messages, generate, &now, &extra);
        match row.get("expected") {
            Some(expected) => assert_eq!(rendered.expect(&place), expected.as_str().expect("a text"), "{place}"),
            None => {
                let error = rendered.expect_err(&place);
                let message = text("error").split_once(": ").expect("kind and message").1;
                assert!(error.fragment().contains(message), "{place}: {error} instead of {message}");
                raised += 1;
            }
        }
        count += 1;
    }
    eprintln!("{count} renderings, {raised} raise");
    assert!(count > 0);
}
