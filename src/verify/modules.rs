//! A test command that takes dotted modules, as unittest and runners made of it do: its place
//! for them is `{modules:FOLDER}`, the folder being where modules begin.
use crate::lang::{self, Ran, at_fault};
use crate::record::TestOutcome;
use crate::workspace::{CommandEnd, Limits, Sandbox, WorkspaceError};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

/// Files of tests that the first call takes; each after it takes twice as many as the one
/// before. A call sets everything up anew.
const FIRST_FILES: usize = 4;

/// A line a test, and a traceback for each that fails.
const OUTPUT_BYTES_MAX: usize = 16 << 20;

/// Such a command, cut at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ModuleCommand<'a> {
    before: &'a str,
    after: &'a str,
    /// Where modules begin, relative to the repository's root; empty: there.
    folder: &'a str,
}

impl<'a> ModuleCommand<'a> {
    /// `None` for a command without such a place.
    pub fn of(command: &'a str) -> Option<Self> {
        let (before, rest) = command.split_once("{modules")?;
        let (folder, after) = rest.split_once('}')?;
        let folder = match folder {
            "" => "",
            folder => folder.strip_prefix(':')?.trim_matches('/'),
        };
        Some(Self {
            before,
            after,
            folder,
        })
    }

    /// The command line for some modules.
    pub fn of_modules(&self, modules: &str) -> String {
        format!("{}{modules}{}", self.before, self.after)
    }

    /// The module of a file of tests, where it has one.
    fn module(&self, path: &str) -> Option<String> {
        let below = match self.folder {
            "" => path,
            folder => path.strip_prefix(folder)?.strip_prefix('/')?,
        };
        lang::all().find_map(|language| language.module_of(below))
    }

    /// Those of some files that it can run.
    pub fn targets(&self, files: Vec<String>) -> Vec<String> {
        let has_module = |path: &String| self.module(path).is_some();
        files.into_iter().filter(has_module).collect()
    }

    /// Runs files of tests, or the files of tests' ids, in the time of `limits`. What the time
    /// does not suffice for was not run.
    pub fn run(
        &self,
        sandbox: &Sandbox,
        dir: &Path,
        targets: &[String],
        limits: &Limits,
    ) -> Result<Ran, WorkspaceError> {
        let deadline = Instant::now() + Duration::from_secs(limits.wall_s_max);
        let mut seen = HashSet::new();
        let files: Vec<&str> = targets
            .iter()
            .map(|target| target.split("::").next().unwrap_or(target))
            .filter(|file| seen.insert(*file))
            .collect();
        let modules: BTreeMap<String, &str> = files
            .iter()
            .filter_map(|file| Some((self.module(file)?, *file)))
            .collect();
        let mut ran = Ran::default();
        let mut batches = batches(&files);
        while let Some(files) = batches.pop_front() {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs();
            if left == 0 {
                ran.fault = Some(format!(
                    "the {} s for one run of all tests did not suffice",
                    limits.wall_s_max
                ));
                break;
            }
            let names: Vec<String> = files.iter().filter_map(|file| self.module(file)).collect();
            let line = self.of_modules(&names.join(" "));
            let output = sandbox.shell(dir, &line, &limits_of(limits, left))?;
            let tests = results_in(&output.text, &modules);
            match files {
                // One of them can end the runner before it runs any: those that cannot be
                // imported, or need what is not there.
                [_, _, ..] if tests.is_empty() && output.end != CommandEnd::TimedOut => {
                    let (first, second) = files.split_at(files.len() / 2);
                    batches.push_front(second);
                    batches.push_front(first);
                }
                [file] if tests.is_empty() && output.end != CommandEnd::TimedOut => {
                    ran.tests.push(at_fault(file, &output));
                }
                _ => ran.tests.extend(tests),
            }
        }
        let ended: HashSet<&str> = ran.tests.iter().map(|test| file_of(&test.id)).collect();
        let not_run = files.iter().filter(|file| !ended.contains(*file));
        ran.not_run = not_run.map(|file| (*file).to_owned()).collect();
        Ok(ran)
    }
}

/// Files call by call: more each time.
fn batches<'a, 'b>(files: &'b [&'a str]) -> VecDeque<&'b [&'a str]> {
    let (mut rest, mut n) = (files, FIRST_FILES);
    let mut batches = VecDeque::new();
    while !rest.is_empty() {
        let (now, later) = rest.split_at(n.min(rest.len()));
        batches.push_back(now);
        (rest, n) = (later, 2 * n);
    }
    batches
}

fn results_in(output: &str, modules: &BTreeMap<String, &str>) -> Vec<TestOutcome> {
    let file_of = |module: &str| modules.get(module).map(|file| (*file).to_owned());
    lang::all()
        .flat_map(|language| language.read_verbose(output, &file_of))
        .collect()
}

fn limits_of(limits: &Limits, seconds: u64) -> Limits {
    Limits {
        wall_s_max: seconds,
        output_bytes_max: OUTPUT_BYTES_MAX,
        ..*limits
    }
}

fn file_of(id: &str) -> &str {
    id.split("::").next().unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_a_place_for_modules() {
        let command = ModuleCommand::of("./tests/runtests.py -v 2 {modules:tests} --parallel 1");
        let command = command.unwrap();
        assert_eq!(
            command.module("tests/admin/tests.py").as_deref(),
            Some("admin.tests")
        );
        assert_eq!(command.module("docs/tests.py"), None);
        let command = ModuleCommand::of("python -m unittest -v {modules}").unwrap();
        assert_eq!(command.module("tests/a.py").as_deref(), Some("tests.a"));
        assert_eq!(ModuleCommand::of("pytest -q"), None);
    }
}
