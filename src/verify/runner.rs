//! Runs tests in the sandbox, by the runner that fits the repository or by the
//! user's own command.
use super::VerifyError;
use super::command::CommandRunner;
use super::kept;
use super::modules::ModuleCommand;
use super::scratch::TreeCopy;
use crate::base::BranchId;
use crate::lang::{
    self, ChangedLines, Collected, LangError, Ran, Runner, RunnerLimits, TEST_CMD_ID, count,
    end_of, parse_generic, private_dir, private_name, read_private,
};
use crate::record::{Coverage, SuiteCounts, SuiteRun, TestOutcome, TestResult};
use crate::workspace::{CommandEnd, CommandOutput, Sandbox, TreeId};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The user's way to run the repository's own tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnTests {
    /// A shell command line; `None`: by the runner that fits the repository.
    ///
    /// Where it runs pytest, it is given a place for JUnit XML at its end (so pytest has
    /// to come last). A command with a place `{modules:FOLDER}` is given dotted modules of
    /// test files there, those nearest to a change first, and says its results as unittest does
    /// where it is verbose. Any other command that leaves no XML is one test, `test-cmd`, which
    /// passes with exit status 0.
    pub command: Option<String>,
    /// Where the command writes JUnit XML, relative to the repository's root.
    pub junit: Option<PathBuf>,
}

impl OwnTests {
    /// The command as a person is told it.
    pub fn shown(&self) -> Option<String> {
        let command = self.command.as_ref()?;
        let shown = ModuleCommand::of(command).map(|command| command.of_modules("MODULE"));
        Some(shown.unwrap_or_else(|| command.clone()))
    }
}

/// Runs a repository's tests and the consolidated suite.
pub struct TestRunner<'a> {
    sandbox: &'a Sandbox,
    own: OwnTests,
    runner: Box<dyn Runner + 'a>,
    /// The folder in which the tests of trees are kept between runs.
    kept_in: Option<PathBuf>,
    /// The tests of the trees that were looked at, mostly of the base alone.
    collected: Arc<Mutex<Vec<(TreeId, Collected)>>>,
}

impl<'a> TestRunner<'a> {
    /// Runs tests by what the repository is, given by its `files` (paths of the base,
    /// relative to its root): the runner of the first language whose project it is.
    ///
    /// Errors: the runner, or what it needs, is missing; none fits and there are tests
    /// of a language that has one (`NoPytest`).
    pub fn for_files(
        sandbox: &'a Sandbox,
        limits: RunnerLimits,
        own: OwnTests,
        files: &[String],
    ) -> Result<Self, VerifyError> {
        let runner = match lang::runner_for(sandbox, limits, files) {
            // The user's command runs the repository's tests; a suite of the program's
            // own is not needed for that.
            Err(LangError::NoPytest { .. } | LangError::NoRunner(_)) if own.command.is_some() => {
                None
            }
            runner => runner?,
        };
        let runner = match runner {
            Some(runner) => runner,
            None => Box::new(CommandRunner::new(sandbox, limits)),
        };
        Ok(Self {
            sandbox,
            own,
            runner,
            kept_in: None,
            collected: Arc::default(),
        })
    }

    /// The same with so many seconds for one run of the tests.
    pub fn within(&self, run_s_max: u64) -> TestRunner<'_> {
        TestRunner {
            sandbox: self.sandbox,
            own: self.own.clone(),
            runner: self.runner.within(run_s_max),
            kept_in: self.kept_in.clone(),
            collected: Arc::clone(&self.collected),
        }
    }

    /// The same with the tests of trees kept in `folder` between runs.
    #[must_use]
    pub fn keeping_in(mut self, folder: Option<PathBuf>) -> Self {
        self.kept_in = folder;
        self
    }

    /// The sandbox of this module's helpers; tests run in the runner's own.
    pub fn sandbox(&self) -> &'a Sandbox {
        self.sandbox
    }

    /// The runner that was chosen.
    pub fn runner(&self) -> &dyn Runner {
        self.runner.as_ref()
    }

    /// The repository's tests, found once for a tree: `dir` is a copy of it that no test
    /// has run in, with these files. By their names where a command of the user's runs them.
    pub(super) fn collect<'b>(
        &self,
        tree: &TreeId,
        dir: impl FnOnce() -> Result<TreeCopy<'b>, VerifyError>,
        files: &[String],
    ) -> Result<Collected, VerifyError> {
        if self.own.command.is_some() {
            let targets = self.runner.targets(files);
            return Ok(Collected::by_name(match self.modules() {
                Some(command) => command.targets(targets),
                None => targets,
            }));
        }
        let known = || {
            self.collected
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some((_, found)) = known().iter().find(|(of, _)| of == tree) {
            return Ok(found.clone());
        }
        let packages = self.runner.packages();
        let kept = self.kept_in.as_deref().zip(packages.as_deref());
        let old = kept.and_then(|(folder, packages)| kept::read(folder, tree, packages));
        let found = match old {
            Some(found) => found,
            None => {
                let found = self.runner.collect(dir()?.path(), files)?;
                // A fault may be gone the next time.
                if let Some((folder, packages)) = kept.filter(|_| found.fault.is_none()) {
                    kept::write(folder, tree, packages, &found);
                }
                found
            }
        };
        known().push((tree.clone(), found.clone()));
        Ok(found)
    }

    /// Runs `targets` (files or ids, relative to `dir`) with `dir` as the root.
    ///
    /// A target that cannot be collected, a test that hangs or takes its
    /// process down is an `Error` outcome; `fault` says where the run as a
    /// whole went wrong. The runner itself leaves no file in `dir`.
    pub fn run(
        &self,
        branch: Option<BranchId>,
        dir: &Path,
        targets: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        if targets.is_empty() {
            return Ok(self.suite_run(branch, Ran::default()));
        }
        let Some(command) = self.modules() else {
            let ran = self.runner.run(dir, targets)?;
            return Ok(self.suite_run(branch, ran));
        };
        let is_suite = |target: &&String| target.as_str() == self.runner.suite_file();
        let (suite, own): (Vec<&String>, Vec<&String>) = targets.iter().partition(is_suite);
        let (suite, own): (Vec<String>, Vec<String>) = (
            suite.into_iter().cloned().collect(),
            own.into_iter().cloned().collect(),
        );
        let mut ran = match suite.is_empty() {
            true => Ran::default(),
            false => self.runner.run(dir, &suite)?,
        };
        let (sandbox, limits) = (self.runner.sandbox(), self.runner.command_limits());
        let others = command.run(sandbox, dir, &own, &limits)?;
        ran.tests.extend(others.tests);
        ran.not_run.extend(others.not_run);
        ran.fault = joined(ran.fault, others.fault);
        Ok(self.suite_run(branch, ran))
    }

    /// The user's command, where it takes modules.
    fn modules(&self) -> Option<ModuleCommand<'_>> {
        ModuleCommand::of(self.own.command.as_deref()?)
    }

    /// Runs `suite` by the runner and the repository's own tests: `repository`
    /// with it, or the user's command in their stead.
    pub fn run_all(
        &self,
        branch: Option<BranchId>,
        dir: &Path,
        suite: &[String],
        repository: &[String],
    ) -> Result<SuiteRun, VerifyError> {
        let command = self.own.command.as_ref();
        let Some(command) = command.filter(|_| self.modules().is_none()) else {
            return self.run(branch, dir, &[suite, repository].concat());
        };
        let mut run = self.run(branch, dir, suite)?;
        let own = self.run_test_cmd(dir, command)?;
        for test in own.tests {
            if !run.tests.iter().any(|known| known.id == test.id) {
                run.tests.push(test);
            }
        }
        let ran = Ran {
            tests: run.tests,
            not_run: [run.not_run, own.not_run].concat(),
            fault: joined(run.fault, own.fault),
        };
        Ok(self.suite_run(branch, ran))
    }

    /// A run's outcome with its counts. Of a file that the run did not come to the tests are
    /// counted where they are known.
    fn suite_run(&self, branch: Option<BranchId>, ran: Ran) -> SuiteRun {
        let known = self
            .collected
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ids = known.iter().flat_map(|(_, found)| &found.ids);
        let mut in_file: HashMap<&str, u32> = HashMap::new();
        if !ran.not_run.is_empty() {
            for id in ids {
                let file = id.split("::").next().unwrap_or(id);
                *in_file.entry(file).or_default() += 1;
            }
        }
        let n_tests = |id: &String| in_file.get(id.as_str()).copied().unwrap_or(1);
        SuiteRun {
            branch,
            counts: SuiteCounts {
                not_run: ran.not_run.iter().map(n_tests).sum(),
                ..count(&ran.tests)
            },
            tests: ran.tests,
            not_run: ran.not_run,
            fault: ran.fault,
            coverage: None,
        }
    }

    /// How many of `changed` lines the suite and the repository's own tests
    /// run; without those where a command of the user's runs them.
    pub(super) fn coverage(
        &self,
        dir: &Path,
        suite: &[String],
        repository: &[String],
        changed: &ChangedLines,
    ) -> Result<Option<Coverage>, VerifyError> {
        let own = match self.own.command {
            Some(_) => &[][..],
            None => repository,
        };
        let targets = [suite, own].concat();
        Ok(self.runner.coverage(dir, &targets, changed)?)
    }

    fn run_test_cmd(&self, dir: &Path, command: &str) -> Result<Ran, VerifyError> {
        let (sandbox, limits) = (self.runner.sandbox(), self.runner.command_limits());
        if let Some(path) = &self.own.junit {
            let place = dir.join(path);
            // A file that the repository holds is not taken for the command's.
            std::fs::remove_file(&place).ok();
            let output = sandbox.shell(dir, command, &limits)?;
            let xml = read_private(&place);
            let tests = xml.and_then(|xml| parse_generic(&String::from_utf8_lossy(&xml)));
            return Ok(with_xml(tests, &output, &format!("at {}", path.display())));
        }
        for language in lang::all() {
            let private = private_dir(dir)?;
            let xml = format!("{}/junit.xml", private_name(private.path()));
            let Some(line) = language.with_junit(command, &xml) else {
                continue;
            };
            let output = sandbox.shell(dir, &line, &limits)?;
            let xml = read_private(&private.path().join("junit.xml"));
            let tests =
                xml.and_then(|xml| language.read_junit(&String::from_utf8_lossy(&xml), dir));
            return Ok(with_xml(tests, &output, ""));
        }
        let output = sandbox.shell(dir, command, &limits)?;
        Ok(by_exit_status(&output, None))
    }
}

fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    let faults = [first, second].into_iter().flatten();
    faults.reduce(|first, second| format!("{first}; {second}"))
}

/// A command's outcomes by its XML, or its exit status where there is none.
fn with_xml(tests: Option<Vec<TestOutcome>>, output: &CommandOutput, place: &str) -> Ran {
    match tests {
        Some(tests) => Ran {
            tests,
            ..Ran::default()
        },
        None => {
            let place = if place.is_empty() {
                String::new()
            } else {
                format!(" {place}")
            };
            let fault = format!(
                "the test command left no JUnit XML{place}: it {}",
                end_of(output)
            );
            by_exit_status(output, Some(fault))
        }
    }
}

/// A command that was stopped at its limit says nothing of the patch: it counts as not run.
fn by_exit_status(output: &CommandOutput, fault: Option<String>) -> Ran {
    if output.end == CommandEnd::TimedOut {
        let stopped = format!(
            "the test command {}; --verify-s-max gives it more time",
            end_of(output)
        );
        return Ran {
            not_run: vec![TEST_CMD_ID.to_owned()],
            fault: Some(fault.unwrap_or(stopped)),
            ..Ran::default()
        };
    }
    Ran {
        tests: vec![command_outcome(output)],
        fault,
        ..Ran::default()
    }
}

fn command_outcome(output: &CommandOutput) -> TestOutcome {
    let result = match output.end {
        CommandEnd::Exited(0) => TestResult::Passed,
        CommandEnd::Exited(_) => TestResult::Failed,
        CommandEnd::Signalled(_) | CommandEnd::TimedOut => TestResult::Error,
    };
    TestOutcome {
        id: TEST_CMD_ID.to_owned(),
        result,
        message: match result {
            TestResult::Passed => String::new(),
            _ => end_of(output),
        },
        ms: output.wall_ms,
    }
}
