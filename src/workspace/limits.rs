//! What a command may use, and how it ended.
use std::fmt;

/// Hard limits of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub wall_s_max: u64,
    /// Private memory: of one process by the kernel (an allocation beyond it
    /// fails), of all together by the watcher (they are killed).
    pub memory_bytes_max: u64,
    /// Processes alive at one time, the command's own included.
    pub processes_max: u64,
    /// Size of one file (`RLIMIT_FSIZE`).
    pub file_bytes_max: u64,
    /// Output kept, head and tail; the middle is dropped with a line that says so.
    pub output_bytes_max: usize,
}

impl Default for Limits {
    /// Enough for a test suite of a small repository; a person still waits for it.
    fn default() -> Self {
        Self {
            wall_s_max: 60,
            memory_bytes_max: 2 << 30,
            processes_max: 128,
            file_bytes_max: 256 << 20,
            output_bytes_max: 16 << 10,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandEnd {
    Exited(i32),
    /// A shell reports a signal `n` of its last command as the status
    /// `128 + n`, and so does the sandbox: the two are not told apart.
    Signalled(i32),
    TimedOut,
}

/// The limit that a command was stopped at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    WallTime { s_max: u64 },
    Processes { max: u64 },
    Memory { bytes_max: u64 },
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WallTime { s_max } => write!(f, "stopped: it ran longer than {s_max} s"),
            Self::Processes { max } => write!(f, "stopped: it had more than {max} processes"),
            Self::Memory { bytes_max } => {
                write!(
                    f,
                    "stopped: it took more than {} MiB of memory",
                    bytes_max >> 20
                )
            }
        }
    }
}

/// A finished command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandOutput {
    pub end: CommandEnd,
    /// Standard output and error as they came, interleaved, cut to the limit.
    /// Where the watcher stopped the command for its processes or memory, the
    /// last line says so.
    pub text: String,
    pub wall_ms: u64,
    /// The limit that the watcher killed it at, if it did.
    pub stopped: Option<Stopped>,
}
