//! Siblings of an action: decoded in one batch, and made to differ.
//!
//! With `fork_at = action` siblings leave the first action at its first token that is a choice;
//! with `fork_at = token` at its most uncertain tokens, and they keep what stands before. Let m be
//! the number of other tokens that the model holds possible there (the perplexity under the
//! grammar's mask, less one). The first m siblings have to take different tokens; the others are
//! sampled freely, at temperatures that rise by `temperature_step`.
//!
//! A sibling that only gives the code back as it is, a small model's habit, is forked in the middle
//! of it with another token. Equal actions, by canonical form, are merged. When the search has come
//! back to a point, the last sibling is held to functions that no failed edit went for
//! (`sibling_elsewhere` of the profile).
use super::reading::Origin;
use super::sites::{Site, action_sites, token_sites};
use super::start::Start;
use super::{Decoder, SearchError};
use crate::agent::{grammar, view_of};
use crate::base::{ForkAt, Location, Purpose, SamplerSettings, ToolName};
use crate::decode::vote_entropy;
use crate::engine::{Finish, GenerateJob};
use crate::record::Candidate;
use crate::search::command::{Rollout, RolloutKind};
use crate::search::draft::Draft;
use crate::search::round::Proposal;
use crate::search::state::RunState;

/// The request for siblings.
struct Ask<'a> {
    /// The action that they are siblings of.
    lead: &'a Draft,
    /// All that was decoded at this point so far, the lead included.
    known: &'a [Candidate],
    /// How many are wanted.
    n: usize,
    /// The number of the first one's random stream at this point.
    first_index: usize,
    kind: RolloutKind,
}

impl Ask<'_> {
    /// All are sampled freely, so that they can vote.
    fn is_vote(&self) -> bool {
        self.kind == RolloutKind::Vote
    }
}

/// Siblings that were decoded.
struct RolledOut {
    drafts: Vec<Draft>,
    /// Over the lead and those that were sampled freely; `None` where none was.
    vote_nats: Option<f32>,
}

/// A sibling to decode.
struct Sibling {
    /// Of the site that it leaves at.
    index: usize,
    origin: Origin,
    job: GenerateJob,
    /// Its grammar is not the step's.
    has_own_grammar: bool,
}

impl Sibling {
    fn set_sampler(&mut self, sampler: SamplerSettings) {
        self.job.sampler = sampler;
        self.origin.temperature = sampler.temperature;
    }
}

impl Decoder<'_> {
    /// Decodes siblings for a step that is being decided. An action that is there already is
    /// counted with it; one that was carried out at this point before is dropped.
    pub fn roll_out(
        &mut self,
        state: &RunState,
        proposal: &mut Proposal,
        rollout: &Rollout,
    ) -> Result<(), SearchError> {
        let start = self.start_of(proposal.branch);
        let out = match proposal.redo {
            None => {
                let lead = &proposal.drafts[0];
                let ask = Ask {
                    lead,
                    known: std::slice::from_ref(&lead.candidate),
                    n: rollout.n,
                    first_index: 1,
                    kind: rollout.kind,
                };
                let out = self.siblings(state, &start, &ask)?;
                proposal.drafts[0].candidate.entropy.vote_nats = out.vote_nats;
                out
            }
            Some(step) => {
                let known: Vec<Candidate> = state.decoded_at(step).into_iter().cloned().collect();
                let lead = self.redraft(state, &start, &known[0])?;
                let ask = Ask {
                    lead: &lead,
                    known: &known,
                    n: rollout.n,
                    // A block of streams for each time that something was taken here.
                    first_index: rollout.tried.len().max(1) * (rollout.n + 1),
                    kind: rollout.kind,
                };
                let out = self.siblings(state, &start, &ask)?;
                self.engine.release(lead.seq);
                out
            }
        };
        self.merge(&mut proposal.drafts, out.drafts, &rollout.tried);
        proposal.is_rolled_out = true;
        Ok(())
    }

    /// Decodes siblings in one batch. Those that only give the code back as it
    /// is go on from the midst of it with another token. With a KV pool that
    /// has no room for them there are fewer, or none.
    fn siblings(
        &mut self,
        state: &RunState,
        start: &Start,
        ask: &Ask<'_>,
    ) -> Result<RolledOut, SearchError> {
        if start.is_locating && !ask.is_vote() {
            return self.next_locations(state, start, ask);
        }
        let elsewhere = self.elsewhere(state, start, ask);
        let at_start = ask.lead.first_choice().map_or(0, |choice| choice.at);
        let n_led = ask.n - usize::from(elsewhere.is_some());
        let mut sites = self.sites(ask, n_led);
        if elsewhere.is_some() {
            // Another grammar: nothing that the lead was forced to need hold.
            sites.push(Site::free(0));
        }
        let mut siblings = Vec::with_capacity(sites.len());
        for (index, site) in sites.iter().enumerate() {
            let mut sibling = self.sibling(state, start, ask, (index, site));
            if let Some(grammar) = elsewhere.as_ref().filter(|_| index == n_led) {
                sibling.job.grammar = Some(grammar.clone());
                sibling.set_sampler(self.strategy.siblings.sampler);
                sibling.has_own_grammar = true;
            }
            siblings.push(sibling);
        }
        let drafts = self.decode(state, start, siblings)?;
        let is_free = |site: &Site| *site == Site::free(at_start);
        let free: Vec<&str> = drafts
            .iter()
            .filter(|(index, _)| *index < n_led && is_free(&sites[*index]))
            .map(|(_, draft)| draft.candidate.canonical.as_str())
            .collect();
        let vote_nats = (!free.is_empty())
            .then(|| [&[ask.lead.candidate.canonical.as_str()], &free[..]].concat())
            .and_then(|actions| vote_entropy(&actions));
        let drafts = drafts.into_iter().map(|(_, draft)| draft).collect();
        Ok(RolledOut {
            drafts: self.fork_copies(state, start, drafts)?,
            vote_nats,
        })
    }

    /// The likeliest locations that are not among the known ones, a sibling each: the
    /// distribution is known exactly, so none is drawn.
    fn next_locations(
        &mut self,
        state: &RunState,
        start: &Start,
        ask: &Ask<'_>,
    ) -> Result<RolledOut, SearchError> {
        let locations = state.start.locations.clone();
        let measured = ask.known.iter().find_map(|c| c.entropy.location.as_ref());
        let share = |location: &Location| {
            let name = location.to_string();
            let of_name =
                |probs: &Vec<(String, f32)>| probs.iter().find(|(n, _)| *n == name).map(|p| p.1);
            measured.and_then(|entropy| of_name(&entropy.probs))
        };
        let is_known = |location: &Location| {
            let action = view_of(location).canonical();
            ask.known.iter().any(|known| known.canonical == action)
        };
        let mut open: Vec<&Location> = locations.iter().filter(|l| !is_known(l)).collect();
        // Equal shares, and those that nobody measured, in the order of the index.
        open.sort_by(|a, b| share(b).unwrap_or(0.0).total_cmp(&share(a).unwrap_or(0.0)));
        let mut siblings = Vec::new();
        for (index, location) in open.into_iter().take(ask.n).enumerate() {
            let context = start
                .grammar
                .clone()
                .at_locations(std::slice::from_ref(location));
            let seq = self.engine.fork(start.seq, start.len, Purpose::Agent);
            let sampler = SamplerSettings::GREEDY;
            let job = self.job(state, start, seq, ask.first_index + index, sampler);
            siblings.push(Sibling {
                index,
                has_own_grammar: true,
                origin: Origin::default(),
                job: GenerateJob {
                    grammar: Some(grammar::lark(&start.tools, &start.thought, &context)),
                    ..job
                },
            });
        }
        let drafts = self.decode(state, start, siblings)?;
        Ok(RolledOut {
            drafts: drafts.into_iter().map(|(_, draft)| draft).collect(),
            vote_nats: None,
        })
    }

    /// The grammar of the sibling that has to edit what no failed edit of this
    /// run went for, the scope left aside: what a small model is sure of and
    /// wrong about it samples again and again, and a trace does not see
    /// everything. `None` where there is no such place, or nobody to send.
    fn elsewhere(&self, state: &RunState, start: &Start, ask: &Ask<'_>) -> Option<String> {
        let wanted = self.config.profile.sibling_elsewhere;
        if !wanted
            || ask.n < 2
            || ask.is_vote()
            || (self.strategy.fork_at == ForkAt::Token && ask.kind != RolloutKind::Again)
        {
            return None;
        }
        let known = ask.known.iter().map(|c| c.canonical.as_str());
        let failed = state.failed_edits();
        let targets: Vec<(String, String)> = known.chain(failed).filter_map(edit_target).collect();
        let context = start.everything.clone().without_symbols(&targets);
        let only_edits = start.tools.clone().only(|tool| tool == ToolName::Edit);
        (context.has_symbols() && !only_edits.is_empty())
            .then(|| grammar::lark(&only_edits, &self.config.profile.thought, &context))
    }

    fn sites(&self, ask: &Ask<'_>, n: usize) -> Vec<Site> {
        if ask.is_vote() {
            return action_sites(ask.lead, ask.known, n, false);
        }
        match self.strategy.fork_at {
            ForkAt::Action => action_sites(ask.lead, ask.known, n, true),
            ForkAt::Token => token_sites(ask.lead, ask.known, n),
        }
    }

    fn sibling(
        &mut self,
        state: &RunState,
        start: &Start,
        ask: &Ask<'_>,
        (index, site): (usize, &Site),
    ) -> Sibling {
        let settings = &self.strategy.siblings;
        let mut sampler = settings.sampler;
        sampler.temperature += settings.temperature_step * index as f32;
        let lead = &ask.lead.candidate;
        let shared = lead.tokens[..site.at].to_vec();
        let at = start.len + site.at;
        let seq = self.engine.fork(ask.lead.seq, at, Purpose::Agent);
        let job = self.job(state, start, seq, ask.first_index + index, sampler);
        Sibling {
            index,
            has_own_grammar: false,
            origin: Origin {
                shared,
                temperature: sampler.temperature,
            },
            job: GenerateJob {
                grammar_prefix: site.at,
                first_token_not: site.not.clone(),
                distinct: site.distinct,
                tokens_max: job.tokens_max.saturating_sub(site.at).max(1),
                ..job
            },
        }
    }

    /// Decodes siblings; those that could take no token of their own, or for
    /// which a pool that is already emptied has no room, are left out.
    fn decode(
        &mut self,
        state: &RunState,
        start: &Start,
        siblings: Vec<Sibling>,
    ) -> Result<Vec<(usize, Draft)>, SearchError> {
        let jobs: Vec<GenerateJob> = siblings.iter().map(|s| s.job.clone()).collect();
        let generated = match self.generate(&jobs) {
            Err(error) if error.is_pool_full() && self.made_room => {
                jobs.iter().for_each(|job| self.engine.release(job.seq));
                return Ok(Vec::new());
            }
            generated => generated?,
        };
        let mut drafts = Vec::with_capacity(jobs.len());
        for (sibling, generated) in siblings.into_iter().zip(generated) {
            let seq = sibling.job.seq;
            if generated.tokens.is_empty() || generated.finish == Finish::KvPoolFull {
                self.engine.release(seq);
                continue;
            }
            let mut draft = self.draft(state, start, sibling.origin, generated.tokens, seq);
            draft.grammar = sibling.job.grammar.filter(|_| sibling.has_own_grammar);
            draft.finish = generated.finish;
            drafts.push((sibling.index, draft));
        }
        Ok(drafts)
    }

    /// Siblings that only give the code back as it is are forked in its midst,
    /// at the token of which the model was least sure, and go on from there with
    /// another one. Equal copies fork at different places.
    fn fork_copies(
        &mut self,
        state: &RunState,
        start: &Start,
        drafts: Vec<Draft>,
    ) -> Result<Vec<Draft>, SearchError> {
        if !self.config.profile.fork_copies {
            return Ok(drafts);
        }
        let (copies, mut drafts): (Vec<Draft>, Vec<Draft>) =
            drafts.into_iter().partition(|draft| draft.is_copy);
        let mut siblings = Vec::new();
        let mut left = Vec::new();
        for (nth, copy) in copies.into_iter().enumerate() {
            let code = copy.call.as_ref().map_or(0..0, |call| call.code.clone());
            let mut choices = copy.choices();
            choices.retain(|choice| code.contains(&choice.at));
            if choices.is_empty() {
                drafts.push(copy);
                continue;
            }
            let at = choices[nth % choices.len()].at;
            let seq = self.engine.fork(copy.seq, start.len + at, Purpose::Agent);
            let sampler = SamplerSettings {
                temperature: copy.candidate.temperature,
                ..self.strategy.siblings.sampler
            };
            let job = self.job(state, start, seq, 0, sampler);
            siblings.push(Sibling {
                index: nth,
                has_own_grammar: copy.grammar.is_some(),
                origin: Origin {
                    shared: copy.tokens()[..at].to_vec(),
                    temperature: copy.candidate.temperature,
                },
                job: GenerateJob {
                    grammar: copy.grammar.clone().or(job.grammar),
                    rng: job.rng.split(u64::MAX).split(nth as u64),
                    grammar_prefix: at,
                    first_token_not: vec![copy.tokens()[at].token],
                    tokens_max: job.tokens_max.saturating_sub(at).max(1),
                    ..job
                },
            });
            left.push(copy);
        }
        if siblings.is_empty() {
            return Ok(drafts);
        }
        let forked = self.decode(state, start, siblings)?;
        for copy in left {
            self.engine.release(copy.seq);
        }
        drafts.extend(forked.into_iter().map(|(_, draft)| draft));
        Ok(drafts)
    }

    /// Adds what is new to `drafts`; an action that is there already is counted
    /// with it, one that was carried out at this point before is dropped.
    fn merge(&mut self, drafts: &mut Vec<Draft>, new: Vec<Draft>, tried: &[String]) {
        for draft in new {
            let canonical = &draft.candidate.canonical;
            let twin = drafts
                .iter_mut()
                .find(|other| other.candidate.canonical == *canonical);
            if let Some(twin) = twin {
                twin.candidate.merged += 1;
                self.engine.release(draft.seq);
            } else if tried.contains(canonical) {
                self.engine.release(draft.seq);
            } else {
                drafts.push(draft);
            }
        }
    }
}

/// File and symbol of an edit in canonical form.
fn edit_target(canonical: &str) -> Option<(String, String)> {
    let call: serde_json::Value = serde_json::from_str(canonical.lines().next()?).ok()?;
    let argument = |name: &str| Some(call["arguments"][name].as_str()?.to_owned());
    Some((argument("path")?, argument("symbol")?))
}
