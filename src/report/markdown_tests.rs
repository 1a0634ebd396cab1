//! What Markdown shows.

use super::*;
use crate::compare::tests_support::{compared, line};

#[test]
fn hostile_output_is_text() {
    let evil =
        "</pre><script>alert(1)</script>|x|`@all` #1 [a](javascript:b) ![i](http://x)\n\n</details>\n# head\u{202e}";
    let mut bad = line("gold|en`", "<b>1</b>", false);
    bad.output = Some(evil.into());
    bad.scores.get_mut("match").unwrap().explanation = evil.into();
    let comparison = compared(vec![line("gold|en`", "<b>1</b>", true)], vec![bad]);
    let page = render(&Report::of_comparison(&comparison));
    for forbidden in ["<script", "<b>", "](", "@all", "\u{202e}", "`", " #1"] {
        assert!(!page.contains(forbidden), "{forbidden} in {page}");
    }
    assert_eq!(page.matches("</pre>").count(), 1);
    assert_eq!(page.matches("</details>").count(), 1);
    // Every table row keeps its columns.
    for row in page.lines().filter(|line| line.starts_with("| <code>gold")) {
        assert_eq!(row.matches('|').count(), 14, "{row}");
    }
}

#[test]
fn changed_words_are_marked_and_stretches_cut() {
    let page =
        difference(&format!("{0}old <b>{0}", "same ".repeat(100)), &format!("{0}new @x{0}", "same ".repeat(100)));
    assert!(page.contains("<del>old &#60;b&#62;same</del><ins>new &#64;xsame</ins>"), "{page}");
    assert!(page.starts_with("<pre>\n…") && page.ends_with("…\n</pre>\n"), "{page}");
    let long = difference(&"a ".repeat(4000), &"b ".repeat(4000));
    assert!(long.chars().count() < 2 * OUTPUT + 100, "{}", long.len());
    assert_eq!(difference("same", "same"), "<pre>\nsame\n</pre>\n");
}

#[test]
fn fits_a_comment_and_says_what_it_leaves_out() {
    let run = |passed: bool| {
        let cases = (0..2_000).map(|i| {
            let mut line = line("golden", &format!("{i:04}"), passed);
            line.output = Some("long <answer> ".repeat(200));
            line
        });
        cases.collect::<Vec<_>>()
    };
    let comparison = compared(run(true), run(false));
    let page = render(&Report::of_comparison(&comparison));
    assert!(page.len() <= LIMIT, "{}", page.len());
    assert!(page.contains("<details><summary>2000 regressed</summary>"));
    assert!(page.contains(" of 2000 shown."));
    assert!(page.ends_with("</details>\n\n"));
}

#[test]
fn a_small_page() {
    let comparison = compared(vec![line("golden", "1", true)], vec![line("golden", "1", false)]);
    let page = render(&Report::of_comparison(&comparison));
    let expected = "\
## karat <code>desk</code>

Run <code>20261120T110000Z-68652a</code> against <code>20261120T110000Z-53561f</code>.

| dataset | scorer | cases | passed | errors | rate | 95 % | mean | baseline | change | 95 % | p | detectable |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
| <code>golden</code> | <code>match</code> | 1 | 0 | 0 | 0.0000 | 0.0000–0.7935 | 0.0000 | 1.0000 | -1.0000 | -1.0000, +0.9000 | 0.5000 | none |

detectable none: so few pairs differ that no change would have been found with 80 %.

Cases: 1 regressed, 0 unchanged.

| what differs | | baseline | candidate |
|---|---|---|---|
| parameters | <code>generation.seed</code> | <code>0</code> | <code>1</code> |

<details><summary>1 regressed</summary>

**<code>golden/1</code>**

- <code>match</code>: pass 1.0000 <code>because</code> → fail 0.0000 <code>because</code>

Output:

<pre>
answer <del>true</del><ins>false</ins>
</pre>

</details>

";
    assert_eq!(page, expected);
    assert_eq!(code("www.x.y WWW.z", 80), "<code>www&#46;x.y WWW&#46;z</code>");
}
