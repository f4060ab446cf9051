//! An issue as questions to the index: its terms by weight, the names in it, and the places.
use super::field::Weights;
use super::terms::{Term, is_name, terms, words};
use regex::Regex;
use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The questions of an issue.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// Terms and their weights.
    pub terms: BTreeMap<Term, f32>,
    /// Words that may be names of definitions; true for those that are written as names in code
    /// are.
    pub names: BTreeMap<String, bool>,
    /// Names that are joined with dots: `package.module.function`.
    pub dotted: Vec<Vec<String>>,
    /// Paths, with the line that stands behind one.
    pub places: Vec<(String, Option<usize>)>,
}

/// How a piece of an issue is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Written {
    Title,
    Prose,
    Inline,
    Block,
}

impl Written {
    fn weight(self, weights: &Weights) -> f32 {
        match self {
            Self::Title => weights.title,
            Self::Prose => 1.0,
            Self::Inline => weights.inline,
            Self::Block => weights.block,
        }
    }
}

/// A path with an ending, and the line behind it: `File "a/b.py", line 3`, `a/b.rs:3:7`,
/// `a/b.py#L3`.
static PLACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"((?:[\w@.+~-]+[/\\])*[\w@+~-][\w@.+~-]*\.[A-Za-z]\w{0,5})(?:(?:", line |:|#L)(\d+))?"#,
    )
    .expect("an expression")
});
/// An address, whose host is no path.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"https?://[^\s/)>\]]+/(?:[^\s/]+/[^\s/]+/(?:blob|tree|raw)/[^\s/]+/)?")
        .expect("an expression")
});
static DOTTED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+").expect("an expression"));

/// Occurrences of a word that count.
const COUNTED_MAX: f32 = 4.0;

pub(super) fn asked(issue: &str, weights: &Weights) -> Asked {
    let mut asked = Asked::default();
    let mut counts: HashMap<&str, (f32, f32)> = HashMap::new();
    for (written, piece) in pieces(issue) {
        let weight = written.weight(weights);
        for word in words(piece) {
            let (n, most) = counts.entry(word).or_default();
            (*n, *most) = (*n + 1.0, most.max(weight));
            let is_code = is_name(word) || written == Written::Inline;
            if word.len() > 2 && !word.starts_with(|c: char| c.is_ascii_digit()) {
                *asked.names.entry(word.to_owned()).or_default() |= is_code;
            }
        }
        for found in DOTTED.find_iter(piece) {
            let parts = found.as_str().split('.').map(str::to_owned).collect();
            if !asked.dotted.contains(&parts) {
                asked.dotted.push(parts);
            }
        }
    }
    for (word, (n, most)) in counts {
        let weight = most * (1.0 + n.min(COUNTED_MAX).ln());
        for term in terms(word) {
            let held = asked.terms.entry(term).or_default();
            *held = held.max(weight);
        }
    }
    let text = ADDRESS.replace_all(issue, " ");
    for found in PLACE.captures_iter(&text) {
        let path = found[1].replace('\\', "/");
        let line = found.get(2).and_then(|line| line.as_str().parse().ok());
        if !asked.places.contains(&(path.clone(), line)) {
            asked.places.push((path, line));
        }
    }
    asked
}

/// The pieces of an issue: its first line, code between marks, code on lines of its own, the rest.
fn pieces(issue: &str) -> Vec<(Written, &str)> {
    let mut pieces = Vec::new();
    let mut is_fenced = false;
    let mut has_title = false;
    for line in issue.lines() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            is_fenced = !is_fenced;
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        let is_indented = line.len() - trimmed.len() >= 4;
        let is_block = is_fenced || is_indented || trimmed.starts_with(">>>");
        let written = match (has_title, is_block) {
            (_, true) => Written::Block,
            (false, false) => Written::Title,
            (true, false) => Written::Prose,
        };
        has_title = true;
        if written == Written::Block {
            pieces.push((written, line));
            continue;
        }
        for (at, part) in line.split('`').enumerate() {
            let is_code = at % 2 == 1;
            pieces.push((if is_code { Written::Inline } else { written }, part));
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_paths_and_lines_of_an_issue_are_read() {
        let issue = "\
`Matrix.inv` is wrong, see sympy.matrices.matrices

It calls `as_real_imag` in sympy/core/mul.py. See
https://github.com/sympy/sympy/blob/8198e/sympy/core/power.py#L120 too.

```
Traceback (most recent call last):
  File \"/home/me/venv/lib/python3/site-packages/sympy/core/expr.py\", line 17, in f
    raise ValueError
```
panicked at src/main.rs:12:5
";
        let asked = asked(issue, &Weights::default());
        let places: Vec<(&str, Option<usize>)> = asked
            .places
            .iter()
            .map(|(path, line)| (path.as_str(), *line))
            .collect();
        assert!(places.contains(&("sympy/core/mul.py", None)), "{places:?}");
        assert!(
            places.contains(&("sympy/core/power.py", Some(120))),
            "{places:?}"
        );
        assert!(
            places
                .iter()
                .any(|(path, line)| path.ends_with("sympy/core/expr.py") && *line == Some(17)),
            "{places:?}"
        );
        assert!(places.contains(&("src/main.rs", Some(12))), "{places:?}");
        assert!(asked.names["as_real_imag"] && asked.names["inv"] && !asked.names["wrong"]);
        let dotted: Vec<String> = asked.dotted.iter().map(|parts| parts.join(".")).collect();
        assert!(
            dotted.contains(&"sympy.matrices.matrices".to_owned()),
            "{dotted:?}"
        );
        assert!(dotted.contains(&"Matrix.inv".to_owned()), "{dotted:?}");
    }

    #[test]
    fn words_weigh_by_where_they_stand() {
        let weights = Weights::default();
        let asked = asked(
            "Crash of the reader\n\nThe `writer` works.\n\n    merge(text)\n",
            &weights,
        );
        let weight = |word: &str| asked.terms[&terms(word)[0]];
        assert_eq!(weight("reader"), weights.title);
        assert_eq!(weight("writer"), weights.inline);
        assert_eq!(weight("works"), 1.0);
        assert_eq!(weight("merge"), weights.block);
    }
}
