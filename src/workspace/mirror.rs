//! Clones of public repositories that the user keeps, to check base commits out of.
use super::{WorkspaceError, git};
use std::path::{Path, PathBuf};

/// A clone, bare or not. It is read, never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    git_dir: PathBuf,
}

impl Mirror {
    /// The clone of `repo` (`owner/name`) below `dir`: `owner/name` or `owner__name`,
    /// with `.git` behind it or without. `None` where there is none.
    pub fn find(dir: &Path, repo: &str) -> Option<Self> {
        let flat = repo.replace('/', "__");
        let names = [repo, &flat].map(|name| [name.to_owned(), format!("{name}.git")]);
        let folders = names.into_iter().flatten().map(|name| dir.join(name));
        let git_dirs = folders.flat_map(|folder| [folder.join(".git"), folder]);
        let found = git_dirs
            .into_iter()
            .find(|dir| dir.join("HEAD").is_file())?;
        Some(Self {
            git_dir: found.canonicalize().ok()?,
        })
    }

    /// True if the clone has that commit.
    pub fn has(&self, commit: &str) -> bool {
        let mut git = git::bare(&self.git_dir);
        git.args(["rev-parse", "--quiet", "--verify", "--end-of-options"])
            .arg(format!("{commit}^{{commit}}"));
        git::run(git, &self.git_dir, "rev-parse", &[]).is_ok()
    }

    /// The clone's git directory.
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// Writes the files of `commit` below `dir`, an existing folder.
    pub fn check_out(&self, commit: &str, dir: &Path) -> Result<(), WorkspaceError> {
        let scratch = tempfile::tempdir().map_err(|source| {
            WorkspaceError::io("make a folder in", &std::env::temp_dir(), source)
        })?;
        let index = scratch.path().join("index");
        for args in [&["read-tree", commit][..], &["checkout-index", "--all"]] {
            let mut git = git::with_files(&self.git_dir, dir, &index);
            git.args(args);
            git::run(git, &self.git_dir, args[0], &[])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn git(dir: &Path, args: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@b"]);
        let output = git.args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn a_commit_of_a_clone_is_checked_out_and_the_clone_left_alone() {
        let mirrors = tempfile::tempdir().unwrap();
        let clone = mirrors.path().join("owner__name");
        std::fs::create_dir_all(clone.join("pkg")).unwrap();
        git(&clone, &["init", "--quiet"]);
        let mut commits = Vec::new();
        for text in ["x = 1\n", "x = 2\n"] {
            std::fs::write(clone.join("pkg/m.py"), text).unwrap();
            git(&clone, &["add", "."]);
            git(&clone, &["commit", "--quiet", "-m", text]);
            commits.push(git(&clone, &["rev-parse", "HEAD"]));
        }
        let mirror = Mirror::find(mirrors.path(), "owner/name").expect("it is there");
        assert_eq!(Mirror::find(mirrors.path(), "owner/other"), None);
        assert!(mirror.has(&commits[0]) && !mirror.has(&"0".repeat(40)));
        let dir = tempfile::tempdir().unwrap();
        mirror.check_out(&commits[0], dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("pkg/m.py")).unwrap();
        assert_eq!(text, "x = 1\n");
        assert!(!dir.path().join(".git").exists());
        assert_eq!(git(&clone, &["status", "--porcelain"]), "");
    }
}
