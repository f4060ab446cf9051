//! JUnit XML read into outcomes: the contract with a runner.
use crate::record::{SuiteCounts, TestOutcome, TestResult};
use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

/// Lines of a failure that are kept.
pub(super) const MESSAGE_LINES_MAX: usize = 4;
/// Characters of a failure that are kept.
pub(super) const MESSAGE_CHARS_MAX: usize = 600;
/// Counts by result; `total` takes skipped tests in.
pub fn count(tests: &[TestOutcome]) -> SuiteCounts {
    let of = |result| tests.iter().filter(|test| test.result == result).count() as u32;
    SuiteCounts {
        passed: of(TestResult::Passed),
        failed: of(TestResult::Failed),
        error: of(TestResult::Error),
        total: tests.len() as u32,
        not_run: 0,
    }
}

/// One `<testcase>` while it is being read.
#[derive(Default)]
pub(crate) struct Case {
    pub classname: String,
    pub name: String,
    /// Names of the suites that it stands in, the outermost first.
    pub suites: Vec<String>,
    pub file: String,
    seconds: f64,
    result: Option<TestResult>,
    /// Marked as not done yet: whatever it says, it does not count.
    is_todo: bool,
    /// The failure's type.
    pub kind: String,
    pub message: String,
    pub text: String,
}

/// The ways in which one runner's XML differs.
pub(crate) trait JunitStyle {
    /// The test's id: `file::test`.
    fn id(&self, case: &Case) -> String;

    /// True where the test came to no result of its own: it hung, or its process died.
    fn has_no_result(&self, _case: &Case) -> bool {
        false
    }

    /// The failure in a few lines: the message, unless the text repeats it.
    fn message(&self, case: &Case, _id: &str) -> String {
        let is_own = !case.message.is_empty() && !case.text.starts_with(&case.message);
        let shown = match is_own {
            true => first_lines(case.message.lines()),
            false => first_lines(case.text.lines()),
        };
        match shown.is_empty() {
            true => case.kind.clone(),
            false => shown,
        }
    }
}

/// The first lines of a failure, within the limits.
pub(super) fn first_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<&str> = lines.take(MESSAGE_LINES_MAX).collect();
    lines.join("\n").chars().take(MESSAGE_CHARS_MAX).collect()
}

/// XML of a runner that is not known: `file::name`, else `classname::name`.
struct Generic;

impl JunitStyle for Generic {
    fn id(&self, case: &Case) -> String {
        let places = [&case.file, &case.classname];
        let place = places.into_iter().find(|place| !place.is_empty());
        format!("{}::{}", place.map_or("tests", |place| place), case.name)
    }
}

/// Reads any runner's JUnit XML. `None`: not well-formed to the end, or no JUnit XML.
pub fn parse_generic(xml: &str) -> Option<Vec<TestOutcome>> {
    parse(xml, &Generic)
}

/// Reads JUnit XML. A test that is listed twice (its tear-down failed too) is one
/// outcome, the worse of the two. `None`: not well-formed to the end (the run was killed
/// while writing), or no JUnit XML.
pub(crate) fn parse(xml: &str, style: &dyn JunitStyle) -> Option<Vec<TestOutcome>> {
    let mut reader = Reader::from_str(xml);
    let mut outcomes: Vec<TestOutcome> = Vec::new();
    let mut case: Option<Case> = None;
    let mut suites: Vec<String> = Vec::new();
    let mut in_detail = false;
    // Suites that are open, `testsuites` included; `None` before the first.
    let mut n_open: Option<usize> = None;
    loop {
        match reader.read_event().ok()? {
            Event::Start(tag) if tag.name().as_ref() == "testsuites" => {
                n_open = Some(n_open.unwrap_or(0) + 1);
            }
            Event::Start(tag) if tag.name().as_ref() == "testsuite" => {
                n_open = Some(n_open.unwrap_or(0) + 1);
                suites.push(attribute(&tag, "name")?);
            }
            Event::Start(tag) if tag.name().as_ref() == "testcase" => {
                case = Some(open(&tag, &suites)?);
            }
            Event::Empty(tag) if tag.name().as_ref() == "testcase" => {
                push(&mut outcomes, open(&tag, &suites)?.finish(style));
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
                "testcase" => push(&mut outcomes, case.take()?.finish(style)),
                "testsuites" => n_open = Some(n_open?.checked_sub(1)?),
                "testsuite" => {
                    n_open = Some(n_open?.checked_sub(1)?);
                    suites.pop();
                }
                _ => in_detail = false,
            },
            Event::Empty(tag) if tag.name().as_ref().starts_with("testsuite") => {
                n_open = Some(n_open.unwrap_or(0));
            }
            Event::Eof => return (n_open == Some(0)).then_some(outcomes),
            _ => {}
        }
    }
}

fn open(tag: &BytesStart<'_>, suites: &[String]) -> Option<Case> {
    Some(Case {
        suites: suites.to_vec(),
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
            if new.result.badness() > old.result.badness() {
                old.result = new.result;
                old.message = new.message;
            }
            old.ms = old.ms.max(new.ms);
        }
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
        self.is_todo |= self.kind == "todo";
        self.message = attribute(tag, "message")?;
        Some(true)
    }

    fn finish(self, style: &dyn JunitStyle) -> TestOutcome {
        let id = style.id(&self);
        let mut result = match self.is_todo {
            true => TestResult::Skipped,
            false => self.result.unwrap_or(TestResult::Passed),
        };
        let mut message = String::new();
        if matches!(result, TestResult::Failed | TestResult::Error) {
            if style.has_no_result(&self) {
                result = TestResult::Error;
            }
            message = style.message(&self, &id);
        }
        TestOutcome {
            id,
            result,
            message,
            ms: (self.seconds.max(0.0) * 1_000.0).round() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_of_an_unknown_runner_is_read_too() {
        let xml = r#"<testsuites><testsuite>
            <testcase classname="com.shop.CartTest" name="total" time="0.5"/>
            <testcase file="cart.rb" name="mean"><failure message="expected 2">at cart.rb:3</failure></testcase>
            <testcase name="alone"><skipped/></testcase>
        </testsuite></testsuites>"#;
        let outcomes = parse_generic(xml).unwrap();
        let ids: Vec<&str> = outcomes.iter().map(|test| test.id.as_str()).collect();
        assert_eq!(
            ids,
            ["com.shop.CartTest::total", "cart.rb::mean", "tests::alone"]
        );
        assert_eq!(outcomes[1].message, "expected 2");
        assert_eq!(
            (outcomes[0].ms, outcomes[2].result),
            (500, TestResult::Skipped)
        );
    }
}
