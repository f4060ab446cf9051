use egss::workspace::{
    CommandEnd, CommandOutput, Limits, Sandbox, SandboxMode, Stopped, find_python,
};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const LIMITS: Limits = Limits {
    wall_s_max: 20,
    memory_bytes_max: 512 << 20,
    processes_max: 40,
    file_bytes_max: 1 << 20,
    output_bytes_max: 4_000,
};

/// Where the tests' Python has pytest: `scripts/setup` makes it.
pub fn python() -> PathBuf {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR"));
    find_python(None, repo).unwrap_or_else(|error| panic!("{error}"))
}

pub fn sandbox() -> Sandbox {
    Sandbox::new(SandboxMode::Bubblewrap, &python())
        .unwrap_or_else(|error| panic!("run scripts/setup first: {error}"))
}

fn workspace() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn shell(dir: &Path, command: &str) -> CommandOutput {
    sandbox().shell(dir, command, &LIMITS).unwrap()
}

fn run_python(dir: &Path, code: &str) -> CommandOutput {
    sandbox()
        .run(dir, &["python3", "-c", code], &LIMITS)
        .unwrap()
}

/// Processes of this machine whose command line holds `text`.
pub fn running(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cmdline = String::from_utf8_lossy(&cmdline).replace('\0', " ");
        if cmdline.contains(text) && entry.file_name() != *std::process::id().to_string() {
            found.push(cmdline);
        }
    }
    found
}

/// A number of seconds to sleep by which a test knows its own processes.
pub fn unique_nap() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NAPS: AtomicU32 = AtomicU32::new(0);
    let n = NAPS.fetch_add(1, Ordering::Relaxed);
    format!("1{:07}{n:02}", std::process::id())
}

pub fn gone_within(text: &str, time: Duration) -> bool {
    let started = Instant::now();
    while started.elapsed() < time {
        if running(text).is_empty() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn output_comes_in_one_stream_with_the_exit_code() {
    let dir = workspace();
    let output = shell(dir.path(), "echo out; echo err >&2; echo more; exit 3");
    assert_eq!(output.end, CommandEnd::Exited(3));
    assert_eq!(output.text, "out\nerr\nmore\n");
    assert_eq!(output.stopped, None);
}

#[test]
fn a_signal_and_a_missing_program_are_told() {
    let dir = workspace();
    assert_eq!(
        shell(dir.path(), "kill -SEGV $$").end,
        CommandEnd::Signalled(11)
    );
    let missing = sandbox()
        .run(dir.path(), &["no-such-program"], &LIMITS)
        .unwrap();
    assert_eq!(missing.end, CommandEnd::Exited(127));
    assert!(missing.text.contains("no-such-program"), "{}", missing.text);
}

#[test]
fn standard_input_is_empty_and_arguments_arrive_as_they_are() {
    let dir = workspace();
    let argv = [
        "python3",
        "-c",
        "import sys; print(sys.stdin.read(), sys.argv[1:])",
        "a b",
        "$HOME",
        "",
        "*",
    ];
    let output = sandbox().run(dir.path(), &argv, &LIMITS).unwrap();
    assert_eq!(output.text, " ['a b', '$HOME', '', '*']\n");
}

#[test]
fn the_home_folder_and_what_lies_beside_the_workspace_cannot_be_read() {
    let parent = workspace();
    let dir = parent.path().join("ws");
    fs::create_dir(&dir).unwrap();
    fs::write(parent.path().join("secret"), "secret words").unwrap();
    let home = tempfile::Builder::new()
        .tempfile_in(std::env::var("HOME").unwrap())
        .unwrap();
    fs::write(home.path(), "secret words").unwrap();
    for path in [
        home.path(),
        &parent.path().join("secret"),
        Path::new("/etc/shadow"),
        Path::new("/proc/1/root/etc/shadow"),
    ] {
        let output = shell(&dir, &format!("cat '{}'", path.display()));
        assert_ne!(
            output.end,
            CommandEnd::Exited(0),
            "{}: {}",
            path.display(),
            output.text
        );
        assert!(!output.text.contains("secret words"));
    }
    let listed = shell(&dir, &format!("ls -A '{}'", std::env::var("HOME").unwrap()));
    assert!(
        !listed
            .text
            .contains(&*home.path().file_name().unwrap().to_string_lossy())
    );
}

#[test]
fn the_environment_of_the_user_does_not_come_in() {
    let dir = workspace();
    let output = shell(dir.path(), "env");
    assert!(output.text.contains("HOME=/tmp\n"), "{}", output.text);
    assert!(!output.text.contains("CARGO"), "{}", output.text);
}

#[test]
fn nothing_is_written_but_the_workspace_and_a_private_tmp() {
    let dir = workspace();
    let home = std::env::var("HOME").unwrap();
    for place in ["/", "/usr", "/etc", "/dev", "/run", &home] {
        let output = shell(dir.path(), &format!("touch '{place}/egss-was-here'"));
        assert_ne!(output.end, CommandEnd::Exited(0), "{place} is writable");
    }
    let output = shell(
        dir.path(),
        "mount -o remount,rw / || mount -o remount,rw /usr; touch /usr/egss-was-here",
    );
    assert_ne!(output.end, CommandEnd::Exited(0), "{}", output.text);

    let name = unique_nap();
    let output = shell(
        dir.path(),
        &format!("touch here /tmp/{name} && ls /tmp/{name}"),
    );
    assert_eq!(output.end, CommandEnd::Exited(0), "{}", output.text);
    assert!(dir.path().join("here").exists());
    assert!(!Path::new("/tmp").join(&name).exists());
    assert_ne!(
        shell(dir.path(), &format!("ls /tmp/{name}")).end,
        CommandEnd::Exited(0)
    );
}

#[test]
fn there_is_no_network_but_a_loopback_of_its_own() {
    let dir = workspace();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("import socket; socket.create_connection(('127.0.0.1', {port}), 2)");
    let output = run_python(dir.path(), &connect);
    assert_eq!(output.end, CommandEnd::Exited(1));
    assert!(output.text.contains("refused"), "{}", output.text);
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "something connected");

    let output = run_python(
        dir.path(),
        "import socket; socket.getaddrinfo('example.org', 80)",
    );
    assert!(output.text.contains("gaierror"), "{}", output.text);
    let output = run_python(
        dir.path(),
        "import socket; socket.create_connection(('192.0.2.1', 80), 2)",
    );
    assert!(output.text.contains("unreachable"), "{}", output.text);

    let own = "import socket; s = socket.create_server(('localhost', 0)); socket.create_connection(('localhost', s.getsockname()[1])); print('own')";
    assert_eq!(run_python(dir.path(), own).text, "own\n");
}

#[test]
fn a_hanging_command_is_stopped_with_its_background_children() {
    let dir = workspace();
    let nap = unique_nap();
    let limits = Limits {
        wall_s_max: 1,
        ..LIMITS
    };
    let command =
        format!("echo begun; setsid sleep {nap} & (trap '' TERM HUP; sleep {nap}) & sleep {nap}");
    let output = sandbox().shell(dir.path(), &command, &limits).unwrap();
    assert_eq!(output.end, CommandEnd::TimedOut);
    assert_eq!(output.stopped, Some(Stopped::WallTime { s_max: 1 }));
    assert_eq!(output.text, "begun\n");
    assert!(
        (1_000..3_000).contains(&output.wall_ms),
        "{} ms",
        output.wall_ms
    );
    assert_eq!(running(&nap), [] as [String; 0]);
}

#[test]
fn a_command_that_ends_leaves_no_background_children() {
    let dir = workspace();
    let nap = unique_nap();
    let output = shell(
        dir.path(),
        &format!("setsid sleep {nap} & sleep {nap} & sleep 0.1; echo done"),
    );
    assert_eq!(
        (output.end, output.text.as_str()),
        (CommandEnd::Exited(0), "done\n")
    );
    assert!(output.wall_ms < 3_000, "{} ms", output.wall_ms);
    assert_eq!(running(&nap), [] as [String; 0]);
}

#[test]
fn a_thousand_processes_are_stopped_and_none_is_left() {
    let dir = workspace();
    let nap = unique_nap();
    let bomb = format!("for i in $(seq 1000); do sleep {nap} & done; wait");
    let output = sandbox().shell(dir.path(), &bomb, &LIMITS).unwrap();
    assert_eq!(output.stopped, Some(Stopped::Processes { max: 40 }));
    assert_eq!(output.end, CommandEnd::Signalled(9));
    assert!(
        output
            .text
            .ends_with("[stopped: it had more than 40 processes]\n"),
        "{}",
        output.text
    );
    assert_eq!(running(&nap), [] as [String; 0]);
}

#[test]
fn a_bomb_that_doubles_is_stopped_and_none_is_left() {
    let dir = workspace();
    let name = format!("bomb{}", unique_nap());
    // Ten generations: a broken watcher must not take the machine down.
    let script = format!(
        "[ $1 -lt 10 ] || exec sleep 15\n\
         sh ./{name} $(($1 + 1)) & sh ./{name} $(($1 + 1)) & wait\n"
    );
    fs::write(dir.path().join(&name), script).unwrap();
    let output = sandbox()
        .run(dir.path(), &["sh", &name, "0"], &LIMITS)
        .unwrap();
    assert_eq!(output.stopped, Some(Stopped::Processes { max: 40 }));
    assert_eq!(running(&name), [] as [String; 0]);
}

#[test]
fn processes_within_the_limit_are_left_alone() {
    let dir = workspace();
    let output = shell(
        dir.path(),
        "for i in $(seq 30); do sleep 0.3 & done; wait; echo all",
    );
    assert_eq!(
        (output.end, output.text.as_str()),
        (CommandEnd::Exited(0), "all\n")
    );
}

#[test]
fn memory_is_limited_for_one_process_and_for_all_together() {
    let dir = workspace();
    let output = run_python(dir.path(), "x = bytearray(600 << 20)");
    assert!(output.text.contains("MemoryError"), "{}", output.text);
    let each = "import time; x = bytearray(b'x') * (300 << 20); time.sleep(15)";
    let output = shell(
        dir.path(),
        &format!("python3 -c \"{each}\" & python3 -c \"{each}\" & wait"),
    );
    assert_eq!(
        output.stopped,
        Some(Stopped::Memory {
            bytes_max: 512 << 20
        }),
        "{}",
        output.text
    );
}

#[test]
fn endless_output_is_cut_and_does_not_fill_the_memory() {
    let dir = workspace();
    let limits = Limits {
        wall_s_max: 2,
        ..LIMITS
    };
    let output = sandbox()
        .shell(dir.path(), "echo first; yes", &limits)
        .unwrap();
    assert_eq!(output.end, CommandEnd::TimedOut);
    assert!(output.text.starts_with("first\n"));
    assert!(
        output.text.contains(" bytes left out] ...\n"),
        "{}",
        output.text
    );
    assert!(output.text.len() < LIMITS.output_bytes_max + 100);
    assert!(resident_bytes() < 200 << 20);
}

fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix("RssAnon:"))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn a_file_cannot_grow_beyond_its_limit() {
    let dir = workspace();
    let output = run_python(dir.path(), "open('big', 'wb').write(b'x' * (2 << 20))");
    assert!(output.text.contains("File too large"), "{}", output.text);
    assert!(fs::metadata(dir.path().join("big")).unwrap().len() <= 1 << 20);
    assert_eq!(
        shell(dir.path(), "exec head -c 2000000 /dev/zero > big2").end,
        CommandEnd::Signalled(25)
    );
}

#[test]
fn the_interpreter_runs_with_its_packages_under_every_name() {
    let dir = workspace();
    fs::write(
        dir.path().join("test_it.py"),
        "def test_it():\n    assert 1 + 1 == 2\n",
    )
    .unwrap();
    for name in ["python", "python3", sandbox().python().to_str().unwrap()] {
        let argv = [name, "-m", "pytest", "-q", "-p", "no:cacheprovider"];
        let output = sandbox().run(dir.path(), &argv, &LIMITS).unwrap();
        assert_eq!(
            output.end,
            CommandEnd::Exited(0),
            "run scripts/setup: {}",
            output.text
        );
        assert!(output.text.contains("1 passed"), "{}", output.text);
    }
    let told = run_python(dir.path(), "import sys; print(sys.executable)");
    assert_eq!(told.text.trim(), sandbox().python().to_str().unwrap());
    let left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(left, ["test_it.py"]);
}

#[test]
fn a_virtual_environment_in_the_home_folder_works_and_cannot_be_changed() {
    let home = std::env::var("HOME").unwrap();
    let holder = tempfile::Builder::new()
        .prefix(".egss-test-")
        .tempdir_in(home)
        .unwrap();
    let made = Command::new(python())
        .args(["-m", "venv", "--without-pip"])
        .arg(holder.path().join("env"))
        .status();
    assert!(made.unwrap().success());
    let site = glob_site(&holder.path().join("env/lib"));
    fs::write(site.join("only_here.py"), "WORD = 'found'").unwrap();
    let found = find_python(Some(&holder.path().join("env")), Path::new("/")).unwrap();
    let sandbox = Sandbox::new(SandboxMode::Bubblewrap, &found).unwrap();
    let dir = workspace();
    let argv = [
        "python",
        "-c",
        "import only_here, sys; print(only_here.WORD, sys.prefix)",
    ];
    let output = sandbox.run(dir.path(), &argv, &LIMITS).unwrap();
    let prefix = holder.path().join("env").canonicalize().unwrap();
    assert_eq!(output.text, format!("found {}\n", prefix.display()));
    let new = site.join("new.py");
    let argv = ["touch", new.to_str().unwrap()];
    assert_ne!(
        sandbox.run(dir.path(), &argv, &LIMITS).unwrap().end,
        CommandEnd::Exited(0)
    );
}

fn glob_site(lib: &Path) -> PathBuf {
    let version = fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    version.join("site-packages")
}

#[test]
fn a_workspace_stands_in_the_repositorys_place() {
    // As if installed in editable mode: the environment, inside the
    // repository, points at the repository's own path.
    let repo = workspace();
    let repo_path = repo.path().canonicalize().unwrap();
    fs::create_dir(repo_path.join("src")).unwrap();
    fs::write(repo_path.join("src/mine.py"), "WORD = 'original'").unwrap();
    let env = repo_path.join(".venv");
    let made = Command::new(python())
        .args(["-m", "venv", "--without-pip"])
        .arg(&env)
        .status();
    assert!(made.unwrap().success());
    fs::write(
        glob_site(&env.join("lib")).join("mine.pth"),
        format!("{}/src", repo_path.display()),
    )
    .unwrap();

    let dir = workspace();
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("src/mine.py"), "WORD = 'patched'").unwrap();
    let found = find_python(Some(&env), &repo_path).unwrap();
    let sandbox = Sandbox::new(SandboxMode::Bubblewrap, &found)
        .unwrap()
        .seen_at(&repo_path);
    let argv = [
        "python3",
        "-c",
        "import mine, os; print(mine.WORD, os.getcwd())",
    ];
    let output = sandbox.run(dir.path(), &argv, &LIMITS).unwrap();
    assert_eq!(output.text, format!("patched {}\n", repo_path.display()));
}

#[test]
fn the_path_inside_is_the_same_for_every_workspace() {
    let (one, two) = (workspace(), workspace());
    let traceback = |dir: &TempDir| {
        fs::write(
            dir.path().join("fails.py"),
            "import os\nprint(os.getcwd(), __file__)\nraise ValueError\n",
        )
        .unwrap();
        sandbox()
            .run(dir.path(), &["python3", "fails.py"], &LIMITS)
            .unwrap()
            .text
    };
    assert_eq!(traceback(&one), traceback(&two));
    let absolute = one.path().join("fails.py");
    let output = sandbox()
        .run(one.path(), &["cat", absolute.to_str().unwrap()], &LIMITS)
        .unwrap();
    assert_eq!(
        output.end,
        CommandEnd::Exited(0),
        "its own path works too: {}",
        output.text
    );
}

#[test]
fn a_workspace_that_is_not_there_is_an_error() {
    let error = sandbox()
        .run(Path::new("/nonexistent/ws"), &["true"], &LIMITS)
        .unwrap_err();
    assert!(
        error.to_string().contains("/nonexistent/ws does not exist"),
        "{error}"
    );
}

#[test]
fn a_workspace_that_holds_the_home_folder_is_refused() {
    let home = std::env::var("HOME").unwrap();
    for dir in [Path::new("/"), Path::new(&home)] {
        let error = sandbox().run(dir, &["true"], &LIMITS).unwrap_err();
        assert!(
            error.to_string().contains("holds the home folder"),
            "{error}"
        );
    }
}

/// Run by the test below where no further user namespace can be made.
#[test]
#[ignore = "a helper process"]
fn helper_prints_why_there_is_no_sandbox() {
    let refused = Sandbox::new(SandboxMode::Bubblewrap, &python()).unwrap_err();
    println!("[{refused}]");
}

#[test]
fn refused_user_namespaces_are_told_from_a_missing_bubblewrap() {
    let output = Command::new("bwrap")
        .args([
            "--unshare-user",
            "--disable-userns",
            "--cap-drop",
            "ALL",
            "--dev-bind",
            "/",
            "/",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "sandbox::helper_prints_why_there_is_no_sandbox"])
        .args(["--ignored", "--nocapture"])
        .output()
        .expect("run scripts/setup first: bwrap is not installed");
    let said = String::from_utf8_lossy(&output.stdout);
    for part in [
        "[bubblewrap is installed but",
        "refuses user namespaces",
        "--unsafe-no-sandbox",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

/// Run by the test below in a process of its own, which is killed meanwhile.
#[test]
#[ignore = "a helper process"]
fn helper_hangs_in_the_sandbox() {
    let nap = std::env::var("EGSS_TEST_NAP").unwrap();
    shell(workspace().path(), &format!("sleep {nap} & sleep {nap}"));
}

#[test]
fn when_the_program_is_killed_its_commands_die_with_it() {
    let nap = unique_nap();
    let mut program = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "sandbox::helper_hangs_in_the_sandbox",
            "--ignored",
        ])
        .env("EGSS_TEST_NAP", &nap)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let sleep = format!("sleep {nap} ");
    let started = Instant::now();
    while !running(&sleep).contains(&sleep) {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "the helper did not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(
        gone_within(&nap, Duration::from_secs(5)),
        "{:?}",
        running(&nap)
    );
}
