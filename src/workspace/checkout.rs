//! Questions to the user's git on a checkout. It is asked only: nothing is written, and no program
//! that the repository names is run.
//!
//! The questions: its settings, the paths that it ignores, and folders called `build` or
//! `vendor` whose files it tracks, which are source.
use super::nul::{join_nul, split_nul};
use super::{WorkspaceError, existing_dir, git};
use crate::record::GitSettings;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(super) const ATTRIBUTES_FILE: &str = ".gitattributes";
pub(super) const IGNORE_FILE: &str = ".gitignore";

/// How git stores the files of `dir`, a folder of the user's. Nothing is set outside any
/// checkout, and where git cannot be asked.
pub fn git_settings(dir: &Path) -> Result<GitSettings, WorkspaceError> {
    let dir = existing_dir(dir)?;
    let Some(top) = dir.ancestors().find(|up| up.join(".git").exists()) else {
        return Ok(GitSettings::default());
    };
    let ask = |args: &[&str]| {
        let said = ask(&dir, args, &[])?;
        let said = String::from_utf8(said).ok()?;
        Some(said.trim_end_matches('\n').to_owned())
    };
    let set = |name: &str| ask(&["config", "--get", name]);
    let text_of = |path: Option<String>| {
        let path = path.map(|path| dir.join(path));
        path.and_then(|path| std::fs::read_to_string(path).ok())
    };
    // Of the user, then of the repository; both stand outside of it.
    let both = |setting: &str, of_user: &str, of_repository: &str| {
        let named = ask(&["config", "--type=path", "--get", setting]);
        let usual = || {
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
            let folder = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
            let folder = folder.filter(|dir| !dir.as_os_str().is_empty()).or(home)?;
            Some(folder.join("git").join(of_user).display().to_string())
        };
        let own = ask(&["rev-parse", "--git-path", of_repository]);
        let texts = [text_of(named.or_else(usual)), text_of(own)];
        let texts = texts.into_iter().flatten().map(|text| text + "\n");
        texts.filter(|text| !is_blank(text)).collect::<String>()
    };
    let mut around = Vec::new();
    for folder in dir.ancestors().skip(1).take_while(|up| up.starts_with(top)) {
        for name in [ATTRIBUTES_FILE, IGNORE_FILE] {
            let file = folder.join(name);
            let path = file.strip_prefix(top).unwrap_or(&file);
            if let Ok(text) = std::fs::read_to_string(&file) {
                around.push((path.to_string_lossy().into_owned(), text));
            }
        }
    }
    Ok(GitSettings {
        autocrlf: set("core.autocrlf").filter(|value| value != "false"),
        eol: set("core.eol").filter(|value| value != "native"),
        attributes: both("core.attributesFile", "attributes", "info/attributes"),
        excludes: both("core.excludesFile", "ignore", "info/exclude"),
        around,
    })
}

/// True for a text of comments and empty lines.
fn is_blank(text: &str) -> bool {
    let is_line = |line: &str| !line.trim().is_empty() && !line.starts_with('#');
    !text.lines().any(is_line)
}

/// Those of `paths` (relative to `dir`) that git ignores; none outside a checkout. A file that
/// git tracks is not ignored.
pub(super) fn ignored_among(dir: &Path, paths: &[Vec<u8>]) -> HashSet<Vec<u8>> {
    let said = ask(dir, &["check-ignore", "-z", "--stdin"], &join_nul(paths));
    let said = said.unwrap_or_default();
    split_nul(&said).map(<[u8]>::to_vec).collect()
}

/// Those of `folders` (relative to `dir`) that hold a file which git tracks; none outside a
/// checkout.
pub fn tracked_folders<'a>(dir: &Path, folders: &[&'a str]) -> Vec<&'a str> {
    let holds = |folder: &&str| {
        let place = format!(":(literal){folder}/");
        let said = ask(dir, &["ls-files", "-z", "--", &place], &[]);
        said.is_some_and(|said| !said.is_empty())
    };
    folders.iter().copied().filter(holds).collect()
}

/// Standard output of a git command; `None` where it fails. A monitor of files that the
/// repository's settings name is a program, and is not started.
fn ask(dir: &Path, args: &[&str], stdin: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new("git");
    command.args(["-c", "core.fsmonitor=false"]).args(args);
    command.current_dir(dir);
    git::run(command, dir, args[0], stdin).ok()
}
