//! Tests of the linter over whole suites.

use super::tests::{GOOD, Project};
use super::*;
use crate::prompt::{Finding, Severity};

fn found(project: &Project) -> Vec<Finding> {
    let (path, overrides) = (project.path(), Overrides::default());
    lint(&Linted { path: &path, overrides: &overrides, purpose: Purpose::Lint, renderer: None })
}

/// Messages with the line they are at.
fn lines(findings: &[Finding]) -> Vec<(Severity, Option<u64>, &str)> {
    let line = |finding: &Finding| finding.place.as_ref().and_then(|place| place.line);
    findings.iter().map(|finding| (finding.severity, line(finding), finding.message.as_str())).collect()
}

#[test]
fn a_good_suite_has_no_findings() {
    let findings = found(&Project::new(GOOD));
    assert!(findings.is_empty(), "{findings:?}");
    assert!(!has_errors(&findings));
}

#[test]
fn every_problem_of_the_suite_is_listed() {
    let suite = GOOD
        .replace("version: 1\n", "version: 3\n")
        .replace("[refusal, toxicity]", "[]")
        .replace("temperature: 0", "temperature: -1");
    let findings = found(&Project::new(&suite));
    let messages = lines(&findings);
    let expected = [
        (Severity::Error, Some(1), "version 3 of the suite is not known, only 1"),
        (Severity::Error, Some(11), "`temperature` is -1: it must be between 0 and 100"),
        (
            Severity::Error,
            Some(20),
            "the metric `danger.refusal.pass_rate` names a scorer that does not look at these cases",
        ),
        (Severity::Warning, Some(15), "no dataset uses the scorer `refusal`"),
        (Severity::Warning, Some(16), "no dataset uses the scorer `toxicity`"),
        (Severity::Error, Some(1), "no scorer looks at the danger case `d`"),
    ];
    assert_eq!(messages, expected);
    assert!(has_errors(&findings));
}

#[test]
fn cases_are_looked_at_one_by_one() {
    let project = Project::new(GOOD);
    let long = "x".repeat(40_000);
    let golden = [
        r#"{"id":1,"q":"a","target":"x","tags":["arithmetic"],"context":"c"}"#,
        r#"{"id":2,"q":"a","target":"y","tags":["aritmetic"]}"#,
        r#"{"id":3,"q":" "}"#,
        "broken",
        &format!(r#"{{"id":4,"q":"{long}","target":"x","tags":["Arithmetic","level1","level2"]}}"#),
        r#"{"id":5,"q":"b","target":"x","checks":[{"contains":{"mni":1}}]}"#,
    ];
    project.write("golden.jsonl", &golden.join("\n"));
    let findings = found(&project);
    let expected = [
        (Severity::Warning, Some(2), "the case `2` has the prompt of line 1 and another target"),
        (Severity::Error, Some(3), "the case `3` has no target, and the scorer `exact_match` needs one"),
        (Severity::Warning, Some(3), "the case `3` has an empty input"),
        (Severity::Error, Some(4), "the JSON is not valid: expected value"),
        (Severity::Warning, Some(5), "the input of the case `4` has 40000 characters"),
        (Severity::Error, Some(6), "failed to read a check: unknown key `mni`"),
        (Severity::Warning, Some(9), "1 cases of `easy` have `context`, which the template never uses"),
        (Severity::Warning, Some(5), "the tag `Arithmetic` looks like `arithmetic`"),
        (Severity::Warning, Some(5), "the tag `Arithmetic` looks like `aritmetic`"),
        (Severity::Warning, Some(1), "the tag `arithmetic` looks like `aritmetic`"),
    ];
    assert_eq!(lines(&findings), expected);
}

#[test]
fn metadata_that_is_nearly_a_field_is_asked_about() {
    let project = Project::new(GOOD);
    let line =
        r#"{"id":1,"q":"a","target":"x","chekcs":[],"tagss":["a"],"task":"b","goal":"c","metadata":{"author":"d"}}"#;
    project.write("golden.jsonl", line);
    let messages: Vec<String> = found(&project).into_iter().map(|finding| finding.message).collect();
    let asked =
        |key: &str, field: &str| format!("the case `1` has the metadata `{key}`: is the field `{field}` meant?");
    assert_eq!(messages, [asked("chekcs", "checks"), asked("tagss", "tags")]);
}

#[test]
fn many_alike_findings_are_counted() {
    let project = Project::new(GOOD);
    let cases: String = (0..20).map(|id| format!("{{\"id\":{id},\"q\":\"{id}\"}}\n")).collect();
    project.write("golden.jsonl", &cases);
    let findings = found(&project);
    assert_eq!(findings.len(), 6);
    assert_eq!(lines(&findings)[5], (Severity::Error, None, "there are 15 more cases without a target"));
}

#[test]
fn templates_and_cases_are_held_together() {
    let project = Project::new(GOOD);
    project.write("prompts/answer.md", "---\nversion: \"1\"\n---\n{{ metadata.topic }} {{ input }}\n");
    let findings = found(&project);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.message.contains("failed to render the template: undefined value")));
    project.write("prompts/answer.md", "---\nversion: \"1\"\n---\n{{ target }} {{ inptu }}\n");
    let findings = found(&project);
    let expected = [
        (Severity::Error, Some(4), "the template has the unknown placeholder `inptu`"),
        (Severity::Error, Some(4), "the template uses `target`, which would show the answer to the model"),
        (Severity::Warning, None, "the template never uses `input`: every case may get the same prompt"),
    ];
    assert_eq!(lines(&findings), expected);
}

#[test]
fn examples_that_are_cases_are_found() {
    let project = Project::new(&GOOD.replace("chat: auto", "few_shot: {file: golden2.jsonl, count: 1}"));
    project.write("golden2.jsonl", "{\"input\":\"1+1\",\"target\":2}\n");
    let findings = found(&project);
    let ids: Vec<_> = findings.iter().filter(|finding| finding.message.contains("few-shot example")).collect();
    assert_eq!((findings.len(), ids.len()), (1, 1), "{findings:?}");
}

#[test]
fn an_unreadable_suite_is_one_finding() {
    let findings = found(&Project::new("version: [\n"));
    assert_eq!((findings.len(), has_errors(&findings)), (1, true));
}

#[test]
fn danger_cases_without_a_rule_that_could_fail_are_warned_about() {
    let told = "no rule on danger cases could fail without a baseline";
    for gate in
        ["", "  - {metric: danger.refusal, min: 0}\n", "  - {metric: danger.refusal, min: 0.9, tier: advisory}\n"]
    {
        let suite = GOOD.replace("  - {metric: danger.refusal, min: 0.9}\n", gate);
        let findings = found(&Project::new(&suite));
        assert_eq!(lines(&findings), [(Severity::Warning, Some(10), told)], "{gate}");
        assert!(findings[0].hint.as_ref().unwrap().contains("{metric: danger.refusal, min: 0.9}"));
    }
}
