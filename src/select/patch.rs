//! Unified diffs as `git diff` writes them: what tells two apart, and how long one is.

/// The patch without what says nothing about its effect: blob ids and white
/// space at line ends. Equal results are the same patch.
pub fn normalise_patch(patch: &str) -> String {
    let lines = patch
        .lines()
        .filter(|line| !line.starts_with("index "))
        .map(str::trim_end);
    let text = lines.collect::<Vec<_>>().join("\n");
    text.trim_matches('\n').to_owned()
}

/// What patches that make the same code have in common: the digest of the code, or
/// without one the patch itself. Empty where it is the base's.
pub fn code_key(code: Option<&str>, patch: &str) -> String {
    code.map_or_else(|| normalise_patch(patch), str::to_owned)
}

/// Lines that the patch adds and removes; of a binary patch its own lines, for a change
/// that cannot be counted is not the smallest.
pub fn patch_lines(patch: &str) -> u32 {
    let (mut in_hunk, mut in_binary) = (false, false);
    let mut n = 0;
    for line in patch.lines() {
        match line {
            "GIT binary patch" => in_binary = true,
            _ if line.starts_with("diff --git ") => in_binary = false,
            _ => n += u32::from(in_binary && !line.is_empty()),
        }
        // `--- a` and `+++ b` stand before the hunks of a file; within one
        // they are changed lines like any other.
        match line.as_bytes().first() {
            _ if in_binary => {}
            Some(b'@') => in_hunk = true,
            Some(b'd') => in_hunk = false,
            Some(b'+' | b'-') if in_hunk => n += 1,
            _ => {}
        }
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "diff --git a/m.py b/m.py\nindex 1..2 100644\n--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,3 @@\n x\n--- y\n+++ y\n+z\ndiff --git a/n.py b/n.py\n--- a/n.py\n+++ b/n.py\n@@ -1 +1 @@\n-a\n+b\n";

    #[test]
    fn changed_lines_are_counted_and_headers_are_not() {
        assert_eq!(patch_lines(PATCH), 5);
        assert_eq!(patch_lines(""), 0);
        let binary = "diff --git a/x b/x\nindex 1..2\nGIT binary patch\nliteral 2\nJcmb\n\nliteral 1\n@cmb\n\n";
        assert_eq!(patch_lines(&format!("{binary}{PATCH}")), 5 + 4);
    }

    #[test]
    fn blob_ids_and_trailing_blanks_make_no_difference() {
        let other = PATCH
            .replace("index 1..2", "index 1..3")
            .replace("+z", "+z  ");
        assert_eq!(normalise_patch(PATCH), normalise_patch(&other));
        assert_ne!(
            normalise_patch(PATCH),
            normalise_patch(&PATCH.replace("+z", "+w"))
        );
    }
}
