//! Where tests are run: copies of trees, and the suite in them.
use super::VerifyError;
use super::changed::{changed_files, changed_lines};
use super::order::reasons;
use super::repository::put_tests_back;
use super::runner::TestRunner;
use super::scratch::{Scratch, TreeCopy};
use super::suite::{is_of_suite, is_stated};
use crate::base::BranchId;
use crate::index::Links;
use crate::lang::{ChangedLines, Collected};
use crate::record::{Coverage, Reached, SuiteBuilt, SuiteRun};
use crate::workspace::{Limits, Shadow, TreeId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where evaluation happens.
#[derive(Clone, Copy)]
pub struct Bench<'a> {
    pub shadow: &'a Shadow,
    pub runner: &'a TestRunner<'a>,
    /// The unpatched tree.
    pub base: &'a TreeId,
    /// Holds the copies of trees that tests run in.
    pub scratch: &'a Scratch,
    /// The base's files as they lead to each other: tests run in the order of their nearness.
    pub links: &'a Links,
}

/// Of an environment's rebuild of compiled files; compilers take much of each.
const REBUILD: Limits = Limits {
    wall_s_max: 600,
    memory_bytes_max: 8 << 30,
    processes_max: 256,
    file_bytes_max: 1 << 30,
    output_bytes_max: 64 << 10,
};

/// A copy of a patched tree with the base's tests and the suite in it.
struct Patched<'a> {
    dir: TreeCopy<'a>,
    suite: Vec<String>,
    changed: ChangedLines,
    /// The first fault of a changed file that does not compile.
    fault: Option<String>,
}

impl Bench<'_> {
    /// What the stated examples run that fail on the base; empty where there is
    /// none, or where it cannot be seen: a help to a search, not a need.
    pub fn reached(
        &self,
        suite: &SuiteBuilt,
        base: &SuiteRun,
    ) -> Result<Vec<Reached>, VerifyError> {
        let failing = base
            .tests
            .iter()
            .filter(|test| is_stated(suite, test) && is_of_suite(suite, &test.id));
        let names: Vec<&str> = failing
            .filter_map(|test| test.id.rsplit("::").next())
            .collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let dir = self.copy(self.base)?;
        Ok(self
            .runner
            .runner()
            .reached(dir.path(), &suite.text, &names)?)
    }

    /// Runs the suite on one tree, by the base's version of the test files; the
    /// second value is the first fault of a patch that does not compile.
    pub fn run_patch(
        &self,
        branch: BranchId,
        tree: &TreeId,
        suite: &SuiteBuilt,
    ) -> Result<(SuiteRun, Option<String>), VerifyError> {
        let patched = self.patched(tree, suite)?;
        let run = self.run_in(&patched, branch, suite)?;
        let build_id = self.runner.runner().build_id();
        let build = run
            .tests
            .iter()
            .find(|test| build_id == Some(test.id.as_str()));
        let build = build.map(|test| test.message.clone());
        Ok((run, patched.fault.or(build)))
    }

    /// Runs the suite on a tree once more, and then a third time for the
    /// coverage: what measures it must not be able to decide.
    pub(super) fn run_again(
        &self,
        branch: BranchId,
        tree: &TreeId,
        suite: &SuiteBuilt,
    ) -> Result<(SuiteRun, Option<Coverage>), VerifyError> {
        let patched = self.patched(tree, suite)?;
        let run = self.run_in(&patched, branch, suite)?;
        let (dir, own) = (patched.dir.path(), &suite.repository_tests);
        let coverage = match patched.changed.is_empty() {
            true => None,
            false => self
                .runner
                .coverage(dir, &patched.suite, own, &patched.changed)?,
        };
        Ok((run, coverage))
    }

    /// The repository's own tests on the base.
    pub(super) fn collect_base(&self) -> Result<Collected, VerifyError> {
        let files = self.shadow.files(self.base)?;
        self.runner
            .collect(self.base, || self.copy(self.base), &files)
    }

    /// Runs a suite of this text and the repository's own tests on the base.
    pub(super) fn run_base(
        &self,
        text: &str,
        repository: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        let dir = self.copy(self.base)?;
        self.run_base_in(dir.path(), text, repository)
    }

    /// [`Self::run_base`] in `dir`, a copy of the base that no test has run in yet.
    pub(super) fn run_base_in(
        &self,
        dir: &Path,
        text: &str,
        repository: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        let targets = self.put_suite(dir, text)?;
        self.runner.run_all(None, dir, &targets, repository)
    }

    /// Runs a suite that was built and run before, and the repository's own tests, on the base.
    pub fn run_base_again(&self, suite: &SuiteBuilt) -> Result<SuiteRun, VerifyError> {
        self.run_base(&suite.text, &suite.repository_tests)
    }

    /// Runs tests of the repository by their ids on the base.
    pub fn run_ids_on_base(&self, ids: &[String]) -> Result<SuiteRun, VerifyError> {
        let dir = self.copy(self.base)?;
        self.runner.run(None, dir.path(), ids)
    }

    /// The suite with the repository's tests in the order of their nearness to the files `near`.
    pub fn nearest_first(&self, suite: &SuiteBuilt, near: &[String]) -> SuiteBuilt {
        let order = self.links.order(&suite.repository_tests, near);
        SuiteBuilt {
            order: reasons(&order),
            repository_tests: order.into_iter().map(|(path, _)| path).collect(),
            ..suite.clone()
        }
    }

    /// Files that a tree has otherwise than the base.
    pub fn changed_paths(&self, tree: &TreeId) -> Result<Vec<String>, VerifyError> {
        let changes = self.shadow.changes(self.base, tree)?;
        Ok(changes.into_iter().map(|change| change.path).collect())
    }

    /// Runs a suite of this text alone on a tree.
    pub(super) fn run_alone(&self, tree: &TreeId, text: &str) -> Result<SuiteRun, VerifyError> {
        let dir = self.copy(tree)?;
        let targets = self.put_suite(dir.path(), text)?;
        self.runner.run(None, dir.path(), &targets)
    }

    /// Why a source of this text cannot be collected on a tree.
    pub(super) fn source_fault(
        &self,
        tree: &TreeId,
        text: &str,
    ) -> Result<Option<String>, VerifyError> {
        let dir = self.copy(tree)?;
        Ok(self.runner.runner().source_fault(dir.path(), text)?)
    }

    fn run_in(
        &self,
        patched: &Patched<'_>,
        branch: BranchId,
        suite: &SuiteBuilt,
    ) -> Result<SuiteRun, VerifyError> {
        let (dir, own) = (patched.dir.path(), &suite.repository_tests);
        self.runner.run_all(Some(branch), dir, &patched.suite, own)
    }

    fn patched(&self, tree: &TreeId, suite: &SuiteBuilt) -> Result<Patched<'_>, VerifyError> {
        let changes = self.shadow.changes(self.base, tree)?;
        let dir = self.copy(tree)?;
        let files = changed_files(dir.path(), &changes);
        let mut faults = self.runner.runner().compile_faults(dir.path(), &files)?;
        let rebuilt = self
            .runner
            .sandbox()
            .rebuild(dir.path(), &files, &REBUILD)?;
        faults.extend(rebuilt);
        let changed = changed_lines(self.shadow, self.base, dir.path(), &files)?;
        let tests = suite.repository_tests.iter();
        let tests: BTreeSet<&str> = tests
            .filter(|path| !suite.documented.contains(path))
            .map(String::as_str)
            .collect();
        put_tests_back(self.shadow, self.base, dir.path(), &changes, &tests)?;
        Ok(Patched {
            suite: self.put_suite(dir.path(), &suite.text)?,
            changed,
            fault: faults.into_iter().next(),
            dir,
        })
    }

    pub(super) fn copy(&self, tree: &TreeId) -> Result<TreeCopy<'_>, VerifyError> {
        self.scratch.copy(self.shadow, tree)
    }

    /// Writes the suite over whatever has its name; no target if it is empty.
    fn put_suite(&self, dir: &Path, text: &str) -> Result<Vec<String>, VerifyError> {
        let file = self.runner.runner().suite_file();
        if file.is_empty() {
            return Ok(Vec::new());
        }
        let path: PathBuf = dir.join(file);
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
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(|e| VerifyError::io("make", folder, e))?;
        std::fs::write(&path, text).map_err(|source| VerifyError::io("write", &path, source))?;
        Ok(vec![file.to_owned()])
    }
}
