//! Pages of what was found over many runs: an evaluation's comparison, a calibration.
mod calibration;
mod charts;
mod comparison;

pub use calibration::calibration_html;
pub use comparison::comparison_html;

use super::drawing::Drawing;
use super::html::markup::Markup;

/// A chart with what it shows in words, for those who do not see it, and below it.
fn figure(out: &mut Markup, drawing: &Drawing, caption: &str) {
    out.raw("<figure class=\"plot\"><div role=\"img\"")
        .attr("aria-label", caption)
        .raw(">\n")
        .drawing(drawing)
        .raw("</div><figcaption class=\"hint\">")
        .text(caption)
        .raw("</figcaption></figure>\n");
}

/// A table's head; the first `n_words` columns hold words, the others figures.
fn table_head(out: &mut Markup, names: &[&'static str], n_words: usize) {
    out.raw("<div class=\"wide\"><table><thead><tr>");
    for (at, name) in names.iter().enumerate() {
        let open = match at < n_words {
            true => "<th>",
            false => "<th class=\"n\">",
        };
        out.raw(open).raw(name).raw("</th>");
    }
    out.raw("</tr></thead><tbody>\n");
}

fn table_end(out: &mut Markup) {
    out.raw("</tbody></table></div>\n");
}
