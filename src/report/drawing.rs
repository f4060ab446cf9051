//! Charts as SVG within a page.
use super::ReportError;
use plotters::coord::Shift;
use plotters::prelude::*;

/// Colours that are told apart by the colour-blind too (Okabe and Ito 2008), and on a
/// light page as on a dark one.
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const ORANGE: RGBColor = RGBColor(213, 94, 0);
pub const GREEN: RGBColor = RGBColor(0, 158, 115);
/// What is of no side.
pub const GREY: RGBColor = RGBColor(150, 150, 150);
/// Rules behind a chart: the page's style sheet gives them, black and text the colours
/// of its scheme.
pub const RULE: RGBColor = RGBColor(200, 200, 200);

/// Pixels; the page takes a chart to its own width.
pub const WIDTH: u32 = 720;
/// Of text, pixels.
pub const TEXT: i32 = 13;

/// An error of the drawing library, of whatever kind.
pub type DrawError = Box<dyn std::error::Error + Send + Sync>;

/// The whole of a chart, in pixels.
pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG that `plotters` has drawn: all text in it is escaped, and it has neither
/// scripts nor styles nor links.
pub struct Drawing(String);

impl Drawing {
    /// Draws a chart of this height, in pixels.
    pub fn new(
        height: u32,
        paint: impl FnOnce(&Canvas<'_>) -> Result<(), DrawError>,
    ) -> Result<Self, ReportError> {
        let mut svg = String::new();
        let canvas = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let painted = paint(&canvas).and_then(|()| Ok(canvas.present()?));
        drop(canvas);
        match painted {
            Ok(()) => Ok(Self(svg)),
            Err(error) => Err(ReportError::Chart {
                reason: error.to_string(),
            }),
        }
    }

    pub fn svg(&self) -> &str {
        &self.0
    }
}
