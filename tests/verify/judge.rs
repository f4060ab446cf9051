use crate::support::{FAULTY, limits, python_runner, sandbox};
use egss::eval::{Task, judge};

const PATCH: &str = "\
diff --git a/mod.py b/mod.py
--- a/mod.py
+++ b/mod.py
@@ -1,2 +1,2 @@
 def double(x):
-    return x + 2
+    return x * 2
";

const TESTS: &str = "\
from mod import double

def test_two(): assert double(2) == 4
def test_five(): assert double(5) == 10
";

pub fn task() -> Task {
    let fields = serde_json::json!({
        "instance_id": "double",
        "repo": "double",
        "problem_statement": "`double` adds.",
        "files": {"mod.py": FAULTY, "test_old.py": "def test_old(): pass\n"},
        "patch": PATCH,
        "test_patch": added("test_mod.py", TESTS),
        "FAIL_TO_PASS": ["test_mod.py::test_five"],
        "PASS_TO_PASS": ["test_mod.py::test_two", "test_old.py::test_old"],
    });
    serde_json::from_value(fields).unwrap()
}

/// The patch that adds a file.
fn added(path: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("+{line}\n")).collect();
    format!(
        "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{} @@\n{}",
        lines.len(),
        lines.concat()
    )
}

#[test]
fn the_reference_patch_resolves_a_task_and_nothing_less_does() {
    let (sandbox, scratch, task) = (sandbox(), tempfile::tempdir().unwrap(), task());
    let runner = python_runner(&sandbox, limits());
    let verdict = |patch: &str| judge(&task, patch, &runner, scratch.path()).unwrap();

    let gold = verdict(PATCH);
    assert!(gold.resolved, "{gold:?}");
    let base = verdict("");
    assert_eq!(base.failed, ["test_mod.py::test_five"]);
    assert!(!base.resolved);

    // Tests that a patch brings along do not judge it, nor does its conftest.
    let own = added(
        "test_mod.py",
        "def test_two(): pass\ndef test_five(): pass\n",
    );
    assert_eq!(verdict(&own).failed, ["test_mod.py::test_five"]);
    assert!(verdict(&format!("{PATCH}{own}")).resolved);
    let hook = added(
        "conftest.py",
        "def pytest_pyfunc_call(pyfuncitem): return True\n",
    );
    assert_eq!(verdict(&hook).failed, ["test_mod.py::test_five"]);

    let refused = verdict(&PATCH.replace("x + 2", "x + 3"));
    assert_eq!(refused.failed.len(), 3);
    assert!(refused.fault.unwrap().contains("does not apply"));
    let hanging = verdict(&PATCH.replace("return x * 2", "while True: pass"));
    assert_eq!(
        hanging.failed,
        ["test_mod.py::test_five", "test_mod.py::test_two"]
    );
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_task_whose_own_test_patch_does_not_apply_is_an_error_and_no_verdict() {
    let (sandbox, scratch, mut task) = (sandbox(), tempfile::tempdir().unwrap(), task());
    let runner = python_runner(&sandbox, limits());
    task.test_patch = PATCH.replace("x + 2", "x + 3");
    let error = judge(&task, PATCH, &runner, scratch.path()).unwrap_err();
    assert!(
        error.to_string().contains("task double: its test_patch"),
        "{error}"
    );
}
