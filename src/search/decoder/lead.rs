//! The first action of a step, and candidates of earlier steps that are taken up.
//!
//! The engine keeps the row of logits where each generation began, so that a fork back to a step's
//! start samples without computing anything.
use super::reading::Origin;
use super::start::Start;
use super::{Decoder, SearchError};
use crate::base::{BranchId, SamplerSettings, StepId};
use crate::engine::GenerateJob;
use crate::search::round::Proposal;
use crate::search::state::RunState;
use std::sync::Arc;

impl Decoder<'_> {
    /// Brings branches to the start of their next step, and decodes its first action in one
    /// batch where it does not take an earlier step differently.
    pub fn propose(
        &mut self,
        state: &RunState,
        branches: &[BranchId],
    ) -> Result<Vec<Proposal>, SearchError> {
        self.starts.clear();
        for &branch in branches {
            let start = self.start(state, branch)?;
            self.starts.push(Arc::new(start));
        }
        let starts = self.starts.clone();
        let fresh = || starts.iter().filter(|start| start.redo.is_none());
        let jobs: Vec<GenerateJob> = fresh()
            .map(|start| {
                let sampler = self.lead_sampler(state, start);
                self.job(state, start, start.seq, 0, sampler)
            })
            .collect();
        let mut generated = self.generate(&jobs)?.into_iter();
        let mut proposals = Vec::with_capacity(starts.len());
        for start in &starts {
            let mut proposal =
                Proposal::new(start.branch, start.redo, start.is_locating, start.len);
            if start.redo.is_none() {
                let generated = generated.next().expect("one result a job");
                let origin = Origin {
                    temperature: self.lead_sampler(state, start).temperature,
                    ..Origin::default()
                };
                let mut lead = self.draft(state, start, origin, generated.tokens, start.seq);
                lead.candidate.entropy.tool = self.tool_entropy(start, &lead)?;
                let locations = &state.start.locations;
                let location = self.location_entropy(locations, start, &lead)?;
                lead.candidate.entropy.location = location;
                lead.finish = generated.finish;
                proposal.drafts.push(lead);
            }
            proposals.push(proposal);
        }
        Ok(proposals)
    }

    /// Takes a candidate of an earlier step at the same point as the only one of `proposal`,
    /// unless it gives the code back as it is.
    pub fn take_up(
        &mut self,
        state: &RunState,
        proposal: &mut Proposal,
        (step, index): (StepId, usize),
    ) -> Result<(), SearchError> {
        let start = self.start_of(proposal.branch);
        let candidate = &state.step(step).candidates[index];
        let mut draft = self.redraft(state, &start, candidate)?;
        if draft.is_copy {
            self.engine.release(draft.seq);
            proposal.passed_over.push((step, index));
            return Ok(());
        }
        if let Some(spare) = self.sequences.take_spare(step, index) {
            self.engine.release(spare);
        }
        draft.candidate.merged = 1;
        proposal.drafts = vec![draft];
        proposal.taken_up = Some((step, index));
        Ok(())
    }

    /// Of a step's first action. A second trajectory from the prompt would be the
    /// first one again if nothing were drawn.
    fn lead_sampler(&self, state: &RunState, start: &Start) -> SamplerSettings {
        let is_root = state.branch(start.branch).forked_from.is_none();
        match self.strategy.sampler.temperature == 0.0 && is_root && start.branch.0 > 0 {
            true => self.strategy.siblings.sampler,
            false => self.strategy.sampler,
        }
    }
}
