//! Which files an issue is about.
use crate::index::{RepoFile, RepoView};
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};

/// Points for what an issue says of a file. The order is what matters: a path
/// says more than a name, a name more than a word.
const PATH_POINTS: f32 = 20.0;
const STEM_POINTS: f32 = 6.0;
const SYMBOL_POINTS: f32 = 8.0;
const WORD_POINTS: f32 = 1.0;
/// Words that one file may score by, so that a long file does not win by length.
const WORDS_MAX: f32 = 6.0;
/// A test shows what is wanted, but the defect is seldom in it.
const TEST_FACTOR: f32 = 0.5;
/// A file imported by a likely one may matter too.
const IMPORTED_SHARE: f32 = 0.25;

/// Files whose imports are looked at, the likeliest first.
const IMPORTERS_MAX: usize = 200;

/// Names in an issue that may be names in code: letters, digits, underscores.
pub(crate) fn identifiers(text: &str) -> BTreeSet<&str> {
    words(text)
        .filter(|word| word.len() > 2 && !word.starts_with(|c: char| c.is_ascii_digit()))
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
}

/// Indices of the text files, the likeliest to matter first. Ties keep the
/// order of paths.
pub(crate) fn rank(view: &RepoView, issue: &str) -> Vec<usize> {
    let wanted = identifiers(issue);
    // Of each file's words those that the issue has, too.
    let file_words: Vec<BTreeSet<&str>> = view
        .files
        .par_iter()
        .map(|file| {
            let all = words(file.text.as_deref().unwrap_or_default());
            all.filter(|word| wanted.contains(word)).collect()
        })
        .collect();
    let mut n_files_with: HashMap<&str, usize> = HashMap::new();
    for words in &file_words {
        for word in words {
            *n_files_with.entry(word).or_default() += 1;
        }
    }
    let own: Vec<f32> = view
        .files
        .par_iter()
        .zip(&file_words)
        .map(|(file, words)| own_points(file, words, issue, &wanted, &n_files_with))
        .collect();
    let mut points = own.clone();
    let mut by_module: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, file) in view.files.iter().enumerate() {
        if let Some(module) = file.language().module_name(&file.path) {
            by_module.entry(module).or_default().push(at);
        }
    }
    // The likeliest ones only: reading the imports of every file takes a parse of each.
    let mut likely: Vec<usize> = (0..own.len()).filter(|&at| own[at] > 0.0).collect();
    likely.sort_by(|&a, &b| own[b].total_cmp(&own[a]).then(a.cmp(&b)));
    for from in likely.into_iter().take(IMPORTERS_MAX) {
        for module in imported_words(&view.files[from]) {
            for &to in by_module.get(module).into_iter().flatten() {
                if to != from {
                    points[to] = points[to].max(own[to] + IMPORTED_SHARE * own[from]);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..view.files.len())
        .filter(|&index| view.files[index].text.is_some())
        .collect();
    order.sort_by(|&a, &b| points[b].total_cmp(&points[a]).then(a.cmp(&b)));
    order
}

fn own_points(
    file: &RepoFile,
    words: &BTreeSet<&str>,
    issue: &str,
    wanted: &BTreeSet<&str>,
    n_files_with: &HashMap<&str, usize>,
) -> f32 {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let stem = file.language().module_name(name).unwrap_or(name);
    let mut points = 0.0;
    if issue.contains(&file.path) || (file.path.contains('/') && issue.contains(name)) {
        points += PATH_POINTS;
    } else if wanted.contains(stem) {
        points += STEM_POINTS;
    }
    if file.text.is_none() || !file.language().is_code() {
        return points;
    }
    // A name that is defined stands in the text: a file without any need not be parsed.
    let defined = match words.is_disjoint(wanted) {
        true => Vec::new(),
        false => file.symbols(),
    };
    let named: BTreeSet<&str> = defined
        .iter()
        .map(|s| s.name.as_str())
        .filter(|name| wanted.contains(name))
        .collect();
    points += SYMBOL_POINTS * named.len() as f32;
    let rare: f32 = words
        .intersection(wanted)
        .map(|word| WORD_POINTS / n_files_with[word] as f32)
        .sum();
    points += rare.min(WORDS_MAX);
    if file.is_test() {
        points *= TEST_FACTOR;
    }
    points
}

/// The words of a file's import statements, modules among them.
fn imported_words(file: &RepoFile) -> BTreeSet<&str> {
    let (Some(text), Some(syntax)) = (file.text.as_deref(), file.language().syntax()) else {
        return BTreeSet::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    let imports = syntax.imports(text).into_iter();
    imports
        .flat_map(|range| lines[range.start..range.end.min(lines.len())].iter())
        .flat_map(|line| words(line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(files: &[(&str, &str)]) -> RepoView {
        let file = |(path, text): &(&str, &str)| RepoFile {
            path: path.to_string(),
            text: Some((*text).into()),
        };
        RepoView {
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn what_the_issue_names_comes_first() {
        let view = view(&[
            (
                "pkg/money.py",
                "def parse_price(text):\n    return round_half(text)\n",
            ),
            ("pkg/other.py", "def unrelated():\n    pass\n"),
            ("pkg/rounding.py", "def round_half(x):\n    return x\n"),
            ("tests/test_money.py", "from pkg.money import parse_price\n"),
        ]);
        let order = rank(&view, "`parse_price` drops the cents of \"1.005\".");
        assert_eq!(view.files[order[0]].path, "pkg/money.py");
        let order = rank(&view, "See pkg/other.py, it is never called.");
        assert_eq!(view.files[order[0]].path, "pkg/other.py");
    }

    #[test]
    fn what_a_likely_file_imports_is_likelier_than_the_rest() {
        let view = view(&[
            ("a.py", "X = 1\n"),
            (
                "cart.py",
                "from rounding import half\n\ndef total():\n    return half(1)\n",
            ),
            ("rounding.py", "def half(x):\n    return x\n"),
        ]);
        let order = rank(&view, "total() is off by a cent");
        let paths: Vec<_> = order.iter().map(|&i| view.files[i].path.as_str()).collect();
        assert_eq!(paths, ["cart.py", "rounding.py", "a.py"]);
    }
}
