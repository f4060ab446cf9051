//! How the gate's signal spreads over the steps of a run.
use super::view::{RunView, signal_nats};
use crate::record::StepFinished;

/// Width of a bin, nats.
pub const BIN_NATS: f32 = 0.25;
const BINS_MIN: usize = 10;
/// Fewer figures than this are named one by one.
const QUANTILES_FROM: usize = 5;
/// The last bin takes all that is larger.
const BINS_MAX: usize = 24;

/// Steps by their uncertainty, and where the gate stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    /// Bin `i` holds `[i, i + 1)` times [`BIN_NATS`].
    pub bins: Vec<Bin>,
    /// Figures in order, nats.
    sorted: Vec<f32>,
    pub gate_nats: Option<f32>,
    /// True where the last bin holds larger figures too.
    pub is_open: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Steps that were rolled out.
    pub rolled: usize,
    pub single: usize,
}

impl Bin {
    pub fn n(&self) -> usize {
        self.rolled + self.single
    }
}

impl Spread {
    /// `None` where no step's uncertainty was measured.
    pub fn of(view: &RunView) -> Option<Self> {
        let measured = view.steps.iter().filter_map(|step| {
            let nats = gated_nats(view, step)?;
            nats.is_finite().then_some((nats, step.decision.branch))
        });
        let measured: Vec<(f32, bool)> = measured.collect();
        let mut sorted: Vec<f32> = measured.iter().map(|(nats, _)| *nats).collect();
        sorted.sort_by(f32::total_cmp);
        let gate_nats = view.start.gate.as_ref().map(|gate| gate.threshold_nats);
        // The gate is in view even where all steps lie below it.
        let largest = sorted.last()?.max(gate_nats.unwrap_or(0.0));
        let bin_of = |nats: f32| (nats.max(0.0) / BIN_NATS) as usize;
        let n_bins = (bin_of(largest) + 1).clamp(BINS_MIN, BINS_MAX);
        let mut bins = vec![Bin::default(); n_bins];
        for (nats, rolled) in measured {
            let bin = &mut bins[bin_of(nats).min(n_bins - 1)];
            match rolled {
                true => bin.rolled += 1,
                false => bin.single += 1,
            }
        }
        Some(Self {
            is_open: bin_of(largest) >= n_bins,
            bins,
            sorted,
            gate_nats,
        })
    }

    pub fn n(&self) -> usize {
        self.sorted.len()
    }

    /// The figure that a share of all lies at or below, nats: 0.5 is the median.
    pub fn quantile(&self, share: f32) -> f32 {
        let rank = (share * self.n() as f32).ceil() as usize;
        self.sorted[rank.clamp(1, self.n()) - 1]
    }

    /// Steps at or above the gate; `None` without one.
    pub fn n_at_gate(&self) -> Option<usize> {
        let gate = self.gate_nats?;
        Some(self.n() - self.sorted.partition_point(|&nats| nats < gate))
    }

    /// The figures in a sentence.
    pub fn sentence(&self) -> String {
        let n = super::figures::count(self.n(), "measured step");
        let mut text = if self.n() < QUANTILES_FROM {
            let all: Vec<String> = self
                .sorted
                .iter()
                .map(|nats| format!("{nats:.2}"))
                .collect();
            format!("{n}: {} nats", all.join(", "))
        } else {
            format!(
                "Half of {n} lie at {:.2} nats or below, nine in ten at {:.2} or below",
                self.quantile(0.5),
                self.quantile(0.9)
            )
        };
        if let (Some(n), Some(gate)) = (self.n_at_gate(), self.gate_nats) {
            let n = match n {
                0 => "none".to_owned(),
                n => n.to_string(),
            };
            text += &format!("; {n} at or above the gate of {gate:.2}");
        }
        text + "."
    }
}

/// What the gate looks at in the action that its decision was about, whether or
/// not it was asked.
fn gated_nats(view: &RunView, step: &StepFinished) -> Option<f32> {
    let Some(gate) = &view.start.gate else {
        return signal_nats(step);
    };
    let first = step.candidates.first()?;
    step.decision
        .signal_nats
        .or_else(|| gate.signal.of(&first.entropy))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(figures: &[f32], gate_nats: Option<f32>) -> Spread {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f32::total_cmp);
        Spread {
            bins: Vec::new(),
            sorted,
            gate_nats,
            is_open: false,
        }
    }

    #[test]
    fn quantiles_are_figures_that_occur() {
        let ten: Vec<f32> = (1..=10).map(|n| n as f32).collect();
        let all = spread(&ten, None);
        assert_eq!(all.quantile(0.5), 5.0);
        assert_eq!(all.quantile(0.9), 9.0);
        assert_eq!(all.quantile(0.0), 1.0);
        assert_eq!(all.quantile(1.0), 10.0);
        assert_eq!(spread(&[0.4], None).quantile(0.5), 0.4);
    }

    #[test]
    fn few_figures_are_named_and_many_summed_up() {
        let few = spread(&[1.0, 0.2], Some(1.12));
        let sentence = few.sentence();
        assert_eq!(
            sentence,
            "2 measured steps: 0.20, 1.00 nats; none at or above the gate of 1.12."
        );
        let many = spread(&[0.1, 0.2, 0.3, 0.4, 2.0], None).sentence();
        assert!(many.starts_with("Half of 5 measured steps lie at 0.30 nats or below"));
    }

    #[test]
    fn a_step_on_the_gate_counts_as_at_it() {
        assert_eq!(spread(&[0.1, 1.9, 2.0], Some(1.9)).n_at_gate(), Some(2));
        assert_eq!(spread(&[0.1], None).n_at_gate(), None);
    }
}
