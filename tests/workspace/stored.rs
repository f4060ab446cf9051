//! Patches for a user's checkout, with the real git.
use crate::shadow::{git, put};
use egss::record::GitSettings;
use egss::workspace::{
    Limits, OwnRepository, Shadow, StoredPatch, apply_fault, git_settings, repository_prefix,
};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A user's checkout with everything committed, and a shadow directory.
struct Checkout {
    temp: TempDir,
    shadow: Shadow,
}

impl Checkout {
    fn new(files: &[(&str, &str)]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let shadow = Shadow::open(&temp.path().join("shadow")).unwrap();
        let checkout = Self { temp, shadow };
        let dir = checkout.dir();
        fs::create_dir(&dir).unwrap();
        git(&dir, &["init", "-q"]);
        for (path, text) in files {
            put(&dir, path, text);
        }
        git(&dir, &["add", "-A"]);
        git(&dir, &["commit", "-qm", "base"]);
        // As git writes it: `$Id$` expanded, line ends converted.
        for (path, _) in files {
            fs::remove_file(dir.join(path)).unwrap();
        }
        git(&dir, &["checkout", "-q", "--", "."]);
        checkout
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("checkout")
    }

    /// The patch of what `edit` does to a copy of the folder `below` of the checkout.
    fn patch(&self, below: &str, edit: impl FnOnce(&Path)) -> StoredPatch {
        let repo = self.dir().join(below);
        let base = self.shadow.snapshot(&repo).unwrap();
        let copy = self.temp.path().join("copy");
        self.shadow.restore(&base, &copy).unwrap();
        edit(&copy);
        let after = self.shadow.snapshot(&copy).unwrap();
        let settings = self.settings(below);
        let prefix = repository_prefix(&repo).unwrap();
        let patch = self
            .shadow
            .stored_patch(&prefix, &base, &after, &[], &settings);
        patch.unwrap()
    }

    fn settings(&self, below: &str) -> GitSettings {
        git_settings(&self.dir().join(below)).unwrap()
    }

    /// Why git does not take the patch; empty where it does.
    fn refused(&self, args: &[&str], patch: &str) -> String {
        let mut git = Command::new("git")
            .args(args)
            .current_dir(self.dir())
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = git.stdin.take().unwrap();
        stdin.write_all(patch.as_bytes()).unwrap();
        drop(stdin);
        let output = git.wait_with_output().unwrap();
        match output.status.success() {
            true => String::new(),
            false => String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn edit(dir: &Path, path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(dir.join(path)).unwrap();
    assert!(text.contains(from), "{text:?}");
    fs::write(dir.join(path), text.replace(from, to)).unwrap();
}

/// xstudio#258, gjoa#43: an expanded `$Id$` in a context line, line ends by `eol=crlf`.
#[test]
fn a_patch_is_of_what_git_stores_and_every_way_of_applying_takes_it() {
    let checkout = Checkout::new(&[
        (
            ".gitattributes",
            "*.py text eol=crlf ident\n*.txt text working-tree-encoding=UTF-16LE-BOM\n",
        ),
        ("a.py", "# $Id$\nx = 1\ny = 2\n"),
        ("plain.md", "one\n"),
    ]);
    let text = fs::read_to_string(checkout.dir().join("a.py")).unwrap();
    assert!(text.contains("$Id: ") && text.contains("\r\n"), "{text:?}");
    let patch = checkout.patch("", |copy| {
        edit(copy, "a.py", "x = 1", "x = 3");
        put(copy, "new.py", "z = 1\r\n");
        fs::remove_file(copy.join("plain.md")).unwrap();
    });
    assert!(
        patch.text.contains(" # $Id$\n-x = 1\n+x = 3\n"),
        "{}",
        patch.text
    );
    assert!(!patch.text.contains('\r'));
    assert_eq!(
        apply_fault(&checkout.dir(), &patch.text, &checkout.settings("")).unwrap(),
        None
    );
    for args in [
        &["apply", "--check", "-"][..],
        &["apply", "--check", "--index", "-"],
        &["apply", "-3", "--check", "-"],
        &["apply", "-"],
    ] {
        assert_eq!(checkout.refused(args, &patch.text), "", "{args:?}");
    }
    let text = fs::read_to_string(checkout.dir().join("a.py")).unwrap();
    assert!(text.contains("x = 3\r\n"), "{text:?}");
    assert!(!checkout.dir().join("plain.md").exists());
}

#[test]
fn line_ends_by_a_setting_and_by_attributes_outside_of_the_tree_count() {
    for (setting, attributes) in [(Some("true"), ""), (None, "*.py text eol=crlf\n")] {
        let checkout = Checkout::new(&[("pkg/a.py", "x = 1\ny = 2\n"), ("pkg/b.md", "b\n")]);
        let dir = checkout.dir();
        if let Some(value) = setting {
            git(&dir, &["config", "core.autocrlf", value]);
        }
        fs::create_dir_all(dir.join(".git/info")).unwrap();
        put(&dir, ".git/info/attributes", attributes);
        fs::remove_file(dir.join("pkg/a.py")).unwrap();
        git(&dir, &["checkout", "-q", "--", "."]);
        assert_eq!(
            fs::read(dir.join("pkg/a.py")).unwrap(),
            b"x = 1\r\ny = 2\r\n"
        );
        // The repository is a folder of the checkout.
        let patch = checkout.patch("pkg", |copy| edit(copy, "a.py", "x = 1", "x = 3"));
        assert!(patch.text.contains("--- a/pkg/a.py"), "{}", patch.text);
        assert!(patch.text.contains("\n-x = 1\n+x = 3\n"), "{}", patch.text);
        assert_eq!(
            checkout.refused(&["apply", "--index", "-"], &patch.text),
            ""
        );
    }
}

/// OpenHands#10087, mini-swe-agent#636: files that a command leaves, and git ignores.
#[test]
fn new_files_that_git_ignores_are_not_in_the_patch_and_are_named() {
    let checkout = Checkout::new(&[
        (".gitignore", "*.log\n"),
        ("pkg/.gitignore", "out/\n!keep.log\n"),
        ("pkg/a.py", "x = 1\n"),
    ]);
    let dir = checkout.dir();
    put(&dir, ".git/info/exclude", "*.tmp\n");
    put(&dir, "pkg/local.log", "the user's own, ignored\n");
    let patch = checkout.patch("pkg", |copy| {
        for path in ["a.log", "b.tmp", "out/c.txt", "keep.log", "new.py"] {
            put(copy, path, "left\n");
        }
        edit(copy, "local.log", "own", "changed");
        edit(copy, "a.py", "1", "2");
    });
    assert_eq!(patch.ignored, ["a.log", "b.tmp", "out/c.txt"]);
    for path in ["pkg/keep.log", "pkg/new.py", "pkg/a.py"] {
        assert!(patch.text.contains(&format!("+++ b/{path}\n")), "{path}");
    }
    for path in ["a.log", "b.tmp", "c.txt"] {
        assert!(!patch.text.contains(path), "{path}: {}", patch.text);
    }
}

#[test]
fn no_program_of_the_repository_is_run() {
    let checkout = Checkout::new(&[
        (".gitattributes", "*.py filter=own diff=own text\n"),
        ("a.py", "x = 1\n"),
    ]);
    let dir = checkout.dir();
    let mark = checkout.temp.path().join("was-run");
    let program = format!("touch {}; cat", mark.display());
    for name in [
        "filter.own.clean",
        "filter.own.smudge",
        "diff.own.command",
        "diff.own.textconv",
    ] {
        git(&dir, &["config", name, &program]);
    }
    let patch = checkout.patch("", |copy| edit(copy, "a.py", "1", "2"));
    assert!(patch.text.contains("+x = 2"), "{}", patch.text);
    assert_eq!(
        apply_fault(&dir, &patch.text, &checkout.settings("")).unwrap(),
        None
    );
    assert!(!mark.exists());
}

#[test]
fn a_checkout_that_changed_meanwhile_is_told() {
    let checkout = Checkout::new(&[("pkg/a.py", "x = 1\n")]);
    let patch = checkout.patch("pkg", |copy| edit(copy, "a.py", "1", "2"));
    let (dir, settings) = (checkout.dir().join("pkg"), checkout.settings("pkg"));
    assert_eq!(apply_fault(&dir, &patch.text, &settings).unwrap(), None);
    edit(&checkout.dir(), "pkg/a.py", "x = 1", "y = 7");
    let fault = apply_fault(&dir, &patch.text, &settings).unwrap().unwrap();
    assert!(fault.contains("pkg/a.py"), "{fault}");
    // Outside of any checkout paths begin at the folder itself.
    let plain = tempfile::tempdir().unwrap();
    put(plain.path(), "a.py", "x = 1\n");
    let settings = git_settings(plain.path()).unwrap();
    assert!(settings.is_plain());
    let patch = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1\n+x = 2\n";
    assert_eq!(apply_fault(plain.path(), patch, &settings).unwrap(), None);
    let other = patch.replace("x = 1", "x = 9");
    assert!(
        apply_fault(plain.path(), &other, &settings)
            .unwrap()
            .is_some()
    );
}

/// gjoa#43: tests that call git found no repository, or the user's.
#[test]
fn commands_find_a_repository_of_one_commit_and_none_of_the_users_settings() {
    let checkout = Checkout::new(&[("a.py", "x = 1\n"), ("pkg/b.py", "y = 1\n")]);
    let dir = checkout.dir();
    git(&dir, &["config", "alias.own", "!echo the user's"]);
    git(
        &dir,
        &["remote", "add", "origin", "https://example.org/x.git"],
    );
    let base = checkout.shadow.snapshot(&dir).unwrap();
    let template = checkout.temp.path().join("template");
    let own = OwnRepository::make(&checkout.shadow, &base, &template).unwrap();
    let sandbox = crate::sandbox::sandbox().with_repository(own);
    let workspace = checkout.temp.path().join("workspace");
    checkout.shadow.restore(&base, &workspace).unwrap();
    let shell = |line: &str| {
        let output = sandbox.shell(&workspace, line, &Limits::default()).unwrap();
        output.text
    };
    assert_eq!(
        shell("git log --format=%s; git status --short; git remote"),
        "The repository as it was found\n"
    );
    fs::write(workspace.join("a.py"), "x = 2\n").unwrap();
    assert_eq!(
        shell("git status --short; git own 2>&1 | head -c 4"),
        " M a.py\ngit:"
    );
    assert!(shell("git diff").contains("+x = 2"));
    // A command's own commits work, and end with it.
    assert!(shell("git commit -qam two && git log --format=%s | head -1").starts_with("two"));
    assert_eq!(
        shell("git log --format=%s"),
        "The repository as it was found\n"
    );
    let after = checkout.shadow.snapshot(&workspace).unwrap();
    assert_eq!(checkout.shadow.files(&after).unwrap(), ["a.py", "pkg/b.py"]);
    checkout.shadow.restore(&base, &workspace).unwrap();
    assert_eq!(shell("git status --short"), "");
}
