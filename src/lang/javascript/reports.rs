//! What JavaScript's runners write of a run: Node's and vitest's JUnit XML, jest's JSON.
use crate::lang::junit::{Case, JunitStyle, first_lines, parse};
use crate::record::{TestOutcome, TestResult};
use serde::Deserialize;

/// Between a group's name and a test's, as vitest writes it.
const WITHIN: &str = " > ";

/// Parts of the message of a test that came to no result: it hung, or ended its process.
const NO_RESULT_MARKS: [&str; 5] = [
    "Test timed out in ",
    "Hook timed out in ",
    "process.exit unexpectedly called",
    "Exceeded timeout of ",
    "test timed out after ",
];

/// Reads the XML of `node --test` over one file. An outcome with the file as its id
/// stands for the file as a whole. `None`: the XML is not whole.
pub(super) fn read_node(xml: &str, file: &str) -> Option<Vec<TestOutcome>> {
    parse(xml, &NodeXml { file })
}

struct NodeXml<'a> {
    file: &'a str,
}

impl JunitStyle for NodeXml<'_> {
    fn id(&self, case: &Case) -> String {
        // Node 20 names the file by its absolute path.
        let is_file = case.name == self.file
            || (case.name.starts_with('/') && ends_in(&case.name, self.file));
        if is_file {
            return self.file.to_owned();
        }
        let mut names = case.suites.clone();
        names.push(case.name.clone());
        // Node 20 escapes quotation marks twice.
        let name = names.join(WITHIN).replace("&quot;", "\"");
        format!("{}::{name}", self.file)
    }

    fn has_no_result(&self, case: &Case) -> bool {
        matches!(
            case.kind.as_str(),
            "testTimeoutFailure" | "cancelledByParent"
        ) || self.id(case) == self.file
    }

    /// The text's head: the attribute has no line breaks.
    fn message(&self, case: &Case, _: &str) -> String {
        let text = case.text.trim_start();
        let text = text.strip_prefix('[').unwrap_or(text);
        let text = text
            .strip_prefix("Error [ERR_TEST_FAILURE]: ")
            .unwrap_or(text);
        let is_said = |line: &&str| !line.trim_start().starts_with("at ") && !line.ends_with("{");
        let first = text.lines().next().unwrap_or_default();
        let first = first.strip_suffix("] {").unwrap_or(first);
        let rest = text.lines().skip(1).take_while(is_said);
        let rest = rest.map(str::trim_end).filter(|line| !line.is_empty());
        let said = first_lines([first.trim_end_matches(" {")].into_iter().chain(rest));
        if said.is_empty() {
            case.message.clone()
        } else {
            said
        }
    }
}

/// Reads vitest's XML. A file that could not be run is an `Error` with the file as its
/// id. `None`: it is not whole.
pub(super) fn read_vitest(xml: &str) -> Option<Vec<TestOutcome>> {
    parse(xml, &VitestXml)
}

struct VitestXml;

impl JunitStyle for VitestXml {
    fn id(&self, case: &Case) -> String {
        match case.name == case.classname {
            true => case.name.clone(),
            false => format!("{}::{}", case.classname, case.name),
        }
    }

    fn has_no_result(&self, case: &Case) -> bool {
        case.name == case.classname || has_no_result(&case.message)
    }

    fn message(&self, case: &Case, _: &str) -> String {
        first_lines(case.message.lines())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Jest {
    test_results: Vec<JestFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JestFile {
    name: String,
    status: String,
    #[serde(default)]
    message: String,
    assertion_results: Vec<JestTest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JestTest {
    ancestor_titles: Vec<String>,
    title: String,
    status: String,
    duration: Option<f64>,
    #[serde(default)]
    failure_messages: Vec<String>,
}

/// Reads jest's JSON of a run over `files` (relative paths). A file that could not be
/// run is an `Error` with the file as its id. `None`: it is not whole.
pub(super) fn read_jest(json: &str, files: &[String]) -> Option<Vec<TestOutcome>> {
    let report: Jest = serde_json::from_str(json).ok()?;
    let mut outcomes = Vec::new();
    for result in report.test_results {
        let known = files.iter().filter(|file| ends_in(&result.name, file));
        let Some(file) = known.max_by_key(|file| file.len()) else {
            continue;
        };
        if result.assertion_results.is_empty() && result.status == "failed" {
            let lines = result.message.lines().map(str::trim);
            let said = lines.filter(|line| !line.is_empty() && !line.starts_with('●'));
            outcomes.push(TestOutcome {
                id: file.clone(),
                result: TestResult::Error,
                message: first_lines(said),
                ms: 0,
            });
        }
        outcomes.extend(
            result
                .assertion_results
                .into_iter()
                .map(|test| test.outcome(file)),
        );
    }
    Some(outcomes)
}

impl JestTest {
    fn outcome(self, file: &str) -> TestOutcome {
        let mut names = self.ancestor_titles;
        names.push(self.title);
        let said = self.failure_messages.first().map_or("", String::as_str);
        let result = match self.status.as_str() {
            "passed" => TestResult::Passed,
            "failed" if has_no_result(said) => TestResult::Error,
            "failed" => TestResult::Failed,
            _ => TestResult::Skipped,
        };
        let lines = said
            .lines()
            .take_while(|line| !line.trim_start().starts_with("at "));
        let lines = lines.filter(|line| !line.trim().is_empty());
        let message = first_lines(lines);
        TestOutcome {
            id: format!("{file}::{}", names.join(WITHIN)),
            result,
            message: message
                .strip_prefix("Error: ")
                .unwrap_or(&message)
                .to_owned(),
            ms: self.duration.unwrap_or(0.0).max(0.0).round() as u64,
        }
    }
}

fn has_no_result(message: &str) -> bool {
    NO_RESULT_MARKS.iter().any(|mark| message.contains(mark))
}

/// True if an absolute path is that of a file that is given relative to some folder.
fn ends_in(path: &str, file: &str) -> bool {
    path.strip_suffix(file)
        .is_some_and(|rest| rest.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_xml_is_read_with_its_groups() {
        let xml = r#"<?xml version="1.0" encoding="utf-8"?>
<testsuites>
	<testsuite name="outer" time="0.0113">
		<testsuite name="inner" time="0.0027">
			<testcase name="says &amp;quot;no&amp;quot;" time="0.0015" classname="test" failure="7 == 10">
				<failure type="testCodeFailure" message="7 == 10">
Error [ERR_TEST_FAILURE]: 7 == 10
    at async Promise.all (index 0) {
  code: 'ERR_TEST_FAILURE',
}
				</failure>
			</testcase>
		</testsuite>
		<testcase name="deep" classname="test"><failure type="testCodeFailure" message="Expected:+ actual">
[Error [ERR_TEST_FAILURE]: Expected values to be strictly deep-equal:
+ actual - expected

+   b: 3
-   b: 4
] {
  code: 'ERR_TEST_FAILURE',
			</failure></testcase>
	</testsuite>
	<testcase name="todo" time="0.0072" classname="test" failure="1 == 2">
		<skipped type="todo" message="true"/>
		<failure type="testCodeFailure" message="1 == 2">x</failure>
	</testcase>
	<testcase name="/workspace/test/a.test.js" time="2.0" classname="test">
		<failure type="testTimeoutFailure" message="test timed out after 2000ms">
[Error [ERR_TEST_FAILURE]: test timed out after 2000ms] { code: 'ERR_TEST_FAILURE' }
		</failure>
	</testcase>
	<!-- tests 6 -->
</testsuites>"#;
        let outcomes = read_node(xml, "test/a.test.js").unwrap();
        let found: Vec<_> = outcomes.iter().map(|t| (t.id.as_str(), t.result)).collect();
        assert_eq!(
            found,
            [
                (
                    "test/a.test.js::outer > inner > says \"no\"",
                    TestResult::Failed
                ),
                ("test/a.test.js::outer > deep", TestResult::Failed),
                ("test/a.test.js::todo", TestResult::Skipped),
                ("test/a.test.js", TestResult::Error)
            ]
        );
        assert_eq!(outcomes[0].message, "7 == 10");
        let deep =
            "Expected values to be strictly deep-equal:\n+ actual - expected\n+   b: 3\n-   b: 4";
        assert_eq!(outcomes[1].message, deep);
        assert!(
            outcomes[3]
                .message
                .starts_with("test timed out after 2000ms")
        );
        let cut = xml.find("<testcase name=\"todo\"").unwrap();
        assert!(read_node(&xml[..cut], "test/a.test.js").is_none());
    }

    #[test]
    fn vitests_xml_tells_files_that_could_not_be_run() {
        let xml = r#"<testsuites name="vitest tests"><testsuite name="test/a.test.ts">
  <testcase classname="test/a.test.ts" name="outer &gt; five" time="0.0138"><failure message="expected 7 to be 10" type="AssertionError">x</failure></testcase>
  <testcase classname="test/a.test.ts" name="slow" time="1.5"><failure message="Test timed out in 1500ms.
If this is a long-running test" type="Error">x</failure></testcase>
</testsuite><testsuite name="test/b.test.ts">
  <testcase classname="test/b.test.ts" name="test/b.test.ts" time="0"><failure message="Cannot find module '../x.js'" type="Error">x</failure></testcase>
</testsuite></testsuites>"#;
        let found = read_vitest(xml).unwrap();
        let ids: Vec<_> = found.iter().map(|t| (t.id.as_str(), t.result)).collect();
        assert_eq!(
            ids,
            [
                ("test/a.test.ts::outer > five", TestResult::Failed),
                ("test/a.test.ts::slow", TestResult::Error),
                ("test/b.test.ts", TestResult::Error)
            ]
        );
        assert_eq!(found[2].message, "Cannot find module '../x.js'");
    }

    #[test]
    fn jests_json_is_read() {
        let json = r#"{"success": false, "testResults": [
  {"name": "/w/test/a.test.js", "status": "failed", "message": "", "assertionResults": [
    {"ancestorTitles": ["outer"], "title": "five", "status": "failed", "duration": 13,
     "failureMessages": ["Error: expect(received).toBe(expected)\n\nExpected: 10\n    at Object.toBe (x.js:1)"]},
    {"ancestorTitles": [], "title": "later", "status": "todo", "duration": null, "failureMessages": []},
    {"ancestorTitles": [], "title": "slow", "status": "failed", "duration": 1503,
     "failureMessages": ["Error: thrown: \"Exceeded timeout of 1500 ms for a test.\""]}]},
  {"name": "/w/test/b.test.js", "status": "failed", "assertionResults": [],
   "message": "  ● Test suite failed to run\n\n    Cannot find module '../x.js'\n"}]}"#;
        let files = ["test/a.test.js", "test/b.test.js"].map(str::to_owned);
        let found = read_jest(json, &files).unwrap();
        let ids: Vec<_> = found
            .iter()
            .map(|t| (t.id.as_str(), t.result, t.ms))
            .collect();
        assert_eq!(
            ids,
            [
                ("test/a.test.js::outer > five", TestResult::Failed, 13),
                ("test/a.test.js::later", TestResult::Skipped, 0),
                ("test/a.test.js::slow", TestResult::Error, 1503),
                ("test/b.test.js", TestResult::Error, 0)
            ]
        );
        assert_eq!(
            found[0].message,
            "expect(received).toBe(expected)\nExpected: 10"
        );
        assert_eq!(found[3].message, "Cannot find module '../x.js'");
        assert!(read_jest(&json[..90], &files).is_none());
    }
}
