//! The pure part of the step loop: which tools are open, whether an action is
//! a repetition, and when a branch is over. The search drives the rest.
use super::action::Action;
use super::config::{AgentConfig, Role};
use super::observation::Observation;
use super::prompt::{NOTHING_TO_SUBMIT, REPEATED, fill};
use super::tool::ToolSet;
use crate::base::{StepId, ToolName};
use crate::record::{BranchStatus, StepFinished, StepOutcome};
use std::collections::BTreeSet;

/// What is to be done with an action that was parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Execute,
    /// Not executed: this is its observation.
    Answer(Observation),
}

/// What a branch remembers of its steps. A fold over them: a fork clones it,
/// a resumed run [replays](Memory::replay) it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `(tree, canonical action)` of what was done.
    done: BTreeSet<(String, String)>,
    /// Turns in a row without a call.
    n_unparsed: u32,
    /// Repetitions since the workspace last changed.
    n_repeats: u32,
    /// The tool that was repeated at the last step.
    repeated: Option<ToolName>,
    n_steps: u32,
    last: Option<StepOutcome>,
}

impl Memory {
    /// The memory after `steps` of a branch whose first one began at `base_tree`. The
    /// results of `folded` ones are out of sight: doing them again is no repetition.
    pub fn replay<'a>(
        base_tree: &str,
        steps: impl IntoIterator<Item = &'a StepFinished>,
        folded: &[StepId],
    ) -> Self {
        let mut memory = Self::default();
        let mut tree = base_tree;
        for step in steps {
            let taken = &step.candidates[step.chosen];
            memory.note(
                taken.tool.as_deref(),
                &taken.canonical,
                (tree, &step.tree),
                step.outcome,
            );
            if folded.contains(&step.step) {
                let key = (tree.to_string(), taken.canonical.clone());
                memory.done.remove(&key);
            }
            tree = &step.tree;
        }
        memory
    }

    /// The tools of the next step. `changed` says whether the workspace
    /// differs from the base; `steps_left` counts the next step.
    ///
    /// Nothing can be submitted before something was changed, a tool that was
    /// just repeated is withheld for a step, and the last steps are for
    /// changing and handing in.
    pub fn tools(&self, config: &AgentConfig, changed: bool, steps_left: u32) -> ToolSet {
        let mut tools = config.tools.clone();
        if !changed {
            tools = tools.without(ToolName::Submit).without(ToolName::Undo);
        }
        if let Some(repeated) = self.repeated {
            tools = or_all(tools.clone().without(repeated), tools);
        }
        let is_last = |name: ToolName| name.changes_files() || name == ToolName::Submit;
        match (steps_left, changed) {
            (0 | 1, _) => or_all(tools.clone().only(is_last), tools),
            (2, false) => or_all(tools.clone().only(ToolName::changes_files), tools),
            _ => tools,
        }
    }

    /// Whether `action` is to be executed on the workspace state `tree`.
    pub fn review(&self, action: &Action, tree: &str, changed: bool) -> Verdict {
        if *action == Action::Submit && !changed {
            return Verdict::Answer(Observation::rejected(fill(NOTHING_TO_SUBMIT, &[])));
        }
        let is_undo = *action == Action::Undo;
        if !is_undo && self.done.contains(&(tree.to_string(), action.canonical())) {
            let text = fill(REPEATED, &[]);
            return Verdict::Answer(Observation::new(StepOutcome::Repeated, text));
        }
        Verdict::Execute
    }

    /// Takes note of a finished step. `tool` is `None` where nothing parsed;
    /// `trees` are the workspace's states before and after it.
    pub fn note(
        &mut self,
        tool: Option<&str>,
        canonical: &str,
        trees: (&str, &str),
        outcome: StepOutcome,
    ) {
        let (before, after) = trees;
        self.n_steps += 1;
        self.last = Some(outcome);
        self.n_unparsed = if tool.is_some() {
            0
        } else {
            self.n_unparsed + 1
        };
        if before != after {
            self.n_repeats = 0;
        }
        let key = (before.to_string(), canonical.to_string());
        // What cannot be read or carried out is never reviewed: the second
        // time it is a repetition too.
        let again = outcome == StepOutcome::Rejected && self.done.contains(&key);
        self.repeated = None;
        if outcome == StepOutcome::Repeated || again {
            self.n_repeats += 1;
            self.repeated = tool.and_then(ToolName::named);
        }
        if tool.is_some() {
            self.done
                .insert((before.to_string(), canonical.to_string()));
        }
    }

    /// How the branch has ended, if it has by what was done; budgets are the
    /// search's to watch.
    pub fn status(&self, config: &AgentConfig) -> Option<BranchStatus> {
        let last = self.last?;
        let one_turn = config.role == Role::OneTurn;
        if self.n_unparsed
            >= if one_turn {
                1
            } else {
                config.limits().unparsed_max
            }
        {
            Some(BranchStatus::NoToolCall)
        } else if one_turn || last == StepOutcome::Submitted {
            Some(BranchStatus::Submitted)
        } else if self.n_repeats >= config.limits().repeats_max {
            Some(BranchStatus::Stuck)
        } else {
            None
        }
    }

    /// Steps taken.
    pub fn n_steps(&self) -> u32 {
        self.n_steps
    }
}

/// `some`, unless that leaves nothing to call.
fn or_all(some: ToolSet, all: ToolSet) -> ToolSet {
    if some.is_empty() { all } else { some }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::AgentProfile;

    fn view(path: &str) -> Action {
        Action::View {
            path: path.into(),
            lines: None,
        }
    }

    fn noted(memory: &mut Memory, action: &Action, tree: &str) -> StepOutcome {
        let outcome = match memory.review(action, tree, true) {
            Verdict::Execute => StepOutcome::Ok,
            Verdict::Answer(observation) => observation.outcome,
        };
        memory.note(
            Some(action.tool().name()),
            &action.canonical(),
            (tree, tree),
            outcome,
        );
        outcome
    }

    #[test]
    fn a_repetition_is_told_by_action_and_tree() {
        let mut memory = Memory::default();
        assert_eq!(noted(&mut memory, &view("a.py"), "t0"), StepOutcome::Ok);
        assert_eq!(noted(&mut memory, &view("b.py"), "t0"), StepOutcome::Ok);
        assert_eq!(noted(&mut memory, &view("a.py"), "t1"), StepOutcome::Ok);
        assert_eq!(
            noted(&mut memory, &view("a.py"), "t0"),
            StepOutcome::Repeated
        );
    }

    #[test]
    fn a_repeated_tool_is_withheld_for_one_step_and_too_many_end_the_branch() {
        let config = AgentConfig::agent(AgentProfile::small());
        let mut memory = Memory::default();
        noted(&mut memory, &view("a.py"), "t0");
        for n in 1..=config.limits().repeats_max {
            assert_eq!(memory.status(&config), None);
            assert_eq!(
                noted(&mut memory, &view("a.py"), "t0"),
                StepOutcome::Repeated,
                "{n}"
            );
            assert!(!memory.tools(&config, true, 9).contains(ToolName::View));
        }
        assert_eq!(memory.status(&config), Some(BranchStatus::Stuck));
        memory.note(Some("run"), "x", ("t0", "t1"), StepOutcome::Ok);
        assert!(memory.tools(&config, true, 9).contains(ToolName::View));
        assert_eq!(memory.status(&config), None);
    }

    #[test]
    fn a_call_that_is_rejected_again_and_again_ends_the_branch() {
        let config = AgentConfig::agent(AgentProfile::small());
        let mut memory = Memory::default();
        for _ in 0..=config.limits().repeats_max {
            assert_eq!(memory.status(&config), None);
            memory.note(
                Some("view"),
                "view nothing",
                ("t", "t"),
                StepOutcome::Rejected,
            );
        }
        assert_eq!(memory.status(&config), Some(BranchStatus::Stuck));
    }

    #[test]
    fn nothing_is_submitted_before_something_was_changed() {
        let config = AgentConfig::agent(AgentProfile::small());
        let memory = Memory::default();
        assert!(!memory.tools(&config, false, 9).contains(ToolName::Submit));
        assert!(memory.tools(&config, true, 9).contains(ToolName::Submit));
        assert!(matches!(
            memory.review(&Action::Submit, "t0", false),
            Verdict::Answer(Observation {
                outcome: StepOutcome::Rejected,
                ..
            })
        ));
        assert_eq!(memory.review(&Action::Submit, "t0", true), Verdict::Execute);
        assert_eq!(
            memory.tools(&config, false, 2).names(),
            [ToolName::Edit, ToolName::Write]
        );
        assert_eq!(
            memory.tools(&config, true, 1).names(),
            [ToolName::Edit, ToolName::Write, ToolName::Submit]
        );
    }

    #[test]
    fn turns_without_a_call_end_the_branch() {
        let config = AgentConfig::agent(AgentProfile::small());
        let mut memory = Memory::default();
        for _ in 0..config.limits().unparsed_max {
            assert_eq!(memory.status(&config), None);
            memory.note(None, "words", ("t0", "t0"), StepOutcome::Rejected);
        }
        assert_eq!(memory.status(&config), Some(BranchStatus::NoToolCall));
        let mut memory = Memory::default();
        memory.note(None, "words", ("t0", "t0"), StepOutcome::Rejected);
        assert_eq!(
            memory.status(&AgentConfig::one_turn(AgentProfile::small())),
            Some(BranchStatus::NoToolCall)
        );
    }

    #[test]
    fn one_turn_ends_with_its_answer() {
        let mut memory = Memory::default();
        memory.note(Some("edit"), "e", ("t0", "t1"), StepOutcome::EditFailed);
        assert_eq!(
            memory.status(&AgentConfig::one_turn(AgentProfile::small())),
            Some(BranchStatus::Submitted)
        );
        assert_eq!(
            memory.status(&AgentConfig::agent(AgentProfile::small())),
            None
        );
    }
}
