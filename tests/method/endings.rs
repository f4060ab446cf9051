//! How runs end, and what their last choice costs.
use super::*;
use egss::base::AgentProfile;

#[test]
fn trajectories_that_agree_end_the_run() {
    let strategy = strategy_named("best-of-4-stop", 4, 1, &AgentProfile::small()).unwrap();
    let same = |text: &str| match text.contains("\"path\": \"a1.py\"") {
        true => vec![(SUBMIT.into(), 1.0)],
        false => vec![(write("a1"), 1.0)],
    };
    let (state, _) = run(&strategy, None, Budget::default(), same);
    assert_eq!(state.branches.len(), 2, "the second agrees with the first");
    let never = Strategy {
        stop: StopRule::NEVER,
        ..strategy
    };
    let (state, _) = run(&never, None, Budget::default(), same);
    assert_eq!(state.branches.len(), 4);
}

#[test]
fn a_finished_run_is_ended_another_way_without_another_token() {
    let never = Strategy {
        stop: StopRule::NEVER,
        select: SelectBy::Tests,
        ..strategy_named("best-of-4-stop", 4, 1, &AgentProfile::small()).unwrap()
    };
    let say = |text: &str| {
        if text.contains("all the work above") {
            rate(2)
        } else if text.contains(".py\"}") {
            vec![(SUBMIT.into(), 1.0)]
        } else {
            vec![(write("a1"), 0.5), (write("b1"), 0.5)]
        }
    };
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = engine(say);
    let mut work = |strategy: &Strategy, to: &Path, from: Option<&Path>| {
        let (others, budget) = (Others::default(), Budget::default());
        asked(
            &mut engine,
            others,
            strategy,
            None,
            budget,
            |request, tools| match from {
                None => Some(solve(to, request, tools).unwrap()),
                Some(from) => end_anew(from, to, request, tools).unwrap(),
            },
        )
    };
    let before = work(&never, old.path(), None).unwrap();
    assert!(before.usage[Purpose::Judge].spent_tokens() > 0);
    let stopping = strategy_named("best-of-4-stop", 4, 1, &AgentProfile::small()).unwrap();
    let dir = new.path().join("run");
    let after = work(&stopping, &dir, Some(old.path())).expect("the same search");
    // Of four draws between two patches some two agree before the fourth.
    assert!(after.branches.len() < 4, "{}", after.branches.len());
    let ended = |state: &RunState, n: usize| {
        let branches = state.branches[..n].iter();
        let patches = branches.map(|branch| branch.ended.clone().unwrap().patch);
        patches.collect::<Vec<_>>()
    };
    let n = after.branches.len();
    assert_eq!(ended(&after, n), ended(&before, n));
    assert_eq!(after.usage[Purpose::Judge].spent_tokens(), 0);
    let agent = |state: &RunState| state.usage[Purpose::Agent].spent_tokens();
    assert!(agent(&after) < agent(&before));
    let selected = after.selected.as_ref().unwrap();
    assert!(selected.reason.contains("agreement"), "{}", selected.reason);
    // Another search is not the same with another end.
    let hotter = Strategy {
        sampler: egss::base::SamplerSettings::GREEDY,
        ..stopping
    };
    assert!(work(&hotter, &new.path().join("other"), Some(old.path())).is_none());
    assert!(!new.path().join("other").exists());
    let again = work(&never, &new.path().join("asks"), Some(old.path()));
    assert!(again.is_none(), "a judge would have to be asked");
}

#[test]
fn voters_of_one_question_share_its_cost_and_unjudged_trajectories_are_judged_whole() {
    let strategy = Strategy {
        select: SelectBy::Preference,
        ..strategy_named("best-of-2", 2, 1, &AgentProfile::small()).unwrap()
    };
    let rated = |digit: u8| -> Vec<(String, f64)> {
        let names = [
            "requirement relevance",
            "code accuracy",
            "change precision",
            "dependency and context awareness",
            "code quality",
            "functionality validation",
        ];
        let votes = names.map(|name| (format!("{name}: {digit}"), 1.0 / 6.0));
        votes.into()
    };
    let say = move |text: &str| {
        let b = text.contains("\"path\": \"b1.py\"");
        if text.contains("merged.") || text.contains("merged,") || text.contains("sceptic") {
            rated(if b { 3 } else { 1 })
        } else if text.contains("all the work above") {
            rate(2)
        } else if b || text.contains("\"path\": \"a1.py\"") {
            vec![(SUBMIT.into(), 1.0)]
        } else {
            vec![(write("a1"), 0.5), (write("b1"), 0.5)]
        }
    };
    // A seed under which the two differ.
    let (state, engine) = run(&strategy, None, Budget::default(), say);
    let texts: Vec<&str> = state
        .branches
        .iter()
        .map(|b| b.ended.as_ref().unwrap().patch.as_str())
        .collect();
    assert_ne!(texts[0], texts[1]);
    assert_eq!(state.judged.len(), 2);
    assert!(state.judged.iter().all(|j| close(j.judge.score, 2.0 / 3.0)));
    // Three voters, two of them of one question: six votes, two of them paid for.
    assert_eq!(state.votes.len(), 6);
    let paid = state
        .votes
        .iter()
        .filter(|vote| vote.usage.selection.computed_tokens > 0);
    assert_eq!(paid.count(), 2);
    let winner = state.selected.as_ref().unwrap().branch.unwrap();
    assert!(texts[winner.0 as usize].contains("b1.py"));
    assert_eq!(state.usage, engine.usage());
}
