//! Files and folders of a tree.
use super::{LangError, all};
use std::path::{Path, PathBuf};

/// Folders of version control.
const VERSION_CONTROL: [&str; 3] = [".git", ".hg", ".svn"];

/// True for the name of a folder that holds no source in any language: version control,
/// caches, environments, dependencies, products.
pub fn is_skipped(folder: &str) -> bool {
    VERSION_CONTROL.contains(&folder)
        || all().any(|language| language.skipped_dirs().contains(&folder))
}

/// The command by which a repository of these files is usually tested.
pub fn usual_test_command(files: &[String]) -> Option<&'static str> {
    all().find_map(|language| language.usual_test_command(files))
}

/// True for the name of a file or a folder that tests and tools leave behind.
pub fn is_leftover(name: &str) -> bool {
    let is_named = |pattern: &&str| match pattern.strip_prefix('*') {
        Some(end) => name.ends_with(end),
        None => name == *pattern,
    };
    all().any(|language| {
        language
            .leftovers()
            .iter()
            .any(|pattern| is_named(&pattern))
    })
}

/// Paths of all files below `dir`, links included and not followed, relative to it with
/// `/`, sorted; a `.git` at any depth is left out. A name that is not UTF-8 is left out:
/// no test has one.
pub fn list_files(dir: &Path) -> Result<Vec<String>, LangError> {
    let mut found = Vec::new();
    let mut todo: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(folder) = todo.pop() {
        let entries =
            std::fs::read_dir(&folder).map_err(|source| LangError::io("list", &folder, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| LangError::io("list", &folder, source))?;
            let path = entry.path();
            if entry.file_name() == ".git" {
                continue;
            }
            let kind = entry
                .file_type()
                .map_err(|source| LangError::io("look at", &path, source))?;
            if kind.is_dir() {
                todo.push(path);
            } else if let Some(name) = path.strip_prefix(dir).ok().and_then(Path::to_str) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}
