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
    assert!(size(&page) <= LIMIT, "{}", size(&page));
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

/// More of everything than there is room for, each as long as it may be, and all of it punctuation or wide.
#[test]
fn stays_below_the_limit_whatever_it_is_about() {
    use crate::compare::{Cause, CauseKind, Significance, Slice, TestKind};
    use crate::report::ErroredCase;
    for filler in ["`", "\u{e0041}", "😀", "e\u{301}\u{302}\u{303}\u{304}", "<", "\u{202e}"] {
        let name = |at: usize| format!("{at:04}{}", filler.repeat(400));
        let run = |passed: bool| {
            let case = |at: usize| {
                let mut line = line(&name(at / 4), &name(at), passed);
                line.output = Some(name(at).repeat(9));
                line.tags = vec![name(at)];
                let score = line.scores["match"].clone();
                line.scores.extend((0..40).map(|at| (name(at), score.clone())));
                line
            };
            (0..400).map(case).collect::<Vec<_>>()
        };
        let mut comparison = compared(run(true), run(false));
        let value = Some(name(1).repeat(8));
        let cause = |at| Cause {
            kind: CauseKind::Gates,
            what: name(at),
            effect: None,
            base: value.clone(),
            candidate: value.clone(),
        };
        comparison.causes = (0..300).map(cause).collect();
        let slice = |at| SliceComparison {
            dataset: name(at),
            slice: Slice::Tag(name(at)),
            metric: name(at),
            cases: 9,
            base_rate: Some(1.0),
            candidate_rate: Some(0.0),
            regressed: 9,
            improved: 0,
            difference: None,
            significance: Some(Significance { significant: true, p_value: 1e-9, test: TestKind::McNemarExact }),
        };
        comparison.slices = (0..300).map(slice).collect();
        let rule = |at| RuleResult {
            rule: name(at),
            tier: None,
            outcome: if at < 299 { Outcome::Passed } else { Outcome::Failed },
            reason: name(at),
            observed: None,
            limit: None,
            baseline: None,
            evidence: None,
            corrected_p_value: None,
            detectable: None,
            cases: (0..20).map(|at| crate::compare::CaseRef::new(&name(at), &name(at))).collect(),
            cases_total: 900,
        };
        let mut verdict = Verdict::of(None, (0..300).map(rule).collect());
        verdict.warnings = (0..300).map(name).collect();
        let errored = |at| ErroredCase { dataset: name(at), id: name(at), repeat: 0, error: name(at) };
        let errored = Errored { total: 1_000, cases: (0..300).map(errored).collect() };
        let report = Report {
            suite: filler,
            verdict: Some(&verdict),
            errored: Some(&errored),
            ..Report::of_comparison(&comparison)
        };
        let page = render(&report);
        assert!(size(&page) < 65_536, "{filler:?}: {}", size(&page));
        assert!(page.lines().next().unwrap().ends_with(": failed") && page.contains("| **failed** |"), "{page}");
        for noun in ["warnings", "rules", "errored cases", "rows", "differences", "slices"] {
            let told = page.lines().any(|line| line.starts_with("… and ") && line.ends_with(&format!(" more {noun}.")));
            assert!(told, "{filler:?}: no word on {noun} in {page}");
        }
        // Room is left for a case, whole.
        assert!(page.contains("<details><summary>400 regressed</summary>"), "{filler:?}");
    }
}
