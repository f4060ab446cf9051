//! A file's text after a change, with what became of each of its lines.
use super::block::joined;
use similar::{ChangeTag, TextDiff};
use std::ops::Range;

/// A file's new text and what the model should know about how it came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    pub text: String,
    /// For each line of the text, the line of the old text that it is, from 0; `None` for a new
    /// one. Two lines that read alike may differ in the file, so that no comparison of the texts
    /// tells which of them is left.
    pub origins: Vec<Option<usize>>,
    pub notes: Vec<String>,
}

impl Merged {
    /// `text` as it is.
    pub fn unchanged(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            origins: (0..text.lines().count()).map(Some).collect(),
            notes: Vec::new(),
        }
    }

    /// `new` in the place of all of `old`; lines that both have stay. Cost: a line diff.
    pub fn rewritten(old: &str, new: String) -> Self {
        let (before, after): (Vec<&str>, Vec<&str>) =
            (old.lines().collect(), new.lines().collect());
        Self {
            origins: kept_to_the_end(&before, &after),
            text: new,
            notes: Vec::new(),
        }
    }

    /// Puts `new` in the place of a range of lines; of these, lines that `new` has too stay.
    pub fn splice(&mut self, range: Range<usize>, new: &[&str]) {
        let mut lines: Vec<&str> = self.text.lines().collect();
        let replaced = &lines[range.clone()];
        let kept = match range.end == lines.len() {
            true => kept_to_the_end(replaced, new),
            false => kept(replaced, new),
        };
        let known = &self.origins[range.clone()];
        let origins: Vec<Option<usize>> = kept.into_iter().map(|at| known[at?]).collect();
        self.origins.splice(range.clone(), origins);
        lines.splice(range, new.iter().copied());
        self.text = joined(&lines);
    }

    /// Lines that are new, and lines of an old text of `n_old` that are gone.
    pub fn counts(&self, n_old: usize) -> (usize, usize) {
        let n_kept = self.origins.iter().flatten().count();
        (self.origins.len() - n_kept, n_old.saturating_sub(n_kept))
    }
}

/// For each line of `new` the line of `old` that it is, from 0; `None` for a new one. Lines end
/// where `str::lines` has it: at line feeds alone. Cost: a line diff.
pub fn origins(old: &str, new: &str) -> Vec<Option<usize>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    kept(&old, &new)
}

/// [`kept`] up to a file's end. A last line that is not the old last one is new, though it may
/// read like another: it ends the file as the old one did.
fn kept_to_the_end(old: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    let mut kept = kept(old, new);
    let is_start = new.len() < old.len() && old.starts_with(new);
    if let Some(last) = kept.last_mut()
        && new.last() != old.last()
        && !is_start
    {
        *last = None;
    }
    kept
}

fn kept(old: &[&str], new: &[&str]) -> Vec<Option<usize>> {
    // Equal lines at both ends are left out, for a diff may take one of them for another.
    let n_before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[n_before..], &new[n_before..]);
    let ends = old.iter().rev().zip(new.iter().rev());
    let n_behind = ends.take_while(|(a, b)| a == b).count();
    let (n_old, n_new) = (old.len() - n_behind, new.len() - n_behind);
    let diff = TextDiff::from_slices(&old[..n_old], &new[..n_new]);
    let changes = diff.iter_all_changes();
    let staying = changes.filter(|change| change.tag() != ChangeTag::Delete);
    let between = staying.map(|change| Some(n_before + change.old_index()?));
    let behind = (n_before + n_old..n_before + old.len()).map(Some);
    (0..n_before)
        .map(Some)
        .chain(between)
        .chain(behind)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_splice_says_which_lines_stayed() {
        let mut merged = Merged::unchanged("a\na\nb\na\n");
        // No comparison of the texts tells that the second `a` went.
        merged.splice(1..2, &[]);
        assert_eq!(merged.text, "a\nb\na\n");
        assert_eq!(merged.origins, [Some(0), Some(2), Some(3)]);
        merged.splice(1..3, &["x", "a", "y"]);
        assert_eq!(merged.text, "a\nx\na\ny\n");
        assert_eq!(merged.origins, [Some(0), None, Some(3), None]);
        assert_eq!(merged.counts(4), (2, 2));
    }

    #[test]
    fn only_line_feeds_end_lines() {
        let old = "a\u{c}b\rc\u{2028}d\ne\n";
        assert_eq!(origins(old, "x\na\u{c}b\rc\u{2028}d\n"), [None, Some(0)]);
        assert_eq!(origins("a\nb", "a\nb\n"), [Some(0), Some(1)]);
        assert_eq!(origins("a\na\nb\n", "a\nb\n"), [Some(0), Some(2)]);
        assert_eq!(origins("b\na\na\n", "x\na\n"), [None, Some(2)]);
    }
}
