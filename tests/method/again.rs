//! Runs that are gone on with, and what they stand on.
use super::*;
use egss::record::RECORD_FILE;
use egss::report::RunView;
use egss::search::{SearchError, resume};
use egss::workspace::{Lock, Locked};

const SEES_SHOP: &str = "\
import os

def test_shop(): assert os.environ.get('SHOP') == 'open'
def test_notes(): assert True
";

/// Runs an engine that writes a file and submits, on a package with `files`.
fn solved(
    files: &[(&str, &str)],
    run_dir: &Path,
    sandbox: &Sandbox,
) -> Result<RunState, SearchError> {
    let say = |text: &str| match text.contains("\"path\": \"a1.py\"") {
        true => vec![(SUBMIT.into(), 1.0)],
        false => vec![(write("a1"), 1.0)],
    };
    let mut engine = engine(say);
    let repo = tempfile::tempdir().unwrap();
    for (path, text) in files {
        std::fs::write(repo.path().join(path), text).unwrap();
    }
    let profile = AgentProfile::small();
    let strategy = strategy_named("single", 1, 1, &profile).unwrap();
    let request = request(repo.path(), &strategy, &profile);
    let tools = tools(&mut engine, sandbox);
    match run_dir.join(RECORD_FILE).exists() {
        true => resume(run_dir, tools),
        false => solve(run_dir, &request, tools),
    }
}

fn with_shop() -> Sandbox {
    sandbox().with_variables(vec![("SHOP".into(), "open".into())])
}

/// codex#4791, #4703: a run that went on elsewhere had a base of other results, without a word.
#[test]
fn a_base_whose_tests_no_longer_pass_is_refused_and_the_run_stays() {
    let run_dir = tempfile::tempdir().unwrap();
    let files = [("notes.py", "notes = []\n"), ("test_shop.py", SEES_SHOP)];
    let state = solved(&files, run_dir.path(), &with_shop()).unwrap();
    assert!(
        state
            .start
            .python
            .as_ref()
            .is_some_and(|python| python.is_absolute())
    );
    assert!(Path::new(&state.start.repo).is_absolute());
    // Killed after the first step.
    let record = run_dir.path().join(RECORD_FILE);
    let text = std::fs::read_to_string(&record).unwrap();
    let is_step = |line: &&str| line.contains("\"event\":\"step_finished\"");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = lines.iter().position(is_step).unwrap();
    let killed: String = lines[..=first].concat();
    std::fs::write(&record, &killed).unwrap();

    let refused = solved(&files, run_dir.path(), &sandbox()).unwrap_err();
    let said = refused.to_string();
    assert!(
        said.starts_with("tests that passed on the base") && said.contains("(1: "),
        "{said}"
    );
    assert!(said.contains("test_shop.py::test_shop"), "{said}");
    assert_eq!(std::fs::read_to_string(&record).unwrap(), killed);
    let state = solved(&files, run_dir.path(), &with_shop()).unwrap();
    assert!(state.ended.is_some() && state.selected.is_some());
}

/// codex#5876: two processes on one run destroyed it.
#[test]
fn a_run_that_somebody_works_on_is_refused_by_the_number_of_the_process() {
    let run_dir = tempfile::tempdir().unwrap();
    let Locked::Taken(held) = Lock::take(&run_dir.path().join("lock")).unwrap() else {
        panic!("nobody had it");
    };
    let files = [("notes.py", "notes = []\n")];
    let said = solved(&files, run_dir.path(), &sandbox())
        .unwrap_err()
        .to_string();
    let pid = std::process::id().to_string();
    assert!(
        said.contains(&format!("is being worked on by process {pid}")),
        "{said}"
    );
    drop(held);
    assert!(solved(&files, run_dir.path(), &sandbox()).is_ok());
}

/// aider#543, SWE-agent#834: a patch that nothing tested was taken for a tested one.
#[test]
fn a_patch_on_which_no_test_ran_is_called_so() {
    let of = |files: &[(&str, &str)]| {
        let run_dir = tempfile::tempdir().unwrap();
        solved(files, run_dir.path(), &sandbox()).unwrap();
        let view = RunView::read(run_dir.path()).unwrap();
        (view.patch().is_empty(), view.is_tested())
    };
    assert_eq!(of(&[("notes.py", "notes = []\n")]), (false, false));
    let test = ("test_notes.py", "def test_notes(): assert True\n");
    assert_eq!(of(&[("notes.py", "notes = []\n"), test]), (false, true));
}

/// cline#9590, #1873: the folders of earlier runs were source and tests of the next.
#[test]
fn folders_of_earlier_runs_are_no_part_of_the_repository() {
    let repo = tempfile::tempdir().unwrap();
    std::fs::write(repo.path().join("notes.py"), "notes = []\n").unwrap();
    let run_dir = repo.path().join("out/first");
    solved(&[("other.py", "x = 1\n")], &run_dir, &sandbox()).unwrap();
    let (files, left_out) = egss::workspace::repository_files(repo.path()).unwrap();
    assert_eq!(files, ["notes.py"]);
    assert!(left_out.is_empty());
}
