//! Private folders within a workspace, for the time of one command.
use super::LangError;
use std::path::Path;

/// The prefix of their names.
pub(crate) const PRIVATE_PREFIX: &str = ".egss-verify-";

/// Largest file that is read back, bytes: far above any suite.
pub(super) const REPLY_BYTES_MAX: u64 = 64 << 20;

/// A folder of its own in `dir`, of an unguessable name, removed when dropped.
pub(crate) fn private_dir(dir: &Path) -> Result<tempfile::TempDir, LangError> {
    tempfile::Builder::new()
        .prefix(PRIVATE_PREFIX)
        .rand_bytes(16)
        .tempdir_in(dir)
        .map_err(|source| LangError::io("make a private folder in", dir, source))
}

/// The folder's name relative to the directory that it stands in.
pub(crate) fn private_name(path: &Path) -> String {
    let name = path.file_name().expect("a private folder has a name");
    name.to_string_lossy().into_owned()
}

/// Reads what a command left, if it is a plain file of a sane size: what ran
/// may have put a pipe or a link in its place.
pub(crate) fn read_private(path: &Path) -> Option<Vec<u8>> {
    let folder = std::fs::symlink_metadata(path.parent()?).ok()?;
    let file = std::fs::symlink_metadata(path).ok()?;
    if !folder.is_dir() || !file.is_file() || file.len() > REPLY_BYTES_MAX {
        return None;
    }
    std::fs::read(path).ok()
}
