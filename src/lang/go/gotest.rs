//! Go's tests, by `go test -json`: no network, nothing fetched, no vet.
//!
//! A package's tests share a process. Where one takes it down, or the package's time is
//! up, the tests in question are run alone and those behind them in another process.
use super::events::{Package, Report, errors_of, read, top};
use super::package::{
    Folder, folder_of_package, is_ignored, module_path, modules, package_of, test_files, tests_of,
};
use super::{Go, Language};
use crate::lang::bundle::{Part, Placed, bundle, parts};
use crate::lang::runner::{error_outcome, mark_slow, slow};
use crate::lang::seed::Seed;
use crate::lang::{
    Consolidated, LangError, Ran, Runner, RunnerLimits, SourceKind, TestRole, TestSource, end_of,
    list_files, private_dir, read_private,
};
use crate::record::{TestOutcome, TestResult};
use crate::workspace::{CommandOutput, Limits, Sandbox, Toolchain};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::slice;
use std::time::{Duration, Instant};

/// The consolidated suite's file. The go command does not look at it.
pub const GO_SUITE_FILE: &str = "current_issue_tests.go.txt";
/// Where a source stands that has no place of its own, in its package's folder.
const NEW_FILE: &str = "current_issue_test.go";
/// The build cache's name in a private folder.
const CACHE: &str = "cache";
/// The outcome of a module of which nothing builds.
const BUILD_ID: &str = "go.mod";

/// What builds may take on top of the tests' time, seconds: the standard library and the
/// modules of a middling program on two cores.
const BUILD_S_MAX: u64 = 600;
/// A package has the time of this many tests before its tests are looked at one by one.
const PACKAGE_TESTS: u64 = 4;
/// A compiler's needs, which are above those of most tests.
const MEMORY_BYTES_MAX: u64 = 8 << 30;
const PROCESSES_MAX: u64 = 512;
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Lines of a compiler's message that are kept.
const ERROR_LINES_MAX: usize = 4;

/// `DIRECTORY STDOUT STDERR COMMAND...`: runs the command there.
const IN_FOLDER: &str = "cd \"$1\" && out=$2 err=$3 && shift 3 && exec \"$@\" >\"$out\" 2>\"$err\"";

/// Runs `go test` with the toolchain of whoever started the program.
pub(super) struct GoRunner {
    sandbox: Sandbox,
    limits: RunnerLimits,
    seed: Seed,
}

/// One run of the runner: a tree, a private folder with its cache, and an end.
struct Session<'a> {
    runner: &'a GoRunner,
    dir: &'a Path,
    private: &'a Path,
    deadline: Instant,
}

/// What is asked of one folder.
struct Request<'a> {
    folder: Folder,
    /// Only these tests; all where there is none.
    only: &'a [String],
}

impl GoRunner {
    /// Errors: `NoRunner`.
    pub fn new(sandbox: &Sandbox, limits: RunnerLimits) -> Result<Self, LangError> {
        let toolchain = Toolchain::go().map_err(LangError::NoRunner)?;
        let command = Limits {
            memory_bytes_max: limits.command.memory_bytes_max.max(MEMORY_BYTES_MAX),
            processes_max: limits.command.processes_max.max(PROCESSES_MAX),
            file_bytes_max: limits.command.file_bytes_max.max(FILE_BYTES_MAX),
            ..limits.command
        };
        Ok(Self {
            sandbox: sandbox.clone().with_toolchain(toolchain),
            limits: RunnerLimits { command, ..limits },
            seed: Seed::default(),
        })
    }

    /// Does something with a private folder whose cache is the seed's. Only a run of
    /// tests leaves a seed: the first is the base's.
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
        let temporary = private.path().join("tmp");
        std::fs::create_dir_all(&temporary).map_err(|e| LangError::io("make", &temporary, e))?;
        let seconds = self.limits.run_s_max + BUILD_S_MAX;
        act(&Session {
            runner: self,
            dir: &dir,
            private: private.path(),
            deadline: Instant::now() + Duration::from_secs(seconds),
        })
    }
}

impl Session<'_> {
    /// One go command in a folder of the tree: its end, standard output and error.
    fn go(
        &self,
        folder: &str,
        arguments: &[&str],
    ) -> Result<(CommandOutput, String, String), LangError> {
        let place = |name: &str| self.private.join(name);
        let (out, err) = (place("stdout"), place("stderr"));
        let [cache, temporary, shown_out, shown_err] = [
            format!("GOCACHE={}", place(CACHE).display()),
            format!("GOTMPDIR={}", place("tmp").display()),
            out.display().to_string(),
            err.display().to_string(),
        ];
        let mut argv = vec!["env", &cache, &temporary];
        if !has_c_compiler() {
            argv.push("CGO_ENABLED=0");
        }
        let folder = if folder.is_empty() { "." } else { folder };
        argv.extend([
            "sh", "-c", IN_FOLDER, "sh", folder, &shown_out, &shown_err, "go",
        ]);
        argv.extend(arguments);
        let seconds = self
            .deadline
            .saturating_duration_since(Instant::now())
            .as_secs();
        let limits = self.runner.limits.wall(seconds);
        let output = self.runner.sandbox.run(self.dir, &argv, &limits)?;
        let text = |path: &Path| {
            let bytes = read_private(path).unwrap_or_default();
            std::fs::remove_file(path).ok();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok((output, text(&out), text(&err)))
    }

    /// `go test` over folders of one module; with `names` only these tests.
    fn test(
        &self,
        folders: &[&Folder],
        names: &[String],
        seconds: u64,
    ) -> Result<(CommandOutput, Report), LangError> {
        let timeout = format!("-timeout={seconds}s");
        let only = format!("-run=^({})$", names.join("|"));
        let mut arguments = vec!["test", "-json", "-count=1", "-vet=off", &timeout];
        if !names.is_empty() {
            arguments.push(&only);
        }
        let packages: Vec<String> = folders.iter().map(|folder| folder.argument()).collect();
        arguments.extend(packages.iter().map(String::as_str));
        let module = folders.first().map_or("", |folder| &folder.module);
        let (output, stdout, stderr) = self.go(module, &arguments)?;
        Ok((output, read(&stdout, &stderr)))
    }

    /// Runs the tests of folders of one module. The second value says how many built.
    fn run_module(&self, requests: &[Request<'_>]) -> Result<(Vec<TestOutcome>, usize), LangError> {
        let Some(first) = requests.first() else {
            return Ok((Vec::new(), 0));
        };
        let module = module_path(&self.dir.join(&first.folder.module)).unwrap_or_default();
        let folders: Vec<&Folder> = requests.iter().map(|request| &request.folder).collect();
        let seconds = PACKAGE_TESTS * self.runner.limits.test_s_max;
        // Names are of one request where there are any.
        let (output, mut report) = self.test(&folders, first.only, seconds)?;
        let (mut outcomes, mut n_built) = (Vec::new(), 0);
        for request in requests {
            let import = request.folder.import_path(&module);
            let mut files = test_files(self.dir, &request.folder);
            for names in files.values_mut() {
                names.retain(|name| request.only.is_empty() || request.only.contains(name));
            }
            let built = report.packages.remove(&import);
            match built.filter(|package| package.result.is_some() || !package.tests.is_empty()) {
                Some(package) => {
                    n_built += 1;
                    let tests = self.finish(&request.folder, &import, &files, package)?;
                    outcomes.extend(tests.into_iter().map(|mut test| {
                        test.id = id_of(&files, &import, &test.id);
                        test
                    }));
                    mark_slow(&mut outcomes, self.runner.limits.test_s_max);
                }
                None => {
                    let why = why_not_built(&report, &import, &output);
                    let of_file = |path: &String| error_outcome(path, why.clone(), output.wall_ms);
                    outcomes.extend(files.keys().map(of_file));
                }
            }
        }
        Ok((outcomes, n_built))
    }

    /// The outcomes of a package's tests, by name. What its first run left open is run
    /// again; `files` say which tests there are.
    fn finish(
        &self,
        folder: &Folder,
        import: &str,
        files: &BTreeMap<String, Vec<String>>,
        first: Package,
    ) -> Result<Vec<TestOutcome>, LangError> {
        let (mut package, mut known) = (first, Vec::new());
        loop {
            let n_known = known.len();
            take(&package, &mut known);
            for name in package.unfinished() {
                self.finish_one(folder, import, name, &mut known)?;
            }
            let has = |name: &str| known.iter().any(|test| top(&test.id) == name);
            let names = files.values().flatten();
            let rest: Vec<String> = names.filter(|name| !has(name)).cloned().collect();
            // A package that passed ran all that there is: the rest is of another platform.
            if package.result == Some(TestResult::Passed) || rest.is_empty() {
                break;
            }
            if known.len() == n_known || Instant::now() >= self.deadline {
                let why = format!("the package's tests ended before it ran: {}", package.end());
                known.extend(rest.iter().map(|name| error_outcome(name, why.clone(), 0)));
                break;
            }
            let seconds = PACKAGE_TESTS * self.runner.limits.test_s_max;
            let (_, mut report) = self.test(&[folder], &rest, seconds)?;
            package = report.packages.remove(import).unwrap_or_default();
        }
        Ok(known)
    }

    /// Runs one test alone, within its own limit.
    fn finish_one(
        &self,
        folder: &Folder,
        import: &str,
        name: &str,
        known: &mut Vec<TestOutcome>,
    ) -> Result<(), LangError> {
        let seconds = self.runner.limits.test_s_max;
        let (output, mut report) = self.test(&[folder], &[name.to_owned()], seconds)?;
        let alone = report.packages.remove(import).unwrap_or_default();
        known.retain(|test| top(&test.id) != name);
        take(&alone, known);
        if !known.iter().any(|test| test.id == name) {
            let is_over = alone.tests.iter().any(|(_, test)| test.is_timed_out());
            let why = match (is_over, alone.end()) {
                (true, _) => slow(seconds),
                (false, end) if end.is_empty() => end_of(&output),
                (false, end) => format!("ended its process: {end}"),
            };
            known.push(error_outcome(name, why, output.wall_ms));
        }
        Ok(())
    }

    /// Runs the suite's sources, each at its path and by itself.
    fn run_parts(&self, suite: &str) -> Result<Vec<TestOutcome>, LangError> {
        let mut outcomes = Vec::new();
        for part in parts(suite) {
            let whole = format!("{GO_SUITE_FILE}::{}", part.name);
            match self.run_part(&part)? {
                Ok(tests) => outcomes.extend(tests.into_iter().map(|mut test| {
                    let (_, name) = test.id.split_once("::").unwrap_or(("", "*"));
                    test.id = format!("{whole}::{name}");
                    test
                })),
                Err(why) => outcomes.push(error_outcome(&format!("{whole}::*"), why, 0)),
            }
        }
        Ok(outcomes)
    }

    /// One source's outcomes, with whatever stands before `::` in their ids; or why
    /// there are none.
    fn run_part(&self, part: &Part<'_>) -> Result<Result<Vec<TestOutcome>, String>, LangError> {
        let path = match part.path {
            Some(path) => path.to_owned(),
            None => {
                let package = package_of(part.text).unwrap_or_default();
                format!("{}{NEW_FILE}", folder_of_package(self.dir, package)?)
            }
        };
        let Some(_placed) = Placed::put(self.dir, &path, part.text)? else {
            return Ok(Err(format!("something stands in the way at {path}")));
        };
        let files = list_files(self.dir)?;
        let Some(folder) = Folder::of(&path, &modules(&files)) else {
            return Ok(Err(format!("{path} lies in no Go module")));
        };
        let only: Vec<String> = tests_of(part.text).into_iter().map(str::to_owned).collect();
        let request = Request {
            folder,
            only: &only,
        };
        let (mut tests, n_built) = self.run_module(&[request])?;
        if n_built > 0 {
            return Ok(Ok(tests));
        }
        // Every test file of the package is at fault then, with one reason.
        let why = tests.pop().map_or_else(String::new, |test| test.message);
        Ok(Err(why))
    }

    /// The first fault of each of `files` that the compiler sees.
    fn build_faults(&self, files: &[String]) -> Result<Vec<String>, LangError> {
        let modules = modules(&list_files(self.dir)?);
        let mut by_module: BTreeMap<String, BTreeSet<Folder>> = BTreeMap::new();
        for folder in files.iter().filter_map(|file| Folder::of(file, &modules)) {
            by_module
                .entry(folder.module.clone())
                .or_default()
                .insert(folder);
        }
        let mut faults = Vec::new();
        for (module, folders) in by_module {
            let folders: Vec<String> = folders.iter().map(Folder::argument).collect();
            let mut arguments = vec!["build", "-o", "/dev/null"];
            arguments.extend(folders.iter().map(String::as_str));
            let (_, _, stderr) = self.go(&module, &arguments)?;
            for file in files {
                let inside = match module.as_str() {
                    "" => Some(file.as_str()),
                    module => file
                        .strip_prefix(module)
                        .and_then(|rest| rest.strip_prefix('/')),
                };
                let mut lines = stderr.lines().filter_map(|line| place_of(line, inside?));
                faults.extend(
                    lines
                        .next()
                        .map(|fault| format!("{file} does not compile: {fault}")),
                );
            }
        }
        Ok(faults)
    }
}

/// Adds a run's outcomes to those that are known, by the tests' names.
fn take(package: &Package, known: &mut Vec<TestOutcome>) {
    for (name, test) in &package.tests {
        let Some(result) = test.result else {
            continue;
        };
        known.push(TestOutcome {
            id: name.clone(),
            result,
            message: match result {
                TestResult::Failed => test.message(),
                _ => String::new(),
            },
            ms: test.ms,
        });
    }
}

/// `file::test` where the file can be told, else `package::test`.
fn id_of(files: &BTreeMap<String, Vec<String>>, import: &str, name: &str) -> String {
    let function = top(name);
    let mut holding = files
        .iter()
        .filter(|(_, tests)| tests.iter().any(|test| test == function));
    let place = holding.next().map_or(import, |(path, _)| path);
    format!("{place}::{name}")
}

/// Why a package was not run.
fn why_not_built(report: &Report, import: &str, output: &CommandOutput) -> String {
    let lines = errors_of(&report.errors, import);
    match lines[..lines.len().min(ERROR_LINES_MAX)].join("\n") {
        said if said.is_empty() => end_of(output),
        said => format!("does not build: {said}"),
    }
}

/// `line 3: undefined: x` of a compiler's `quiet/quiet.go:3:5: undefined: x`, if it is
/// of `file`. What it says of modules is no fault of a file.
fn place_of(line: &str, file: &str) -> Option<String> {
    let line = line.strip_prefix("./").unwrap_or(line);
    let rest = line.strip_prefix(file)?.strip_prefix(':')?;
    let (number, rest) = rest.split_once(':')?;
    let (_, said) = rest.split_once(": ")?;
    number.parse::<u32>().ok()?;
    (!said.contains("module") && !said.contains("is not in "))
        .then(|| format!("line {number}: {said}"))
}

/// Without a C compiler the go command must not look for one.
fn has_c_compiler() -> bool {
    ["gcc", "cc", "clang"]
        .iter()
        .any(|name| Path::new("/usr/bin").join(name).exists())
}

fn fault_of(source: &TestSource) -> Option<String> {
    if package_of(&source.text).is_none() {
        return Some("has no package clause".to_owned());
    }
    if let Some(fault) = Go.syntax().and_then(|syntax| syntax.fault(&source.text)) {
        return Some(format!("does not parse: {fault}"));
    }
    tests_of(&source.text)
        .is_empty()
        .then(|| "holds no test".to_owned())
}

impl Runner for GoRunner {
    fn name(&self) -> &'static str {
        "go test"
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

    /// Test files of the repository's modules, but for those that the go command ignores.
    fn targets(&self, files: &[String]) -> Vec<String> {
        let is_own = |path: &&String| self.is_test_file(path) && !path.split('/').any(is_ignored);
        files.iter().filter(is_own).cloned().collect()
    }

    fn consolidate(&self, sources: &[TestSource]) -> Result<Consolidated, LangError> {
        Ok(bundle(sources, &fault_of))
    }

    fn source_fault(&self, dir: &Path, text: &str) -> Result<Option<String>, LangError> {
        let source = TestSource {
            origin: "new".to_owned(),
            kind: SourceKind::Written,
            path: None,
            text: text.to_owned(),
        };
        let suite = bundle(slice::from_ref(&source), &fault_of);
        if let Some(dropped) = suite.dropped.into_iter().next() {
            return Ok(Some(dropped.why));
        }
        let tests = self.with_session(dir, |session| session.run_parts(&suite.text))?;
        let bad = tests.into_iter().find(|test| test.id.ends_with("::*"));
        Ok(bad.map(|test| test.message))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilers_line_is_laid_to_its_file() {
        let place = |line| place_of(line, "quiet/quiet.go");
        assert_eq!(
            place("quiet/quiet.go:3:23: undefined: x").as_deref(),
            Some("line 3: undefined: x")
        );
        assert_eq!(
            place("./quiet/quiet.go:3:1: no").as_deref(),
            Some("line 3: no")
        );
        assert_eq!(place("other/quiet.go:3:23: undefined: x"), None);
        assert_eq!(
            place("quiet/quiet.go:3:2: no required module provides package y"),
            None
        );
        assert_eq!(place("# example.org/quiet"), None);
    }

    #[test]
    fn a_test_is_named_by_its_file() {
        let files = BTreeMap::from([("a/x_test.go".to_owned(), vec!["TestA".to_owned()])]);
        assert_eq!(
            id_of(&files, "e.org/a", "TestA/sub/b"),
            "a/x_test.go::TestA/sub/b"
        );
        assert_eq!(id_of(&files, "e.org/a", "TestB"), "e.org/a::TestB");
    }
}
