//! The second runner: a tiny Rust package by cargo-nextest, offline.
use crate::support::{Files, Repository, results, sandbox, source};
use egss::lang::{RUST_SUITE_FILE, RunnerLimits};
use egss::record::{TestClass, TestResult};
use egss::verify::{OwnTests, TestRunner};

const MANIFEST: &str = "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";
const LIB: &str = "\
pub fn double(x: i64) -> i64 {
    x + 2
}

#[cfg(test)]
mod tests {
    #[test]
    fn two() {
        assert_eq!(super::double(2), 4);
    }
}
";
const API: &str = "#[test]\nfn four() { assert!(tiny::double(2) == 4); }\n";

const GOOD: &str = "use tiny::double;\n#[test]\nfn good() { assert_eq!(double(5), 10); }\n";
const WRONG: &str = "use tiny::double;\n#[test]\nfn wrong() { assert_eq!(double(5), 11); }\n";
const TRIVIAL: &str = "#[test]\nfn trivial() {}\n";
const HANGING: &str = "#[test]\nfn hanging() { loop { std::thread::yield_now() } }\n";
const ABORTING: &str = "#[test]\nfn aborting() { std::process::abort() }\n";
const NOWHERE: &str = "use tiny::gone;\n#[test]\nfn nowhere() { gone(); }\n";
const NEW_API: &str = "use tiny::triple;\n#[test]\nfn new_api() { assert_eq!(triple(2), 6); }\n";
const BROKEN: &str = "#[test]\nfn broken() { let s = \"open; }\n";

/// A second for a test; builds have their own time.
fn limits() -> RunnerLimits {
    RunnerLimits {
        test_s_max: 1,
        run_s_max: 60,
        ..RunnerLimits::default()
    }
}

/// Settings of the repository's that would let a test hang and hide a flaky one.
const LENIENT: &str = "\
[[profile.default.overrides]]
filter = 'all()'
slow-timeout = { period = \"30s\", terminate-after = 9 }
retries = 2
";

fn base() -> Repository {
    let files: Files<'_> = &[
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", LIB),
        ("tests/api.rs", API),
        (".config/nextest.toml", LENIENT),
    ];
    Repository::new(files)
}

/// Without cargo-nextest this fails with the program's own sentence, which says
/// what to do: `scripts/test` installs it.
fn nextest<'a>(sandbox: &'a egss::workspace::Sandbox, repository: &Repository) -> TestRunner<'a> {
    let runner = TestRunner::for_files(sandbox, limits(), OwnTests::default(), &repository.paths());
    runner.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_rust_package_is_tested_by_nextest_and_a_python_one_by_pytest() {
    let (sandbox, repository) = (sandbox(), base());
    assert_eq!(
        nextest(&sandbox, &repository).runner().name(),
        "cargo-nextest"
    );
    let mixed = Repository::new(&[("Cargo.toml", MANIFEST), ("tests/test_a.py", "")]);
    assert_eq!(nextest(&sandbox, &mixed).runner().name(), "pytest");
    let targets = nextest(&sandbox, &repository)
        .runner()
        .targets(&repository.paths());
    assert_eq!(targets, ["src/lib.rs", "tests/api.rs"]);
}

#[test]
fn planted_rust_tests_get_their_classes_and_one_that_only_a_patch_compiles_counts() {
    let (sandbox, repository) = (sandbox(), base());
    let runner = nextest(&sandbox, &repository);
    let right = LIB.replace("x + 2", "x * 2") + "pub fn triple(x: i64) -> i64 { x * 3 }\n";
    let weakened = "#[test]\nfn four() {}\n";
    let (plan, evaluation) = repository.evaluated(
        &runner,
        &[
            &[("src/lib.rs", &right)],
            &[
                ("src/lib.rs", &LIB.replace("x + 2", "x + 3")),
                ("tests/api.rs", weakened),
            ],
            &[("src/lib.rs", "pub fn double(x: i64) -> i64 {\n")],
        ],
        &[
            source("a", GOOD),
            source("b", WRONG),
            source("c", TRIVIAL),
            source("d", HANGING),
            source("e", ABORTING),
            source("f", NOWHERE),
            source("g", NEW_API),
            source("h", BROKEN),
        ],
        "`double` is wrong",
    );
    assert_eq!(plan.suite.file, RUST_SUITE_FILE);
    assert_eq!(plan.suite.dropped.len(), 1, "{:?}", plan.suite.dropped);
    assert!(plan.suite.dropped[0].starts_with("h: does not parse"));
    let class = |id: &str| {
        let found = evaluation
            .classified
            .classes
            .iter()
            .find(|(name, _)| name == id);
        found
            .unwrap_or_else(|| panic!("no {id} in {:#?}", evaluation.classified))
            .1
    };
    let of_suite = |name: &str| class(&format!("{RUST_SUITE_FILE}::{name}"));
    assert_eq!(of_suite("source_1::good"), TestClass::Discriminating);
    assert_eq!(of_suite("source_2::wrong"), TestClass::Unsatisfied);
    assert_eq!(of_suite("source_3::trivial"), TestClass::Regression);
    assert_eq!(of_suite("source_4::hanging"), TestClass::Unsatisfied);
    assert_eq!(of_suite("source_5::aborting"), TestClass::Unsatisfied);
    assert_eq!(of_suite("source_6::*"), TestClass::Uncollectable);
    assert_eq!(of_suite("source_7::*"), TestClass::Uncollectable);
    assert_eq!(of_suite("source_7::new_api"), TestClass::Discriminating);
    assert_eq!(class("src/lib.rs::tests::two"), TestClass::Regression);
    assert_eq!(class("tests/api.rs::four"), TestClass::Regression);

    let on_base = results(&plan.base);
    let id = |name: &str| format!("{RUST_SUITE_FILE}::{name}");
    assert_eq!(on_base[id("source_1::good").as_str()], TestResult::Failed);
    assert_eq!(on_base[id("source_4::hanging").as_str()], TestResult::Error);
    assert_eq!(
        on_base[id("source_5::aborting").as_str()],
        TestResult::Error
    );
    let message = |name: &str| {
        let test = plan.base.tests.iter().find(|test| test.id == id(name));
        test.unwrap().message.as_str()
    };
    assert!(
        message("source_1::good").contains("left: 7"),
        "{}",
        message("source_1::good")
    );
    assert_eq!(message("source_4::hanging"), "test timeout");
    assert!(message("source_6::*").contains("unresolved import `tiny::gone`"));

    // The patch that weakens a test is judged by the base's.
    let weak = results(&evaluation.patches[1]);
    assert_eq!(weak["tests/api.rs::four"], TestResult::Failed);
    // The one that does not build is named, and passes nothing.
    assert_eq!(evaluation.patches[2].counts.passed, 0);
    let (branch, fault) = &evaluation.compile_faults[0];
    assert_eq!(branch.0, 2);
    assert!(
        fault.starts_with("the package does not build: error"),
        "{fault}"
    );
}

#[test]
fn a_command_of_the_users_runs_with_the_toolchain() {
    let (sandbox, repository) = (sandbox(), base());
    let command = "CARGO_TARGET_DIR=/tmp/target cargo test --offline --test api".to_owned();
    let paths = repository.paths();
    let runner = TestRunner::for_files(
        &sandbox,
        limits(),
        OwnTests {
            command: Some(command),
            junit: None,
        },
        &paths,
    )
    .unwrap();
    let (plan, _) = repository.evaluated(&runner, &[], &[source("a", GOOD)], "x");
    let found = results(&plan.base);
    assert_eq!(found["test-cmd"], TestResult::Passed);
    assert_eq!(
        found[format!("{RUST_SUITE_FILE}::source_1::good").as_str()],
        TestResult::Failed
    );
    assert_eq!(found.len(), 2);
}
