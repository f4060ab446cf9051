//! What of the repository, as it was found, an agent works on.
use super::AgentError;
use crate::index::RepoView;
use crate::record::SuiteBuilt;
use std::collections::BTreeSet;
use std::path::Path;

/// Made once a run from the unpatched repository. Files, functions and classes
/// that are new since then are always open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Existing tests: they say what holds, and are not the agent's to change.
    pub tests: BTreeSet<String>,
    /// Files with functions that the failing examples run.
    pub reached: BTreeSet<String>,
    /// Functions and classes, as `(path, name)`, that those examples do not
    /// run: no edit by name goes there. Empty where no example says so.
    pub closed: Vec<(String, String)>,
    /// Folders that are called as folders of products are, and that git tracks: source.
    pub source_folders: BTreeSet<String>,
}

impl Scope {
    /// From the suite that was planned on the base: its tests, and what its
    /// failing examples run. Without such examples everything is open.
    pub fn of(view: &RepoView, suite: &SuiteBuilt, source_folders: &BTreeSet<String>) -> Self {
        let reached = &suite.reached;
        let tests = suite.repository_tests.iter();
        // A source file with examples in its documentation is a source file.
        let tests = tests.filter(|path| !suite.documented.contains(path));
        let mut scope = Self {
            tests: tests.cloned().collect(),
            source_folders: source_folders.clone(),
            ..Self::default()
        };
        if reached.is_empty() {
            return scope;
        }
        let sources = view.files.iter().filter(|f| f.is_source());
        for file in sources {
            let mut closed = Vec::new();
            let all = file.symbols();
            let n_named = all.iter().filter(|s| !s.is_local).count();
            for symbol in all.into_iter().filter(|s| !s.is_local) {
                let within = format!("{}.", symbol.qualified);
                let is_reached = reached.iter().any(|r| {
                    r.path == file.path
                        && (r.symbol == symbol.qualified || r.symbol.starts_with(&within))
                });
                if !is_reached {
                    closed.push((file.path.clone(), symbol.qualified));
                }
            }
            if closed.len() < n_named {
                scope.reached.insert(file.path.clone());
            }
            scope.closed.extend(closed);
        }
        if scope.reached.is_empty() {
            scope.closed.clear();
        }
        scope
    }

    /// The files of a workspace.
    pub fn view(&self, dir: &Path) -> Result<RepoView, AgentError> {
        Ok(RepoView::read(dir, &self.source_folders)?)
    }

    /// Whether a file's text belongs in front of the model.
    pub fn shows(&self, path: &str) -> bool {
        self.reached.is_empty() || self.reached.contains(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::RepoFile;
    use crate::record::Reached;

    fn suite(path: &str, symbol: &str) -> SuiteBuilt {
        SuiteBuilt {
            file: "suite.py".into(),
            repository_tests: vec!["test_a.py".into()],
            reached: vec![Reached {
                path: path.into(),
                symbol: symbol.into(),
            }],
            ..SuiteBuilt::default()
        }
    }

    fn view() -> RepoView {
        let file = |(path, text): (&str, &str)| RepoFile {
            path: path.into(),
            text: Some(text.into()),
        };
        RepoView {
            files: [
                (
                    "a.py",
                    "class A:\n    def f(self):\n        pass\n\n    def g(self):\n        pass\n",
                ),
                ("b.py", "def h():\n    pass\n"),
                ("test_a.py", "def test_f():\n    pass\n"),
            ]
            .map(file)
            .into(),
        }
    }

    #[test]
    fn what_no_failing_example_runs_is_closed() {
        let scope = Scope::of(&view(), &suite("a.py", "A.f"), &BTreeSet::new());
        let closed: Vec<&str> = scope.closed.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(closed, ["A.g", "h"], "the class around `f` stays open");
        assert!(scope.shows("a.py") && !scope.shows("b.py"));
        assert!(scope.tests.contains("test_a.py"));
    }

    #[test]
    fn without_an_example_everything_is_open() {
        let mut without = suite("gone.py", "x");
        for _ in 0..2 {
            let scope = Scope::of(&view(), &without, &BTreeSet::new());
            assert!(scope.closed.is_empty() && scope.shows("b.py"));
            without.reached.clear();
        }
    }
}
