use egss::workspace::{Shadow, TreeId, WorkspaceError, repository_prefix};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory with a source folder, and a shadow beside it.
struct Bench {
    temp: TempDir,
    shadow: Shadow,
}

impl Bench {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(&temp.path().join("shadow")).unwrap();
        fs::create_dir(temp.path().join("src")).unwrap();
        Self { temp, shadow }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn src(&self) -> PathBuf {
        self.dir("src")
    }

    fn snapshot(&self) -> TreeId {
        self.shadow.snapshot(&self.src()).unwrap()
    }

    fn fork(&self, tree: &TreeId, name: &str) -> PathBuf {
        self.shadow.restore(tree, &self.dir(name)).unwrap();
        self.dir(name)
    }
}

pub fn put(dir: &Path, path: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// Every path below `dir` with its kind, permissions and content.
fn content(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    listing(dir, &|path, meta| {
        let bytes = if meta.is_symlink() {
            fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec()
        } else if meta.is_file() {
            fs::read(path).unwrap()
        } else {
            Vec::new()
        };
        (meta.mode(), bytes)
    })
}

/// Every path below `dir`, `.git` included, with all that a write would change.
fn traces(dir: &Path) -> BTreeMap<PathBuf, (u64, u32, u64, i64, i64, i64)> {
    listing(dir, &|_, m| {
        (
            m.ino(),
            m.mode(),
            m.size(),
            m.mtime_nsec(),
            m.mtime(),
            m.ctime_nsec(),
        )
    })
}

fn listing<T>(dir: &Path, of: &dyn Fn(&Path, &fs::Metadata) -> T) -> BTreeMap<PathBuf, T> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        let meta = next.symlink_metadata().unwrap();
        if meta.is_dir() {
            todo.extend(fs::read_dir(&next).unwrap().map(|e| e.unwrap().path()));
        }
        let relative = next.strip_prefix(dir).unwrap().to_owned();
        if relative != Path::new("") {
            found.insert(relative, of(&next, &meta));
        }
    }
    found
}

/// A repository with committed, changed, untracked and ignored files, user
/// settings that would convert them, a hook, and a repository inside.
fn dirty_repository(dir: &Path) {
    git(dir, &["init", "-q"]);
    put(dir, ".gitignore", "ignored*\n");
    put(
        dir,
        ".gitattributes",
        "* text=auto eol=crlf ident filter=shout\n*.py -diff\n*.u16 working-tree-encoding=UTF-16\n",
    );
    put(dir, "tracked.py", "one\n");
    put(dir, "removed.py", "gone\n");
    git(dir, &["add", "tracked.py", "removed.py", ".gitignore"]);
    git(dir, &["commit", "-q", "-m", "base"]);
    git(dir, &["config", "core.autocrlf", "true"]);
    git(dir, &["config", "filter.shout.clean", "tr a-z A-Z"]);
    git(dir, &["config", "filter.shout.required", "true"]);
    put(
        dir,
        ".git/hooks/post-index-change",
        "#!/bin/sh\ntouch hook-ran\n",
    );
    fs::set_permissions(
        dir.join(".git/hooks/post-index-change"),
        fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    put(dir, "tracked.py", "one\ntwo\n");
    fs::remove_file(dir.join("removed.py")).unwrap();
    put(dir, "untracked.txt", "lf\n$Id$\n");
    put(dir, "ignored.log", "kept too\n");
    put(dir, "crlf.txt", "a\r\nb\r\n");
    put(dir, "text.u16", [0xff, 0xfe, b'a', 0, b'\n', 0]);
    put(
        dir,
        "binary.bin",
        (0..=255u8).cycle().take(5_000).collect::<Vec<_>>(),
    );
    put(dir, "run.sh", "#!/bin/sh\n");
    fs::set_permissions(dir.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    put(dir, "with space/ünï\ncode\t\"q\" \\ [x]*.txt", "odd\n");
    symlink("tracked.py", dir.join("link")).unwrap();
    symlink("/nonexistent/target", dir.join("dangling")).unwrap();
    symlink("with space", dir.join("link to dir")).unwrap();
    put(dir, "vendored/inner.py", "inside\n");
    git(&dir.join("vendored"), &["init", "-q"]);
    git(&dir.join("vendored"), &["add", "."]);
    git(&dir.join("vendored"), &["commit", "-q", "-m", "inner"]);
    put(dir, "vendored/loose.py", "loose\n");
    put(dir, "empty-inner/file", "no commit yet\n");
    git(&dir.join("empty-inner"), &["init", "-q"]);
}

/// What a fork of `dir` must hold: all but `.git`.
fn expected(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut all = content(dir);
    all.retain(|path, _| !path.components().any(|c| c.as_os_str() == ".git"));
    all
}

#[test]
fn a_fork_holds_every_file_of_a_dirty_repository_byte_for_byte() {
    let bench = Bench::new();
    dirty_repository(&bench.src());
    let fork = bench.fork(&bench.snapshot(), "fork");
    assert_eq!(content(&fork), expected(&bench.src()));
    assert_eq!(
        fs::read(fork.join("vendored/loose.py")).unwrap(),
        b"loose\n"
    );
    assert_eq!(
        fs::read(fork.join("empty-inner/file")).unwrap(),
        b"no commit yet\n"
    );
}

#[test]
fn the_users_checkout_is_not_touched_in_any_way() {
    let bench = Bench::new();
    dirty_repository(&bench.src());
    let before = traces(&bench.src());
    let base = bench.snapshot();
    let fork = bench.fork(&base, "fork");
    put(&fork, "tracked.py", "changed\n");
    let after = bench.shadow.snapshot(&fork).unwrap();
    assert!(!bench.shadow.diff(&base, &after, &[]).unwrap().is_empty());
    assert_eq!(bench.snapshot(), base);
    assert_eq!(traces(&bench.src()), before);
}

#[test]
fn a_plain_folder_and_a_folder_of_a_repository_are_taken_alike() {
    let bench = Bench::new();
    put(&bench.src(), "pkg/core/a.py", "a\n");
    let plain = bench.shadow.snapshot(&bench.src().join("pkg")).unwrap();
    assert_eq!(repository_prefix(&bench.src().join("pkg")).unwrap(), "");
    git(&bench.src(), &["init", "-q"]);
    assert_eq!(
        bench.shadow.snapshot(&bench.src().join("pkg")).unwrap(),
        plain
    );
    assert_eq!(
        repository_prefix(&bench.src().join("pkg/core")).unwrap(),
        "pkg/core/"
    );
    assert_eq!(repository_prefix(&bench.src()).unwrap(), "");
}

#[test]
fn every_change_since_the_last_snapshot_is_seen() {
    let bench = Bench::new();
    let src = bench.src();
    put(&src, "a", "1");
    put(&src, "dir/b", "1");
    let mut seen = vec![bench.snapshot()];
    let mut changes = |change: &dyn Fn()| {
        change();
        let tree = bench.snapshot();
        assert!(!seen.contains(&tree), "change {} was not seen", seen.len());
        seen.push(tree);
    };
    changes(&|| put(&src, "a", "2")); // same size, perhaps the same clock tick
    changes(&|| put(&src, "a", "3"));
    changes(&|| fs::set_permissions(src.join("a"), fs::Permissions::from_mode(0o755)).unwrap());
    changes(&|| fs::remove_file(src.join("dir/b")).unwrap());
    changes(&|| {
        fs::remove_dir(src.join("dir")).unwrap();
        put(&src, "dir", "a file now");
    });
    changes(&|| {
        fs::remove_file(src.join("dir")).unwrap();
        put(&src, "dir/c/d", "a folder again");
        put(&src, "dir/e", "beside it");
    });
    changes(&|| put(&src, "dir/c/pyvenv.cfg", "left out from here on"));
    changes(&|| symlink("dir", src.join("l")).unwrap());
}

#[test]
fn restoring_brings_back_exactly_the_tree_whatever_happened_to_the_workspace() {
    let bench = Bench::new();
    dirty_repository(&bench.src());
    let base = bench.snapshot();
    let fork = bench.fork(&base, "fork");
    let outside = bench.dir("outside");
    put(&outside, "precious", "must stay");

    put(&fork, "tracked.py", "2wo\ntwo\n"); // same size
    put(&fork, "new/deep/file", "extra");
    put(&fork, "__pycache__/tracked.cpython-311.pyc", "stale");
    fs::create_dir(fork.join("empty")).unwrap();
    fs::remove_file(fork.join("crlf.txt")).unwrap();
    put(&fork, "crlf.txt/now/a/folder", "x");
    fs::remove_dir_all(fork.join("with space")).unwrap();
    symlink(&outside, fork.join("with space")).unwrap();
    fs::set_permissions(fork.join("run.sh"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(fork.join("vendored"), fs::Permissions::from_mode(0o500)).unwrap();
    git(&fork, &["init", "-q"]);
    bench.shadow.restore(&base, &fork).unwrap();

    let mut restored = content(&fork);
    // A folder's own permissions are not the tree's.
    restored.remove(Path::new("vendored"));
    let mut wanted = expected(&bench.src());
    wanted.remove(Path::new("vendored"));
    assert_eq!(restored, wanted);
    assert_eq!(content(&outside).len(), 1);
    assert_eq!(bench.shadow.snapshot(&fork).unwrap(), base);
}

#[test]
fn restoring_writes_only_files_that_differ() {
    let bench = Bench::new();
    put(&bench.src(), "same", "same");
    put(&bench.src(), "differs", "before");
    let base = bench.snapshot();
    let fork = bench.fork(&base, "fork");
    let before = traces(&fork);
    put(&fork, "differs", "after");
    bench.shadow.restore(&base, &fork).unwrap();
    let after = traces(&fork);
    assert_eq!(before[Path::new("same")], after[Path::new("same")]);
    assert_eq!(fs::read(fork.join("differs")).unwrap(), b"before");
}

#[test]
fn a_tree_outlives_the_process_and_a_damaged_index_costs_only_time() {
    let bench = Bench::new();
    put(&bench.src(), "a", "1");
    let base = bench.snapshot();
    let fork = bench.fork(&base, "fork");
    let again = Shadow::open(&bench.dir("shadow")).unwrap();
    for index in fs::read_dir(bench.dir("shadow/indices")).unwrap() {
        fs::write(index.unwrap().path(), "cut off").unwrap();
    }
    assert_eq!(again.snapshot(&bench.src()).unwrap(), base);
    put(&fork, "a", "2");
    again.restore(&base, &fork).unwrap();
    assert_eq!(fs::read(fork.join("a")).unwrap(), b"1");
}

#[test]
fn many_new_files_become_one_pack_and_few_become_objects() {
    let bench = Bench::new();
    for n in 0..1_500 {
        put(
            &bench.src(),
            &format!("d{}/f{n}.txt", n % 7),
            format!("{n}\n"),
        );
    }
    // Files that git's way for large ones might treat otherwise, the first one, too.
    put(&bench.src(), ".empty", "");
    put(&bench.src(), "empty.txt", "");
    put(&bench.src(), "crlf.txt", "a\r\nb\n");
    put(&bench.src(), "bytes.bin", [0, 159, 146, 150]);
    let objects = |name: &str| -> usize {
        let all = listing(&bench.dir("shadow/objects"), &|path, meta| {
            meta.is_file() && path.extension().is_some_and(|ext| ext == name)
        });
        all.into_values().filter(|is_such| *is_such).count()
    };
    let whole = bench.snapshot();
    // An older git writes an object for each.
    let version = git(&bench.src(), &["--version"]);
    let minor = version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let is_new = minor >= 37;
    assert_eq!(objects("pack"), usize::from(is_new));
    assert_eq!(content(&bench.fork(&whole, "fork")), content(&bench.src()));
    put(&bench.src(), "d1/f1.txt", "other\n");
    let changed = bench.snapshot();
    assert_eq!(objects("pack"), usize::from(is_new));
    let patch = bench.shadow.diff(&whole, &changed, &[]).unwrap();
    assert!(patch.contains("-1\n+other\n"), "{patch}");
    assert!(!patch.contains("GIT binary patch"), "{patch}");
}

#[test]
fn an_empty_folder_has_a_tree_too() {
    let bench = Bench::new();
    let base = bench.snapshot();
    let fork = bench.fork(&base, "fork");
    put(&fork, "a", "1");
    let grown = bench.shadow.snapshot(&fork).unwrap();
    assert_eq!(bench.shadow.files(&grown).unwrap(), ["a"]);
    bench.shadow.restore(&base, &fork).unwrap();
    assert!(content(&fork).is_empty());
    assert_eq!(bench.shadow.diff(&base, &base, &[]).unwrap(), "");
}

#[test]
fn workspaces_are_forked_and_taken_at_the_same_time() {
    let bench = Bench::new();
    for n in 0..50 {
        put(&bench.src(), &format!("d{}/f{n}", n % 7), format!("{n}"));
    }
    let base = bench.snapshot();
    let trees: Vec<TreeId> = std::thread::scope(|scope| {
        let work = |n: usize| {
            let bench = &bench;
            let base = &base;
            scope.spawn(move || {
                let fork = bench.fork(base, &format!("fork{}", n / 2));
                put(&fork, "mine", format!("{}", n / 2));
                bench.shadow.snapshot(&fork).unwrap()
            })
        };
        // Every second one alone in its folder.
        let threads: Vec<_> = (0..12).step_by(2).map(work).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let distinct: std::collections::HashSet<_> = trees.iter().collect();
    assert_eq!(distinct.len(), 6);
}

#[test]
fn a_patch_turns_the_dirty_checkout_into_the_workspace_by_git_apply() {
    let bench = Bench::new();
    dirty_repository(&bench.src());
    put(&bench.src(), "latin1.txt", b"caf\xe9\n");
    let base = bench.snapshot();
    let fork = bench.fork(&base, "fork");
    put(&fork, "tracked.py", "one\nTWO\n");
    put(&fork, "crlf.txt", "a\r\nc\r\n");
    put(&fork, "latin1.txt", b"caf\xe9 cr\xe8me\n");
    put(&fork, "binary.bin", [0, 1, 2, 255]);
    put(&fork, "new dir/nëw.py", "print('hi')");
    fs::remove_file(fork.join("run.sh")).unwrap();
    put(&fork, "left-out.xml", "<x/>");
    put(&fork, "reports/deep.xml", "<x/>");
    let after = bench.shadow.snapshot(&fork).unwrap();
    let patch = bench
        .shadow
        .diff(&base, &after, &["left-out.xml", "reports"])
        .unwrap();
    assert!(
        patch.contains("-two\n+TWO\n"),
        "text must stay readable:\n{patch}"
    );
    assert!(!patch.contains("left-out") && !patch.contains("reports"));

    // A checkout without the user's converting attributes, as git apply obeys them.
    let checkout = bench.fork(&base, "checkout");
    fs::remove_file(checkout.join(".gitattributes")).unwrap();
    put(&bench.dir("."), "patch.diff", &patch);
    git(&checkout, &["init", "-q"]);
    git(&checkout, &["apply", "../patch.diff"]);
    for path in [
        "tracked.py",
        "crlf.txt",
        "latin1.txt",
        "binary.bin",
        "new dir/nëw.py",
    ] {
        assert_eq!(
            fs::read(checkout.join(path)).unwrap(),
            fs::read(fork.join(path)).unwrap(),
            "{path}"
        );
    }
    assert!(!checkout.join("run.sh").exists());
}

#[test]
fn a_patch_of_a_repositorys_folder_applies_with_its_prefix() {
    let bench = Bench::new();
    let src = bench.src();
    git(&src, &["init", "-q"]);
    put(&src, "pkg/a.py", "1\n");
    let folder = src.join("pkg");
    let base = bench.shadow.snapshot(&folder).unwrap();
    let fork = bench.fork(&base, "fork");
    put(&fork, "a.py", "2\n");
    put(&fork, "b.py", "3\n");
    let after = bench.shadow.snapshot(&fork).unwrap();
    let prefix = repository_prefix(&folder).unwrap();
    let patch = bench
        .shadow
        .diff_below(&prefix, &base, &after, &[])
        .unwrap();
    put(&bench.dir("."), "patch.diff", &patch);
    git(&folder, &["apply", "../../patch.diff"]);
    assert_eq!(content(&folder), content(&fork));
}

#[test]
fn what_cannot_be_taken_or_restored_is_refused_in_one_sentence() {
    let bench = Bench::new();
    put(&bench.src(), "file", "");
    let missing = bench.dir("missing");
    let said = bench.shadow.snapshot(&missing).unwrap_err().to_string();
    assert_eq!(
        said,
        format!("the repository {} does not exist", missing.display())
    );
    let file = bench.src().join("file");
    assert!(matches!(
        bench.shadow.snapshot(&file),
        Err(WorkspaceError::NotADirectory(_))
    ));

    let base = bench.snapshot();
    for id in ["", "--help", "HEAD", &"0".repeat(40)] {
        let unknown = TreeId(id.to_owned());
        let refused = bench.shadow.restore(&unknown, &bench.dir("never"));
        assert!(
            matches!(refused, Err(WorkspaceError::NoTree { .. })),
            "{id}: {refused:?}"
        );
        assert!(!bench.dir("never").exists());
    }
    dirty_repository(&bench.src());
    let before = traces(&bench.src());
    let refused = bench.shadow.restore(&base, &bench.src());
    assert!(
        matches!(refused, Err(WorkspaceError::NotAWorkspace(_))),
        "{refused:?}"
    );
    assert_eq!(traces(&bench.src()), before);
}

/// Run by the tests below in a process of its own; the folder with `src` in it
/// is the working directory.
#[test]
#[ignore = "a helper process"]
fn helper_takes_a_snapshot() {
    let taken =
        Shadow::open(Path::new("shadow")).and_then(|shadow| shadow.snapshot(Path::new("src")));
    println!(
        "[{}]",
        taken.map_or_else(|error| error.to_string(), |tree| tree.0)
    );
}

fn said_by_helper(mut command: Command) -> String {
    let output = command
        .args([
            "--exact",
            "shadow::helper_takes_a_snapshot",
            "--ignored",
            "--nocapture",
        ])
        .output()
        .expect("run scripts/setup first");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = stdout
        .split_once('[')
        .and_then(|(_, rest)| rest.rsplit_once(']'));
    said.unwrap_or_else(|| panic!("{output:?}")).0.to_owned()
}

#[test]
fn a_missing_git_is_told_in_one_sentence() {
    let bench = Bench::new();
    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper.current_dir(bench.dir(".")).env("PATH", bench.src());
    assert!(said_by_helper(helper).starts_with("git was not found; install it with scripts/setup"));
}

#[test]
fn a_full_disk_is_told_in_one_sentence() {
    let bench = Bench::new();
    // What does not compress, and more of it than the small disk below holds.
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    });
    let noise = noise.take(400_000);
    put(&bench.src(), "big", noise.collect::<Vec<_>>());
    let mut helper = Command::new("bwrap");
    helper.args(["--dev-bind", "/", "/", "--size", "200000", "--tmpfs"]);
    fs::create_dir(bench.dir("disk")).unwrap();
    helper
        .arg(bench.dir("disk"))
        .arg("--bind")
        .arg(bench.src())
        .arg(bench.dir("disk/src"));
    helper
        .arg("--chdir")
        .arg(bench.dir("disk"))
        .arg(std::env::current_exe().unwrap());
    let said = said_by_helper(helper);
    assert!(
        said.starts_with("the disk that holds ") && said.contains(" is full; free some space"),
        "{said}"
    );
}

#[test]
fn a_snapshot_does_not_read_what_did_not_change() {
    let bench = Bench::new();
    for n in 0..300 {
        put(
            &bench.src(),
            &format!("d{}/f{n}", n % 10),
            vec![b'x'; 20_000],
        );
    }
    let base = bench.snapshot();
    let objects = listing(&bench.dir("shadow/objects"), &|_, _| ()).len();
    assert_eq!(bench.snapshot(), base);
    put(&bench.src(), "d1/f1", "changed");
    assert_ne!(bench.snapshot(), base);
    let grown = listing(&bench.dir("shadow/objects"), &|_, meta| meta.is_file());
    // One file, its folder and the root; each perhaps in a folder of its own.
    assert!(grown.len() - objects <= 6, "{objects} -> {}", grown.len());
}

/// The test that runs again in a process without root's right to read everything.
const UNREADABLE: &str = "shadow::what_may_not_be_read_is_passed_over_and_named";

/// cline#2354, #1311: a folder that nobody may read ended the run, after the model was loaded.
#[test]
fn what_may_not_be_read_is_passed_over_and_named() {
    const AGAIN: &str = "EGSS_TEST_WITHOUT_CAPABILITIES";
    if std::env::var_os(AGAIN).is_none() {
        let program = std::env::current_exe().unwrap();
        let again = Command::new("bwrap")
            .args([
                "--dev-bind",
                "/",
                "/",
                "--unshare-user",
                "--cap-drop",
                "ALL",
                "--",
            ])
            .arg(program)
            .args(["--exact", UNREADABLE])
            .env(AGAIN, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(
            again.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let bench = Bench::new();
    put(&bench.src(), "a.py", "x = 1\n");
    put(&bench.src(), "data/private/b.txt", "b\n");
    put(&bench.src(), "c.key", "c\n");
    for path in ["data/private", "c.key"] {
        let mode = fs::Permissions::from_mode(0o000);
        fs::set_permissions(bench.src().join(path), mode).unwrap();
    }
    let found = bench.shadow.snapshot_repository(&bench.src()).unwrap();
    assert_eq!(bench.shadow.files(&found.tree).unwrap(), ["a.py"]);
    let named: Vec<String> = found
        .left_out
        .iter()
        .map(|left| format!("{}: {}", left.path.display(), left.why))
        .collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert_eq!(named[0], "c.key: it may not be read");
    assert!(named[1].starts_with("data/private: "), "{named:?}");
    assert!(named[1].contains("denied"), "{named:?}");
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(bench.src().join("data/private"), mode).unwrap();
}
