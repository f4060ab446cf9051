//! A file's text after a change: pure, before anything is written.
use super::action::{Action, Change, Hunk};
use crate::index::RepoView;
use crate::lang::{
    self, Language, LineStart, Merged, TAB_WIDTH, dedent, in_unit, in_unit_of, indent_width,
    indented, line_starts, nearest_place, replace_symbol, unit,
};

/// True for an edit that gives back the code that the file already holds;
/// blank lines and lines of nothing but a comment do not count.
pub fn changes_nothing(view: &RepoView, action: &Action) -> bool {
    let text_of = |path: &str| view.get(path).and_then(|file| file.text.as_deref());
    match action {
        Action::Edit { path, change } => text_of(path).is_some_and(|old| {
            let changed = candidates(path, old, change);
            changed.is_ok_and(|all| {
                all.first()
                    .is_some_and(|new| same_code(path, old, &new.text))
            })
        }),
        Action::Write { path, text } => {
            text_of(path).is_some_and(|old| same_code(path, old, &rewritten(path, old, text).text))
        }
        _ => false,
    }
}

fn same_code(path: &str, a: &str, b: &str) -> bool {
    let language = lang::of_path(path);
    if !language.is_code() {
        return a.lines().eq(b.lines());
    }
    code(language, a) == code(language, b)
}

/// The lines of a program that are neither blank nor a comment.
fn code<'a>(language: &dyn Language, text: &'a str) -> Vec<&'a str> {
    let lines = text.lines().zip(line_starts(language, text));
    let code = lines.filter_map(|(line, start)| match start {
        LineStart::Blank | LineStart::Comment => None,
        LineStart::InString => Some(line),
        LineStart::Statement | LineStart::Continued => Some(line.trim_end()),
    });
    code.collect()
}

/// The texts that a change may stand for, the likeliest first: the first that
/// compiles is taken. Errors: what was not found, with the nearest real text.
pub(crate) fn candidates(path: &str, text: &str, change: &Change) -> Result<Vec<Merged>, String> {
    match change {
        Change::Symbol { symbol, code } => {
            let language = lang::of_path(path);
            if !language.is_code() {
                return Err(format!(
                    "{path} has no functions that can be named: change it by lines or write it whole."
                ));
            }
            Ok(vec![replace_symbol(
                language,
                text,
                symbol,
                &without_line_numbers(code),
            )?])
        }
        Change::Lines { start, end, code } => {
            replace_lines(path, text, *start, *end, &without_line_numbers(code))
        }
        Change::Hunks(hunks) => {
            let mut merged = Merged::unchanged(text);
            for (index, hunk) in hunks.iter().enumerate() {
                replace_hunk(path, &mut merged, hunk).map_err(|e| match hunks.len() {
                    1 => e,
                    n => format!("Change {} of {n}: {e}", index + 1),
                })?;
            }
            Ok(vec![merged])
        }
    }
}

/// What writing `code` over a file makes of it.
///
/// A block that begins with a definition, where the file begins with something else
/// and has that definition among others, is the changed part of the file: taken for
/// all of it, it would leave its own names undefined.
pub(crate) fn rewritten(path: &str, old: &str, code: &str) -> Merged {
    let code = without_line_numbers(code);
    part_of_file(path, old, &code).unwrap_or_else(|| Merged::rewritten(old, code))
}

fn part_of_file(path: &str, old: &str, code: &str) -> Option<Merged> {
    let language = lang::of_path(path);
    let is_part = language.is_code() && begins_with_definition(language, code);
    if !is_part || begins_with_definition(language, old) {
        return None;
    }
    let outer = |text: &str| -> Vec<String> {
        let all = language.symbols(text).into_iter();
        let outer = all.filter(|symbol| symbol.indent.is_empty());
        outer.map(|symbol| symbol.name).collect()
    };
    let (had, given) = (outer(old), outer(code));
    let known = given.iter().find(|name| had.contains(name))?;
    if had.iter().all(|name| given.contains(name)) {
        return None;
    }
    let mut merged = replace_symbol(language, old, known, code).ok()?;
    let note = "The block holds some of the file's definitions, so these were replaced and the rest stays.";
    merged.notes.insert(0, note.to_owned());
    Some(merged)
}

fn begins_with_definition(language: &dyn Language, text: &str) -> bool {
    let starts = line_starts(language, text);
    let first = starts.iter().position(|&s| s == LineStart::Statement);
    let symbols = language.symbols(text);
    first.is_some_and(|first| symbols.iter().any(|s| s.lines.contains(&first)))
}

fn replace_lines(
    path: &str,
    text: &str,
    start: usize,
    end: usize,
    code: &str,
) -> Result<Vec<Merged>, String> {
    let lines: Vec<&str> = text.lines().collect();
    if start > lines.len() {
        return Err(format!(
            "{path} has {} lines; there is no line {start}.",
            lines.len()
        ));
    }
    let range = start - 1..end.min(lines.len());
    let spliced = |block: &str| {
        let mut merged = Merged::unchanged(text);
        let block: Vec<&str> = block.lines().collect();
        merged.splice(range.clone(), &block);
        merged
    };
    let mut candidates = Vec::new();
    // A whole function given for some of its lines means the function: as
    // lines it would leave the old one's rest behind.
    let language = lang::of_path(path);
    let given = language.symbols(&dedent(language, code));
    if let Some(new) = given.first() {
        let within = language.symbols(text).into_iter().any(|old| {
            old.name == new.name
                && old.lines.start < range.end
                && range.start < old.lines.end
                && (range.start > old.lines.start || range.end < old.lines.end)
        });
        if let Some(mut merged) = within
            .then(|| replace_symbol(language, text, &new.name, code).ok())
            .flatten()
        {
            merged.notes.insert(
                0,
                format!(
                    "The block holds all of `{0}`, so all of `{0}` was replaced.",
                    new.name
                ),
            );
            candidates.push(merged);
        }
    }
    let outermost = |block: &str| {
        let written = block.lines().filter(|line| !line.trim().is_empty());
        written.map(indent_width).min().unwrap_or(0)
    };
    let old_block = lines[range.clone()].join("\n");
    if outermost(code) < outermost(&old_block) {
        let depth = lines[range.clone()]
            .iter()
            .filter(|line| !line.trim().is_empty())
            .min_by_key(|line| indent_width(line))
            .map_or("", |line| &line[..line.len() - line.trim_start().len()]);
        let code = in_unit_of(language, text, &dedent(language, code));
        candidates.push(spliced(&indented(language, &code, depth)));
    }
    candidates.push(spliced(code));
    Ok(candidates)
}

/// Replaces one hunk's old lines. Exact lines first; then with whitespace at line ends left
/// out; then shifted in indentation as a whole.
fn replace_hunk(path: &str, merged: &mut Merged, hunk: &Hunk) -> Result<(), String> {
    let text = merged.text.as_str();
    let lines: Vec<&str> = text.lines().collect();
    let old: Vec<&str> = hunk.old.lines().collect();
    let places = |same: &dyn Fn(&str, &str) -> bool| -> Vec<usize> {
        let last = (lines.len() + 1).saturating_sub(old.len());
        let fits = |at: &usize| old.iter().zip(&lines[*at..]).all(|(a, b)| same(a, b));
        (0..last).filter(fits).collect()
    };
    let mut found = places(&|a, b| a == b);
    if found.is_empty() {
        found = places(&|a, b| a.trim_end() == b.trim_end());
    }
    let mut new = hunk.new.clone();
    if found.is_empty() {
        found = places(&|a, b| a.trim() == b.trim());
        if let Some(&at) = found.first() {
            let first = old
                .iter()
                .zip(&lines[at..])
                .find(|(a, _)| !a.trim().is_empty());
            if let Some((a, b)) = first {
                new = reindented(lang::of_path(path), text, hunk, a, b);
            }
        }
    }
    match found[..] {
        [at] => {
            let new: Vec<&str> = new.lines().collect();
            merged.splice(at..at + old.len(), &new);
            Ok(())
        }
        [] => Err(match nearest_place(text, &hunk.old) {
            Some(place) => format!(
                "These lines are not in {path}. The nearest are lines {} to {}:\n{}",
                place.start + 1,
                place.end,
                lines[place.clone()].join("\n")
            ),
            None => {
                format!("These lines are not in {path}, nor anything like them. View it first.")
            }
        }),
        _ => {
            let at: Vec<String> = found.iter().map(|n| (n + 1).to_string()).collect();
            Err(format!(
                "These lines stand more than once in {path}, at lines {}. Add the lines around the one that you mean.",
                at.join(", ")
            ))
        }
    }
}

/// A hunk's new lines, moved by as much as `real` is indented more or less than `given`, and
/// indented as `file` is.
fn reindented(language: &dyn Language, file: &str, hunk: &Hunk, given: &str, real: &str) -> String {
    let own = unit(language, &hunk.new).or_else(|| unit(language, &hunk.old));
    let moved = |code: &str| match (&own, unit(language, file)) {
        (Some(from), Some(to)) if language.is_code() => in_unit(language, code, from, &to),
        _ => code.to_owned(),
    };
    let (from, to) = (indent_width(&moved(given)), indent_width(real));
    let has_tabs = match real.starts_with([' ', '\t']) {
        true => real.starts_with('\t'),
        false => unit(language, file).is_some_and(|unit| unit.starts_with('\t')),
    };
    let shifted = |line: &str| {
        let rest = line.trim_start();
        if rest.is_empty() {
            return String::new();
        }
        let width = (indent_width(line) + to).saturating_sub(from);
        let (tabs, spaces) = match has_tabs {
            true => (width / TAB_WIDTH, width % TAB_WIDTH),
            false => (0, width),
        };
        format!("{}{}{rest}", "\t".repeat(tabs), " ".repeat(spaces))
    };
    let new = moved(&hunk.new);
    new.lines().map(|line| shifted(line) + "\n").collect()
}

/// Code without the `12| ` that a model copied from a numbered listing; as it
/// is, unless each line has one and they count up: a table `7|Ann` is none.
pub(crate) fn without_line_numbers(code: &str) -> String {
    let mut last: Option<usize> = None;
    let mut bare = |line: &str| -> Option<String> {
        let (number, rest) = line.trim_start().split_once('|')?;
        let number: usize = number.parse().ok()?;
        // A blank line may have lost its number.
        let counts_up = last.replace(number).is_none_or(|last| number > last);
        let rest = match rest.is_empty() {
            true => rest,
            false => rest.strip_prefix(' ')?,
        };
        counts_up.then(|| rest.to_owned())
    };
    let lines: Option<Vec<String>> = code
        .lines()
        .map(|line| match line.trim() {
            "" => Some(String::new()),
            _ => bare(line),
        })
        .collect();
    match lines {
        Some(lines) if !lines.is_empty() => lines.join("\n") + "\n",
        _ => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "def f(x):\n    if x:\n        return 1\n    return 2\n\n\ndef g():\n    return 2\n";

    fn first(change: Change) -> String {
        candidates("a.py", FILE, &change).unwrap().remove(0).text
    }

    fn lines(start: usize, end: usize, code: &str) -> Change {
        Change::Lines {
            start,
            end,
            code: code.into(),
        }
    }

    fn hunk(old: &str, new: &str) -> Change {
        Change::Hunks(vec![Hunk {
            old: old.into(),
            new: new.into(),
        }])
    }

    #[test]
    fn an_edit_that_gives_the_code_back_changes_nothing() {
        let view = RepoView {
            files: vec![crate::index::RepoFile {
                path: "a.py".into(),
                text: Some(FILE.into()),
            }],
        };
        let edit = |code: &str| Action::Edit {
            path: "a.py".into(),
            change: Change::Symbol {
                symbol: "g".into(),
                code: code.into(),
            },
        };
        let same = |code: &str| changes_nothing(&view, &edit(code));
        assert!(same("def g():\n    return 2\n"));
        assert!(same("def g():\n    # two\n\n    return 2\n"));
        assert!(!same("def g():\n    return 3\n"));
        assert!(!same(
            "def g():\n    \"\"\"\n    # 2\n    \"\"\"\n    return 2\n"
        ));
        // In another unit of indentation, or of another one.
        assert!(same("def g():\n        return 2\n"));
        let nested = "def f(x):\n    if x:\n        return 1\n        return 2\n";
        assert!(!same(nested));
    }

    #[test]
    fn lines_are_replaced_and_take_the_old_lines_indentation() {
        let expected = FILE.replace("        return 1\n", "        return 3\n");
        assert_eq!(first(lines(3, 3, "        return 3\n")), expected);
        assert_eq!(first(lines(3, 3, "return 3\n")), expected);
        assert_eq!(first(lines(3, 3, "3| return 3\n")), expected);
        let end = first(lines(8, 99, "    return 9\n"));
        assert_eq!(
            end,
            FILE.replace("def g():\n    return 2", "def g():\n    return 9")
        );
        let error = candidates("a.py", FILE, &lines(12, 13, "x\n")).unwrap_err();
        assert!(error.contains("has 8 lines"));
    }

    #[test]
    fn a_whole_function_for_some_of_its_lines_means_the_function() {
        let text = first(lines(1, 2, "def f(x):\n    return 5\n"));
        assert_eq!(
            text,
            "def f(x):\n    return 5\n\n\ndef g():\n    return 2\n"
        );
    }

    #[test]
    fn a_part_of_a_file_written_over_it_replaces_that_part() {
        let old = format!("import re\n\n\n{FILE}");
        let new = "def g():\n    return re.escape(\"3\")\n";
        let merged = rewritten("a.py", &old, new);
        assert_eq!(merged.text, old.replace("def g():\n    return 2\n", new));
        assert!(merged.notes[0].contains("the rest stays"), "{merged:?}");
        // All of a file, a file of other things, and one that begins alike.
        let all = format!("import os\n\n\n{new}");
        let both = format!("def f(x):\n    return 1\n\n\n{new}");
        let others = "def h():\n    return 2\n";
        for (old, new) in [(&*old, &*all), (&old, &both), (&old, others), (FILE, new)] {
            assert_eq!(rewritten("a.py", old, new).text, new);
        }
        assert_eq!(rewritten("a.txt", &old, new).text, new);
    }

    #[test]
    fn a_hunk_is_found_exactly_or_by_its_indentation() {
        let expected = FILE.replace("return 1", "return 7");
        assert_eq!(
            first(hunk("        return 1\n", "        return 7\n")),
            expected
        );
        assert_eq!(first(hunk("return 1\n", "return 7\n")), expected);
        let two = first(hunk("if x:\n    return 1\n", "if not x:\n    return 7\n"));
        assert_eq!(two, expected.replace("if x", "if not x"));
    }

    #[test]
    fn a_hunk_that_is_not_there_shows_the_nearest_lines() {
        let error =
            candidates("a.py", FILE, &hunk("    if y:\n        return 10\n", "")).unwrap_err();
        assert!(
            error.contains("lines 2 to 3:\n    if x:\n        return 1"),
            "{error}"
        );
        let error = candidates("a.py", FILE, &hunk("    return 2\n", "")).unwrap_err();
        assert!(error.contains("at lines 4, 8"), "{error}");
    }

    #[test]
    fn line_numbers_are_taken_off_only_if_each_line_has_one() {
        assert_eq!(without_line_numbers(" 9| a\n10|  b\n"), "a\n b\n");
        assert_eq!(without_line_numbers("1| a\nb\n"), "1| a\nb\n");
        assert_eq!(without_line_numbers("x = 1 | 2\n"), "x = 1 | 2\n");
        assert_eq!(without_line_numbers(" 9| a\n\n11|\n12| b\n"), "a\n\n\nb\n");
        for table in ["1|Ann\n2|Bob\n", "2| b\n1| a\n", "|a|\n"] {
            assert_eq!(without_line_numbers(table), table);
        }
    }
}
