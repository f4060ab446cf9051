//! Files of other encodings and line ends, from the issue to the patch.
use crate::{call, engine, profile, run};
use egss::report::write_report;
use serde_json::json;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Files, with their bytes before the run and after it.
fn files() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let latin = |word: &[u8]| {
        let start = b"# -*- coding: latin-1 -*-\n\n\ndef name():\n    return '";
        [&start[..], word, b"'\n"].concat()
    };
    let mixed = |value: u32| {
        let lines = (0..54).map(|n| match n {
            20 => format!("x{n} = 0\r\n"),
            30 => format!("x{n} = {value}\n"),
            53 => format!("x{n} = 0"),
            _ => format!("x{n} = 0\n"),
        });
        lines.collect::<String>().into_bytes()
    };
    let marked = |sign: &str| format!("\u{feff}def add(a, b):\r\n    return a {sign} b\r\n");
    vec![
        ("latin.py", latin(b"M\xfcller"), latin(b"B\xf6ll")),
        ("mixed.py", mixed(0), mixed(7)),
        (
            "marked.py",
            marked("-").into_bytes(),
            marked("+").into_bytes(),
        ),
        (
            "notes.txt",
            utf16("\u{feff}eins\r\nzwölf\r\n"),
            utf16("\u{feff}eins\r\nelf\r\n"),
        ),
    ]
}

/// The files with the patch, as git applies it.
fn applied(patch: &[u8]) -> Vec<Vec<u8>> {
    let dir = tempfile::tempdir().unwrap();
    for (path, before, _) in files() {
        std::fs::write(dir.path().join(path), before).unwrap();
    }
    let mut git = Command::new("git")
        .args(["apply", "--whitespace=nowarn", "-"])
        .current_dir(dir.path())
        .env("GIT_CEILING_DIRECTORIES", dir.path().parent().unwrap())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut git.stdin.take().unwrap(), patch).unwrap();
    assert!(git.wait().unwrap().success());
    let read = |(path, _, _): &(&str, Vec<u8>, Vec<u8>)| std::fs::read(dir.path().join(path));
    files().iter().map(|file| read(file).unwrap()).collect()
}

/// openclaw#115943, cline#8883, aider#305, aider#3666, SWE-agent#683.
#[test]
fn a_patch_of_files_in_other_encodings_is_read_and_applies() {
    let repo = tempfile::tempdir().unwrap();
    for (path, before, _) in files() {
        std::fs::write(repo.path().join(path), before).unwrap();
    }
    let calls = vec![
        call("edit", json!({"path": "latin.py", "symbol": "name"}))
            .with_code("def name():\n    return 'Heß'\n"),
        call("undo", json!({})),
        call("edit", json!({"path": "latin.py", "symbol": "name"}))
            .with_code("def name():\n    return 'Böll'\n"),
        call("edit", json!({"path": "mixed.py", "start": 31, "end": 31})).with_code("x30 = 7\n"),
        call("edit", json!({"path": "marked.py", "symbol": "add"}))
            .with_code("def add(a, b):\n    return a + b\n"),
        call("edit", json!({"path": "notes.txt"}))
            .with_code("<<<<<<< SEARCH\nzwölf\n=======\nelf\n>>>>>>> REPLACE\n"),
        call("submit", json!({})),
    ];
    let profile = profile();
    let dir = tempfile::tempdir().unwrap();
    let state = run(
        repo.path(),
        "The name is wrong.",
        &profile,
        engine(calls, 60_000),
        dir.path(),
    );
    let ended = state.branches[0].ended.as_ref().unwrap();
    let wanted: Vec<Vec<u8>> = files().into_iter().map(|(_, _, after)| after).collect();
    // As text, for predictions, and as bytes, for people.
    assert_eq!(applied(ended.patch.as_bytes()), wanted);
    let written = write_report(dir.path()).unwrap();
    let patch = std::fs::read(dir.path().join("patch.diff")).unwrap();
    assert_eq!(applied(&patch), wanted);
    let has = |patch: &[u8], line: &[u8]| patch.windows(line.len()).any(|w| w == line);
    assert!(has(&patch, b"\n+    return 'B\xf6ll'\n"));
    assert!(has(&patch, b"\n+x30 = 7\n") && !has(&patch, b"x20"));
    let page = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    let text = std::fs::read_to_string(dir.path().join("report.md")).unwrap();
    for line in [
        "-    return 'Müller'",
        "+    return 'Böll'",
        "-zwölf",
        "+elf",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(page.contains("Böll") && page.contains("zwö"));
    assert!(!page.contains("GIT binary patch"));
    assert_eq!(written.view.patch_bytes(), patch);
}

/// aider#305, aider#3666, SWE-agent#683.
#[test]
fn a_file_that_cannot_be_read_is_named_to_the_user() {
    let repo = tempfile::tempdir().unwrap();
    std::fs::write(repo.path().join("a.py"), b"x = '\xfc'\n").unwrap();
    let view = egss::index::RepoView::read(repo.path(), &BTreeSet::new()).unwrap();
    let said = view.unread(repo.path(), |_| true).unwrap();
    assert!(said.starts_with("a.py is not UTF-8 text"), "{said}");
}
