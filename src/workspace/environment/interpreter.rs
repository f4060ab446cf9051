//! A Python of a given version, wherever version managers keep theirs.
use super::super::WorkspaceError;
use std::path::{Path, PathBuf};

/// The interpreter that `asked` means: a program's path, or a version (`3.9`, `3.9.18`).
///
/// A version is looked for on the `PATH` (`python3.9`), in pyenv's folder and in uv's; the
/// newest patch release is taken. Error: there is none, with what to do.
pub(super) fn find_interpreter(asked: &str) -> Result<PathBuf, WorkspaceError> {
    if asked.contains('/') {
        let path = PathBuf::from(asked);
        return path.is_file().then_some(path).ok_or_else(|| {
            WorkspaceError::Environment(format!("there is no interpreter at {asked}"))
        });
    }
    let is_version = asked.split('.').all(|part| part.parse::<u32>().is_ok());
    if !is_version {
        return Err(WorkspaceError::Environment(format!(
            "{asked:?} names no Python; give a version (3.9) or a program's path"
        )));
    }
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let place = |variable: &str, folder: &str| {
        let set = std::env::var_os(variable).filter(|value| !value.is_empty());
        set.map(PathBuf::from)
            .or_else(|| Some(home.as_ref()?.join(folder)))
    };
    let managed = [
        place("PYENV_ROOT", ".pyenv").map(|dir| dir.join("versions")),
        place("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),
    ];
    let managed: Vec<PathBuf> = managed.into_iter().flatten().collect();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    find_version(asked, &managed, &folders).ok_or_else(|| {
        WorkspaceError::Environment(format!(
            "Python {asked} was not found on the PATH, among pyenv's or among uv's; install it \
             with `uv python install {asked}` or `pyenv install {asked}`"
        ))
    })
}

fn find_version(asked: &str, managed: &[PathBuf], path: &[PathBuf]) -> Option<PathBuf> {
    let wanted: Vec<u32> = numbers(asked);
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for dir in managed {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // uv's folders: `cpython-3.9.18-linux-x86_64-gnu`.
            let version = name.strip_prefix("cpython-").unwrap_or(&name);
            let version = numbers(version.split('-').next().unwrap_or(version));
            let program = entry.path().join("bin/python3");
            if version.starts_with(&wanted) && program.is_file() {
                found.push((version, program));
            }
        }
    }
    found.sort();
    let managed = found.pop().map(|(_, program)| program);
    // A version manager's stand-in on the PATH may mean a version that is switched off.
    let is_shim = |dir: &&PathBuf| dir.ends_with("shims");
    let minor = wanted.iter().take(2).map(u32::to_string);
    let name = format!("python{}", minor.collect::<Vec<_>>().join("."));
    let on_path = path.iter().filter(|dir| !is_shim(dir));
    let mut on_path = on_path
        .map(|dir| dir.join(&name))
        .filter(|file| file.is_file());
    managed.or_else(|| on_path.find(|program| is_of_version(program, &wanted)))
}

/// Asked of the program itself where a patch release was named.
fn is_of_version(program: &Path, wanted: &[u32]) -> bool {
    if wanted.len() <= 2 {
        return true;
    }
    let output = std::process::Command::new(program)
        .arg("--version")
        .output();
    output.is_ok_and(|output| {
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        numbers(said.trim().trim_start_matches("Python ")).starts_with(wanted)
    })
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|n| n.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_of_a_version_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "3.9.2",
            "3.9.18",
            "3.10.1",
            "cpython-3.11.4-linux",
            "3.9-dev",
        ] {
            let bin = dir.path().join(name).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("python3"), "").unwrap();
        }
        let managed = [dir.path().to_owned()];
        let find = |asked| find_version(asked, &managed, &[]);
        let of = |name: &str| Some(dir.path().join(name).join("bin/python3"));
        assert_eq!(find("3.9"), of("3.9.18"));
        assert_eq!(find("3.9.2"), of("3.9.2"));
        assert_eq!(find("3.11"), of("cpython-3.11.4-linux"));
        assert_eq!(find("3.1"), None);
        assert_eq!(find("3.12"), None);
    }

    #[test]
    fn no_interpreter_is_told_with_what_to_do() {
        for (asked, says) in [
            ("3.99", "uv python install 3.99"),
            ("python3", "give a version (3.9)"),
            ("/nowhere/python", "no interpreter at /nowhere/python"),
        ] {
            let error = find_interpreter(asked).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("  "), "{error}");
        }
    }
}
