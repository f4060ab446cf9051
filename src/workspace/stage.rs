//! The few files that a sandbox is furnished with.
use super::WorkspaceError;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const PREFIX: &str = "egss-sandbox-";
/// A stage this old whose process is gone was left by a killed one. The age is
/// for temporary folders shared with containers, whose processes have other numbers.
const STALE_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The name in the sandbox of the interpreter that runs egss's own helpers.
pub(super) const OWN_PYTHON: &str = "egss-python";

/// A temporary directory with `bin` (the interpreter by its common names, and egss's own),
/// `etc` (stand-ins that name nobody) and an empty `home`.
#[derive(Debug)]
pub(super) struct Stage {
    dir: TempDir,
}

impl Stage {
    /// `python` runs the code under test, `own` egss's helpers, where there is one that can.
    pub fn new(python: Option<&Path>, own: Option<&Path>) -> Result<Self, WorkspaceError> {
        let temp = std::env::temp_dir();
        sweep(&temp);
        let dir = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{}-", std::process::id()))
            .tempdir()
            .map_err(|source| WorkspaceError::io("write in", &temp, source))?;
        let stage = Self { dir };
        let owner = fs::metadata(stage.dir.path())
            .map_err(|source| WorkspaceError::io("read", stage.dir.path(), source))?;
        let (uid, gid) = (owner.uid(), owner.gid());
        fs::create_dir(stage.path("bin"))
            .map_err(|source| WorkspaceError::io("create", &stage.path("bin"), source))?;
        let shims = [("python", python), ("python3", python), (OWN_PYTHON, own)];
        for (name, program) in shims {
            if let Some(program) = program {
                stage.shim(name, program)?;
            }
        }
        let passwd = format!("egss:x:{uid}:{gid}::/tmp:/bin/sh\n");
        stage.write("etc/passwd", &passwd, 0o644)?;
        stage.write("etc/group", &format!("egss:x:{gid}:\n"), 0o644)?;
        stage.write("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n", 0o644)?;
        let home = stage.path("home");
        fs::create_dir(&home).map_err(|source| WorkspaceError::io("create", &home, source))?;
        Ok(stage)
    }

    /// A path on the stage.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// A script and not a link: an interpreter finds its virtual environment by the path
    /// that it was started with.
    fn shim(&self, name: &str, program: &Path) -> Result<(), WorkspaceError> {
        let quoted = program.to_string_lossy().replace('\'', r"'\''");
        let shim = format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n");
        self.write(&format!("bin/{name}"), &shim, 0o755)
    }

    fn write(&self, relative: &str, text: &str, mode: u32) -> Result<(), WorkspaceError> {
        let path = self.path(relative);
        let fail = |source| WorkspaceError::io("write", &path, source);
        fs::create_dir_all(path.parent().expect("a stage file has a folder")).map_err(fail)?;
        fs::write(&path, text).map_err(fail)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(fail)
    }
}

/// Removes the stages that killed processes left.
fn sweep(temp: &Path) {
    // Without it nobody could be seen to be alive.
    if !Path::new("/proc/self").exists() {
        return;
    }
    for entry in fs::read_dir(temp).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| {
            let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
            pid.parse::<u32>().ok()
        });
        let is_old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > STALE_AFTER));
        if let Some(pid) = pid
            && is_old
            && !Path::new(&format!("/proc/{pid}")).exists()
        {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}
