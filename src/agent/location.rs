//! The locations of which an agent's first call views one, and how sure the model is of them.
//!
//! A grammar holds the first call of a branch to these locations, with no sentence before it.
//! The probability of each is read along its tokens, as a tool's name is, and their entropy
//! is the signal `location`. From the profile's `location_gate_nats` on, the next likeliest
//! locations are candidates beside the first. A location that is not taken can be gone back
//! to.
use super::action::Action;
use super::call::{CallFormat, Piece};
use super::config::{AgentConfig, Role};
use super::grammar::is_plain;
use super::span::token_ends;
use crate::base::{ChoiceEntropy, Location, PromptStyle, Purpose, SeqId, ToolForm, ToolName};
use crate::decode::ChoicePaths;
use crate::engine::{Engine, EngineError, ScoreJob, Vocabulary};
use crate::index::{Located, RepoView};
use std::collections::BTreeSet;

/// Of the likeliest files, those that may be named as a whole where they define nothing.
const WHOLE_FILES_MAX: usize = 10;

/// The likeliest locations of the index that the prompt may show, the likeliest first: functions
/// and types, and files that define none. Empty where the profile asks for no such choice, where
/// the agent cannot view, and where there are not two.
pub(super) fn locations(config: &AgentConfig, view: &RepoView, located: &Located) -> Vec<Location> {
    let max = config.limits().locations_max;
    let is_asked = config.role == Role::Agent
        && config.profile.prompt == PromptStyle::Map
        && config.tools.has(ToolForm::ViewSymbol);
    if !is_asked || max == 0 {
        return Vec::new();
    }
    let is_open = |path: &str, symbol: &str| {
        let closed = &config.scope.closed;
        config.scope.shows(path) && !closed.iter().any(|(p, s)| p == path && s == symbol)
    };
    let whole = located.files.iter().take(WHOLE_FILES_MAX).filter(|found| {
        let file = &view.files[found.file];
        found.score > 0.0
            && file.is_source()
            && config.scope.shows(&file.path)
            && file.symbols().iter().all(|symbol| symbol.is_local)
    });
    let whole = whole.map(|found| Location {
        path: view.files[found.file].path.clone(),
        symbol: None,
    });
    let whole: Vec<Location> = match config.tools.has(ToolForm::View) {
        true => whole.collect(),
        false => Vec::new(),
    };
    let defined = located.symbols.iter().map(|found| Location {
        path: view.files[found.file].path.clone(),
        symbol: Some(found.symbol.qualified.clone()),
    });
    let defined = defined.filter(|location| {
        let symbol = location.symbol.as_deref().unwrap_or_default();
        is_open(&location.path, symbol)
    });
    let mut seen = BTreeSet::new();
    let n_defined = max.saturating_sub(whole.len());
    let mut all: Vec<Location> = defined
        .filter(|location| is_plain(&location.path) && seen.insert(location.clone()))
        .take(n_defined)
        .collect();
    all.extend(
        whole
            .into_iter()
            .filter(|location| is_plain(&location.path)),
    );
    match all.len() {
        0 | 1 => Vec::new(),
        _ => all,
    }
}

/// The action that views a location.
pub fn view_of(location: &Location) -> Action {
    let path = location.path.clone();
    match &location.symbol {
        Some(symbol) => Action::ViewSymbol {
            path,
            symbol: symbol.clone(),
        },
        None => Action::View { path, lines: None },
    }
}

/// The call that views a location, as `calls` writes it.
fn call(calls: CallFormat, location: &Location) -> String {
    let mut arguments = vec![("path", location.path.as_str())];
    arguments.extend(location.symbol.as_deref().map(|symbol| ("symbol", symbol)));
    calls.write(ToolName::View.name(), &arguments)
}

/// The calls that view locations, as token paths from the tool's name on.
#[derive(Clone, Debug)]
pub struct LocationChoice {
    /// The tokens that all calls have in common.
    common: Vec<u32>,
    /// The rest of each.
    paths: ChoicePaths,
}

impl LocationChoice {
    /// `name_opening` is what the token that holds the name's start has before it
    /// ([`CallTokens::name_opening`](super::CallTokens)). `None` where the calls cannot be told
    /// apart by their tokens.
    pub fn new(
        locations: &[Location],
        calls: CallFormat,
        vocabulary: &dyn Vocabulary,
        name_opening: &str,
    ) -> Option<Self> {
        let layout = calls.layout();
        let (opening, closing) = (calls.opening(), Piece::texts(layout.closing));
        let after_value = match layout.is_json {
            true => "\"".len(),
            false => Piece::texts(layout.value_closing).len(),
        };
        let tokens = |location: &Location| {
            let call = call(calls, location);
            let text = format!("{name_opening}{}", &call[opening.len()..]);
            let mut tokens = vocabulary.encode_special(&text);
            // A name is closed by the token that goes beyond it; the rest says nothing.
            let value_end = text.len() - closing.len() - after_value;
            let ends = token_ends(vocabulary, &tokens);
            tokens.truncate(ends.partition_point(|&end| end <= value_end) + 1);
            tokens
        };
        let tokens: Vec<Vec<u32>> = locations.iter().map(tokens).collect();
        let (first, rest) = tokens.split_first()?;
        let shared = |other: &Vec<u32>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
        let n_common = rest.iter().map(shared).min()?;
        let common = first[..n_common].to_vec();
        let names = locations.iter().map(Location::to_string);
        let behind = tokens.iter().map(|tokens| tokens[n_common..].to_vec());
        let paths = ChoicePaths::new(names.zip(behind).collect()).ok()?;
        Some(Self { common, paths })
    }

    /// The distribution over the locations by a model whose sequence ends where the tool's name
    /// starts; the sequence stays as it is. Probabilities are behind the text that all calls have
    /// in common. `None` where the context has no room.
    pub fn measure(
        &self,
        engine: &mut dyn Engine,
        seq: SeqId,
    ) -> Result<Option<ChoiceEntropy>, EngineError> {
        let len = engine.tokens(seq).len();
        let fork = engine.fork(seq, len, Purpose::Agent);
        let scored = engine
            .append(fork, &self.common, Purpose::Agent)
            .and_then(|()| {
                engine.score(&[ScoreJob {
                    seq: fork,
                    continuations: self.paths.continuations().to_vec(),
                    purpose: Purpose::Agent,
                }])
            });
        engine.release(fork);
        if let Err(EngineError::ContextFull { .. }) = scored {
            return Ok(None);
        }
        let scores = scored?.pop().expect("one result a job");
        match self.paths.entropy(&scores) {
            Ok(entropy) => Ok(Some(entropy)),
            Err(error) => Err(EngineError::Model(error.to_string())),
        }
    }
}
