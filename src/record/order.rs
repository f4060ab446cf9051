//! The order of a record's events: what a fold over them relies on.
use super::{Event, RecordLine};
use crate::base::{BranchId, StepId};

/// The first line, from 1, that cannot follow those before it, and a clause that says why.
///
/// The run starts once, branches and steps are numbered in order, and a branch leaves another at a
/// step that the other took.
pub(super) fn fault(lines: &[RecordLine]) -> Option<(usize, String)> {
    let mut order = Order::default();
    let faults = lines.iter().skip(1).map(|line| order.take(&line.event));
    let (index, why) = faults
        .enumerate()
        .find_map(|(index, taken)| Some((index, taken.err()?)))?;
    Some((index + 2, why))
}

#[derive(Default)]
struct Order {
    /// The steps of each branch, those inherited at its fork included.
    branches: Vec<Vec<StepId>>,
    n_steps: u32,
}

impl Order {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::RunStarted(_) => Err("the run starts a second time".to_owned()),
            Event::BranchStarted(started) => {
                let next = self.branches.len();
                if started.branch.0 as usize != next {
                    return Err(format!(
                        "branch {} starts, and {next} is next",
                        started.branch
                    ));
                }
                let inherited = match started.forked_from {
                    None => Vec::new(),
                    Some(from) => {
                        let steps = self.branch(from.branch)?;
                        let at = steps.iter().position(|&step| step == from.step);
                        let at = at.ok_or_else(|| {
                            format!("branch {} has no step {}", from.branch, from.step)
                        })?;
                        steps[..at].to_vec()
                    }
                };
                self.branches.push(inherited);
                Ok(())
            }
            Event::StepFinished(step) => {
                if step.step.0 != self.n_steps {
                    let next = self.n_steps;
                    return Err(format!("step {} has ended, and {next} is next", step.step));
                }
                if step.chosen >= step.candidates.len() {
                    return Err(format!(
                        "step {} has no candidate {}",
                        step.step, step.chosen
                    ));
                }
                self.branch(step.branch)?.push(step.step);
                self.n_steps += 1;
                Ok(())
            }
            Event::Folded(folded) => self.branch(folded.branch).map(|_| ()),
            Event::BranchEnded(ended) => self.branch(ended.branch).map(|_| ()),
            Event::TrajectoryJudged(_)
            | Event::SuiteBuilt(_)
            | Event::SuiteRun(_)
            | Event::SuiteClassified(_)
            | Event::Voted(_)
            | Event::Selected(_)
            | Event::RunEnded(_) => Ok(()),
        }
    }

    fn branch(&mut self, branch: BranchId) -> Result<&mut Vec<StepId>, String> {
        let found = self.branches.get_mut(branch.0 as usize);
        found.ok_or_else(|| format!("branch {branch} has not started"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UsageByPurpose;
    use crate::record::{BranchEnded, BranchStarted, BranchStatus, ForkPoint, RunEnded};

    fn started(branch: u32, from: Option<(u32, u32)>) -> Event {
        Event::BranchStarted(BranchStarted {
            branch: BranchId(branch),
            forked_from: from.map(|(branch, step)| ForkPoint {
                branch: BranchId(branch),
                step: StepId(step),
            }),
            reason: String::new(),
        })
    }

    fn ended(branch: u32) -> Event {
        Event::BranchEnded(BranchEnded {
            branch: BranchId(branch),
            status: BranchStatus::Stuck,
            patch: String::new(),
            ignored: Vec::new(),
            parts: Vec::new(),
            score: None,
            entropy_mean_nats: None,
            code: None,
            usage: UsageByPurpose::default(),
        })
    }

    /// The fault of a record whose first line is followed by these events.
    fn fault_of(events: Vec<Event>) -> Option<(usize, String)> {
        let first = Event::RunEnded(RunEnded {
            patch: String::new(),
            not_applying: None,
            usage: UsageByPurpose::default(),
            wall_ms: 0,
        });
        let line = |event| RecordLine {
            elapsed_ms: 0,
            event,
        };
        let all: Vec<RecordLine> = [first].into_iter().chain(events).map(line).collect();
        fault(&all)
    }

    #[test]
    fn an_order_that_no_run_has_is_told_with_its_line() {
        assert_eq!(fault_of(vec![started(0, None), ended(0)]), None);
        let cases = [
            (
                vec![started(0, None), started(2, None)],
                (3, "branch 2 starts, and 1 is next"),
            ),
            (vec![ended(0)], (2, "branch 0 has not started")),
            (
                vec![started(0, None), started(1, Some((0, 4)))],
                (3, "branch 0 has no step 4"),
            ),
            (
                vec![started(0, Some((0, 0)))],
                (2, "branch 0 has not started"),
            ),
        ];
        for (events, (line, why)) in cases {
            assert_eq!(fault_of(events), Some((line, why.to_owned())));
        }
    }
}
