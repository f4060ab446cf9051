//! One instance in its environment.
use super::package::{Graded, InstanceSpec, SwebenchPackage, temporary_dir};
use crate::eval::{EvalError, Task, Verdict};
use crate::lang::list_files;
use crate::verify::{apply_patch, patched_files};
use crate::workspace::{Environment, Limits, Sandbox, put_file};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Marks that the package looks for in a log.
const BEGINS: &str = ">>>>> Start Test Output";
const ENDS: &str = ">>>>> End Test Output";

/// Of a test run; the time is what SWE-bench's harness gives it.
const LIMITS: Limits = Limits {
    wall_s_max: 1_800,
    memory_bytes_max: 8 << 30,
    processes_max: 256,
    file_bytes_max: 1 << 30,
    output_bytes_max: 256 << 20,
};

/// Below an environment's folder: what the tests say before any change, a file an instance.
const BEFORE_DIR: &str = "before";

/// Test names in a sentence.
const NAMES_MAX: usize = 5;

/// An instance whose environment is there.
pub struct InstancePlace<'a> {
    pub(super) package: &'a SwebenchPackage,
    pub(super) task: &'a Task,
    pub(super) spec: &'a InstanceSpec,
    pub(super) environment: Environment,
    pub(super) sandbox: Sandbox,
}

/// A run of the instance's tests.
#[derive(Serialize, Deserialize)]
struct TestRun {
    graded: Graded,
    /// Why no test was run, or how the run was stopped.
    fault: Option<String>,
}

impl InstancePlace<'_> {
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The sandbox that commands run in.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// Why the instance cannot be judged here: without any change a FAIL_TO_PASS test has to
    /// fail and every PASS_TO_PASS test to pass. Once they do so in an environment, they are
    /// not run for that again.
    ///
    /// FAIL_TO_PASS tests that pass are told of and no fault: some failed for the network of
    /// the machine that they were collected on (psf__requests-1921).
    pub(super) fn fault(
        &self,
        repo: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<Option<String>, EvalError> {
        if self.kept().is_some() {
            return Ok(None);
        }
        let log = self.before_file("log");
        let run = self.run("", repo, &log, on_step)?;
        let fault = self.fault_of(&run);
        let early = &run.graded.fail_to_pass.success;
        if fault.is_none() && !early.is_empty() {
            on_step(&format!(
                "{} of its {} FAIL_TO_PASS tests pass without any change: {}",
                early.len(),
                self.task.fail_to_pass.len(),
                some_of(early)
            ));
        }
        if fault.is_none() {
            let text = serde_json::to_string(&run).expect("plain data serialises");
            let kept = self.before_file("json");
            std::fs::write(&kept, text).map_err(|e| EvalError::io("write", &kept, e))?;
        }
        Ok(fault)
    }

    fn fault_of(&self, run: &TestRun) -> Option<String> {
        if let Some(fault) = &run.fault {
            return Some(format!(
                "its tests do not run in the environment {}: {fault}",
                self.environment.id
            ));
        }
        let Graded {
            fail_to_pass,
            pass_to_pass,
            ..
        } = &run.graded;
        let said = |which: &str, names: &[String], how: &str| {
            format!(
                "in the environment {} {} of its {which} tests {how} without any change: {}",
                self.environment.id,
                names.len(),
                some_of(names)
            )
        };
        if fail_to_pass.failure.is_empty() {
            Some(said("FAIL_TO_PASS", &fail_to_pass.success, "pass"))
        } else if !pass_to_pass.failure.is_empty() {
            Some(said("PASS_TO_PASS", &pass_to_pass.failure, "fail"))
        } else {
            None
        }
    }

    /// Applies `patch` to a copy of `repo`, puts the hidden tests in, runs them, and has
    /// their output graded; it goes to `log`.
    pub fn judge(
        &self,
        patch: &str,
        repo: &Path,
        log: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<Verdict, EvalError> {
        let kept = patch.trim().is_empty().then(|| self.kept()).flatten();
        let run = match kept {
            Some(run) => run,
            None => self.run(patch, repo, log, on_step)?,
        };
        let Graded {
            resolved,
            fail_to_pass,
            pass_to_pass,
            ..
        } = run.graded;
        Ok(Verdict {
            resolved: resolved && run.fault.is_none(),
            failed: [fail_to_pass.failure, pass_to_pass.failure].concat(),
            fault: run.fault,
        })
    }

    /// The tests' outcome before any change, if that is as the task has it.
    fn kept(&self) -> Option<TestRun> {
        let text = std::fs::read_to_string(self.before_file("json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn before_file(&self, ending: &str) -> PathBuf {
        let name = format!("{}.{ending}", self.task.instance_id);
        self.environment.dir.join(BEFORE_DIR).join(name)
    }

    fn run(
        &self,
        patch: &str,
        repo: &Path,
        log: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<TestRun, EvalError> {
        let dir = temporary_dir()?;
        let files = list_files(repo)?;
        for file in &files {
            put_file(&repo.join(file), dir.path(), Path::new(file))?;
        }
        self.environment.furnish(dir.path())?;
        if let Some(why) = apply_patch(dir.path(), patch)? {
            return Ok(self.not_run(format!("the patch does not apply: {why}")));
        }
        // The patch is judged by the instance's own tests.
        for file in patched_files(&self.task.test_patch) {
            let (source, target) = (repo.join(&file), dir.path().join(&file));
            if source.is_file() {
                put_file(&source, dir.path(), Path::new(&file))?;
            } else if target.is_file() {
                std::fs::remove_file(&target).map_err(|e| EvalError::io("remove", &target, e))?;
            }
        }
        if let Some(why) = apply_patch(dir.path(), &self.task.test_patch)? {
            return Ok(self.not_run(format!("its test_patch does not apply: {why}")));
        }
        let changed = patched_files(patch);
        if self.sandbox.has_to_rebuild(&changed) {
            on_step("building the changed sources");
            if let Some(why) = self.sandbox.rebuild(dir.path(), &changed, &LIMITS)? {
                return Ok(self.not_run(format!("with the patch {why}")));
            }
        }
        let minutes = LIMITS.wall_s_max / 60;
        on_step(&format!("running the hidden tests, {minutes} min at most"));
        let command = self.spec.environment.test.as_deref().unwrap_or_default();
        let targets = self.spec.targets.iter().map(|target| quoted(target));
        let line = [vec![command.to_owned()], targets.collect()]
            .concat()
            .join(" ");
        let argv = ["/bin/bash", "-c", &line];
        let output = self.sandbox.run(dir.path(), &argv, &LIMITS)?;
        let text = format!("{BEGINS}\n{}\n{ENDS}\n", output.text);
        write_log(log, &text)?;
        let graded = self.package.grade(self.task, &text)?;
        let fault = match output.stopped {
            Some(stopped) => Some(format!("its tests were {stopped}")),
            None if graded.n_tests == 0 => Some(format!(
                "no test has a result in what `{line}` says: {}",
                output.text.trim().lines().last().unwrap_or("nothing")
            )),
            None => None,
        };
        Ok(TestRun { graded, fault })
    }

    /// A run in which every test counts as failed.
    fn not_run(&self, why: String) -> TestRun {
        let failed = |tests: &[String]| super::package::Divided {
            success: Vec::new(),
            failure: tests.to_vec(),
        };
        TestRun {
            graded: Graded {
                ran: false,
                resolved: false,
                fail_to_pass: failed(&self.task.fail_to_pass),
                pass_to_pass: failed(&self.task.pass_to_pass),
                n_tests: 0,
            },
            fault: Some(why),
        }
    }
}

fn write_log(log: &Path, text: &str) -> Result<(), EvalError> {
    let folder = log.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    std::fs::create_dir_all(&folder).map_err(|e| EvalError::io("make the folder", &folder, e))?;
    std::fs::write(log, text).map_err(|e| EvalError::io("write", log, e))
}

/// For a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The first few names, and how many more there are.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(NAMES_MAX).cloned().collect::<Vec<_>>();
    let shown = shown.join(", ");
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
