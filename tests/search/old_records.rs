//! Records of each strategy, written by the search before it decided in data:
//! they render as they did, and go on as they did.
use super::*;
use egss::record::{RECORD_FILE, read_record};
use egss::report::{RunView, markdown};
use std::io::Read;

/// The strategies that there were.
const NAMES: [&str; 12] = [
    "one-turn",
    "one-turn-best-of-n",
    "single",
    "best-of-n-naive",
    "best-of-n",
    "best-of-n-stop",
    "egss",
    "branch-random",
    "branch-always",
    "branch-every-k",
    "branch-on-edit",
    "egss-judged",
];

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/records")
        .join(name)
}

/// The lines of a strategy's record.
fn old_lines(name: &str) -> Vec<String> {
    let bytes = std::fs::read(fixture(&format!("{name}.jsonl.gz"))).unwrap();
    let mut text = String::new();
    let mut unpacked = flate2::read::GzDecoder::new(bytes.as_slice());
    unpacked.read_to_string(&mut text).unwrap();
    text.split_inclusive('\n').map(str::to_owned).collect()
}

/// All that a run did, without the time that it took.
fn done(run_dir: &Path) -> Vec<String> {
    let state = RunState::of_record(&read_record(&run_dir.join(RECORD_FILE)).unwrap().0);
    let steps = state.steps.iter().map(|step| {
        let candidates: Vec<_> = step
            .candidates
            .iter()
            .map(|c| (&c.canonical, c.merged))
            .collect();
        format!(
            "{} on {} from {candidates:?} took {}: {:?} {} ({})",
            step.step, step.branch, step.chosen, step.outcome, step.tree, step.decision.reason
        )
    });
    let branches = state.branches.iter().map(|branch| {
        let ended = branch.ended.as_ref().unwrap();
        format!(
            "{:?} {} {:?} {}",
            branch.forked_from, branch.reason, ended.status, ended.patch
        )
    });
    let selected = state.selected.as_ref().unwrap();
    let all = steps.chain(branches);
    all.chain([format!("{:?} {}", selected.branch, selected.reason)])
        .collect()
}

#[test]
fn records_of_before_render_as_before() {
    for name in NAMES {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(RECORD_FILE), old_lines(name).concat()).unwrap();
        let page = markdown(&RunView::read(dir.path()).unwrap());
        let wanted = std::fs::read_to_string(fixture(&format!("{name}.md"))).unwrap();
        assert_eq!(page, wanted, "{name}");
    }
}

#[test]
fn records_of_before_are_gone_on_with_as_before() {
    let repo = tempfile::tempdir().unwrap();
    std::fs::write(repo.path().join("cart.py"), CART).unwrap();
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let here = |line: &String| {
        line.replace("{REPO}", &repo.path().display().to_string())
            .replace("{PYTHON}", &python.display().to_string())
    };
    for name in NAMES {
        let lines: Vec<String> = old_lines(name).iter().map(here).collect();
        let whole = tempfile::tempdir().unwrap();
        std::fs::write(whole.path().join(RECORD_FILE), lines.concat()).unwrap();
        // The trees are those of a new run: the same files have the same ids.
        let dir = tempfile::tempdir().unwrap();
        run(name, Budget::default(), dir.path());
        let is_step = |line: &&String| line.contains("\"event\":\"step_finished\"");
        let n_steps = lines.iter().filter(is_step).count();
        let mut n_seen = 0;
        let middle = lines.iter().position(|line| {
            n_seen += usize::from(is_step(&line));
            n_seen == n_steps.div_ceil(2)
        });
        let killed = lines[..=middle.unwrap()].concat();
        std::fs::write(dir.path().join(RECORD_FILE), killed).unwrap();
        let (mut engine, dialect, sandbox) = (engine(), ChatMl::default(), sandbox());
        resume(dir.path(), tools(&mut engine, &dialect, &sandbox)).unwrap();
        assert_eq!(done(dir.path()), done(whole.path()), "{name}");
    }
}
