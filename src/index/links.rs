//! How files of a repository belong together.
use super::entry::Entry;
use super::repo::RepoView;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Files of one name that a name may mean.
const NAMESAKES_MAX: usize = 12;

/// For each file those that it imports: whose module is named in its import statements, with the
/// folder that it lies in, or that lie beside it.
pub(super) fn imports(view: &RepoView, entries: &[Arc<Entry>]) -> Vec<Vec<u32>> {
    let mut by_module: HashMap<&str, Vec<u32>> = HashMap::new();
    for (at, file) in view.files.iter().enumerate() {
        if let Some(module) = file.language().module_name(&file.path) {
            by_module.entry(module).or_default().push(at as u32);
        }
    }
    let links = entries.iter().enumerate().map(|(from, entry)| {
        let folder = folder_of(&view.files[from].path);
        let mut to: BTreeSet<u32> = BTreeSet::new();
        for word in &entry.imported {
            for &other in by_module.get(word.as_str()).into_iter().flatten() {
                let beside = folder_of(&view.files[other as usize].path);
                let parent = beside.rsplit('/').next().unwrap_or_default();
                let is_meant =
                    beside == folder || beside.is_empty() || entry.imported.contains(parent);
                if is_meant && other as usize != from {
                    to.insert(other);
                }
            }
        }
        to.into_iter().collect()
    });
    links.collect()
}

/// For each test and each page the files of code that have its name: `money` for
/// `tests/test_money.py`, `money_test.go` and `docs/money.rst`.
pub(super) fn namesakes(view: &RepoView) -> Vec<Vec<u32>> {
    let mut by_stem: HashMap<String, Vec<u32>> = HashMap::new();
    for (at, file) in view.files.iter().enumerate() {
        if file.is_source() {
            by_stem
                .entry(stem_of(&file.path))
                .or_default()
                .push(at as u32);
        }
    }
    let of_file = view.files.iter().map(|file| {
        if file.is_source() || file.text.is_none() {
            return Vec::new();
        }
        let found = by_stem
            .get(&stem_of(&file.path))
            .cloned()
            .unwrap_or_default();
        if found.len() <= 1 {
            return found;
        }
        // Of several those that share the most folders with it.
        let shared = |&at: &u32| {
            let other: BTreeSet<&str> = view.files[at as usize].path.split('/').collect();
            file.path
                .split('/')
                .filter(|part| other.contains(part))
                .count()
        };
        let most = found.iter().map(shared).max().unwrap_or(0);
        let mut nearest: Vec<u32> = found.into_iter().filter(|at| shared(at) == most).collect();
        nearest.truncate(NAMESAKES_MAX);
        nearest
    });
    of_file.collect()
}

/// Files of code that are no tests by the ends of their modules' paths, of two parts and more:
/// `c/d`, `b/c/d` and `a/b/c/d` for `a/b/c/d.py`.
pub(super) fn modules(view: &RepoView) -> HashMap<String, Vec<u32>> {
    let mut modules: HashMap<String, Vec<u32>> = HashMap::new();
    for (at, file) in view
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| file.is_source())
    {
        let Some(name) = file.language().module_name(&file.path) else {
            continue;
        };
        let folder = folder_of(&file.path);
        // A package's own file is named by its folder.
        let own = file.path.rsplit('/').next().unwrap_or_default();
        let is_package = !own.starts_with(name) && folder.rsplit('/').next() == Some(name);
        let path = match is_package {
            true => folder.to_owned(),
            false if folder.is_empty() => name.to_owned(),
            false => format!("{folder}/{name}"),
        };
        let starts = std::iter::once(0).chain(path.match_indices('/').map(|(at, _)| at + 1));
        let ends = starts
            .map(|start| &path[start..])
            .filter(|end| end.contains('/'));
        for end in ends {
            modules.entry(end.to_owned()).or_default().push(at as u32);
        }
    }
    modules
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A file's name without its endings and the marks of a test.
fn stem_of(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name).to_lowercase();
    let marks = ["test_", "tests_", "test"];
    let bare = marks.iter().find_map(|mark| stem.strip_prefix(mark));
    let bare = bare.or_else(|| {
        ["_test", "_tests", "test"]
            .iter()
            .find_map(|mark| stem.strip_suffix(mark))
    });
    bare.filter(|bare| bare.len() > 1)
        .unwrap_or(&stem)
        .trim_matches('_')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_and_a_page_lead_to_the_code_of_their_name() {
        for path in [
            "tests/test_money.py",
            "pkg/money_test.go",
            "docs/money.rst",
            "src/Money.test.ts",
            "MoneyTest.java",
        ] {
            assert_eq!(stem_of(path), "money", "{path}");
        }
        let files = [
            "a/money.py",
            "b/money.py",
            "b/tests/test_money.py",
            "b/test.py",
        ];
        let view = RepoView::of_texts(files.iter().map(|path| (*path, "x = 1\n")));
        let links = namesakes(&view);
        let b = view
            .files
            .iter()
            .position(|f| f.path == "b/money.py")
            .unwrap() as u32;
        let test = view
            .files
            .iter()
            .position(|f| f.path == "b/tests/test_money.py")
            .unwrap();
        assert_eq!(links[test], [b]);
    }
}
