//! What a thinking model writes before its answer, between two tokens of its own.
//!
//! Reasoning is part of a branch's history like everything that was decoded, but no
//! part of the action: it is parsed, measured and counted apart. Families' templates
//! drop it from earlier turns; a branch keeps it, since its history is its tokens
//! and rendering them anew would cost the cache more than the reasoning does.
//!
//! The grammar holds reasoning to a budget of tokens.

/// The tokens around it, the same in every known family.
pub const REASONING_OPENING: &str = "<think>";
pub const REASONING_CLOSING: &str = "</think>";

/// Where in a decoded text its answer begins: 0 without reasoning, the end where
/// the reasoning was never closed.
pub fn answer_start(text: &str) -> usize {
    if !text.trim_start().starts_with(REASONING_OPENING) {
        return 0;
    }
    let closing = text.find(REASONING_CLOSING);
    closing.map_or(text.len(), |at| at + REASONING_CLOSING.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_begins_behind_what_was_reasoned() {
        fn start(text: &str) -> &str {
            &text[answer_start(text)..]
        }
        assert_eq!(start("<think>\na <tool_call>?\n</think>\n\nb"), "\n\nb");
        assert_eq!(start("<think>without end"), "");
        assert_eq!(start("code = '</think>'"), "code = '</think>'");
    }
}
