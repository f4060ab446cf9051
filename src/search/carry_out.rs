//! Executes a proposed step, shows its result, and ends branches.
use super::controller::{Controller, SearchError};
use super::patch::{code_of, patch_of};
use super::propose::Proposal;
use crate::agent::{
    AgentError, Executor, Observation, Transcript, Verdict, changes_nothing, parse,
};
use crate::base::{BranchId, Purpose, Recovery, StepId, ToolName};
use crate::engine::{EngineError, Finish};
use crate::record::{BranchEnded, BranchStatus, Event, StepFinished, StepOutcome};
use crate::workspace::{StoredPatch, TreeId};
use std::path::Path;

impl Controller<'_> {
    /// Executes the chosen candidate, records the finished step, and appends
    /// the observation to the branch, or ends it.
    pub(super) fn carry_out(&mut self, proposal: Proposal) -> Result<(), SearchError> {
        let Proposal {
            branch,
            candidates,
            chosen,
            decision,
            finish,
        } = proposal;
        let (observation, tree) = match &candidates[chosen].0.tried {
            // It was carried out to be judged.
            Some(tried) => (
                Observation {
                    text: tried.observation.clone(),
                    outcome: tried.outcome,
                    cuts: tried.cuts.clone(),
                },
                TreeId(tried.tree.clone()),
            ),
            None => {
                let dir = self.workspace(branch)?;
                let text = &candidates[chosen].0.text;
                let observation = self.execute(branch, &dir, text)?;
                (observation, self.bench.shadow.snapshot(&dir)?)
            }
        };
        let seq = candidates[chosen].1;
        let mut transcript = Transcript::new(self.engine.tokens(seq).to_vec());
        transcript.push_action(&[]);
        let observation_tokens = transcript.render_observation(
            self.engine.vocabulary(),
            self.dialect,
            &observation.text,
        );
        let step = StepId(self.recorder.state.steps.len() as u32);
        let depth = self.recorder.state.branch(branch).steps.len() as u32;
        let usage = self.take_usage();
        let (candidates, seqs): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
        self.emit(Event::StepFinished(StepFinished {
            step,
            branch,
            depth,
            candidates,
            chosen,
            decision,
            outcome: observation.outcome,
            observation: observation.text,
            cuts: observation.cuts,
            observation_tokens: observation_tokens.clone(),
            tree: tree.0,
            usage,
        }))?;
        for (index, &other) in seqs
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != chosen)
        {
            if self.sequences.is_branch(other) {
                // The branch goes on with a sibling: its own first candidate
                // becomes a spare.
                self.sequences.forget_branch(branch);
            }
            self.sequences.keep_spare(step, index, other);
        }
        self.sequences.set_branch(self.engine, branch, seq);
        if let Some(status) = self.status_after_step(branch, finish) {
            return self.end_branch(branch, status);
        }
        match self.engine.append(seq, &observation_tokens, Purpose::Agent) {
            Ok(()) => Ok(()),
            Err(EngineError::ContextFull { .. }) => match self.fold(branch)? {
                true => Ok(()),
                false => self.end_branch(branch, BranchStatus::ContextFull),
            },
            Err(other) => Err(other.into()),
        }
    }

    pub(super) fn execute(
        &self,
        branch: BranchId,
        dir: &Path,
        text: &str,
    ) -> Result<Observation, SearchError> {
        let undo = |dir: &Path| self.undo(branch, dir);
        let view = self.view(branch)?;
        let executor = Executor::new(self.sandbox, self.config, self.check)
            .with_undo(&undo)
            .with_view(&view);
        let state = &self.recorder.state;
        let tree = state.tree(branch);
        let action = match parse(self.dialect.calls(), &self.tools_of(branch), text) {
            Ok(action) => action,
            Err(error) => return Ok(executor.unreadable(&error)),
        };
        // It has nothing to change any more: a small model says so in this way.
        if state.has_work(branch) && changes_nothing(&view, &action) {
            return Ok(Observation::new(
                StepOutcome::Submitted,
                "Nothing is left to change: the work is handed in.",
            ));
        }
        Ok(
            match self
                .memory(branch)
                .review(&action, tree, tree != state.start.base_tree)
            {
                Verdict::Answer(observation) => observation,
                Verdict::Execute => executor.execute(dir, &action)?,
            },
        )
    }

    /// Makes `dir` hold the branch's tree before its last change; says which step that was.
    fn undo(&self, branch: BranchId, dir: &Path) -> Result<Option<String>, AgentError> {
        let changes = self.recorder.state.changes(branch);
        let [.., before, last] = changes.as_slice() else {
            return Ok(None);
        };
        let Some(step) = last.step else {
            return Ok(None);
        };
        self.bench
            .shadow
            .restore(&TreeId(before.tree.to_owned()), dir)?;
        let tool = step.candidates[step.chosen].tool.as_deref();
        let tool = tool.unwrap_or("a step");
        Ok(Some(format!("{tool} of step {}", step.depth + 1)))
    }

    /// How a branch ends with the step that it just took, if it does.
    pub(super) fn status_after_step(
        &self,
        branch: BranchId,
        finish: Finish,
    ) -> Option<BranchStatus> {
        let state = &self.recorder.state;
        let last = state
            .path(branch)
            .next_back()
            .expect("a step was just taken");
        match finish {
            Finish::ContextFull => return Some(BranchStatus::ContextFull),
            Finish::KvPoolFull => return Some(BranchStatus::KvPoolFull),
            Finish::Stop | Finish::GrammarEnd | Finish::TokensMax => {}
        }
        if let Some(status) = self.memory(branch).status(self.config) {
            return Some(status);
        }
        match last.outcome {
            // A test that failed before passes now, and none that passed fails.
            StepOutcome::TestsPassed if state.is_check_decisive() && last_changed(last) => {
                Some(BranchStatus::Submitted)
            }
            // Nothing was changed yet: the fault was reproduced.
            StepOutcome::TestsFailed if last.tree == state.start.base_tree => None,
            // What went wrong leaves the context with its tokens.
            StepOutcome::EditFailed
            | StepOutcome::TestsFailed
            | StepOutcome::Rejected
            | StepOutcome::Repeated
                if matches!(self.strategy.recovery, Recovery::Fork(_)) =>
            {
                Some(BranchStatus::Abandoned)
            }
            _ => None,
        }
    }

    /// Takes the branch's patch and ends it.
    pub(super) fn end_branch(
        &mut self,
        branch: BranchId,
        status: BranchStatus,
    ) -> Result<(), SearchError> {
        let usage = self.take_usage();
        let state = &self.recorder.state;
        let (
            StoredPatch {
                text: patch,
                ignored,
                ..
            },
            parts,
        ) = patch_of(self.bench, &state.start, state.tree(branch))?;
        // Of one trajectory there is nothing to compare it with.
        let code = match patch.is_empty() || self.strategy.n == 1 {
            true => None,
            false => match code_of(self.bench, state.tree(branch)) {
                // Patches are compared by their text then.
                Err(_) if self.clock.end().is_over() => None,
                code => code?,
            },
        };
        let signal = state.gate_signal();
        let ended = BranchEnded {
            branch,
            status,
            patch,
            ignored,
            parts,
            score: state.judge_mean(branch),
            entropy_mean_nats: signal.and_then(|signal| state.signal_mean(branch, signal)),
            code,
            usage,
        };
        self.emit(Event::BranchEnded(ended))?;
        let dir = self.work_dir.join(format!("branch-{branch}"));
        std::fs::remove_dir_all(&dir).ok();
        Ok(())
    }
}

/// True for a step whose check ran because it changed a file.
fn last_changed(step: &StepFinished) -> bool {
    let tool = step.candidates[step.chosen].tool.as_deref();
    tool.and_then(ToolName::named)
        .is_some_and(ToolName::changes_files)
}
