//! JavaScript's runners: small packages by the real Node, vitest and jest, offline.
use crate::support::{Files, Repository, folder, has_tool, results, sandbox, source_at};
use egss::lang::{JAVASCRIPT_SUITE_FILE, RunnerLimits, list_files};
use egss::record::{SuiteRun, TestClass, TestResult};
use egss::verify::{OwnTests, TestRunner};
use egss::workspace::Sandbox;
use std::path::{Path, PathBuf};

const MANIFEST: &str =
    "{\"name\": \"tiny\", \"type\": \"module\", \"scripts\": {\"test\": \"node --test\"}}\n";
const DOUBLE: &str = "export const double = (x) => x + 2;\n";
const OWN: &str = "\
import assert from \"node:assert/strict\";
import { describe, it } from \"node:test\";
import { double } from \"../src/double.js\";

describe(\"double\", () => {
  it(\"doubles two\", () => assert.equal(double(2), 4));
});
";

fn limits() -> RunnerLimits {
    RunnerLimits {
        test_s_max: 1,
        run_s_max: 60,
        ..RunnerLimits::default()
    }
}

fn runner<'a>(sandbox: &'a Sandbox, paths: &[String], limits: RunnerLimits) -> TestRunner<'a> {
    let runner = TestRunner::for_files(sandbox, limits, OwnTests::default(), paths);
    runner.unwrap_or_else(|error| panic!("{error}"))
}

/// A test file for Node with one test of this name and body.
fn file(import: &str, name: &str, body: &str) -> String {
    let head = "import assert from \"node:assert/strict\";\nimport { test } from \"node:test\";\n";
    format!("{head}{import}\ntest(\"{name}\", async () => {{ {body} }});\n")
}

fn message<'a>(run: &'a SuiteRun, id: &str) -> &'a str {
    let test = run.tests.iter().find(|test| test.id == id);
    &test
        .unwrap_or_else(|| panic!("no {id} in {:#?}", run.tests))
        .message
}

#[test]
fn a_javascript_package_is_tested_by_node_and_what_hangs_or_breaks_is_an_error() {
    if !has_tool("node") {
        return;
    }
    let sandbox = sandbox();
    let hangs = file("", "hangs", "for (;;);") + "test(\"behind\", () => {});\n";
    let waits = "import { test } from \"node:test\";\ntest(\"before\", () => {});\ntest(\"waits\", () => new Promise((done) => setTimeout(done, 60_000)));\n";
    let slow = file(
        "",
        "slow",
        "await new Promise((done) => setTimeout(done, 1_300));",
    );
    let exits = file("", "exits", "process.exit(0);");
    let parent = "import { test } from \"node:test\";\ntest(\"parent\", async (t) => {\n  await t.test(\"child\", () => {});\n  throw new Error(\"late\");\n});\n";
    let gone = file(
        "import { gone } from \"../src/double.js\";",
        "gone",
        "gone();",
    );
    let files: Files<'_> = &[
        ("package.json", MANIFEST),
        ("src/double.js", DOUBLE),
        ("test/double.test.js", OWN),
        ("test/hangs.test.js", &hangs),
        ("test/waits.test.js", waits),
        ("test/slow.test.js", &slow),
        ("test/exits.test.js", &exits),
        ("test/parent.test.js", parent),
        ("test/gone.test.js", &gone),
        (
            "test/syntax.test.js",
            "import \"node:test\";\nlet s = \"open;\n",
        ),
        (
            "test/script.js",
            "import assert from \"node:assert\";\nassert.equal(1, 2);\n",
        ),
        ("node_modules/other/test/x.test.js", "no JavaScript"),
    ];
    let repository = Repository::new(files);
    let runner = runner(&sandbox, &repository.paths(), limits());
    assert_eq!(runner.runner().name(), "node --test");
    let (plan, _) = repository.evaluated(&runner, &[], &[], "x");
    let (run, found) = (&plan.base, results(&plan.base));
    assert_eq!(
        found["test/double.test.js::double > doubles two"],
        TestResult::Passed
    );
    assert_eq!(found["test/hangs.test.js"], TestResult::Error);
    assert_eq!(message(run, "test/hangs.test.js"), "took longer than 4 s");
    assert_eq!(found["test/waits.test.js::before"], TestResult::Passed);
    let waits = run
        .tests
        .iter()
        .find(|test| test.id.starts_with("test/waits.test.js") && test.result == TestResult::Error);
    assert!(
        waits.unwrap().message.starts_with("took longer than"),
        "{waits:?}"
    );
    assert_eq!(
        message(run, "test/slow.test.js::slow"),
        "took longer than 1 s"
    );
    assert_eq!(found["test/slow.test.js::slow"], TestResult::Error);
    assert_eq!(
        message(run, "test/exits.test.js"),
        "ended before it reported a test"
    );
    assert_eq!(
        found["test/parent.test.js::parent > child"],
        TestResult::Passed
    );
    assert_eq!(found["test/parent.test.js"], TestResult::Error);
    let gone = message(run, "test/gone.test.js");
    assert!(
        gone.starts_with("SyntaxError: The requested module '../src/double.js'"),
        "{gone}"
    );
    let syntax = message(run, "test/syntax.test.js");
    assert!(
        syntax.contains("SyntaxError") && syntax.ends_with("test/syntax.test.js:2"),
        "{syntax}"
    );
    assert_eq!(found["test/script.js::exit status"], TestResult::Failed);
    assert!(message(run, "test/script.js::exit status").contains("1 == 2"));
    assert!(
        !found.keys().any(|id| id.contains("node_modules")),
        "{found:?}"
    );
}

#[test]
fn planted_javascript_tests_get_their_classes_and_one_that_only_a_patch_can_load_counts() {
    if !has_tool("node") {
        return;
    }
    let sandbox = sandbox();
    let files: Files<'_> = &[
        ("package.json", MANIFEST),
        ("src/double.js", DOUBLE),
        ("test/double.test.js", OWN),
    ];
    let repository = Repository::new(files);
    let runner = runner(&sandbox, &repository.paths(), limits());
    let right = "export const double = (x) => x * 2;\nexport const triple = (x) => x * 3;\n";
    let import = "import { double } from \"../src/double.js\";";
    let good = file(import, "good", "assert.equal(double(5), 10);");
    let wrong = file(import, "wrong", "assert.equal(double(5), 11);");
    let new_api = file(
        "import { triple } from \"../src/double.js\";",
        "new",
        "assert.equal(triple(2), 6);",
    );
    let at_root = file(
        "import { double } from \"./src/double.js\";",
        "root",
        "assert.equal(double(2), 4);",
    );
    let (plan, evaluation) = repository.evaluated(
        &runner,
        &[
            &[("src/double.js", right)],
            &[
                ("src/double.js", "export const double = (x) => x + 3;\n"),
                ("test/double.test.js", ""),
            ],
            &[("src/double.js", "export const double = (x) => ;\n")],
        ],
        &[
            source_at(Some("test/good.test.js"), &good),
            source_at(Some("test/good.test.js"), &wrong),
            source_at(
                Some("test/deep/new.test.js"),
                &new_api.replace("../src", "../../src"),
            ),
            source_at(None, &at_root),
            source_at(Some("test/none.test.js"), "console.log(1);\n"),
            source_at(
                Some("test/bad.test.js"),
                "test(\"x\", () => { let s = \"open; });\n",
            ),
        ],
        "`double` is wrong",
    );
    assert_eq!(plan.suite.file, JAVASCRIPT_SUITE_FILE);
    let dropped = &plan.suite.dropped;
    assert_eq!(dropped.len(), 2, "{dropped:?}");
    assert!(dropped[0].contains("holds no test") && dropped[1].contains("does not parse"));
    let class = |id: &str| {
        let mut classes = evaluation.classified.classes.iter();
        let found = classes.find(|(name, _)| name == id);
        found
            .unwrap_or_else(|| panic!("no {id} in {:#?}", evaluation.classified))
            .1
    };
    let of_suite = |name: &str| class(&format!("{JAVASCRIPT_SUITE_FILE}::{name}"));
    assert_eq!(of_suite("source_1::good"), TestClass::Discriminating);
    assert_eq!(of_suite("source_2::wrong"), TestClass::Unsatisfied);
    assert_eq!(of_suite("source_3::*"), TestClass::Uncollectable);
    assert_eq!(of_suite("source_3::new"), TestClass::Discriminating);
    assert_eq!(of_suite("source_4::root"), TestClass::Regression);
    let own = "test/double.test.js::double > doubles two";
    assert_eq!(class(own), TestClass::Regression);
    let good = message(
        &plan.base,
        &format!("{JAVASCRIPT_SUITE_FILE}::source_1::good"),
    );
    assert!(good.contains("7 !== 10"), "{good}");

    // The patch that weakens a test is judged by the base's.
    assert_eq!(results(&evaluation.patches[1])[own], TestResult::Failed);
    let (branch, fault) = &evaluation.compile_faults[0];
    assert_eq!(branch.0, 2);
    assert!(
        fault.starts_with("src/double.js does not compile: SyntaxError"),
        "{fault}"
    );
}

#[test]
fn a_run_by_node_leaves_nothing_in_the_directory() {
    if !has_tool("node") {
        return;
    }
    let sandbox = sandbox();
    let files: Files<'_> = &[
        ("package.json", MANIFEST),
        ("src/double.js", DOUBLE),
        ("test/double.test.js", OWN),
    ];
    let dir = folder(files);
    let paths = list_files(dir.path()).unwrap();
    let runner = runner(&sandbox, &paths, limits());
    let good = file("", "good", "");
    let sources = [source_at(Some("new/good.test.js"), &good)];
    let suite = runner.runner().consolidate(&sources).unwrap();
    std::fs::write(dir.path().join(JAVASCRIPT_SUITE_FILE), &suite.text).unwrap();
    let targets = ["test/double.test.js", JAVASCRIPT_SUITE_FILE].map(str::to_owned);
    let run = runner.run(None, dir.path(), &targets).unwrap();
    assert_eq!(run.counts.passed, 2, "{:#?}", run.tests);
    let fault = |text: &str| runner.runner().source_fault(dir.path(), text).unwrap();
    assert_eq!(fault(&good), None);
    let missing = file("import \"./nowhere.js\";", "x", "");
    assert!(fault(&missing).unwrap().contains("nowhere.js"));
    std::fs::remove_file(dir.path().join(JAVASCRIPT_SUITE_FILE)).unwrap();
    assert_eq!(list_files(dir.path()).unwrap(), paths);
    assert!(!dir.path().join("new").exists());
}

#[test]
fn a_runner_that_the_manifest_names_and_that_is_not_installed_is_told_in_one_sentence() {
    if !has_tool("node") {
        return;
    }
    let (sandbox, manifest) = (sandbox(), MANIFEST.replace("node --test", "jest --silent"));
    let repository = Repository::new(&[("package.json", &manifest), ("a.test.js", OWN)]);
    let runner = runner(&sandbox, &repository.paths(), limits());
    let (plan, _) = repository.evaluated(&runner, &[], &[], "x");
    let said = plan.base.fault.as_deref().unwrap();
    assert!(
        said.contains("run by jest") && said.contains("npm install"),
        "{said}"
    );
    assert_eq!(message(&plan.base, "package.json"), said);
}

/// vitest and jest as `scripts/setup --languages` installs them.
fn packages() -> Option<PathBuf> {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join(".node/node_modules");
    let is_there = packages.is_dir();
    assert!(
        is_there || std::env::var_os("CI").is_none(),
        "there is no .node: run scripts/setup --languages"
    );
    if !is_there {
        eprintln!("passed over: there is no .node");
    }
    (is_there && has_tool("node")).then_some(packages)
}

/// A project with a copy of the installed packages, and its paths.
fn project(files: Files<'_>, packages: &Path) -> (tempfile::TempDir, Vec<String>) {
    let dir = folder(files);
    let copied = std::process::Command::new("cp")
        .args(["-a", "--reflink=auto"])
        .args([packages, &dir.path().join("node_modules")])
        .status()
        .unwrap();
    assert!(copied.success());
    for cache in [".vite", ".vite-temp"] {
        std::fs::remove_dir_all(dir.path().join("node_modules").join(cache)).ok();
    }
    let paths = list_files(dir.path()).unwrap();
    (dir, paths)
}

/// vitest and jest wait for what hangs during half of the run's time.
fn short_run() -> RunnerLimits {
    RunnerLimits {
        test_s_max: 2,
        run_s_max: 60,
        ..RunnerLimits::default()
    }
}

fn checked<'a>(runner: &TestRunner<'a>, dir: &Path, files: Files<'_>) -> (SuiteRun, Vec<String>) {
    let names = files.iter().map(|(path, _)| (*path).to_owned());
    let targets = runner.runner().targets(&names.collect::<Vec<_>>());
    let run = runner.run(None, dir, &targets).unwrap();
    (run, targets)
}

#[test]
fn a_projects_own_vitest_runs_its_tests_typescript_included() {
    let Some(packages) = packages() else {
        return;
    };
    let sandbox = sandbox();
    let head = "import { describe, expect, it, test } from \"vitest\";\n";
    let typed = format!(
        "{head}import {{ double }} from \"../src/double.ts\";\ndescribe(\"double\", () => {{\n  it(\"two\", () => {{ const four: number = 4; expect(double(2)).toBe(four); }});\n  it(\"five\", () => expect(double(5)).toBe(10));\n}});\ntest.skip(\"later\", () => {{}});\n"
    );
    let waits = format!(
        "{head}test(\"waits\", () => new Promise(() => {{}}));\ntest(\"behind\", () => {{}});\n"
    );
    let gone = format!("{head}import \"./nowhere.ts\";\ntest(\"never\", () => {{}});\n");
    let manifest = MANIFEST.replace("node --test", "vitest run");
    let files: Files<'_> = &[
        ("package.json", &manifest),
        ("tsconfig.json", "{}"),
        (
            "src/double.ts",
            "export const double = (x: number): number => x + 2;\n",
        ),
        ("test/double.test.ts", &typed),
        ("test/waits.test.js", &waits),
        ("test/gone.test.js", &gone),
    ];
    let (dir, mut paths) = project(files, &packages);
    paths.retain(|path| path != "node_modules/.bin/jest");
    let runner = runner(&sandbox, &paths, short_run());
    assert_eq!(runner.runner().name(), "vitest");
    let (run, targets) = checked(&runner, dir.path(), files);
    assert_eq!(targets.len(), 3);
    let found = results(&run);
    assert_eq!(run.fault, None, "{run:#?}");
    assert_eq!(
        found["test/double.test.ts::double > two"],
        TestResult::Passed
    );
    assert_eq!(
        found["test/double.test.ts::double > five"],
        TestResult::Failed
    );
    assert!(message(&run, "test/double.test.ts::double > five").contains("expected 7 to be 10"));
    assert_eq!(found["test/double.test.ts::later"], TestResult::Skipped);
    assert_eq!(found["test/waits.test.js::waits"], TestResult::Error);
    assert_eq!(found["test/waits.test.js::behind"], TestResult::Passed);
    assert_eq!(found["test/gone.test.js"], TestResult::Error);
    assert!(message(&run, "test/gone.test.js").contains("nowhere.ts"));

    let text = format!(
        "{head}import {{ double }} from \"./src/double.ts\";\ntest(\"new\", () => {{ const x: number = double(2); expect(x).toBe(4); }});\n"
    );
    let suite = runner
        .runner()
        .consolidate(&[source_at(None, &text)])
        .unwrap();
    std::fs::write(dir.path().join(JAVASCRIPT_SUITE_FILE), &suite.text).unwrap();
    let run = runner
        .run(None, dir.path(), &[JAVASCRIPT_SUITE_FILE.to_owned()])
        .unwrap();
    let id = format!("{JAVASCRIPT_SUITE_FILE}::source_1::new");
    assert_eq!(results(&run)[id.as_str()], TestResult::Passed, "{run:#?}");
    assert!(!dir.path().join("node_modules/.vite").exists());
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 6);
}

#[test]
fn a_projects_own_jest_runs_its_tests_and_a_file_that_never_gives_way_is_run_apart() {
    let Some(packages) = packages() else {
        return;
    };
    let sandbox = sandbox();
    let own = "const { double } = require(\"../src/double.js\");\ndescribe(\"double\", () => {\n  it(\"two\", () => expect(double(2)).toBe(4));\n  it(\"five\", () => expect(double(5)).toBe(10));\n});\ntest.todo(\"later\");\n";
    let files: Files<'_> = &[
        (
            "package.json",
            "{\"name\": \"tiny\", \"scripts\": {\"test\": \"jest\"}}\n",
        ),
        ("jest.config.js", "module.exports = {};\n"),
        ("src/double.js", "exports.double = (x) => x + 2;\n"),
        ("test/double.test.js", own),
        (
            "test/hangs.test.js",
            "test(\"hangs\", () => { for (;;); });\n",
        ),
        (
            "test/exits.test.js",
            "test(\"exits\", () => process.exit(0));\n",
        ),
        (
            "test/gone.test.js",
            "require(\"./nowhere\");\ntest(\"never\", () => {});\n",
        ),
    ];
    let (dir, paths) = project(files, &packages);
    let runner = runner(&sandbox, &paths, short_run());
    assert_eq!(runner.runner().name(), "jest");
    let (run, _) = checked(&runner, dir.path(), files);
    let found = results(&run);
    assert!(
        run.fault.as_deref().unwrap().contains("run apart"),
        "{run:#?}"
    );
    assert_eq!(
        found["test/double.test.js::double > two"],
        TestResult::Passed
    );
    assert_eq!(
        found["test/double.test.js::double > five"],
        TestResult::Failed
    );
    let said = message(&run, "test/double.test.js::double > five");
    assert!(
        said.contains("Expected: 10") && said.contains("Received: 7"),
        "{said}"
    );
    assert_eq!(found["test/double.test.js::later"], TestResult::Skipped);
    for file in [
        "test/hangs.test.js",
        "test/exits.test.js",
        "test/gone.test.js",
    ] {
        assert_eq!(found[file], TestResult::Error, "{run:#?}");
    }
    assert!(message(&run, "test/gone.test.js").contains("Cannot find module './nowhere'"));
}
