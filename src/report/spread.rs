//! How the gate's signal spreads over the steps of a run.
use super::gate::ShownGate;
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
    /// Where a line is drawn for the gate, and what stands beside it.
    pub gate_line: Option<(f32, String)>,
    /// The share of the figures that the gate lets through, in a clause.
    gate_clause: Option<String>,
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
        let gate = ShownGate::of(view);
        let gate_line = gate.and_then(|gate| gate.line());
        // The gate is in view even where all steps lie below it.
        let gate_nats = gate_line.as_ref().map_or(0.0, |(nats, _)| *nats);
        let largest = sorted.last()?.max(gate_nats);
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
            gate_clause: gate.map(|gate| clause(&gate, &sorted)),
            sorted,
            gate_line,
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
        if let Some(clause) = &self.gate_clause {
            text += &format!("; {clause}");
        }
        text + "."
    }
}

/// How many of the figures lie at or above the gate: of one that moves, as it stood when
/// it was compared with each.
fn clause(gate: &ShownGate<'_>, sorted: &[f32]) -> String {
    let named = |n: usize| match n {
        0 => "none".to_owned(),
        n => n.to_string(),
    };
    match gate {
        ShownGate::Given(gate) => {
            let threshold = gate.threshold_nats;
            let n = sorted.len() - sorted.partition_point(|&nats| nats < threshold);
            format!("{} at or above the gate of {threshold:.2}", named(n))
        }
        ShownGate::Running(span) => match span.opened {
            None => "the run's own gate did not open".to_owned(),
            Some((first, last)) => format!(
                "{} of {} at or above the run's own gate as it stood, which went from \
                 {first:.2} to {last:.2}",
                named(span.n_at_gate),
                span.n_compared
            ),
        },
    }
}

/// What the gate looks at in the action that its decision was about, whether or
/// not it was asked.
fn gated_nats(view: &RunView, step: &StepFinished) -> Option<f32> {
    let Some(gate) = ShownGate::of(view) else {
        return signal_nats(step);
    };
    let first = step.candidates.first()?;
    step.decision
        .signal_nats
        .or_else(|| gate.signal().of(&first.entropy))
}

#[cfg(test)]
mod tests {
    use super::super::gate::RunningSpan;
    use super::*;
    use crate::base::{Gate, GateSignal};

    fn spread(figures: &[f32], gate_nats: Option<f32>) -> Spread {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f32::total_cmp);
        let gate = gate_nats.map(|threshold_nats| Gate {
            signal: GateSignal::DEFAULT,
            threshold_nats,
            quantile: None,
            provenance: "a test".into(),
        });
        let gate = gate.as_ref().map(ShownGate::Given);
        Spread {
            bins: Vec::new(),
            gate_line: None,
            gate_clause: gate.map(|gate| clause(&gate, &sorted)),
            sorted,
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
        let sentence = spread(&[0.1, 1.9, 2.0], Some(1.9)).sentence();
        assert!(sentence.contains("; 2 at or above the gate of 1.90."));
        assert!(!spread(&[0.1], None).sentence().contains("gate"));
    }

    #[test]
    fn a_gate_that_moves_is_told_of_as_it_stood() {
        let span = RunningSpan {
            signal: GateSignal::DEFAULT,
            quantile: 0.8,
            opened: Some((1.5, 1.9)),
            n_steps: 8,
            n_compared: 4,
            n_at_gate: 1,
        };
        assert_eq!(
            clause(&ShownGate::Running(span), &[]),
            "1 of 4 at or above the run's own gate as it stood, which went from 1.50 to 1.90"
        );
        let closed = RunningSpan {
            opened: None,
            ..span
        };
        assert_eq!(
            clause(&ShownGate::Running(closed), &[]),
            "the run's own gate did not open"
        );
    }
}
