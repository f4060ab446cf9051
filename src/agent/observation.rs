//! What an agent is shown after its action.
use crate::base::LimitHit;
use crate::record::StepOutcome;

/// The result of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// What the agent reads, already cut to its limit.
    pub text: String,
    pub outcome: StepOutcome,
    /// Limits that cut it.
    pub cuts: Vec<LimitHit>,
}

impl Observation {
    pub(crate) fn new(outcome: StepOutcome, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            outcome,
            cuts: Vec::new(),
        }
    }

    pub(crate) fn rejected(text: impl Into<String>) -> Self {
        Self::new(StepOutcome::Rejected, text)
    }
}

impl Observation {
    /// The same, cut to so many characters.
    pub(crate) fn cut_to(mut self, chars_max: usize) -> Self {
        let whole = self.text.trim_end();
        let n_chars = whole.chars().count();
        if n_chars > chars_max {
            let hit = LimitHit::new("observation_chars_max", chars_max, n_chars);
            self.cuts.push(hit);
        }
        self.text = cut_middle(whole, chars_max);
        self
    }
}

/// `text` in at most `chars_max` characters: head and tail whole lines where
/// that is possible, with a line between them that says how much was left out.
/// The head gets a third: a failure's own words stand at the end.
pub(crate) fn cut_middle(text: &str, chars_max: usize) -> String {
    let n_chars = text.chars().count();
    if n_chars <= chars_max {
        return text.to_string();
    }
    // Room for the line in between, whose number has at most 20 digits.
    let room = chars_max.saturating_sub(48);
    let head_chars = room / 3;
    let tail_chars = room - head_chars;
    let mut head = &text[..byte_at(text, head_chars)];
    let mut tail = &text[byte_at(text, n_chars - tail_chars)..];
    if let Some(end) = head.rfind('\n') {
        head = &head[..end + 1];
    }
    if let Some(start) = tail.find('\n').filter(|&at| at + 1 < tail.len()) {
        tail = &tail[start + 1..];
    }
    let left_out = n_chars - head.chars().count() - tail.chars().count();
    let gap = if head.is_empty() || head.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{head}{gap}... {left_out} characters left out ...\n{tail}")
}

/// Byte offset of the character at index `n`.
fn byte_at(text: &str, n: usize) -> usize {
    text.char_indices().nth(n).map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_head_and_tail_within_the_limit() {
        let text: String = (0..400).map(|n| format!("line {n} é\n")).collect();
        for chars_max in [100, 257, 1_000] {
            let cut = cut_middle(&text, chars_max);
            assert!(cut.chars().count() <= chars_max, "{chars_max}");
            assert!(cut.starts_with("line 0 é\n") && cut.ends_with("line 399 é\n"));
            assert!(cut.contains("characters left out"));
        }
        assert_eq!(cut_middle("short", 100), "short");
    }

    #[test]
    fn one_endless_line_is_cut_too() {
        let cut = cut_middle(&"x".repeat(5_000), 300);
        assert!(cut.chars().count() <= 300);
        assert!(cut.contains("characters left out"));
    }
}
