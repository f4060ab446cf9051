//! Figures and names as a person reads them.
use crate::record::{Candidate, Coverage, Ranked, StepOutcome, TestClass, TestResult};
use serde_json::Value;

/// A number in groups of three digits: `12,345`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `2.31`, or a dash where there is no figure. Used for nats, scores and totals.
pub fn two(value: Option<f32>) -> String {
    value.map_or_else(|| "–".into(), |value| format!("{value:.2}"))
}

/// A candidate's pass rate, with the tests that it is not of.
pub fn rate(row: &Ranked) -> String {
    match row.not_run {
        0 => two(row.pass_rate),
        n => format!("{}, {n} not run", two(row.pass_rate)),
    }
}

/// A count, or a dash for the 0 that stands for an unknown one.
pub fn known(count: u32) -> String {
    match count {
        0 => "–".into(),
        count => count.to_string(),
    }
}

/// A share as a percentage: `97.5%`.
pub fn percent(share: f32) -> String {
    format!("{:.1}%", share * 100.0)
}

/// One total as a multiple of another: `× 2.31`, or a dash for none.
pub fn times(n: u64, of: u64) -> String {
    match of {
        0 => "–".into(),
        _ => format!("× {:.2}", n as f64 / of as f64),
    }
}

/// `340 ms`, `12.4 s`, `3 min 05 s`, `1 h 02 min`.
pub fn duration(ms: u64) -> String {
    let s = ms / 1_000;
    match s {
        0 => format!("{ms} ms"),
        1..60 => format!("{}.{} s", s, ms % 1_000 / 100),
        60..3_600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
    }
}

/// `1 step`, `2 steps`; irregular plurals are not needed here.
pub fn count(n: usize, noun: &str) -> String {
    let plural = match n {
        1 => "",
        _ if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{} {noun}{plural}", thousands(n as u64))
}

/// One line of at most `chars_max` characters: white space and control
/// characters become single spaces, and an ellipsis marks what was cut.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    let mut words = text.split(blank).filter(|word| !word.is_empty());
    let mut line = String::new();
    let mut n_chars = 0;
    for word in &mut words {
        if n_chars > 0 {
            line.push(' ');
            n_chars += 1;
        }
        for c in word.chars() {
            if n_chars >= chars_max {
                line.push('…');
                return line;
            }
            line.push(c);
            n_chars += 1;
        }
    }
    line
}

/// The issue's first line with text, without Markdown's heading marks.
pub fn issue_title(issue: &str) -> String {
    let line = issue.lines().map(str::trim).find(|line| !line.is_empty());
    let title = line.unwrap_or("(empty issue)").trim_start_matches('#');
    one_line(title, 160)
}

/// An action in one line: its tool, then the values of its arguments.
///
/// The canonical form's first line is the call as JSON; where it is not (the
/// action could not be read), the text itself is shown.
pub fn action(candidate: &Candidate, chars_max: usize) -> (String, String) {
    let tool = candidate.tool.as_deref().unwrap_or("no call");
    let call = candidate.canonical.lines().next().unwrap_or_default();
    let rest = match serde_json::from_str::<Value>(call) {
        Ok(call) => arguments(&call["arguments"]),
        Err(_) if candidate.canonical.is_empty() => candidate.text.clone(),
        Err(_) => candidate.canonical.clone(),
    };
    (one_line(tool, 24), one_line(&rest, chars_max))
}

/// Strings bare, other values with their names: `src/a.py start 3, end 9`.
fn arguments(arguments: &Value) -> String {
    let Some(map) = arguments.as_object() else {
        return String::new();
    };
    let (mut words, mut others) = (Vec::new(), Vec::new());
    for (name, value) in map {
        match value {
            Value::String(text) => words.push(text.clone()),
            other => others.push(format!("{name} {other}")),
        }
    }
    words.push(others.join(", "));
    words.join(" ")
}

/// True where the step's own result speaks against its branch.
pub fn went_wrong(outcome: StepOutcome) -> bool {
    match outcome {
        StepOutcome::Ok | StepOutcome::TestsPassed | StepOutcome::Submitted => false,
        StepOutcome::Rejected
        | StepOutcome::EditFailed
        | StepOutcome::TestsFailed
        | StepOutcome::CommandFailed
        | StepOutcome::Repeated => true,
    }
}

pub fn class(class: TestClass) -> &'static str {
    match class {
        TestClass::Uncollectable => "uncollectable",
        TestClass::Discriminating => "discriminating",
        TestClass::Regression => "regression",
        TestClass::Unsatisfied => "unsatisfied",
    }
}

/// What a class means, in a clause.
pub fn class_meaning(class: TestClass) -> &'static str {
    match class {
        TestClass::Uncollectable => "could not be collected; dropped",
        TestClass::Discriminating => "fail on the base, pass on some patch",
        TestClass::Regression => "pass on the base, and should stay so",
        TestClass::Unsatisfied => "fail on the base and on every patch; not counted",
    }
}

/// Of the lines that a patch changes, those that the tests run.
pub fn coverage(coverage: Coverage) -> String {
    format!("{} of {}", coverage.covered, coverage.lines)
}

pub fn result(result: TestResult) -> &'static str {
    match result {
        TestResult::Passed => "passed",
        TestResult::Failed => "failed",
        TestResult::Error => "error",
        TestResult::Skipped => "skipped",
    }
}

/// Lines that a unified diff adds and takes away.
pub fn diff_stat(patch: &str) -> (usize, usize) {
    let mut in_hunk = false;
    let (mut added, mut removed) = (0, 0);
    for line in patch.lines() {
        match line.as_bytes().first() {
            _ if line.starts_with("diff --git ") => in_hunk = false,
            Some(b'@') => in_hunk = true,
            Some(b'+') if in_hunk => added += 1,
            Some(b'-') if in_hunk => removed += 1,
            _ => {}
        }
    }
    (added, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_read_well_at_every_size() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(duration(340), "340 ms");
        assert_eq!(duration(12_460), "12.4 s");
        assert_eq!(duration(185_000), "3 min 05 s");
        assert_eq!(duration(3_725_000), "1 h 02 min");
    }

    #[test]
    fn one_line_drops_control_characters_and_cuts_by_characters() {
        assert_eq!(one_line("a\n\t b\u{1b}[31mc", 80), "a b [31mc");
        assert_eq!(one_line("éééé", 3), "ééé…");
        assert_eq!(one_line("abc", 3), "abc");
    }

    #[test]
    fn arguments_read_as_words() {
        let call = serde_json::json!({"path": "a.py", "start": 3, "end": 9});
        assert_eq!(arguments(&call), "a.py start 3, end 9");
        assert_eq!(arguments(&serde_json::json!({})), "");
        assert_eq!(arguments(&serde_json::json!("no object")), "");
    }

    #[test]
    fn diff_stat_does_not_count_file_headers_but_counts_lines_that_look_like_them() {
        let patch = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- removed rule\n+++ added rule\n same\n";
        assert_eq!(diff_stat(patch), (1, 1));
    }
}
