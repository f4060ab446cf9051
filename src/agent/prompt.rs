//! Fills the prompt files. Every word that the program itself says to a model
//! stands in `prompts/`.

pub(crate) const SYSTEM: &str = include_str!("prompts/system.md");
pub(crate) const SYSTEM_ONE_TURN: &str = include_str!("prompts/system_one_turn.md");
pub(crate) const SYSTEM_MAP: &str = include_str!("prompts/system_map.md");
pub(crate) const SYSTEM_MAP_ONE_TURN: &str = include_str!("prompts/system_map_one_turn.md");
pub(crate) const TASK: &str = include_str!("prompts/task.md");
pub(crate) const REPRODUCE: &str = include_str!("prompts/reproduce.md");
pub(crate) const FIRST_VIEW: &str = include_str!("prompts/first_view.md");
pub(crate) const REPEATED: &str = include_str!("prompts/repeated.md");
pub(crate) const NO_CALL: &str = include_str!("prompts/no_call.md");
pub(crate) const UNCHANGED: &str = include_str!("prompts/unchanged.md");
pub(crate) const NOTHING_TO_SUBMIT: &str = include_str!("prompts/nothing_to_submit.md");
pub(crate) const EDITED: &str = include_str!("prompts/edited.md");
pub(crate) const CHECK_PASSED: &str = include_str!("prompts/check_passed.md");
pub(crate) const CHECK_FAILED: &str = include_str!("prompts/check_failed.md");
pub(crate) const SYNTAX: &str = include_str!("prompts/syntax.md");

/// `template` with each `{{name}}` replaced, in one pass: what is filled in
/// is not looked at again. Panics on a name that `values` lacks, which is a
/// mistake in a prompt file.
pub(crate) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::new();
    let mut rest = template.trim_end();
    while let Some((before, behind)) = rest.split_once("{{") {
        let (name, after) = behind.split_once("}}").expect("a closed placeholder");
        let value = values.iter().find(|(n, _)| *n == name);
        let (_, value) = value.unwrap_or_else(|| panic!("no value for {{{{{name}}}}}"));
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let text = fill("{{a}} and {{b}}.\n", &[("a", "{{b}}"), ("b", "2")]);
        assert_eq!(text, "{{b}} and 2.");
    }
}
