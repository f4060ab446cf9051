//! `egss calibrate --runs`: a gate from records alone.
use super::*;

const PROVENANCE: &str =
    "0.80 quantile of args_max over 96 steps of 12 runs of the user's own, 2026-11-27";

/// Nats of the first candidate of every step, in order.
fn all_nats(made: &Evaluation) -> Vec<f64> {
    let mut nats = Vec::new();
    for run in std::fs::read_dir(made.out().join("runs")).unwrap() {
        let record = run.unwrap().path().join(RECORD_FILE);
        let (lines, _) = egss::record::read_record(&record).unwrap();
        let state = RunState::of_record(&lines);
        let first = state.steps.iter().map(|step| &step.candidates[0].entropy);
        nats.extend(first.map(|e| f64::from(e.args_max_nats.unwrap())));
    }
    nats.sort_by(f64::total_cmp);
    nats
}

#[test]
fn a_gate_is_learnt_from_records_without_tasks_or_a_model() {
    let made = Evaluation::new(12, true);
    let out = made.out();
    // Given twice, a folder counts once.
    let runs = out.join("runs");
    let output = made.egss(&["calibrate", "--runs", path(&out), path(&runs)]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.contains("| args_max | 96 | "), "{table}");
    assert!(table.contains("96 steps of 12 runs of ") && table.contains(PROVENANCE));
    assert!(!table.contains("AUROC"), "no outcome is known: {table}");
    let shown = text(&made.egss(&["models", "show", DEFAULT_MODEL]).stdout);
    assert!(shown.contains(&format!("nats ({PROVENANCE})")), "{shown}");

    let again = made.egss(&["calibrate", "--runs", path(&out), "--no-write", "--json"]);
    let found: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(found["gate"]["signal"], "args_max");
    let nats = all_nats(&made);
    let threshold = found["gate"]["threshold_nats"].as_f64().unwrap();
    assert!((threshold - nats[76]).abs() < 1e-6, "{threshold}");
    assert_eq!(
        (&found["n_runs"], &found["n_steps"]),
        (&json!(12), &json!(96))
    );

    let half = ["--quantile", "0.5", "--signal", "args_mean", "--no-write"];
    let output = made.egss(&[&["calibrate", "--runs", path(&out)], &half[..]].concat());
    let table = text(&output.stdout);
    assert!(
        table.contains("0.50 quantile of args_mean over 96 steps"),
        "{table}"
    );
    let shown = text(&made.egss(&["models", "show", DEFAULT_MODEL]).stdout);
    assert!(
        shown.contains(PROVENANCE),
        "nothing was to be kept: {shown}"
    );
}

#[test]
fn a_record_that_cannot_be_read_is_passed_over_and_told_of() {
    let made = Evaluation::new(12, true);
    let broken = made.out().join("runs/broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join(RECORD_FILE), "{}\n{}\n").unwrap();
    let output = made.egss(&["calibrate", "--runs", path(&made.out()), "--no-write"]);
    assert!(output.status.success());
    let told = text(&output.stderr);
    assert!(
        told.contains("passed over: ") && told.contains("broken"),
        "{told}"
    );
    assert!(text(&output.stdout).contains("of 12 runs of the user's own"));
}

#[test]
fn runs_that_teach_nothing_get_one_sentence() {
    let made = Evaluation::new(1, true);
    let (out, empty) = (made.out(), made.dir.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    let calibrate = |rest: &[&str]| made.egss(&[&["calibrate"], rest].concat());
    refused(&calibrate(&["--runs", path(&empty)]), "holds no run");
    refused(
        &calibrate(&["--runs", path(&out), "--model", "some.gguf", "--no-write"]),
        &format!("no run there is of the model some.gguf; they are of {DEFAULT_MODEL}"),
    );
    refused(
        &calibrate(&["--runs", path(&out)]),
        "args_max was measured at 8 steps of these runs, and a gate is learnt from 50 or more",
    );
    refused(
        &calibrate(&["--runs", path(&out), "--signal", "vote"]),
        "vote was measured at 0 steps",
    );
    let missing = made.dir.path().join("missing");
    refused(&calibrate(&["--runs", path(&missing)]), "cannot list");
    std::fs::write(empty.join(RECORD_FILE), "no record\n").unwrap();
    refused(&calibrate(&["--runs", path(&empty)]), "not a record line");
    for arguments in [
        &["--no-write"][..],
        &["--runs", path(&out), "--tasks", path(&made.tasks())],
        &["--runs", path(&out), "--seeds", "2"],
    ] {
        let output = calibrate(arguments);
        let error = text(&output.stderr);
        assert!(
            !output.status.success() && error.contains("--runs"),
            "{error}"
        );
    }
    assert!(!made.dir.path().join("config").exists(), "nothing was kept");
}
