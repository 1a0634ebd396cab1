//! Templates that would fill the memory, overflow the stack or go on for ever end with an error of their own.

use serde_json::json;

use super::{ChatTemplate, Clock};
use crate::request::{ChatOptions, Message};
use crate::tokenizer::special_tokens::SpecialTokens;

fn rendered(source: &str) -> Result<String, String> {
    let message: Message = serde_json::from_value(json!({"role": "user", "content": "Hé"})).unwrap();
    let template = ChatTemplate::new(source, SpecialTokens::default()).map_err(|error| error.message().to_owned())?;
    let rendered = template.render(&[message], &ChatOptions::default(), &Clock::default());
    rendered.map_err(|error| error.message().to_owned())
}

#[test]
fn what_would_fill_the_memory_is_an_error_of_the_template() {
    let doubled = |change: &str| {
        format!(
            "{{% set ns = namespace(t='ab', l=[1]) %}}{{% for i in range(60) %}}{change}{{% endfor %}}{{{{ ns.t[:9] }}}}"
        )
    };
    let sources = [
        doubled("{% set ns.t = ns.t ~ ns.t %}"),
        doubled("{% set ns.t = ns.t + ns.t %}"),
        doubled("{% set ns.t = ns.t * 2 %}"),
        doubled("{% set ns.t = ns.t|replace('', ns.t) %}"),
        doubled("{% set ns.t = ns.t.replace('b', 'bb').replace('a', 'aa') %}"),
        doubled("{% set ns.t = [ns.t, ns.t]|join %}"),
        doubled("{% set ns.t = ns.t.join([ns.t, ns.t]) %}"),
        doubled("{% set ns.t %}{{ ns.t }}{{ ns.t }}{% endset %}"),
        doubled("{% set ns.t = '%s%s'|format(ns.t, ns.t) %}"),
        doubled("{% set ns.t = '{0}{0}'.format(ns.t) %}"),
        doubled("{% set ns.l = ns.l + ns.l %}"),
        doubled("{% set ns.l = [ns.l, ns.l] %}"),
        doubled("{% set ns.l = {'a': ns.l, 'b': ns.l} %}"),
        "{% macro m(s, n) %}{{ m(s ~ s, n - 1) if n else s }}{% endmacro %}{{ m('ab', 100) }}".into(),
        "{{ '%1000000000d'|format(1) }}".into(),
        "{{ '%.1000000000f'|format(1.5) }}".into(),
        "{{ '%*d'|format(1000000000, 1) }}".into(),
        "{{ '{:>1000000000}'.format(1) }}".into(),
        "{{ 'a' * 10**9 }}".into(),
        "{{ 'a' * '1000000000'|int }}{{ ('a' ~ 'b'|upper) * '1000000000'|int }}".into(),
        "{{ 'a' * 10000000 * 9 ~ 'a' * 10000000 * 9 }}".into(),
        "{{ ([0] * 100000000)|list|length }}".into(),
        "{{ ([0] * 100000000)|join('abc')|length }}".into(),
        "{{ 'a'.ljust(1000000000) }}{{ 'a'.zfill(1000000000) }}".into(),
        "{{ 'a'|indent(1000000000) }}".into(),
        "{{ [1]|tojson(indent=1000000000) }}".into(),
        "{{ [1]|batch(1000000000, 0)|list|length }}{{ [1]|slice(1000000000)|list|length }}".into(),
        "{{ range(10**9)|list|length }}".into(),
        "{% for i in range(100000) %}{% for j in range(100000) %}{{ 'abcdefghij' * 90000 }}{% endfor %}{% endfor %}"
            .into(),
        format!(
            "{{% for i in range(100000) %}}{{% for j in range(100000) %}}{}{{% endfor %}}{{% endfor %}}",
            "raw".repeat(9000)
        ),
        format!(
            "{{% set x %}}{{% for i in range(100000) %}}{{% for j in range(99999) %}}{}{{% endfor %}}{{% endfor %}}{{% endset %}}",
            "raw".repeat(9000)
        ),
    ];
    for source in sources {
        let error = rendered(&source).expect_err(&source);
        assert!(error.starts_with("failed to render the chat template"), "{source}: {error}");
        assert!(!error.contains("panic"), "{source}: {error}");
    }
}

/// Each passes a loop that is short and touches a text that is long.
#[test]
fn what_would_work_through_a_long_text_again_and_again_is_an_error_of_the_template() {
    for step in [
        "{% if t == u %}{% endif %}",
        "{% if t in u %}{% endif %}",
        "{% if t not in u %}{% endif %}",
        "{% if t is eq(u) or t is in u %}{% endif %}",
        "{% if t is lower or t is startingwith u %}{% endif %}",
        "{% set x = t[-1:] %}",
        "{% set x = t[i + 4000000] %}",
        "{% set x = ns.t[4000000:][:1] %}",
        "{% set x = {t: 1}[t] %}",
        "{% set x = [t, u]|select('eq', t)|list %}",
        "{% set x = t|length %}",
        "{% set x = t|count or t|int(0) %}",
        "{% if t.startswith(u) %}{% endif %}",
        "{% if [[t]] == [[u]] %}{% endif %}",
    ] {
        let source = format!(
            "{{% set t = 'a' * 8000000 %}}{{% set u = t ~ '' %}}{{% set ns = namespace(t=t) %}}\
             {{% for i in range(100000) %}}{step}{{% endfor %}}"
        );
        let error = rendered(&source).expect_err(step);
        assert!(error.contains("works through more than"), "{step}: {error}");
    }
}

#[test]
fn what_would_go_over_a_long_list_again_and_again_is_an_error_of_the_template() {
    for step in [
        "{% set q = l|unique|list %}",
        "{% set q = l|batch(3)|list %}",
        "{% set q = l[::-1] %}",
        "{% set q = l|sort %}",
    ] {
        let source = format!("{{% set l = range(100000)|list %}}{{% for i in range(100000) %}}{step}{{% endfor %}}");
        let error = rendered(&source).expect_err(step);
        assert!(error.contains("works through more than"), "{step}: {error}");
    }
    // A long conversation whose template asks for places and lengths in every turn is far from it.
    let source = "{% set l = range(20000)|list %}{% for i in l %}{% if l[i] == l|length or l[i - 1] == l|last %}{% endif %}{% endfor %}x";
    assert_eq!(rendered(source).as_deref(), Ok("x"));
}

#[test]
fn what_would_overflow_the_stack_is_an_error_of_the_template() {
    for (source, what) in [
        ("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns ~ '' }}", "a namespace cannot hold itself"),
        ("{% set ns = namespace() %}{% set ns.me = [1, {'a': ns}] %}", "a namespace cannot hold itself"),
        (
            "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}{% set b.x = [a] %}{{ a|string }}",
            "a namespace cannot hold itself",
        ),
        ("{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}x", "nested"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{% macro m(x) %}{{ m([[[[[[[[x]]]]]]]]) }}{% endmacro %}{{ m(1) }}", "recursion"),
    ] {
        let error = rendered(source).unwrap_err();
        assert!(error.contains(what), "{source}: {error}");
    }
    let nested = format!("{{{{ {}{} }}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(rendered(&nested).unwrap_err().contains("brackets"));
    for sign in ["-", "not ", "1+", "1**", "1 and "] {
        let chain = format!("{{{{ {}1 }}}}", sign.repeat(20_000));
        assert!(rendered(&chain).unwrap_err().contains("a tag has more than"), "{sign}");
    }
    let branches = format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(7_000));
    assert!(rendered(&branches).unwrap_err().contains("elif"));
    assert!(rendered(&"{% if 1 %}".repeat(5000)).unwrap_err().contains("recursion"));
}

/// The bounds are far from what templates do: long conversations, and every operator in every place.
#[test]
fn what_templates_do_stays_what_it_was() {
    for (source, right) in [
        ("{{ 1 + 2 * 3 }} {{ 2 ** 3 * 2 }} {{ -1 + 2 }} {{ 7 // 2 * 2 }}", "7 16 1 6"),
        ("{{ 'a' + 'b' ~ 1 ~ 2 }}|{{ 'ab' * 2 * 2 }}|{{ 2 * 'x' }}", "ab12|abababab|xx"),
        ("{{ ([1] + [2])|length }}{{ [1] * 3 }}{{ (1, 2) + (3,) }}", "2[1, 1, 1](1, 2, 3)"),
        ("{% set ns = namespace(a=1) %}{% set ns.a = ns.a + 1 if ns.a else 0 %}{{ ns.a }}", "2"),
        ("{% set ns = namespace() %}{% set ns.a = 1, 2 %}{{ ns.a }}", "(1, 2)"),
        ("{% set ns = namespace(x=messages) %}{% set ns.l = ns.x + [ns.x[0].role ~ '!'] %}{{ ns.l|last }}", "user!"),
        ("{%- for i in range(3) %}\n {{ i + 1 }}\n{%- endfor %}", " 1 2 3"),
        ("{% for i in range(2) if i + 1 > 1 recursive -%}\n x{{ loop.length }} {%- endfor %}", "x1"),
        ("{{ messages[0].content|trim ~ '.' }}{{ ', '.join(['a', 'b']) }}{{ '%05.1f'|format(2.25) }}", "Hé.a, b002.2"),
        ("{{ {'a': 1 + 1, 'b': 'x' ~ 'y'}.b }}{{ [1, 2, 3][0 + 1:2 + 1] }}", "xy[2, 3]"),
        ("{{ 'a' ~ 'b' if 1 + 1 == 2 and not (1 + 1) is odd else 'c' ~ 'd' }}", "ab"),
        ("{% macro m(a, b=1 + 1) %}{{ a ~ b }}{% endmacro %}{{ m('x', b=2 + 1) }}{{ m('y') }}", "x3y2"),
        ("{{ messages[0]['content'][1:] }}{{ messages[-1].role[::-1] }}{{ messages[0:][0].role[1] }}", "éresus"),
        ("{{ 'a' in 'abc' }}{{ 'a' not in ['a'] }}{{ 1 == 1.0 }}{{ x == y }}{{ x in 'a' }}", "TrueFalseTrueTrueTrue"),
        ("{{ {1: 'a', 'b': 2}[0 + 1] }}{{ [1, 2]|select('gt', 1)|first }}{{ 2 is in [1, 2] }}", "a2True"),
        (
            "{{ ['a', 'b']|map('upper')|list }}{{ 'b' in ['a', 'b']|map('upper') }}{{ 'B' is upper }}",
            "['A', 'B']FalseTrue",
        ),
        (
            "{{ [3, 1, 2][:0:-1] }}{{ 'abc'[2:0:-1] }}{{ messages[:0:-1] }}{{ [3, 1, 2, 5, 4][4:0:-2] }}",
            "[2, 1]cb[][4, 2]",
        ),
        ("{{ [][::-1] }}{{ ''[::-1] }}{{ ()[::-1] }}{{ range(0)[::-1] }}{{ messages[1:][::-1] }}", "[]()[][]"),
        (
            "{{ 'abcdef'[-3:-1] }}{{ 'abc'[5:] }}{{ 'abc'[-9:2] }}{{ (1, 2, 3)[1:] }}{{ range(5)[1:4:2] }}",
            "deab(2, 3)[1, 3]",
        ),
        ("{% for a in [1, 2] if a in [2] %}{{ a }}{% endfor %}{{ -[3, 4][1:][0] }}", "2-4"),
    ] {
        assert_eq!(rendered(source).as_deref(), Ok(right), "{source}");
    }
    let long = "{% set ns = namespace(t='') %}{% for i in range(2000) %}{% set ns.t = ns.t ~ 'a turn of the talk ' %}{% endfor %}";
    assert_eq!(rendered(&format!("{long}{{{{ ns.t|length }}}}")).as_deref(), Ok("38000"));
}
