//! Workspaces as layers over one copy of the base: they hold and record the same as copies.
use egss::record::LargeData;
use egss::workspace::{
    Limits, Sandbox, SandboxMode, Shadow, enter_namespace, find_python, remove_workspaces,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Set where a test runs in a namespace that lets it mount.
const AGAIN: &str = "EGSS_TEST_IN_NAMESPACE";

/// Runs the test `name` in a namespace of its own. True in there; a kernel that gives none is
/// said, and nothing is tested.
fn is_inside(name: &str) -> bool {
    if std::env::var_os(AGAIN).is_some() {
        enter_namespace().expect("inside there is a right to mount");
        return true;
    }
    let unshare = |argv: &[&str]| {
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user", "--mount"])
            .args(argv);
        command
    };
    if !unshare(&["true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("this kernel gives no namespaces: layers are not tested");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let output = unshare(&[program.to_str().unwrap(), "--exact", name])
        .env(AGAIN, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
    false
}

fn write(dir: &Path, path: &str, text: &str) {
    let file = dir.join(path);
    if let Some(folder) = file.parent() {
        // Something may stand in the folder's place.
        for above in folder
            .ancestors()
            .take_while(|above| above.starts_with(dir))
        {
            if above.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) {
                fs::remove_file(above).unwrap();
            }
        }
        fs::create_dir_all(folder).unwrap();
    }
    remove(dir, path);
    fs::write(file, text).unwrap();
}

fn remove(dir: &Path, path: &str) {
    let place = dir.join(path);
    match place.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(place).unwrap(),
        Ok(_) => fs::remove_file(place).unwrap(),
        Err(_) => {}
    }
}

const BASE: [&str; 7] = ["a", "b/c", "b/d/e", "b/d/f", "g/h/i/j", "g/k", "l/m"];

/// Places of the base, folders of it, and new ones.
const PLACES: [&str; 14] = [
    "a",
    "b",
    "b/c",
    "b/d",
    "b/d/e",
    "g",
    "g/h",
    "g/h/i/j",
    "l/m",
    "new",
    "b/new",
    "g/h/new/n",
    "a/in",
    "x/__pycache__/y",
];

#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize, u8),
    Remove(usize),
    Link(usize),
    Folder(usize),
    Executable(usize),
}

fn act(dir: &Path, act: Act) {
    match act {
        Act::Write(at, n) => write(dir, PLACES[at], &format!("{n}\n")),
        Act::Remove(at) => remove(dir, PLACES[at]),
        Act::Link(at) => {
            write(dir, PLACES[at], "");
            remove(dir, PLACES[at]);
            std::os::unix::fs::symlink("nowhere", dir.join(PLACES[at])).unwrap();
        }
        Act::Folder(at) => {
            write(dir, PLACES[at], "");
            remove(dir, PLACES[at]);
            fs::create_dir(dir.join(PLACES[at])).unwrap();
        }
        Act::Executable(at) => {
            use std::os::unix::fs::PermissionsExt;
            let place = dir.join(PLACES[at]);
            if place.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                fs::set_permissions(place, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
    }
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let at = 0..PLACES.len();
    let one = prop_oneof![
        (at.clone(), 0..3u8).prop_map(|(at, n)| Act::Write(at, n)),
        at.clone().prop_map(Act::Remove),
        at.clone().prop_map(Act::Link),
        at.clone().prop_map(Act::Folder),
        at.prop_map(Act::Executable),
    ];
    prop::collection::vec(one, 0..8)
}

#[test]
fn a_layered_workspace_has_the_tree_that_a_copy_has() {
    if !is_inside("layers::a_layered_workspace_has_the_tree_that_a_copy_has") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let (repo, work) = (temp.path().join("repo"), temp.path().join("work"));
    for path in BASE {
        write(&repo, path, "base\n");
    }
    fs::create_dir(&work).unwrap();
    let plain = Shadow::open(&temp.path().join("shadow")).unwrap();
    let base = plain.snapshot(&repo).unwrap();
    let (layered, _) = Shadow::open(&temp.path().join("shadow"))
        .unwrap()
        .in_layers(&base, &work, &repo, &[]);
    let (dir, other) = (work.join("branch-1"), work.join("branch-2"));
    layered.restore(&base, &dir).unwrap();
    if !work.join("layers/of-branch-1/upper").is_dir() {
        eprintln!("this file system takes no overlays: layers are not tested");
        return;
    }
    assert_eq!(layered.snapshot(&dir).unwrap(), base);
    let mut runner = TestRunner::new(Config::with_cases(64));
    runner
        .run(&acts(), |acts| {
            layered.restore(&base, &dir).unwrap();
            for one in &acts {
                act(&dir, *one);
            }
            let tree = layered.snapshot(&dir).unwrap();
            prop_assert_eq!(&tree, &plain.snapshot(&dir).unwrap());
            // The tree makes the same workspace again, elsewhere and in its own place.
            for place in [&other, &dir] {
                layered.restore(&tree, place).unwrap();
                prop_assert_eq!(&plain.snapshot(place).unwrap(), &tree);
                prop_assert_eq!(&layered.snapshot(place).unwrap(), &tree);
            }
            Ok(())
        })
        .unwrap();
    // The user's files, and the copy of the base, are as they were.
    assert_eq!(plain.snapshot(&repo).unwrap(), base);
    assert_eq!(plain.snapshot(&work.join("layers/base")).unwrap(), base);
    layered.discard(&other);
    assert!(!other.exists() && !work.join("layers/of-branch-2").exists());
    remove_workspaces(&work).unwrap();
    assert!(!work.exists());
}

/// cline#4386: large data was copied for each workspace.
#[test]
fn large_data_in_layers_is_written_to_by_each_workspace_alone() {
    if !is_inside("layers::large_data_in_layers_is_written_to_by_each_workspace_alone") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let temp = temp.path().canonicalize().unwrap();
    let (repo, work) = (temp.join("repo"), temp.join("work"));
    write(&repo, "a.py", "x = 1\n");
    write(&repo, "data/set.bin", "as it was\n");
    fs::create_dir(&work).unwrap();
    let data = [LargeData {
        path: "data/set.bin".into(),
        bytes: 10,
    }];
    let shadow = Shadow::open(&temp.join("shadow")).unwrap().beside(&data);
    let base = shadow.snapshot(&repo).unwrap();
    assert_eq!(shadow.files(&base).unwrap(), ["a.py"]);
    let (shadow, left) = shadow.in_layers(&base, &work, &repo, &data);
    if !left.is_empty() {
        eprintln!("this file system takes no overlays: layers are not tested");
        return;
    }
    let (one, two) = (work.join("one"), work.join("two"));
    for dir in [&one, &two] {
        shadow.restore(&base, dir).unwrap();
    }
    let sandbox =
        Sandbox::new(SandboxMode::Bubblewrap, &find_python(None, &repo).unwrap()).unwrap();
    let sandbox = sandbox.seen_at(&repo);
    let run =
        |dir: &Path, script: &str| sandbox.shell(dir, script, &Limits::default()).unwrap().text;
    assert_eq!(
        run(
            &one,
            "cat data/set.bin; echo more >> data/set.bin; echo new > data/new; rm a.py"
        ),
        "as it was\n"
    );
    assert_eq!(
        run(&one, "cat data/set.bin data/new"),
        "as it was\nmore\nnew\n"
    );
    assert_eq!(run(&two, "cat data/set.bin; ls"), "as it was\na.py\ndata\n");
    assert_eq!(
        fs::read_to_string(repo.join("data/set.bin")).unwrap(),
        "as it was\n"
    );
    let after = shadow.snapshot(&one).unwrap();
    assert_eq!(shadow.files(&after).unwrap(), ["data/new"]);
}
