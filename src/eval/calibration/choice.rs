//! Which signal gates, and from where on.
use super::discrimination::{WithinTask, within_task};
use super::distribution::{gated_nats, share_from};
use super::observation::observations;
use super::sample::TaskSamples;
use super::score::{Level, Score};
use crate::base::{GateSignal, quantile};
use crate::eval::EvalError;
use serde::Serialize;

/// The signal that gates, and why it is that one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    pub signal: GateSignal,
    /// One sentence.
    pub reason: String,
    /// What each half would have picked, and how that did on the other.
    pub picks: Vec<Pick>,
}

/// The best signal of one half of the tasks, tried on the other half.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Pick {
    pub signal: GateSignal,
    /// Its within-task AUROC of steps on the half that it was picked on.
    pub fitted: f64,
    /// The same on the other half; `None` where no task there has both outcomes.
    pub held_out: Option<WithinTask>,
}

/// A threshold from one half of the tasks, tried on the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HalfThreshold {
    pub n_fitted: usize,
    pub threshold_nats: f64,
    pub n_tried: usize,
    /// The share of the other half's steps that it rolls out.
    pub rolled_out: f64,
}

/// The signal asked for; else the one whose pick on one half holds on the other, with an
/// interval above 0.5; else the one that is in use.
pub(super) fn choose(
    halves: [&[TaskSamples]; 2],
    asked: Option<GateSignal>,
    present: Option<GateSignal>,
    seed: u64,
) -> Choice {
    let [first, second] = halves;
    let picks: Vec<Pick> = [(first, second), (second, first)]
        .into_iter()
        .filter_map(|(fitted, tried)| pick(fitted, tried, seed))
        .collect();
    let held = |pick: &Pick| {
        let held_out = pick.held_out.filter(WithinTask::is_reliable)?;
        (held_out.estimate.low > 0.5).then_some((pick.signal, held_out.estimate))
    };
    let best = (picks.iter().filter_map(held)).max_by(|a, b| a.1.value.total_cmp(&b.1.value));
    let nothing = "no signal that was picked on one half of the tasks tells failing from passing steps within a task of the other half (no interval over enough tasks lies above 0.5)";
    let (signal, reason) = match (asked, best, present) {
        (Some(signal), ..) => (signal, format!("{} gates as asked.", signal.name())),
        (None, Some((signal, e)), _) => (
            signal,
            format!(
                "{} gates: picked on one half of the tasks, it has a within-task AUROC of {:.2} ({:.2} to {:.2}) at the steps of the other.",
                signal.name(),
                e.value,
                e.low,
                e.high
            ),
        ),
        (None, None, Some(signal)) => (
            signal,
            format!("{} goes on gating: {nothing}.", signal.name()),
        ),
        (None, None, None) => (
            GateSignal::DEFAULT,
            format!(
                "{} gates, which costs no token: the model had no gate, and {nothing}.",
                GateSignal::DEFAULT.name()
            ),
        ),
    };
    Choice {
        signal,
        reason,
        picks,
    }
}

/// `None` where no signal can be told from another on `fitted`.
fn pick(fitted: &[TaskSamples], tried: &[TaskSamples], seed: u64) -> Option<Pick> {
    let within = |tasks: &[TaskSamples], signal: GateSignal| {
        within_task(&observations(tasks, Level::Step, signal.into()), seed)
    };
    let measured = |signal| Some((signal, within(fitted, signal)?.estimate.value));
    // The first of equal ones, in the order in which signals are listed.
    let (signal, value) = (GateSignal::ALL.into_iter().filter_map(measured))
        .reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    Some(Pick {
        signal,
        fitted: value,
        held_out: within(tried, signal),
    })
}

/// The threshold over all tasks, and those of the halves. Errors: a signal that was
/// measured at no step of a half.
pub(super) fn thresholds(
    halves: [&[TaskSamples]; 2],
    signal: GateSignal,
    q: f64,
) -> Result<(f64, Vec<HalfThreshold>), EvalError> {
    let score = Score::from(signal);
    let nats = halves.map(|tasks| gated_nats(tasks.iter(), score));
    if nats.iter().any(Vec::is_empty) {
        return Err(EvalError::NotMeasured {
            signal: signal.name(),
        });
    }
    let half = |fitted: &[f64], tried: &[f64]| {
        let threshold_nats = quantile(fitted, q);
        HalfThreshold {
            n_fitted: fitted.len(),
            threshold_nats,
            n_tried: tried.len(),
            rolled_out: share_from(tried, threshold_nats).expect("a half has steps"),
        }
    };
    let all = gated_nats(halves.into_iter().flatten(), score);
    let stability = vec![half(&nats[0], &nats[1]), half(&nats[1], &nats[0])];
    Ok((quantile(&all, q), stability))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{ActionFigures, StepSample};
    use super::*;
    use crate::base::RngKey;

    /// Tasks of eight steps: `args_max` is that much higher in those that fail, and noise
    /// as the other measured signal is.
    fn half(label: u64, lift: f64) -> Vec<TaskSamples> {
        let uniform = |t, i, k| {
            f64::from(
                RngKey::from_seed(label)
                    .split(t)
                    .split(i)
                    .split(k)
                    .uniform() as f32,
            )
        };
        let step = |t: u64, i: u64| {
            let resolved = i.is_multiple_of(2);
            let lift = if resolved { 0.0 } else { lift };
            let mut taken = ActionFigures {
                n_tokens: 10,
                ..ActionFigures::default()
            };
            let (mean, max) = (uniform(t, i, 1), lift + uniform(t, i, 2));
            taken.signals_nats[GateSignal::ArgsMean.index()] = Some(mean);
            taken.signals_nats[GateSignal::ArgsMax.index()] = Some(max);
            StepSample {
                first: Some(taken.clone()),
                taken,
                resolved: Some(resolved),
            }
        };
        let task = |t: u64| TaskSamples {
            task: format!("{label}-{t}"),
            steps: (0..8).map(|i| step(t, i)).collect(),
            trajectories: Vec::new(),
        };
        (0..12).map(task).collect()
    }

    #[test]
    fn a_signal_that_holds_on_the_other_half_gates() {
        let (first, second) = (half(1, 1.0), half(2, 1.0));
        let found = choose([&first, &second], None, Some(GateSignal::ArgsMean), 0);
        assert_eq!(found.signal, GateSignal::ArgsMax);
        assert!(
            found.reason.contains("AUROC of 1.00 (1.00 to 1.00)"),
            "{}",
            found.reason
        );
        let asked = choose([&first, &second], Some(GateSignal::Tool), None, 0);
        assert_eq!(
            (asked.signal, asked.reason.as_str()),
            (GateSignal::Tool, "tool gates as asked.")
        );
    }

    #[test]
    fn a_signal_that_holds_on_its_own_half_only_changes_nothing() {
        let (first, second) = (half(1, 1.0), half(2, -1.0));
        let found = choose([&first, &second], None, Some(GateSignal::ArgsMean), 0);
        assert_eq!(found.picks[0].signal, GateSignal::ArgsMax);
        assert_eq!(found.picks[0].fitted, 1.0);
        assert_eq!(found.picks[0].held_out.unwrap().estimate.value, 0.0);
        assert_eq!(found.picks[1].signal, GateSignal::ArgsMean);
        assert_eq!(found.signal, GateSignal::ArgsMean);
        let reason = "args_mean goes on gating: no signal that was picked";
        assert!(found.reason.starts_with(reason), "{}", found.reason);
        let nothing = choose([&half(3, 0.0), &half(4, 0.0)], None, None, 0);
        assert_eq!(nothing.signal, GateSignal::DEFAULT);
    }

    #[test]
    fn a_signal_that_holds_on_a_few_tasks_only_does_not_hold() {
        let (first, second) = (half(1, 1.0), half(2, 1.0));
        let present = Some(GateSignal::ArgsMean);
        let of = |n: usize| choose([&first[..n], &second[..n]], None, present, 0).signal;
        assert_eq!((of(5), of(6)), (GateSignal::ArgsMean, GateSignal::ArgsMax));
    }

    #[test]
    fn a_threshold_is_tried_on_the_half_that_it_is_not_from() {
        let (first, second) = (half(1, 0.0), half(2, 0.0));
        let (all, stability) = thresholds([&first, &second], GateSignal::ArgsMax, 0.75).unwrap();
        let [low, high] = [0, 1].map(|i: usize| stability[i].threshold_nats);
        assert!(all >= low.min(high) && all <= low.max(high));
        for half in &stability {
            assert_eq!((half.n_fitted, half.n_tried), (96, 96));
            assert!((half.rolled_out - 0.25).abs() < 0.15, "{half:?}");
        }
        let error = thresholds([&first, &second], GateSignal::Vote, 0.75).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("vote was measured at no step"),
            "{error}"
        );
    }
}
