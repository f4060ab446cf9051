//! Modules and packages of a tree, as far as their files' names and first lines say.
use crate::lang::{TestRole, TextFile, is_skipped, list_files};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Go, LangError, Language};

/// A folder with Go files, as its module sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Folder {
    /// The module's folder relative to the repository's root; empty for the root.
    pub module: String,
    /// The folder relative to the module's; empty for the module's own.
    pub path: String,
}

impl Folder {
    /// The folder of a file, below the innermost of `modules` (folders, relative to the
    /// root) that holds it. `None`: it is in no module.
    pub fn of(file: &str, modules: &BTreeSet<String>) -> Option<Self> {
        let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
        let holds = |module: &&String| {
            let rest = folder.strip_prefix(module.as_str());
            module.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let module = modules
            .iter()
            .filter(holds)
            .max_by_key(|module| module.len())?;
        let path = folder[module.len()..].trim_start_matches('/');
        Some(Self {
            module: module.clone(),
            path: path.to_owned(),
        })
    }

    /// As an argument of the go command: `./quiet`.
    pub fn argument(&self) -> String {
        format!("./{}", self.path)
    }

    /// The folder relative to the repository's root, for a path in it: `quiet/`.
    pub fn prefix(&self) -> String {
        let parts = [self.module.as_str(), self.path.as_str()];
        parts
            .iter()
            .filter(|part| !part.is_empty())
            .map(|part| format!("{part}/"))
            .collect()
    }

    /// By which others import it, given its module's path.
    pub fn import_path(&self, module_path: &str) -> String {
        match self.path.as_str() {
            "" => module_path.to_owned(),
            path => format!("{module_path}/{path}"),
        }
    }
}

/// Folders of the modules among `files`.
pub(super) fn modules(files: &[String]) -> BTreeSet<String> {
    let manifests = files.iter().filter_map(|path| match path.as_str() {
        "go.mod" => Some(""),
        path => path.strip_suffix("/go.mod"),
    });
    manifests
        .filter(|folder| !folder.split('/').any(is_ignored))
        .map(str::to_owned)
        .collect()
}

/// True for a folder that the go command does not look into, or that is another's.
pub(super) fn is_ignored(folder: &str) -> bool {
    folder.starts_with(['_', '.']) || ["testdata", "vendor"].contains(&folder) || is_skipped(folder)
}

/// The path of the module whose `go.mod` stands in `dir`.
pub(super) fn module_path(dir: &Path) -> Option<String> {
    let file = TextFile::read(dir, "go.mod")?;
    let mut lines = file.text().lines().map(str::trim);
    let named = lines.find_map(|line| line.strip_prefix("module "))?;
    let path = named.split("//").next()?.trim();
    Some(path.trim_matches('"').to_owned())
}

/// The top-level tests of a file: what `go test` would call.
pub(super) fn tests_of(text: &str) -> Vec<&str> {
    let functions = text.lines().filter_map(|line| line.strip_prefix("func "));
    let names = functions
        .filter_map(|rest| rest.split_once('('))
        .map(|(name, _)| name.trim());
    names
        .filter(|name| *name != "TestMain" && is_test_name(name))
        .collect()
}

fn is_test_name(name: &str) -> bool {
    ["Test", "Example", "Fuzz"].iter().any(|prefix| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.starts_with(char::is_lowercase))
    })
}

/// The test files of a folder of `dir`, each with its tests.
pub(super) fn test_files(dir: &Path, folder: &Folder) -> BTreeMap<String, Vec<String>> {
    let prefix = folder.prefix();
    let entries = std::fs::read_dir(dir.join(&prefix))
        .into_iter()
        .flatten()
        .flatten();
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if Go.test_role(&path) == TestRole::Target
            && let Some(file) = TextFile::read(dir, &path)
        {
            found.insert(
                path,
                tests_of(file.text())
                    .into_iter()
                    .map(str::to_owned)
                    .collect(),
            );
        }
    }
    found
}

/// The package that a file says it belongs to.
pub(super) fn package_of(text: &str) -> Option<&str> {
    let mut lines = text
        .lines()
        .filter_map(|line| line.strip_prefix("package "));
    lines
        .next()?
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next()
}

/// The folder of `dir`, relative to it and with a `/` at its end, that holds a package:
/// the one nearest to the root. The root where none does.
pub(super) fn folder_of_package(dir: &Path, package: &str) -> Result<String, LangError> {
    let mut files = list_files(dir)?;
    files.retain(|path| path.ends_with(".go") && !path.split('/').any(is_ignored));
    files.sort_by_key(|path| path.matches('/').count());
    let tested = package.strip_suffix("_test").unwrap_or(package);
    let found = files.into_iter().find(|path| {
        let file = TextFile::read(dir, path);
        file.is_some_and(|file| package_of(file.text()) == Some(tested))
    });
    Ok(found.map_or(String::new(), |path| {
        path.rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("{folder}/"))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_belong_to_the_innermost_module() {
        let files = [
            "go.mod",
            "a/b/x.go",
            "tools/go.mod",
            "tools/y.go",
            "testdata/go.mod",
        ];
        let modules = modules(&files.map(str::to_owned));
        assert_eq!(modules, BTreeSet::from(["".to_owned(), "tools".to_owned()]));
        let folder = |file| Folder::of(file, &modules).unwrap();
        let (a, tools) = (folder("a/b/x_test.go"), folder("tools/y.go"));
        assert_eq!((a.argument(), a.prefix()), ("./a/b".into(), "a/b/".into()));
        assert_eq!(
            (tools.argument(), tools.prefix()),
            ("./".into(), "tools/".into())
        );
        assert_eq!(a.import_path("e.org/m"), "e.org/m/a/b");
        assert_eq!(folder("toolshed/x.go").module, "");
        assert_eq!(folder("x.go").prefix(), "");
    }

    #[test]
    fn tests_are_what_go_test_would_call() {
        let text = "package shop_test // of shop\n\nfunc TestA(t *testing.T) {}\nfunc Testing() {}\nfunc Example() {}\nfunc TestMain(m *testing.M) {}\nfunc (s S) TestB() {}\n\tfunc TestC() {}\nfunc FuzzD(f *testing.F) {}\n";
        assert_eq!(tests_of(text), ["TestA", "Example", "FuzzD"]);
        assert_eq!(package_of(text), Some("shop_test"));
    }

    #[test]
    fn a_package_is_found_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("go.mod", "// ours\nmodule \"example.org/shop\" // here\n");
        write("deep/down/a.go", "package cart\n");
        write("cart/a.go", "// Package cart.\npackage cart\n");
        write("vendor/price/a.go", "package price\n");
        let found = |package| folder_of_package(dir.path(), package).unwrap();
        assert_eq!(found("cart_test"), "cart/");
        assert_eq!(
            (found("price"), found("main")),
            (String::new(), String::new())
        );
        assert_eq!(module_path(dir.path()).as_deref(), Some("example.org/shop"));
    }
}
