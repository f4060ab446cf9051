//! Rust's tests, by cargo-nextest: a process a test, JUnit XML, no network.
//!
//! A build is all or nothing. Where one fails, the modules of the suite that
//! are at fault are taken out, and what then still does not build is run apart,
//! target by target.
use super::build::{error_lines, faulty_modules, renew};
use super::suite::{RUST_SUITE_FILE, consolidate_rust, without_modules};
use crate::lang::junit::{Case, JunitStyle, parse};
use crate::lang::runner::error_outcome;
use crate::lang::seed::Seed;
use crate::lang::{
    Consolidated, LangError, Ran, Runner, RunnerLimits, SourceKind, TestSource, end_of,
    private_dir, read_private,
};
use crate::record::TestOutcome;
use crate::workspace::{CommandEnd, CommandOutput, Limits, Sandbox, Toolchain};
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The outcome of a package of which nothing builds.
const BUILD_ID: &str = "Cargo.toml";

/// What a build may take on top of the tests' time, seconds: dependencies of a
/// middling package on two cores.
const BUILD_S_MAX: u64 = 600;
/// A compiler's needs, which are above those of most tests.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
const PROCESSES_MAX: u64 = 512;
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Room for a compiler's messages as JSON, bytes.
const MESSAGES_BYTES_MAX: usize = 8 << 20;

/// cargo-nextest's exit statuses: tests failed, nothing to run, no build.
const TESTS_FAILED: CommandEnd = CommandEnd::Exited(100);
const NO_TESTS: CommandEnd = CommandEnd::Exited(4);
const BUILD_FAILED: CommandEnd = CommandEnd::Exited(101);

/// Smaller builds that are equal in every run: cargo sees no reason to do a
/// dependency again.
const CARGO_ENV: [&str; 5] = [
    "CARGO_NET_OFFLINE=true",
    "CARGO_TERM_COLOR=never",
    "CARGO_INCREMENTAL=0",
    "CARGO_PROFILE_DEV_DEBUG=0",
    "CARGO_PROFILE_TEST_DEBUG=0",
];

/// Runs cargo-nextest with the toolchain of whoever started the program.
#[derive(Clone)]
pub(super) struct NextestRunner {
    sandbox: Sandbox,
    limits: RunnerLimits,
    /// Of all runners of these limits and others.
    seed: Arc<Seed>,
}

/// One command's end, and its tests if it came to run them.
struct Attempt {
    output: CommandOutput,
    tests: Option<Vec<TestOutcome>>,
}

impl NextestRunner {
    /// Errors: `NoRunner`.
    pub fn new(sandbox: &Sandbox, limits: RunnerLimits) -> Result<Self, LangError> {
        let beside = sandbox.python().parent().unwrap_or(Path::new("/"));
        let found = sandbox.clone().with_found(|| Toolchain::rust(beside));
        let command = Limits {
            memory_bytes_max: limits.command.memory_bytes_max.max(MEMORY_BYTES_MAX),
            processes_max: limits.command.processes_max.max(PROCESSES_MAX),
            file_bytes_max: limits.command.file_bytes_max.max(FILE_BYTES_MAX),
            ..limits.command
        };
        Ok(Self {
            sandbox: found.map_err(LangError::NoRunner)?,
            limits: RunnerLimits { command, ..limits },
            seed: Arc::default(),
        })
    }

    /// One cargo command in `dir`, whose build goes below `private`.
    fn cargo(
        &self,
        dir: &Path,
        private: &Path,
        argv: &[&str],
        limits: &Limits,
    ) -> Result<CommandOutput, LangError> {
        let target = format!("CARGO_TARGET_DIR={}", target_of(private).display());
        let mut whole = vec!["env", &target];
        whole.extend(CARGO_ENV);
        whole.extend(argv);
        Ok(self.sandbox.run(dir, &whole, limits)?)
    }

    fn nextest(
        &self,
        dir: &Path,
        private: &Path,
        targets: &[String],
        deadline: Instant,
    ) -> Result<Attempt, LangError> {
        let (config, xml) = (private.join("nextest.toml"), private.join("junit.xml"));
        // What an attempt before this one left.
        std::fs::remove_file(&xml).ok();
        let text = self.config(&xml);
        std::fs::write(&config, text).map_err(|e| LangError::io("write", &config, e))?;
        let tool = format!("egss:{}", config.display());
        let mut argv = vec!["cargo", "nextest", "run", "--offline", "--no-fail-fast"];
        argv.extend(["--color", "never", "--no-tests", "pass"]);
        argv.extend(["--profile", "egss", "--tool-config-file", &tool]);
        let of_targets = arguments(targets);
        argv.extend(of_targets.iter().map(String::as_str));
        let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
        let output = self.cargo(dir, private, &argv, &self.limits.wall(seconds))?;
        // nextest makes a store at the workspace's root, whatever it is told.
        for made in ["target/nextest/egss", "target/nextest", "target"] {
            std::fs::remove_dir(dir.join(made)).ok();
        }
        let is_whole = matches!(output.end, CommandEnd::Exited(0) | TESTS_FAILED | NO_TESTS);
        let tests = read_private(&xml)
            .filter(|_| is_whole)
            .and_then(|bytes| self.outcomes(dir, &String::from_utf8_lossy(&bytes)));
        // Where there is nothing to run, no XML is written.
        let is_empty = output.end == NO_TESTS || output.end == CommandEnd::Exited(0);
        Ok(Attempt {
            tests: tests.or_else(|| (is_empty && !xml.exists()).then(Vec::new)),
            output,
        })
    }

    /// A profile of its own, over the repository's: retries would hide flaky
    /// tests, and a test that fails must not keep the others from running. Said
    /// twice, as overrides of the repository's go before what a profile says.
    fn config(&self, xml: &Path) -> String {
        let place = toml::Value::String(xml.display().to_string());
        let limits = format!(
            "retries = 0\nslow-timeout = {{ period = \"{}s\", terminate-after = 1, grace-period = \"1s\" }}\n",
            self.limits.test_s_max
        );
        format!(
            "[profile.egss]\nfail-fast = false\n{limits}\
             [[profile.egss.overrides]]\nfilter = 'all()'\n{limits}\
             [profile.egss.junit]\npath = {place}\n"
        )
    }

    fn outcomes(&self, dir: &Path, xml: &str) -> Option<Vec<TestOutcome>> {
        let package = package_name(dir);
        parse(xml, &NextestXml { dir, package })
    }

    /// Runs what does not build together target by target; the second value are the targets
    /// that the time did not suffice for.
    fn run_apart(
        &self,
        dir: &Path,
        private: &Path,
        targets: &[String],
        whole: &CommandOutput,
        deadline: Instant,
    ) -> Result<(Vec<TestOutcome>, Vec<String>), LangError> {
        let (mut tests, mut not_run) = (Vec::new(), Vec::new());
        let mut n_built = 0;
        for target in targets {
            if Instant::now() >= deadline {
                not_run.push(target.clone());
                continue;
            }
            let attempt = self.nextest(dir, private, slice::from_ref(target), deadline)?;
            match attempt.tests {
                Some(found) => {
                    n_built += 1;
                    tests.extend(found);
                }
                None if Instant::now() >= deadline => not_run.push(target.clone()),
                None => tests.push(error_outcome(
                    target,
                    error_lines(&attempt.output.text).unwrap_or_else(|| end_of(&attempt.output)),
                    attempt.output.wall_ms,
                )),
            }
        }
        if n_built == 0 && whole.end == BUILD_FAILED {
            let why = error_lines(&whole.text).unwrap_or_else(|| end_of(whole));
            let why = format!("the package does not build: {why}");
            tests.push(error_outcome(BUILD_ID, why, whole.wall_ms));
        }
        Ok((tests, not_run))
    }
}

/// Where a run's build goes: into its private folder, as what a patch's code
/// writes there must not reach another's run.
fn target_of(private: &Path) -> PathBuf {
    private.join("target")
}

/// Arguments of cargo that choose targets by their files.
fn arguments(targets: &[String]) -> Vec<String> {
    let mut arguments = Vec::new();
    for target in targets {
        let of_one = match target.as_str() {
            "src/lib.rs" => vec!["--lib".to_owned()],
            "src/main.rs" => vec!["--bins".to_owned()],
            path if path.ends_with("/Cargo.toml") => vec!["--workspace".to_owned()],
            path => match integration_test(path) {
                Some(name) => vec!["--test".to_owned(), name.to_owned()],
                None => continue,
            },
        };
        if !(of_one.len() == 1 && arguments.contains(&of_one[0])) {
            arguments.extend(of_one);
        }
    }
    arguments
}

/// The name of the test target that a file is: `tests/a.rs`, `tests/a/main.rs`.
pub(super) fn integration_test(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("tests/")?;
    let name = rest
        .strip_suffix("/main.rs")
        .or_else(|| rest.strip_suffix(".rs"))?;
    (!name.contains('/')).then_some(name)
}

fn package_name(dir: &Path) -> Option<String> {
    let manifest = std::fs::read_to_string(dir.join(BUILD_ID)).ok()?;
    let manifest: toml::Table = manifest.parse().ok()?;
    Some(manifest.get("package")?.get("name")?.as_str()?.to_owned())
}

/// `file::test` for what belongs to the package at the root; another member's
/// tests keep nextest's own `binary::test`.
fn id_of(dir: &Path, package: Option<&str>, binary: &str, name: &str) -> String {
    let own = package.and_then(|package| binary.strip_prefix(package));
    let file = match own {
        Some("") => "src/lib.rs".to_owned(),
        Some(rest) => match rest.strip_prefix("::") {
            Some(target) => match target.strip_prefix("bin/") {
                Some(_) => "src/main.rs".to_owned(),
                None if dir.join(format!("tests/{target}/main.rs")).is_file() => {
                    format!("tests/{target}/main.rs")
                }
                None => format!("tests/{target}.rs"),
            },
            None => binary.to_owned(),
        },
        None => binary.to_owned(),
    };
    format!("{file}::{name}")
}

/// JUnit XML as cargo-nextest writes it.
struct NextestXml<'a> {
    dir: &'a Path,
    /// Name of the package at the root.
    package: Option<String>,
}

/// Types of failures of tests that came to no result of their own.
const NO_RESULT_TYPES: [&str; 2] = ["test timeout", "test abort"];

impl JunitStyle for NextestXml<'_> {
    fn id(&self, case: &Case) -> String {
        id_of(
            self.dir,
            self.package.as_deref(),
            &case.classname,
            &case.name,
        )
    }

    fn has_no_result(&self, case: &Case) -> bool {
        NO_RESULT_TYPES
            .iter()
            .any(|kind| case.kind.starts_with(kind))
    }
}

impl Runner for NextestRunner {
    fn name(&self) -> &'static str {
        "cargo-nextest"
    }

    fn within(&self, run_s_max: u64) -> Box<dyn Runner + '_> {
        let mut runner = self.clone();
        runner.limits.run_s_max = run_s_max;
        Box::new(runner)
    }

    fn suite_file(&self) -> &'static str {
        RUST_SUITE_FILE
    }

    fn test_command(&self) -> &'static str {
        "cargo test"
    }

    fn build_id(&self) -> Option<&'static str> {
        Some(BUILD_ID)
    }

    fn is_test_file(&self, path: &str) -> bool {
        integration_test(path).is_some()
    }

    fn is_source(&self, path: &str) -> bool {
        integration_test(path).is_some()
    }

    /// Files that are targets of the package at the root, and the manifests of
    /// members, which stand for the whole workspace.
    fn targets(&self, files: &[String]) -> Vec<String> {
        let is_target = |path: &&String| {
            let is_member = path.ends_with("/Cargo.toml") && !path.starts_with("target/");
            matches!(path.as_str(), "src/lib.rs" | "src/main.rs")
                || (integration_test(path).is_some() && path.as_str() != RUST_SUITE_FILE)
                || is_member
        };
        files.iter().filter(is_target).cloned().collect()
    }

    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError> {
        Ok(consolidate_rust(sources))
    }

    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, LangError> {
        let source = TestSource {
            origin: String::new(),
            kind: SourceKind::Written,
            path: None,
            text: text.to_owned(),
        };
        let suite = consolidate_rust(slice::from_ref(&source));
        if let Some(dropped) = suite.dropped.into_iter().next() {
            return Ok(Some(dropped.why));
        }
        let path = dir.join(RUST_SUITE_FILE);
        let folder = path.parent().unwrap_or(dir);
        std::fs::create_dir_all(folder).map_err(|e| LangError::io("make", folder, e))?;
        std::fs::write(&path, suite.text).map_err(|e| LangError::io("write", &path, e))?;
        let ran = self.run(dir, &[RUST_SUITE_FILE.to_owned()])?;
        let is_part = |id: &str| id.ends_with("::*") || id == RUST_SUITE_FILE || id == BUILD_ID;
        let bad = ran.tests.into_iter().find(|test| is_part(&test.id));
        Ok(bad.map(|test| test.message))
    }

    fn request_for_tests(&self) -> &'static str {
        include_str!("augment.md")
    }

    fn run(&self, dir: &Path, targets: &[String]) -> Result<Ran, LangError> {
        let dir = dir
            .canonicalize()
            .map_err(|source| LangError::io("find", dir, source))?;
        let private = private_dir(&dir)?;
        let (place, target) = (private.path(), target_of(private.path()));
        if self.seed.plant(&target)? {
            renew(&dir, place)?;
        }
        let suite = dir.join(RUST_SUITE_FILE);
        let text = match targets.iter().any(|path| path == RUST_SUITE_FILE) {
            true => std::fs::read_to_string(&suite).unwrap_or_default(),
            false => String::new(),
        };
        let seconds = self.limits.run_s_max + BUILD_S_MAX;
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut out: Vec<String> = Vec::new();
        let mut tests = Vec::new();
        loop {
            let attempt = self.nextest(&dir, place, targets, deadline)?;
            if let Some(found) = attempt.tests {
                self.seed.keep(&target)?;
                tests.extend(found);
                return Ok(Ran {
                    tests,
                    ..Ran::default()
                });
            }
            let mut bad = Vec::new();
            if !text.is_empty() && attempt.output.end == BUILD_FAILED {
                let mut argv = vec!["cargo", "test", "--no-run", "--offline"];
                argv.extend(["--message-format", "json", "--test", "test_current_issue"]);
                let seconds = deadline.saturating_duration_since(Instant::now()).as_secs();
                let limits = Limits {
                    output_bytes_max: MESSAGES_BYTES_MAX,
                    ..self.limits.wall(seconds)
                };
                let messages = self.cargo(&dir, place, &argv, &limits)?;
                bad = faulty_modules(&messages.text, &text);
                bad.retain(|(name, _)| !out.contains(name));
            }
            if bad.is_empty() {
                let whole = attempt.output;
                let (apart, not_run) = self.run_apart(&dir, place, targets, &whole, deadline)?;
                tests.extend(apart);
                let fault = format!(
                    "the run as a whole {}; its targets were run apart",
                    end_of(&whole)
                );
                return Ok(Ran {
                    tests,
                    not_run,
                    fault: Some(fault),
                });
            }
            for (name, why) in bad {
                let id = format!("{RUST_SUITE_FILE}::{name}::*");
                tests.push(error_outcome(&id, why, 0));
                out.push(name);
            }
            std::fs::write(&suite, without_modules(&text, &out))
                .map_err(|source| LangError::io("write", &suite, source))?;
        }
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn command_limits(&self) -> Limits {
        self.limits.wall(self.limits.run_s_max + BUILD_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_chosen_by_their_files() {
        let targets = [
            "src/lib.rs",
            "tests/a.rs",
            "tests/b/main.rs",
            "x/Cargo.toml",
            "y/Cargo.toml",
        ];
        let chosen = arguments(&targets.map(str::to_owned));
        assert_eq!(
            chosen,
            ["--lib", "--test", "a", "--test", "b", "--workspace"]
        );
        assert_eq!(integration_test("tests/a/helper.rs"), None);
        assert_eq!(integration_test("tests/data/x.json"), None);
    }

    #[test]
    fn ids_name_the_file_of_the_root_packages_targets() {
        let dir = tempfile::tempdir().unwrap();
        let id = |binary: &str| id_of(dir.path(), Some("tiny"), binary, "m::t");
        assert_eq!(id("tiny"), "src/lib.rs::m::t");
        assert_eq!(id("tiny::bin/tiny"), "src/main.rs::m::t");
        assert_eq!(id("tiny::api"), "tests/api.rs::m::t");
        assert_eq!(id("tiny-macros::api"), "tiny-macros::api::m::t");
        assert_eq!(id("other"), "other::m::t");
    }
}
