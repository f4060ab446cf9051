//! Plots as SVG files.
use crate::engine::bench::BranchRow;
use anyhow::{Context, anyhow};
use plotters::prelude::*;
use std::path::Path;

/// Colours that tell lines apart for the colour-blind too (Okabe and Ito 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Decoded tokens a second against branches, a line for each trunk.
pub fn tokens_by_branches(model: &str, rows: &[BranchRow], path: &Path) -> anyhow::Result<()> {
    let mut svg = String::new();
    draw(model, rows, &mut svg).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    std::fs::write(path, svg).with_context(|| format!("{} cannot be written", path.display()))
}

type DrawError = Box<dyn std::error::Error + Send + Sync>;

fn draw(model: &str, rows: &[BranchRow], svg: &mut String) -> Result<(), DrawError> {
    let root = SVGBackend::with_string(svg, (720, 440)).into_drawing_area();
    root.fill(&WHITE)?;
    let branches_max = rows.iter().map(|row| row.branches).max().unwrap_or(1) as f64;
    let speed_max = rows.iter().map(|row| row.decode_tok_s).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption(
            format!("{model}: decoding branches of one trunk"),
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (1.0..branches_max.max(2.0)).log_scale(),
            0.0..speed_max * 1.1,
        )?;
    chart
        .configure_mesh()
        .x_desc("branches")
        .y_desc("tokens a second, all branches")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let mut trunks: Vec<usize> = rows.iter().map(|row| row.trunk_tokens).collect();
    trunks.dedup();
    for (trunk, colour) in trunks.into_iter().zip(COLOURS.into_iter().cycle()) {
        let own = rows.iter().filter(|row| row.trunk_tokens == trunk);
        let points: Vec<(f64, f64)> = own
            .map(|row| (row.branches as f64, row.decode_tok_s))
            .collect();
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(3))?
            .label(format!("trunk of {trunk}"))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_a_line_and_a_name_for_each_trunk() {
        let row = |trunk_tokens, branches, decode_tok_s| BranchRow {
            trunk_tokens,
            branches,
            decode_tok_s,
            ..BranchRow::default()
        };
        let rows = [
            row(256, 1, 20.0),
            row(256, 8, 70.0),
            row(4096, 1, 18.0),
            row(4096, 8, 60.0),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.svg");
        tokens_by_branches("a <model>", &rows, &path).unwrap();
        let svg = std::fs::read_to_string(path).unwrap();
        for text in ["trunk of 256", "trunk of 4096", "a &lt;model&gt;"] {
            assert!(svg.contains(text), "{text}");
        }
        // A line for each trunk, its legend's line beside it.
        for colour in ["#0072B2", "#D55E00"] {
            let lines = svg
                .lines()
                .filter(|l| l.contains("<polyline") && l.contains(colour));
            assert_eq!(lines.count(), 2, "{colour}");
        }
    }
}
