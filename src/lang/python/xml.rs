//! JUnit XML as pytest writes it.
use crate::lang::junit::{Case, JunitStyle, MESSAGE_CHARS_MAX, first_lines, parse};
use crate::record::TestOutcome;
use std::path::Path;

/// Reads a JUnit XML file of a run of pytest whose working directory was `dir`.
///
/// Ids are `file::test` or `file::Class::test[param]`; a file that could not be
/// collected is an `Error` with the file as its id. A test that is listed twice
/// (its tear-down failed too) is one outcome, the worse of the two. `dir` is
/// asked which of a dotted name's prefixes is a file. `None`: not well-formed
/// to the end (the run was killed while writing), or no JUnit XML.
pub fn parse_junit(xml: &str, dir: &Path) -> Option<Vec<TestOutcome>> {
    parse(xml, &PytestXml { dir })
}

struct PytestXml<'a> {
    dir: &'a Path,
}

impl JunitStyle for PytestXml<'_> {
    /// pytest writes `tests/t.py::A::test` as class name `tests.t.A` and name
    /// `test`. Its `file` attribute is where the function was defined, which an
    /// inherited test has in another file: the class name is asked first.
    fn id(&self, case: &Case) -> String {
        if case.classname.is_empty() {
            let dotted = case.name.replace('.', "/");
            return if case.file.is_empty() {
                format!("{dotted}.py")
            } else {
                case.file.clone()
            };
        }
        let stated = case.file.strip_suffix(".py").unwrap_or(&case.file);
        let classes = |module: &str| -> Option<String> {
            let rest = case.classname.strip_prefix(module)?;
            (rest.is_empty() || rest.starts_with('.')).then(|| rest.replace('.', "::"))
        };
        if !stated.is_empty()
            && let Some(classes) = classes(&stated.replace('/', "."))
        {
            return format!("{}{classes}::{}", case.file, case.name);
        }
        let pieces: Vec<&str> = case.classname.split('.').collect();
        for n in (1..=pieces.len()).rev() {
            let file = format!("{}.py", pieces[..n].join("/"));
            if self.dir.join(&file).is_file() {
                let module = pieces[..n].join(".");
                return format!(
                    "{file}{}::{}",
                    classes(&module).unwrap_or_default(),
                    case.name
                );
            }
        }
        format!("{}::{}", case.classname, case.name)
    }

    fn message(&self, case: &Case, id: &str) -> String {
        match failure_message(&case.message, &case.text, id) {
            shown if shown.is_empty() => case.kind.clone(),
            shown => shown,
        }
    }
}

/// A failure in a few lines: those that pytest marks with `E`, else the message, else the
/// text's first; then where it was raised.
pub(super) fn failure_message(message: &str, text: &str, id: &str) -> String {
    let marked = text.lines().filter_map(|line| line.strip_prefix("E  "));
    let is_own =
        !message.is_empty() && message != "collection failure" && !text.starts_with(message);
    let mut shown = if marked.clone().next().is_some() {
        first_lines(marked.map(str::trim))
    } else if is_own {
        first_lines(message.lines())
    } else {
        first_lines(text.lines())
    };
    let file = id.split("::").next().unwrap_or_default();
    if let Some(place) = raised_at(text, file) {
        shown += &format!("\n{place}");
    }
    shown
}

/// Where pytest's traceback leaves the repository, if outside the test's own file:
/// `path, line n: code`.
fn raised_at(text: &str, test_file: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    // A frame ends with `path:line: Error`; a short one begins with `path:line: in
    // function`.
    let places = lines.iter().enumerate().rev().filter_map(|(at, line)| {
        let (path, rest) = line.split_once(':')?;
        let (number, rest) = rest.split_once(": ")?;
        let is_place = path.ends_with(".py") && !path.contains(' ');
        (is_place && number.parse::<u32>().is_ok()).then_some((at, path, number, rest))
    });
    // Frames of libraries have absolute paths.
    let mut own = places.filter(|(_, path, ..)| !path.starts_with(['/', '.']));
    let (at, path, number, rest) = own.next().filter(|(_, path, ..)| *path != test_file)?;
    let code = match rest.starts_with("in ") {
        true => lines.get(at + 1).map(|line| line.trim()),
        // The line that failed is marked.
        false => lines[..at]
            .iter()
            .rev()
            .find_map(|line| line.strip_prefix('>').map(str::trim)),
    };
    let code = code.filter(|code| !code.is_empty())?;
    let place = format!("{path}, line {number}: {code}");
    Some(place.chars().take(MESSAGE_CHARS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lang::count;
    use crate::record::{SuiteCounts, TestResult};

    #[test]
    fn a_failure_outside_the_test_says_which_line_raised_it() {
        let text = r#"    def test_x():
>       assert total([]) == 0

tests/test_a.py:3:
_ _ _ _ _

    def total(xs):
>       return fees["a"] + 1
E       KeyError: 'a'

shed/cart.py:12: KeyError"#;
        let at = |text, file| raised_at(text, file);
        assert_eq!(
            at(text, "tests/test_a.py").as_deref(),
            Some("shed/cart.py, line 12: return fees[\"a\"] + 1")
        );
        assert_eq!(at(text, "shed/cart.py"), None);
        let short =
            "shed/cart.py:7: in total\n    return 1 / n\nE   ZeroDivisionError: division by zero";
        assert_eq!(
            at(short, "t.py").as_deref(),
            Some("shed/cart.py, line 7: return 1 / n")
        );
        assert_eq!(at("/usr/lib/json.py:7: in f\n    x\nE   E", "t.py"), None);
        assert_eq!(at("assert 1 == 2", "t.py"), None);
    }

    fn parse(cases: &str) -> Vec<TestOutcome> {
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><testsuites><testsuite name=\"pytest\">{cases}</testsuite></testsuites>"
        );
        parse_junit(&xml, Path::new("/nowhere")).expect("well-formed")
    }

    #[test]
    fn ids_are_as_pytest_names_them() {
        let outcomes = parse(
            r#"<testcase classname="tests.sub.test_b.TestC.TestD" name="test_y[a::b/c.py]" file="tests/sub/test_b.py" time="0.012" />
               <testcase classname="test_a" name="test_ok" file="test_a.py" time="0" />
               <testcase classname="" name="tests.test_syn" file="tests/test_syn.py"><error message="collection failure">x
E   SyntaxError: invalid &lt;syntax&gt; &#252;</error></testcase>"#,
        );
        let ids: Vec<&str> = outcomes.iter().map(|test| test.id.as_str()).collect();
        assert_eq!(
            ids,
            [
                "tests/sub/test_b.py::TestC::TestD::test_y[a::b/c.py]",
                "test_a.py::test_ok",
                "tests/test_syn.py"
            ]
        );
        assert_eq!(outcomes[0].ms, 12);
        assert_eq!(outcomes[2].result, TestResult::Error);
        assert_eq!(outcomes[2].message, "SyntaxError: invalid <syntax> ü");
    }

    #[test]
    fn an_inherited_test_keeps_the_file_of_its_class() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("tests")).unwrap();
        std::fs::write(dir.path().join("tests/test_b.py"), "").unwrap();
        let xml = r#"<testsuites><testsuite><testcase classname="tests.test_b.TestB" name="test_x" file="tests/base.py" time="0"/></testsuite></testsuites>"#;
        let outcomes = parse_junit(xml, dir.path()).unwrap();
        assert_eq!(outcomes[0].id, "tests/test_b.py::TestB::test_x");
    }

    #[test]
    fn a_test_listed_twice_is_one_outcome_the_worse() {
        let outcomes = parse(
            r#"<testcase classname="t" name="x" file="t.py"><failure message="assert 0"/></testcase>
               <testcase classname="t" name="x" file="t.py"><error message="failed on teardown"/></testcase>"#,
        );
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].result, TestResult::Error);
        assert_eq!(
            count(&outcomes),
            SuiteCounts {
                error: 1,
                total: 1,
                ..SuiteCounts::default()
            }
        );
    }

    #[test]
    fn xml_that_breaks_off_is_none() {
        let whole = r#"<testsuites><testsuite><testcase classname="t" name="x" file="t.py"/></testsuite></testsuites>"#;
        assert!(parse_junit(whole, Path::new(".")).is_some());
        assert!(parse_junit(&whole[..60], Path::new(".")).is_none());
        assert!(parse_junit("", Path::new(".")).is_none());
        assert!(parse_junit("passed 5", Path::new(".")).is_none());
    }
}
