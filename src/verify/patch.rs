//! Applies a patch to a directory that is no checkout.
use super::VerifyError;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Applies a unified diff to the files of `dir` by `git apply`; nothing is
/// written unless all of it applies. `Ok(Some(why))`: it does not.
///
/// git takes no configuration, does not look for a repository above `dir` (in
/// which it would pass over files silently) and refuses paths that lead out.
/// An empty patch applies.
pub fn apply_patch(dir: &Path, patch: &str) -> Result<Option<String>, VerifyError> {
    if patch.trim().is_empty() {
        return Ok(None);
    }
    let dir = dir
        .canonicalize()
        .map_err(|source| VerifyError::io("find", dir, source))?;
    let io = |source| VerifyError::io("run git in", &dir, source);
    let mut command = Command::new("git");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(name);
    }
    let mut git = command
        .args(["apply", "--whitespace=nowarn", "-"])
        .current_dir(&dir)
        .env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(&dir))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io)?;
    let mut stdin = git.stdin.take().expect("stdin was asked for");
    // git may stop reading at the first fault: its own message says which.
    let _ = stdin.write_all(patch.as_bytes());
    if !patch.ends_with('\n') {
        let _ = stdin.write_all(b"\n");
    }
    drop(stdin);
    let output = git.wait_with_output().map_err(io)?;
    if output.status.success() {
        return Ok(None);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let first = stderr.lines().next().unwrap_or("git apply failed");
    Ok(Some(first.trim_start_matches("error: ").to_owned()))
}

/// The files that a patch names, old and new names alike, in order of their names.
pub fn patched_files(patch: &str) -> Vec<String> {
    let mut files = BTreeSet::new();
    for line in patch.lines() {
        let rest = ["--- a/", "+++ b/", "rename from ", "rename to "]
            .iter()
            .find_map(|mark| line.strip_prefix(mark));
        // A file that is made empty has this line alone.
        let made = || line.strip_prefix("diff --git a/")?.split_once(" b/");
        if let Some(path) = rest.or_else(|| made().map(|(_, new)| new)) {
            files.insert(path.trim_end_matches(['\t', '\r']).to_owned());
        }
    }
    files.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str =
        "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n";

    fn folder(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("m.py"), text).unwrap();
        dir
    }

    #[test]
    fn the_files_of_a_patch_are_those_of_before_and_after() {
        let more = "diff --git a/old.py b/new.py\nrename from old.py\nrename to new.py\n\
                    diff --git a/none.txt b/none.txt\nnew file mode 100644\n\
                    --- /dev/null\n+++ b/made.py\n@@ -0,0 +1 @@\n+x = 1\n";
        let patch = format!("{PATCH}{more}");
        let files = ["m.py", "made.py", "new.py", "none.txt", "old.py"];
        assert_eq!(patched_files(&patch), files);
    }

    #[test]
    fn a_patch_applies_even_in_a_folder_of_another_repository() {
        let outer = tempfile::tempdir().unwrap();
        let init = Command::new("git")
            .args(["init", "-q"])
            .current_dir(outer.path())
            .status();
        assert!(init.unwrap().success());
        let dir = outer.path().join("copy");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("m.py"), "x = 1\n").unwrap();
        assert_eq!(apply_patch(&dir, PATCH).unwrap(), None);
        assert_eq!(
            std::fs::read_to_string(dir.join("m.py")).unwrap(),
            "x = 2\n"
        );
    }

    #[test]
    fn a_patch_that_does_not_apply_or_leads_out_changes_nothing() {
        let dir = folder("y = 1\n");
        let why = apply_patch(dir.path(), PATCH).unwrap().unwrap();
        assert!(why.contains("patch failed"), "{why}");
        assert!(apply_patch(dir.path(), "no patch").unwrap().is_some());
        let out = PATCH.replace("m.py", "../m.py");
        assert!(apply_patch(dir.path(), &out).unwrap().is_some());
        assert_eq!(
            std::fs::read_to_string(dir.path().join("m.py")).unwrap(),
            "y = 1\n"
        );
        assert_eq!(apply_patch(dir.path(), "").unwrap(), None);
    }
}
