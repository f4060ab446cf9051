//! Go's runner: small modules by the real `go test`, offline.
use crate::support::{Files, Repository, has_tool, results, sandbox, source_at};
use egss::lang::{GO_SUITE_FILE, RunnerLimits};
use egss::record::{SuiteRun, TestClass, TestResult};
use egss::verify::{OwnTests, TestRunner};
use egss::workspace::Sandbox;

const MANIFEST: &str = "module example.org/tiny\n\ngo 1.19\n";
const DOUBLE: &str = "package tiny\n\nfunc Double(x int) int { return x + 2 }\n";
const OWN: &str = "\
package tiny

import \"testing\"

func TestTwo(t *testing.T) {
	for _, name := range []string{\"a\", \"b\"} {
		t.Run(name, func(t *testing.T) {
			if got := Double(2); got != 4 {
				t.Errorf(\"got %d\", got)
			}
		})
	}
}
";

/// A second for a test; builds have their own time.
fn limits() -> RunnerLimits {
    RunnerLimits {
        test_s_max: 1,
        run_s_max: 60,
        ..RunnerLimits::default()
    }
}

fn gotest<'a>(sandbox: &'a Sandbox, repository: &Repository) -> TestRunner<'a> {
    let paths = repository.paths();
    let runner = TestRunner::for_files(sandbox, limits(), OwnTests::default(), &paths);
    runner.unwrap_or_else(|error| panic!("{error}"))
}

/// A test file of package `package` with one function of this name and body.
fn file(package: &str, name: &str, body: &str) -> String {
    format!("package {package}\n\nimport \"testing\"\n\nfunc {name}(t *testing.T) {{ {body} }}\n")
}

fn message<'a>(run: &'a SuiteRun, id: &str) -> &'a str {
    let test = run.tests.iter().find(|test| test.id == id);
    &test
        .unwrap_or_else(|| panic!("no {id} in {:#?}", run.tests))
        .message
}

#[test]
fn a_go_module_is_tested_by_go_test_with_subtests_files_and_nested_modules() {
    if !has_tool("go") {
        return;
    }
    let sandbox = sandbox();
    let nested = file("inner", "TestInner", "t.Skip()");
    let files: Files<'_> = &[
        ("go.mod", MANIFEST),
        ("double.go", DOUBLE),
        ("double_test.go", OWN),
        ("none/none.go", "package none\n"),
        ("inner/go.mod", "module example.org/inner\n\ngo 1.19\n"),
        ("inner/deep/inner_test.go", &nested),
        ("testdata/x_test.go", "no Go at all"),
    ];
    let repository = Repository::new(files);
    let runner = gotest(&sandbox, &repository);
    assert_eq!(runner.runner().name(), "go test");
    let targets = runner.runner().targets(&repository.paths());
    assert_eq!(targets, ["double_test.go", "inner/deep/inner_test.go"]);
    let (plan, _) = repository.evaluated(&runner, &[], &[], "x");
    let found = results(&plan.base);
    assert_eq!(found["double_test.go::TestTwo"], TestResult::Passed);
    assert_eq!(found["double_test.go::TestTwo/b"], TestResult::Passed);
    assert_eq!(
        found["inner/deep/inner_test.go::TestInner"],
        TestResult::Skipped
    );
    assert_eq!((found.len(), &plan.base.fault), (4, &None));
}

#[test]
fn what_hangs_dies_or_does_not_build_is_an_error_and_the_rest_counts() {
    if !has_tool("go") {
        return;
    }
    let sandbox = sandbox();
    let hard = "package hard\n\nimport (\n\t\"os\"\n\t\"testing\"\n\t\"time\"\n)\n\n\
        func TestBefore(t *testing.T) {}\n\
        func TestHangs(t *testing.T) { for {} }\n\
        func TestPanics(t *testing.T) { var m map[string]int; m[\"a\"] = 1 }\n\
        func TestExits(t *testing.T) { os.Exit(3) }\n\
        func TestSleeps(t *testing.T) { time.Sleep(1200 * time.Millisecond) }\n\
        func TestAfter(t *testing.T) {}\n";
    let main = "package early\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(*testing.M) { os.Exit(1) }\nfunc TestNever(t *testing.T) {}\n";
    let broken = file("broken", "TestBroken", "gone()");
    let user = "package user\n\nimport (\n\t\"testing\"\n\n\t\"example.org/tiny/bad\"\n)\n\nfunc TestUser(t *testing.T) { bad.X() }\n";
    let files: Files<'_> = &[
        ("go.mod", MANIFEST),
        ("double.go", DOUBLE),
        ("double_test.go", OWN),
        ("hard/hard_test.go", hard),
        ("early/early_test.go", main),
        ("broken/broken_test.go", &broken),
        ("syntax/syntax_test.go", "package syntax\n\nfunc Test(\n"),
        (
            "bad/bad.go",
            "package bad\n\nfunc X() int { return \"a\" }\n",
        ),
        ("user/user_test.go", user),
    ];
    let repository = Repository::new(files);
    let (plan, _) = repository.evaluated(&gotest(&sandbox, &repository), &[], &[], "x");
    let (run, found) = (&plan.base, results(&plan.base));
    assert_eq!(found["double_test.go::TestTwo"], TestResult::Passed);
    let hard = |name: &str| found[format!("hard/hard_test.go::{name}").as_str()];
    assert_eq!(hard("TestBefore"), TestResult::Passed);
    assert_eq!(hard("TestHangs"), TestResult::Error);
    assert_eq!(hard("TestPanics"), TestResult::Failed);
    assert_eq!(hard("TestSleeps"), TestResult::Error);
    assert_eq!(hard("TestAfter"), TestResult::Passed);
    let said = |name: &str| message(run, &format!("hard/hard_test.go::{name}"));
    assert_eq!(said("TestHangs"), "took longer than 1 s");
    assert_eq!(said("TestSleeps"), "took longer than 1 s");
    assert!(said("TestPanics").starts_with("panic: assignment to entry in nil map"));
    assert!(matches!(
        hard("TestExits"),
        TestResult::Failed | TestResult::Error
    ));
    let never = "early/early_test.go::TestNever";
    assert_eq!(found[never], TestResult::Error);
    assert!(message(run, never).starts_with("the package's tests ended before it ran"));
    assert_eq!(
        message(run, "broken/broken_test.go"),
        "does not build: broken/broken_test.go:5:33: undefined: gone"
    );
    assert!(message(run, "syntax/syntax_test.go").contains("syntax/syntax_test.go:3:"));
    assert!(message(run, "user/user_test.go").contains("bad/bad.go:3:23: cannot use \"a\""));
    for id in [
        "broken/broken_test.go",
        "syntax/syntax_test.go",
        "user/user_test.go",
    ] {
        assert_eq!(found[id], TestResult::Error);
    }
}

#[test]
fn planted_go_tests_get_their_classes_and_one_that_only_a_patch_compiles_counts() {
    if !has_tool("go") {
        return;
    }
    let sandbox = sandbox();
    let files: Files<'_> = &[
        ("go.mod", MANIFEST),
        ("double.go", DOUBLE),
        ("double_test.go", OWN),
        (
            "cart/cart.go",
            "package cart\n\nfunc size() int { return 1 }\n",
        ),
    ];
    let repository = Repository::new(files);
    let runner = gotest(&sandbox, &repository);
    let right = DOUBLE.replace("x + 2", "x * 2") + "\nfunc Triple(x int) int { return x * 3 }\n";
    let wrong = DOUBLE.replace("x + 2", "x + 3");
    let weakened = file("tiny", "TestTwo", "");
    let good = file(
        "tiny",
        "TestGood",
        "if Double(5) != 10 { t.Fatal(Double(5)) }",
    );
    let twice = file("tiny", "TestTwo", "");
    let new_api = file("tiny", "TestNew", "if Triple(2) != 6 { t.Fatal() }");
    let inside = file("cart", "TestSize", "if size() != 1 { t.Fatal() }");
    let hanging = file("tiny", "TestHangs", "select {}");
    let placeless = file("cart", "TestPlaceless", "if size() != 2 { t.Fatal() }");
    let (plan, evaluation) = repository.evaluated(
        &runner,
        &[
            &[("double.go", &right)],
            &[("double.go", &wrong), ("double_test.go", &weakened)],
            &[(
                "double.go",
                "package tiny\n\nfunc Double(x int) int { return \"x\" }\n",
            )],
        ],
        &[
            source_at(Some("good_test.go"), &good),
            source_at(Some("twice_test.go"), &twice),
            source_at(Some("good_test.go"), &new_api),
            source_at(Some("cart/size_test.go"), &inside),
            source_at(Some("hanging_test.go"), &hanging),
            source_at(None, &placeless),
            source_at(Some("broken_test.go"), "package tiny\n\nfunc TestX( {\n"),
            source_at(Some("plain.go"), "package tiny\n"),
        ],
        "`Double` is wrong",
    );
    assert_eq!(plan.suite.file, GO_SUITE_FILE);
    let dropped = &plan.suite.dropped;
    assert_eq!(dropped.len(), 2, "{dropped:?}");
    assert!(dropped[0].contains("does not parse") && dropped[1].contains("holds no test"));
    let class = |id: &str| {
        let mut classes = evaluation.classified.classes.iter();
        let found = classes.find(|(name, _)| name == id);
        found
            .unwrap_or_else(|| panic!("no {id} in {:#?}", evaluation.classified))
            .1
    };
    let of_suite = |name: &str| class(&format!("{GO_SUITE_FILE}::{name}"));
    assert_eq!(of_suite("source_1::TestGood"), TestClass::Discriminating);
    assert_eq!(of_suite("source_2::*"), TestClass::Uncollectable);
    assert_eq!(of_suite("source_3::*"), TestClass::Uncollectable);
    assert_eq!(of_suite("source_3::TestNew"), TestClass::Discriminating);
    assert_eq!(of_suite("source_4::TestSize"), TestClass::Regression);
    assert_eq!(of_suite("source_5::TestHangs"), TestClass::Unsatisfied);
    assert_eq!(of_suite("source_6::TestPlaceless"), TestClass::Unsatisfied);
    assert_eq!(class("double_test.go::TestTwo/a"), TestClass::Regression);
    let id = |name: &str| format!("{GO_SUITE_FILE}::{name}");
    assert_eq!(
        message(&plan.base, &id("source_1::TestGood")),
        "good_test.go:5: 7"
    );
    assert!(message(&plan.base, &id("source_2::*")).contains("TestTwo redeclared"));
    assert!(message(&plan.base, &id("source_3::*")).contains("undefined: Triple"));

    // The patch that weakens a test is judged by the base's.
    let weak = results(&evaluation.patches[1]);
    assert_eq!(weak["double_test.go::TestTwo/a"], TestResult::Failed);
    // The one that does not build is named, and passes nothing of that package.
    let broken = results(&evaluation.patches[2]);
    assert_eq!(broken["double_test.go"], TestResult::Error);
    let (branch, fault) = &evaluation.compile_faults[0];
    assert_eq!(branch.0, 2);
    assert!(
        fault.starts_with("double.go does not compile: line 3: cannot use \"x\""),
        "{fault}"
    );
}

#[test]
fn a_run_leaves_nothing_in_the_directory() {
    if !has_tool("go") {
        return;
    }
    let sandbox = sandbox();
    let files: Files<'_> = &[
        ("go.mod", MANIFEST),
        ("double.go", DOUBLE),
        ("double_test.go", OWN),
    ];
    let repository = Repository::new(files);
    let runner = gotest(&sandbox, &repository);
    let dir = crate::support::folder(files);
    let good = file("tiny", "TestGood", "");
    let suite = runner
        .runner()
        .consolidate(&[source_at(Some("new/good_test.go"), &good)])
        .unwrap();
    std::fs::write(dir.path().join(GO_SUITE_FILE), &suite.text).unwrap();
    let targets = ["double_test.go", GO_SUITE_FILE].map(str::to_owned);
    let run = runner.run(None, dir.path(), &targets).unwrap();
    assert_eq!(run.counts.passed, 4, "{:#?}", run.tests);
    let left = egss::lang::list_files(dir.path()).unwrap();
    assert_eq!(
        left,
        [GO_SUITE_FILE, "double.go", "double_test.go", "go.mod"]
    );
    assert!(!dir.path().join("new").exists());
    let fault = |text: &str| runner.runner().source_fault(dir.path(), text).unwrap();
    assert_eq!(fault(&good), None);
    let unknown = file("tiny", "TestGone", "gone()");
    assert!(fault(&unknown).unwrap().contains("undefined: gone"));
}

#[test]
fn a_module_of_which_nothing_builds_says_so_once() {
    if !has_tool("go") {
        return;
    }
    let sandbox = sandbox();
    let needs = "package tiny\n\nimport \"github.com/nobody/nothing\"\n\nvar X = nothing.X\n";
    let files: Files<'_> = &[
        ("go.mod", MANIFEST),
        ("tiny.go", needs),
        ("double_test.go", OWN),
    ];
    let repository = Repository::new(files);
    let runner = gotest(&sandbox, &repository);
    let (plan, _) = repository.evaluated(&runner, &[], &[], "x");
    let said = message(&plan.base, "go.mod");
    assert!(said.starts_with("the module does not build: "), "{said}");
    assert!(said.contains("github.com/nobody/nothing"), "{said}");
    assert_eq!(plan.base.fault.as_deref(), Some(said));
}
