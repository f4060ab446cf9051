//! A repository of 20,000 files: each can be named, viewed and edited.
use crate::{call, engine, profile, run};
use egss::record::{BranchStatus, StepOutcome};
use serde_json::json;

const N_FILES: usize = 20_000;

#[test]
fn of_20_000_files_every_one_can_be_listed_viewed_and_edited() {
    let repo = tempfile::tempdir().unwrap();
    for n in 0..N_FILES {
        let folder = repo.path().join(format!("pkg/part_{}", n / 200));
        if n % 200 == 0 {
            std::fs::create_dir_all(&folder).unwrap();
        }
        let text = format!(
            "\"\"\"Part {n}.\"\"\"\n\n\ndef price_{n}(amount):\n    return amount * {n} + 1\n\n\nclass Shop{n}:\n    def total(self, amounts):\n        return sum(price_{n}(a) for a in amounts)\n"
        );
        std::fs::write(folder.join(format!("m{n}.py")), text).unwrap();
    }
    // Names that a grammar of plain words would not spell.
    std::fs::create_dir_all(repo.path().join(".github/my flows")).unwrap();
    std::fs::write(repo.path().join(".github/my flows/ci+x.yml"), "on: push\n").unwrap();
    let last = format!("pkg/part_99/m{}.py", N_FILES - 1);
    let symbol = format!("price_{}", N_FILES - 1);
    let code = format!(
        "def {symbol}(amount):\n    return amount * {}\n",
        N_FILES - 1
    );
    let calls = vec![
        call("list", json!({"path": "."})),
        call("list", json!({"path": "pkg/part_99"})),
        call("view", json!({"path": last})),
        call("view", json!({"path": ".github/my flows/ci+x.yml"})),
        call("search", json!({"pattern": format!("def {symbol}\\b")})),
        call("edit", json!({"path": last, "symbol": symbol})).with_code(&code),
        call(
            "edit",
            json!({"path": ".github/my flows/ci+x.yml", "start": 1, "end": 1}),
        )
        .with_code("on: pull_request\n"),
        call("submit", json!({})),
    ];
    let out = tempfile::tempdir().unwrap();
    let issue = format!("`{symbol}` gives one too much.");
    let profile = profile();
    let state = run(
        repo.path(),
        &issue,
        &profile,
        engine(calls, 100_000),
        out.path(),
    );
    let outcomes: Vec<StepOutcome> = state.steps.iter().map(|step| step.outcome).collect();
    let texts: Vec<&str> = state.steps.iter().map(|s| s.observation.as_str()).collect();
    assert_eq!(outcomes[..7], [StepOutcome::Ok; 7], "{texts:#?}");
    let ended = state.branches[0].ended.as_ref().unwrap();
    assert_eq!(ended.status, BranchStatus::Submitted);
    assert!(
        ended
            .patch
            .contains(&format!("-    return amount * {} + 1", N_FILES - 1))
    );
    assert!(ended.patch.contains("+on: pull_request"));
    // The function that the issue names stands in the first prompt, one of 20,000.
    assert!(
        state
            .start
            .prompt_text
            .contains(&format!("def {symbol}(amount):"))
    );
    // The record names each limit, and the answer to `list` tells of the cut.
    let cuts: Vec<&str> = state
        .start
        .cuts
        .iter()
        .map(|cut| cut.limit.as_str())
        .collect();
    for limit in ["listed_files_max", "files_tokens_max", "grammar_files_max"] {
        assert!(cuts.contains(&limit), "{limit}: {cuts:?}");
    }
    assert!(texts[0].contains("list one of the folders"), "{}", texts[0]);
    assert_eq!(state.steps[0].cuts[0].limit, "listed_files_max");
    assert!(texts[1].contains(&format!("m{}.py", N_FILES - 1)));
}
