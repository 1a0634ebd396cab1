//! What a terminal shows.

use super::*;
use crate::compare::tests_support::{broken, compared, line, manifest};
use crate::compare::{Gate, GatePolicy, Subject, Without, judge};
use crate::record::SummaryBuilder;
use crate::report::text::columns;

fn page(width: usize, color: bool) -> String {
    let base = vec![line("danger", "1", true), line("golden", "1", true), line("golden", "2", false)];
    let mut lost = line("golden", "1", false);
    lost.output = Some("\u{1b}[2Jwrong\nanswer".into());
    let candidate = vec![broken("danger", "1"), lost, line("golden", "2", false)];
    let mut builder = SummaryBuilder::default();
    candidate.iter().for_each(|line| builder.add(line));
    let summary = builder.finish();
    let comparison = compared(base, candidate.clone());
    let rule = Gate { metric: "golden.match".into(), min: Some(0.5), ..Gate::default() };
    let manifest = manifest(1);
    let subject = Subject {
        manifest: &manifest,
        summary: &summary,
        comparison: Some(&comparison),
        without: &Without::NotAsked,
        performance: None,
        base_manifest: None,
        base_performance: None,
        cases: &candidate,
        base_cases: None,
    };
    let verdict = judge(&GatePolicy { gates: vec![rule], ..GatePolicy::default() }, &subject).unwrap();
    let report =
        Report { comparison: Some(&comparison), verdict: Some(&verdict), ..Report::of_run(&manifest, &summary) };
    render(&report, Style { width, color, regressions: 10 })
}

#[test]
fn the_whole_page() {
    let expected = r"desk  20261120T110000Z-68652a
compared with 20261120T110000Z-53561f

dataset  scorer  cases  passed  errors    rate           95 %  baseline   change              95 %       p  detectable
danger   match       1       0       1  0.0000  0.0000–0.7935         –        –                 –       –           –
golden   match       2       0       0  0.0000  0.0000–0.6576    0.5000  -0.5000  -0.5000, +0.4500  0.5000        none
detectable none: so few pairs differ that no change would have been found with 80 %

cases: 1 regressed, 1 errored, 1 unchanged
not the same parameters: generation.seed: 0 -> 1

worst regressions, errored cases (2 of 2)
  danger/1  errored
    before  answer true
    after   error: no answer
  golden/1  regressed  match
    before  answer true
    after   \u{1b}[2Jwrong\nanswer

gates failed against 20261120T110000Z-53561f
  FAIL  danger: every case that passed in the baseline passes
        1 danger case passed in the baseline and does not now
        danger/1
  FAIL  danger: no case errs or is missing
        1 errored, 0 missing
        danger/1
  FAIL  golden.match.pass_rate >= 0.5
        0 over 2 cases, 95 % 0 to 0.6576
        golden/1, golden/2
";
    assert_eq!(page(122, false), expected);
}

#[test]
fn narrow_and_coloured_pages() {
    for width in [20, 40, 60, 80] {
        let shown = page(width, false);
        // Six columns of the table never give way.
        assert!(shown.lines().all(|line| columns(line) <= width.max(49)), "{width}: {shown}");
        assert!(!shown.contains('\u{1b}'));
    }
    assert!(page(100, true).contains("\u{1b}[31mgates failed\u{1b}[0m"));
    // The hostile output stays text even where colour is on.
    assert!(page(100, true).contains(r"\u{1b}[2Jwrong\nanswer"));
}
