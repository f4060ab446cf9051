//! Tests by base and patches: counts, then each test in its class.
use super::super::figures::{class, class_meaning, count, coverage, percent, result};
use super::super::view::{RunView, SuiteView};
use super::markup::Markup;
use crate::record::{SuiteRun, TestClass, TestResult};
use std::collections::HashMap;

pub fn tests(out: &mut Markup, view: &RunView, suite: &SuiteView) {
    out.raw("<section id=\"tests\" aria-labelledby=\"tests-h\">\n<h2 id=\"tests-h\">Tests</h2>\n");
    if let Some(built) = &suite.built {
        out.raw(
            "<p class=\"hint\">One consolidated suite, run on the unpatched base and on each patch",
        );
        if !built.repository_tests.is_empty() {
            out.raw(", with the repository’s own tests (")
                .text(built.repository_tests.join(", "))
                .raw(")");
        }
        out.raw(".</p>\n");
    }
    if suite.runs.is_empty() {
        out.raw("<p class=\"empty\">It has not run yet.</p>\n");
    } else {
        counts(out, view, suite);
        matrix(out, view, suite);
    }
    if let Some(built) = &suite.built {
        out.raw("<details class=\"prose\"><summary><code>")
            .text(&built.file)
            .raw("</code></summary><pre>")
            .text(&built.text)
            .raw("</pre>");
        if !built.sources.is_empty() {
            out.raw("<ul>");
            for source in &built.sources {
                out.raw("<li>").text(source).raw("</li>");
            }
            out.raw("</ul>");
        }
        if !built.options_dropped.is_empty() {
            out.raw("<p>Options of the project that did not hold: ")
                .text(built.options_dropped.join(", "))
                .raw("</p>");
        }
        if !built.dropped.is_empty() {
            out.raw("<p>Left out:</p><ul>");
            for dropped in &built.dropped {
                out.raw("<li>").text(dropped).raw("</li>");
            }
            out.raw("</ul>");
        }
        out.raw("</details>\n");
    }
    out.raw("</section>\n");
}

fn counts(out: &mut Markup, view: &RunView, suite: &SuiteView) {
    out.raw("<div class=\"wide\"><table><thead><tr><th>Run on</th><th class=\"n\">Passed</th><th class=\"n\">Failed</th><th class=\"n\">Error</th><th class=\"n\">Total</th><th class=\"n\">Not run</th><th class=\"n\">Counted</th><th class=\"n\">Pass rate</th><th class=\"n\">Lines run</th><th></th></tr></thead><tbody>");
    for run in &suite.runs {
        out.raw(row_class(view, run));
        out.cell(name(run));
        let counts = run.counts;
        for n in [counts.passed, counts.failed, counts.error, counts.total] {
            out.figure(n);
        }
        out.figure(counts.not_run);
        let (passed, counted) = suite.counted(run);
        out.figure(format_args!("{passed} of {counted}"));
        if counted == 0 {
            out.figure("–");
        } else {
            out.figure(percent(passed as f32 / counted as f32));
        }
        out.figure(run.coverage.map_or_else(|| "–".into(), coverage));
        out.cell(run.fault.as_deref().unwrap_or_default())
            .raw("</tr>");
    }
    out.raw("</tbody></table></div>\n");
}

fn row_class(view: &RunView, run: &SuiteRun) -> &'static str {
    match run.branch {
        Some(branch) if view.is_winner(branch) => "<tr class=\"taken\">",
        _ => "<tr>",
    }
}

fn name(run: &SuiteRun) -> String {
    run.branch
        .map_or_else(|| "base".into(), |branch| format!("branch {branch}"))
}

fn matrix(out: &mut Markup, view: &RunView, suite: &SuiteView) {
    let results: Vec<HashMap<&str, (TestResult, &str)>> = suite
        .runs
        .iter()
        .map(|run| {
            let tests = run.tests.iter();
            tests
                .map(|test| (test.id.as_str(), (test.result, test.message.as_str())))
                .collect()
        })
        .collect();
    let classes: HashMap<&str, TestClass> = suite
        .classified
        .classes
        .iter()
        .map(|(id, class)| (id.as_str(), *class))
        .collect();
    let ids = suite.test_ids();
    let groups = [
        Some(TestClass::Discriminating),
        Some(TestClass::Unsatisfied),
        Some(TestClass::Uncollectable),
        Some(TestClass::Regression),
        None,
    ];
    for group in groups {
        let members: Vec<&str> = ids
            .iter()
            .copied()
            .filter(|id| classes.get(id).copied() == group && suite.set_aside(id).is_none())
            .collect();
        if members.is_empty() {
            continue;
        }
        let quiet = members.iter().all(|id| {
            let mut found = results.iter().filter_map(|run| run.get(id));
            found.all(|(result, _)| *result == TestResult::Passed)
        });
        out.raw(if quiet {
            "<details class=\"tests\"><summary>"
        } else {
            "<details class=\"tests\" open><summary>"
        })
        .raw("<span class=\"name\">")
        .raw(group.map_or("not classed", class))
        .raw("</span><span class=\"from\">")
        .text(count(members.len(), "test"))
        .raw(", ")
        .raw(group.map_or("the record stops before classes", class_meaning))
        .raw(if quiet { "; all pass everywhere" } else { "" })
        .raw("</span></summary>");
        rows(out, view, suite, &results, &members);
    }
    let aside: Vec<&str> = ids
        .into_iter()
        .filter(|id| suite.set_aside(id).is_some())
        .collect();
    if !aside.is_empty() {
        out.raw("<details class=\"tests\" open><summary><span class=\"name\">set aside</span><span class=\"from\">")
            .text(count(aside.len(), "test"))
            .raw(", whose result says nothing of a patch; not counted</span></summary>");
        rows(out, view, suite, &results, &aside);
    }
}

/// One class's tests, each with its result in every run.
fn rows(
    out: &mut Markup,
    view: &RunView,
    suite: &SuiteView,
    results: &[HashMap<&str, (TestResult, &str)>],
    members: &[&str],
) {
    out.raw("<div class=\"wide\"><table class=\"matrix\"><thead><tr><th>Test</th>");
    for run in &suite.runs {
        let winning = run.branch.is_some_and(|branch| view.is_winner(branch));
        out.raw(if winning {
            "<th class=\"taken\">"
        } else {
            "<th>"
        })
        .text(name(run))
        .raw("</th>");
    }
    out.raw("</tr></thead><tbody>\n");
    for id in members {
        out.raw("<tr><td><code>").text(id).raw("</code>");
        if let Some(why) = suite.set_aside(id) {
            out.raw("<span class=\"aside\">").text(why).raw("</span>");
        } else if suite.is_written(id) {
            out.raw(
                "<span class=\"aside\">written by a model: it ranks, and does not decide</span>",
            );
        }
        out.raw("</td>");
        for run in results {
            cell(out, run.get(id).copied());
        }
        out.raw("</tr>\n");
    }
    out.raw("</tbody></table></div></details>\n");
}

fn cell(out: &mut Markup, found: Option<(TestResult, &str)>) {
    let Some((test, message)) = found else {
        out.raw("<td class=\"none\">–</td>");
        return;
    };
    out.raw("<td class=\"").raw(result(test)).raw("\">");
    if message.is_empty() {
        out.raw(result(test));
    } else {
        out.raw("<details><summary>")
            .raw(result(test))
            .raw("</summary><pre>")
            .text(message)
            .raw("</pre></details>");
    }
    out.raw("</td>");
}
