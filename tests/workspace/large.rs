//! Data that is too large to be copied for each branch (cline#4386, cline#1582).
use egss::workspace::{CommandEnd, Limits, Sandbox, SandboxMode, Shadow, find_python};
use std::fs;
use std::path::Path;
use std::process::Command;

const LARGE_BYTES: u64 = 65 << 20;

fn git(dir: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    let output = Command::new("git")
        .args(identity)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A file of so many bytes, which takes no room on a disk that knows holes.
fn put_large(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path)
        .unwrap()
        .set_len(LARGE_BYTES)
        .unwrap();
}

#[test]
fn large_ignored_data_is_seen_in_its_place_and_copied_nowhere() {
    let temp = tempfile::tempdir().unwrap();
    let temp = temp.path().canonicalize().unwrap();
    let repo = temp.join("repo");
    put_large(&repo.join("data/set.bin"));
    put_large(&repo.join("kept.bin"));
    put_large(&repo.join("tracked/forced.bin"));
    fs::write(repo.join("data/notes.txt"), "small\n").unwrap();
    fs::write(repo.join("a.py"), "x = 1\n").unwrap();
    fs::write(repo.join(".gitignore"), "data/\ntracked/\n").unwrap();
    let outside = Shadow::open(&temp.join("outside.git")).unwrap();
    assert!(
        outside
            .snapshot_repository(&repo)
            .unwrap()
            .large_data
            .is_empty()
    );
    git(&repo, &["init", "-q"]);
    git(&repo, &["add", "-f", "a.py", "tracked/forced.bin"]);
    git(&repo, &["commit", "-q", "-m", "a"]);

    let shadow = Shadow::open(&temp.join("shadow.git")).unwrap();
    let found = shadow.snapshot_repository(&repo).unwrap();
    let named: Vec<(&str, u64)> = found
        .large_data
        .iter()
        .map(|d| (d.path.as_str(), d.bytes))
        .collect();
    assert_eq!(named, [("data/set.bin", LARGE_BYTES)]);
    let shadow = shadow.beside(&found.large_data);
    let files = [
        ".gitignore",
        "a.py",
        "data/notes.txt",
        "kept.bin",
        "tracked/forced.bin",
    ];
    assert_eq!(shadow.files(&found.tree).unwrap(), files);

    let copy = temp.join("copy");
    shadow.restore(&found.tree, &copy).unwrap();
    let sandbox =
        Sandbox::new(SandboxMode::Bubblewrap, &find_python(None, &repo).unwrap()).unwrap();
    let sandbox = sandbox.seen_at(&repo).with_data(&repo, &found.large_data);
    // It is read; beside it there is room for what tests write; it stays as it is.
    let script = "set -e; wc -c < data/set.bin; echo more > data/more.txt; echo changed > data/notes.txt; echo x > data/set.bin";
    let output = sandbox.shell(&copy, script, &Limits::default()).unwrap();
    assert!(
        output.text.starts_with(&format!("{LARGE_BYTES}\n")),
        "{}",
        output.text
    );
    assert!(output.text.contains("Read-only"), "{}", output.text);
    assert_ne!(output.end, CommandEnd::Exited(0));
    assert_eq!(
        fs::metadata(repo.join("data/set.bin")).unwrap().len(),
        LARGE_BYTES
    );
    assert_eq!(
        fs::read_to_string(repo.join("data/notes.txt")).unwrap(),
        "small\n"
    );
    let after = shadow.snapshot(&copy).unwrap();
    let mut with_more = files.to_vec();
    with_more.insert(2, "data/more.txt");
    assert_eq!(shadow.files(&after).unwrap(), with_more);
    // Going back takes what was written, and leaves the data alone.
    shadow.restore(&found.tree, &copy).unwrap();
    assert!(!copy.join("data/more.txt").exists());
    let output = sandbox
        .shell(&copy, "wc -c < data/set.bin", &Limits::default())
        .unwrap();
    assert_eq!(output.text.trim(), LARGE_BYTES.to_string());
}
