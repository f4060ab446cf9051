//! Goals beside the issue's examples: a test command that fails, and tests that the issue names
//! (aider#3140, SWE-agent#834).
use super::*;
use egss::record::TestResult;

const CHECK: &str =
    "import notes\nassert notes.notes == ['a'], 'the notes are ' + repr(notes.notes)\n";

const TESTS: &str = "import notes\n\ndef test_a_note_is_there():\n    assert notes.notes == ['a']\n\ndef test_other():\n    assert notes.notes == ['never']\n";

fn notes_are(what: &str) -> String {
    format!(
        "<tool_call>\n{{\"name\": \"write\", \"arguments\": {{\"path\": \"notes.py\"}}}}\n</tool_call>\n```python\nnotes = ['{what}']\n```"
    )
}

/// An agent that is wrong first, and right when it is told so.
fn solved(files: &[(&str, &str)], issue: &str, command: Option<&str>) -> RunState {
    let mut engine = engine(|text| {
        let done = text
            .matches("<tool_call>\n{\"name\": \"write\", \"arguments\": {\"path\": \"notes.py\"}}")
            .count();
        let action = match done {
            0 => notes_are("b"),
            1 => notes_are("a"),
            _ => SUBMIT.to_owned(),
        };
        vec![(action, 1.0)]
    });
    let (repo, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (path, text) in [("notes.py", "notes = []\n")].iter().chain(files) {
        std::fs::write(repo.path().join(path), text).unwrap();
    }
    let (sandbox, profile) = (sandbox(), AgentProfile::small());
    let strategy = strategy_named("single", 1, 1, &profile).unwrap();
    let request = SolveRequest {
        issue,
        own_tests: OwnTests {
            command: command.map(str::to_owned),
            junit: None,
        },
        ..request(repo.path(), &strategy, &profile)
    };
    solve(out.path(), &request, tools(&mut engine, &sandbox)).unwrap()
}

/// The observations of the edits, and the results of `goal` on the base and on the patch.
fn told(state: &RunState, goal: &str) -> (Vec<String>, [TestResult; 2]) {
    let suite = state.suite.as_ref().unwrap();
    assert_eq!(suite.goals, [goal]);
    let runs = [&state.suite_runs[0], state.suite_runs.last().unwrap()];
    let result = runs.map(|run| {
        let test = run.tests.iter().find(|test| test.id == goal);
        test.expect("it ran").result
    });
    let edits = state
        .steps
        .iter()
        .filter(|step| step.outcome != StepOutcome::Submitted);
    (edits.map(|step| step.observation.clone()).collect(), result)
}

#[test]
fn a_test_command_that_fails_is_the_goal_and_is_shown_after_each_edit() {
    let state = solved(&[("check.py", CHECK)], ISSUE, Some("python3 check.py"));
    let (told, results) = told(&state, "test-cmd");
    assert_eq!(results, [TestResult::Failed, TestResult::Passed]);
    assert!(told[0].contains("the notes are ['b']"), "{}", told[0]);
    assert!(!told[1].contains("the notes are"), "{}", told[1]);
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert!(ended.patch.contains("+notes = ['a']"), "{}", ended.patch);
}

#[test]
fn a_failing_test_that_the_issue_names_is_a_goal_and_another_is_none() {
    let issue = "Notes are missing: `test_a_note_is_there` fails.";
    let state = solved(&[("test_notes.py", TESTS)], issue, None);
    let (told, results) = told(&state, "test_notes.py::test_a_note_is_there");
    assert_eq!(results, [TestResult::Failed, TestResult::Passed]);
    assert!(told[0].contains("test_a_note_is_there"), "{}", told[0]);
    assert!(!told[0].contains("test_other"), "{}", told[0]);
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert!(ended.patch.contains("+notes = ['a']"), "{}", ended.patch);
}
