//! A git repository of a workspace's own, for code that asks git about its checkout.
use super::{Shadow, TreeId, WorkspaceError, git, put_file};
use std::path::{Path, PathBuf};

/// A repository of one commit, which holds a base tree; no remotes, no hooks. Each command
/// gets a copy of it.
#[derive(Clone, Debug)]
pub struct OwnRepository {
    /// The git directory, without objects.
    pub(super) template: PathBuf,
    /// The objects, which the copies share.
    pub(super) objects: PathBuf,
}

/// Of its one commit, so that it is the same in every run: nobody, at the epoch's start.
const WHO: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "egss"),
    ("GIT_AUTHOR_EMAIL", "egss@localhost"),
    ("GIT_AUTHOR_DATE", "1970-01-01T00:00:00+0000"),
    ("GIT_COMMITTER_NAME", "egss"),
    ("GIT_COMMITTER_EMAIL", "egss@localhost"),
    ("GIT_COMMITTER_DATE", "1970-01-01T00:00:00+0000"),
];

/// Commits of a model's commands have a name, too.
const CONFIG: &str = "\
[core]
\trepositoryformatversion = 0
\tbare = false
\thooksPath = /dev/null
[user]
\tname = egss
\temail = egss@localhost
";

const BRANCH: &str = "refs/heads/main";

/// Files of the template, relative to it.
const FILES: [&str; 5] = ["HEAD", "config", "index", BRANCH, "objects/info/alternates"];

impl OwnRepository {
    /// Makes one of the tree `base` at `template`, over an older one.
    pub fn make(shadow: &Shadow, base: &TreeId, template: &Path) -> Result<Self, WorkspaceError> {
        git::create_private_dir(template)?;
        let template = template
            .canonicalize()
            .map_err(|source| WorkspaceError::io("open", template, source))?;
        let mut commit = git::bare(shadow.git_dir());
        commit.args([
            "commit-tree",
            "-m",
            "The repository as it was found",
            &base.0,
        ]);
        commit.envs(WHO);
        let commit = git::run(commit, &template, "commit-tree", b"")?;
        let index = template.join("index");
        let mut read = git::with_files(shadow.git_dir(), &template, &index);
        read.args(["read-tree", &base.0]);
        git::run(read, &template, "read-tree", b"")?;
        let objects = shadow.git_dir().join("objects");
        for (path, text) in [
            ("HEAD", format!("ref: {BRANCH}\n")),
            ("config", CONFIG.to_owned()),
            (BRANCH, String::from_utf8_lossy(&commit).into_owned()),
            (
                "objects/info/alternates",
                format!("{}\n", objects.display()),
            ),
        ] {
            let file = template.join(path);
            let folder = file.parent().unwrap_or(&template);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&file, text))
                .map_err(|source| WorkspaceError::io("write", &file, source))?;
        }
        Ok(Self { template, objects })
    }

    /// A copy for one command.
    pub(super) fn copy(&self) -> Result<tempfile::TempDir, WorkspaceError> {
        let temp = std::env::temp_dir();
        let copy = tempfile::tempdir()
            .map_err(|source| WorkspaceError::io("make a folder in", &temp, source))?;
        // Git writes no index for no files.
        let there = |file: &&&str| self.template.join(file).is_file();
        for file in FILES.iter().filter(there) {
            put_file(&self.template.join(file), copy.path(), Path::new(file))?;
        }
        Ok(copy)
    }
}
