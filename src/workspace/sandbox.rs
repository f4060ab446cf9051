//! Runs commands that a model wrote: no network; reads of the workspace, the
//! interpreter and system libraries only; writes in the workspace and a
//! private /tmp only; everything in it dies with it.
use super::WorkspaceError;
use std::path::{Path, PathBuf};

/// Hard limits of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub wall_s_max: u64,
    pub memory_bytes_max: u64,
    pub processes_max: u64,
    pub file_bytes_max: u64,
    /// Output kept, head and tail; the middle is dropped with a line that says so.
    pub output_bytes_max: usize,
}

/// Whether commands are confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxMode {
    /// Bubblewrap, or a refusal that says how to install it.
    Bubblewrap,
    /// `--unsafe-no-sandbox`: limits only.
    UnsafeNone,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    Exited(i32),
    Signalled(i32),
    TimedOut,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    pub end: CommandEnd,
    /// Standard output and error as they came, interleaved, cut to the limit.
    pub text: String,
    pub wall_ms: u64,
}

/// Runs commands in workspaces.
#[derive(Clone, Debug)]
pub struct Sandbox {
    mode: SandboxMode,
    python: PathBuf,
}

impl Sandbox {
    /// Checks that the sandbox works by running `true` in it, and that `python`
    /// is an interpreter. Errors: `NoSandbox` with the reason and what to do.
    pub fn new(mode: SandboxMode, python: &Path) -> Result<Self, WorkspaceError> {
        Ok(Self {
            mode,
            python: python.to_owned(),
        })
    }

    /// The interpreter that `python3` means inside.
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Runs `argv` with `dir` as the working directory and the only writable
    /// place beside a private /tmp.
    pub fn run(
        &self,
        dir: &Path,
        argv: &[&str],
        limits: &Limits,
    ) -> Result<CommandOutput, WorkspaceError> {
        let _ = (dir, argv, limits, self.mode);
        todo!()
    }

    /// Runs a shell command line the same way (`/bin/sh -c`).
    pub fn shell(
        &self,
        dir: &Path,
        command: &str,
        limits: &Limits,
    ) -> Result<CommandOutput, WorkspaceError> {
        self.run(dir, &["/bin/sh", "-c", command], limits)
    }
}
