//! Arguments that say where commands run.
use super::heading;
use crate::record::RunStarted;
use crate::workspace::{Environment, Sandbox, SandboxMode, find_python};
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};

/// The interpreter and the sandbox of commands.
#[derive(Args, Clone, Debug)]
pub struct SandboxArgs {
    /// Interpreter of Python tests, 3.6 or newer [default: active or repository's, then python3].
    #[arg(long, value_name = "FILE", help_heading = heading::TESTS)]
    pub python: Option<PathBuf>,
    /// Run the model's commands without a sandbox. They can then read, change and delete your
    /// files.
    #[arg(long, help_heading = heading::ADVANCED)]
    pub unsafe_no_sandbox: bool,
}

impl SandboxArgs {
    fn mode(&self) -> SandboxMode {
        match self.unsafe_no_sandbox {
            true => SandboxMode::UnsafeNone,
            false => SandboxMode::Bubblewrap,
        }
    }

    /// The sandbox inside an environment; without one as [`Self::open`].
    pub fn open_in(
        &self,
        environment: Option<&Environment>,
        repo: &Path,
    ) -> anyhow::Result<Sandbox> {
        match environment {
            Some(environment) => {
                let python = find_python(None, repo)?;
                Ok(environment.sandbox(self.mode(), &python)?)
            }
            None => self.open(repo),
        }
    }

    /// The sandbox of a run that is gone on with: by the interpreter that it had, unless
    /// --python names another, and with the repository where it was, whether it is there or not.
    pub fn open_again(&self, start: &RunStarted) -> anyhow::Result<Sandbox> {
        let repo = Path::new(&start.repo);
        let python = self.python.as_deref().or(start.python.as_deref());
        let python = find_python(python, repo)?;
        Ok(Sandbox::new(self.mode(), &python)?.seen_at(repo))
    }

    /// The sandbox, tried out; workspaces are seen at `repo`'s path inside.
    pub fn open(&self, repo: &Path) -> anyhow::Result<Sandbox> {
        let mode = self.mode();
        let python = find_python(self.python.as_deref(), repo)?;
        let repo = repo
            .canonicalize()
            .with_context(|| format!("cannot read {}", repo.display()))?;
        // A package that was installed from the repository is found there.
        Ok(Sandbox::new(mode, &python)?.seen_at(&repo))
    }
}
