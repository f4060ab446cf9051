//! `--unsafe-no-sandbox`: the same limits, without a wall around the command.
use super::sandbox::{gone_within, python, running, unique_nap};
use egss::workspace::{CommandEnd, Limits, Sandbox, SandboxMode, Stopped};
use std::path::Path;
use std::time::Duration;

const LIMITS: Limits = Limits {
    wall_s_max: 20,
    memory_bytes_max: 512 << 20,
    processes_max: 40,
    file_bytes_max: 1 << 20,
    output_bytes_max: 4_000,
};

fn sandbox() -> Sandbox {
    Sandbox::new(SandboxMode::UnsafeNone, &python()).unwrap()
}

#[test]
fn it_runs_in_the_directory_with_a_clean_environment() {
    let dir = tempfile::tempdir().unwrap();
    let output = sandbox()
        .shell(
            dir.path(),
            "pwd; python -c 'print(1 + 1)'; env; kill -9 $$",
            &LIMITS,
        )
        .unwrap();
    let begins = format!("{}\n2\n", dir.path().canonicalize().unwrap().display());
    assert!(output.text.starts_with(&begins), "{}", output.text);
    assert!(!output.text.contains("CARGO"), "{}", output.text);
    assert_eq!(output.end, CommandEnd::Signalled(9));
}

#[test]
fn background_children_are_gone_at_the_end_and_at_the_time_limit() {
    let nap = unique_nap();
    let command = format!("setsid sleep {nap} & sleep {nap} & echo begun");
    let output = sandbox().shell(Path::new("/"), &command, &LIMITS).unwrap();
    assert_eq!(
        (output.end, output.text.as_str()),
        (CommandEnd::Exited(0), "begun\n")
    );
    assert!(
        gone_within(&nap, Duration::from_secs(1)),
        "{:?}",
        running(&nap)
    );

    let limits = Limits {
        wall_s_max: 1,
        ..LIMITS
    };
    let output = sandbox()
        .shell(Path::new("/"), &format!("{command}; sleep {nap}"), &limits)
        .unwrap();
    assert_eq!(output.end, CommandEnd::TimedOut);
    assert!(
        gone_within(&nap, Duration::from_secs(1)),
        "{:?}",
        running(&nap)
    );
}

#[test]
fn processes_memory_and_files_are_limited_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let nap = unique_nap();
    let bomb = format!("for i in $(seq 1000); do sleep {nap} & done; wait");
    let output = sandbox().shell(dir.path(), &bomb, &LIMITS).unwrap();
    assert_eq!(output.stopped, Some(Stopped::Processes { max: 40 }));
    assert!(gone_within(&nap, Duration::from_secs(5)));
    let run = |code: &str| {
        sandbox()
            .run(dir.path(), &["python3", "-c", code], &LIMITS)
            .unwrap()
    };
    assert!(run("bytearray(600 << 20)").text.contains("MemoryError"));
    assert!(
        run("open('big', 'wb').write(b'x' * (2 << 20))")
            .text
            .contains("File too large")
    );
}
