//! From sources and patches to runs and classes: the suite is planned against
//! the base, then run on the base again and on each patch, each in a directory
//! of its own.
use super::classes::classify;
use super::examples::issue_examples;
use super::repository::{list_files, repository_tests, restore_tests};
use super::runner::TestRunner;
use super::suite::{
    Consolidated, Dropped, SUITE_FILE, SourceKind, TestSource, consolidate, is_stated,
};
use super::trace::trace;
use super::{VerifyError, compile_faults};
use crate::base::{BranchId, UsageByPurpose};
use crate::record::{
    Reached, SuiteBuilt, SuiteClassified, SuiteRun, TestClass, TestOutcome, TestResult,
};
use crate::workspace::{Shadow, TreeId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A base run longer than this is not done twice to look for flaky tests, ms.
const REPEAT_MS_MAX: u64 = 30_000;

/// Where evaluation happens.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    pub shadow: &'a Shadow,
    pub runner: &'a TestRunner<'a>,
    /// The unpatched tree.
    pub base: &'a TreeId,
    /// A folder that exists; copies of trees are made in it and removed.
    pub scratch: &'a Path,
}

/// The suite, and its first run on the base.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub suite: SuiteBuilt,
    pub base: SuiteRun,
    /// What did not get into the suite, and why.
    pub dropped: Vec<Dropped>,
}

/// All runs and what they say of each test.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// One run for each patch, in the order asked for.
    pub patches: Vec<SuiteRun>,
    pub classified: SuiteClassified,
    /// Tests that were classed unsatisfied although they pass somewhere, with
    /// the reason: they are flaky, or may state today's fault.
    pub uncounted: Vec<(String, String)>,
    /// Patches that leave a file that does not compile, with the first fault.
    pub compile_faults: Vec<(BranchId, String)>,
}

/// Builds the suite out of the issue's own examples and `sources`, and runs it
/// and the repository's tests on the base.
///
/// A source that makes the suite uncollectable on the base is dropped and named.
pub fn plan(bench: &Bench<'_>, sources: &[TestSource], issue: &str) -> Result<Plan, VerifyError> {
    let sandbox = bench.runner.sandbox();
    let repository_tests = repository_tests(&bench.shadow.files(bench.base)?);
    let examples = {
        let dir = bench.copy(bench.base)?;
        issue_examples(sandbox, dir.path(), issue)?
    };
    let mut sources = [examples.sources, sources.to_vec()].concat();
    let mut dropped = examples.dropped;
    let mut suite = consolidate(sandbox, &sources)?;
    let mut base = bench.run_base(&suite.text, &repository_tests)?;
    if !is_collectable(&base) {
        let (kept, bad) = bench.collectable(sources)?;
        sources = kept;
        dropped.extend(bad);
        suite = consolidate(sandbox, &sources)?;
        base = bench.run_base(&suite.text, &repository_tests)?;
        if !is_collectable(&base) {
            dropped.push(Dropped {
                origin: "the suite as a whole".to_owned(),
                why: "its sources can be collected alone, but not together".to_owned(),
            });
            suite = Consolidated::default();
            base = bench.run_base("", &repository_tests)?;
        }
    }
    dropped.extend(suite.dropped);
    let sources = suite.tests.iter();
    let suite = SuiteBuilt {
        file: SUITE_FILE.to_owned(),
        text: suite.text,
        repository_tests,
        sources: sources
            .map(|(name, origin)| format!("{name}: {origin}"))
            .collect(),
        reached: Vec::new(),
        usage: UsageByPurpose::default(),
    };
    Ok(Plan {
        suite,
        base,
        dropped,
    })
}

/// Runs the planned suite on every patch's tree, and classes its tests.
///
/// A patch is judged by the base's version of the test files. Equal trees are
/// run once. Cost: a copy of the tree and a run of the tests for each patch,
/// and one more of each for the base, to find flaky tests.
pub fn evaluate(
    bench: &Bench<'_>,
    suite: &SuiteBuilt,
    base: &SuiteRun,
    patches: &[(BranchId, TreeId)],
) -> Result<Evaluation, VerifyError> {
    let mut uncounted = shown_faults(base);
    if base.tests.iter().map(|test| test.ms).sum::<u64>() <= REPEAT_MS_MAX {
        let again = bench.run_base(&suite.text, &suite.repository_tests)?;
        uncounted.extend(flaky(base, &again));
    }
    let mut runs: Vec<SuiteRun> = Vec::with_capacity(patches.len());
    let mut faults = Vec::new();
    let mut done: HashMap<&TreeId, (usize, Option<String>)> = HashMap::new();
    for (branch, tree) in patches {
        if let Some((twin, fault)) = done.get(tree) {
            let mut run = runs[*twin].clone();
            run.branch = Some(*branch);
            runs.push(run);
            faults.extend(fault.clone().map(|fault| (*branch, fault)));
            continue;
        }
        let (run, fault) = bench.run_patch(*branch, tree, suite)?;
        done.insert(tree, (runs.len(), fault.clone()));
        runs.push(run);
        faults.extend(fault.map(|fault| (*branch, fault)));
    }
    let mut classes = classify(base, &runs);
    for (id, class) in &mut classes {
        if uncounted.iter().any(|(other, _)| other == id) {
            *class = TestClass::Unsatisfied;
        }
    }
    Ok(Evaluation {
        patches: runs,
        classified: SuiteClassified { classes },
        uncounted,
        compile_faults: faults,
    })
}

impl Bench<'_> {
    /// What the stated examples run that fail on the base; empty where there is
    /// none, or where it cannot be seen: a help to a search, not a need.
    pub fn reached(
        &self,
        suite: &SuiteBuilt,
        base: &SuiteRun,
    ) -> Result<Vec<Reached>, VerifyError> {
        let failing = base.tests.iter().filter(|test| is_stated(suite, test));
        let names: Vec<&str> = failing
            .filter_map(|test| test.id.rsplit("::").next())
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let dir = self.copy(self.base)?;
        match trace(self.runner.sandbox(), dir.path(), &suite.text, &names) {
            Err(VerifyError::Script { .. }) => Ok(Vec::new()),
            reached => reached,
        }
    }

    fn copy(&self, tree: &TreeId) -> Result<tempfile::TempDir, VerifyError> {
        let dir = tempfile::Builder::new()
            .prefix("tree-")
            .tempdir_in(self.scratch)
            .map_err(|source| VerifyError::io("make a folder in", self.scratch, source))?;
        self.shadow.restore(tree, dir.path())?;
        Ok(dir)
    }

    fn run_base(&self, suite: &str, repository: &[String]) -> Result<SuiteRun, VerifyError> {
        let dir = self.copy(self.base)?;
        let targets = put_suite(dir.path(), suite)?;
        self.runner.run_all(None, dir.path(), &targets, repository)
    }

    /// Runs the suite on one tree, by the base's version of the test files; the
    /// second value is the first fault of a changed file that does not compile.
    pub fn run_patch(
        &self,
        branch: BranchId,
        tree: &TreeId,
        suite: &SuiteBuilt,
    ) -> Result<(SuiteRun, Option<String>), VerifyError> {
        let (base, dir) = (self.copy(self.base)?, self.copy(tree)?);
        let changed = changed_python(base.path(), dir.path())?;
        let fault = compile_faults(self.runner.sandbox(), dir.path(), &changed)?
            .into_iter()
            .next();
        restore_tests(base.path(), dir.path())?;
        let targets = put_suite(dir.path(), &suite.text)?;
        let run =
            self.runner
                .run_all(Some(branch), dir.path(), &targets, &suite.repository_tests)?;
        Ok((run, fault))
    }

    /// The sources whose suite of their own can be collected on the base.
    fn collectable(
        &self,
        sources: Vec<TestSource>,
    ) -> Result<(Vec<TestSource>, Vec<Dropped>), VerifyError> {
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for source in sources {
            let alone = consolidate(self.runner.sandbox(), std::slice::from_ref(&source))?;
            let dir = self.copy(self.base)?;
            let targets = put_suite(dir.path(), &alone.text)?;
            let run = self.runner.run(None, dir.path(), &targets)?;
            match suite_error(&run) {
                None => kept.push(source),
                Some(error) => dropped.push(Dropped {
                    origin: source.origin,
                    why: format!("cannot be collected on the base: {}", error.message),
                }),
            }
        }
        Ok((kept, dropped))
    }
}

/// Writes the suite over whatever has its name; no target if it is empty.
fn put_suite(dir: &Path, text: &str) -> Result<Vec<String>, VerifyError> {
    let path: PathBuf = dir.join(SUITE_FILE);
    // A link or an older suite of this name is in the way.
    match std::fs::remove_file(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(VerifyError::io("remove", &path, source));
        }
        _ => {}
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    std::fs::write(&path, text).map_err(|source| VerifyError::io("write", &path, source))?;
    Ok(vec![SUITE_FILE.to_owned()])
}

fn suite_error(run: &SuiteRun) -> Option<&TestOutcome> {
    run.tests.iter().find(|test| test.id == SUITE_FILE)
}

fn is_collectable(run: &SuiteRun) -> bool {
    suite_error(run).is_none()
}

/// Examples of the issue that may show today's fault, and do: they pass on the base.
fn shown_faults(base: &SuiteRun) -> Vec<(String, String)> {
    let prefix = format!("{SUITE_FILE}::{}", SourceKind::ISSUE_SHOWN_PREFIX);
    base.tests
        .iter()
        .filter(|test| test.id.starts_with(&prefix) && test.result == TestResult::Passed)
        .map(|test| {
            let why =
                "the issue shows it without saying that it should hold, and it holds on the base";
            (test.id.clone(), why.to_owned())
        })
        .collect()
}

/// Tests whose result on the same tree was not the same twice.
fn flaky(first: &SuiteRun, second: &SuiteRun) -> Vec<(String, String)> {
    let passed = |result| result == TestResult::Passed;
    let again: HashMap<&str, TestResult> = second
        .tests
        .iter()
        .map(|test| (test.id.as_str(), test.result))
        .collect();
    first
        .tests
        .iter()
        .filter_map(|test| {
            let other = *again.get(test.id.as_str())?;
            let why = "its result on the base was not the same twice".to_owned();
            (passed(test.result) != passed(other)).then(|| (test.id.clone(), why))
        })
        .collect()
}

/// Python files of `dir` that `base` has otherwise or not at all.
fn changed_python(base: &Path, dir: &Path) -> Result<Vec<String>, VerifyError> {
    let mut files = list_files(dir)?;
    files.retain(|path| {
        let (old, new) = (base.join(path), dir.join(path));
        let is_plain = std::fs::symlink_metadata(&new).is_ok_and(|meta| meta.is_file());
        path.ends_with(".py") && is_plain && std::fs::read(old).ok() != std::fs::read(new).ok()
    });
    Ok(files)
}
