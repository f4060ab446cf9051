//! Tests by their nearness to files: those that a change likely concerns come first.
use super::{Index, Located, RepoView};
use std::collections::{HashMap, HashSet};
use std::fmt;

/// The reason for a test's place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// The issue names it.
    Named,
    /// It is itself one of the files.
    Itself,
    /// It has a file's name: `test_money.py` for `money.py`.
    Namesake,
    /// It is one of the tests that the words fit best.
    Fitting,
    /// It imports a file.
    Imports,
    /// It stands in a file's folder, or in a folder of tests there.
    Beside,
    /// It imports what imports a file.
    Indirect,
    /// Nothing but the folders that it shares with a file.
    Far,
}

/// As a clause about a file of tests.
impl fmt::Display for Nearness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Named => "the issue names it",
            Self::Itself => "it was changed",
            Self::Namesake => "it has the changed file's name",
            Self::Fitting => "the issue's words fit it best",
            Self::Imports => "it imports a changed file",
            Self::Beside => "it stands beside a changed file",
            Self::Indirect => "it imports what imports a changed file",
            Self::Far => "nothing links it to the change",
        })
    }
}

/// How the files of a repository lead to each other: what is left of an [`Index`] that orders
/// tests.
#[derive(Clone, Debug, Default)]
pub struct Links {
    places: HashMap<String, u32>,
    imports: Vec<Vec<u32>>,
    namesakes: Vec<Vec<u32>>,
    /// How well the words fit each file.
    fit: Vec<f32>,
}

/// Tests that come early because the words fit them, whatever links them to a change.
const FITTING_MAX: usize = 12;

impl Index {
    /// The links of `view`, which is the view that was indexed, for an issue that `located` is
    /// the answer to.
    pub fn links(&self, view: &RepoView, located: &Located) -> Links {
        let paths = view.files.iter().map(|file| file.path.clone());
        let mut fit = vec![0.0; view.files.len()];
        located
            .files
            .iter()
            .for_each(|found| fit[found.file] = found.score);
        Links {
            fit,
            places: paths.zip(0..).collect(),
            imports: self.imports.clone(),
            namesakes: self.namesakes.clone(),
        }
    }
}

impl Links {
    /// `tests` (paths) by their nearness to the files `near`, then by how well the words
    /// fit them, then by the folders that they share with one of `near`, then as they were. A file
    /// that is new since the view was indexed has folders only.
    pub fn order(&self, tests: &[String], near: &[String]) -> Vec<(String, Nearness)> {
        let near_at: Vec<u32> = near.iter().filter_map(|path| self.at(path)).collect();
        // Files that import one of them: whoever imports those is linked indirectly.
        let importers: Vec<u32> = (0..self.imports.len() as u32)
            .filter(|&at| self.leads_to(&self.imports, at, &near_at))
            .collect();
        let fitting = self.fitting(tests);
        let placed = |test: &String| {
            let at = self.at(test);
            let leads =
                |links: &[Vec<u32>], to: &[u32]| at.is_some_and(|at| self.leads_to(links, at, to));
            let is_beside = || {
                near.iter()
                    .any(|path| folder_of_code(path) == folder_of_code(test))
            };
            let nearness = if near.contains(test) {
                Nearness::Itself
            } else if leads(&self.namesakes, &near_at) {
                Nearness::Namesake
            } else if fitting.contains(test) {
                Nearness::Fitting
            } else if leads(&self.imports, &near_at) {
                Nearness::Imports
            } else if is_beside() {
                Nearness::Beside
            } else if leads(&self.imports, &importers) {
                Nearness::Indirect
            } else {
                Nearness::Far
            };
            let shared = near.iter().map(|path| shared_folders(path, test)).max();
            (nearness, self.fit_of(test), shared.unwrap_or(0))
        };
        let mut all: Vec<_> = tests.iter().map(|test| (placed(test), test)).collect();
        all.sort_by(|((a, fit_a, shared_a), _), ((b, fit_b, shared_b), _)| {
            let by_fit = || fit_b.total_cmp(fit_a);
            let by_folders = || shared_b.cmp(shared_a);
            a.cmp(b).then_with(by_fit).then_with(by_folders)
        });
        let all = all.into_iter();
        all.map(|((nearness, ..), test)| (test.clone(), nearness))
            .collect()
    }

    /// Those of `tests` that the words fit best.
    fn fitting<'a>(&self, tests: &'a [String]) -> HashSet<&'a String> {
        let fits = |test: &&String| self.fit_of(test) > 0.0;
        let mut best: Vec<&String> = tests.iter().filter(fits).collect();
        best.sort_by(|a, b| self.fit_of(b).total_cmp(&self.fit_of(a)));
        best.truncate(FITTING_MAX);
        best.into_iter().collect()
    }

    fn fit_of(&self, path: &str) -> f32 {
        self.at(path).map_or(0.0, |at| self.fit[at as usize])
    }

    fn at(&self, path: &str) -> Option<u32> {
        self.places.get(path).copied()
    }

    fn leads_to(&self, links: &[Vec<u32>], from: u32, to: &[u32]) -> bool {
        let links = links.get(from as usize);
        links.is_some_and(|links| links.iter().any(|at| to.contains(at)))
    }
}

/// The folder of a file; of one in a folder of tests the folder around it.
fn folder_of_code(path: &str) -> &str {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (around, last) = folder.rsplit_once('/').unwrap_or(("", folder));
    match last {
        "tests" | "test" | "testing" | "__tests__" => around,
        _ => folder,
    }
}

/// Folders from the root on that two paths have in common.
fn shared_folders(a: &str, b: &str) -> usize {
    let folders = |path: &str| -> Vec<String> {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        folder.split('/').map(str::to_owned).collect()
    };
    let (a, b) = (folders(a), folders(b));
    a.iter().zip(&b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_ordered_by_what_links_them_to_a_change() {
        let files = [
            ("shop/money.py", "def add(): pass\n"),
            ("shop/cart.py", "from shop.money import add\n"),
            ("shop/tests/test_cart.py", "from shop.cart import x\n"),
            ("shop/tests/test_money.py", "import shop.money\n"),
            ("shop/tests/test_names.py", "x = 1\n"),
            ("other/tests/test_z.py", "from shop.cart import x\n"),
            ("other/tests/test_y.py", "from shop.money import add\n"),
            ("tests/test_a.py", "x = 1\n"),
            ("shop/deep/tests/test_b.py", "x = 1\n"),
        ];
        let view = RepoView::of_texts(files.into_iter());
        let links = Index::of(&view).links(&view, &Located::default());
        let tests: Vec<String> = view
            .files
            .iter()
            .map(|file| file.path.clone())
            .filter(|path| path.contains("test_"))
            .collect();
        let order = links.order(&tests, &["shop/money.py".to_owned()]);
        let order: Vec<(&str, Nearness)> = order.iter().map(|(p, n)| (p.as_str(), *n)).collect();
        assert_eq!(
            order,
            [
                ("shop/tests/test_money.py", Nearness::Namesake),
                ("other/tests/test_y.py", Nearness::Imports),
                ("shop/tests/test_cart.py", Nearness::Beside),
                ("shop/tests/test_names.py", Nearness::Beside),
                ("other/tests/test_z.py", Nearness::Indirect),
                ("shop/deep/tests/test_b.py", Nearness::Far),
                ("tests/test_a.py", Nearness::Far),
            ]
        );
        // A new file has its folder alone; with nothing near the order stays.
        let new = links.order(&tests, &["other/new.py".to_owned()]);
        assert_eq!(
            new[0],
            ("other/tests/test_y.py".to_owned(), Nearness::Beside)
        );
        let as_found: Vec<String> = links.order(&tests, &[]).into_iter().map(|t| t.0).collect();
        assert_eq!(as_found, tests);
    }
}
