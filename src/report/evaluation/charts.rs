//! The charts of evaluations.
use super::super::ReportError;
use super::super::drawing::{
    BLUE, Canvas, DrawError, Drawing, GREEN, GREY, ORANGE, RULE, TEXT, WIDTH,
};
use crate::eval::calibration::{CurveBin, Distribution};
use crate::eval::{Estimate, StrategySummary};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A figure with its interval, and the same over pairs of one task.
pub struct Dot {
    pub label: String,
    pub pooled: Option<Estimate>,
    pub within_task: Option<Estimate>,
}

/// Pixels from one line of dots to the next.
const DOT_ROW: u32 = 26;
/// Room left of the dots for their labels, pixels.
const LABELS: u32 = 250;

/// Steps by their entropy and by what came of them, with the threshold of a gate.
pub fn histogram(d: &Distribution, threshold: Option<f64>) -> Result<Drawing, ReportError> {
    Drawing::new(230, |canvas| {
        let tallest = d.bins.iter().map(|bin| bin.n()).max().unwrap_or(1) as f64;
        // With room for the legend above the bars.
        let top = 1.4 * tallest;
        let end = (d.bins.len() as f64 * d.bin_nats).max(threshold.unwrap_or(0.0) * 1.05);
        let mut chart = ChartBuilder::on(canvas)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..end, 0.0..top)?;
        (chart.configure_mesh())
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .x_desc("nats")
            .y_desc("steps")
            // No more ticks than whole numbers.
            .y_labels((top as usize + 1).min(6))
            .y_label_formatter(&|n| format!("{n:.0}"))
            .draw()?;
        let layers: [(&str, RGBColor, Layer); 3] = [
            ("passed", BLUE, |bin| (0, bin.passed)),
            ("failed", ORANGE, |bin| {
                (bin.passed, bin.passed + bin.failed)
            }),
            ("not known", GREY, |bin| (bin.passed + bin.failed, bin.n())),
        ];
        for (name, colour, layer) in layers {
            let bars = d.bins.iter().enumerate().filter_map(|(at, bin)| {
                let (low, high) = layer(bin);
                let left = at as f64 * d.bin_nats;
                let corners = [(left, low as f64), (left + d.bin_nats * 0.94, high as f64)];
                (low < high).then(|| Rectangle::new(corners, colour.filled()))
            });
            let bars: Vec<_> = bars.collect();
            if !bars.is_empty() {
                chart.draw_series(bars)?.label(name).legend(move |(x, y)| {
                    Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled())
                });
            }
        }
        if let Some(nats) = threshold {
            let line = [(nats, 0.0), (nats, top)];
            (chart.draw_series([PathElement::new(line, GREEN.stroke_width(2))])?)
                .label(format!("gate, {nats:.2}"))
                .legend(|(x, y)| PathElement::new([(x, y), (x + 12, y)], GREEN.stroke_width(2)));
        }
        (chart.configure_series_labels())
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", TEXT))
            .draw()?;
        Ok(())
    })
}

/// From where to where a bar's layer stands, in steps.
type Layer = fn(&crate::eval::calibration::Bin) -> (usize, usize);

/// Predicted chances to pass against the shares that passed, a line a curve; on the
/// diagonal they are equal.
pub fn curve(curves: &[(&str, &[CurveBin])]) -> Result<Drawing, ReportError> {
    Drawing::new(420, |canvas| {
        let mut chart = ChartBuilder::on(canvas)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
        (chart.configure_mesh())
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .x_desc("predicted chance to pass")
            .y_desc("share that passed")
            .draw()?;
        chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], GREY)])?;
        for ((name, bins), colour) in curves.iter().zip([BLUE, ORANGE, GREEN]) {
            let points = bins.iter().map(|bin| (bin.predicted, bin.passed));
            (chart.draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(4))?)
                .label(*name)
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 12, y)], colour.stroke_width(2))
                });
        }
        (chart.configure_series_labels())
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(("sans-serif", TEXT))
            .draw()?;
        Ok(())
    })
}

/// AUROCs with their intervals, a line a score; 0.5 is a coin.
pub fn dots(dots: &[Dot]) -> Result<Drawing, ReportError> {
    let height = 70 + DOT_ROW * dots.len() as u32;
    Drawing::new(height, |canvas| {
        let n = dots.len() as f64;
        let mut chart = ChartBuilder::on(canvas)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(LABELS)
            .build_cartesian_2d(0.0..1.0, 0.0..n)?;
        (chart.configure_mesh())
            .disable_y_mesh()
            .disable_y_axis()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .x_desc("AUROC: filled over all pairs, hollow over pairs of one task")
            .draw()?;
        chart.draw_series([PathElement::new(
            [(0.5, 0.0), (0.5, n)],
            GREY.stroke_width(2),
        )])?;
        for (at, dot) in dots.iter().enumerate() {
            let y = n - at as f64 - 0.5;
            for (estimate, colour, style, offset) in [
                (dot.pooled, BLUE, BLUE.filled(), 0.14),
                (dot.within_task, ORANGE, ORANGE.stroke_width(2), -0.14),
            ] {
                let Some(e) = estimate else { continue };
                let y = y + offset;
                let line = [(e.low, y), (e.high, y)];
                chart.draw_series([PathElement::new(line, colour.stroke_width(1))])?;
                chart.draw_series([Circle::new((e.value, y), 4, style)])?;
            }
            let (_, line) = chart.backend_coord(&(0.0, y));
            label(canvas, &dot.label, (LABELS as i32, line), HPos::Right)?;
        }
        Ok(())
    })
}

/// The share of runs that a strategy resolves against the tokens that it spends a run,
/// each with the interval of its share.
pub fn resolved_by_tokens(summaries: &[StrategySummary]) -> Result<Drawing, ReportError> {
    let per_run = |s: &StrategySummary| {
        let spent = s.decoded_tokens + s.computed_tokens;
        spent as f64 / f64::from(s.runs.max(1))
    };
    Drawing::new(420, |canvas| {
        let most = summaries.iter().map(per_run).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(canvas)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..most * 1.2, 0.0..1.0)?;
        (chart.configure_mesh())
            .light_line_style(TRANSPARENT)
            .bold_line_style(RULE)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .x_desc("decoded + computed tokens a run")
            .y_desc("share resolved")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{:.0} %", 100.0 * y))
            .draw()?;
        for (s, colour) in summaries
            .iter()
            .zip([BLUE, ORANGE, GREEN].into_iter().cycle())
        {
            let x = per_run(s);
            let y = f64::from(s.resolved) / f64::from(s.runs.max(1));
            let [low, high] = s.resolved_ci95;
            chart.draw_series([PathElement::new(
                [(x, low), (x, high)],
                colour.stroke_width(1),
            )])?;
            chart.draw_series([Circle::new((x, y), 5, colour.filled())])?;
            let (px, py) = chart.backend_coord(&(x, y));
            // On the side with room.
            let (place, side) = match px > WIDTH as i32 * 3 / 4 {
                true => ((px - 9, py), HPos::Right),
                false => ((px + 9, py), HPos::Left),
            };
            label(canvas, &s.strategy, place, side)?;
        }
        Ok(())
    })
}

fn label(canvas: &Canvas<'_>, text: &str, place: (i32, i32), side: HPos) -> Result<(), DrawError> {
    let style = ("sans-serif", TEXT)
        .into_font()
        .color(&BLACK)
        .pos(Pos::new(side, VPos::Center));
    canvas.draw(&Text::new(text.to_owned(), place, style))?;
    Ok(())
}
