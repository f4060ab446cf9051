//! Runs git on the shadow directory and on nothing else: no configuration,
//! attributes, hooks or environment of the user's reach it.
use super::WorkspaceError;
use crate::record::GitSettings;
use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The shadow directory's whole configuration.
///
/// Bytes go in and come out as they are (no line-end conversion, no mode or
/// case guessing), names that only another system would refuse are taken, and
/// nothing is ever collected, so that a tree id stays good. Objects are
/// flushed to disk (in one batch where git can) because the run's record names
/// them in lines that are.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tbare = true
\tfileMode = true
\tsymlinks = true
\tignoreCase = false
\tprecomposeUnicode = false
\tautocrlf = false
\tsafecrlf = false
\tquotePath = true
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\thooksPath = /dev/null
\tprotectHFS = false
\tprotectNTFS = false
\tfsmonitor = false
\tuntrackedCache = false
\tsplitIndex = false
\tfsync = objects
\tfsyncMethod = batch
[gc]
\tauto = 0
[maintenance]
\tauto = false
";

/// Overrides every `.gitattributes` of a workspace where git reads and writes
/// its files. `!` (unspecified) where `-` would itself change something: an
/// unset encoding is an error. Nothing for `diff`: it looks at objects alone,
/// and a bare directory has no `.gitattributes`.
const ATTRIBUTES: &str = "* -text -filter -ident !eol !crlf !working-tree-encoding\n";

/// What [`all_binary`] points at.
const BINARY_ATTRIBUTES: &str = "* -diff\n";

/// Makes the directory `git_dir` (an absolute path) a bare git directory with
/// the settings above; whatever is there already is kept.
pub(super) fn init(git_dir: &Path) -> Result<(), WorkspaceError> {
    init_with(git_dir, "", ATTRIBUTES, "")
}

/// The same for a directory that converts files as a user's does: line ends, `$Id$` and
/// encodings, by the user's settings and by every `.gitattributes`. No filter is known to it.
pub(super) fn init_converting(
    git_dir: &Path,
    settings: &GitSettings,
) -> Result<(), WorkspaceError> {
    let of_user = [
        ("autocrlf", settings.autocrlf.as_ref()),
        ("eol", settings.eol.as_ref()),
    ];
    let mut config = String::new();
    for (name, value) in of_user {
        // One of git's own words: anything else could add another setting.
        let value = value.filter(|value| value.chars().all(|c| c.is_ascii_alphanumeric()));
        if let Some(value) = value {
            config += &format!("[core]\n\t{name} = {value}\n");
        }
    }
    init_with(git_dir, &config, &settings.attributes, &settings.excludes)
}

fn init_with(
    git_dir: &Path,
    more_config: &str,
    attributes: &str,
    excludes: &str,
) -> Result<(), WorkspaceError> {
    let mut git = bare(git_dir);
    // An empty template: none of the system's sample hooks.
    git.args(["init", "--bare", "--quiet", "--template="]);
    run(git, git_dir, "init", &[])?;
    write(&git_dir.join("config"), &format!("{CONFIG}{more_config}"))?;
    let info = git_dir.join("info");
    std::fs::create_dir_all(&info).map_err(|source| WorkspaceError::io("create", &info, source))?;
    write(&info.join("attributes"), attributes)?;
    write(&info.join("exclude"), excludes)?;
    write(&info.join("binary-attributes"), BINARY_ATTRIBUTES)
}

/// A setting (for `git -c`) with which every file is shown as binary.
pub(super) fn all_binary(git_dir: &Path) -> OsString {
    let mut setting = OsString::from("core.attributesFile=");
    setting.push(git_dir.join("info/binary-attributes"));
    setting
}

/// Arguments with which `update-index` writes the files that it adds into one pack, as it does
/// with large files, instead of an object file each.
///
/// An empty file still is an object of its own. Synced in a batch, it would wait in a folder that
/// git removes before a pack that was begun after it is moved out of there.
pub(super) const INTO_ONE_PACK: [&str; 4] = [
    "-c",
    "core.bigFileThreshold=1",
    "-c",
    "core.fsyncMethod=fsync",
];

/// The version from which [`INTO_ONE_PACK`] makes one pack: an older git makes one a file.
const ONE_PACK_SINCE: (u32, u32) = (2, 37);

/// True where the git that is installed makes one pack with [`INTO_ONE_PACK`].
pub(super) fn packs_what_it_adds(git_dir: &Path) -> Result<bool, WorkspaceError> {
    let mut git = bare(git_dir);
    git.arg("--version");
    let said = run(git, git_dir, "--version", &[])?;
    let version = version_of(&String::from_utf8_lossy(&said));
    Ok(version.is_some_and(|version| version >= ONE_PACK_SINCE))
}

/// Major and minor number in what `git --version` prints.
fn version_of(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix("git version ")?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A git command on the objects alone.
pub(super) fn bare(git_dir: &Path) -> Command {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GIT_") {
            git.env_remove(name);
        }
    }
    git.env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_ATTR_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        // For a git older than 2.32, which does not know GIT_CONFIG_GLOBAL.
        .env("HOME", git_dir)
        .env("XDG_CONFIG_HOME", git_dir)
        // Messages are matched below, so they must not be translated.
        .env("LC_ALL", "C")
        .env("GIT_DIR", git_dir)
        .current_dir(git_dir);
    git
}

/// A git command on the files of `dir`, with an index of its own.
pub(super) fn with_files(git_dir: &Path, dir: &Path, index: &Path) -> Command {
    let mut git = bare(git_dir);
    git.env("GIT_WORK_TREE", dir)
        .env("GIT_INDEX_FILE", index)
        .current_dir(dir);
    git
}

/// Runs to the end and returns standard output. Errors: git is missing, the
/// disk is full, or git's own message.
pub(super) fn run(
    mut git: Command,
    git_dir: &Path,
    what: &str,
    stdin: &[u8],
) -> Result<Vec<u8>, WorkspaceError> {
    git.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = git.spawn().map_err(|source| match source.kind() {
        ErrorKind::NotFound => WorkspaceError::NoGit,
        _ => WorkspaceError::io("start git in", git_dir, source),
    })?;
    let mut pipe = child.stdin.take().expect("stdin was asked for");
    let output = std::thread::scope(|scope| {
        // A git that stops reading early says why on stderr: the broken pipe
        // is not the news.
        scope.spawn(move || pipe.write_all(stdin));
        child.wait_with_output()
    })
    .map_err(|source| WorkspaceError::io("run git in", git_dir, source))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let says_so = ["No space left on device", "Disk quota exceeded"];
    if says_so.iter().any(|said| stderr.contains(said)) || is_full(git_dir) {
        return Err(WorkspaceError::DiskFull(git_dir.to_owned()));
    }
    Err(WorkspaceError::Git {
        what: what.to_owned(),
        stderr,
    })
}

/// Whether a disk has no room: a checkout that fails for it does not say why.
fn is_full(dir: &Path) -> bool {
    let written = tempfile::tempfile_in(dir).and_then(|mut file| file.write_all(&[0; 1 << 16]));
    let kind = written.err().map(|error| error.kind());
    matches!(
        kind,
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    )
}

/// A directory, with those above it, that only the user can enter: what is
/// kept there may hold ignored files with secrets in them.
pub(super) fn create_private_dir(dir: &Path) -> Result<(), WorkspaceError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| WorkspaceError::io("create", dir, source))
}

fn write(path: &Path, text: &str) -> Result<(), WorkspaceError> {
    std::fs::write(path, text).map_err(|source| WorkspaceError::io("write", path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_whatever_follows_it() {
        assert_eq!(version_of("git version 2.47.3\n"), Some((2, 47)));
        assert_eq!(
            version_of("git version 2.39.5 (Apple Git-154)"),
            Some((2, 39))
        );
        assert_eq!(version_of("git version 2.34.windows.1"), Some((2, 34)));
        assert_eq!(version_of("hub version 2"), None);
    }
}
