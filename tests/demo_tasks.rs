//! The bundled demo tasks are sound: their bug is real, their fix is judged
//! right, and nothing that the agent reads gives the fix away.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TASKS: [&str; 2] = ["tests/demo", "tests/demo-barrel"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The interpreter that `scripts/setup` made.
fn python() -> PathBuf {
    let python = root().join(".venv/bin/python");
    assert!(
        python.exists(),
        "no .venv/bin/python: run scripts/setup, which makes it with pytest"
    );
    python
}

fn judge(task: &str, patch: &Path) -> Output {
    Command::new(root().join("scripts/judge-demo"))
        .current_dir(root())
        .arg(task)
        .arg(patch)
        .arg(python())
        .output()
        .expect("scripts/judge-demo starts")
}

fn shown(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn acceptance_tests_fail_on_the_base_and_pass_with_the_fix() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for task in TASKS {
        let base = judge(task, empty.path());
        assert_eq!(base.status.code(), Some(1), "{task}: {}", shown(&base));
        assert!(shown(&base).contains("test_the_issues_example"), "{task}");
        let gold = root().join(task).join("acceptance/gold.diff");
        let fixed = judge(task, &gold);
        assert!(fixed.status.success(), "{task}: {}", shown(&fixed));
    }
}

#[test]
fn the_repositorys_own_tests_pass_on_the_base() {
    for task in TASKS {
        let run = Command::new(python())
            .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(root().join(task).join("repo"))
            .output()
            .unwrap();
        assert!(run.status.success(), "{task}: {}", shown(&run));
    }
}

#[test]
fn a_patch_cannot_pass_by_changing_tests() {
    let patch = tempfile::NamedTempFile::new().unwrap();
    let conftest = "diff --git a/conftest.py b/conftest.py\nnew file mode 100644\n--- /dev/null\n+++ b/conftest.py\n@@ -0,0 +1,2 @@\n+def pytest_collection_modifyitems(items):\n+    items.clear()\n";
    std::fs::write(patch.path(), conftest).unwrap();
    for task in TASKS {
        let judged = judge(task, patch.path());
        assert_eq!(judged.status.code(), Some(1), "{task}: {}", shown(&judged));
    }
}

#[test]
fn the_issue_names_neither_the_line_nor_the_fix() {
    for task in TASKS {
        let read = |name: &str| std::fs::read_to_string(root().join(task).join(name)).unwrap();
        let (issue, gold) = (read("issue.md"), read("acceptance/gold.diff"));
        let path = gold.lines().find_map(|line| line.strip_prefix("+++ b/"));
        assert!(!issue.contains(path.unwrap()), "{task}: {path:?}");
        let is_change = |line: &&str| {
            (line.starts_with('+') && !line.starts_with("+++"))
                || (line.starts_with('-') && !line.starts_with("---"))
        };
        for changed in gold.lines().filter(is_change) {
            assert!(!issue.contains(changed[1..].trim()), "{task}: {changed}");
        }
    }
}
