//! Which of JavaScript's test runners a repository's tests are for.
use crate::lang::{TextFile, is_skipped};
use serde_json::Value;
use std::path::Path;

/// A runner of JavaScript's tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `node --test`.
    Node,
    Vitest,
    Jest,
}

/// Where a package's programs are, once its dependencies are installed.
const BIN: &str = "node_modules/.bin/";
const MANIFEST: &str = "package.json";
/// Runners of tests that are none of ours, by their programs.
const OTHERS: [&str; 8] = [
    "mocha", "ava", "tap", "jasmine", "karma", "uvu", "tape", "qunit",
];

impl Kind {
    /// By a repository's paths: the runner that is installed in it, else Node's own.
    /// `None`: it is no package, its tests are another runner's, or it has none.
    pub fn of(files: &[String]) -> Option<Self> {
        let has = |path: &str| files.iter().any(|file| file == path);
        if !has(MANIFEST) {
            return None;
        }
        let is_installed = |program: &str| has(&format!("{BIN}{program}"));
        let is_set_up = |stem: &str| files.iter().any(|file| file.starts_with(stem));
        match (is_installed("vitest"), is_installed("jest")) {
            (true, true) if is_set_up("jest.config.") && !is_set_up("vitest.config.") => {
                Some(Self::Jest)
            }
            (true, _) => Some(Self::Vitest),
            (false, true) => Some(Self::Jest),
            (false, false) if OTHERS.iter().any(|program| is_installed(program)) => None,
            (false, false) => {
                let is_test = |file: &&String| is_nodes_test(file);
                files
                    .iter()
                    .any(|file| is_test(&file))
                    .then_some(Self::Node)
            }
        }
    }

    /// A sentence where the manifest in `dir` says that the tests are for a runner that
    /// is not installed there; `None` where this is the right one.
    pub fn fault(self, dir: &Path) -> Option<String> {
        if self != Self::Node {
            return None;
        }
        let file = TextFile::read(dir, MANIFEST)?;
        let manifest: Value = serde_json::from_str(file.text()).ok()?;
        let script = manifest.pointer("/scripts/test")?.as_str()?;
        let words: Vec<&str> = script.split_whitespace().collect();
        let known = ["vitest", "jest"].into_iter().chain(OTHERS);
        let mut wanted = known.filter(|program| words.contains(program));
        let program = wanted.next()?;
        let advice = match program {
            "vitest" | "jest" => "install the dependencies (`npm install`), or give --test-cmd",
            _ => "give it with --test-cmd",
        };
        Some(format!(
            "the tests are run by {program} (\"test\" of package.json), which is not to be had: {advice}"
        ))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node --test",
            Self::Vitest => "vitest",
            Self::Jest => "jest",
        }
    }

    /// The command that runs all tests, in the repository's root.
    pub fn command(self) -> &'static str {
        match self {
            Self::Node => "node --test",
            Self::Vitest => "node_modules/.bin/vitest run",
            Self::Jest => "node_modules/.bin/jest",
        }
    }

    pub fn request_for_tests(self) -> &'static str {
        match self {
            Self::Node => include_str!("augment_node.md"),
            Self::Vitest => include_str!("augment_vitest.md"),
            Self::Jest => include_str!("augment_jest.md"),
        }
    }

    /// Where a new test file stands that has no place of its own.
    pub fn new_file(self, dir: &Path) -> &'static str {
        match self {
            Self::Node => "current_issue.test.mjs",
            _ if dir.join("tsconfig.json").is_file() => "current_issue.test.ts",
            _ => "current_issue.test.js",
        }
    }
}

/// True for a file that `node --test` runs: by its own name, or below a folder `test`.
pub(super) fn is_nodes_test(path: &str) -> bool {
    let mut folders: Vec<&str> = path.split('/').collect();
    let name = folders.pop().unwrap_or(path);
    let ending = [".js", ".mjs", ".cjs"]
        .iter()
        .find(|ending| name.ends_with(**ending));
    let Some(stem) = ending.and_then(|ending| name.strip_suffix(ending)) else {
        return false;
    };
    let is_named = stem == "test"
        || stem.starts_with("test-")
        || [".test", "-test", "_test"]
            .iter()
            .any(|mark| stem.ends_with(mark));
    let is_foreign = folders
        .iter()
        .any(|folder| folder.starts_with('.') || is_skipped(folder));
    (is_named || folders.contains(&"test")) && !is_foreign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_decides_then_what_is_set_up() {
        let kind = |files: &[&str]| {
            let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
            Kind::of(&files)
        };
        let (vitest, jest) = ("node_modules/.bin/vitest", "node_modules/.bin/jest");
        assert_eq!(kind(&["package.json", "test/a.js"]), Some(Kind::Node));
        assert_eq!(kind(&["package.json", "src/a.test.mjs"]), Some(Kind::Node));
        assert_eq!(kind(&["package.json", "src/a.js", "src/a.test.ts"]), None);
        assert_eq!(kind(&["test/a.js"]), None);
        assert_eq!(kind(&["package.json", vitest]), Some(Kind::Vitest));
        assert_eq!(kind(&["package.json", jest, "a.test.js"]), Some(Kind::Jest));
        assert_eq!(kind(&["package.json", jest, vitest]), Some(Kind::Vitest));
        assert_eq!(
            kind(&["package.json", jest, vitest, "jest.config.cjs"]),
            Some(Kind::Jest)
        );
        assert_eq!(
            kind(&["package.json", "node_modules/.bin/mocha", "test/a.js"]),
            None
        );
    }

    #[test]
    fn node_finds_tests_by_name_or_folder() {
        for path in [
            "test.js",
            "a/b.test.mjs",
            "test-x.cjs",
            "a-test.js",
            "test/deep/x.js",
        ] {
            assert!(is_nodes_test(path), "{path}");
        }
        for path in [
            "testing.js",
            "src/x.js",
            "test/data.json",
            "node_modules/a/test/x.js",
            "x.test.ts",
        ] {
            assert!(!is_nodes_test(path), "{path}");
        }
    }

    #[test]
    fn a_runner_that_the_manifest_names_and_that_is_missing_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let fault = |script: &str| {
            let text = format!(r#"{{"scripts": {{"test": "{script}"}}}}"#);
            std::fs::write(dir.path().join(MANIFEST), text).unwrap();
            Kind::Node.fault(dir.path())
        };
        assert_eq!(fault("node --test"), None);
        assert!(fault("tsc && vitest run").unwrap().contains("npm install"));
        assert!(fault("mocha --exit").unwrap().contains("--test-cmd"));
    }
}
