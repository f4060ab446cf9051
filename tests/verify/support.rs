//! What the tests of this binary share.
use egss::base::BranchId;
use egss::index::Links;
use egss::lang::{RunnerLimits, SourceKind, TestSource};
use egss::record::{SuiteRun, TestResult};
use egss::verify::{Bench, Evaluation, OwnTests, Plan, Scratch, TestRunner, evaluate, plan};
use egss::workspace::{Sandbox, SandboxMode, Shadow, TreeId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

pub const FAULTY: &str = "def double(x):\n    return x + 2\n";
pub const FIXED: &str = "def double(x):\n    return x * 2\n";

/// The interpreter that scripts/setup gave pytest.
pub fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    if own.exists() {
        return own;
    }
    match std::env::var_os("EGSS_TEST_PYTHON") {
        Some(python) => PathBuf::from(python),
        None => panic!("no interpreter with pytest: run scripts/setup, or set EGSS_TEST_PYTHON"),
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::new(SandboxMode::Bubblewrap, &python()).expect("run scripts/setup")
}

/// Short limits: the planted tests hang on purpose.
pub fn limits() -> RunnerLimits {
    RunnerLimits {
        test_s_max: 1,
        run_s_max: 60,
        ..RunnerLimits::default()
    }
}

/// The runner of a Python repository.
pub fn python_runner(sandbox: &Sandbox, limits: RunnerLimits) -> TestRunner<'_> {
    let files = names(&["test_a.py"]);
    TestRunner::for_files(sandbox, limits, OwnTests::default(), &files).unwrap()
}

pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), files);
    dir
}

pub fn write(dir: &Path, files: &[(&str, &str)]) {
    for (path, text) in files {
        let file = dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

pub fn names(targets: &[&str]) -> Vec<String> {
    targets.iter().map(|target| (*target).to_owned()).collect()
}

/// Runs targets in a folder of these files, which is returned to be looked at.
pub fn run(files: &[(&str, &str)], targets: &[&str]) -> (SuiteRun, tempfile::TempDir) {
    let (sandbox, dir) = (sandbox(), folder(files));
    let runner = python_runner(&sandbox, limits());
    let run = runner.run(None, dir.path(), &names(targets)).unwrap();
    (run, dir)
}

pub fn results(run: &SuiteRun) -> HashMap<&str, TestResult> {
    let pairs = run.tests.iter();
    pairs.map(|test| (test.id.as_str(), test.result)).collect()
}

pub fn source(origin: &str, text: &str) -> TestSource {
    TestSource {
        origin: origin.to_owned(),
        kind: SourceKind::Written,
        path: None,
        text: text.to_owned(),
    }
}

/// A source that its author put at a path.
pub fn source_at(path: Option<&str>, text: &str) -> TestSource {
    TestSource {
        path: path.map(str::to_owned),
        ..source(path.unwrap_or("new"), text)
    }
}

/// Whether a program is on the `PATH`. A test that needs it is passed over without it;
/// where `CI` is set it fails.
pub fn has_tool(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "{program} was not found: run scripts/setup --languages"
    );
    if !is_there {
        eprintln!("passed over: there is no {program}");
    }
    is_there
}

/// Paths with their texts.
pub type Files<'a> = &'a [(&'a str, &'a str)];

/// A base with its trees in a shadow directory.
pub struct Repository {
    /// Removed with it.
    _dir: tempfile::TempDir,
    scratch: Scratch,
    links: Links,
    shadow: Shadow,
    files: Vec<(String, String)>,
    base: TreeId,
}

impl Repository {
    pub fn new(files: Files<'_>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(&dir.path().join("shadow")).unwrap();
        let base = shadow.snapshot(folder(files).path()).unwrap();
        let files = files.iter().map(|&(path, text)| (path.into(), text.into()));
        Self {
            files: files.collect(),
            scratch: Scratch::new(dir.path()),
            links: Links::default(),
            _dir: dir,
            shadow,
            base,
        }
    }

    /// The base with these files changed or added.
    pub fn tree(&self, changes: Files<'_>) -> TreeId {
        let copy = tempfile::tempdir().unwrap();
        let base = self.files.iter();
        let base: Vec<(&str, &str)> = base.map(|(path, text)| (&**path, &**text)).collect();
        write(copy.path(), &base);
        write(copy.path(), changes);
        self.shadow.snapshot(copy.path()).unwrap()
    }

    pub fn diff(&self, tree: &TreeId) -> String {
        self.shadow.diff(&self.base, tree, &[]).unwrap()
    }

    pub fn base(&self) -> &TreeId {
        &self.base
    }

    pub fn bench<'a>(&'a self, runner: &'a TestRunner<'a>) -> Bench<'a> {
        Bench {
            shadow: &self.shadow,
            runner,
            base: &self.base,
            scratch: &self.scratch,
            links: &self.links,
        }
    }

    /// The base's paths.
    pub fn paths(&self) -> Vec<String> {
        self.shadow.files(&self.base).unwrap()
    }

    /// Plans and evaluates patched versions, which become branches 0, 1, ... in
    /// their order.
    pub fn evaluated(
        &self,
        runner: &TestRunner<'_>,
        patches: &[Files<'_>],
        sources: &[TestSource],
        issue: &str,
    ) -> (Plan, Evaluation) {
        let branches = (0..).map(BranchId);
        let trees = patches.iter().map(|changes| self.tree(changes));
        let patches: Vec<(BranchId, TreeId)> = branches.zip(trees).collect();
        let bench = self.bench(runner);
        let plan = plan(&bench, sources, issue, &[]).unwrap();
        let evaluation = evaluate(&bench, &plan.suite, &plan.base, &patches).unwrap();
        (plan, evaluation)
    }
}

/// The same by pytest.
pub fn evaluated(
    base: Files<'_>,
    patches: &[Files<'_>],
    sources: &[TestSource],
    issue: &str,
) -> (Plan, Evaluation) {
    let sandbox = sandbox();
    let runner = python_runner(&sandbox, limits());
    Repository::new(base).evaluated(&runner, patches, sources, issue)
}
