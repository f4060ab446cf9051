//! SWE-bench's grading with the real package, on a repository that stands for one of its own.
//! Downloads packages and needs a Python 3.9: part of `scripts/test --all`.
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

const CODE: &str = "def double(x):\n    return x + 2\n";
const PATCH: &str = "diff --git a/requests/__init__.py b/requests/__init__.py\n\
    --- a/requests/__init__.py\n+++ b/requests/__init__.py\n@@ -1,2 +1,2 @@\n \
    def double(x):\n-    return x + 2\n+    return x * 2\n";
const SETUP: &str = "from setuptools import setup\n\
    setup(name='requests', version='2.3', packages=['requests'])\n";
/// The instance's services are asked by both protocols.
const TESTS: &str = "import json, os, ssl, urllib.request\n\
    from requests import double\n\n\
    def test_two(): assert double(2) == 4\n\
    def test_five(): assert double(5) == 10\n\
    def test_host():\n\
    \x20   context = ssl.create_default_context(cafile=os.environ['REQUESTS_CA_BUNDLE'])\n\
    \x20   for scheme in 'http', 'https':\n\
    \x20       more = {'context': context} if scheme == 'https' else {}\n\
    \x20       reply = urllib.request.urlopen(f'{scheme}://httpbin.org/get?a=b', **more)\n\
    \x20       assert json.load(reply)['args'] == {'a': 'b'}\n";

fn egss(store: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_egss"));
    command.args(args).env("EGSS_ENVIRONMENTS_DIR", store);
    let output = command.output().unwrap();
    println!("egss {args:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// An instance; its FAIL_TO_PASS test is `failing`.
fn task(id: &str, version: &str, failing: &str) -> Value {
    let lines: Vec<String> = TESTS.lines().map(|line| format!("+{line}\n")).collect();
    let test_patch = format!(
        "diff --git a/test_requests.py b/test_requests.py\nnew file mode 100644\n--- /dev/null\n\
         +++ b/test_requests.py\n@@ -0,0 +1,{} @@\n{}",
        lines.len(),
        lines.concat()
    );
    json!({
        "instance_id": id,
        "repo": "psf/requests",
        "version": version,
        "base_commit": "none",
        "problem_statement": "`double` adds.",
        "files": {"requests/__init__.py": CODE, "requests/cacert.pem": "", "setup.py": SETUP},
        "patch": PATCH,
        "test_patch": test_patch,
        "FAIL_TO_PASS": [format!("test_requests.py::{failing}")],
        "PASS_TO_PASS": ["test_requests.py::test_host"],
    })
}

#[test]
fn swebench_grades_gold_and_empty_and_tells_which_tasks_cannot_run() {
    let dir = tempfile::tempdir().unwrap();
    let (store, tasks) = (dir.path().join("store"), dir.path().join("tasks.jsonl"));
    let lines = [
        task("good", "2.3", "test_five"),
        task("unknown", "99", "test_five"),
        task("early", "2.3", "test_two"),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&tasks, lines.join("\n")).unwrap();
    let tasks = tasks.to_str().unwrap();
    let out = dir.path().join("out");
    let eval = |out: &Path| {
        let args = ["eval", "--grader", "swebench", "--strategies", "gold,empty"];
        let more = ["--json", "--tasks", tasks, "--out", out.to_str().unwrap()];
        egss(&store, &[&args[..], &more].concat())
    };

    let missing = eval(&out);
    assert!(!missing.status.success());
    let said = String::from_utf8_lossy(&missing.stderr);
    assert!(said.contains("egss env build --grader swebench"), "{said}");

    let built = egss(&store, &["env", "build", "--grader", "swebench"]);
    assert!(built.status.success());
    let built = egss(&store, &["env", "build", "--tasks", tasks]);
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(said.contains("knows no version '99'"), "{said}");
    assert!(said.contains("of 1 of 3 tasks were not built"), "{said}");
    // Both tasks of the version have one.
    let ids = String::from_utf8(built.stdout).unwrap();
    let ids: Vec<&str> = ids.lines().collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    let works = egss(&store, &["env", "check"]);
    assert!(works.status.success());

    let done = eval(&out);
    let shown = String::from_utf8(done.stdout).unwrap();
    let shown = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let shown: Vec<Value> = shown.collect();
    let rows: Vec<&Value> = shown
        .iter()
        .filter(|v| !v["candidates"].is_null())
        .collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert_eq!(row["instance_id"], "good");
        assert_eq!(row["resolved"], row["strategy"] == "gold", "{row}");
        let failed = &row["candidates"][0]["failed"];
        match row["strategy"] == "gold" {
            true => assert!(failed.is_null(), "{row}"),
            false => assert_eq!(failed, &json!(["test_requests.py::test_five"])),
        }
    }
    let why = |id: &str| {
        let mut not_run = shown.iter().filter(|v| !v["why"].is_null());
        let found = not_run.find(|v| v["instance_id"] == id).unwrap();
        found["why"].as_str().unwrap().to_owned()
    };
    assert!(why("unknown").contains("knows no version '99'"));
    let early = why("early");
    assert!(
        early.contains(
            "1 of its FAIL_TO_PASS tests pass without any change: test_requests.py::test_two"
        ),
        "{early}"
    );

    // The others would go on: here there is one sentence a task, and no result.
    std::fs::remove_file(store.join(ids[0]).join("venv/bin/python")).unwrap();
    let broken = eval(&dir.path().join("again"));
    assert!(broken.status.success());
    let said = String::from_utf8_lossy(&broken.stderr);
    let sentence = format!("good gold: not run: the environment {} is broken", ids[0]);
    assert!(said.contains(&sentence), "{said}");
    let broken = egss(&store, &["env", "check", ids[0]]);
    assert!(!broken.status.success());
}
