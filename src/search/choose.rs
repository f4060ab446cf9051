//! Which candidate of a step is taken.
use super::controller::{Controller, SearchError};
use super::draft::Draft;
use super::judge::{JUDGE_CALL, JUDGE_RESULT, judge};
use super::propose::JUDGE_TOKENS_MAX;
use super::start::Start;
use crate::agent::Transcript;
use crate::base::{JudgeMethod, JudgeWhen, Purpose, SeqId, ToolName};
use crate::record::{JudgeScore, StepOutcome, Tried};

impl Controller<'_> {
    /// Judges the candidates, if there is more than one, and takes the best.
    ///
    /// What cannot be read is never taken before what can, nor what changes
    /// nothing before what does. Equal scores: the one decoded first.
    pub(super) fn judge_and_choose(
        &mut self,
        start: &Start,
        drafts: &mut [Draft],
    ) -> Result<usize, SearchError> {
        for (index, draft) in drafts.iter_mut().enumerate() {
            if self.passes_check(start, draft, index)? {
                return Ok(index);
            }
        }
        if drafts.iter().all(|d| d.is_copy || d.has_failed()) {
            // Which one is shown to have failed makes no difference worth a judge.
            let first = drafts.iter().position(|draft| !draft.is_copy);
            return Ok(first.unwrap_or(0));
        }
        let context_left = self.engine.context_max() - start.len;
        let lens = drafts.iter().map(|draft| draft.tokens().len());
        let n_real = drafts.iter().filter(|draft| !draft.is_copy).count();
        let fits = lens.max().unwrap_or(0) + JUDGE_TOKENS_MAX <= context_left;
        let wanted = self.strategy.judge.method != JudgeMethod::None;
        if n_real > 1 && fits && wanted {
            match self.judge_all(start, drafts) {
                // Chosen without a judge, then: the pool is as empty as it gets.
                Err(error) if error.is_pool_full() && self.made_room => {}
                Err(error) if error.is_context_full() => {}
                judged => judged?,
            }
        }
        let score = |draft: &Draft| {
            let judged = draft.candidate.judge.as_ref();
            if draft.candidate.tool.is_none() {
                -2.0
            } else if draft.is_copy {
                -1.0
            } else if draft.has_failed() && self.strategy.evidence_first {
                -0.5
            } else {
                judged.map_or(0.0, |judge| judge.score)
            }
        };
        let mut best = 0;
        for index in 1..drafts.len() {
            if score(&drafts[index]) > score(&drafts[best]) {
                best = index;
            }
        }
        Ok(best)
    }

    /// Judges all but those that change nothing.
    fn judge_all(&mut self, start: &Start, drafts: &mut [Draft]) -> Result<(), SearchError> {
        let mut drafts: Vec<&mut Draft> = drafts.iter_mut().filter(|d| !d.is_copy).collect();
        let seqs: Vec<SeqId> = drafts.iter().map(|draft| draft.seq).collect();
        let scores = match self.strategy.judge.when {
            JudgeWhen::Before => self.ask_judge(JUDGE_CALL, &seqs)?,
            JudgeWhen::After => {
                for (index, draft) in drafts.iter_mut().enumerate() {
                    draft.candidate.tried = Some(self.try_out(start, draft, index)?);
                }
                let mut shown = Vec::with_capacity(drafts.len());
                let scores = self
                    .show_results(&drafts, &mut shown)
                    .and_then(|()| self.ask_judge(JUDGE_RESULT, &shown));
                shown.iter().for_each(|&seq| self.engine.release(seq));
                scores?
            }
        };
        for (draft, score) in drafts.iter_mut().zip(scores) {
            draft.candidate.judge = Some(score);
        }
        Ok(())
    }

    /// Scores by the strategy's judge, of what each sequence ends with.
    pub(super) fn ask_judge(
        &mut self,
        question: &str,
        seqs: &[SeqId],
    ) -> Result<Vec<JudgeScore>, SearchError> {
        let settings = &self.strategy.judge;
        let Some(name) = &settings.model else {
            return Ok(judge(self.engine, self.dialect, settings, question, seqs)?);
        };
        let texts: Vec<String> = seqs
            .iter()
            .map(|&seq| self.engine.vocabulary().decode(self.engine.tokens(seq)))
            .collect();
        let other = self.others.named(name)?;
        let mut scores = Vec::with_capacity(texts.len());
        // One at a time: the contexts share what the prefix cache has of them.
        for text in texts {
            let seqs = other.read(&[text], Purpose::Judge)?;
            let score = judge(other.engine, other.dialect, settings, question, &seqs);
            seqs.iter().for_each(|&seq| other.engine.release(seq));
            scores.extend(score.map_err(|error| other.no_room(error))?);
        }
        Ok(scores)
    }

    /// Carries an edit out in a copy, once, where evidence comes first and the check
    /// decides. True if it passes.
    pub(super) fn passes_check(
        &mut self,
        start: &Start,
        draft: &mut Draft,
        index: usize,
    ) -> Result<bool, SearchError> {
        let tool = draft.candidate.tool.as_deref().and_then(ToolName::named);
        let is_edit = tool.is_some_and(ToolName::changes_files);
        let decides = self.strategy.evidence_first && self.recorder.state.is_check_decisive();
        if !decides || !is_edit || draft.is_copy {
            return Ok(false);
        }
        if draft.candidate.tried.is_none() {
            draft.candidate.tried = Some(self.try_out(start, draft, index)?);
        }
        let tried = draft.candidate.tried.as_ref();
        Ok(tried.is_some_and(|tried| tried.outcome == StepOutcome::TestsPassed))
    }

    /// Carries a candidate out in a workspace of its own.
    fn try_out(
        &mut self,
        start: &Start,
        draft: &Draft,
        index: usize,
    ) -> Result<Tried, SearchError> {
        let dir = self.work_dir.join(format!("try-{}-{index}", start.branch));
        self.restore(start.branch, &dir)?;
        let observation = self.execute(start.branch, &dir, &draft.candidate.text)?;
        let tree = self.bench.shadow.snapshot(&dir)?;
        self.bench.shadow.discard(&dir);
        Ok(Tried {
            outcome: observation.outcome,
            observation: observation.text,
            cuts: observation.cuts,
            tree: tree.0,
        })
    }

    /// Makes a fork of each candidate's sequence with what came of it.
    fn show_results(
        &mut self,
        drafts: &[&mut Draft],
        shown: &mut Vec<SeqId>,
    ) -> Result<(), SearchError> {
        for draft in drafts {
            let tried = draft.candidate.tried.as_ref().expect("it was tried");
            let tokens = self.engine.tokens(draft.seq).to_vec();
            let len = tokens.len();
            let mut transcript = Transcript::new(tokens);
            transcript.push_action(&[]);
            let seen = transcript.render_observation(
                self.engine.vocabulary(),
                self.dialect,
                &tried.observation,
            );
            let seq = self.engine.fork(draft.seq, len, Purpose::Judge);
            shown.push(seq);
            self.engine.append(seq, &seen, Purpose::Judge)?;
        }
        Ok(())
    }
}
