//! What `go test -json` writes, read into what each test and package came to.
use crate::lang::junit::{MESSAGE_CHARS_MAX, MESSAGE_LINES_MAX};
use crate::record::TestResult;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Printed by the testing package when a run's time is up.
const TIMED_OUT: &str = "panic: test timed out after";

/// One line of the output. Builds have lines of their own from Go 1.24 on; before, what
/// a compiler says is on the standard error.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: String,
    #[serde(default)]
    package: String,
    #[serde(default)]
    test: String,
    #[serde(default)]
    elapsed: f64,
    #[serde(default)]
    output: String,
}

/// A test of a package.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Test {
    /// `None`: it began and did not end, or was ended by the run's time.
    pub result: Option<TestResult>,
    pub ms: u64,
    output: String,
}

/// A package that was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Package {
    /// `None`: it did not build, or the run was killed.
    pub result: Option<TestResult>,
    /// In the order in which they began.
    pub tests: Vec<(String, Test)>,
    output: String,
}

/// The events of one run, by import path.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    pub packages: BTreeMap<String, Package>,
    /// The compiler's output.
    pub errors: String,
}

/// Reads the standard output and the standard error of `go test -json`.
pub(super) fn read(stdout: &str, stderr: &str) -> Report {
    let mut report = Report::default();
    // Lines that are no JSON say that a package was not built.
    for line in stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
    {
        if line.package.is_empty() {
            report.errors += &line.output;
            continue;
        }
        let package = report.packages.entry(line.package).or_default();
        let result = match line.action.as_str() {
            "pass" => Some(TestResult::Passed),
            "fail" => Some(TestResult::Failed),
            "skip" => Some(TestResult::Skipped),
            _ => None,
        };
        if line.test.is_empty() {
            package.output += &line.output;
            package.result = result.or(package.result);
            continue;
        }
        let at = package
            .tests
            .iter()
            .position(|(name, _)| *name == line.test);
        let at = at.unwrap_or_else(|| {
            package.tests.push((line.test, Test::default()));
            package.tests.len() - 1
        });
        let test = &mut package.tests[at].1;
        test.output += &line.output;
        if result.is_some() {
            // Newer versions say of what the run's time ended that it failed.
            test.result = result.filter(|_| !test.is_timed_out());
            test.ms = (line.elapsed.max(0.0) * 1_000.0).round() as u64;
        }
    }
    let did_not_build = |package: &Package| {
        let marks = ["[build failed]", "[setup failed]"];
        marks.iter().any(|mark| package.output.contains(mark))
    };
    for package in report.packages.values_mut() {
        if did_not_build(package) {
            package.result = None;
        }
    }
    report.errors += stderr;
    report
}

impl Package {
    /// Top-level tests that began and came to no result.
    pub fn unfinished(&self) -> Vec<&str> {
        let open = self.tests.iter().filter(|(_, test)| test.result.is_none());
        let mut names: Vec<&str> = open.map(|(name, _)| top(name)).collect();
        names.dedup();
        names
    }

    /// The last that the package said, for one that failed without a failing test.
    pub fn end(&self) -> String {
        let lines = self.output.lines().filter(|line| !line.trim().is_empty());
        let lines: Vec<&str> = lines.filter(|line| !line.starts_with("FAIL")).collect();
        short(&lines[lines.len().saturating_sub(MESSAGE_LINES_MAX)..])
    }
}

impl Test {
    /// True where the run's time ended it.
    pub fn is_timed_out(&self) -> bool {
        self.output.contains(TIMED_OUT)
    }

    /// Its output, without the lines that say only that it ran; a panic's first line alone.
    pub fn message(&self) -> String {
        let lines = self.output.lines().map(str::trim);
        let lines: Vec<&str> = lines
            .filter(|line| {
                !line.is_empty() && !line.starts_with("=== ") && !line.starts_with("--- ")
            })
            .collect();
        let panic = lines.iter().position(|line| line.starts_with("panic: "));
        match panic {
            Some(at) => short(&lines[..=at]),
            None if lines.is_empty() => "a test inside it failed".to_owned(),
            None => short(&lines),
        }
    }
}

fn short(lines: &[&str]) -> String {
    let kept = &lines[..lines.len().min(MESSAGE_LINES_MAX)];
    kept.join("\n").chars().take(MESSAGE_CHARS_MAX).collect()
}

/// The function that a test is part of: `TestA` of `TestA/sub`.
pub(super) fn top(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// The compiler's output on one package: the lines below its own heads, or all where
/// it has none (what it depends on does not build).
pub(super) fn errors_of<'a>(errors: &'a str, package: &str) -> Vec<&'a str> {
    let (mut own, mut all, mut is_own) = (Vec::new(), Vec::new(), false);
    for line in errors.lines().filter(|line| !line.trim().is_empty()) {
        match line.strip_prefix("# ") {
            Some(head) => is_own = head.split(' ').next() == Some(package),
            None => {
                if is_own {
                    own.push(line);
                }
                all.push(line);
            }
        }
    }
    if own.is_empty() { all } else { own }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Go 1.19 writes.
    const STDOUT: &str = r#"FAIL	example.org/tiny/broken [build failed]
{"Action":"run","Package":"example.org/tiny","Test":"TestA"}
{"Action":"output","Package":"example.org/tiny","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"run","Package":"example.org/tiny","Test":"TestA/b"}
{"Action":"output","Package":"example.org/tiny","Test":"TestA/b","Output":"    a_test.go:7: got 3,\n"}
{"Action":"output","Package":"example.org/tiny","Test":"TestA/b","Output":"        want 4\n"}
{"Action":"output","Package":"example.org/tiny","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"example.org/tiny","Test":"TestA/b","Elapsed":0.25}
{"Action":"fail","Package":"example.org/tiny","Test":"TestA","Elapsed":0.25}
{"Action":"run","Package":"example.org/tiny","Test":"TestP"}
{"Action":"output","Package":"example.org/tiny","Test":"TestP","Output":"panic: no [recovered]\n"}
{"Action":"output","Package":"example.org/tiny","Test":"TestP","Output":"goroutine 7 [running]:\n"}
{"Action":"fail","Package":"example.org/tiny","Test":"TestP","Elapsed":0}
{"Action":"run","Package":"example.org/tiny","Test":"TestH"}
{"Action":"output","Package":"example.org/tiny","Output":"FAIL\texample.org/tiny\t0.016s\n"}
{"Action":"fail","Package":"example.org/tiny","Elapsed":0.016}
{"Action":"skip","Package":"example.org/tiny/none","Elapsed":0}
"#;
    const STDERR: &str = "# example.org/tiny/broken [example.org/tiny/broken.test]\nbroken/b_test.go:5:28: undefined: gone\n# other\nx.go:1:1: no\n";

    #[test]
    fn tests_and_packages_are_read() {
        let report = read(STDOUT, STDERR);
        let tiny = &report.packages["example.org/tiny"];
        let found: Vec<_> = tiny
            .tests
            .iter()
            .map(|(name, test)| (name.as_str(), test.result))
            .collect();
        let failed = Some(TestResult::Failed);
        assert_eq!(
            found,
            [
                ("TestA", failed),
                ("TestA/b", failed),
                ("TestP", failed),
                ("TestH", None)
            ]
        );
        assert_eq!(tiny.tests[1].1.ms, 250);
        assert_eq!(tiny.tests[1].1.message(), "a_test.go:7: got 3,\nwant 4");
        assert_eq!(tiny.tests[0].1.message(), "a test inside it failed");
        assert_eq!(tiny.tests[2].1.message(), "panic: no [recovered]");
        assert_eq!(tiny.unfinished(), ["TestH"]);
        assert_eq!(
            report.packages["example.org/tiny/none"].result,
            Some(TestResult::Skipped)
        );
        assert!(!report.packages.contains_key("example.org/tiny/broken"));
        let own = errors_of(&report.errors, "example.org/tiny/broken");
        assert_eq!(own, ["broken/b_test.go:5:28: undefined: gone"]);
        assert_eq!(errors_of(&report.errors, "example.org/tiny/user").len(), 2);
    }

    #[test]
    fn what_newer_versions_say_is_read_alike() {
        let text = r##"{"ImportPath":"e/b [e/b.test]","Action":"build-output","Output":"# e/b [e/b.test]\n"}
{"ImportPath":"e/b [e/b.test]","Action":"build-output","Output":"b/b_test.go:5:28: undefined: gone\n"}
{"ImportPath":"e/b [e/b.test]","Action":"build-fail"}
{"Action":"start","Package":"e/b"}
{"Action":"output","Package":"e/b","Output":"FAIL\te/b [build failed]\n"}
{"Action":"fail","Package":"e/b","Elapsed":0,"FailedBuild":"e/b [e/b.test]"}
{"Action":"run","Package":"e/h","Test":"TestH"}
{"Action":"output","Package":"e/h","Test":"TestH","Output":"panic: test timed out after 3s\n"}
{"Action":"fail","Package":"e/h","Test":"TestH","Elapsed":3}
{"Action":"fail","Package":"e/h","Elapsed":3}
"##;
        let report = read(text, "");
        assert_eq!(report.packages["e/b"].result, None);
        assert_eq!(
            errors_of(&report.errors, "e/b"),
            ["b/b_test.go:5:28: undefined: gone"]
        );
        assert_eq!(report.packages["e/h"].unfinished(), ["TestH"]);
    }
}
