//! A model's own choice among the locations of the index: how often it is right, and how sure.
use super::statistics::{Estimate, auroc, bootstrap};
use super::summary::SEED;
use crate::base::{ChoiceEntropy, Location};
use serde::Serialize;
use std::collections::BTreeSet;

/// Constant of reciprocal rank fusion (Cormack, Clarke and Büttcher 2009).
const FUSION: f64 = 60.0;

/// Orders of the same locations: the index's, the model's, and both fused by their ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Order {
    Index,
    Model,
    Both,
}

impl Order {
    pub const ALL: [Self; 3] = [Self::Index, Self::Model, Self::Both];

    pub fn name(self) -> &'static str {
        match self {
            Self::Index => "the index",
            Self::Model => "the model",
            Self::Both => "both, by their ranks",
        }
    }
}

/// Ranks from 1; `None`: not among the locations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ChosenRanks {
    /// Of the first changed file, counted over distinct files.
    pub file: Option<usize>,
    /// Of the first changed function or type.
    pub symbol: Option<usize>,
}

/// A model's choice for one task.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LocationChosen {
    pub instance_id: String,
    pub n_locations: usize,
    /// Tokens of the prompt that the choice was made behind.
    pub prompt_tokens: usize,
    /// Of the choice, renormalised over the locations, nats.
    pub entropy_nats: f32,
    /// Of the likeliest location, renormalised.
    pub top_prob: f32,
    /// On other texts than the locations' calls.
    pub outside_mass: f32,
    /// False where the solution changes no function or type.
    pub has_symbols: bool,
    /// By [`Order::ALL`].
    pub ranks: [ChosenRanks; Order::ALL.len()],
}

/// The places that a task's reference solution changes.
pub(super) struct Gold<'a> {
    pub files: BTreeSet<&'a str>,
    pub symbols: BTreeSet<(&'a str, &'a str)>,
}

impl LocationChosen {
    /// `locations` in the order of the index; `entropy` has a probability for each, in that order.
    pub(super) fn of(
        instance_id: &str,
        locations: &[Location],
        entropy: &ChoiceEntropy,
        gold: &Gold<'_>,
        prompt_tokens: usize,
    ) -> Self {
        let probs: Vec<f32> = entropy.probs.iter().map(|(_, p)| *p).collect();
        let by_index: Vec<usize> = (0..locations.len()).collect();
        let mut by_model = by_index.clone();
        by_model.sort_by(|&a, &b| probs[b].total_cmp(&probs[a]).then(a.cmp(&b)));
        let fused = |at: usize| {
            let rank = by_model.iter().position(|&other| other == at).unwrap_or(0);
            1.0 / (FUSION + at as f64) + 1.0 / (FUSION + rank as f64)
        };
        let mut by_both = by_index.clone();
        by_both.sort_by(|&a, &b| fused(b).total_cmp(&fused(a)).then(a.cmp(&b)));
        let total: f32 = probs.iter().sum();
        let top = probs.iter().copied().fold(0.0, f32::max);
        Self {
            instance_id: instance_id.to_owned(),
            n_locations: locations.len(),
            prompt_tokens,
            entropy_nats: entropy.entropy_nats,
            top_prob: if total > 0.0 { top / total } else { 0.0 },
            outside_mass: entropy.outside_mass,
            has_symbols: !gold.symbols.is_empty(),
            ranks: [by_index, by_model, by_both].map(|order| ranks(locations, &order, gold)),
        }
    }

    pub fn ranks_by(&self, order: Order) -> ChosenRanks {
        self.ranks[order as usize]
    }

    /// Whether the location that the model holds likeliest lies in a changed file.
    pub fn is_right(&self) -> bool {
        self.ranks_by(Order::Model).file == Some(1)
    }
}

fn ranks(locations: &[Location], order: &[usize], gold: &Gold<'_>) -> ChosenRanks {
    let mut files: Vec<&str> = Vec::new();
    for &at in order {
        let path = locations[at].path.as_str();
        if !files.contains(&path) {
            files.push(path);
        }
    }
    let is_gold = |&at: &usize| {
        let Location { path, symbol } = &locations[at];
        let symbol = symbol.as_deref();
        symbol.is_some_and(|symbol| gold.symbols.contains(&(path.as_str(), symbol)))
    };
    let first = |place: Option<usize>| place.map(|at| at + 1);
    ChosenRanks {
        file: first(files.iter().position(|path| gold.files.contains(path))),
        symbol: first(order.iter().position(is_gold)),
    }
}

/// Whether the entropy of a choice tells right ones from wrong ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChoiceCertainty {
    pub n_right: usize,
    pub n_wrong: usize,
    /// Means over the right choices and the wrong ones, nats; `None` of none.
    pub right_nats: Option<f64>,
    pub wrong_nats: Option<f64>,
    /// The chance that a wrong choice has more entropy than a right one, with a bootstrap
    /// interval over tasks; `None` without one of each.
    pub auroc: Option<Estimate>,
}

impl ChoiceCertainty {
    pub fn of(chosen: &[LocationChosen]) -> Self {
        let (right, wrong): (Vec<&LocationChosen>, Vec<_>) =
            chosen.iter().partition(|chosen| chosen.is_right());
        let mean = |of: &[&LocationChosen]| {
            let sum: f64 = of.iter().map(|c| f64::from(c.entropy_nats)).sum();
            (!of.is_empty()).then(|| sum / of.len() as f64)
        };
        let area = |of: &[&LocationChosen]| {
            let scored = of
                .iter()
                .map(|c| (f64::from(c.entropy_nats), !c.is_right()));
            auroc(&scored.collect::<Vec<_>>())
        };
        Self {
            n_right: right.len(),
            n_wrong: wrong.len(),
            right_nats: mean(&right),
            wrong_nats: mean(&wrong),
            auroc: bootstrap(chosen, SEED, area),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(path: &str, symbol: &str) -> Location {
        Location {
            path: path.into(),
            symbol: Some(symbol.into()),
        }
    }

    fn chosen(probs: [f32; 4], entropy_nats: f32) -> LocationChosen {
        let locations = [
            location("a.py", "f"),
            location("a.py", "g"),
            location("b.py", "h"),
            location("c.py", "k"),
        ];
        let entropy = ChoiceEntropy {
            entropy_nats,
            probs: locations
                .iter()
                .map(Location::to_string)
                .zip(probs)
                .collect(),
            outside_mass: 1.0 - probs.iter().sum::<f32>(),
        };
        let gold = Gold {
            files: BTreeSet::from(["b.py"]),
            symbols: BTreeSet::from([("b.py", "h")]),
        };
        LocationChosen::of("x", &locations, &entropy, &gold, 7)
    }

    #[test]
    fn files_are_counted_once_and_equal_ranks_go_by_the_index() {
        let one = chosen([0.1, 0.2, 0.05, 0.05], 1.0);
        let files = Order::ALL.map(|order| one.ranks_by(order).file);
        // a, a, b, c by the index; by the model a.g, a.f, then b before c.
        assert_eq!(files, [Some(2), Some(2), Some(2)]);
        let symbols = Order::ALL.map(|order| one.ranks_by(order).symbol);
        assert_eq!(symbols, [Some(3), Some(3), Some(3)]);
        assert!((one.top_prob - 0.5).abs() < 1e-6 && !one.is_right());
        let sure = chosen([0.0, 0.0, 0.9, 0.0], 0.1);
        assert!(sure.is_right());
        assert_eq!(sure.ranks_by(Order::Both).symbol, Some(2));
    }

    #[test]
    fn certainty_is_split_by_right_and_wrong() {
        let all = [
            chosen([0.0, 0.0, 0.9, 0.0], 0.2),
            chosen([0.0, 0.0, 0.5, 0.0], 0.4),
            chosen([0.5, 0.0, 0.1, 0.0], 0.3),
            chosen([0.5, 0.0, 0.1, 0.0], 0.9),
        ];
        let certainty = ChoiceCertainty::of(&all);
        assert_eq!((certainty.n_right, certainty.n_wrong), (2, 2));
        assert!((certainty.right_nats.unwrap() - 0.3).abs() < 1e-6);
        assert!((certainty.wrong_nats.unwrap() - 0.6).abs() < 1e-6);
        assert_eq!(certainty.auroc.unwrap().value, 0.75);
        assert!(ChoiceCertainty::of(&all[..2]).auroc.is_none());
    }
}
