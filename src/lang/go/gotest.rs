//! Go's tests, by `go test -json`: no network, nothing fetched, no vet.
//!
//! The tests of a package share a process. If a test ends the process, or the package's
//! time runs out, the tests that were running are run alone, and the tests after them in
//! another process.
use super::package::{Folder, is_ignored, modules};
use super::session::{CACHE, Request, Session, TEMPORARY};
use super::suite::{GO_SUITE_FILE, fault_of};
use super::{Go, Language};
use crate::lang::bundle::{bundle, written_fault};
use crate::lang::runner::error_outcome;
use crate::lang::seed::Seed;
use crate::lang::{
    Consolidated, LangError, Ran, Runner, RunnerLimits, TestRole, TestSource, list_files,
    private_dir,
};
use crate::workspace::{Limits, Sandbox, Toolchain};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The outcome of a module of which nothing builds.
const BUILD_ID: &str = "go.mod";

/// Time of builds on top of the tests' time, seconds: the standard library and the
/// modules of a middling program on two cores.
const BUILD_S_MAX: u64 = 600;
/// A compiler's needs, which are above those of most tests.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
const PROCESSES_MAX: u64 = 512;
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Runs `go test` with the toolchain of whoever started the program.
#[derive(Clone)]
pub(super) struct GoRunner {
    sandbox: Sandbox,
    limits: RunnerLimits,
    /// Of all runners of these limits and others.
    seed: Arc<Seed>,
}

impl GoRunner {
    /// Errors: `NoRunner`.
    pub fn new(sandbox: &Sandbox, limits: RunnerLimits) -> Result<Self, LangError> {
        let sandbox = sandbox.clone().with_found(Toolchain::go);
        let command = Limits {
            memory_bytes_max: limits.command.memory_bytes_max.max(MEMORY_BYTES_MAX),
            processes_max: limits.command.processes_max.max(PROCESSES_MAX),
            file_bytes_max: limits.command.file_bytes_max.max(FILE_BYTES_MAX),
            ..limits.command
        };
        Ok(Self {
            sandbox: sandbox.map_err(LangError::NoRunner)?,
            limits: RunnerLimits { command, ..limits },
            seed: Arc::default(),
        })
    }

    /// Calls `act` with a private folder whose cache starts as the seed. Only
    /// [`Runner::run`] leaves a seed, because the first such run is the base's.
    fn with_session<T>(
        &self,
        dir: &Path,
        act: impl FnOnce(&Session<'_>) -> Result<T, LangError>,
    ) -> Result<T, LangError> {
        let dir = dir
            .canonicalize()
            .map_err(|source| LangError::io("find", dir, source))?;
        let private = private_dir(&dir)?;
        self.seed.plant(&private.path().join(CACHE))?;
        let temporary = private.path().join(TEMPORARY);
        std::fs::create_dir_all(&temporary).map_err(|e| LangError::io("make", &temporary, e))?;
        let seconds = self.limits.run_s_max + BUILD_S_MAX;
        act(&Session {
            sandbox: &self.sandbox,
            limits: self.limits,
            dir: &dir,
            private: private.path(),
            deadline: Instant::now() + Duration::from_secs(seconds),
            not_run: RefCell::default(),
        })
    }
}

impl Runner for GoRunner {
    fn name(&self) -> &'static str {
        "go test"
    }

    fn within(&self, run_s_max: u64) -> Box<dyn Runner + '_> {
        let mut runner = self.clone();
        runner.limits.run_s_max = run_s_max;
        Box::new(runner)
    }

    fn suite_file(&self) -> &'static str {
        GO_SUITE_FILE
    }

    fn test_command(&self) -> &'static str {
        "go test ./..."
    }

    fn is_test_file(&self, path: &str) -> bool {
        Go.test_role(path) == TestRole::Target
    }

    fn is_source(&self, path: &str) -> bool {
        self.is_test_file(path)
    }

    fn build_id(&self) -> Option<&'static str> {
        Some(BUILD_ID)
    }

    /// Test files, without those in folders that the go command ignores.
    fn targets(&self, files: &[String]) -> Vec<String> {
        let is_own = |path: &&String| self.is_test_file(path) && !path.split('/').any(is_ignored);
        files.iter().filter(is_own).cloned().collect()
    }

    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError> {
        Ok(bundle(sources, &fault_of))
    }

    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, LangError> {
        written_fault(text, &fault_of, |suite| {
            self.with_session(dir, |session| session.run_parts(suite))
        })
    }

    fn request_for_tests(&self) -> &'static str {
        include_str!("augment.md")
    }

    /// By `go build` of the packages that the files are in.
    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, LangError> {
        let is_code = |path: &&String| Go.owns(path) && !self.is_test_file(path);
        let code: Vec<String> = files.iter().filter(is_code).cloned().collect();
        if code.is_empty() {
            return Ok(Vec::new());
        }
        self.with_session(dir, |session| session.build_faults(&code))
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
        self.with_session(dir, |session| {
            let mut ran = Ran::default();
            let modules = modules(&list_files(session.dir)?);
            let own = targets.iter().filter(|path| *path != GO_SUITE_FILE);
            let folders: BTreeSet<Folder> =
                own.filter_map(|path| Folder::of(path, &modules)).collect();
            for module in &modules {
                let of_module = folders.iter().filter(|folder| folder.module == *module);
                let requests = of_module.map(|folder| Request {
                    folder: folder.clone(),
                    only: &[],
                });
                let requests: Vec<Request<'_>> = requests.collect();
                let (tests, n_built) = session.run_module(&requests)?;
                if n_built == 0
                    && let Some(test) = tests.first()
                {
                    let why = format!("the module does not build: {}", test.message);
                    ran.tests
                        .push(error_outcome(BUILD_ID, why.clone(), test.ms));
                    ran.fault = Some(why);
                }
                ran.tests.extend(tests);
            }
            if targets.iter().any(|path| path == GO_SUITE_FILE) {
                let suite = std::fs::read_to_string(session.dir.join(GO_SUITE_FILE));
                ran.tests
                    .extend(session.run_parts(&suite.unwrap_or_default())?);
            }
            self.seed.keep(&session.private.join(CACHE))?;
            ran.not_run = session.not_run.take();
            if !ran.not_run.is_empty() && ran.fault.is_none() {
                let seconds = self.limits.run_s_max;
                let why = format!("the {seconds} s for one run of all tests did not suffice");
                ran.fault = Some(why);
            }
            Ok(ran)
        })
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max + BUILD_S_MAX)
    }
}
