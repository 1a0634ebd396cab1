//! Arbitrary JSON messages through the templates and tokenizers of two fixtures, and one that looks at everything.
#![no_main]

use std::sync::LazyLock;

use karat::engine::chat::{ChatTemplate, Clock};
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::render::Renderer;
use karat::engine::tokenizer::special_tokens::SpecialTokens;
use karat::engine::{ChatOptions, Message, Prompt, Turn};
use libfuzzer_sys::fuzz_target;

static RENDERERS: LazyLock<Vec<Renderer>> = LazyLock::new(|| {
    let open = |name| Renderer::open(&ModelFolder::new(karat_fuzz::fixture(name)), Clock::default()).expect("a fixture");
    ["llama", "qwen3"].map(open).into()
});

/// Every kind of access that published templates make.
static CURIOUS: LazyLock<ChatTemplate> = LazyLock::new(|| {
    let source = "{% set ns = namespace(last=-1) %}{% for m in messages[::-1] %}{{ m.role|upper }}{{ m['content']|string|trim }}\
        {% if m.content is string %}{{ m.content.split('</think>')[-1].lstrip('\\n') }}{{ m.content[:3] }}{{ m.content[::-1] }}\
        {% elif m.content is iterable %}{% for part in m.content %}{{ part|tojson(indent=2) }}{% endfor %}{% endif %}\
        {% if m.tool_calls %}{% for call in m.tool_calls %}{{ call.function.name }}{{ call|items|list }}{% endfor %}{% endif %}\
        {% set ns.last = loop.index0 %}{{ m }}{% endfor %}{{ messages|tojson }}{{ messages|length }}{{ ns.last }}";
    ChatTemplate::new(source, SpecialTokens::default()).expect("a template")
});

fuzz_target!(|data: &[u8]| {
    let Ok(messages) = serde_json::from_slice::<Vec<Message>>(data) else { return };
    for renderer in RENDERERS.iter() {
        let turn = if data.len() % 2 == 0 { Turn::Opened } else { Turn::Closed };
        let prompt = Prompt::Messages { messages: messages.clone(), chat: ChatOptions { turn, ..ChatOptions::default() } };
        match renderer.render(&prompt) {
            Ok(rendered) => assert_eq!(rendered.ids, renderer.tokenizer().encode(&rendered.text, false).expect("encodes")),
            Err(error) => karat_fuzz::shown(&error),
        }
    }
    if let Err(error) = CURIOUS.render(&messages, &ChatOptions::default(), &Clock::default()) {
        karat_fuzz::shown(&error);
    }
});
