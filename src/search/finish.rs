//! From trajectories to one patch: consolidate tests, run them, vote, select.
//!
//! Voters of one question share one forward pass. They differ in how they read the digits
//! (likeliest, drawn, expected) and in the question, not by context.
use super::decoder::JUDGE_TRAJECTORY;
use super::error::SearchError;
use super::patch::written_tests;
use super::run::Search;
use crate::base::{BranchId, JudgeMethod, RngKey, SelectBy, Voter};
use crate::lang::{SourceKind, TestSource, TextFile};
use crate::record::{BranchEnded, Event, RunEnded, SuiteRun, TrajectoryJudged};
use crate::select::{CandidatePatch, select, shortlist};
use crate::verify::{evaluate, gate, plan};
use crate::workspace::{TreeId, apply_fault};
use std::path::Path;

/// The suite's word on the patches.
#[derive(Default)]
struct SuiteOutcome {
    runs: Vec<SuiteRun>,
    /// Patches that leave a file that does not compile, with the first fault.
    faults: Vec<(BranchId, String)>,
}

impl Search<'_> {
    /// The stages after the search. A run that was killed in the middle of them
    /// does them again from the start: they spend little and end alike.
    pub fn finish(&mut self) -> Result<(), SearchError> {
        if self.recorder.state.ended.is_some() {
            return Ok(());
        }
        let trajectories: Vec<BranchEnded> = self
            .recorder
            .state
            .trajectories()
            .into_iter()
            .cloned()
            .collect();
        let outcome = self.run_suite(&trajectories);
        let outcome = self.in_time(outcome, "testing the patches")?;
        let judged = self.judge_whole(&trajectories);
        self.in_time(judged, "judging the trajectories")?;
        let mut candidates = self.recorder.state.candidate_patches();
        for candidate in &mut candidates {
            let mut faults = outcome.faults.iter();
            let fault = faults.find(|(branch, _)| *branch == candidate.branch);
            candidate.fault = fault.map(|(_, fault)| fault.clone());
        }
        if self.strategy.select == SelectBy::Preference {
            let voted = self.vote(&candidates, &outcome.runs);
            self.in_time(voted, "voting")?;
        }
        self.watcher.stage("selecting");
        let key = RngKey::from_seed(self.recorder.state.start.seed);
        let votes = &self.recorder.state.votes;
        let mut selected = select(self.strategy.select, &candidates, votes, key);
        selected.usage = self.take_usage();
        let winner = selected.branch;
        self.emit(Event::Selected(selected))?;
        let patch = trajectories
            .into_iter()
            .find(|ended| Some(ended.branch) == winner);
        let patch = patch.map(|ended| ended.patch).unwrap_or_default();
        self.emit(Event::RunEnded(RunEnded {
            not_applying: self.not_applying(&patch)?,
            patch,
            usage: self.recorder.state.usage,
            wall_ms: self.recorder.elapsed_ms(),
        }))
    }

    /// Why the user's repository does not take the patch; it may have changed since the start.
    fn not_applying(&self, patch: &str) -> Result<Option<String>, SearchError> {
        let start = &self.recorder.state.start;
        let repo = Path::new(&start.repo);
        if patch.is_empty() || !repo.is_dir() {
            return Ok(None);
        }
        let fault = apply_fault(repo, patch, &start.checkout.git)?;
        if let Some(why) = &fault {
            self.watcher.stage(&format!(
                "the patch does not apply to {} as it is now: {why}",
                repo.display()
            ));
        }
        Ok(fault)
    }

    /// The result of a stage of the end; an empty one where the run's time was over first.
    fn in_time<T: Default>(
        &self,
        result: Result<T, SearchError>,
        what: &str,
    ) -> Result<T, SearchError> {
        match result {
            Err(_) if self.clock.end().is_over() => {
                self.watcher
                    .stage(&format!("{what} was not finished: the run's time is over"));
                Ok(T::default())
            }
            result => result,
        }
    }

    /// Builds the suite from the issue's examples, the repository's tests and
    /// what trajectories wrote; runs it on the base and on each patch. Where there is no
    /// patch, or the base's tests took too long, nothing is run.
    fn run_suite(&mut self, trajectories: &[BranchEnded]) -> Result<SuiteOutcome, SearchError> {
        let base = self.recorder.state.base_run();
        let is_untested = base.is_some_and(|run| run.tests.is_empty() && run.fault.is_some());
        if trajectories.iter().all(|ended| ended.patch.is_empty()) || is_untested {
            return Ok(SuiteOutcome::default());
        }
        self.watcher
            .stage("running the tests on the base and on each patch");
        let mut sources = Vec::new();
        for ended in trajectories {
            sources.extend(self.sources_of(ended.branch)?);
        }
        let (written, dropped) = self.additions(self.strategy.augment, trajectories, &sources)?;
        sources.extend(written);
        let issue = self.recorder.state.start.issue.clone();
        let mut near = Vec::new();
        for ended in trajectories {
            let tree = TreeId(self.recorder.state.tree(ended.branch).to_owned());
            near.extend(self.workspaces.bench.changed_paths(&tree)?);
        }
        let mut plan = plan(self.workspaces.bench, &sources, &issue, &near)?;
        let dropped = dropped.iter().map(ToString::to_string);
        plan.suite.dropped.extend(dropped);
        plan.suite.usage = self.take_usage();
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
        let evaluation = evaluate(self.workspaces.bench, &plan.suite, &plan.base, &patches)?;
        let (n, all) = (evaluation.patches.len(), patches.len());
        if n < all {
            self.watcher.stage(&format!(
                "{n} of {all} patches were tested: the run's time is over"
            ));
        }
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
        let bench = self.workspaces.bench;
        let files = written_tests(bench, &tree)?;
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let dir = self.workspaces.work_dir.join("sources");
        bench.shadow.restore(&tree, &dir)?;
        let mut sources = Vec::new();
        let runner = bench.runner.runner();
        for file in files.iter().filter(|file| runner.is_source(file)) {
            // A file that is no text is no test.
            let Some(text) = TextFile::read(&dir, file).map(TextFile::into_text) else {
                continue;
            };
            sources.push(TestSource {
                origin: format!("branch {branch}'s {file}"),
                kind: SourceKind::Written,
                path: Some(file.clone()),
                text,
            });
        }
        bench.shadow.discard(&dir);
        Ok(sources)
    }

    /// Judges each trajectory whole of which no step was judged, where there is
    /// another one to compare it with.
    fn judge_whole(&mut self, trajectories: &[BranchEnded]) -> Result<(), SearchError> {
        let unjudged: Vec<BranchId> = trajectories
            .iter()
            .filter(|ended| ended.score.is_none())
            .map(|ended| ended.branch)
            .collect();
        let looks = matches!(self.strategy.select, SelectBy::Tests | SelectBy::Preference);
        let judges = self.strategy.judge.method != JudgeMethod::None && looks;
        if trajectories.len() < 2 || unjudged.is_empty() || !judges {
            return Ok(());
        }
        self.watcher.stage("judging trajectories");
        let state = &self.recorder.state;
        let scores = self.decoder.with_room(|decoder| {
            let mut seqs = Vec::new();
            for &branch in &unjudged {
                seqs.push(decoder.sequence_of(state, branch, true)?);
            }
            decoder.ask_judge(JUDGE_TRAJECTORY, &seqs)
        });
        let scores = match scores {
            Err(error) if error.is_pool_full() || error.is_context_full() => {
                self.watcher
                    .stage("not judging trajectories: there is no room for the question");
                return Ok(());
            }
            scores => scores?,
        };
        for (branch, judge) in unjudged.into_iter().zip(scores) {
            let usage = self.take_usage();
            self.emit(Event::TrajectoryJudged(TrajectoryJudged {
                branch,
                judge,
                usage,
            }))?;
        }
        Ok(())
    }

    /// The strategy's voters over what the ranking lets stay; none where one
    /// patch stays.
    fn vote(
        &mut self,
        candidates: &[CandidatePatch],
        runs: &[SuiteRun],
    ) -> Result<(), SearchError> {
        let staying: Vec<BranchId> = shortlist(self.strategy.select, candidates)
            .iter()
            .filter(|row| row.dropped.is_empty())
            .map(|row| row.branch)
            .collect();
        if staying.len() < 2 {
            return Ok(());
        }
        self.watcher.stage("voting");
        let classes = self.recorder.state.classes.clone().unwrap_or_default();
        let passes = |branch: BranchId| {
            let run = runs.iter().find(|run| run.branch == Some(branch));
            run.is_none_or(|run| gate(run, &classes))
        };
        let ballots: Vec<(BranchId, bool)> = staying.into_iter().map(|b| (b, passes(b))).collect();
        for (index, voters) in by_question(&self.strategy.voters).iter().enumerate() {
            let (state, group) = (&self.recorder.state, index as u64);
            let votes = self
                .decoder
                .with_room(|decoder| decoder.votes_of(state, voters, &ballots, group));
            match votes {
                // The ranking with the votes so far stands.
                Err(error) if error.is_pool_full() || error.is_context_full() => {
                    self.watcher
                        .stage("not voting: there is no room for the question");
                }
                votes => {
                    for mut voted in votes? {
                        voted.usage = self.take_usage();
                        self.emit(Event::Voted(voted))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Voters in groups that ask one question of one model, in their order.
fn by_question(voters: &[Voter]) -> Vec<Vec<Voter>> {
    let mut groups: Vec<Vec<Voter>> = Vec::new();
    for voter in voters {
        let same = |group: &&mut Vec<Voter>| {
            group[0].prompt == voter.prompt && group[0].model == voter.model
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(voter.clone()),
            None => groups.push(vec![voter.clone()]),
        }
    }
    groups
}
