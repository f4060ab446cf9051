//! The tree as inline SVG: lanes are branches, nodes are steps.
use super::super::figures::{action, count, one_line, two, went_wrong};
use super::super::layout::{self, Edge, Lane, Node, Place};
use super::super::sentence::branch_end;
use super::super::view::{RunView, chosen, signal_nats};
use super::entropy::{heat, legend};
use super::markup::Markup;
use crate::record::StepOutcome;

/// Pixels; wide trees are set closer.
struct Scale {
    column: f32,
    lane: f32,
    radius: f32,
}

const MARGIN: f32 = 30.0;
/// Room for the longest label at a lane's end, px.
const LABEL: f32 = 380.0;
const LABEL_CHARS_MAX: usize = 46;

impl Scale {
    fn of(tree: &layout::Tree) -> Self {
        match (tree.n_columns, tree.lanes.len()) {
            (..=24, ..=24) => Self {
                column: 40.0,
                lane: 34.0,
                radius: 8.0,
            },
            (..=80, ..=60) => Self {
                column: 26.0,
                lane: 26.0,
                radius: 6.0,
            },
            _ => Self {
                column: 17.0,
                lane: 20.0,
                radius: 4.5,
            },
        }
    }

    fn x(&self, place: Place) -> f32 {
        MARGIN + place.column as f32 * self.column
    }

    fn y(&self, place: Place) -> f32 {
        MARGIN + place.lane as f32 * self.lane
    }
}

pub fn tree(out: &mut Markup, view: &RunView) {
    out.raw("<section id=\"tree\" aria-labelledby=\"tree-h\">\n<h2 id=\"tree-h\">Tree</h2>\n");
    if view.branches.is_empty() {
        out.raw("<p class=\"empty\">No branch has started.</p>\n</section>\n");
        return;
    }
    out.raw("<p class=\"hint\">A row is a branch, a mark is a step, coloured by its entropy. Choose a step to open it; arrow keys move between steps.</p>\n");
    legend(out);
    let tree = layout::tree(view);
    let scale = Scale::of(&tree);
    let width = MARGIN + tree.n_columns as f32 * scale.column + LABEL;
    let height = 2.0 * MARGIN + tree.lanes.len().saturating_sub(1) as f32 * scale.lane;
    out.raw("<div class=\"canvas\"><svg role=\"group\" aria-label=\"Search tree\" width=\"")
        .text(width)
        .raw("\" height=\"")
        .text(height)
        .raw("\" viewBox=\"0 0 ")
        .text(width)
        .raw(" ")
        .text(height)
        .raw("\">\n");
    // The winning path last, above the others.
    for winning in [false, true] {
        for drawn in tree.edges.iter().filter(|edge| edge.winning == winning) {
            edge(out, &scale, drawn);
        }
    }
    let root = Place { column: 0, lane: 0 };
    out.raw("<g class=\"root\"><title>The prompt: ")
        .text(count(view.start.prompt_tokens.len(), "token"))
        .raw("</title><circle cx=\"")
        .text(scale.x(root))
        .raw("\" cy=\"")
        .text(scale.y(root))
        .raw("\" r=\"")
        .text(scale.radius * 0.6)
        .raw("\"/></g>\n");
    for drawn in &tree.nodes {
        node(out, &scale, view, drawn);
    }
    for drawn in &tree.lanes {
        label(out, &scale, view, drawn);
    }
    out.raw("</svg></div>\n</section>\n");
}

fn edge(out: &mut Markup, scale: &Scale, edge: &Edge) {
    let (x1, y1) = (scale.x(edge.from), scale.y(edge.from));
    let (x2, y2) = (scale.x(edge.to), scale.y(edge.to));
    out.raw(if edge.winning {
        "<path class=\"edge winning\" d=\"M"
    } else {
        "<path class=\"edge\" d=\"M"
    });
    if edge.from.lane == edge.to.lane {
        out.text(format_args!("{x1} {y1}H{x2}"));
    } else {
        let bend = (scale.column * 0.4).min(scale.lane * 0.4);
        out.text(format_args!(
            "{x1} {y1}V{}Q{x1} {y2} {} {y2}H{x2}",
            y2 - bend,
            x1 + bend
        ));
    }
    out.raw("\"/>\n");
}

fn node(out: &mut Markup, scale: &Scale, view: &RunView, node: &Node) {
    let step = &view.steps[node.step];
    let (x, y, r) = (scale.x(node.place), scale.y(node.place), scale.radius);
    let (tool, rest) = chosen(step).map_or_else(Default::default, |c| action(c, 60));
    out.raw("<a class=\"step ")
        .raw(heat(signal_nats(step)))
        .raw(if node.winning { " winning" } else { "" })
        .raw("\" href=\"#s")
        .text(node.step)
        .raw("\" data-c=\"")
        .text(node.place.column)
        .raw("\" data-l=\"")
        .text(node.place.lane)
        .raw("\"><title>")
        .text(format_args!(
            "Step {}: {tool} {rest}\n{} nats, {}",
            step.step,
            two(signal_nats(step)),
            step.outcome.clause()
        ));
    if step.decision.branch {
        out.text(format_args!(
            "\n{}, took {}",
            count(step.candidates.len(), "candidate"),
            step.chosen + 1
        ));
    }
    out.raw("</title>");
    if step.outcome == StepOutcome::Submitted {
        let side = 2.0 * r - 1.0;
        out.raw("<rect x=\"")
            .text(x - side / 2.0)
            .raw("\" y=\"")
            .text(y - side / 2.0)
            .raw("\" width=\"")
            .text(side)
            .raw("\" height=\"")
            .text(side)
            .raw("\" rx=\"2\"/>");
    } else {
        circle(out, "", x, y, r);
    }
    if went_wrong(step.outcome) {
        let arm = r * 0.42;
        out.raw("<path class=\"wrong\" d=\"").text(format_args!(
            "M{} {}L{} {}M{} {}L{} {}",
            x - arm,
            y - arm,
            x + arm,
            y + arm,
            x + arm,
            y - arm,
            x - arm,
            y + arm
        ));
        out.raw("\"/>");
    }
    if step.decision.branch {
        circle(out, "ring", x, y, r + 3.0);
    }
    out.raw("</a>\n");
}

fn circle(out: &mut Markup, class: &'static str, x: f32, y: f32, r: f32) {
    out.raw("<circle class=\"")
        .raw(class)
        .raw("\" cx=\"")
        .text(x)
        .raw("\" cy=\"")
        .text(y)
        .raw("\" r=\"")
        .text(r)
        .raw("\"/>");
}

fn label(out: &mut Markup, scale: &Scale, view: &RunView, lane: &Lane) {
    let Some(branch) = view.branch(lane.branch) else {
        return;
    };
    out.raw(if lane.winning {
        "<text class=\"lane winning\" x=\""
    } else {
        "<text class=\"lane\" x=\""
    })
    .text(scale.x(lane.end) + scale.radius + 10.0)
    .raw("\" y=\"")
    .text(scale.y(lane.end) + 4.0)
    .raw("\"><tspan class=\"id\">Branch ")
    .text(branch.id)
    .raw("</tspan> ")
    .text(one_line(&branch_end(view, branch), LABEL_CHARS_MAX))
    .raw("</text>\n");
}
