//! Patches: the selected one, then those of the other branches.
use super::super::figures::diff_stat;
use super::super::sentence::branch_end;
use super::super::view::RunView;
use super::highlight::{Pieces, changed, class, colours};
use super::markup::Markup;
use std::ops::Range;

pub fn patch(out: &mut Markup, view: &RunView) {
    if view.ended.is_none() {
        return;
    }
    out.raw("<section id=\"patch\" aria-labelledby=\"patch-h\">\n<h2 id=\"patch-h\">Patch</h2>\n");
    let readable = view.readable_patch();
    let patch = readable.as_ref();
    if patch.is_empty() {
        out.raw("<p class=\"empty\">The run ended without a patch.</p>\n");
    } else {
        out.raw("<p class=\"hint\">");
        size(out, patch);
        out.raw(" lines; apply it with <code>git apply patch.diff</code>.</p>\n");
        diff(out, patch);
    }
    // Equal patches are one.
    let mut shown = vec![view.patch()];
    for (branch, ended) in view.patched() {
        if shown.contains(&ended.patch.as_str()) {
            continue;
        }
        shown.push(&ended.patch);
        let readable = ended.readable();
        out.raw("<details class=\"prose\"><summary>Branch ")
            .text(branch.id)
            .raw(", ")
            .text(branch_end(view, branch))
            .raw(": ");
        size(out, &readable);
        out.raw(" lines</summary>");
        diff(out, &readable);
        out.raw("</details>\n");
    }
    out.raw("</section>\n");
}

fn size(out: &mut Markup, patch: &str) {
    let (added, removed) = diff_stat(patch);
    out.text(format_args!("+{added} −{removed}"));
}

/// A line of a hunk.
struct Line<'a> {
    /// `+`, `-` or a space.
    sign: u8,
    text: &'a str,
    /// What differs from the line that it replaces or that replaces it.
    changed: Option<Range<usize>>,
}

fn diff(out: &mut Markup, patch: &str) {
    out.raw("<pre class=\"diff\">");
    let mut lines = patch.lines().peekable();
    let mut path = "";
    while let Some(line) = lines.next() {
        if !line.starts_with("@@") {
            if line.starts_with("diff --git ") {
                path = line.rsplit(" b/").next().unwrap_or_default();
            }
            out.raw("<span class=\"file\">").text(line).raw("\n</span>");
            continue;
        }
        out.raw("<span class=\"hunk\">").text(line).raw("\n</span>");
        let mut hunk = Vec::new();
        while let Some(line) =
            lines.next_if(|l| !l.starts_with("@@") && !l.starts_with("diff --git "))
        {
            hunk.push(read(line));
        }
        compare(&mut hunk);
        write(out, &hunk, starts(line), path);
    }
    out.raw("</pre>\n");
}

fn read(line: &str) -> Line<'_> {
    let (sign, text) = match line.as_bytes().first() {
        Some(sign @ (b'+' | b'-' | b' ' | b'\\')) => (*sign, &line[1..]),
        // Some tools leave out the space of an empty line.
        _ => (b' ', line),
    };
    Line {
        sign,
        text,
        changed: None,
    }
}

/// Sets removed lines beside the added ones that follow, where they are as many.
fn compare(hunk: &mut [Line]) {
    let mut at = 0;
    while at < hunk.len() {
        let run = |from: usize, sign: u8| {
            let lines = hunk[from..].iter();
            lines.take_while(|line| line.sign == sign).count()
        };
        let removed = run(at, b'-');
        let added = run(at + removed, b'+');
        for nth in (0..removed).filter(|_| removed == added) {
            let (old, new) = (at + nth, at + removed + nth);
            if let Some((a, b)) = changed(hunk[old].text, hunk[new].text) {
                hunk[old].changed = Some(a);
                hunk[new].changed = Some(b);
            }
        }
        at += (removed + added).max(1);
    }
}

/// First line numbers of a hunk in the old and the new file: `@@ -31,7 +31,7 @@`.
fn starts(header: &str) -> (usize, usize) {
    let number = |sign: char| {
        let field = header.split(' ').find_map(|field| field.strip_prefix(sign));
        let start = field.and_then(|field| field.split(',').next());
        start.and_then(|start| start.parse().ok()).unwrap_or(1)
    };
    (number('-'), number('+'))
}

fn write(out: &mut Markup, hunk: &[Line], (mut old, mut new): (usize, usize), path: &str) {
    let side = |other: u8| {
        let lines = hunk.iter().filter(|l| l.sign != other && l.sign != b'\\');
        let lines: Vec<&str> = lines.map(|line| line.text).collect();
        colours(path, &lines).into_iter().peekable()
    };
    let (mut before, mut after) = (side(b'+'), side(b'-'));
    for line in hunk {
        out.raw(match line.sign {
            b'+' => "<span class=\"add\"",
            b'-' => "<span class=\"del\"",
            b'\\' => "<span class=\"file\"",
            _ => "<span",
        });
        let in_old = matches!(line.sign, b'-' | b' ');
        let in_new = matches!(line.sign, b'+' | b' ');
        if in_old {
            out.attr("data-o", old);
            old += 1;
        }
        if in_new {
            out.attr("data-n", new);
            new += 1;
        }
        out.raw(">").text(char::from(line.sign));
        let before = before.next_if(|_| in_old);
        let after = after.next_if(|_| in_new);
        let pieces: Pieces = after.or(before).unwrap_or_default();
        coloured(out, line, &pieces);
        out.raw("\n</span>");
    }
}

/// A line's text: its pieces in their colours, what changed marked.
fn coloured(out: &mut Markup, line: &Line, pieces: &Pieces) {
    let changed = line.changed.clone().unwrap_or(0..0);
    let kind_at = |at: usize| pieces.iter().find(|(range, _)| range.contains(&at));
    let mut at = 0;
    while at < line.text.len() {
        let is_changed = changed.contains(&at);
        let kind = kind_at(at).map(|(_, kind)| *kind);
        // Up to where either ends or begins.
        let bounds = pieces
            .iter()
            .flat_map(|(range, _)| [range.start, range.end]);
        let bounds = bounds.chain([changed.start, changed.end]);
        let end = bounds
            .filter(|&bound| bound > at)
            .min()
            .unwrap_or(line.text.len());
        if is_changed {
            out.raw("<mark>");
        }
        if let Some(kind) = kind {
            out.raw("<span").attr("class", class(kind)).raw(">");
        }
        out.text(&line.text[at..end]);
        if kind.is_some() {
            out.raw("</span>");
        }
        if is_changed {
            out.raw("</mark>");
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_as_in_their_files_and_changes_are_marked() {
        let mut out = Markup::default();
        diff(
            &mut out,
            "diff --git a/a.py b/a.py\n--- a/a.py\n+++ b/a.py\n@@ -3,2 +4,2 @@ def f():\n-    return a < b\n+    return a <= b\n same\n\\ No newline at end of file\n",
        );
        let page = out.as_str();
        assert!(page.contains("<span class=\"del\" data-o=\"3\">-"));
        assert!(page.contains("<span class=\"add\" data-n=\"4\">+"));
        assert!(page.contains("data-o=\"4\" data-n=\"5\"> same"));
        assert!(page.contains("<mark>=</mark>"));
        assert!(page.contains("<span class=\"kw\">return</span>"));
        assert!(page.contains("<span class=\"file\">\\ No newline"));
    }

    #[test]
    fn other_files_and_odd_hunks_stay_text() {
        let mut out = Markup::default();
        diff(&mut out, "diff --git a/x b/x\n@@ odd @@\n-return é\n\n+");
        assert!(out.as_str().contains(">-return é\n</span>"));
        assert_eq!(starts("@@ odd @@"), (1, 1));
        assert_eq!(starts("@@ -31,7 +32 @@ x -1"), (31, 32));
    }
}
