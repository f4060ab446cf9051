//! The tests of a repository are those that pytest finds by the project's own configuration
//! (hermes-agent#11699, pytest-xdist#594, #1074).
use crate::support::{
    Files, Repository, folder, limits, names, python, python_runner, results, sandbox,
};
use egss::index::{Index, Located, RepoView};
use egss::lang::{Collected, RunnerLimits, SUITE_FILE, list_files};
use egss::record::{SuiteRun, TestResult};
use egss::verify::{Bench, plan};
use std::collections::BTreeSet;
use std::process::Command;

/// The tests of a project, and its run.
fn seen(files: Files<'_>) -> (Collected, SuiteRun) {
    let (sandbox, dir) = (sandbox(), folder(files));
    // Nothing here hangs; a busy machine takes its time.
    let patient = RunnerLimits {
        test_s_max: 10,
        ..limits()
    };
    let runner = python_runner(&sandbox, patient);
    let paths = list_files(dir.path()).unwrap();
    let found = runner.runner().collect(dir.path(), &paths).unwrap();
    let run = runner.run(None, dir.path(), &found.targets).unwrap();
    assert_eq!(list_files(dir.path()).unwrap(), paths, "no file is left");
    (found, run)
}

fn ids(run: &SuiteRun) -> BTreeSet<&str> {
    run.tests.iter().map(|test| test.id.as_str()).collect()
}

/// The ids that pytest itself says, in the project's root.
fn by_pytest(files: Files<'_>) -> BTreeSet<String> {
    let dir = folder(files);
    let output = Command::new(python())
        .args(["-B", "-m", "pytest", "--collect-only", "-q"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| line.contains("::"));
    lines.map(str::to_owned).collect()
}

const DOCTEST: &str = "\"\"\"\n>>> 1 + 1\n2\n\"\"\"\n\n\ndef test_no_test():\n    assert False\n";
const PASSES: &str = "def test_x(): pass\n";

/// The same tests are collected and run, and pytest itself collects them.
#[test]
fn a_projects_own_configuration_says_what_its_tests_are() {
    let cases: &[(&str, Files<'_>, &[&str])] = &[
        (
            "files of other names",
            &[
                ("pytest.ini", "[pytest]\npython_files = check_*.py\n"),
                ("tests/check_a.py", PASSES),
                ("tests/test_no.py", PASSES),
            ],
            &["tests/check_a.py::test_x"],
        ),
        (
            "classes and functions of other names",
            &[
                (
                    "setup.cfg",
                    "[tool:pytest]\npython_functions = check_*\npython_classes = Check*\n",
                ),
                (
                    "test_a.py",
                    "def check_x(): pass\ndef test_no(): pass\nclass CheckA:\n    def check_y(self): pass\n",
                ),
            ],
            &["test_a.py::check_x", "test_a.py::CheckA::check_y"],
        ),
        (
            "examples in documentation",
            &[
                (
                    "tox.ini",
                    "[pytest]\naddopts = --doctest-modules --doctest-glob=*.md\n",
                ),
                ("src/pkg/__init__.py", ""),
                ("src/pkg/mod.py", DOCTEST),
                ("README.md", ">>> 2 + 2\n4\n"),
                ("tests/test_a.py", PASSES),
            ],
            &[
                "src/pkg/mod.py::pkg.mod",
                "README.md::README.md",
                "tests/test_a.py::test_x",
            ],
        ),
        (
            "folders",
            &[
                (
                    "pyproject.toml",
                    "[tool.pytest.ini_options]\ntestpaths = [\"t\"]\nnorecursedirs = [\"old\"]\n",
                ),
                ("t/build/test_a.py", PASSES),
                ("t/old/test_b.py", PASSES),
                ("other/test_c.py", PASSES),
            ],
            &["t/build/test_a.py::test_x"],
        ),
        (
            "paths among the options",
            &[
                ("pytest.ini", "[pytest]\naddopts = one\n"),
                ("one/test_a.py", PASSES),
                ("two/test_b.py", PASSES),
            ],
            &["one/test_a.py::test_x"],
        ),
        (
            "the mode of imports",
            &[
                (
                    "pytest.ini",
                    "[pytest]\naddopts = --ff --import-mode=importlib\n",
                ),
                ("a/test_a.py", PASSES),
                ("b/test_a.py", PASSES),
            ],
            &["a/test_a.py::test_x", "b/test_a.py::test_x"],
        ),
        (
            "tests that are left out by name",
            &[
                (
                    "pytest.ini",
                    "[pytest]\naddopts = -k \"not slow\" --deselect test_a.py::test_c --ignore=test_b.py\n",
                ),
                (
                    "test_a.py",
                    "def test_x(): pass\ndef test_slow(): pass\ndef test_c(): pass\n",
                ),
                ("test_b.py", PASSES),
            ],
            &["test_a.py::test_x"],
        ),
        (
            "unittest and parameters",
            &[(
                "test_a.py",
                "import pytest, unittest\nclass A(unittest.TestCase):\n    def test_m(self): pass\n@pytest.mark.parametrize('x', ['-n', 'a::b', '@f'])\ndef test_p(x): pass\n",
            )],
            &[
                "test_a.py::A::test_m",
                "test_a.py::test_p[-n]",
                "test_a.py::test_p[a::b]",
                "test_a.py::test_p[@f]",
            ],
        ),
        (
            "names that look like options, or like files of options",
            &[
                ("-x_test.py", PASSES),
                ("--help/test_a.py", PASSES),
                ("@types/test_b.py", PASSES),
            ],
            &[
                "-x_test.py::test_x",
                "--help/test_a.py::test_x",
                "@types/test_b.py::test_x",
            ],
        ),
    ];
    for (name, files, expected) in cases {
        let expected: BTreeSet<&str> = expected.iter().copied().collect();
        let (found, run) = seen(files);
        assert_eq!(found.fault, None, "{name}");
        let collected: BTreeSet<&str> = found.ids.iter().map(String::as_str).collect();
        assert_eq!(collected, expected, "{name}");
        assert_eq!(ids(&run), expected, "{name}: {:?}", run.fault);
        assert_eq!(run.counts.passed, run.counts.total, "{name}: {run:?}");
        let own = by_pytest(files);
        let own: BTreeSet<&str> = own.iter().map(String::as_str).collect();
        assert_eq!(own, expected, "{name}");
    }
}

/// A plugin with options of the names that pytest-xdist and pytest-cov have. It ends the
/// session where one of them holds.
const WORKERS: &str = "\
def pytest_addoption(parser):
    parser.addoption('--numprocesses', '-N', dest='numprocesses', default=None)
    parser.addoption('--dist', default='no')
    parser.addoption('--cov', action='append', default=[], dest='cov_source', nargs='?')
def pytest_cmdline_main(config):
    if config.option.numprocesses or config.option.dist != 'no' or config.option.cov_source:
        raise SystemExit('workers')
";

const THREE: &str = "\
def test_a(): assert False
def test_b(cache): cache.set('a/b', 1)
def test_c(tmp_path): assert list(tmp_path.iterdir()) == []
";

/// Options that would stop the run, only look, run tests elsewhere, or that nobody has: the
/// others are kept, and those are told.
#[test]
fn options_that_change_the_run_are_dropped_and_told_and_the_rest_is_kept() {
    let cases: &[(&str, &[&str])] = &[
        ("-x", &["-x/--maxfail"]),
        ("--maxfail=1 --stepwise", &["-x/--maxfail", "--stepwise"]),
        (
            "--ff --lf --nf",
            &["--last-failed", "--failed-first", "--new-first"],
        ),
        ("--collect-only", &["--collect-only"]),
        (
            "--setup-only --setup-plan --fixtures --markers",
            &["--setup-only", "--setup-plan", "--fixtures", "--markers"],
        ),
        ("--version -h", &["--version", "-h"]),
        ("--pdb --trace", &["--pdb", "--trace"]),
        (
            "-p workers -N auto --dist=load --cov=m",
            &["--numprocesses", "--dist", "--cov"],
        ),
        (
            "-n auto --cov --cov-report=xml",
            &["-n (no", "--cov (no", "--cov-report=xml (no"],
        ),
        (
            "--junitxml=out.xml --basetemp=kept",
            &["--junitxml", "--basetemp"],
        ),
        ("-p no_such_plugin", &["-p no_such_plugin (Error importing"]),
        ("-p no:cacheprovider -p no:junitxml --tb=no -s", &[]),
    ];
    for (options, dropped) in cases {
        let ini =
            format!("[pytest]\npython_files = check_*.py\naddopts = --doctest-modules {options}\n");
        let files = [
            ("pytest.ini", ini.as_str()),
            ("workers.py", WORKERS),
            ("kept/data.txt", "data"),
            ("mod.py", DOCTEST),
            ("check_a.py", THREE),
        ];
        let (found, run) = seen(&files);
        assert_eq!(found.fault, None, "{options}");
        let told = &found.options_dropped;
        for name in *dropped {
            assert!(
                told.iter().any(|option| option.starts_with(name)),
                "{options}: {name} in {told:?}"
            );
        }
        assert_eq!(told.len(), dropped.len(), "{options}: {told:?}");
        let results = results(&run);
        let has_cache = !options.contains("no:cacheprovider");
        for (id, result) in [
            ("check_a.py::test_a", TestResult::Failed),
            (
                "check_a.py::test_b",
                if has_cache {
                    TestResult::Passed
                } else {
                    TestResult::Error
                },
            ),
            ("check_a.py::test_c", TestResult::Passed),
            ("mod.py::mod", TestResult::Passed),
        ] {
            assert_eq!(results.get(id), Some(&result), "{options}: {id} in {run:?}");
        }
        assert_eq!(results.len(), 4, "{options}");
        assert_eq!(found.documented, ["mod.py"], "{options}");
    }
}

/// The suite is the program's own: a choice among the project's tests does not hold for it.
#[test]
fn no_option_of_the_project_leaves_the_suite_out() {
    let files = [
        (
            "pytest.ini",
            "[pytest]\npython_files = check_*.py\naddopts = -k own -m fast\nmarkers = fast\n",
        ),
        (
            "check_a.py",
            "import pytest\n@pytest.mark.fast\ndef test_own(): pass\n",
        ),
        (SUITE_FILE, "def test_stated(): pass\n"),
    ];
    let (sandbox, dir) = (sandbox(), folder(&files));
    let runner = python_runner(&sandbox, limits());
    let targets = names(&[SUITE_FILE, "check_a.py"]);
    let run = runner.run(None, dir.path(), &targets).unwrap();
    let stated = format!("{SUITE_FILE}::test_stated");
    assert_eq!(
        ids(&run),
        BTreeSet::from([stated.as_str(), "check_a.py::test_own"])
    );
}

/// Where the project's own call of pytest finds nothing, files are found by their names.
#[test]
fn a_configuration_that_cannot_be_followed_is_told() {
    let (found, run) = seen(&[
        (
            "pytest.ini",
            "[pytest]\nrequired_plugins = no-such-plugin\n",
        ),
        ("test_a.py", PASSES),
    ]);
    assert_eq!(found.targets, ["test_a.py"]);
    let fault = found.fault.unwrap();
    assert!(fault.contains("no-such-plugin"), "{fault}");
    assert_eq!(results(&run)["test_a.py"], TestResult::Error);
}

/// A file that ends or holds up pytest while it is imported is a test file all the same.
#[test]
fn files_that_cannot_be_imported_are_targets() {
    let (found, run) = seen(&[
        ("test_a.py", PASSES),
        ("test_b.py", "import os\nos._exit(0)\n"),
        ("test_c.py", "def test_x(:\n"),
    ]);
    let targets: BTreeSet<&str> = found.targets.iter().map(String::as_str).collect();
    assert_eq!(
        targets,
        BTreeSet::from(["test_a.py", "test_b.py", "test_c.py"])
    );
    assert_eq!(
        (run.counts.passed, run.counts.error, run.counts.total),
        (1, 2, 3)
    );
}

/// Collecting imports all tests: 40 s of each run on a large repository.
#[test]
fn collected_tests_are_kept_between_runs_for_the_same_files() {
    let kept = tempfile::tempdir().unwrap();
    let folder = kept.path().join("tests");
    let sandbox = sandbox();
    let collected = |files: Files<'_>| {
        let repository = Repository::new(files);
        let runner = python_runner(&sandbox, limits()).keeping_in(Some(folder.clone()));
        let plan = plan(&repository.bench(&runner), &[], "Nothing.", &[]).unwrap();
        plan.suite.repository_tests
    };
    let files: Files<'_> = &[("tests/test_a.py", PASSES)];
    assert_eq!(collected(files), ["tests/test_a.py"]);
    let places = || std::fs::read_dir(&folder).unwrap().flatten();
    let place = places().next().unwrap().path();
    // Another name in the file shows that it is read.
    let text = std::fs::read_to_string(&place).unwrap();
    std::fs::write(&place, text.replace("tests/test_a.py", "tests/test_b.py")).unwrap();
    assert_eq!(collected(files), ["tests/test_b.py"]);
    // Other files are collected anew; what cannot be read counts for nothing.
    let more: Files<'_> = &[("tests/test_a.py", PASSES), ("tests/test_c.py", PASSES)];
    assert_eq!(collected(more), ["tests/test_a.py", "tests/test_c.py"]);
    assert_eq!(places().count(), 2);
    std::fs::write(&place, "{").unwrap();
    assert_eq!(collected(files), ["tests/test_a.py"]);
}

/// The first tests of the alphabet ran, whatever had changed.
#[test]
fn tests_run_in_the_order_of_what_the_issue_names_and_of_their_nearness() {
    let sandbox = sandbox();
    let files: Files<'_> = &[
        ("shop/cart.py", "x = 1\n"),
        ("shop/money.py", "x = 1\n"),
        ("tests/test_a.py", PASSES),
        ("tests/test_cart.py", PASSES),
        ("tests/test_money.py", PASSES),
        ("tests/test_z.py", "def test_of_the_issue(): pass\n"),
    ];
    let view = RepoView::of_texts(files.iter().copied());
    let links = Index::of(&view).links(&view, &Located::default());
    let repository = Repository::new(files);
    let runner = python_runner(&sandbox, limits());
    let bench = Bench {
        links: &links,
        ..repository.bench(&runner)
    };
    let issue = "`test_of_the_issue` should fail.";
    let suite = plan(&bench, &[], issue, &["shop/money.py".to_owned()])
        .unwrap()
        .suite;
    assert_eq!(
        suite.repository_tests,
        [
            "tests/test_z.py",
            "tests/test_money.py",
            "tests/test_a.py",
            "tests/test_cart.py"
        ]
    );
    let reasons = [
        ("the issue names it", 1),
        ("it has the changed file's name", 1),
        ("nothing links it to the change", 2),
    ];
    assert_eq!(suite.order, reasons.map(|(why, n)| (why.to_owned(), n)));
    let now = bench.nearest_first(&suite, &["shop/cart.py".to_owned()]);
    assert_eq!(now.repository_tests[0], "tests/test_cart.py");
}

#[test]
fn where_all_imports_take_too_long_files_are_found_and_none_is_imported() {
    // The configuration's own names, examples in documentation, and a file that takes as long as
    // a test may.
    let slow = "import time\ntime.sleep(0.9)\ndef test_slow(): pass\n";
    let configuration = "[pytest]\npython_files = check_*.py\ntestpaths = checks pkg\naddopts = --doctest-modules\n";
    let names: Vec<String> = (0..40).map(|n| format!("checks/check_{n}.py")).collect();
    let mut files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), slow)).collect();
    files.extend([
        ("pytest.ini", configuration),
        ("checks/check_named.py", "def test_named_here(): pass\n"),
        ("checks/test_other.py", "def test_other(): pass\n"),
        ("pkg/__init__.py", ""),
        ("pkg/shown.py", "'''\n>>> 1 + 1\n2\n'''\n"),
    ]);
    let (sandbox, dir) = (sandbox(), folder(&files));
    let few = RunnerLimits {
        run_s_max: 20,
        ..limits()
    };
    let paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    let runner = python_runner(&sandbox, few);
    let found = runner.runner().collect(dir.path(), &paths).unwrap();
    assert_eq!(found.fault, None);
    assert!(found.ids.is_empty());
    let targets: BTreeSet<&str> = found.targets.iter().map(String::as_str).collect();
    let wanted = names.iter().map(String::as_str);
    // A file that is told for its examples, too, is one target.
    let others = ["checks/check_named.py", "pkg/shown.py"];
    for path in wanted.chain(others) {
        assert!(targets.contains(path), "{path} in {targets:?}");
    }
    assert!(found.documented.contains(&"pkg/shown.py".to_owned()));
    assert!(
        !found
            .documented
            .iter()
            .any(|path| path.starts_with("checks/check_"))
    );
}
