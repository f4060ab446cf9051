//! Results in the output of a verbose unittest: `test_x (pkg.tests.Case) ... ok`.
use super::xml::failure_message;
use crate::record::{TestOutcome, TestResult};
use regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// A test's name as unittest says it; since Python 3.11 the method stands behind the class, too.
static TEST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\w+) \(([\w.]+)\)").expect("a valid pattern"));
/// The head of a failure behind all tests.
static FAILURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(ERROR|FAIL|UNEXPECTED SUCCESS): (\w+) \(([\w.]+)\)").expect("a valid pattern")
});
/// Of a class or a module whose set-up failed: none of its tests ran.
const SET_UPS: [&str; 2] = ["setUpClass", "setUpModule"];

/// The dotted module of a file, relative to where modules begin: `admin/tests.py` is
/// `admin.tests`.
pub(super) fn module_of(path: &str) -> Option<String> {
    let stem = path.strip_suffix(".py")?;
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    Some(stem.replace('/', "."))
}

/// The outcomes in the output of tests that unittest, or a runner made of it, ran verbosely.
/// `file_of` gives a module's file; tests of other modules are passed over.
///
/// An output that breaks off has the outcomes until there.
pub(super) fn read_verbose(
    output: &str,
    file_of: &dyn Fn(&str) -> Option<String>,
) -> Vec<TestOutcome> {
    let mut found = Found {
        file_of,
        tests: Vec::new(),
        places: HashMap::new(),
    };
    // The test that was named, and whose result is not known yet.
    let mut running: Option<String> = None;
    let mut lines = output.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(failure) = FAILURE.captures(line) {
            let mut text = Vec::new();
            // Between two rules; the next failure's head follows one.
            while let Some(more) = lines.next_if(|line| !line.starts_with("=====")) {
                text.push(more);
            }
            found.fail(&failure, &text.join("\n"));
            running = None;
            continue;
        }
        let mut rest = line;
        while let Some(test) = TEST.captures(rest) {
            // Of a set-up the failure behind the tests says more.
            let is_test = !SET_UPS.contains(&&test[1]);
            running = is_test.then(|| found.id(&test[1], &test[2])).flatten();
            rest = &rest[test[0].len()..];
            // A test of which a part failed ends without a word, and the next one follows.
            match rest.split_once(" ... ") {
                Some((_, next)) if TEST.is_match(next) => rest = next,
                _ => break,
            }
        }
        let Some(id) = &running else { continue };
        // The first line of its docstring may stand before the dots, what it prints behind them.
        let said = rest.rsplit(" ... ").next().unwrap_or(rest).trim();
        if let Some(result) = result_of(said) {
            found.put(id, result, String::new());
            running = None;
        }
    }
    found.tests
}

fn result_of(said: &str) -> Option<TestResult> {
    match said {
        "ok" => Some(TestResult::Passed),
        "FAIL" | "unexpected success" => Some(TestResult::Failed),
        "ERROR" => Some(TestResult::Error),
        "expected failure" => Some(TestResult::Skipped),
        said if said.starts_with("skipped ") => Some(TestResult::Skipped),
        _ => None,
    }
}

struct Found<'a> {
    file_of: &'a dyn Fn(&str) -> Option<String>,
    tests: Vec<TestOutcome>,
    places: HashMap<String, usize>,
}

impl Found<'_> {
    /// `file::Class::test` of a name and `module.Class`, or `module.Class.name`.
    fn id(&self, name: &str, place: &str) -> Option<String> {
        let place = place
            .strip_suffix(name)
            .and_then(|place| place.strip_suffix('.'))
            .unwrap_or(place);
        let (module, class) = place.rsplit_once('.')?;
        Some(format!("{}::{class}::{name}", (self.file_of)(module)?))
    }

    fn put(&mut self, id: &str, result: TestResult, message: String) {
        let at = *self.places.entry(id.to_owned()).or_insert(self.tests.len());
        let new = TestOutcome {
            id: id.to_owned(),
            result,
            message,
            ms: 0,
        };
        match self.tests.get_mut(at) {
            // A failing part of a test is worse than the whole, which may have said nothing.
            Some(old) if new.result.badness() < old.result.badness() => {}
            Some(old) => *old = new,
            None => self.tests.push(new),
        }
    }

    fn fail(&mut self, failure: &regex::Captures<'_>, text: &str) {
        let result = match &failure[1] {
            "ERROR" => TestResult::Error,
            _ => TestResult::Failed,
        };
        let (name, place) = (&failure[2], &failure[3]);
        let id = match SET_UPS.contains(&name) {
            false => self.id(name, place),
            true => {
                let (module, class) = place.rsplit_once('.').unwrap_or((place, ""));
                match (self.file_of)(module) {
                    Some(file) if !class.is_empty() => Some(format!("{file}::{class}::*")),
                    _ => (self.file_of)(place),
                }
            }
        };
        if let Some(id) = id {
            let text = text.split("\n----").next().unwrap_or(text);
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            let message = failure_message(last.unwrap_or_default().trim(), text, &id);
            self.put(&id, result, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python 3.8's form, 3.11's, a docstring, printed text, a part of a test, a class whose
    /// set-up fails, and an end that breaks off.
    const OUTPUT: &str = "\
Testing against Django installed in '/testbed/django'
test_first (admin.tests.Case) ... ok
test_second (admin.tests.Case.test_second) ... FAIL
test_described (admin.tests.Case)
It says what it does ... ok
test_prints (admin.tests.Case) ... some text
ok
test_parts (admin.tests.Case) ... test_left (admin.tests.Case) ... skipped 'no database'
test_hoped (admin.tests.Case) ... expected failure
test_other (elsewhere.Case) ... ok
setUpClass (forms.tests.Widgets) ... ERROR

======================================================================
ERROR: setUpClass (forms.tests.Widgets)
----------------------------------------------------------------------
Traceback (most recent call last):
ValueError: no widget
======================================================================
FAIL: test_second (admin.tests.Case.test_second)
----------------------------------------------------------------------
Traceback (most recent call last):
  File \"tests/admin/tests.py\", line 3, in test_second
AssertionError: 1 != 2

======================================================================
FAIL: test_parts (admin.tests.Case) (n=1)
----------------------------------------------------------------------
AssertionError: part

----------------------------------------------------------------------
Ran 7 tests in 0.1s
";

    fn read(output: &str) -> Vec<(String, TestResult, String)> {
        let file_of = |module: &str| {
            let known = ["admin.tests", "forms.tests"];
            known
                .contains(&module)
                .then(|| format!("tests/{}.py", module.replace('.', "/")))
        };
        let tests = read_verbose(output, &file_of).into_iter();
        tests.map(|t| (t.id, t.result, t.message)).collect()
    }

    #[test]
    fn results_are_read_from_what_unittest_says() {
        use TestResult::{Error, Failed, Passed, Skipped};
        let found = read(OUTPUT);
        let results: Vec<(&str, TestResult)> = found
            .iter()
            .map(|(id, result, _)| (id.strip_prefix("tests/").unwrap(), *result))
            .collect();
        assert_eq!(
            results,
            [
                ("admin/tests.py::Case::test_first", Passed),
                ("admin/tests.py::Case::test_second", Failed),
                ("admin/tests.py::Case::test_described", Passed),
                ("admin/tests.py::Case::test_prints", Passed),
                ("admin/tests.py::Case::test_left", Skipped),
                ("admin/tests.py::Case::test_hoped", Skipped),
                ("forms/tests.py::Widgets::*", Error),
                ("admin/tests.py::Case::test_parts", Failed),
            ]
        );
        assert!(found[1].2.contains("1 != 2"), "{}", found[1].2);
        assert!(found[6].2.contains("no widget"), "{}", found[6].2);
    }

    #[test]
    fn an_output_that_breaks_off_has_what_came_before() {
        let found = read("test_first (admin.tests.Case) ... ok\ntest_slow (admin.tests.Case) ... ");
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn a_file_has_a_module() {
        assert_eq!(module_of("admin/tests.py").as_deref(), Some("admin.tests"));
        assert_eq!(module_of("admin/__init__.py").as_deref(), Some("admin"));
        assert_eq!(module_of("admin/tests.txt"), None);
    }
}
