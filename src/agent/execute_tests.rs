use super::*;
use crate::agent::{CheckReport, Hunk};
use crate::workspace::{SandboxMode, find_python};
use std::sync::LazyLock;
use tempfile::TempDir;

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let python = find_python(None, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    Sandbox::new(SandboxMode::UnsafeNone, &python).unwrap()
});

const CART: &str = "def total(prices):\n    return sum(prices) + 1\n\n\ndef mean(prices):\n    return total(prices) / len(prices)\n";

fn workspace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cart.py"), CART).unwrap();
    std::fs::create_dir(dir.path().join("pkg")).unwrap();
    std::fs::write(dir.path().join("pkg/data.bin"), b"\0\x01").unwrap();
    dir
}

fn run(dir: &TempDir, action: Action) -> Observation {
    let config = AgentConfig::agent();
    let executor = Executor::new(&SANDBOX, &config, None);
    executor.execute(dir.path(), &action).unwrap()
}

fn edit(symbol: &str, code: &str) -> Action {
    Action::Edit {
        path: "cart.py".into(),
        change: Change::Symbol {
            symbol: symbol.into(),
            code: code.into(),
        },
    }
}

fn cart(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("cart.py")).unwrap()
}

#[test]
fn an_edit_changes_the_file_and_says_by_how_much() {
    let dir = workspace();
    let seen = run(
        &dir,
        edit("total", "def total(prices):\n    return sum(prices)\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
    assert_eq!(seen.text, "cart.py was changed: 1 lines added, 1 removed.");
    assert_eq!(cart(&dir), CART.replace(" + 1", ""));
}

#[test]
fn an_edit_that_does_not_compile_leaves_the_file_as_it_was() {
    let dir = workspace();
    let seen = run(
        &dir,
        edit("total", "def total(prices):\n    return sum(prices\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(
        seen.text.contains("line 2") && seen.text.contains("not changed"),
        "{}",
        seen.text
    );
    assert_eq!(cart(&dir), CART);
    let seen = run(
        &dir,
        Action::Write {
            path: "new/deep.py".into(),
            text: "def (:\n".into(),
        },
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(!dir.path().join("new").join("deep.py").exists());
}

#[test]
fn an_edit_that_changes_nothing_is_told_so() {
    let dir = workspace();
    let seen = run(
        &dir,
        edit("total", "def total(prices):\n    return sum(prices) + 1\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(seen.text.starts_with("Nothing changed"), "{}", seen.text);
}

#[test]
fn an_edit_without_a_place_shows_the_nearest_text() {
    let dir = workspace();
    let hunks = vec![Hunk {
        old: "    return sum(price) + 2\n".into(),
        new: String::new(),
    }];
    let seen = run(
        &dir,
        Action::Edit {
            path: "cart.py".into(),
            change: Change::Hunks(hunks),
        },
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(
        seen.text
            .contains("lines 2 to 2:\n    return sum(prices) + 1"),
        "{}",
        seen.text
    );
    let seen = run(&dir, edit("totl", "def totl():\n    pass\n"));
    assert!(seen.text.contains("nearest: total"), "{}", seen.text);
}

#[test]
fn the_check_runs_after_an_edit_and_decides_the_outcome() {
    let dir = workspace();
    let config = AgentConfig::agent();
    let check = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("cart.py")).unwrap();
        Ok(Some(CheckReport {
            passed: !text.contains("+ 1"),
            text: "total([1]) == 1 fails".into(),
            new_failure: Some("total: 2".into()),
        }))
    };
    let executor = Executor::new(&SANDBOX, &config, Some(&check));
    let wrong = edit("mean", "def mean(prices):\n    return 0\n");
    let seen = executor.execute(dir.path(), &wrong).unwrap();
    assert_eq!(seen.outcome, StepOutcome::TestsFailed);
    assert!(seen.text.ends_with("total([1]) == 1 fails"));
    assert_eq!(seen.new_failure.as_deref(), Some("total: 2"));
    let right = edit("total", "def total(prices):\n    return sum(prices)\n");
    let seen = executor.execute(dir.path(), &right).unwrap();
    assert_eq!(seen.outcome, StepOutcome::TestsPassed);
    assert!(seen.text.contains("call submit"));
    let quiet = AgentConfig {
        check_after_edit: false,
        ..config
    };
    let executor = Executor::new(&SANDBOX, &quiet, Some(&check));
    let seen = executor.execute(dir.path(), &wrong.clone()).unwrap();
    assert_eq!(
        seen.outcome,
        StepOutcome::EditFailed,
        "it is what the file holds"
    );
}

#[test]
fn view_and_search_find_what_is_there_and_what_is_near() {
    let dir = workspace();
    let view = |path: &str, lines| {
        run(
            &dir,
            Action::View {
                path: path.into(),
                lines,
            },
        )
    };
    let search = |text: &str| run(&dir, Action::Search { text: text.into() });
    let seen = view("cart.py", Some((5, 99)));
    assert_eq!(
        seen.text,
        "cart.py, lines 5 to 6 of 6:\ndef mean(prices):\n    return total(prices) / len(prices)"
    );
    for (path, part) in [
        ("carts.py", "The nearest: cart.py"),
        ("pkg", "is a directory. It holds: data.bin"),
        ("pkg/data.bin", "binary"),
        ("../x", "outside"),
    ] {
        let seen = view(path, None);
        assert_eq!(seen.outcome, StepOutcome::Rejected);
        assert!(seen.text.contains(part), "{}", seen.text);
    }
    assert_eq!(search("def total").text, "cart.py:1: def total(prices):");
    assert_eq!(search("DEF MEAN").text, "cart.py:5: def mean(prices):");
    assert!(
        search("def totals(price)")
            .text
            .contains("The nearest line:\ncart.py:1")
    );
}

#[test]
fn a_command_is_told_by_its_end() {
    let dir = workspace();
    let run = |command: &str| {
        run(
            &dir,
            Action::Run {
                command: command.into(),
            },
        )
    };
    assert_eq!(run("true").text, "The command printed nothing.");
    let seen = run("echo no; exit 3");
    assert_eq!(seen.outcome, StepOutcome::CommandFailed);
    assert_eq!(seen.text, "no\nThe command ended with status 3.");
    let test = "from cart import total\n\ndef test_total():\n    assert total([1]) == 1\n";
    std::fs::write(dir.path().join("test_cart.py"), test).unwrap();
    let seen = run("python3 -m pytest -q");
    assert_eq!(seen.outcome, StepOutcome::TestsFailed, "{}", seen.text);
    assert_eq!(
        run("python3 -m pytest --no-such-option").outcome,
        StepOutcome::CommandFailed
    );
    std::fs::write(dir.path().join("cart.py"), CART.replace(" + 1", "")).unwrap();
    assert_eq!(
        run("python3 -m pytest -q").outcome,
        StepOutcome::TestsPassed
    );
}

#[test]
fn line_ends_and_broken_files_survive_an_edit() {
    let dir = workspace();
    let full = dir.path().join("cart.py");
    std::fs::write(&full, CART.replace('\n', "\r\n")).unwrap();
    run(&dir, edit("total", "def total(prices):\n    return 0\n"));
    let expected = CART.replace("sum(prices) + 1", "0").replace('\n', "\r\n");
    assert_eq!(cart(&dir), expected);
}

#[test]
fn the_repositorys_own_tests_stay_as_they_are() {
    let dir = workspace();
    std::fs::write(
        dir.path().join("test_cart.py"),
        "def test_total():\n    pass\n",
    )
    .unwrap();
    let mut config = AgentConfig::agent();
    config.scope.tests.insert("test_cart.py".into());
    let executor = Executor::new(&SANDBOX, &config, None);
    let write = |path: &str| {
        let text = "def test_total():\n    assert True\n".to_string();
        let path = path.to_string();
        let write = Action::Write { path, text };
        executor.execute(dir.path(), &write).unwrap()
    };
    for path in ["test_cart.py", "./test_cart.py"] {
        let seen = write(path);
        assert_eq!(seen.outcome, StepOutcome::Rejected, "{}", seen.text);
    }
    assert_eq!(write("test_more.py").outcome, StepOutcome::Ok);
    let kept = std::fs::read_to_string(dir.path().join("test_cart.py")).unwrap();
    assert!(kept.contains("pass"));
}
