//! The selected patch, added and removed lines marked.
use super::super::figures::diff_stat;
use super::super::view::RunView;
use super::markup::Markup;

pub fn patch(out: &mut Markup, view: &RunView) {
    if view.ended.is_none() {
        return;
    }
    out.raw("<section id=\"patch\" aria-labelledby=\"patch-h\">\n<h2 id=\"patch-h\">Patch</h2>\n");
    let patch = view.patch();
    if patch.is_empty() {
        out.raw("<p class=\"empty\">The run ended without a patch.</p>\n</section>\n");
        return;
    }
    let (added, removed) = diff_stat(patch);
    out.raw("<p class=\"hint\">")
        .text(format_args!("+{added} −{removed} lines; apply it with "))
        .raw("<code>git apply patch.diff</code>.</p>\n<pre class=\"diff\">");
    let mut in_hunk = false;
    for line in patch.lines() {
        if line.starts_with("diff --git ") {
            in_hunk = false;
        }
        in_hunk |= line.starts_with("@@");
        out.raw(match (in_hunk, line.as_bytes().first()) {
            (_, Some(b'@')) => "<span class=\"hunk\">",
            (false, _) => "<span class=\"file\">",
            (true, Some(b'+')) => "<span class=\"add\">",
            (true, Some(b'-')) => "<span class=\"del\">",
            (true, _) => "<span>",
        })
        .text(line)
        .raw("\n</span>");
    }
    out.raw("</pre>\n</section>\n");
}
