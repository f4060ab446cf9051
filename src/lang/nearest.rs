//! The nearest real text to what was asked for.
use std::collections::HashMap;

/// How alike two texts are, `0..=1`: Dice's coefficient over pairs of
/// neighbouring characters, whitespace at the ends left out. Linear time.
pub fn similarity(a: &str, b: &str) -> f32 {
    let (a, b) = (a.trim(), b.trim());
    if a == b {
        return 1.0;
    }
    let pairs = |text: &str| -> Vec<(char, char)> {
        // A mark at both ends, so that one character has pairs too.
        let padded = std::iter::once('\u{2}')
            .chain(text.chars())
            .chain(['\u{3}']);
        let next: Vec<char> = padded.collect();
        next.windows(2).map(|w| (w[0], w[1])).collect()
    };
    let (a, b) = (pairs(a), pairs(b));
    let mut counts: HashMap<(char, char), usize> = HashMap::new();
    for pair in &a {
        *counts.entry(*pair).or_default() += 1;
    }
    let mut shared = 0;
    for pair in &b {
        if let Some(count) = counts.get_mut(pair).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    2.0 * shared as f32 / (a.len() + b.len()) as f32
}

/// The names most like `wanted`, the best first, at most `n`.
pub fn nearest_names<'a>(wanted: &str, names: &[&'a str], n: usize) -> Vec<&'a str> {
    let mut scored: Vec<(f32, &str)> = names
        .iter()
        .map(|name| {
            (
                similarity(&wanted.to_lowercase(), &name.to_lowercase()),
                *name,
            )
        })
        .filter(|(score, _)| *score > NAME_SIMILARITY_MIN)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup();
    scored.into_iter().take(n).map(|(_, name)| name).collect()
}

/// Below this two names have a few letters in common by chance.
const NAME_SIMILARITY_MIN: f32 = 0.35;
/// Below this a place in a file is no better than any other.
const PLACE_SIMILARITY_MIN: f32 = 0.3;
/// Longer texts are matched by their first lines: the place is what is asked.
const LINES_COMPARED_MAX: usize = 30;

/// The lines of `text` (from 0, end excluded) most like the lines of `wanted`.
pub fn nearest_place(text: &str, wanted: &str) -> Option<std::ops::Range<usize>> {
    let lines: Vec<&str> = text.lines().collect();
    let wanted: Vec<&str> = wanted
        .lines()
        .skip_while(|line| line.trim().is_empty())
        .take(LINES_COMPARED_MAX)
        .collect();
    if lines.is_empty() || wanted.is_empty() {
        return None;
    }
    let score_at = |start: usize| -> f32 {
        let pairs = wanted.iter().zip(&lines[start..]);
        let sum: f32 = pairs.map(|(w, line)| similarity(w, line)).sum();
        sum / wanted.len() as f32
    };
    let starts = 0..lines.len();
    let (score, start) = starts
        .map(|start| (score_at(start), start))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
    let end = (start + wanted.len()).min(lines.len());
    (score >= PLACE_SIMILARITY_MIN).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_place_is_found_through_small_changes() {
        let text = "import os\n\ndef f(items):\n    total = 0\n    for x in items:\n        total += x\n    return total\n";
        let place = nearest_place(text, "  for item in items:\n      total += item\n");
        assert_eq!(place, Some(4..6));
        assert_eq!(nearest_place(text, "zzz qqq"), None);
        assert_eq!(nearest_place("", "x"), None);
    }

    #[test]
    fn near_names_come_first_and_far_ones_not_at_all() {
        let names = ["merge_sort", "mergesort", "Node", "quicksort"];
        assert_eq!(
            nearest_names("merge_srt", &names, 2),
            ["merge_sort", "mergesort"]
        );
        assert!(nearest_names("xyz", &names, 3).is_empty());
        assert_eq!(similarity("a", "a "), 1.0);
    }
}
