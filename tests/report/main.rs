//! The report, from whole records. The records are synthetic.
mod browser;
mod page;
mod synthetic;

use egss::base::{AgentProfile, LimitHit};
use egss::record::{
    BranchStatus, Event, Folded, FoldedObservation, RecordLine, RecordWriter, StepOutcome,
};
use egss::report::{ReportError, RunView, html, json, markdown, text, write_report};
use std::path::Path;
use synthetic::{Step, Synthetic, beam, long, realistic};

fn view(record: &Synthetic) -> RunView {
    RunView::new(record.lines())
}

fn write_record(path: &Path, lines: &[RecordLine]) {
    let mut writer = RecordWriter::create(path).unwrap();
    for line in lines {
        writer.append(&line.event).unwrap();
    }
}

#[test]
fn a_branch_shares_the_steps_before_its_fork_and_no_later_one() {
    let view = view(&realistic());
    let path = |branch: usize| {
        let path = view.branches[branch].path();
        path.iter()
            .map(|&at| view.steps[at].step.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(path(0), [0, 1, 2]);
    assert_eq!(path(1), [0, 1, 3, 4, 5]);
    assert_eq!(path(2), [0, 1, 6, 7], "a fork of a fork");
    assert_eq!(path(3), [8, 9, 10]);
    assert_eq!(view.winner().unwrap().id.0, 1);
}

#[test]
fn every_prefix_of_a_record_renders_in_every_format() {
    let lines = realistic().lines();
    for n in 1..=lines.len() {
        let view = RunView::new(lines[..n].to_vec());
        let page = html(&view);
        let finished = matches!(lines[n - 1].event, Event::RunEnded(_));
        assert_eq!(!page.contains("Unfinished:"), finished, "{n} lines");
        assert_eq!(markdown(&view).contains("Unfinished:"), !finished);
        assert_eq!(text(&view).contains("Unfinished:"), !finished);
        assert_eq!(json(&view)["finished"], finished);
        assert_eq!(
            json(&view)["steps"].as_array().unwrap().len(),
            view.steps.len()
        );
    }
}

#[test]
fn while_a_run_goes_on_its_usage_is_the_sum_over_its_events() {
    let lines = realistic().lines();
    let whole = RunView::new(lines.clone());
    let cut = RunView::new(lines[..lines.len() - 1].to_vec());
    assert_eq!(cut.usage().agent, whole.usage().agent);
    assert_eq!(cut.usage().augmentation, whole.usage().augmentation);
    assert_eq!(cut.usage().selection.computed_tokens, 0);
    assert!(whole.usage().selection.computed_tokens > 0);
}

#[test]
fn counted_tests_leave_the_unsatisfied_out() {
    let view = view(&realistic());
    let suite = view.suite().unwrap();
    let run = suite.run_on(Some(egss::base::BranchId(1))).unwrap();
    assert_eq!(run.counts.total, 4);
    assert_eq!(suite.counted(run), (3, 3));
    assert_eq!(suite.counted(suite.run_on(None).unwrap()), (1, 3));
}

#[test]
fn what_a_model_writes_stays_text_in_every_format() {
    const ATTACK: &str =
        "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)> `|` \u{1b}[2J";
    let mut record = Synthetic::new(&format!("# {ATTACK}"));
    record.branch(0, None, ATTACK);
    record.step(Step {
        branch: 0,
        depth: 0,
        tool: ATTACK,
        text: ATTACK,
        signal_nats: 2.5,
        outcome: StepOutcome::Ok,
        observation: ATTACK,
        siblings: &[ATTACK],
    });
    record.end_branch(0, BranchStatus::Submitted, &format!("+{ATTACK}\n"), 0.5);
    record.suite_run(Some(0), &[(ATTACK, egss::record::TestResult::Failed)]);
    record.end_run(&format!(
        "diff --git a/x b/x\n@@ -0,0 +1 @@\n+{ATTACK}\n+```\n"
    ));
    let view = view(&record);

    let page = html(&view);
    assert_eq!(page.matches("<script").count(), 1, "only the page's own");
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(!page.contains("<img"));
    assert!(!page.contains('\u{1b}'));

    let tree = text(&view);
    assert!(!tree.contains('\u{1b}'));

    let short = markdown(&view);
    let before_patch = short.split("## Patch").next().unwrap();
    assert!(!before_patch.contains("<script") && !before_patch.contains("<img"));
    assert!(
        short.contains("\n````diff\n"),
        "the fence outgrows the patch's"
    );
}

#[test]
fn the_page_asks_for_nothing_from_outside() {
    let page = html(&view(&realistic()));
    for forbidden in [
        "http:", "https:", "url(", "@import", "<link", "src=", " style=",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn tokens_are_coloured_only_where_their_pieces_join_to_the_text() {
    let mut lines = realistic().lines();
    assert!(html(&RunView::new(lines.clone())).contains(" nats, p "));
    for line in &mut lines {
        if let Event::StepFinished(step) = &mut line.event {
            for candidate in &mut step.candidates {
                candidate.pieces.pop();
            }
        }
    }
    let page = html(&RunView::new(lines));
    assert!(!page.contains(" nats, p "));
    assert!(page.contains("if entry.day &lt;= day:"), "the text stays");
}

/// The numbers that stand between each `opening` and its closing quote.
fn indices_after(page: &str, opening: &str) -> Vec<usize> {
    let after = page.split(opening).skip(1);
    let quoted = after.filter_map(|rest| rest.split('"').next());
    quoted.filter_map(|number| number.parse().ok()).collect()
}

#[test]
fn every_step_has_a_node_and_a_panel_and_every_branch_a_lane() {
    for record in [realistic(), long(1_000)] {
        let view = view(&record);
        let page = html(&view);
        for opening in ["href=\"#s", "id=\"s"] {
            let mut found = indices_after(&page, opening);
            found.sort_unstable();
            let all: Vec<usize> = (0..view.steps.len()).collect();
            assert_eq!(found, all, "{opening}");
        }
        let lanes = page.matches("<text class=\"lane").count();
        assert_eq!(lanes, view.branches.len());
    }
}

/// A page of a thousand steps has to open without a wait.
const PAGE_BYTES_MAX: usize = 8 << 20;

#[test]
fn a_thousand_steps_stay_a_small_page() {
    let record = long(1_000);
    let view = view(&record);
    assert_eq!(view.steps.len(), 1_000);
    let bytes = html(&view).len();
    assert!(bytes < PAGE_BYTES_MAX, "{bytes} bytes");
}

/// What `report.html` and its companions hold.
fn reports(dir: &Path) -> Vec<Vec<u8>> {
    let names = ["report.html", "report.md", "report.json", "patch.diff"];
    let read = |name| std::fs::read(dir.join(name)).unwrap();
    names.into_iter().map(read).collect()
}

#[test]
fn each_strategys_record_replays_into_the_same_report() {
    for name in egss::search::STRATEGY_NAMES {
        let mut record = realistic();
        record.start().strategy =
            egss::search::strategy_named(name, 4, 4, &AgentProfile::small()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        write_record(&dir.path().join("record.jsonl"), &record.lines());
        let run = || {
            let mut egss = assert_cmd::Command::cargo_bin("egss").unwrap();
            egss.arg("report").arg(dir.path()).assert().success();
            reports(dir.path())
        };
        let first = run();
        assert!(first[0].starts_with(b"<!doctype html>"));
        assert!(String::from_utf8_lossy(&first[1]).contains(name), "{name}");
        assert_eq!(first, run(), "{name}");
    }
}

#[test]
fn limits_that_bit_stand_in_every_form_of_the_report() {
    let mut record = realistic();
    record.start().cuts = vec![LimitHit::new("listed_files_max", 1_000, 20_480)];
    let mut lines = record.lines();
    let cut = lines
        .iter_mut()
        .find_map(|line| match &mut line.event {
            Event::StepFinished(step) => Some(step),
            _ => None,
        })
        .unwrap();
    cut.cuts = vec![LimitHit::unmeasured("search_hits_max", 50)];
    let folded = Event::Folded(Folded {
        branch: cut.branch,
        observations: vec![FoldedObservation {
            step: cut.step,
            text: "view: 3,000 characters, folded".into(),
            tokens: vec![1],
        }],
        tokens_before: 900,
        tokens_after: 90,
    });
    let at = lines.len() - 1;
    let before = lines[at - 1].clone();
    lines.insert(
        at,
        RecordLine {
            event: folded,
            ..before
        },
    );
    let view = RunView::new(lines);
    for shown in [html(&view), markdown(&view)] {
        let shown = shown.replace('\\', "");
        for part in [
            "listed_files_max: 1,000 of 20,480",
            "search_hits_max: 50, and there was more",
            "view: 3,000 characters, folded",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
    }
    let shown = json(&view);
    assert_eq!(shown["cuts"][0]["wanted"], 20_480);
    assert_eq!(shown["steps"][0]["cuts"][0]["limit"], "search_hits_max");
    assert_eq!(shown["folded"][0]["tokens_after"], 90);
    assert_eq!(shown["profile"]["name"], "small");
}

#[test]
fn without_a_terminal_the_tree_is_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    write_record(&dir.path().join("record.jsonl"), &beam().lines());
    let mut egss = assert_cmd::Command::cargo_bin("egss").unwrap();
    let shown = egss
        .arg("report")
        .arg(dir.path())
        .arg("--text")
        .output()
        .unwrap();
    assert!(shown.status.success());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(!shown.contains('\u{1b}'));
    for part in [
        "branch 1 ★  forked from branch 0 at step 1, 14 of 136 tokens into its action; selected",
        "38 of 136 tokens into its action; pruned",
        "without forks",
    ] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(!dir.path().join("report.html").exists());
}

#[test]
fn a_run_directory_gets_its_reports_and_its_patch() {
    let dir = tempfile::tempdir().unwrap();
    let lines = realistic().lines();
    write_record(&dir.path().join("record.jsonl"), &lines);
    let written = write_report(dir.path()).unwrap();
    let names: Vec<_> = written
        .files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["report.html", "report.md", "report.json", "patch.diff"]
    );
    let patch = std::fs::read_to_string(dir.path().join("patch.diff")).unwrap();
    assert_eq!(patch, synthetic::PATCH);
    let report = std::fs::read(dir.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["winner"], 1);
    assert_eq!(report["tests"]["runs"][1]["counted"]["passed"], 3);
}

#[test]
fn a_killed_run_gets_reports_and_no_patch() {
    let dir = tempfile::tempdir().unwrap();
    let lines = realistic().lines();
    let record = dir.path().join("record.jsonl");
    write_record(&record, &lines[..5]);
    let mut cut = std::fs::read(&record).unwrap();
    cut.truncate(cut.len() - 20);
    std::fs::write(&record, cut).unwrap();
    let written = write_report(&record).unwrap();
    assert_eq!(written.view.steps.len(), 2, "the cut line did not happen");
    assert!(dir.path().join("report.html").is_file());
    assert!(!dir.path().join("patch.diff").exists());
}

#[test]
fn a_directory_without_a_record_is_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let error = write_report(dir.path()).unwrap_err();
    assert!(matches!(error, ReportError::NoRecord { .. }));
    assert!(error.to_string().contains("holds no record.jsonl"));
    assert_eq!(error.to_string().lines().count(), 1);
}

#[test]
#[ignore = "writes synthetic pages to look at into the directory EGSS_REPORT_OUT"]
fn pages_to_look_at() {
    let out = std::env::var_os("EGSS_REPORT_OUT").expect("EGSS_REPORT_OUT names a directory");
    let lines = realistic().lines();
    let records = [
        ("realistic", lines.clone()),
        ("cut", lines[..9].to_vec()),
        ("beam", beam().lines()),
        ("beam-cut", beam().lines()[..11].to_vec()),
        ("long", long(1_000).lines()),
    ];
    for (name, lines) in records {
        let dir = Path::new(&out).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let record = dir.join("record.jsonl");
        let _ = std::fs::remove_file(&record);
        write_record(&record, &lines);
        let written = write_report(&dir).unwrap();
        std::fs::write(dir.join("tree.txt"), text(&written.view)).unwrap();
    }
}
