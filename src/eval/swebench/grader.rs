//! Grading by SWE-bench's rules.
use super::instance::InstancePlace;
use super::package::{InstanceSpec, SwebenchPackage};
use crate::eval::cannot_run::CannotRun;
use crate::eval::{EvalError, Task};
use crate::workspace::{Environment, EnvironmentStore, Sandbox, SandboxMode};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Knows what each of some tasks needs, and grades by the package `swebench`.
pub struct SwebenchGrader {
    package: SwebenchPackage,
    store: EnvironmentStore,
    specs: BTreeMap<String, Result<InstanceSpec, String>>,
    python: PathBuf,
}

impl SwebenchGrader {
    /// Asks the package for the tasks' environments. `python` is any interpreter, for
    /// environments that have none of their own.
    ///
    /// Errors: the package is not installed, or fails.
    pub fn new(store: EnvironmentStore, tasks: &[Task], python: &Path) -> Result<Self, EvalError> {
        let package = SwebenchPackage::of(&store)?;
        Ok(Self {
            specs: package.specs(tasks)?,
            package,
            store,
            python: python.to_owned(),
        })
    }

    /// The uv that instances' environments are built by.
    pub fn uv(&self) -> PathBuf {
        self.package.uv()
    }

    /// The spec of a task's environment. Error: a sentence that says why nothing is known.
    pub fn spec(&self, task: &Task) -> Result<&InstanceSpec, String> {
        match self.specs.get(&task.instance_id) {
            Some(Ok(spec)) => Ok(spec),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it was not asked about".to_owned()),
        }
    }

    /// Finds the environment of `repo`, a clean copy of the task's repository, and sees to it
    /// that the tests say of it what the task says.
    pub fn place<'a>(
        &'a self,
        task: &'a Task,
        repo: &Path,
        on_step: &mut dyn FnMut(&str),
    ) -> Result<Result<InstancePlace<'a>, CannotRun>, EvalError> {
        let (spec, environment, sandbox) = match self.environment(task, repo) {
            Ok(found) => found,
            Err(why) => return Ok(Err(why)),
        };
        let place = InstancePlace {
            package: &self.package,
            task,
            spec,
            environment,
            sandbox,
        };
        Ok(match place.fault(repo, on_step)? {
            Some(why) => Err(CannotRun(why)),
            None => Ok(place),
        })
    }

    /// The environment of `repo`, a clean copy of the task's repository, and a sandbox in it.
    pub fn environment(
        &self,
        task: &Task,
        repo: &Path,
    ) -> Result<(&InstanceSpec, Environment, Sandbox), CannotRun> {
        let spec = self.spec(task).map_err(CannotRun)?;
        let found = self.store.find(&spec.environment, repo);
        let opened = found.and_then(|environment| {
            let sandbox = environment.sandbox(SandboxMode::Bubblewrap, &self.python)?;
            Ok((environment, sandbox))
        });
        let (environment, sandbox) = opened.map_err(|error| CannotRun(error.to_string()))?;
        Ok((spec, environment, sandbox))
    }
}
