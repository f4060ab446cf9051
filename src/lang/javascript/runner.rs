//! JavaScript's tests, by `node --test`, vitest or jest: no network, nothing installed.
//!
//! The tests of a file share a process. `node --test` gets one file at a time, because
//! its XML does not name the file of a test. vitest and jest get all files at once; if
//! they leave no report (an endless loop blocks them), they get one file at a time.
//!
//! vitest and jest stop a test at its limit. `node --test` stops only a file, after the
//! time of four tests: the file is then an error, beside the tests that had ended.
use super::kind::{Kind, is_nodes_test};
use super::session::{START_S_MAX, Session, said_of};
use super::suite::{JAVASCRIPT_SUITE_FILE, fault_of};
use crate::lang::bundle::{bundle, written_fault};
use crate::lang::runner::error_outcome;
use crate::lang::{
    Consolidated, LangError, Ran, Runner, RunnerLimits, TestSource, end_of, is_skipped, private_dir,
};
use crate::workspace::{CommandEnd, Limits, Sandbox, Toolchain};
use std::path::Path;
use std::time::{Duration, Instant};

/// The outcome of a package whose runner is missing.
const BUILD_ID: &str = "package.json";

/// Node's needs, which are above those of most tests: it reserves much, and its threads
/// count as processes.
const MEMORY_BYTES_MAX: u64 = 4 << 30;
const PROCESSES_MAX: u64 = 512;
/// Caches that vitest leaves.
const CACHES: [&str; 3] = [".vite", ".vite-temp", ".vitest"];

/// Runs one kind of tests with the Node of whoever started the program.
#[derive(Clone)]
pub(super) struct NodeRunner {
    sandbox: Sandbox,
    limits: RunnerLimits,
    kind: Kind,
}

impl NodeRunner {
    /// Errors: `NoRunner`.
    pub fn new(sandbox: &Sandbox, limits: RunnerLimits, kind: Kind) -> Result<Self, LangError> {
        let sandbox = sandbox.clone().with_found(Toolchain::node);
        let command = Limits {
            memory_bytes_max: limits.command.memory_bytes_max.max(MEMORY_BYTES_MAX),
            processes_max: limits.command.processes_max.max(PROCESSES_MAX),
            ..limits.command
        };
        Ok(Self {
            sandbox: sandbox.map_err(LangError::NoRunner)?,
            limits: RunnerLimits { command, ..limits },
            kind,
        })
    }

    fn with_session<T>(
        &self,
        dir: &Path,
        act: impl FnOnce(&Session<'_>) -> Result<T, LangError>,
    ) -> Result<T, LangError> {
        let dir = dir
            .canonicalize()
            .map_err(|source| LangError::io("find", dir, source))?;
        let private = private_dir(&dir)?;
        let packages = dir.join("node_modules");
        let new = CACHES.map(|name| packages.join(name)).into_iter();
        let new: Vec<_> = new.filter(|cache| !cache.exists()).collect();
        let done = act(&Session {
            kind: self.kind,
            sandbox: &self.sandbox,
            limits: self.limits,
            dir: &dir,
            private: private.path(),
            deadline: Instant::now() + Duration::from_secs(self.limits.run_s_max),
        });
        for cache in new {
            std::fs::remove_dir_all(cache).ok();
        }
        done
    }
}

/// True for a file that vitest and jest run unless they are set up otherwise.
fn is_others_test(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let name = parts.next().unwrap_or(path);
    name.contains(".test.") || name.contains(".spec.") || parts.any(|part| part == "__tests__")
}

impl Runner for NodeRunner {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn within(&self, run_s_max: u64) -> Box<dyn Runner + '_> {
        let mut runner = self.clone();
        runner.limits.run_s_max = run_s_max;
        Box::new(runner)
    }

    fn suite_file(&self) -> &'static str {
        JAVASCRIPT_SUITE_FILE
    }

    fn test_command(&self) -> &'static str {
        self.kind.command()
    }

    fn is_test_file(&self, path: &str) -> bool {
        match self.kind {
            Kind::Node => is_nodes_test(path),
            Kind::Vitest | Kind::Jest => super::owns_some(path) && is_others_test(path),
        }
    }

    fn is_source(&self, path: &str) -> bool {
        self.is_test_file(path)
    }

    fn build_id(&self) -> Option<&'static str> {
        Some(BUILD_ID)
    }

    fn targets(&self, files: &[String]) -> Vec<String> {
        let is_foreign = |path: &str| {
            path.split('/')
                .any(|part| part.starts_with('.') || is_skipped(part))
        };
        let is_own = |path: &&String| self.is_test_file(path) && !is_foreign(path);
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
        self.kind.request_for_tests()
    }

    /// By `node --check`, where no other program compiles the code.
    fn compile_faults(&self, dir: &Path, files: &[String]) -> Result<Vec<String>, LangError> {
        let is_code = |path: &&String| {
            let endings = [".js", ".mjs", ".cjs"];
            endings.iter().any(|ending| path.ends_with(ending)) && !self.is_test_file(path)
        };
        if self.kind != Kind::Node {
            return Ok(Vec::new());
        }
        self.with_session(dir, |session| {
            let mut faults = Vec::new();
            for path in files.iter().filter(is_code) {
                let output = session.command(&["node", "--check", path], START_S_MAX)?;
                if output.end != CommandEnd::Exited(0) {
                    let said = said_of(&output.text).unwrap_or_else(|| end_of(&output));
                    let said = said.lines().next().unwrap_or_default();
                    faults.push(format!("{path} does not compile: {said}"));
                }
            }
            Ok(faults)
        })
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
        if let Some(why) = self.kind.fault(dir) {
            return Ok(Ran {
                tests: vec![error_outcome(BUILD_ID, why.clone(), 0)],
                fault: Some(why),
                ..Ran::default()
            });
        }
        self.with_session(dir, |session| {
            let own: Vec<String> = targets
                .iter()
                .filter(|path| *path != JAVASCRIPT_SUITE_FILE)
                .cloned()
                .collect();
            let mut ran = match own.is_empty() {
                true => Ran::default(),
                false => session.run_files(&own)?,
            };
            if own.len() < targets.len() {
                let suite = std::fs::read_to_string(session.dir.join(JAVASCRIPT_SUITE_FILE));
                ran.tests
                    .extend(session.run_parts(&suite.unwrap_or_default())?);
            }
            Ok(ran)
        })
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max)
    }
}
