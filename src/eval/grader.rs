//! The judge of patches, and the place in which a task's runs work.
//!
//! [`Grader::place`] gives a task's repository, sandbox and environment, or [`CannotRun`]
//! with a sentence. A task that cannot be run gives no row, so it counts in no rate.
use super::cannot_run::CannotRun;
use super::judge::{Verdict, hidden_runner, judge};
use super::swebench::{InstancePlace, SwebenchGrader};
use super::{EvalError, Task};
use crate::workspace::{Environment, Sandbox};
use std::path::Path;
use tempfile::TempDir;

/// A judge of patches.
#[derive(Clone, Copy)]
pub enum Grader<'a> {
    /// This program: the hidden tests by their language's runner.
    Own,
    /// SWE-bench's rules: the instance's test command in its own environment, its log graded
    /// by the package `swebench`.
    Swebench(&'a SwebenchGrader),
}

/// The place in which a task's runs work, with the judge of their patches.
pub struct Place<'a> {
    task: &'a Task,
    repo: TempDir,
    sandbox: Sandbox,
    instance: Option<InstancePlace<'a>>,
}

impl<'a> Grader<'a> {
    /// The name in settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Swebench(_) => "swebench",
        }
    }

    /// The repository of a task in a folder of its own, and its environment.
    ///
    /// `sandbox` is where commands run for a task that has no environment. `on_step` is told
    /// what begins. Errors: disk, git. `CannotRun`: the task's environment is missing, broken,
    /// or does not show what the task is about.
    pub fn place(
        &self,
        task: &'a Task,
        sandbox: &Sandbox,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<Result<Place<'a>, CannotRun>, EvalError> {
        let repo = tempfile::tempdir()
            .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
        task.materialise(repo.path())?;
        let instance = match self {
            Self::Own => None,
            Self::Swebench(grader) => match grader.place(task, repo.path(), on_step)? {
                Ok(instance) => Some(instance),
                Err(why) => return Ok(Err(why)),
            },
        };
        let sandbox = match &instance {
            Some(instance) => instance.sandbox().clone(),
            None => sandbox.clone(),
        };
        Ok(Ok(Place {
            task,
            repo,
            sandbox,
            instance,
        }))
    }
}

impl Place<'_> {
    /// The repository as a run finds it.
    pub fn repo(&self) -> &Path {
        self.repo.path()
    }

    /// The sandbox that commands run in.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The environment that is installed for the repository, where that is known.
    pub fn environment(&self) -> Option<&Environment> {
        self.instance.as_ref().map(InstancePlace::environment)
    }

    /// Judges a patch; what its tests said goes to `log`, where there is such a thing.
    pub fn judge(
        &self,
        patch: &str,
        log: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<Verdict, EvalError> {
        if let Some(instance) = &self.instance {
            return instance.judge(patch, self.repo(), log, on_step);
        }
        let scratch = tempfile::tempdir()
            .map_err(|e| EvalError::io("make a folder in", &std::env::temp_dir(), e))?;
        let runner = hidden_runner(self.task, &self.sandbox)?;
        judge(self.task, patch, &runner, scratch.path())
    }
}
