//! Runs one of this module's Python helpers in the sandbox: JSON in, JSON out.
use super::VerifyError;
use crate::workspace::{CommandEnd, Limits, Sandbox};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Name prefix of the private folders that this module makes in a workspace
/// for the time of one command.
pub(super) const PRIVATE_PREFIX: &str = ".egss-verify-";

/// Largest reply that is read back, bytes: far above any suite.
const REPLY_BYTES_MAX: u64 = 64 << 20;

/// Limits of a helper: most parse text, which takes well under a second; one
/// runs a few tests.
const HELPER: Limits = Limits {
    wall_s_max: 60,
    memory_bytes_max: 2 << 30,
    processes_max: 64,
    file_bytes_max: REPLY_BYTES_MAX,
    output_bytes_max: 4_000,
};

/// A helper, by file name and text.
#[derive(Clone, Copy)]
pub(super) struct Script {
    pub name: &'static str,
    pub text: &'static str,
}

impl Script {
    /// Runs the helper with `dir` as the working directory.
    ///
    /// The helper is run isolated (`-I`), so that nothing in `dir` is
    /// imported but by its own doing.
    /// Errors: `Script` when it exits otherwise than 0 or its reply is not as expected.
    pub(super) fn run<Reply: DeserializeOwned>(
        &self,
        sandbox: &Sandbox,
        dir: &Path,
        request: &impl Serialize,
    ) -> Result<Reply, VerifyError> {
        let private = private_dir(dir)?;
        let inside = private_name(private.path());
        let request = serde_json::to_vec(request).expect("requests serialise to JSON");
        write(&private.path().join("script.py"), self.text.as_bytes())?;
        write(&private.path().join("request.json"), &request)?;
        let path_of = |name: &str| format!("{inside}/{name}");
        let output = sandbox.run(
            dir,
            &[
                "python3",
                "-I",
                "-B",
                &path_of("script.py"),
                &path_of("request.json"),
                &path_of("reply.json"),
            ],
            &HELPER,
        )?;
        let fail = |why: String| VerifyError::Script {
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

/// A folder of its own in `dir`, of an unguessable name, removed when dropped.
pub(super) fn private_dir(dir: &Path) -> Result<tempfile::TempDir, VerifyError> {
    tempfile::Builder::new()
        .prefix(PRIVATE_PREFIX)
        .rand_bytes(16)
        .tempdir_in(dir)
        .map_err(|source| VerifyError::io("make a private folder in", dir, source))
}

/// The folder's name relative to the directory that it stands in.
pub(super) fn private_name(path: &Path) -> String {
    let name = path.file_name().expect("a private folder has a name");
    name.to_string_lossy().into_owned()
}

/// Reads what a command left, if it is a plain file of a sane size: what ran
/// may have put a pipe or a link in its place.
pub(super) fn read_private(path: &Path) -> Option<Vec<u8>> {
    let folder = std::fs::symlink_metadata(path.parent()?).ok()?;
    let file = std::fs::symlink_metadata(path).ok()?;
    if !folder.is_dir() || !file.is_file() || file.len() > REPLY_BYTES_MAX {
        return None;
    }
    std::fs::read(path).ok()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), VerifyError> {
    std::fs::write(path, bytes).map_err(|source| VerifyError::io("write", path, source))
}
