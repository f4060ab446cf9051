//! Files and folders of a tree.
use super::{LangError, all};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Folders of version control.
const VERSION_CONTROL: [&str; 3] = [".git", ".hg", ".svn"];

/// True for the name of a folder that holds no source in any language: version control,
/// caches, environments, dependencies. Of other folders [`is_product`] can tell.
pub fn is_skipped(folder: &str) -> bool {
    VERSION_CONTROL.contains(&folder)
        || all().any(|language| language.skipped_dirs().contains(&folder))
}

/// True for the name of a folder that may hold products, dependencies or an environment.
pub fn may_be_product(folder: &str) -> bool {
    all().any(|language| {
        language
            .product_dirs()
            .iter()
            .any(|(name, _)| *name == folder)
    })
}

/// True for a folder that holds products, dependencies or an environment, by its name and by
/// the names of what it `holds`: `build` is one beside `bdist.linux-x86_64`, and source beside
/// `calc.py`.
pub fn is_product<'a>(folder: &str, holds: impl Iterator<Item = &'a str> + Clone) -> bool {
    let matches = |mark: &str, name: &str| match mark.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == mark,
    };
    let mut known = all().flat_map(|language| language.product_dirs());
    known.any(|(name, marks)| {
        let is_marked = |held| marks.iter().any(|mark| matches(mark, held));
        *name == folder && holds.clone().any(is_marked)
    })
}

/// The folders among a tree's files that are [products](is_product), by their paths.
pub fn product_folders<'a>(paths: impl Iterator<Item = &'a str>) -> HashSet<&'a str> {
    let mut held: HashMap<&str, HashSet<&str>> = HashMap::new();
    for path in paths {
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            if may_be_product(folder.rsplit('/').next().unwrap_or(folder)) {
                let below = path[at + 1..].split('/').next();
                held.entry(folder).or_default().extend(below);
            }
        }
    }
    held.retain(|folder, holds| {
        let name = folder.rsplit('/').next().unwrap_or(folder);
        is_product(name, holds.iter().copied())
    });
    held.into_keys().collect()
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
    all().any(|language| language.leftovers().iter().any(&is_named))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// aider#329: sources in folders that are called as products are.
    #[test]
    fn a_folder_is_a_product_by_what_it_holds() {
        let paths = [
            "build/lib/pkg/a.py",
            "src/build/calc.py",
            "docs/build/bdist.linux-x86_64/x",
            "tests/env/test_calc.py",
            "env/conda-meta/history",
            "vendor/modules.txt",
            "vendor/a/a.go",
            "app/vendor/price.go",
            "target/release/deps/x",
            "lib/target/mod.rs",
        ];
        let found = product_folders(paths.into_iter());
        let expected = ["build", "docs/build", "env", "vendor", "target"];
        assert_eq!(found, expected.into_iter().collect());
        assert!(!is_skipped("build") && is_skipped("node_modules") && is_skipped(".git"));
    }
}
