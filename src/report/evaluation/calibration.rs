//! The page of a calibration.
use super::super::ReportError;
use super::super::figures::{count, two};
use super::super::html::markup::Markup;
use super::super::html::page;
use super::charts::{Dot, curve, dots, histogram};
use super::{figure, table_end, table_head};
use crate::eval::calibration::{
    Analysis, Calibration, CurveBin, Level, Score, curve_sentence, sentences, shown,
    shown_difference,
};

/// The figures of `calibration.json` with charts: how signals spread, how they tell what
/// fails from what passes, what they add on held-out tasks, and the gate.
///
/// Errors: a chart that cannot be drawn.
pub fn calibration_html(calibration: &Calibration) -> Result<String, ReportError> {
    let mut out = Markup::default();
    header(&mut out, calibration);
    out.raw("<main>\n");
    spread(&mut out, calibration)?;
    outcome(&mut out, calibration)?;
    held_out(&mut out, calibration)?;
    gate(&mut out, calibration);
    tasks(&mut out, calibration);
    out.raw("</main>\n");
    let title = format!("Calibration of {}", calibration.model);
    Ok(page(title, out, None))
}

fn header(out: &mut Markup, c: &Calibration) {
    out.raw("<header>\n<p class=\"eyebrow\">egss · calibration · ")
        .text(&c.date)
        .raw("</p>\n<h1>What the entropy of ")
        .text(&c.model)
        .raw(" tells</h1>\n");
    for sentence in sentences(c) {
        out.raw("<p class=\"why\">").text(sentence).raw("</p>\n");
    }
    out.raw("</header>\n<nav aria-label=\"Sections\"><a href=\"#entropy\">Entropy</a><a href=\"#outcome\">Against the outcome</a><a href=\"#held-out\">Held out</a><a href=\"#gate\">Gate</a><a href=\"#tasks\">Tasks</a></nav>\n");
}

fn spread(out: &mut Markup, c: &Calibration) -> Result<(), ReportError> {
    out.raw("<section id=\"entropy\">\n<h2>Entropy of steps</h2>\n");
    let gates = c.gates();
    for d in &c.distributions {
        let gate = gates
            .iter()
            .find(|gate| Score::from(gate.signal) == d.score);
        let threshold = gate.map(|gate| f64::from(gate.threshold_nats));
        let quantiles: Vec<String> = (d.quantiles.iter())
            .map(|(q, nats)| format!("{:.0} % {nats:.2}", 100.0 * q))
            .collect();
        let caption = format!(
            "{} of {}, nats: mean {:.3}; quantiles {}.",
            d.score.name(),
            count(d.n, "step"),
            d.mean,
            quantiles.join(", ")
        );
        out.raw("<h3>").text(d.score.name()).raw("</h3>\n");
        figure(out, &histogram(d, threshold)?, &caption);
    }
    out.raw("</section>\n");
    Ok(())
}

fn outcome(out: &mut Markup, c: &Calibration) -> Result<(), ReportError> {
    out.raw("<section id=\"outcome\">\n<h2>Against the outcome</h2>\n");
    let dot = |a: &Analysis| Dot {
        label: format!("{} · {}", a.level.name(), a.score.name()),
        pooled: a.auroc,
        within_task: a.within_task.map(|w| w.estimate),
    };
    let all: Vec<Dot> = c.analyses.iter().map(dot).collect();
    let caption = "Above 0.5 what fails has the higher figure. Lines are intervals of 95 %, by drawing tasks; where one crosses 0.5, nothing is shown.";
    figure(out, &dots(&all)?, caption);
    let names = [
        "Of",
        "Score",
        "Number",
        "Failing",
        "AUROC",
        "Within a task",
        "Pairs",
        "Of tasks",
        "Short",
        "Middle",
        "Long",
        "Coefficient beside length and syntax",
    ];
    table_head(out, &names, 2);
    for a in &c.analyses {
        out.raw("<tr>")
            .cell(a.level.name())
            .cell(a.score.name())
            .figure(a.n)
            .figure(a.n_failing)
            .figure(shown(a.auroc))
            .figure(shown(a.within_task.map(|w| w.estimate)))
            .figure(a.within_task.map_or(0, |w| w.n_pairs))
            .figure(a.within_task.map_or(0, |w| w.n_tasks));
        for at in 0..3 {
            let auroc = a.by_length.get(at).and_then(|stratum| stratum.auroc);
            out.figure(two(auroc.map(|e| e.value as f32)));
        }
        out.figure(shown_difference(a.coefficient)).raw("</tr>\n");
    }
    table_end(out);
    out.raw("</section>\n");
    Ok(())
}

fn held_out(out: &mut Markup, c: &Calibration) -> Result<(), ReportError> {
    out.raw("<section id=\"held-out\">\n<h2>On tasks that nothing was fitted on</h2>\n");
    let signal = Score::from(c.gate.signal);
    let of = |level: Level| -> Option<&[CurveBin]> {
        let held_out = c.analysis(level, signal)?.held_out.as_ref()?;
        (!held_out.curve.is_empty()).then_some(held_out.curve.as_slice())
    };
    let named = [
        ("steps", Level::Step),
        ("trajectories, mean", Level::TrajectoryMean),
    ];
    let curves: Vec<(&str, &[CurveBin])> = (named.into_iter())
        .filter_map(|(name, level)| Some((name, of(level)?)))
        .collect();
    if !curves.is_empty() {
        let said: Vec<String> = (curves.iter())
            .map(|(name, bins)| format!("{name}: {}", curve_sentence(bins)))
            .collect();
        let caption = format!(
            "Logistic model of log length, share of syntax and {}, fitted on one half of the tasks and tried on the other. {}",
            signal.name(),
            said.join(" ")
        );
        figure(out, &curve(&curves)?, &caption);
    }
    table_head(
        out,
        &[
            "Of",
            "Score",
            "Direction",
            "Tried",
            "Length and syntax",
            "And the score",
            "Gain",
        ],
        3,
    );
    for a in &c.analyses {
        let Some(held_out) = &a.held_out else {
            continue;
        };
        for (direction, name) in held_out
            .directions
            .iter()
            .zip(["first to second", "second to first"])
        {
            out.raw("<tr>")
                .cell(a.level.name())
                .cell(a.score.name())
                .cell(name)
                .figure(direction.n_tried)
                .figure(shown(direction.without_score))
                .figure(shown(direction.with_score))
                .figure(shown_difference(direction.gain))
                .raw("</tr>\n");
        }
    }
    table_end(out);
    out.raw("</section>\n");
    Ok(())
}

fn gate(out: &mut Markup, c: &Calibration) {
    out.raw("<section id=\"gate\">\n<h2>Gate</h2>\n<p>")
        .text(format_args!(
            "{} >= {:.3} nats ({}).",
            c.gate.signal.name(),
            c.gate.threshold_nats,
            c.gate.source()
        ))
        .raw("</p>\n");
    table_head(
        out,
        &[
            "Set on",
            "Steps",
            "Threshold, nats",
            "Tried on steps",
            "Rolled out",
        ],
        1,
    );
    for (half, name) in c.stability.iter().zip(["first half", "second half"]) {
        out.raw("<tr>")
            .cell(name)
            .figure(half.n_fitted)
            .figure(format_args!("{:.2}", half.threshold_nats))
            .figure(half.n_tried)
            .figure(format_args!("{:.0} %", 100.0 * half.rolled_out))
            .raw("</tr>\n");
    }
    table_end(out);
    out.raw("</section>\n");
}

fn tasks(out: &mut Markup, c: &Calibration) {
    out.raw("<section id=\"tasks\">\n<h2>Tasks</h2>\n");
    for (half, name) in c.halves.iter().zip(["First half", "Second half"]) {
        out.raw("<h3>")
            .raw(name)
            .raw("</h3>\n<p>")
            .text(half.join(", "))
            .raw("</p>\n");
    }
    out.raw("</section>\n");
}
