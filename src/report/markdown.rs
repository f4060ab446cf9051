//! The report as short Markdown.
use super::baseline::comparison;
use super::decoding::decoding;
use super::figures::{
    action, class, count, diff_stat, duration, issue_title, known, one_line, rate, thousands, two,
};
use super::gate::ShownGate;
use super::limits;
use super::sentence::{branch_end, branch_origin, run_outcome};
use super::settings::settings;
use super::spread::Spread;
use super::view::{RunView, SuiteView, chosen, signal_nats};
use crate::base::Purpose;
use crate::record::{SuiteRun, TestClass, TestResult};
use std::fmt::{Result, Write};

/// Renders the report. Text from a model or an issue is escaped or fenced, so
/// that it stays text where the Markdown is shown.
pub fn markdown(view: &RunView) -> String {
    let mut out = String::new();
    page(&mut out, view).expect("writing to a string");
    out
}

fn page(out: &mut String, view: &RunView) -> Result {
    header(out, view)?;
    branches(out, view)?;
    steps(out, view)?;
    entropy(out, view)?;
    if let Some(suite) = view.suite() {
        tests(out, suite)?;
    }
    selection(out, view)?;
    usage(out, view)?;
    patch(out, view)
}

fn header(out: &mut String, view: &RunView) -> Result {
    let start = &view.start;
    writeln!(out, "# {}\n", inline(&issue_title(&start.issue)))?;
    writeln!(out, "**{}**\n", inline(&run_outcome(view)))?;
    if let Some(selected) = &view.selected {
        writeln!(out, "Why: {}\n", inline(&selected.reason))?;
    }
    writeln!(out, "| | |\n|---|---|")?;
    writeln!(out, "| model | {} |", inline(&start.model))?;
    writeln!(
        out,
        "| strategy | {}, n = {}, k = {} |",
        inline(&start.strategy.name),
        start.strategy.n,
        start.strategy.k
    )?;
    let agent = limits::settings(start);
    for (name, value) in settings(&start.strategy).into_iter().chain(agent) {
        writeln!(out, "| {} | {} |", name.to_lowercase(), inline(&value))?;
    }
    writeln!(out, "| seed | {} |", start.seed)?;
    writeln!(out, "| device | {} |", inline(&start.device))?;
    if let Some(gate) = ShownGate::of(view) {
        writeln!(
            out,
            "| gate | {} at {} ({}) |",
            gate.signal().label(),
            gate.threshold(),
            inline(&gate.source())
        )?;
    }
    writeln!(out, "| wall time | {} |", duration(view.wall_ms()))
}

fn branches(out: &mut String, view: &RunView) -> Result {
    writeln!(
        out,
        "\n## Branches\n\n| branch | from | own steps | end | score | mean entropy, nats | patch |\n|---:|---|---:|---|---:|---:|---|"
    )?;
    for branch in &view.branches {
        let ended = branch.ended.as_ref();
        let patch = match ended.map(|ended| diff_stat(&ended.readable())) {
            Some((0, 0)) | None => "–".into(),
            Some((added, removed)) => format!("+{added} −{removed}"),
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {patch} |",
            branch.id,
            inline(&branch_origin(view, branch)),
            branch.own_steps.len(),
            inline(&branch_end(view, branch)),
            two(ended.and_then(|ended| ended.score)),
            two(ended.and_then(|ended| ended.entropy_mean_nats)),
        )?;
    }
    Ok(())
}

fn steps(out: &mut String, view: &RunView) -> Result {
    writeln!(
        out,
        "\n## Steps\n\n| step | branch | action | entropy, nats | outcome | branched |\n|---:|---:|---|---:|---|---|"
    )?;
    for step in &view.steps {
        let (tool, rest) = chosen(step).map_or_else(Default::default, |c| action(c, 60));
        let decision = if step.decision.branch {
            let n = count(step.candidates.len(), "candidate");
            format!("{n}, took {}: ", step.chosen + 1)
        } else {
            "no: ".into()
        };
        writeln!(
            out,
            "| {} | {} | **{}** {} | {} | {} | {decision}{} |",
            step.step,
            step.branch,
            inline(&tool),
            inline(&rest),
            two(signal_nats(step)),
            step.outcome.clause(),
            inline(&step.decision.reason)
        )?;
    }
    let noted: Vec<_> = (view.steps.iter())
        .flat_map(|step| {
            limits::notes(view, step)
                .into_iter()
                .map(move |n| (step.step, n))
        })
        .collect();
    if !noted.is_empty() {
        writeln!(out, "\n## Limits\n")?;
    }
    for (step, note) in noted {
        writeln!(out, "- step {step}: {}", inline(&note))?;
    }
    Ok(())
}

fn entropy(out: &mut String, view: &RunView) -> Result {
    match Spread::of(view) {
        Some(spread) => writeln!(out, "\n{}", spread.sentence()),
        None => Ok(()),
    }
}

fn tests(out: &mut String, suite: &SuiteView) -> Result {
    writeln!(out, "\n## Tests\n")?;
    writeln!(
        out,
        "| run on | passed | failed | error | total | not run | counted | lines run |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    )?;
    for run in &suite.runs {
        let (passed, counted) = suite.counted(run);
        let counts = run.counts;
        writeln!(
            out,
            "| {}{} | {} | {} | {} | {} | {} | {passed} of {counted} | {} |",
            run_name(run),
            run.fault
                .as_deref()
                .map(|fault| format!(" ({})", inline(fault)))
                .unwrap_or_default(),
            counts.passed,
            counts.failed,
            counts.error,
            counts.total,
            counts.not_run,
            run.coverage
                .map_or_else(|| "–".into(), super::figures::coverage),
        )?;
    }
    let options = suite.built.iter().flat_map(|built| &built.options_dropped);
    let options: Vec<String> = options.map(|option| inline(option).to_string()).collect();
    if !options.is_empty() {
        writeln!(
            out,
            "\nOptions of the project that did not hold: {}.",
            options.join(", ")
        )?;
    }
    let notable: Vec<&str> = suite
        .test_ids()
        .into_iter()
        .filter(|id| suite.class(id) != Some(TestClass::Regression) || fails_somewhere(suite, id))
        .collect();
    if notable.is_empty() {
        return Ok(());
    }
    write!(out, "\n| test | class |")?;
    for run in &suite.runs {
        write!(out, " {} |", run_name(run))?;
    }
    write!(out, "\n|---|---|{}\n", "---|".repeat(suite.runs.len()))?;
    for id in notable {
        write!(
            out,
            "| {} | {} |",
            inline(id),
            match suite.set_aside(id) {
                Some(why) => format!("set aside: {}", inline(why)),
                None if suite.is_written(id) =>
                    format!("{}, written", suite.class(id).map_or("–", class)),
                None => suite.class(id).map_or("–", class).to_owned(),
            }
        )?;
        for run in &suite.runs {
            let test = run.tests.iter().find(|test| test.id == id);
            write!(
                out,
                " {} |",
                test.map_or("–", |test| super::figures::result(test.result))
            )?;
        }
        writeln!(out)?;
    }
    let rest = suite.test_ids().len();
    writeln!(
        out,
        "\nOf {}; regression tests that pass everywhere are left out.",
        count(rest, "test")
    )
}

fn fails_somewhere(suite: &SuiteView, id: &str) -> bool {
    let bad = |result: TestResult| result == TestResult::Failed || result == TestResult::Error;
    let mut runs = suite.runs.iter().flat_map(|run| &run.tests);
    runs.any(|test| test.id == id && bad(test.result))
}

fn run_name(run: &SuiteRun) -> String {
    run.branch
        .map_or_else(|| "base".into(), |branch| format!("branch {branch}"))
}

fn selection(out: &mut String, view: &RunView) -> Result {
    let Some(selected) = &view.selected else {
        return Ok(());
    };
    writeln!(
        out,
        "\n## Selection\n\n| rank | branch | pass rate | agreeing | score | votes | patch lines | |\n|---:|---:|---:|---:|---:|---:|---:|---|"
    )?;
    for (rank, row) in selected.ranking.iter().enumerate() {
        let note = if selected.branch == Some(row.branch) {
            "selected".into()
        } else if row.dropped.is_empty() {
            String::new()
        } else {
            format!("dropped: {}", inline(&row.dropped))
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {note} |",
            rank + 1,
            row.branch,
            rate(row),
            known(row.agreeing),
            two(row.score),
            two(row.vote_total),
            row.patch_lines
        )?;
    }
    if !view.votes.is_empty() {
        writeln!(out)?;
    }
    for vote in &view.votes {
        let dimensions: Vec<String> = vote
            .dimensions
            .iter()
            .map(|(name, value)| format!("{} {value:.2}", inline(name)))
            .collect();
        writeln!(
            out,
            "- {} on branch {}: {:.2} ({}){}",
            inline(&vote.voter),
            vote.branch,
            vote.total,
            dimensions.join(", "),
            if vote.gated {
                ", gated by a failing test"
            } else {
                ""
            }
        )?;
    }
    Ok(())
}

fn usage(out: &mut String, view: &RunView) -> Result {
    writeln!(
        out,
        "\n## Tokens\n\n| purpose | decoded | computed | reused | forks | blocks copied | wall time |\n|---|---:|---:|---:|---:|---:|---:|"
    )?;
    let usage = view.usage();
    let rows = Purpose::ALL.map(|purpose| (purpose.name(), usage[purpose]));
    for (name, row) in rows.into_iter().chain([("total", usage.total())]) {
        writeln!(
            out,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            thousands(row.decoded_tokens),
            thousands(row.computed_tokens),
            thousands(row.reused_tokens),
            thousands(row.forks),
            thousands(row.blocks_copied),
            duration(row.wall_ms)
        )?;
    }
    if let Some(decoding) = decoding(&usage.total()) {
        writeln!(out, "\n{decoding}.")?;
    }
    if view.reasoning_tokens() > 0 {
        let reasoning = thousands(view.reasoning_tokens());
        writeln!(
            out,
            "\nOf the agent's decoded tokens {reasoning} are reasoning."
        )?;
    }
    let found = comparison(view);
    writeln!(
        out,
        "\nSpent: {}. The same branches without forks, by this record's arithmetic: {} with one shared prompt, {} each from an empty cache.",
        thousands(found.run.spent_tokens()),
        thousands(found.shared_prompt.spent_tokens()),
        thousands(found.naive.spent_tokens())
    )
}

fn patch(out: &mut String, view: &RunView) -> Result {
    let readable = view.readable_patch();
    let patch = readable.as_ref();
    if patch.is_empty() {
        return Ok(());
    }
    let fence = "`".repeat((longest_backticks(patch) + 1).max(3));
    let end = if patch.ends_with('\n') { "" } else { "\n" };
    writeln!(out, "\n## Patch\n\n{fence}diff\n{patch}{end}{fence}")
}

fn longest_backticks(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// Text as one line that Markdown and HTML take literally.
fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in one_line(text, 400).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_text_cannot_open_markup_or_a_table_cell() {
        assert_eq!(
            inline("a|b `c` <script>\n[x](y)"),
            "a\\|b \\`c\\` &lt;script&gt; \\[x\\](y)"
        );
    }

    #[test]
    fn a_fence_is_longer_than_any_within() {
        assert_eq!(longest_backticks("a ``` b ```` c"), 4);
        assert_eq!(longest_backticks("none"), 0);
    }
}
