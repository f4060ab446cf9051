//! Keeps paths that a model wrote within the workspace.
use std::path::{Component, Path, PathBuf};

/// `path` within `root`. Nothing outside `root` is named by it, through
/// symbolic links neither. Errors: one sentence for the model.
pub(crate) fn resolve(root: &Path, path: &str) -> Result<PathBuf, String> {
    let relative = Path::new(path);
    let mut plain = PathBuf::new();
    for component in relative.components() {
        match component {
            Component::Normal(name) if name == ".git" => {
                return Err(format!("{path}: .git is not yours to touch."));
            }
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            _ => {
                return Err(format!(
                    "{path} is outside the repository: name files by their path from its root."
                ));
            }
        }
    }
    if plain.as_os_str().is_empty() && !matches!(path, "." | "./") {
        return Err("The path is empty.".into());
    }
    let outside = || Err(format!("{path} leads outside the repository."));
    let Ok(real_root) = root.canonicalize() else {
        return Err("The workspace is gone.".into());
    };
    // The deepest part that is there decides; what is not there yet has no links.
    let full = real_root.join(&plain);
    let mut there = full.as_path();
    while there.symlink_metadata().is_err() {
        match there.parent() {
            Some(parent) => there = parent,
            None => return outside(),
        }
    }
    match there.canonicalize() {
        Ok(real) if real.starts_with(&real_root) => Ok(full),
        _ => outside(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_workspace_can_be_named() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("pkg")).unwrap();
        std::fs::write(dir.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink(dir.path().join("secret"), root.join("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("up")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("dangling")).unwrap();
        for path in [
            "/etc/passwd",
            "../secret",
            "pkg/../../secret",
            "link",
            "up/secret",
            "up/new",
            "dangling",
            ".git/config",
            "",
        ] {
            assert!(resolve(&root, path).is_err(), "{path}");
        }
        for path in ["pkg/a.py", "./pkg/new/deep.py", "."] {
            assert!(resolve(&root, path).is_ok(), "{path}");
        }
    }
}
