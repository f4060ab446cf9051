//! The bundled demo tasks are sound: their bug is real, their fix is judged
//! right, and nothing that the agent reads gives the fix away.
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A bundled task.
struct Task {
    dir: &'static str,
    /// The program that runs its tests, by its option that names a version;
    /// none for Python, whose interpreter `scripts/setup` makes.
    tool: Option<[&'static str; 2]>,
    /// A file by which a patch would make every test pass, were it kept.
    cheat: (&'static str, &'static str),
}

const TASKS: [Task; 5] = [
    Task {
        dir: "tests/demo",
        tool: None,
        cheat: CONFTEST,
    },
    Task {
        dir: "tests/demo-barrel",
        tool: None,
        cheat: CONFTEST,
    },
    Task {
        dir: "tests/demo-js",
        tool: Some(["node", "--version"]),
        cheat: ("acceptance/larder.test.js", ""),
    },
    Task {
        dir: "tests/demo-go",
        tool: Some(["go", "version"]),
        cheat: (
            "acceptance/main_test.go",
            "package acceptance\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(*testing.M) { os.Exit(0) }\n",
        ),
    },
    Task {
        dir: "tests/demo-rust",
        tool: Some(["cargo", "--version"]),
        cheat: (
            ".cargo/config.toml",
            "[target.'cfg(all())']\nrunner = \"true\"\n",
        ),
    },
];

const CONFTEST: (&str, &str) = (
    "conftest.py",
    "def pytest_collection_modifyitems(items):\n    items.clear()\n",
);

/// The tasks whose tests can be run here. Without Go or Node those in it are
/// passed over; where `CI` is set they fail.
fn tasks() -> impl Iterator<Item = &'static Task> {
    TASKS.iter().filter(|task| {
        let Some([program, version]) = task.tool else {
            return true;
        };
        let is_there = Command::new(program).arg(version).output().is_ok();
        assert!(
            is_there || std::env::var_os("CI").is_none(),
            "{program} was not found: run scripts/setup --languages"
        );
        if !is_there {
            eprintln!("{}: passed over, there is no {program}", task.dir);
        }
        is_there
    })
}

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

fn judge(options: &[&str], task: &Task, patch: &Path) -> Output {
    Command::new(root().join("scripts/judge-demo"))
        .current_dir(root())
        .args(options)
        .arg(task.dir)
        .arg(patch)
        .arg(python())
        .output()
        .expect("scripts/judge-demo starts")
}

fn shown(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Each language has its own spelling of the test that every task holds:
/// `test_the_issues_example`, `TestTheIssuesExample`, `the issue's example`.
fn names_the_example(text: &str) -> bool {
    let letters = text.chars().filter(char::is_ascii_alphabetic);
    let letters: String = letters.map(|c| c.to_ascii_lowercase()).collect();
    letters.contains("theissuesexample")
}

#[test]
fn acceptance_tests_fail_on_the_base_and_pass_with_the_fix() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for task in tasks() {
        let (base, dir) = (judge(&[], task, empty.path()), task.dir);
        assert_eq!(base.status.code(), Some(1), "{dir}: {}", shown(&base));
        assert!(names_the_example(&shown(&base)), "{dir}: {}", shown(&base));
        let gold = root().join(dir).join("acceptance/gold.diff");
        let fixed = judge(&[], task, &gold);
        assert!(fixed.status.success(), "{dir}: {}", shown(&fixed));
    }
}

#[test]
fn the_repositorys_own_tests_pass_on_the_base() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    for task in tasks() {
        let run = judge(&["--own"], task, empty.path());
        assert!(run.status.success(), "{}: {}", task.dir, shown(&run));
        assert!(!names_the_example(&shown(&run)), "{}", task.dir);
    }
}

#[test]
fn a_patch_cannot_pass_by_changing_tests() {
    for task in tasks() {
        let (path, text) = task.cheat;
        let mut diff = format!(
            "diff --git a/{path} b/{path}\nnew file mode 100644\n--- /dev/null\n+++ b/{path}\n"
        );
        // git takes no hunk without a line: an empty file is one empty line.
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        diff += &format!("@@ -0,0 +1,{} @@\n", lines.len().max(1));
        for line in lines.iter().chain(lines.is_empty().then_some(&"")) {
            diff += &format!("+{line}\n");
        }
        let patch = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(patch.path(), diff).unwrap();
        let judged = judge(&[], task, patch.path());
        let said = shown(&judged);
        assert_eq!(judged.status.code(), Some(1), "{}: {said}", task.dir);
        assert!(names_the_example(&said), "{}: {said}", task.dir);
    }
}

#[test]
fn a_patch_that_makes_a_link_is_refused() {
    let patch = tempfile::NamedTempFile::new().unwrap();
    let link = "diff --git a/quiet2 b/quiet2\nnew file mode 120000\n--- /dev/null\n+++ b/quiet2\n@@ -0,0 +1 @@\n+/tmp\n\\ No newline at end of file\n";
    std::fs::write(patch.path(), link).unwrap();
    for task in tasks() {
        let said = shown(&judge(&[], task, patch.path()));
        assert!(said.contains("the patch makes a link"), "{said}");
    }
}

#[test]
fn the_issue_names_neither_the_line_nor_the_fix() {
    for task in TASKS {
        let dir = task.dir;
        let read = |name: &str| std::fs::read_to_string(root().join(dir).join(name)).unwrap();
        let (issue, gold) = (read("issue.md"), read("acceptance/gold.diff"));
        let path = gold.lines().find_map(|line| line.strip_prefix("+++ b/"));
        assert!(!issue.contains(path.unwrap()), "{dir}: {path:?}");
        let is_change = |line: &&str| {
            (line.starts_with('+') && !line.starts_with("+++"))
                || (line.starts_with('-') && !line.starts_with("---"))
        };
        for changed in gold.lines().filter(is_change) {
            assert!(!issue.contains(changed[1..].trim()), "{dir}: {changed}");
        }
    }
}
