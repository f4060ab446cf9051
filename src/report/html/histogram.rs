//! How uncertain the steps were, and where the gate stands.
use super::super::figures::count;
use super::super::gate::ShownGate;
use super::super::spread::{BIN_NATS, Spread};
use super::super::view::RunView;
use super::entropy::heat;
use super::markup::Markup;

/// Pixels.
const WIDTH: f32 = 720.0;
const HEIGHT: f32 = 190.0;
const LEFT: f32 = 34.0;
const RIGHT: f32 = 12.0;
const TOP: f32 = 26.0;
/// Room for the longest text beside the gate's line.
const GATE_LABEL_WIDTH: f32 = 240.0;
/// The horizontal axis.
const BASE: f32 = HEIGHT - 34.0;

pub fn histogram(out: &mut Markup, view: &RunView) {
    let Some(spread) = Spread::of(view) else {
        return;
    };
    out.raw("<section id=\"entropy\" aria-labelledby=\"ent-h\">\n<h2 id=\"ent-h\">Entropy</h2>\n<p class=\"hint\">");
    let name = ShownGate::of(view).map(|gate| gate.signal().label());
    out.text(format_args!(
        "Steps by {}. ",
        name.unwrap_or("the entropy of their action")
    ))
    .text(spread.sentence())
    .raw(" Outlined parts of a bar were rolled out.</p>\n");
    chart(out, &spread);
    out.raw("</section>\n");
}

/// Where things stand in the chart.
struct Frame {
    n_bins: usize,
    column: f32,
    /// The vertical axis' largest figure and its ticks' distance.
    top: usize,
    tick: usize,
}

impl Frame {
    fn of(spread: &Spread) -> Self {
        let n_bins = spread.bins.len();
        let tallest = spread.bins.iter().map(|bin| bin.n()).max().unwrap_or(1);
        let tick = tick_step(tallest);
        Self {
            n_bins,
            column: (WIDTH - LEFT - RIGHT) / n_bins as f32,
            top: tallest.div_ceil(tick) * tick,
            tick,
        }
    }

    fn x(&self, nats: f32) -> f32 {
        LEFT + nats / BIN_NATS * self.column
    }

    fn y(&self, n: usize) -> f32 {
        BASE - n as f32 / self.top as f32 * (BASE - TOP)
    }
}

fn chart(out: &mut Markup, spread: &Spread) {
    let frame = Frame::of(spread);
    out.raw("<div class=\"chart\"><svg role=\"img\"")
        .attr(
            "aria-label",
            format_args!("Histogram. {}", spread.sentence()),
        )
        .attr("viewBox", format_args!("0 0 {WIDTH} {HEIGHT}"))
        .raw(">\n");
    axes(out, &frame);
    for at in 0..frame.n_bins {
        bar(out, &frame, spread, at);
    }
    if let Some((nats, label)) = &spread.gate_line {
        gate(out, &frame, *nats, label);
    }
    out.raw("</svg></div>\n");
}

fn axes(out: &mut Markup, frame: &Frame) {
    for n in (0..=frame.top).step_by(frame.tick) {
        let y = frame.y(n);
        out.raw("<path class=\"rule\"")
            .attr("d", format_args!("M{LEFT} {y:.1}H{}", WIDTH - RIGHT))
            .raw("/>");
        tick(out, "end", LEFT - 8.0, y + 4.0, n);
    }
    // Labels on half nats, on whole ones where there are many.
    let every = if frame.n_bins > 16 { 4 } else { 2 };
    for at in (0..=frame.n_bins).step_by(every) {
        let nats = at as f32 * BIN_NATS;
        tick(
            out,
            "middle",
            frame.x(nats),
            BASE + 17.0,
            format_args!("{nats:.1}"),
        );
    }
    tick(out, "end", WIDTH - RIGHT, HEIGHT - 3.0, "nats");
}

fn tick(out: &mut Markup, anchor: &'static str, x: f32, y: f32, text: impl std::fmt::Display) {
    out.raw("<text class=\"tick\"")
        .attr("text-anchor", anchor)
        .px("x", x)
        .px("y", y)
        .raw(">")
        .text(text)
        .raw("</text>\n");
}

fn bar(out: &mut Markup, frame: &Frame, spread: &Spread, at: usize) {
    let bin = spread.bins[at];
    if bin.n() == 0 {
        return;
    }
    let (from, to) = (at as f32 * BIN_NATS, (at + 1) as f32 * BIN_NATS);
    out.raw("<g class=\"")
        .raw(heat(Some((from + to) / 2.0)))
        .raw("\"><title>");
    if spread.is_open && at + 1 == frame.n_bins {
        out.text(format_args!("{from:.2} nats or more: "));
    } else {
        out.text(format_args!("{from:.2} to {to:.2} nats: "));
    }
    out.text(count(bin.n(), "step"))
        .text(format_args!(", {} rolled out", bin.rolled))
        .raw("</title>");
    for (class, low, high) in [("single", 0, bin.single), ("branched", bin.single, bin.n())] {
        if low < high {
            out.raw("<rect")
                .attr("class", class)
                .px("x", frame.x(from) + 1.5)
                .px("y", frame.y(high))
                .px("width", frame.column - 3.0)
                .px("height", frame.y(low) - frame.y(high))
                .raw("/>");
        }
    }
    out.raw("</g>\n");
}

fn gate(out: &mut Markup, frame: &Frame, nats: f32, label: &str) {
    let x = frame.x(nats.min(frame.n_bins as f32 * BIN_NATS));
    // Beside the line, on the side with room.
    let (anchor, x_text) = match x > WIDTH - GATE_LABEL_WIDTH {
        true => ("end", x - 6.0),
        false => ("start", x + 6.0),
    };
    out.raw("<path class=\"gate\"")
        .attr("d", format_args!("M{x:.1} {}V{BASE}", TOP - 14.0))
        .raw("/><text class=\"gate\"")
        .attr("text-anchor", anchor)
        .px("x", x_text)
        .px("y", TOP - 6.0)
        .raw(">")
        .text(label)
        .raw("</text>\n");
}

/// Distance between the vertical axis' ticks: 1, 2 or 5 times a power of ten.
fn tick_step(tallest: usize) -> usize {
    let steps = (0u32..).flat_map(|power| [1, 2, 5].map(|n| n * 10_usize.pow(power)));
    let mut fits = steps.filter(|step| tallest <= step * 4);
    fits.next().expect("steps grow without end")
}
