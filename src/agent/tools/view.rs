//! `view`: a file, or a range of its lines.
use super::Executor;
use crate::agent::numbered::numbered;
use crate::agent::observation::Observation;
use crate::base::{LimitHit, ToolForm};
use crate::lang::{Symbol, nearest_names, of_path};
use crate::record::StepOutcome;
use std::path::Path;

/// Characters kept free for what is said around the lines.
const FRAME_CHARS: usize = 300;

impl Executor<'_> {
    /// The lines of a function or class, as many as the limits leave.
    pub(super) fn view_symbol(&self, dir: &Path, path: &str, name: &str) -> Observation {
        let file = match self.read(dir, path) {
            Ok(file) => file,
            Err(sentence) => return Observation::rejected(sentence),
        };
        let symbols = of_path(path).symbols(file.text());
        let by_name = |is: &dyn Fn(&Symbol) -> bool| symbols.iter().find(|symbol| is(symbol));
        let found = by_name(&|symbol| symbol.qualified == name)
            .or_else(|| by_name(&|symbol| symbol.name == name));
        if let Some(symbol) = found {
            let lines = (symbol.lines.start + 1, symbol.lines.end);
            return self.view(dir, path, Some(lines));
        }
        let names: Vec<&str> = symbols
            .iter()
            .map(|symbol| symbol.qualified.as_str())
            .collect();
        let near = nearest_names(name, &names, 3);
        Observation::rejected(match near.is_empty() {
            true => format!("{path} defines no function or class: view its lines."),
            false => format!(
                "{path} does not define {name}. The nearest: {}.",
                near.join(", ")
            ),
        })
    }

    /// Whole lines from the first one asked for, as many as the limits leave.
    pub(super) fn view(
        &self,
        dir: &Path,
        path: &str,
        lines: Option<(usize, usize)>,
    ) -> Observation {
        let file = match self.read(dir, path) {
            Ok(file) => file,
            Err(sentence) => return Observation::rejected(sentence),
        };
        let all: Vec<&str> = file.text().lines().collect();
        if all.is_empty() {
            return Observation::new(StepOutcome::Ok, format!("{path} is empty."));
        }
        let (start, asked_end) = lines.unwrap_or((1, all.len()));
        if start > all.len() {
            return Observation::rejected(format!(
                "{path} has {} lines; there is no line {start}.",
                all.len()
            ));
        }
        let limits = self.config.limits();
        let asked_end = asked_end.min(all.len());
        let by_lines = asked_end.min(start - 1 + limits.view_lines_max);
        // Numbers only for tools that name lines by them.
        let has_ranges = self.config.tools.has(ToolForm::ViewLines);
        let is_numbered = self.config.profile.line_numbers
            || has_ranges
            || self.config.tools.has(ToolForm::EditLines);
        let shown = |end: usize| {
            let part = all[start - 1..end].join("\n");
            match is_numbered {
                true => numbered(&part, start - 1),
                false => part + "\n",
            }
        };
        let room = limits.observation_chars_max;
        let mut end = by_lines;
        if shown(end).chars().count() > room {
            let first = shown_chars(all[start - 1], start, is_numbered);
            let mut left = room.saturating_sub(FRAME_CHARS + first);
            end = start;
            while end < by_lines {
                let next = shown_chars(all[end], end + 1, is_numbered);
                let Some(rest) = left.checked_sub(next) else {
                    break;
                };
                (left, end) = (rest, end + 1);
            }
        }
        let mut text = format!(
            "{path}, lines {start} to {end} of {}:\n{}",
            all.len(),
            shown(end)
        );
        let mut cuts = Vec::new();
        if end < asked_end {
            let (first, last) = (end + 1, asked_end);
            text += &match has_ranges {
                true => format!(
                    "Lines {first} to {last} are not shown: view them with start {first} and end {last}."
                ),
                false => format!(
                    "Lines {first} to {last} are not shown; search finds a line by its text."
                ),
            };
            let wanted = asked_end + 1 - start;
            cuts.push(match end == by_lines {
                true => LimitHit::new("view_lines_max", limits.view_lines_max, wanted),
                false => LimitHit::unmeasured("observation_chars_max", room),
            });
        }
        let mut observation = Observation::new(StepOutcome::Ok, text);
        observation.cuts = cuts;
        observation
    }
}

/// Characters of a line as it is shown, its end included.
fn shown_chars(line: &str, number: usize, is_numbered: bool) -> usize {
    let prefix = match is_numbered {
        true => number.to_string().len() + "| ".len(),
        false => 0,
    };
    prefix + line.chars().count() + 1
}
