//! Runs one of this language's helpers in the sandbox: JSON in, JSON out.
//!
//! The code under test may run on Python 3.6 or newer, by pytest 3.3 or newer. Helpers that
//! run with that code, or read it by its grammar, speak 3.6: `egss_pytest`, `trace.py`,
//! `compile.py`, `code.py`, `replay.py`. Helpers that only read text speak 3.9:
//! `examples.py`, `reported.py`, `consolidate.py`. The suite that such a helper writes is
//! compiled by the interpreter under test, source by source.
use crate::lang::LangError;
use crate::lang::private::{REPLY_BYTES_MAX, private_dir, private_name, read_private};
use crate::workspace::{CommandEnd, Limits, Sandbox};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Limits of a helper: most parse text, which takes well under a second; one
/// runs a few tests.
const HELPER: Limits = Limits {
    wall_s_max: 60,
    memory_bytes_max: 2 << 30,
    processes_max: 64,
    file_bytes_max: REPLY_BYTES_MAX,
    output_bytes_max: 4_000,
};

/// The interpreter that runs a helper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The one under test: the helper runs the repository's code, or reads it by the very
    /// grammar that will run it. Such a helper speaks Python 3.6.
    UnderTest,
    /// A newer one where the one under test is too old: the helper only reads text. It speaks
    /// Python 3.9.
    Own,
}

/// A helper, by file name and text.
#[derive(Clone, Copy)]
pub(super) struct Script {
    pub name: &'static str,
    pub text: &'static str,
    pub by: By,
    /// Modules that it imports, which stand beside it.
    pub beside: &'static [(&'static str, &'static str)],
}

impl Script {
    /// Runs the helper with `dir` as the working directory.
    ///
    /// The helper is run isolated (`-I`), so that nothing in `dir` is
    /// imported but by its own doing.
    /// Errors: `Script` when it exits otherwise than 0 or its reply is not as expected;
    /// `NoPython` where no interpreter can run it.
    pub(super) fn run<Reply: DeserializeOwned>(
        &self,
        sandbox: &Sandbox,
        dir: &Path,
        request: &impl Serialize,
    ) -> Result<Reply, LangError> {
        let python = match self.by {
            By::UnderTest => "python3",
            By::Own => sandbox.own_python()?,
        };
        let private = private_dir(dir)?;
        let inside = private_name(private.path());
        let request = serde_json::to_vec(request).expect("requests serialise to JSON");
        let own = [("script.py", self.text)];
        for (name, text) in own.iter().chain(self.beside) {
            write(&private.path().join(name), text.as_bytes())?;
        }
        write(&private.path().join("request.json"), &request)?;
        let path_of = |name: &str| format!("{inside}/{name}");
        let output = sandbox.run(
            dir,
            &[
                python,
                "-I",
                "-B",
                &path_of("script.py"),
                &path_of("request.json"),
                &path_of("reply.json"),
            ],
            &HELPER,
        )?;
        let fail = |why: String| LangError::Script {
            script: self.name,
            output: why,
        };
        if output.end != CommandEnd::Exited(0) {
            return Err(fail(format!(
                "{:?}, {}",
                output.end,
                output.text.trim_end()
            )));
        }
        let reply = read_private(&private.path().join("reply.json"))
            .ok_or_else(|| fail("it left no reply".into()))?;
        serde_json::from_slice(&reply)
            .map_err(|error| fail(format!("its reply is no JSON: {error}")))
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LangError> {
    std::fs::write(path, bytes).map_err(|source| LangError::io("write", path, source))
}
