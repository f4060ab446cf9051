//! Why a patch was chosen, in words.
use super::criterion::{BY_AGREEMENT, BY_MERIT, BY_VOTES, Contestant, Criterion, decisive};

/// Why the first of `staying` is first, by the list that ordered them. `n_voters` is for
/// [`BY_VOTES`].
///
/// Panics without a candidate.
pub(super) fn reason(criteria: &[Criterion], staying: &[Contestant], n_voters: usize) -> String {
    let winner = &staying[0];
    let (branch, tests) = (winner.branch, tests_clause(winner));
    let Some(second) = staying.get(1) else {
        let thing = match criteria == BY_AGREEMENT {
            true => "code",
            false => "patch",
        };
        return format!("branch {branch} has the only {thing} left: {tests}");
    };
    let (by, _) = decisive(criteria, winner, second).expect("two branches differ in their order");
    if criteria == BY_VOTES {
        let votes = format!("{} of {n_voters} votes", winner.votes);
        return format!("branch {branch} has {votes}{}: {tests}", tie_clause(by));
    }
    let by = clause(by, criteria, winner);
    format!("branch {branch} is first by {by}: {tests}")
}

/// What the counted tests say of the first.
fn tests_clause(winner: &Contestant) -> String {
    match winner.pass_rate {
        Some(rate) if winner.not_run > 0 => format!(
            "passes {:.0} % of the counted tests that were run; {} not run",
            rate * 100.0,
            winner.not_run
        ),
        Some(rate) => format!("passes {:.0} % of the counted tests", rate * 100.0),
        None if winner.not_run > 0 => {
            format!("no test counts; {} not run", winner.not_run)
        }
        None => "no test counts".to_owned(),
    }
}

/// The criterion that decided, where voters did not.
fn clause(by: Criterion, criteria: &[Criterion], winner: &Contestant) -> String {
    // What ranks before the size of a patch, beside the tests.
    let merit = match criteria == BY_MERIT {
        true => "score",
        false => "agreement",
    };
    match by {
        Criterion::PassRate => "pass rate".to_owned(),
        Criterion::WrittenRate => "tests that a model wrote, at the same pass rate".to_owned(),
        Criterion::ChangesCode => {
            "changing code, where the next changes only comments, layout or documentation"
                .to_owned()
        }
        Criterion::Agreement => {
            format!("agreement: {} branches came to its code", winner.agreeing)
        }
        Criterion::Score => "trajectory score, at the same pass rate".to_owned(),
        Criterion::Votes => "votes".to_owned(),
        Criterion::VoteTotal => "total of the votes".to_owned(),
        Criterion::PatchLines => {
            format!("size of the patch, at the same pass rate and {merit}")
        }
        Criterion::Entropy => format!("entropy, at the same pass rate, {merit} and size"),
        Criterion::Order => "order: nothing tells it from the next".to_owned(),
    }
}

/// The criterion that decided between equal votes; nothing where votes did.
fn tie_clause(by: Criterion) -> &'static str {
    match by {
        Criterion::Votes => "",
        Criterion::VoteTotal => ", tied, and the higher total",
        Criterion::PatchLines => ", tied in votes and total, and the smaller patch",
        Criterion::Entropy => ", tied in votes, total and size, and the lower entropy",
        Criterion::Order => ", tied in everything, and came first",
        Criterion::PassRate
        | Criterion::WrittenRate
        | Criterion::ChangesCode
        | Criterion::Agreement
        | Criterion::Score => unreachable!("{by:?} is not of BY_VOTES"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::criterion::{order, tests::drawn};
    use super::*;
    use crate::base::RngKey;

    #[test]
    fn every_criterion_has_a_sentence_of_its_own() {
        for criteria in [BY_MERIT, BY_AGREEMENT, BY_VOTES] {
            let mut told: Vec<(Criterion, String)> = Vec::new();
            for seed in 0..2_000 {
                let key = RngKey::from_seed(seed);
                let mut two = [drawn(0, key.split(0)), drawn(1, key.split(1))];
                two.sort_by(|a, b| order(criteria, a, b));
                let (by, _) = decisive(criteria, &two[0], &two[1]).unwrap();
                let sentence = reason(criteria, &two, 3);
                let part = match criteria == BY_VOTES {
                    true => tie_clause(by).to_owned(),
                    false => clause(by, criteria, &two[0]),
                };
                assert!(sentence.contains(&part), "{by:?}: {sentence}");
                if !told.iter().any(|(known, _)| *known == by) {
                    told.push((by, part));
                }
            }
            let mut parts: Vec<&str> = told.iter().map(|(_, part)| part.as_str()).collect();
            parts.sort_unstable();
            parts.dedup();
            assert_eq!(parts.len(), criteria.len(), "{told:?}");
        }
    }
}
