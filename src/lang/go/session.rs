//! One run of Go's tests over a tree: the go command, and the tests that are run again.
use super::events::{Package, Report, errors_of, read, top};
use super::package::{Folder, module_path, test_files};
use crate::lang::runner::{error_outcome, mark_slow, slow};
use crate::lang::{LangError, RunnerLimits, end_of, read_private};
use crate::record::{TestOutcome, TestResult};
use crate::workspace::{CommandOutput, Sandbox};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// The build cache's name in the private folder.
pub(super) const CACHE: &str = "cache";
/// The name of the folder for temporary files there: `/tmp` may be too small for builds.
pub(super) const TEMPORARY: &str = "tmp";

/// A package has the time of this many tests; after that its tests are run one by one.
const PACKAGE_TESTS: u64 = 4;
/// Lines of a compiler's message that are kept.
const ERROR_LINES_MAX: usize = 4;

/// `DIRECTORY STDOUT STDERR COMMAND...`: runs the command there.
const IN_FOLDER: &str = "cd \"$1\" && out=$2 err=$3 && shift 3 && exec \"$@\" >\"$out\" 2>\"$err\"";

/// One run over a tree.
pub(super) struct Session<'a> {
    pub sandbox: &'a Sandbox,
    pub limits: RunnerLimits,
    /// The tree, under its canonical path.
    pub dir: &'a Path,
    /// A private folder in the tree, with the cache and the folder for temporary files.
    pub private: &'a Path,
    pub deadline: Instant,
    /// Files and tests that the time did not suffice for.
    pub not_run: RefCell<Vec<String>>,
}

/// The tests of one folder.
pub(super) struct Request<'a> {
    pub folder: Folder,
    /// The tests to run; all if it is empty.
    pub only: &'a [String],
}

impl Session<'_> {
    /// One go command in a folder of the tree: its end, standard output and error.
    pub fn go(
        &self,
        folder: &str,
        arguments: &[&str],
    ) -> Result<(CommandOutput, String, String), LangError> {
        let place = |name: &str| self.private.join(name);
        let (out, err) = (place("stdout"), place("stderr"));
        let [cache, temporary, shown_out, shown_err] = [
            format!("GOCACHE={}", place(CACHE).display()),
            format!("GOTMPDIR={}", place(TEMPORARY).display()),
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
        let limits = self.limits.wall(seconds);
        let output = self.sandbox.run(self.dir, &argv, &limits)?;
        let text = |path: &Path| {
            let bytes = read_private(path).unwrap_or_default();
            std::fs::remove_file(path).ok();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ok((output, text(&out), text(&err)))
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
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
    pub fn run_module(
        &self,
        requests: &[Request<'_>],
    ) -> Result<(Vec<TestOutcome>, usize), LangError> {
        let Some(first) = requests.first() else {
            return Ok((Vec::new(), 0));
        };
        let module = module_path(&self.dir.join(&first.folder.module)).unwrap_or_default();
        let folders: Vec<&Folder> = requests.iter().map(|request| &request.folder).collect();
        let seconds = PACKAGE_TESTS * self.limits.test_s_max;
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
                    mark_slow(&mut outcomes, self.limits.test_s_max);
                }
                None if self.is_over() => {
                    self.not_run.borrow_mut().extend(files.into_keys());
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

    /// The outcomes of a package's tests, by name. Tests that have no result after the
    /// first run are run again; `files` names the package's tests.
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
            if self.is_over() {
                let ids = rest.iter().map(|name| id_of(files, import, name));
                self.not_run.borrow_mut().extend(ids);
                break;
            }
            if known.len() == n_known {
                let why = format!("the package's tests ended before it ran: {}", package.end());
                known.extend(rest.iter().map(|name| error_outcome(name, why.clone(), 0)));
                break;
            }
            let seconds = PACKAGE_TESTS * self.limits.test_s_max;
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
        let seconds = self.limits.test_s_max;
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

/// Why a package did not build.
fn why_not_built(report: &Report, import: &str, output: &CommandOutput) -> String {
    let lines = errors_of(&report.errors, import);
    match lines[..lines.len().min(ERROR_LINES_MAX)].join("\n") {
        said if said.is_empty() => end_of(output),
        said => format!("does not build: {said}"),
    }
}

/// True if the sandbox has a C compiler. Without one, cgo has to be off.
fn has_c_compiler() -> bool {
    ["gcc", "cc", "clang"]
        .iter()
        .any(|name| Path::new("/usr/bin").join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

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
