//! JUnit XML as pytest and cargo-nextest write it, read into outcomes: the
//! contract with a runner.
use crate::record::{SuiteCounts, TestOutcome, TestResult};
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use std::path::Path;

/// Lines of a failure that are kept.
const MESSAGE_LINES_MAX: usize = 4;
/// Characters of a failure that are kept.
const MESSAGE_CHARS_MAX: usize = 600;
/// What `pytest_main.py` writes of a test that came to no result of its own: it
/// hung, or its process died.
const NO_RESULT_MARKS: [&str; 2] = ["egss-time-limit", "egss-no-result"];
/// The same in the types of cargo-nextest's failures.
const NO_RESULT_TYPES: [&str; 2] = ["test timeout", "test abort"];

/// Counts by result; `total` takes skipped tests in.
pub fn count(tests: &[TestOutcome]) -> SuiteCounts {
    let of = |result| tests.iter().filter(|test| test.result == result).count() as u32;
    SuiteCounts {
        passed: of(TestResult::Passed),
        failed: of(TestResult::Failed),
        error: of(TestResult::Error),
        total: tests.len() as u32,
    }
}

/// One `<testcase>` while it is being read.
#[derive(Default)]
pub(super) struct Case {
    pub classname: String,
    pub name: String,
    file: String,
    seconds: f64,
    result: Option<TestResult>,
    /// The failure's type.
    kind: String,
    message: String,
    text: String,
}

/// Reads a JUnit XML file of a run of pytest whose working directory was `dir`.
///
/// Ids are `file::test` or `file::Class::test[param]`; a file that could not be
/// collected is an `Error` with the file as its id. A test that is listed twice
/// (its tear-down failed too) is one outcome, the worse of the two. `dir` is
/// asked which of a dotted name's prefixes is a file. `None`: not well-formed
/// to the end (the run was killed while writing), or no JUnit XML.
pub fn parse_junit(xml: &str, dir: &Path) -> Option<Vec<TestOutcome>> {
    parse_cases(xml, &|case| case.pytest_id(dir))
}

/// The same for any runner: `id_of` names a test.
pub(super) fn parse_cases(xml: &str, id_of: &dyn Fn(&Case) -> String) -> Option<Vec<TestOutcome>> {
    let mut reader = Reader::from_str(xml);
    let mut outcomes: Vec<TestOutcome> = Vec::new();
    let mut case: Option<Case> = None;
    let mut in_detail = false;
    let mut closed = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.name().as_ref() == "testcase" => case = Some(open(&tag)?),
            Event::Empty(tag) if tag.name().as_ref() == "testcase" => {
                push(&mut outcomes, open(&tag)?.finish(id_of));
            }
            Event::Start(tag) if case.is_some() => in_detail = case.as_mut()?.detail(&tag)?,
            Event::Empty(tag) if case.is_some() => {
                case.as_mut()?.detail(&tag)?;
            }
            Event::Text(text) if in_detail => case.as_mut()?.text.push_str(&text.xml10_content()),
            Event::CData(text) if in_detail => case.as_mut()?.text.push_str(&text.xml10_content()),
            Event::GeneralRef(entity) if in_detail => {
                let case = case.as_mut()?;
                match entity.resolve_char_ref().ok()? {
                    Some(character) => case.text.push(character),
                    None => {
                        let name = entity.xml10_content();
                        let known = quick_xml::escape::resolve_xml_entity(&name)?;
                        case.text.push_str(known);
                    }
                }
            }
            Event::End(tag) => match tag.name().as_ref() {
                "testcase" => push(&mut outcomes, case.take()?.finish(id_of)),
                "testsuites" | "testsuite" => closed = true,
                _ => in_detail = false,
            },
            Event::Empty(tag) if tag.name().as_ref() == "testsuite" => closed = true,
            Event::Eof => return closed.then_some(outcomes),
            _ => {}
        }
    }
}

fn open(tag: &BytesStart<'_>) -> Option<Case> {
    Some(Case {
        classname: attribute(tag, "classname")?,
        name: attribute(tag, "name")?,
        file: attribute(tag, "file")?,
        seconds: attribute(tag, "time")?.parse().unwrap_or(0.0),
        ..Case::default()
    })
}

/// An attribute's value, empty if it is not there; `None` if it is malformed.
fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    match tag.try_get_attribute(name).ok()? {
        Some(found) => Some(
            found
                .normalized_value(XmlVersion::Implicit1_0)
                .ok()?
                .into_owned(),
        ),
        None => Some(String::new()),
    }
}

fn push(outcomes: &mut Vec<TestOutcome>, new: TestOutcome) {
    match outcomes.iter_mut().find(|old| old.id == new.id) {
        None => outcomes.push(new),
        Some(old) => {
            if badness(new.result) > badness(old.result) {
                old.result = new.result;
                old.message = new.message;
            }
            old.ms = old.ms.max(new.ms);
        }
    }
}

fn badness(result: TestResult) -> u8 {
    match result {
        TestResult::Passed => 0,
        TestResult::Skipped => 1,
        TestResult::Failed => 2,
        TestResult::Error => 3,
    }
}

impl Case {
    /// Takes in a child element; true if its text is the failure's.
    fn detail(&mut self, tag: &BytesStart<'_>) -> Option<bool> {
        let result = match tag.name().as_ref() {
            "failure" => TestResult::Failed,
            "error" => TestResult::Error,
            "skipped" => TestResult::Skipped,
            _ => return Some(false),
        };
        self.result = Some(result);
        self.kind = attribute(tag, "type")?;
        self.message = attribute(tag, "message")?;
        Some(true)
    }

    fn finish(self, id_of: &dyn Fn(&Self) -> String) -> TestOutcome {
        let id = id_of(&self);
        let mut result = self.result.unwrap_or(TestResult::Passed);
        let mut message = String::new();
        if matches!(result, TestResult::Failed | TestResult::Error) {
            message = first_lines(&self.message, &self.text);
            let has_none = NO_RESULT_MARKS
                .iter()
                .any(|mark| self.message.contains(mark))
                || NO_RESULT_TYPES
                    .iter()
                    .any(|kind| self.kind.starts_with(kind));
            if has_none {
                result = TestResult::Error;
            }
            if message.is_empty() {
                message = self.kind.clone();
            }
            let file = id.split("::").next().unwrap_or_default();
            if let Some(place) = raised_at(&self.text, file) {
                message += &format!("\n{place}");
            }
        }
        TestOutcome {
            id,
            result,
            message,
            ms: (self.seconds.max(0.0) * 1_000.0).round() as u64,
        }
    }

    /// pytest writes `tests/t.py::A::test` as class name `tests.t.A` and name
    /// `test`. Its `file` attribute is where the function was defined, which an
    /// inherited test has in another file: the class name is asked first.
    fn pytest_id(&self, dir: &Path) -> String {
        if self.classname.is_empty() {
            let dotted = self.name.replace('.', "/");
            return if self.file.is_empty() {
                format!("{dotted}.py")
            } else {
                self.file.clone()
            };
        }
        let stated = self.file.strip_suffix(".py").unwrap_or(&self.file);
        let classes = |module: &str| -> Option<String> {
            let rest = self.classname.strip_prefix(module)?;
            (rest.is_empty() || rest.starts_with('.')).then(|| rest.replace('.', "::"))
        };
        if !stated.is_empty()
            && let Some(classes) = classes(&stated.replace('/', "."))
        {
            return format!("{}{classes}::{}", self.file, self.name);
        }
        let pieces: Vec<&str> = self.classname.split('.').collect();
        for n in (1..=pieces.len()).rev() {
            let file = format!("{}.py", pieces[..n].join("/"));
            if dir.join(&file).is_file() {
                let module = pieces[..n].join(".");
                return format!(
                    "{file}{}::{}",
                    classes(&module).unwrap_or_default(),
                    self.name
                );
            }
        }
        format!("{}::{}", self.classname, self.name)
    }
}

/// The lines that pytest marks with `E`, else the message, else the text's first.
fn first_lines(message: &str, text: &str) -> String {
    let marked: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("E  "))
        .map(str::trim)
        .collect();
    let lines: Vec<&str> = if !marked.is_empty() {
        marked
    } else if !message.is_empty() && message != "collection failure" && !text.starts_with(message) {
        message.lines().collect()
    } else {
        text.lines().collect()
    };
    let kept = lines[..lines.len().min(MESSAGE_LINES_MAX)].join("\n");
    kept.chars().take(MESSAGE_CHARS_MAX).collect()
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
