//! The work of a sensible agent, written down in order. The answers that it has had say how far
//! it is.
use crate::gold::Change;
use egss::agent::CallFormat;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Names of the issue that are searched for.
const NAMES_MAX: usize = 25;
/// Views of places that a search found, and of files that the map names.
const VIEWS_MAX: usize = 60;
/// Lines before a hit that a view begins with, and lines of one view.
const LINES_BEFORE: usize = 120;
const VIEW_LINES: usize = 300;

/// A call whose answer is not there yet.
struct Ask(String);

pub struct Agent<'a> {
    /// The first prompt's user turn.
    prompt: &'a str,
    issue: &'a str,
    changes: &'a [Change],
    /// Answers of the tools, in order; `n_read` of them are dealt with.
    answers: Vec<&'a str>,
    n_read: usize,
    /// The lines seen of each file, by their numbers.
    seen: BTreeMap<String, BTreeMap<usize, String>>,
    viewed: BTreeSet<(String, usize)>,
}

impl<'a> Agent<'a> {
    /// `text` is the whole conversation.
    pub fn new(text: &'a str, issue: &'a str, changes: &'a [Change]) -> Self {
        let (opening, closing) = ("<tool_response>\n", "\n</tool_response>");
        let answers = text.split(opening).skip(1);
        let prompt = text.split("<|im_start|>user\n").nth(1).unwrap_or_default();
        Self {
            prompt: prompt.split("<|im_end|>").next().unwrap_or_default(),
            issue,
            changes,
            answers: answers
                .map(|rest| rest.split(closing).next().unwrap_or(rest))
                .collect(),
            n_read: 0,
            seen: BTreeMap::new(),
            viewed: BTreeSet::new(),
        }
    }

    /// The next thing that it says.
    pub fn next(mut self) -> String {
        match self.work() {
            Ok(()) => "I do not know the place.".to_owned(),
            Err(Ask(said)) => said,
        }
    }

    fn ask(&mut self, said: String) -> Result<&'a str, Ask> {
        let answer = self.answers.get(self.n_read).copied();
        self.n_read += 1;
        answer.ok_or(Ask(said))
    }

    fn work(&mut self) -> Result<(), Ask> {
        self.look_at_the_map()?;
        self.search_and_view()?;
        let Some(places) = self.places() else {
            return Ok(());
        };
        self.reproduce()?;
        for (path, changes) in &places {
            self.ask(edit(path, changes))?;
        }
        self.run_tests_beside(&places)?;
        self.ask(call("submit", json!({})))?;
        Ok(())
    }

    /// Views the definition that the map puts first.
    fn look_at_the_map(&mut self) -> Result<(), Ask> {
        let Some((path, symbol)) = self.outlined().into_iter().find_map(|(path, symbols, _)| {
            let first = symbols.into_iter().next()?;
            Some((path, first))
        }) else {
            return Ok(());
        };
        let arguments = [("path", path.as_str()), ("symbol", symbol.as_str())];
        let answer = self.ask(CallFormat::Hermes.write("view", &arguments))?;
        self.read(answer);
        Ok(())
    }

    /// Searches for the issue's names, and views the hits and then the outlined files until all
    /// that has to change was seen.
    fn search_and_view(&mut self) -> Result<(), Ask> {
        let mut hits: Vec<(String, usize)> = Vec::new();
        for name in names(self.issue) {
            let pattern = regex::escape(&name);
            let answer = self.ask(call("search", json!({ "pattern": pattern })))?;
            let found = answer.lines().filter_map(|line| {
                let (path, rest) = line.split_once(':')?;
                let (number, _) = rest.split_once(':')?;
                Some((path.to_owned(), number.parse().ok()?))
            });
            hits.extend(found.filter(|(path, _)| !is_test(path)));
        }
        let outlined = self.outlined();
        // Files that the map outlines are likelier than any other hit.
        let place = |path: &str| outlined.iter().position(|(p, _, _)| p == path);
        hits.sort_by_key(|(path, _)| place(path).unwrap_or(usize::MAX));
        for (path, line) in hits {
            let start = line.saturating_sub(LINES_BEFORE).max(1);
            if self.is_done() || self.viewed.len() >= VIEWS_MAX {
                break;
            }
            let seen = self
                .seen
                .get(&path)
                .is_some_and(|lines| lines.contains_key(&line));
            if !seen {
                self.view(&path, start)?;
            }
            self.read_on_where_it_is()?;
        }
        for (path, _, n_lines) in outlined {
            for start in (1..=n_lines).step_by(VIEW_LINES) {
                if self.is_done() || self.viewed.len() >= VIEWS_MAX {
                    break;
                }
                self.view(&path, start)?;
            }
        }
        Ok(())
    }

    /// Of a file of which one place was recognised the rest is read, too.
    fn read_on_where_it_is(&mut self) -> Result<(), Ask> {
        let known: Vec<String> = self.changes.iter().filter_map(|c| self.place(c)).collect();
        for path in known {
            let mut start = 1;
            while !self.is_done() && self.viewed.len() < VIEWS_MAX {
                let n_before = self.seen[&path].len();
                self.view(&path, start)?;
                start += VIEW_LINES;
                let last = self.seen[&path].keys().last().copied().unwrap_or(0);
                if self.seen[&path].len() == n_before && start > last {
                    break;
                }
            }
        }
        Ok(())
    }

    fn view(&mut self, path: &str, start: usize) -> Result<(), Ask> {
        if !self.viewed.insert((path.to_owned(), start)) {
            return Ok(());
        }
        let end = start + VIEW_LINES - 1;
        let arguments = json!({ "path": path, "start": start, "end": end });
        let answer = self.ask(call("view", arguments))?;
        self.read(answer);
        Ok(())
    }

    /// Takes the numbered lines of a view in.
    fn read(&mut self, answer: &str) {
        let Some((head, rest)) = answer.split_once(":\n") else {
            return;
        };
        let Some((path, _)) = head.split_once(", lines ") else {
            return;
        };
        let lines = self.seen.entry(path.to_owned()).or_default();
        for line in rest.lines() {
            if let Some((number, text)) = line.split_once("| ")
                && let Ok(number) = number.trim().parse()
            {
                lines.insert(number, text.to_owned());
            } else if let Some(number) = line.trim_end().strip_suffix('|')
                && let Ok(number) = number.trim().parse()
            {
                lines.insert(number, String::new());
            }
        }
    }

    /// The file in which the old lines of a change were seen, one below the other.
    fn place(&self, change: &Change) -> Option<String> {
        let holds = |lines: &BTreeMap<usize, String>| {
            lines.keys().any(|&first| {
                let wanted = change.old.iter().enumerate();
                wanted.into_iter().all(|(at, old)| {
                    let seen = lines.get(&(first + at));
                    seen.is_some_and(|seen| seen.trim_end() == old.trim_end())
                })
            })
        };
        let found = self.seen.iter().find(|(_, lines)| holds(lines));
        found.map(|(path, _)| path.clone())
    }

    fn is_done(&self) -> bool {
        self.changes
            .iter()
            .all(|change| self.place(change).is_some())
    }

    /// The changes by the files in which they were seen; `None` where one was not.
    fn places(&self) -> Option<Vec<(String, Vec<&'a Change>)>> {
        let mut places: BTreeMap<usize, (String, Vec<&'a Change>)> = BTreeMap::new();
        for change in self.changes {
            let path = self.place(change)?;
            let of_file = places.entry(change.file).or_insert((path, Vec::new()));
            of_file.1.push(change);
        }
        Some(places.into_values().collect())
    }

    /// Runs the issue's first example, if it has one.
    fn reproduce(&mut self) -> Result<(), Ask> {
        let Some(code) = self.issue.split("```").nth(1) else {
            return Ok(());
        };
        let (_, code) = code.split_once('\n').unwrap_or(("", code));
        let prompts = [">>> ", "... "];
        let is_session = code.contains(">>> ");
        let lines = code.lines().filter_map(|line| match is_session {
            true => prompts
                .iter()
                .find_map(|prompt| line.trim_start().strip_prefix(prompt)),
            false => Some(line),
        });
        let script = lines.collect::<Vec<_>>().join("\n");
        self.ask(call(
            "run",
            json!({ "command": format!("python - <<'EOF'\n{script}\nEOF") }),
        ))?;
        Ok(())
    }

    /// Runs the tests whose file is called as the changed one, as a search finds them.
    fn run_tests_beside(&mut self, places: &[(String, Vec<&Change>)]) -> Result<(), Ask> {
        let Some((path, _)) = places.first() else {
            return Ok(());
        };
        let file = path.rsplit('/').next().unwrap_or(path);
        let stem = file.split('.').next().unwrap_or(file);
        let glob = format!("**/test*{stem}*.py");
        let arguments = json!({ "pattern": "def test_", "glob": glob, "context": 0 });
        let answer = self.ask(call("search", arguments))?;
        let Some((tests, _)) = answer.lines().find_map(|line| line.split_once(':')) else {
            return Ok(());
        };
        if tests.ends_with(".py") {
            let command = format!("python -m pytest -q -x {tests} 2>&1 | tail -5");
            self.ask(call("run", json!({ "command": command })))?;
        }
        Ok(())
    }

    /// The files that the prompt outlines, in its order, each with its definitions and lines.
    fn outlined(&self) -> Vec<(String, Vec<String>, usize)> {
        let heading = Regex::new(r"^(\S+) \((\d+) lines\)$").expect("it is one");
        let definition =
            Regex::new(r"^ *\d+\| ( *)(?:async )?(?:def|class) (\w+)").expect("it is one");
        let outlines = self
            .prompt
            .split("Outlines of the files")
            .nth(1)
            .unwrap_or_default();
        let outlines = outlines
            .split("\nCode that the issue")
            .next()
            .unwrap_or_default();
        let mut files: Vec<(String, Vec<String>, usize)> = Vec::new();
        let mut around: Vec<String> = Vec::new();
        for line in outlines.lines() {
            if let Some(found) = heading.captures(line) {
                let n_lines = found[2].parse().unwrap_or(0);
                files.push((found[1].to_owned(), Vec::new(), n_lines));
                around.clear();
            } else if let Some(found) = definition.captures(line) {
                around.truncate(found[1].len() / 2);
                around.push(found[2].to_owned());
                if let Some((_, symbols, _)) = files.last_mut() {
                    symbols.push(around.join("."));
                }
            }
        }
        files
    }
}

fn is_test(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with("test"))
}

/// Words of the issue that look like names of code: quoted ones first.
fn names(issue: &str) -> Vec<String> {
    let quoted = Regex::new(r"`([A-Za-z_][\w.]{2,60})(?:\(\))?`").expect("it is one");
    let looks = r"\b([A-Za-z]\w*_\w+|_\w{3,}|[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)+|\w{3,}\.\w{3,})";
    let looks = Regex::new(looks).expect("it is one");
    let called = Regex::new(r"\b([A-Za-z_]\w{2,})\(").expect("it is one");
    let mut names = Vec::new();
    for expression in [&quoted, &looks, &called] {
        for found in expression.captures_iter(issue) {
            // The last part of `module.Type.name` is defined somewhere.
            let name = found[1].rsplit('.').next().unwrap_or_default().to_owned();
            if name.len() > 2 && !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names.truncate(NAMES_MAX);
    names
}

fn call(tool: &str, arguments: Value) -> String {
    let call = json!({ "name": tool, "arguments": arguments });
    format!("<tool_call>\n{call}\n</tool_call>")
}

/// One edit of a file by all its hunks.
fn edit(path: &str, changes: &[&Change]) -> String {
    let text = |lines: &[String]| {
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
    };
    let hunks: String = changes
        .iter()
        .map(|change| {
            let (old, new) = (text(&change.old), text(&change.new));
            format!("<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n")
        })
        .collect();
    let fence = if hunks.contains("```") { "````" } else { "```" };
    format!(
        "{}\n{fence}\n{hunks}{fence}",
        call("edit", json!({ "path": path }))
    )
}
