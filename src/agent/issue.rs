//! An issue as the first prompt shows it.

/// Shares of the room that the start and the end of a long issue have; lines of tracebacks in
/// between have the rest.
const HEAD_SHARE: f32 = 0.45;
const TAIL_SHARE: f32 = 0.3;

/// Characters of a line from which on its middle is left out; fewer where there is less room.
const LINE_CHARS_MAX: usize = 2_000;

/// Words of lines that say how a program failed, in any language.
const FAILURE_WORDS: [&str; 9] = [
    "Traceback",
    "Error",
    "error:",
    "Exception",
    "panicked",
    "FAILED",
    "File \"",
    "assert",
    "Caused by",
];

/// The issue whole where it has at most `tokens_max` tokens. Of a longer one its start, its
/// end, and from between the lines that say how a program failed; a line stands for those that
/// are left out.
pub(super) fn shown_issue(
    issue: &str,
    tokens_max: usize,
    n_tokens: &dyn Fn(&str) -> usize,
) -> String {
    if n_tokens(issue) <= tokens_max {
        return issue.to_owned();
    }
    // No character has more than one token, or hardly any.
    let line_chars_max = LINE_CHARS_MAX.min(tokens_max / 4);
    let lines = issue
        .lines()
        .map(|line| without_middle(line, line_chars_max));
    let lines: Vec<String> = lines.collect();
    let cost: Vec<usize> = lines.iter().map(|line| n_tokens(line) + 1).collect();
    let mut is_shown = vec![false; lines.len()];
    let share = |share: f32| (tokens_max as f32 * share) as usize;
    let mut left = tokens_max;
    let mut take = |indices: &mut dyn Iterator<Item = usize>, room: usize| {
        let mut room = room.min(left);
        for index in indices {
            // The mark of what is left out has a line's tokens, too.
            if is_shown[index] || cost[index] + MARK_TOKENS > room {
                if is_shown[index] {
                    continue;
                }
                break;
            }
            is_shown[index] = true;
            room -= cost[index];
            left -= cost[index];
        }
    };
    take(&mut (0..lines.len()), share(HEAD_SHARE));
    take(&mut (0..lines.len()).rev(), share(TAIL_SHARE));
    // The last failure is the nearest to what the issue is about.
    let failures = (0..lines.len()).rev().filter(|&index| {
        let line = &lines[index];
        FAILURE_WORDS.iter().any(|word| line.contains(word))
    });
    for index in failures {
        let around = [index.saturating_sub(1), index, index + 1];
        let mut around = around.into_iter().filter(|&at| at < lines.len());
        take(&mut around, usize::MAX);
    }
    let mut text = String::new();
    let mut n_left_out = 0;
    for (line, is_shown) in lines.iter().zip(&is_shown) {
        if *is_shown {
            text += &mark(n_left_out);
            n_left_out = 0;
            text += line;
            text.push('\n');
        } else {
            n_left_out += 1;
        }
    }
    text + &mark(n_left_out)
}

/// Tokens that a mark may take.
const MARK_TOKENS: usize = 12;

fn mark(n_lines: usize) -> String {
    match n_lines {
        0 => String::new(),
        n => format!("[... {n} lines of the issue are left out ...]\n"),
    }
}

fn without_middle(line: &str, chars_max: usize) -> String {
    let n_chars = line.chars().count();
    if n_chars <= chars_max {
        return line.to_owned();
    }
    let half = chars_max / 2;
    let head: String = line.chars().take(half).collect();
    let tail: String = line.chars().skip(n_chars - half).collect();
    format!("{head} [... {} characters ...] {tail}", n_chars - 2 * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn an_issue_that_fits_is_shown_whole() {
        assert_eq!(shown_issue("a b\nc", 3, &words), "a b\nc");
    }

    /// qwen-code#1936: a log of 100 kB in an issue.
    #[test]
    fn of_a_long_one_start_end_and_tracebacks_stay() {
        let log: Vec<String> = (0..9_000).map(|n| format!("line {n} of a log")).collect();
        let mut lines = vec!["`total` is wrong.".to_owned()];
        lines.extend(log);
        lines[5_000] = "Traceback (most recent call last):".into();
        lines[5_001] = "  File \"shop.py\", line 3, in total".into();
        lines[5_002] = "ValueError: no price".into();
        lines.push("It should be 3.".into());
        let issue = lines.join("\n");
        let shown = shown_issue(&issue, 400, &words);
        assert!(words(&shown) <= 400, "{}", words(&shown));
        for part in [
            "`total` is wrong.\nline 0",
            "Traceback (most recent call last):\n  File \"shop.py\", line 3",
            "ValueError: no price",
            "lines of the issue are left out ...]",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(shown.trim_end().ends_with("It should be 3."));
    }

    #[test]
    fn a_line_without_end_does_not_take_all_room() {
        let issue = format!("before\n{}\nafter", "x".repeat(100_000));
        let chars = |text: &str| text.chars().count() / 4;
        let shown = shown_issue(&issue, 2_000, &chars);
        assert!(shown.contains("[... 99500 characters ...]"), "{shown}");
        assert!(shown.starts_with("before") && shown.trim_end().ends_with("after"));
    }
}
