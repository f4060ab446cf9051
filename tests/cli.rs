//! The program as a shell runs it: where its output goes, and numbers that mean nothing.
use assert_cmd::cargo::cargo_bin;
use std::fs::OpenOptions;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A checkpoint of random weights; 320 rows of logits, eight of them padding.
const TINY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/qwen2-tiny");

fn egss(args: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin("egss"));
    command.args(args).env_remove("RUST_BACKTRACE");
    command
}

/// `generate` on the tiny model, with options in front of the prompt.
fn generate(options: &[&str]) -> Command {
    let model = ["generate", "--model", TINY, "--raw", "--kv-mem", "64"];
    egss(&[&model[..], options, &["def add(a, b):"]].concat())
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Commands of every kind that print a result.
fn printing() -> Vec<Command> {
    vec![
        generate(&["--tokens", "40", "--temperature", "1"]),
        generate(&["--tokens", "10", "--branches", "3"]),
        generate(&["--tokens", "10", "--json"]),
        egss(&["models", "show", "qwen3-8b"]),
        egss(&["models", "show", "qwen3-8b", "--json"]),
        egss(&[
            "bench", "fork", "--model", TINY, "--kv-mem", "64", "--trunk", "64", "--rounds", "1",
        ]),
        egss(&["--help"]),
        egss(&["generate", "--help"]),
        egss(&["--version"]),
    ]
}

/// rumdl#184, fd#24.
#[test]
fn a_reader_who_goes_away_ends_a_command_quietly() {
    for mut command in printing() {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        // As `| head -c1`, for a text that is not printed in one piece.
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{command:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("egss:"),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn a_reader_who_never_read_ends_a_command_quietly() {
    for mut command in printing() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = command
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let said = stderr(&output);
        assert!(output.status.success(), "{command:?}: {said}");
        assert!(
            !said.contains("panicked") && !said.contains("egss:"),
            "{command:?}: {said}"
        );
    }
}

/// gitbutler#11088.
#[test]
fn a_full_disk_is_one_sentence_and_a_failure() {
    if !Path::new("/dev/full").exists() {
        return;
    }
    for mut command in printing() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command.stdout(full).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(!said.contains("panicked"), "{command:?}: {said}");
        let sentences = said.lines().filter(|line| line.starts_with("egss: "));
        let sentences: Vec<&str> = sentences.collect();
        assert_eq!(sentences.len(), 1, "{command:?}: {said}");
        assert!(
            sentences[0].starts_with("egss: the result cannot be written to standard output"),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn messages_that_nobody_reads_stop_nothing() {
    let succeeds = |stderr: Stdio| {
        let mut command = generate(&["--tokens", "10"]);
        let output = command.stderr(stderr).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty());
    };
    let unread = || {
        let (_, writer) = std::io::pipe().unwrap();
        writer
    };
    succeeds(unread().into());
    if let Ok(full) = OpenOptions::new().write(true).open("/dev/full") {
        succeeds(full.into());
    }
    // An error that cannot be told is one all the same.
    for (line, code) in [
        (&["models", "show", "no-such-model"][..], 1),
        (&["models", "show", "--no-such-option"], 2),
    ] {
        let output = egss(line).stderr(unread()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{line:?}");
    }
}

/// llama-cpp-python#372, #57, java-llama.cpp#3: random weights give bytes that are
/// characters only together with their neighbours, or not at all.
#[test]
fn a_streamed_text_is_the_text_of_all_its_tokens() {
    let text = |options: &[&str]| {
        let sampling = ["--tokens", "60", "--temperature", "1", "--seed", "5"];
        let output = generate(&[&sampling[..], options].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).expect("whole characters")
    };
    let whole: serde_json::Value = serde_json::from_str(&text(&["--json"])).unwrap();
    let whole = whole["text"].as_str().unwrap();
    assert!(whole.contains(char::REPLACEMENT_CHARACTER), "{whole:?}");
    assert_eq!(text(&[]), format!("{whole}\n"));
}

#[test]
fn a_text_that_a_limit_ended_says_so_beside_it() {
    let ended = |options: &[&str]| stderr(&generate(options).output().unwrap());
    let said = ended(&["--tokens", "3"]);
    assert!(
        said.contains("the text ends here: 3 tokens were asked for"),
        "{said}"
    );
    let said = ended(&["--ctx", "32", "--tokens", "500"]);
    assert!(
        said.contains("the context of 32 tokens is full; raise --ctx"),
        "{said}"
    );
    let said = ended(&["--tokens", "3", "--branches", "2"]);
    assert!(
        said.contains("the text of branch 1 ends there: 3 tokens"),
        "{said}"
    );
    let said = ended(&["--tokens", "3", "--json"]);
    assert!(!said.contains("the text"), "{said}");
}

/// llama-cpp-python#1537: a default is cut to what the model has, a wish is refused.
#[test]
fn a_default_context_is_the_models_and_one_that_is_too_large_is_refused() {
    let output = generate(&["--tokens", "3"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let output = generate(&["--tokens", "3", "--ctx", "4096"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("--ctx 4096 is past the 1024 tokens"),
        "{said}"
    );
    // `bench` measures trunks of up to 8,192 tokens by default.
    let line = [
        "bench", "fork", "--model", TINY, "--kv-mem", "64", "--rounds", "1",
    ];
    let output = egss(&line).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("[1024, 4096] are left out"), "{said}");
    let line = [&line[..], &["--trunk", "2000"]].concat();
    let said = stderr(&egss(&line).output().unwrap());
    assert!(
        said.contains("--trunk 2000 with --tokens 16 is past the 1024 tokens"),
        "{said}"
    );
}

/// Qwen3#885.
#[test]
fn more_threads_than_cores_are_not_started() {
    let output = generate(&["--tokens", "3", "--threads", "5000"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("--threads 5000: this process may use"),
        "{said}"
    );
    // The thread pool's own variable is another way to say so.
    let output = generate(&["--tokens", "3"])
        .env("RAYON_NUM_THREADS", "5000")
        .output()
        .unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("RAYON_NUM_THREADS=5000: this process may use"),
        "{said}"
    );
}

#[test]
fn a_seed_below_zero_is_refused_for_what_it_is() {
    let output = generate(&["--seed", "-1"]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("invalid value '-1' for '--seed <N>': a whole number"),
        "{said}"
    );
    assert!(!said.contains("-- -1"), "{said}");
}

/// aprender#662.
#[test]
fn colours_are_not_forced_on_anybody() {
    let coloured = |vars: &[(&str, &str)]| {
        let mut command = generate(&["--tokens", "20", "--temperature", "1"]);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM"] {
            command.env_remove(name);
        }
        let output = command.envs(vars.iter().copied()).output().unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(!coloured(&[]), "standard output is no terminal");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

/// A repository, an issue, and a folder for temporary files and runs.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = dir.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("repo/notes.py", "notes = []\n");
        write("issue.md", "Notes are missing.\n");
        std::fs::create_dir(dir.path().join("tmp")).unwrap();
        Self { dir }
    }

    fn path(&self, path: &str) -> String {
        self.dir.path().join(path).display().to_string()
    }

    /// `solve` with random weights, which goes on until it is stopped or its time is over.
    fn solve(&self, options: &[&str]) -> Command {
        let (repo, issue) = (self.path("repo"), self.path("issue.md"));
        let python = concat!(env!("CARGO_MANIFEST_DIR"), "/.venv/bin/python");
        let asked = [
            "solve", "--repo", &repo, "--issue", &issue, "--python", python,
        ];
        let mut command = egss(&[&asked[..], &["--kv-mem", "256"], options].concat());
        command
            .env("TMPDIR", self.path("tmp"))
            .env("EGSS_RUNS_DIR", self.path("runs"))
            .env("EGSS_INDEX_DIR", self.path("index"));
        command
    }
}

/// goose#3052, codex#4791: what a stopped run leaves.
#[test]
fn a_run_that_is_stopped_leaves_its_record_and_no_workspace() {
    let place = Place::new();
    let mut solve = place.solve(&["--model", "random:tiny", "--wall-s-max", "300"]);
    let mut child = solve
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let runs = Path::new(&place.path("runs")).to_owned();
    let run = || {
        std::fs::read_dir(&runs)
            .ok()?
            .flatten()
            .next()
            .map(|entry| entry.path())
    };
    let began = std::time::Instant::now();
    while !run().is_some_and(|run| run.join("record.jsonl").exists()) {
        assert!(began.elapsed().as_secs() < 240, "the run did not begin");
        assert!(
            child.try_wait().unwrap().is_none(),
            "{:?}",
            child.wait_with_output()
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let run = run().unwrap();
    let go_on = format!("stopped; go on by egss solve --resume {}", run.display());
    assert!(stderr(&output).contains(&go_on), "{}", stderr(&output));
    assert!(!run.join("work").exists());
    assert_eq!(std::fs::read_dir(place.path("tmp")).unwrap().count(), 0);

    let mut list = egss(&["runs", "--dir", &place.path("runs")]);
    let listed = String::from_utf8(list.output().unwrap().stdout).unwrap();
    assert!(
        listed.contains("not finished: Notes are missing."),
        "{listed}"
    );
    assert_eq!(listed.lines().count(), 1);
}

#[test]
fn what_can_be_known_before_the_model_is_opened_is_said_before() {
    let place = Place::new();
    let repo = place.path("repo");
    for (out, says) in [
        (repo.as_str(), "is the repository itself"),
        (
            "/dev/null/run",
            "cannot make the run's folder /dev/null/run",
        ),
    ] {
        let mut solve = place.solve(&["--model", "/no/such/model.gguf", "--out", out]);
        let output = solve.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(says), "{}", stderr(&output));
    }
}

/// OpenHands#8960, SWE-bench#280: tests that the time did not suffice for counted as failed.
#[test]
fn limits_of_tests_are_options_and_tests_that_did_not_run_are_said_everywhere() {
    let place = Place::new();
    let slow = |name: &str| {
        let file = place.dir.path().join(format!("repo/test_{name}.py"));
        std::fs::write(
            file,
            format!("import time\n\ndef test_{name}(): time.sleep(4)\n"),
        )
        .unwrap();
    };
    for name in ["a", "b", "c", "d", "e"] {
        slow(name);
    }
    let file = place.dir.path().join("repo/test_0.py");
    std::fs::write(file, "import time\n\ndef test_hangs(): time.sleep(60)\n").unwrap();
    let out = place.path("out");
    let limits = [
        "--test-s-max",
        "5",
        "--verify-s-max",
        "12",
        "--tokens-max",
        "60",
        "--action-tokens-max",
        "16",
    ];
    let asked = [
        &[
            "--model",
            "random:tiny",
            "--strategy",
            "single",
            "--out",
            &out,
        ],
        &limits[..],
    ];
    let output = place.solve(&asked.concat()).output().unwrap();
    let record = std::fs::read_to_string(Path::new(&out).join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&record).unwrap();
    let base = &report["tests"]["runs"][0];
    assert_eq!(base["counts"]["error"], 1, "{base}");
    let n_not_run = base["counts"]["not_run"].as_u64().unwrap();
    // How many of them ran is up to the machine: 7 s do not suffice for 20 s of tests.
    assert!((1..=5).contains(&n_not_run), "{base}");
    assert_eq!(base["not_run"].as_array().unwrap().len() as u64, n_not_run);
    assert_eq!(
        base["counts"]["passed"].as_u64().unwrap() + n_not_run,
        5,
        "{base}"
    );
    let says = format!("{n_not_run} not run");
    assert!(stderr(&output).contains(&says), "{}", stderr(&output));
    let markdown = std::fs::read_to_string(Path::new(&out).join("report.md")).unwrap();
    assert!(markdown.contains("| not run |"), "{markdown}");
}

/// The choice of a first location, under the grammar that holds a model to it.
#[test]
fn an_unsure_first_view_has_the_next_likeliest_locations_beside_it() {
    let place = Place::new();
    let shop = "def total(prices):\n    return sum(prices) + 1\n\n\ndef tax(price):\n    return price\n\n\nclass Cart:\n    def total(self):\n        return total([])\n";
    std::fs::write(place.dir.path().join("repo/shop.py"), shop).unwrap();
    std::fs::write(
        place.dir.path().join("issue.md"),
        "The `total` of a cart is 1 too high, its `tax` is not.\n",
    )
    .unwrap();
    let out = place.path("out");
    let options = [
        "--model",
        "random:tiny",
        "--profile",
        "standard",
        "--gate",
        "location:0",
        "--steps-max",
        "3",
        "--action-tokens-max",
        "100",
        "--tokens-max",
        "20000",
        "--branches-max",
        "2",
        "--out",
        &out,
    ];
    let output = place.solve(&options).output().unwrap();
    let record = std::fs::read_to_string(Path::new(&out).join("record.jsonl")).unwrap();
    let events = record
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let step = events
        .into_iter()
        .find(|event| event["event"] == "step_finished")
        .unwrap_or_else(|| panic!("no step was taken: {}", stderr(&output)));
    let candidates = step["candidates"].as_array().unwrap();
    let location = &candidates[0]["entropy"]["location"];
    let mut probs: Vec<(String, f64)> = serde_json::from_value(location["probs"].clone()).unwrap();
    assert_eq!(probs.len(), 4, "{location}");
    let seen = |candidate: &serde_json::Value| {
        let canonical = candidate["canonical"].as_str().unwrap();
        let call: serde_json::Value = serde_json::from_str(canonical).unwrap();
        assert_eq!(call["name"], "view", "{canonical}");
        let argument = |name: &str| call["arguments"][name].as_str().unwrap();
        format!("{}::{}", argument("path"), argument("symbol"))
    };
    let views: Vec<String> = candidates.iter().map(seen).collect();
    // Beside the first, the others in the order of their probabilities.
    probs.retain(|(name, _)| *name != views[0]);
    probs.sort_by(|a, b| b.1.total_cmp(&a.1));
    let next: Vec<&str> = probs.iter().map(|(name, _)| name.as_str()).collect();
    let n = views.len() - 1;
    assert!(n >= 1, "{step}");
    assert_eq!(views[1..], next[..n]);
}

#[test]
fn a_models_choice_of_locations_is_measured_and_nothing_is_decoded() {
    let place = Place::new();
    let task = serde_json::json!({
        "instance_id": "shop-1",
        "repo": "shop",
        "problem_statement": "The `total` of a cart is 1 too high.",
        "files": {
            "shop.py": "def total(prices):\n    return sum(prices) + 1\n\n\ndef tax(price):\n    return price\n",
            "test_shop.py": "from shop import total\n\ndef test_total():\n    assert total([1]) == 1\n",
        },
        "patch": "--- a/shop.py\n+++ b/shop.py\n@@ -1,2 +1,2 @@\n def total(prices):\n-    return sum(prices) + 1\n+    return sum(prices)\n",
        "test_patch": "",
        "FAIL_TO_PASS": ["test_shop.py::test_total"],
        "PASS_TO_PASS": [],
    });
    let tasks = place.path("tasks.jsonl");
    std::fs::write(&tasks, format!("{task}\n")).unwrap();
    let options = ["--model", "random:tiny", "--kv-mem", "256", "--ctx", "8192"];
    let asked = ["bench", "locate", "--tasks", &tasks, "--choices", "--json"];
    let output = egss(&[&asked[..], &options].concat()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<serde_json::Value> = lines.collect();
    let chosen = &lines[1]["chosen"];
    assert_eq!(chosen["n_locations"], 2, "{chosen}");
    // Of two locations in one file; the index puts `total` first.
    let nats = chosen["entropy_nats"].as_f64().unwrap();
    assert!((0.0..=2f64.ln() + 1e-6).contains(&nats), "{chosen}");
    assert_eq!(chosen["ranks"][0]["symbol"], 1);
    assert_eq!(chosen["ranks"][1]["file"], 1);
    let certainty = &lines[2]["certainty"];
    assert_eq!(
        (&certainty["n_right"], &certainty["n_wrong"]),
        (&1.into(), &0.into())
    );
}
