//! How many tokens a step of the model brought.
use super::figures::{count, thousands};
use crate::base::Usage;

/// `3.6 decoded tokens a step (12,345 in 3,456), 789 drafted rows rejected`; `None` where steps
/// were not counted.
pub fn decoding(usage: &Usage) -> Option<String> {
    Some(format!(
        "{:.1} decoded tokens a step ({} in {}), {} rejected",
        usage.tokens_a_step()?,
        thousands(usage.decoded_tokens),
        thousands(usage.decode_steps),
        count(usage.rejected_rows as usize, "drafted row"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_said_a_step_where_steps_are_counted() {
        let mut usage = Usage {
            decoded_tokens: 1_500,
            ..Usage::default()
        };
        assert_eq!(decoding(&usage), None);
        usage.decode_steps = 1_000;
        usage.rejected_rows = 1;
        let said = "1.5 decoded tokens a step (1,500 in 1,000), 1 drafted row rejected";
        assert_eq!(decoding(&usage).unwrap(), said);
    }
}
