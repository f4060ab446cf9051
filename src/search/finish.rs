//! From trajectories to one patch: consolidate tests, run them, vote, select.
use super::controller::{Controller, SearchError};
use super::patch::written_tests;
use crate::base::{BranchId, UsageByPurpose};
use crate::record::{BranchEnded, Event, RunEnded, SuiteRun};
use crate::select::{Ballot, CandidatePatch, select, shortlist, vote};
use crate::verify::{SourceKind, TestSource, evaluate, gate, pass_rate, plan};
use crate::workspace::TreeId;

/// What the suite says of the patches.
struct SuiteOutcome {
    runs: Vec<SuiteRun>,
    /// Patches that leave a file that does not compile, with the first fault.
    faults: Vec<(BranchId, String)>,
}

impl Controller<'_> {
    /// The stages after the search. A run that was killed in the middle of them
    /// does them again from the start: they spend little and end alike.
    pub fn finish(&mut self) -> Result<(), SearchError> {
        if self.recorder.state.ended {
            return Ok(());
        }
        let trajectories: Vec<BranchEnded> = self
            .recorder
            .state
            .trajectories()
            .into_iter()
            .cloned()
            .collect();
        let outcome = self.run_suite(&trajectories)?;
        let candidates: Vec<CandidatePatch> = trajectories
            .iter()
            .map(|ended| self.candidate_patch(ended, &outcome))
            .collect();
        self.vote(&candidates, &outcome.runs)?;
        self.watcher.stage("selecting");
        let mut selected = select(&candidates, &self.recorder.state.votes);
        let mut voted = UsageByPurpose::default();
        for vote in &self.recorder.state.votes {
            voted += vote.usage;
        }
        selected.usage = self.take_usage().since(&voted);
        let winner = selected.branch;
        self.emit(Event::Selected(selected))?;
        let patch = trajectories
            .into_iter()
            .find(|ended| Some(ended.branch) == winner);
        self.emit(Event::RunEnded(RunEnded {
            patch: patch.map(|ended| ended.patch).unwrap_or_default(),
            usage: self.recorder.state.usage,
            wall_ms: self.recorder.elapsed_ms(),
        }))
    }

    /// Builds the suite from the issue's examples, the repository's tests and
    /// what trajectories wrote; runs it on the base and on each patch.
    fn run_suite(&mut self, trajectories: &[BranchEnded]) -> Result<SuiteOutcome, SearchError> {
        self.watcher
            .stage("running the tests on the base and on each patch");
        let mut sources = Vec::new();
        for ended in trajectories {
            sources.extend(self.sources_of(ended.branch)?);
        }
        let issue = self.recorder.state.start.issue.clone();
        let mut plan = plan(self.bench, &sources, &issue)?;
        if let Some(before) = &self.recorder.state.suite {
            plan.suite.reached = before.reached.clone();
        }
        let patches: Vec<(BranchId, TreeId)> = trajectories
            .iter()
            .map(|ended| {
                (
                    ended.branch,
                    TreeId(self.recorder.state.tree(ended.branch).to_owned()),
                )
            })
            .collect();
        let evaluation = evaluate(self.bench, &plan.suite, &plan.base, &patches)?;
        self.emit(Event::SuiteBuilt(plan.suite))?;
        self.emit(Event::SuiteRun(plan.base))?;
        for run in &evaluation.patches {
            self.emit(Event::SuiteRun(run.clone()))?;
        }
        self.emit(Event::SuiteClassified(evaluation.classified))?;
        Ok(SuiteOutcome {
            runs: evaluation.patches,
            faults: evaluation.compile_faults,
        })
    }

    /// The test and debug files that a branch wrote.
    fn sources_of(&self, branch: BranchId) -> Result<Vec<TestSource>, SearchError> {
        let tree = TreeId(self.recorder.state.tree(branch).to_owned());
        let files = written_tests(self.bench, &tree)?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let dir = self.work_dir.join("sources");
        self.bench.shadow.restore(&tree, &dir)?;
        let mut sources = Vec::new();
        for file in files.iter().filter(|file| file.ends_with(".py")) {
            // A file that is no text is no test.
            let Ok(text) = std::fs::read_to_string(dir.join(file)) else {
                continue;
            };
            sources.push(TestSource {
                origin: format!("branch {branch}'s {file}"),
                kind: SourceKind::Written,
                text,
            });
        }
        std::fs::remove_dir_all(&dir).ok();
        Ok(sources)
    }

    fn candidate_patch(&self, ended: &BranchEnded, outcome: &SuiteOutcome) -> CandidatePatch {
        let classes = self
            .recorder
            .state
            .classes
            .as_ref()
            .map_or(&[][..], |c| &c.classes);
        let run = outcome
            .runs
            .iter()
            .find(|run| run.branch == Some(ended.branch));
        CandidatePatch {
            branch: ended.branch,
            patch: ended.patch.clone(),
            score: ended.score,
            pass_rate: run.and_then(|run| pass_rate(run, classes)),
            entropy_mean_nats: ended.entropy_mean_nats,
            fault: outcome
                .faults
                .iter()
                .find(|(branch, _)| *branch == ended.branch)
                .map(|(_, fault)| fault.clone()),
        }
    }

    /// One voter over what the ranking lets stay; none where one patch stays.
    fn vote(
        &mut self,
        candidates: &[CandidatePatch],
        runs: &[SuiteRun],
    ) -> Result<(), SearchError> {
        let staying: Vec<BranchId> = shortlist(candidates)
            .iter()
            .filter(|row| row.dropped.is_empty())
            .map(|row| row.branch)
            .collect();
        if staying.len() < 2 {
            return Ok(());
        }
        self.watcher.stage("voting");
        let classes = self
            .recorder
            .state
            .classes
            .clone()
            .map_or(Vec::new(), |c| c.classes);
        let votes = self.with_room(|this| {
            let mut ballots = Vec::new();
            for &branch in &staying {
                let state = &this.recorder.state;
                let seq = this.sequences.of_branch(this.engine, state, branch, true)?;
                let run = runs.iter().find(|run| run.branch == Some(branch));
                ballots.push(Ballot {
                    branch,
                    seq,
                    passes: run.is_none_or(|run| gate(run, &classes)),
                });
            }
            Ok(vote(this.engine, this.dialect, &ballots)?)
        });
        match votes {
            // The ranking without votes stands.
            Err(error) if error.is_pool_full() => {
                self.watcher
                    .stage("not voting: the KV pool is too small for it");
            }
            votes => {
                for voted in votes? {
                    self.emit(Event::Voted(voted))?;
                }
            }
        }
        Ok(())
    }
}
