//! The model's additions to the suite, asked for behind the trajectories.
use super::error::SearchError;
use super::run::Search;
use crate::base::{AugmentSettings, RngKey, SamplerSettings};
use crate::lang::{Dropped, TestSource};
use crate::record::BranchEnded;
use crate::verify::{AugmentRequest, augment};
use crate::workspace::TreeId;

/// Of requests behind a trajectory that was asked before; the first answer of
/// each is the likeliest one.
const TEMPERATURE: f32 = 0.8;
/// The stream of the additions: no step has this number.
const STREAM: u64 = 0x6175_676d; // "augm"

impl Search<'_> {
    /// Tests that the model writes on top of `sources`, one trajectory after
    /// the other, and what came to nothing. None where `settings` ask for none.
    pub(super) fn additions(
        &mut self,
        settings: AugmentSettings,
        trajectories: &[BranchEnded],
        sources: &[TestSource],
    ) -> Result<(Vec<TestSource>, Vec<Dropped>), SearchError> {
        let (mut written, mut dropped) = (Vec::new(), Vec::new());
        if settings.cases_max == 0 || trajectories.is_empty() {
            return Ok((written, dropped));
        }
        self.watcher.stage("writing tests");
        let merged = self.workspaces.bench.runner.runner().consolidate(sources)?;
        let known: Vec<String> = merged.tests.into_iter().map(|(name, _)| name).collect();
        let issue = self.recorder.state.start.issue.clone();
        let key = RngKey::from_seed(self.recorder.state.start.seed).split(STREAM);
        for nth in 0..settings.cases_max {
            let n = trajectories.len() as u32;
            let branch = trajectories[(nth % n) as usize].branch;
            let origin = format!("the model behind branch {branch}");
            let tree = TreeId(self.recorder.state.tree(branch).to_owned());
            let budget = self.recorder.state.start.budget.tokens_max;
            let tokens_max = budget.saturating_sub(self.spent_tokens());
            let (state, bench) = (&self.recorder.state, self.workspaces.bench);
            let answer = self.decoder.with_room(|decoder| {
                let seq = decoder.sequence_of(state, branch, true)?;
                let request = AugmentRequest {
                    settings,
                    behind: Some(seq),
                    issue: &issue,
                    tree: &tree,
                    known: &known,
                    origin: origin.clone(),
                    sampler: match nth < n {
                        true => SamplerSettings::GREEDY,
                        false => SamplerSettings::at(TEMPERATURE),
                    },
                    rng: key.split(u64::from(nth)),
                    tokens_max,
                };
                Ok(augment(decoder.engine, decoder.dialect, bench, &request)?)
            });
            match answer {
                Ok(Ok(source)) => written.push(source),
                Ok(Err(why)) => dropped.push(why),
                // The suite does without.
                Err(error) if error.is_pool_full() || error.is_context_full() => {
                    let why = error.to_string();
                    dropped.push(Dropped { origin, why });
                }
                Err(error) => return Err(error),
            }
        }
        Ok((written, dropped))
    }
}
