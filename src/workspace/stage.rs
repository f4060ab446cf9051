//! The few files that a sandbox is furnished with.
use super::WorkspaceError;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary directory with `bin` (the interpreter by its common names),
/// `etc` (stand-ins that name nobody) and an empty `home`.
#[derive(Debug)]
pub(super) struct Stage {
    dir: TempDir,
}

impl Stage {
    pub fn new(python: &Path) -> Result<Self, WorkspaceError> {
        let temp = std::env::temp_dir();
        let dir = tempfile::Builder::new()
            .prefix("egss-sandbox-")
            .tempdir()
            .map_err(|source| WorkspaceError::io("write in", &temp, source))?;
        let stage = Self { dir };
        let owner = fs::metadata(stage.dir.path())
            .map_err(|source| WorkspaceError::io("read", stage.dir.path(), source))?;
        let (uid, gid) = (owner.uid(), owner.gid());
        let quoted = python.to_string_lossy().replace('\'', r"'\''");
        // A script and not a link: an interpreter finds its virtual
        // environment by the path that it was started with.
        let shim = format!("#!/bin/sh\nexec '{quoted}' \"$@\"\n");
        stage.write("bin/python", &shim, 0o755)?;
        stage.write("bin/python3", &shim, 0o755)?;
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

    fn write(&self, relative: &str, text: &str, mode: u32) -> Result<(), WorkspaceError> {
        let path = self.path(relative);
        let fail = |source| WorkspaceError::io("write", &path, source);
        fs::create_dir_all(path.parent().expect("a stage file has a folder")).map_err(fail)?;
        fs::write(&path, text).map_err(fail)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(fail)
    }
}
