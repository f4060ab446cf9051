//! The page's head: what was asked, how it ended, in which setting.
use super::super::figures::{count, duration, issue_title, thousands};
use super::super::gate::ShownGate;
use super::super::limits;
use super::super::sentence::run_outcome;
use super::super::settings::settings;
use super::super::spread::Spread;
use super::super::view::RunView;
use super::markup::Markup;

pub fn header(out: &mut Markup, view: &RunView) {
    let start = &view.start;
    out.raw("<header>\n<p class=\"eyebrow\">egss · run report · ")
        .text(&start.repo)
        .raw("</p>\n<h1>")
        .text(issue_title(&start.issue))
        .raw("</h1>\n<p class=\"outcome\">")
        .text(run_outcome(view))
        .raw("</p>\n");
    if let Some(selected) = &view.selected {
        out.raw("<p class=\"why\"><strong>Why</strong> ")
            .text(&selected.reason)
            .raw("</p>\n");
    }
    facts(out, view);
    out.raw("<details class=\"prose\"><summary>The issue</summary><pre>")
        .text(&start.issue)
        .raw("</pre></details>\n<details class=\"prose\"><summary>The prompt that every branch starts from</summary><pre>")
        .text(&start.prompt_text)
        .raw("</pre></details>\n</header>\n");
    out.raw("<nav aria-label=\"Sections\"><a href=\"#tree\">Tree</a>");
    if Spread::of(view).is_some() {
        out.raw("<a href=\"#entropy\">Entropy</a>");
    }
    out.raw("<a href=\"#steps\">Steps</a>");
    if view.suite().is_some() {
        out.raw("<a href=\"#tests\">Tests</a>");
    }
    if view.selected.is_some() || !view.votes.is_empty() {
        out.raw("<a href=\"#selection\">Selection</a>");
    }
    out.raw("<a href=\"#tokens\">Tokens</a>");
    if view.ended.is_some() {
        out.raw("<a href=\"#patch\">Patch</a>");
    }
    out.raw("</nav>\n");
}

fn facts(out: &mut Markup, view: &RunView) {
    let start = &view.start;
    let total = view.usage().total();
    out.raw("<dl class=\"facts\">");
    fact(out, "Model", &start.model, &start.device);
    let strategy = &start.strategy;
    let bounds = format!(
        "n = {}, k = {}, beam {}",
        strategy.n, strategy.k, strategy.beam
    );
    fact(out, "Strategy", &strategy.name, &bounds);
    let version = format!("egss {}", start.egss_version);
    fact(out, "Seed", &start.seed.to_string(), &version);
    if let Some(gate) = ShownGate::of(view) {
        let source = format!("{}, {}", gate.signal().label(), gate.source());
        fact(out, "Branches at", &gate.threshold(), &source);
    }
    let n_branches = count(view.branches.len(), "branch");
    let n_rolled = view
        .steps
        .iter()
        .filter(|step| step.decision.branch)
        .count();
    let search = format!("{n_branches}, {n_rolled} rolled out");
    fact(out, "Search", &count(view.steps.len(), "step"), &search);
    let spent = format!("{} spent", thousands(total.spent_tokens()));
    let reused = format!("{} reused", thousands(total.reused_tokens));
    fact(out, "Tokens", &spent, &reused);
    let state = if view.ended.is_some() {
        "from start to end"
    } else {
        "up to the last event"
    };
    fact(out, "Wall time", &duration(view.wall_ms()), state);
    out.raw("</dl>\n<dl class=\"settings\" aria-label=\"Settings of the strategy\">");
    let agent = limits::settings(start);
    for (name, value) in settings(strategy).into_iter().chain(agent) {
        out.raw("<div><dt>")
            .raw(name)
            .raw("</dt><dd>")
            .text(value)
            .raw("</dd></div>");
    }
    out.raw("</dl>\n");
}

fn fact(out: &mut Markup, name: &'static str, value: &str, note: &str) {
    out.raw("<div><dt>")
        .raw(name)
        .raw("</dt><dd>")
        .text(value)
        .raw("<small>")
        .text(note)
        .raw("</small></dd></div>");
}
