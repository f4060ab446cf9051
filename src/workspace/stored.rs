//! Patches of what git would store: line ends, `$Id$` and encodings as the user's checkout has
//! them converted, and without files that it ignores.
//!
//! Trees hold files as they lie on disk. A git directory that stands in for the user's has
//! its settings (`record::GitSettings`, read at the start) and no filters. It converts the
//! changed files of both trees, and says which new files it ignores. At the end of a run
//! [`apply_fault`] tries the patch on the repository as it is then.
use super::checkout::{ATTRIBUTES_FILE, IGNORE_FILE};
use super::nul::split_nul;
use super::trees::Change;
use super::{Shadow, TreeId, WorkspaceError, existing_dir, git, repository_prefix};
use crate::record::GitSettings;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A patch as a user's git takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPatch {
    /// Empty where nothing changed.
    pub text: String,
    /// New files that git ignores; they are not in it.
    pub ignored: Vec<String>,
    /// Files were converted for it.
    pub is_converted: bool,
}

/// Why `git apply` would refuse `patch`, whose paths begin at the top of the checkout around
/// `dir`, or at `dir` outside any; `None`: it applies. No program of the repository is run:
/// no filter, no hook.
pub fn apply_fault(
    dir: &Path,
    patch: &str,
    settings: &GitSettings,
) -> Result<Option<String>, WorkspaceError> {
    let dir = existing_dir(dir)?;
    let below = repository_prefix(&dir)?.matches('/').count();
    let top = dir.ancestors().nth(below).unwrap_or(&dir);
    let stand_in = StandIn::make("", settings, top.to_owned())?;
    let mut command = stand_in.git();
    // Whether git takes line ends for its own hangs on what it has stored of a file.
    let of_git = |name: &str| {
        let mut git = Command::new("git");
        git.args(["rev-parse", "--git-path", name])
            .current_dir(&dir);
        let said = git.output().ok().filter(|output| output.status.success())?;
        Some(dir.join(String::from_utf8(said.stdout).ok()?.trim_end_matches('\n')))
    };
    if let (Some(index), Some(objects)) = (of_git("index"), of_git("objects")) {
        let copied = std::fs::copy(index, stand_in.git_dir.join("index"));
        if copied.is_ok() {
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", objects);
        }
    }
    command.args(["apply", "--check", "--whitespace=nowarn", "-"]);
    match git::run(command, top, "apply", patch.as_bytes()) {
        Ok(_) => Ok(None),
        Err(WorkspaceError::Git { stderr, .. }) => {
            let first = stderr.lines().next().unwrap_or("git apply failed");
            Ok(Some(first.trim_start_matches("error: ").to_owned()))
        }
        Err(error) => Err(error),
    }
}

/// A git directory with the user's settings, and the folder that it works on.
struct StandIn {
    _dir: TempDir,
    git_dir: PathBuf,
    /// The top of the checkout.
    top: PathBuf,
    /// The repository's place in it.
    prefix: String,
}

impl StandIn {
    /// One with an empty folder of its own.
    fn empty(prefix: &str, settings: &GitSettings) -> Result<Self, WorkspaceError> {
        let stand_in = Self::make(prefix, settings, PathBuf::new())?;
        let top = stand_in.git_dir.with_file_name("files");
        for (path, text) in &settings.around {
            write(&top.join(path), text.as_bytes())?;
        }
        let folder = top.join(prefix);
        std::fs::create_dir_all(&folder)
            .map_err(|source| WorkspaceError::io("create", &folder, source))?;
        Ok(Self { top, ..stand_in })
    }

    fn make(prefix: &str, settings: &GitSettings, top: PathBuf) -> Result<Self, WorkspaceError> {
        let temp = std::env::temp_dir();
        let dir = tempfile::tempdir()
            .map_err(|source| WorkspaceError::io("make a folder in", &temp, source))?;
        let git_dir = dir.path().join("git");
        git::create_private_dir(&git_dir)?;
        git::init_converting(&git_dir, settings)?;
        Ok(Self {
            _dir: dir,
            git_dir,
            top,
            prefix: prefix.to_owned(),
        })
    }

    fn git(&self) -> Command {
        git::with_files(&self.git_dir, &self.top, &self.git_dir.join("index"))
    }

    fn run(&self, args: &[&str], stdin: &[u8]) -> Result<Vec<u8>, WorkspaceError> {
        let mut command = self.git();
        command.args(args);
        git::run(command, &self.git_dir, args[0], stdin)
    }

    /// The trees that were stored in it, from now on without any conversion.
    fn as_shadow(&self) -> Result<Shadow, WorkspaceError> {
        Shadow::open(&self.git_dir)
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), WorkspaceError> {
        write(&self.top.join(&self.prefix).join(path), bytes)
    }

    /// Those of `paths`, relative to the repository, that git would pass over.
    fn ignored(&self, paths: &[String]) -> Result<Vec<String>, WorkspaceError> {
        let asked: String = paths
            .iter()
            .map(|path| format!("{}{path}\0", self.prefix))
            .collect();
        let args = ["check-ignore", "--no-index", "-z", "--stdin"];
        match self.run(&args, asked.as_bytes()) {
            Ok(said) => Ok(split_nul(&said)
                .map(|path| String::from_utf8_lossy(path).into_owned())
                .filter_map(|path| Some(path.strip_prefix(&self.prefix)?.to_owned()))
                .collect()),
            // Status 1: none is.
            Err(WorkspaceError::Git { stderr, .. }) if stderr.is_empty() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

impl Shadow {
    /// The patch from one tree to another as the git takes it in whose checkout they are:
    /// converted as it converts what it stores, and without new files that it ignores. Paths
    /// begin with `prefix`; those of `without` are left out.
    pub fn stored_patch(
        &self,
        prefix: &str,
        from: &TreeId,
        to: &TreeId,
        without: &[&str],
        settings: &GitSettings,
    ) -> Result<StoredPatch, WorkspaceError> {
        let changes = self.changes(from, to)?;
        let is_without = |path: &str| {
            let is_in = |folder: &&str| {
                let rest = path.strip_prefix(*folder);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            without.iter().any(is_in)
        };
        let (old, new): (Vec<&Change>, Vec<&Change>) =
            (changes.iter().filter(|change| !is_without(&change.path))).partition(|c| c.is_in_from);
        let new: Vec<String> = new.into_iter().map(|change| change.path.clone()).collect();
        let ignored = match new.is_empty() {
            true => Vec::new(),
            false => {
                let stand_in = StandIn::empty(prefix, settings)?;
                self.put_files(from, IGNORE_FILE, &stand_in)?;
                stand_in.ignored(&new)?
            }
        };
        let mut without: Vec<&str> = without.to_vec();
        without.extend(ignored.iter().map(String::as_str));
        let around = settings.around.iter().map(|(path, _)| path.as_str());
        let mut files = self.files(from)?;
        files.retain(|path| is_named(path, ATTRIBUTES_FILE));
        let has_attributes = !files.is_empty()
            || !settings.attributes.is_empty()
            || around
                .into_iter()
                .any(|path| is_named(path, ATTRIBUTES_FILE));
        let is_converted = has_attributes || settings.autocrlf.is_some();
        let text = if is_converted {
            let is_kept = |path: &&String| !ignored.contains(path);
            let both = old.iter().filter(|change| change.is_in_to);
            let in_to = both
                .map(|change| &change.path)
                .chain(new.iter().filter(is_kept));
            let in_to: Vec<&str> = in_to.map(String::as_str).collect();
            let in_from: Vec<&str> = old.iter().map(|change| change.path.as_str()).collect();
            let stored = StandIn::empty(prefix, settings)?;
            self.put_files(from, ATTRIBUTES_FILE, &stored)?;
            let before = self.store(from, &in_from, &stored)?;
            for path in &in_from {
                let file = stored.top.join(prefix).join(path);
                std::fs::remove_file(&file)
                    .map_err(|source| WorkspaceError::io("remove", &file, source))?;
            }
            let after = self.store(to, &in_to, &stored)?;
            stored.as_shadow()?.diff(&before, &after, &[])?
        } else {
            self.diff_below(prefix, from, to, &without)?
        };
        Ok(StoredPatch {
            text,
            ignored,
            is_converted,
        })
    }

    /// Puts the files of a tree that have this name into the stand-in.
    fn put_files(
        &self,
        tree: &TreeId,
        name: &str,
        stand_in: &StandIn,
    ) -> Result<(), WorkspaceError> {
        for path in self.files(tree)?.iter().filter(|path| is_named(path, name)) {
            let bytes = self.bytes_of(tree, path.as_bytes())?;
            stand_in.put(path, &bytes.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Stores `paths` of a tree as the stand-in's git converts them.
    fn store(
        &self,
        tree: &TreeId,
        paths: &[&str],
        stand_in: &StandIn,
    ) -> Result<TreeId, WorkspaceError> {
        let folder = stand_in.top.join(&stand_in.prefix);
        self.check_out_files(tree, paths, &folder)?;
        stand_in.run(&["read-tree", "--empty"], b"")?;
        let listed: String = paths
            .iter()
            .map(|path| format!("{}{path}\0", stand_in.prefix))
            .collect();
        // `add` converts by attributes; what is ignored was sorted out before.
        if !paths.is_empty() {
            let args = [
                "--literal-pathspecs",
                "add",
                "--force",
                "--pathspec-from-file=-",
                "--pathspec-file-nul",
            ];
            stand_in.run(&args, listed.as_bytes())?;
        }
        let id = stand_in.run(&["write-tree"], b"")?;
        Ok(TreeId(String::from_utf8_lossy(&id).trim().to_owned()))
    }
}

fn is_named(path: &str, name: &str) -> bool {
    path.rsplit('/').next() == Some(name)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), WorkspaceError> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| WorkspaceError::io("create", folder, e))?;
    std::fs::write(path, bytes).map_err(|source| WorkspaceError::io("write", path, source))
}
