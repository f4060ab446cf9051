//! The tree as inline SVG: lanes are branches, nodes are steps.
use super::super::figures::{action, count, one_line, two, went_wrong};
use super::super::layout::{self, Edge, Lane, Node, Place, Via};
use super::super::sentence::branch_end;
use super::super::view::{RunView, chosen, signal_nats};
use super::entropy::{self, heat};
use super::markup::Markup;
use crate::record::{BranchStatus, StepOutcome};

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
/// Columns are this much wider where actions are left in their midst.
const SEAM_ROOM: f32 = 1.6;

impl Scale {
    fn of(tree: &layout::Tree) -> Self {
        let mut scale = match (tree.n_columns, tree.lanes.len()) {
            (..=24, ..=24) => Self {
                column: 44.0,
                lane: 34.0,
                radius: 8.0,
            },
            (..=80, ..=60) => Self {
                column: 28.0,
                lane: 26.0,
                radius: 6.0,
            },
            _ => Self {
                column: 19.0,
                lane: 20.0,
                radius: 4.5,
            },
        };
        if !tree.seams.is_empty() {
            scale.column *= SEAM_ROOM;
        }
        scale
    }

    fn x(&self, place: Place) -> f32 {
        MARGIN + place.column as f32 * self.column
    }

    fn y(&self, place: Place) -> f32 {
        MARGIN + place.lane as f32 * self.lane
    }

    fn bend(&self) -> f32 {
        self.column.min(self.lane) * 0.3
    }

    /// A place within an action, between the bend behind the column before and
    /// the step's own mark.
    fn x_within(&self, via: &Via) -> f32 {
        let from = self.x(via.place) + self.radius.max(self.bend());
        let to = self.x(via.place) + self.column - self.radius - self.seam() - 2.0;
        from + via.share.clamp(0.0, 1.0) * (to - from).max(0.0)
    }

    /// Half a diagonal of the mark where an action was left.
    fn seam(&self) -> f32 {
        self.radius * 0.5
    }
}

pub fn tree(out: &mut Markup, view: &RunView) {
    out.raw("<section id=\"tree\" aria-labelledby=\"tree-h\">\n<h2 id=\"tree-h\">Tree</h2>\n");
    if view.branches.is_empty() {
        out.raw("<p class=\"empty\">No branch has started.</p>\n</section>\n");
        return;
    }
    out.raw("<p class=\"hint\">A row is a branch, a mark is a step, coloured by its entropy. Choose a step to open it; arrow keys move between steps, <kbd>Enter</kbd> opens, <kbd>Esc</kbd> comes back.</p>\n");
    let tree = layout::tree(view);
    legend(out, view, &tree);
    let scale = Scale::of(&tree);
    let width = MARGIN + tree.n_columns as f32 * scale.column + LABEL;
    let height = 2.0 * MARGIN + tree.lanes.len().saturating_sub(1) as f32 * scale.lane;
    out.raw("<div class=\"canvas\"><svg role=\"group\" aria-label=\"Search tree\"")
        .px("width", width)
        .px("height", height)
        .attr("viewBox", format_args!("0 0 {width} {height}"))
        .raw(">\n");
    // The winning path last, above the others.
    for winning in [false, true] {
        for drawn in tree.edges.iter().filter(|edge| edge.winning == winning) {
            edge(out, &scale, drawn);
        }
    }
    let root = Place { column: 0, lane: 0 };
    out.raw("<g class=\"root\"><title>The prompt: ")
        .text(count(view.start.prompt_tokens.len(), "token"))
        .raw("</title>");
    circle(out, None, scale.x(root), scale.y(root), scale.radius * 0.6);
    out.raw("</g>\n");
    for drawn in &tree.seams {
        diamond(
            out,
            scale.x_within(drawn),
            scale.y(drawn.place),
            scale.seam(),
        );
    }
    for drawn in &tree.lanes {
        lane_end(out, &scale, view, drawn);
    }
    for drawn in &tree.nodes {
        node(out, &scale, view, drawn);
    }
    out.raw("</svg></div>\n</section>\n");
}

/// The colours, and those of the shapes that occur.
fn legend(out: &mut Markup, view: &RunView, tree: &layout::Tree) {
    out.raw("<p class=\"legend\">");
    entropy::scale(out);
    let mut shape = |occurs: bool, drawing: &'static str, name: &'static str| {
        if occurs {
            out.raw("<span class=\"shape\"><svg viewBox=\"0 0 16 16\" aria-hidden=\"true\">")
                .raw(drawing)
                .raw("</svg> ")
                .raw(name)
                .raw("</span>");
        }
    };
    let steps = || view.steps.iter();
    let ends = || view.branches.iter().map(|branch| branch.ended.as_ref());
    shape(
        steps().any(|step| step.decision.branch),
        "<g class=\"step hx\"><circle cx=\"8\" cy=\"8\" r=\"4\"/><circle class=\"ring\" cx=\"8\" cy=\"8\" r=\"7\"/></g>",
        "rolled out",
    );
    shape(
        !tree.seams.is_empty(),
        "<path class=\"edge\" d=\"M0 5H16M8 5V16\"/><path class=\"seam\" d=\"M8 1L12 5L8 9L4 5Z\"/>",
        "left within the action",
    );
    shape(
        steps().any(|step| went_wrong(step.outcome)),
        "<g class=\"step hx\"><circle cx=\"8\" cy=\"8\" r=\"6\"/><path class=\"wrong\" d=\"M5 5L11 11M11 5L5 11\"/></g>",
        "went wrong",
    );
    shape(
        steps().any(|step| step.outcome == StepOutcome::Submitted),
        "<g class=\"step hx\"><rect x=\"2.5\" y=\"2.5\" width=\"11\" height=\"11\" rx=\"2\"/></g>",
        "submitted",
    );
    shape(
        ends()
            .flatten()
            .any(|ended| ended.status == BranchStatus::Pruned),
        "<path class=\"edge\" d=\"M0 8H11\"/><path class=\"cut\" d=\"M11 3V13\"/>",
        "pruned",
    );
    shape(
        ends().any(|ended| ended.is_none()),
        "<path class=\"edge open\" d=\"M0 8H16\"/>",
        "still open",
    );
    out.raw("</p>\n");
}

fn edge(out: &mut Markup, scale: &Scale, edge: &Edge) {
    let bend = scale.bend();
    let (mut x, mut y) = (scale.x(edge.from), scale.y(edge.from));
    let mut path = format!("M{x:.1} {y:.1}");
    // Down to a lane, round a corner, and on along it.
    let mut along = |x_to: f32, y_to: f32| {
        if y_to != y {
            path += &format!(
                "V{:.1}Q{x:.1} {y_to:.1} {:.1} {y_to:.1}",
                y_to - bend,
                x + bend
            );
        }
        path += &format!("H{x_to:.1}");
        (x, y) = (x_to, y_to);
    };
    if let Some(via) = &edge.via {
        along(scale.x_within(via), scale.y(via.place));
    }
    along(scale.x(edge.to), scale.y(edge.to));
    out.raw("<path class=\"edge")
        .raw(if edge.winning { " winning\"" } else { "\"" })
        .attr("d", path)
        .raw("/>\n");
}

fn node(out: &mut Markup, scale: &Scale, view: &RunView, node: &Node) {
    let step = &view.steps[node.step];
    let (x, y, r) = (scale.x(node.place), scale.y(node.place), scale.radius);
    let (tool, rest) = chosen(step).map_or_else(Default::default, |c| action(c, 60));
    out.raw("<a class=\"step ")
        .raw(heat(signal_nats(step)))
        .raw(if node.winning { " winning\"" } else { "\"" })
        .attr("href", format_args!("#s{}", node.step))
        .attr("data-c", node.place.column)
        .attr("data-l", node.place.lane)
        .raw("><title>")
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
        out.raw("<rect")
            .px("x", x - side / 2.0)
            .px("y", y - side / 2.0)
            .px("width", side)
            .px("height", side)
            .raw(" rx=\"2\"/>");
    } else {
        circle(out, None, x, y, r);
    }
    if went_wrong(step.outcome) {
        let arm = r * 0.42;
        let (left, right, top, bottom) = (x - arm, x + arm, y - arm, y + arm);
        out.raw("<path class=\"wrong\"")
            .attr(
                "d",
                format_args!(
                    "M{left:.1} {top:.1}L{right:.1} {bottom:.1}M{right:.1} {top:.1}L{left:.1} {bottom:.1}"
                ),
            )
            .raw("/>");
    }
    if step.decision.branch {
        circle(out, Some("ring"), x, y, r + 3.0);
    }
    out.raw("</a>\n");
}

fn circle(out: &mut Markup, class: Option<&'static str>, x: f32, y: f32, r: f32) {
    out.raw("<circle");
    if let Some(class) = class {
        out.attr("class", class);
    }
    out.px("cx", x).px("cy", y).px("r", r).raw("/>");
}

fn diamond(out: &mut Markup, x: f32, y: f32, half: f32) {
    let (top, right, bottom, left) = (y - half, x + half, y + half, x - half);
    out.raw("<path class=\"seam\"")
        .attr(
            "d",
            format_args!("M{x:.1} {top:.1}L{right:.1} {y:.1}L{x:.1} {bottom:.1}L{left:.1} {y:.1}Z"),
        )
        .raw("/>\n");
}

/// How a lane ends: a bar where the branch was pruned, a broken line where it
/// goes on; then its name and its end in words.
fn lane_end(out: &mut Markup, scale: &Scale, view: &RunView, lane: &Lane) {
    let Some(branch) = view.branch(lane.branch) else {
        return;
    };
    let (x, y) = (scale.x(lane.end), scale.y(lane.end));
    let stub = scale.radius + 9.0;
    let x_text = match branch.ended.as_ref().map(|ended| ended.status) {
        None => {
            out.raw("<path class=\"edge open\"")
                .attr("d", format_args!("M{x:.1} {y:.1}H{:.1}", x + stub + 9.0))
                .raw("/>\n");
            x + stub + 15.0
        }
        Some(BranchStatus::Pruned) => {
            let half = scale.radius * 0.75;
            out.raw("<path class=\"edge\"")
                .attr("d", format_args!("M{x:.1} {y:.1}H{:.1}", x + stub))
                .raw("/><path class=\"cut\"")
                .attr(
                    "d",
                    format_args!("M{:.1} {:.1}V{:.1}", x + stub, y - half, y + half),
                )
                .raw("/>\n");
            x + stub + 8.0
        }
        Some(_) => x + scale.radius + 10.0,
    };
    out.raw("<text class=\"lane")
        .raw(if lane.winning { " winning\"" } else { "\"" })
        .px("x", x_text)
        .px("y", y + 4.0)
        .raw("><tspan class=\"id\">Branch ")
        .text(branch.id)
        .raw("</tspan> ")
        .text(one_line(&branch_end(view, branch), LABEL_CHARS_MAX))
        .raw("</text>\n");
}
