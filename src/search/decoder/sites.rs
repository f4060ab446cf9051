//! The tokens at which siblings leave the action that was decoded first.
use crate::record::Candidate;
use crate::search::draft::Draft;

/// The token at which a sibling leaves the lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// Index of the first token that is its own.
    pub at: usize,
    /// Tokens that it does not take there.
    pub not: Vec<u32>,
    /// Siblings of the same number take different tokens there.
    pub distinct: Option<u32>,
}

impl Site {
    pub fn free(at: usize) -> Self {
        Self {
            at,
            not: Vec::new(),
            distinct: None,
        }
    }
}

/// Tokens that `known` actions take at `at`, where they are the lead's up to there.
fn taken_at(lead: &Draft, known: &[Candidate], at: usize) -> Vec<u32> {
    let ids = |candidate: &Candidate, end: usize| -> Option<Vec<u32>> {
        let tokens = candidate.tokens.get(..end)?;
        Some(tokens.iter().map(|token| token.token).collect())
    };
    let before = ids(&lead.candidate, at);
    let same = known.iter().filter(|c| ids(c, at) == before);
    let mut taken: Vec<u32> = same
        .filter_map(|c| c.tokens.get(at))
        .map(|token| token.token)
        .collect();
    taken.sort_unstable();
    taken.dedup();
    taken
}

/// All leave at the first token that is a choice. As many as the model holds
/// others possible there, and nobody has taken, have to differ at it.
pub(super) fn action_sites(
    lead: &Draft,
    known: &[Candidate],
    n: usize,
    distinct: bool,
) -> Vec<Site> {
    let Some(first) = lead.first_choice() else {
        return vec![Site::free(0); n];
    };
    let taken = taken_at(lead, known, first.at);
    let open = (first.others() + 1).saturating_sub(taken.len());
    let n_distinct = if distinct { open.min(n) } else { 0 };
    let differs = Site {
        at: first.at,
        not: taken,
        distinct: Some(0),
    };
    let mut sites = vec![differs; n_distinct];
    sites.resize(n, Site::free(first.at));
    sites
}

/// The most uncertain token first: as many siblings leave there as the model
/// holds others possible and nobody has taken, the next at the next one. What
/// is left over leaves once more at each, from the most uncertain on.
pub(super) fn token_sites(lead: &Draft, known: &[Candidate], n: usize) -> Vec<Site> {
    let choices = lead.choices();
    if choices.is_empty() {
        return vec![Site::free(0); n];
    }
    let site = |at| Site {
        at,
        not: taken_at(lead, known, at),
        distinct: Some(at as u32),
    };
    let mut sites = Vec::with_capacity(n);
    for choice in &choices {
        let site = site(choice.at);
        let open = (choice.others() + 1).saturating_sub(site.not.len());
        sites.extend(vec![site; open.min(n - sites.len())]);
    }
    let again = choices.iter().cycle().map(|choice| site(choice.at));
    let missing = n - sites.len();
    sites.extend(again.take(missing));
    sites
}
