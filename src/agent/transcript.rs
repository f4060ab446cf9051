//! A branch's history: its token ids, each rendered or decoded once.
use super::dialect::{Dialect, encode};
use crate::engine::Vocabulary;
use std::ops::Range;

/// Where a step's tokens stand in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTokens {
    /// The decoded action, exactly as decoded.
    pub action: Range<usize>,
    /// The rendered observation; empty for the branch's last step.
    pub observation: Range<usize>,
}

/// The tokens of a branch: the prompt, then action and observation in turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// `[0, prompt_len)` prompt, then the steps without gaps.
    tokens: Vec<u32>,
    prompt_len: usize,
    steps: Vec<StepTokens>,
}

impl Transcript {
    /// A history that holds the prompt only.
    pub fn new(prompt_tokens: Vec<u32>) -> Self {
        Self {
            prompt_len: prompt_tokens.len(),
            tokens: prompt_tokens,
            steps: Vec::new(),
        }
    }

    /// A history that starts with a rendered prompt.
    pub fn start(
        vocabulary: &dyn Vocabulary,
        dialect: &dyn Dialect,
        system: &str,
        user: &str,
    ) -> Self {
        Self::new(encode(vocabulary, &dialect.prompt(system, user)))
    }

    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    pub fn prompt(&self) -> &[u32] {
        &self.tokens[..self.prompt_len]
    }

    pub fn steps(&self) -> &[StepTokens] {
        &self.steps
    }

    /// The tokens of step `depth`'s action.
    pub fn action(&self, depth: usize) -> &[u32] {
        &self.tokens[self.steps[depth].action.clone()]
    }

    /// How many tokens stand before step `depth`'s action: where a sibling of
    /// that step forks. `depth` may be the number of steps: the next one's.
    pub fn step_start(&self, depth: usize) -> usize {
        match self.steps.get(depth) {
            Some(step) => step.action.start,
            None => self.tokens.len(),
        }
    }

    /// Appends an action as it was decoded. Panics if the step before it has
    /// no observation yet.
    pub fn push_action(&mut self, tokens: &[u32]) {
        if let Some(last) = self.steps.last() {
            assert!(!last.observation.is_empty(), "a step lacks its observation");
        }
        let start = self.tokens.len();
        self.tokens.extend_from_slice(tokens);
        let end = self.tokens.len();
        self.steps.push(StepTokens {
            action: start..end,
            observation: end..end,
        });
    }

    /// Renders an observation behind the last action; the tokens go into the
    /// record and to [`push_observation`](Self::push_observation). Where the
    /// action already ends with the token that closes a turn, it is not
    /// written twice.
    pub fn render_observation(
        &self,
        vocabulary: &dyn Vocabulary,
        dialect: &dyn Dialect,
        text: &str,
    ) -> Vec<u32> {
        let mut tokens = encode(vocabulary, &dialect.observation(text));
        let closed = self.tokens.last().copied();
        if tokens.first().copied() == closed
            && closed.is_some_and(|t| dialect.stop_tokens(vocabulary).contains(&t))
        {
            tokens.remove(0);
        }
        tokens
    }

    /// Appends a rendered observation. Panics if there is no action that waits
    /// for one.
    pub fn push_observation(&mut self, tokens: &[u32]) {
        let start = self.tokens.len();
        let last = self.steps.last_mut().expect("an action comes first");
        assert!(last.observation.is_empty(), "one observation a step");
        self.tokens.extend_from_slice(tokens);
        last.observation = start..self.tokens.len();
    }

    /// The history before step `depth`: what a branch that does that step
    /// differently starts from. Panics if there are fewer steps.
    pub fn fork(&self, depth: usize) -> Self {
        assert!(depth <= self.steps.len(), "no step {depth} to fork at");
        Self {
            tokens: self.tokens[..self.step_start(depth)].to_vec(),
            prompt_len: self.prompt_len,
            steps: self.steps[..depth].to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::dialect::ChatMl;
    use crate::engine::scripted::ByteVocabulary;

    #[test]
    fn suffixes_joined_are_the_whole_conversation() {
        let (vocabulary, dialect) = (ByteVocabulary::chat_ml(), ChatMl::default());
        let mut history = Transcript::start(&vocabulary, &dialect, "Rules.", "Issue.");
        for closing in ["", "<|im_end|>"] {
            history.push_action(&vocabulary.encode_special(&format!("Act.{closing}")));
            let seen = history.render_observation(&vocabulary, &dialect, "Seen.");
            history.push_observation(&seen);
        }
        let turn = "Act.<|im_end|>\n<|im_start|>user\n<tool_response>\nSeen.\n</tool_response><|im_end|>\n<|im_start|>assistant\n";
        let whole = format!(
            "<|im_start|>system\nRules.<|im_end|>\n<|im_start|>user\nIssue.<|im_end|>\n<|im_start|>assistant\n{turn}{turn}"
        );
        assert_eq!(vocabulary.decode(history.tokens()), whole);
        assert_eq!(history.tokens(), vocabulary.encode_special(&whole));
    }

    #[test]
    fn a_fork_holds_what_stands_before_its_step() {
        let (vocabulary, dialect) = (ByteVocabulary::chat_ml(), ChatMl::default());
        let mut history = Transcript::start(&vocabulary, &dialect, "R", "I");
        for text in ["one", "two"] {
            history.push_action(&vocabulary.encode(text));
            let seen = history.render_observation(&vocabulary, &dialect, "ok");
            history.push_observation(&seen);
        }
        let fork = history.fork(1);
        assert_eq!(fork.tokens(), &history.tokens()[..history.step_start(1)]);
        assert_eq!(fork.steps(), &history.steps()[..1]);
        assert_eq!(history.fork(2), history);
        assert_eq!(vocabulary.decode(history.action(1)), "two");
    }
}
