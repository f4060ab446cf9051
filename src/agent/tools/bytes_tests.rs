//! Edits by every form change the bytes that they name and no others.
use super::*;
use crate::agent::{Change, Hunk, Query};
use crate::base::AgentProfile;
use crate::workspace::{SandboxMode, find_python};
use proptest::prelude::*;
use std::sync::LazyLock;

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let python = find_python(None, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    Sandbox::new(SandboxMode::UnsafeNone, &python).unwrap()
});

fn execute(dir: &Path, profile: AgentProfile, action: &Action) -> Observation {
    let config = AgentConfig::agent(profile.in_context(8_192));
    let executor = Executor::new(&SANDBOX, &config, None);
    executor.execute(dir, action).unwrap()
}

/// The file after one action of the profile `standard`, which has to be taken.
fn after(path: &str, bytes: &[u8], action: &Action) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(path), bytes).unwrap();
    let seen = execute(dir.path(), AgentProfile::standard(), action);
    assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
    std::fs::read(dir.path().join(path)).unwrap()
}

fn change(path: &str, change: Change) -> Action {
    Action::Edit {
        path: path.to_owned(),
        change,
    }
}

fn symbol(path: &str, symbol: &str, code: &str) -> Action {
    let (symbol, code) = (symbol.to_owned(), code.to_owned());
    change(path, Change::Symbol { symbol, code })
}

fn lines(path: &str, start: usize, end: usize, code: &str) -> Action {
    let code = code.to_owned();
    change(path, Change::Lines { start, end, code })
}

fn hunk(path: &str, old: &str, new: &str) -> Action {
    let (old, new) = (old.to_owned(), new.to_owned());
    change(path, Change::Hunks(vec![Hunk { old, new }]))
}

/// openclaw#115943, opencode#45926, cline#13512.
#[test]
fn one_crlf_line_among_lf_lines_stays_and_no_last_line_end_is_added() {
    let line = |n: usize, value: usize| format!("x{n} = {value}");
    let text = |value: usize| {
        let all = (1..=54).map(|n| match n {
            20 => line(n, n) + "\r\n",
            30 => line(n, value) + "\n",
            54 => line(n, n),
            _ => line(n, n) + "\n",
        });
        all.collect::<String>()
    };
    let (old, new) = (text(30), text(7));
    for action in [
        lines("a.py", 30, 30, "x30 = 7\n"),
        hunk("a.py", "x30 = 30\n", "x30 = 7\n"),
        Action::Write {
            path: "a.py".to_owned(),
            text: new.replace("\r\n", "\n") + "\n",
        },
    ] {
        let seen = after("a.py", old.as_bytes(), &action);
        assert_eq!(String::from_utf8(seen).unwrap(), new, "{action:?}");
    }
}

/// cline#8883, cline#2463, kimi-code#3825.
#[test]
fn a_function_on_the_line_of_the_byte_order_mark_can_be_named() {
    let old = "\u{feff}def add(a, b):\r\n    return a - b\r\n";
    let code = "def add(a, b):\n    return a + b\n";
    for action in [
        symbol("a.py", "add", code),
        lines("a.py", 1, 2, code),
        hunk("a.py", "def add(a, b):\n    return a - b\n", code),
    ] {
        let seen = after("a.py", old.as_bytes(), &action);
        let expected = old.replace("a - b", "a + b");
        assert_eq!(String::from_utf8(seen).unwrap(), expected, "{action:?}");
    }
}

/// aider#305, aider#3666, SWE-agent#683.
#[test]
fn latin_1_and_utf_16_are_shown_and_changed() {
    let dir = tempfile::tempdir().unwrap();
    let latin = b"# -*- coding: latin-1 -*-\ndef f():\n    return 'M\xfcller'\n";
    std::fs::write(dir.path().join("a.py"), latin).unwrap();
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    std::fs::write(
        dir.path().join("a.txt"),
        utf16("\u{feff}eins\r\nzw\u{f6}lf\r\n"),
    )
    .unwrap();
    let run = |action: &Action| execute(dir.path(), AgentProfile::small(), action);
    let view = |path: &str| Action::View {
        path: path.to_owned(),
        lines: None,
    };
    assert!(run(&view("a.py")).text.contains("return 'Müller'"));
    assert!(
        run(&view("a.txt")).text.contains("eins\n"),
        "{}",
        run(&view("a.txt")).text
    );
    let found = run(&Action::Search(Query::Text("Müller".to_owned())));
    assert!(found.text.starts_with("a.py:3:"), "{}", found.text);
    let seen = run(&symbol("a.py", "f", "def f():\n    return 'Böll'\n"));
    assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
    let bytes = std::fs::read(dir.path().join("a.py")).unwrap();
    assert_eq!(
        bytes,
        b"# -*- coding: latin-1 -*-\ndef f():\n    return 'B\xf6ll'\n"
    );
    run(&hunk("a.txt", "zwölf\n", "elf\n"));
    let bytes = std::fs::read(dir.path().join("a.txt")).unwrap();
    assert_eq!(bytes, utf16("\u{feff}eins\r\nelf\r\n"));
    // A character that the encoding lacks changes nothing.
    let seen = run(&symbol("a.py", "f", "def f():\n    return '€'\n"));
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(seen.text.contains("no character '€'"), "{}", seen.text);
    let bytes = std::fs::read(dir.path().join("a.py")).unwrap();
    assert!(bytes.ends_with(b"'B\xf6ll'\n"));
}

/// aider#305, aider#3666, SWE-agent#683: a file that cannot be read is named.
#[test]
fn code_that_cannot_be_read_is_named_where_it_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.py"), b"x = '\xfc'\n").unwrap();
    std::fs::write(dir.path().join("b.py"), b"y = 1\n").unwrap();
    std::fs::write(dir.path().join("c.png"), b"\x89PNG\0").unwrap();
    let run = |action: &Action| execute(dir.path(), AgentProfile::standard(), action).text;
    let why = "a.py is not UTF-8 text";
    let query = Query::Pattern("M.ller".to_owned());
    for action in [
        Action::View {
            path: "a.py".to_owned(),
            lines: None,
        },
        Action::List {
            path: ".".to_owned(),
        },
        Action::Search(query),
        Action::Search(Query::Text("Müller".to_owned())),
        lines("a.py", 1, 1, "x = 1\n"),
    ] {
        let text = run(&action);
        assert_eq!(text.matches(why).count(), 1, "{action:?}: {text}");
        assert!(!text.contains("c.png is"), "{text}");
    }
    let found = run(&Action::Search(Query::Text("y = 1".to_owned())));
    assert_eq!(found.trim(), "b.py:1: y = 1");
}

#[test]
fn a_file_keeps_its_mode_and_a_link_stays_one() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("a.py"), dir.path().join("link.py"));
    std::fs::write(&file, "x = 1\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("a.py", &link).unwrap();
    for (path, value) in [("a.py", 2), ("link.py", 3)] {
        let action = lines(path, 1, 1, &format!("x = {value}\n"));
        let seen = execute(dir.path(), AgentProfile::standard(), &action);
        assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("x = {value}\n"));
    }
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn an_edit_that_does_not_parse_leaves_every_byte() {
    let old = b"# coding: latin-1\r\nx = '\xfc'\ny = 1";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.py"), old).unwrap();
    let seen = execute(
        dir.path(),
        AgentProfile::standard(),
        &lines("a.py", 3, 3, "y = (\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed, "{}", seen.text);
    assert_eq!(std::fs::read(dir.path().join("a.py")).unwrap(), old);
}

#[test]
fn what_the_tool_moves_is_indented_as_the_file_is() {
    let four = "def f(x):\n    if x:\n        return 2\n    return 3\n";
    for unit in ["\t", "  ", "   ", "    ", "        "] {
        let in_unit = |text: &str| text.replace("    ", unit);
        let class = |body: &str| {
            format!(
                "class A:\n{body}\n\n{}",
                in_unit("def g():\n    return 1\n")
            )
        };
        let method = |code: &str| {
            let lines = code
                .lines()
                .map(|line| format!("{unit}{}\n", in_unit(line)));
            lines.collect::<String>()
        };
        let old = class(&method(
            "def f(x):\n    if x:\n        return 1\n    return 3\n",
        ));
        let new = class(&method(four));
        for action in [
            symbol("a.py", "A.f", four),
            symbol("a.py", "A.f", &method(four)),
            lines("a.py", 2, 5, four),
            hunk(
                "a.py",
                "if x:\n    return 1\nreturn 3\n",
                "if x:\n    return 2\nreturn 3\n",
            ),
        ] {
            let seen = after("a.py", old.as_bytes(), &action);
            assert_eq!(String::from_utf8(seen).unwrap(), new, "{unit:?} {action:?}");
        }
    }
}

/// A file as it is drawn: functions with lines that read alike.
#[derive(Clone, Debug)]
struct Drawn {
    path: &'static str,
    /// The lines, without their ends.
    lines: Vec<String>,
    ends: Vec<&'static str>,
    encoding: &'static str,
    has_mark: bool,
    unit: &'static str,
    /// The lines of each function.
    functions: Vec<std::ops::Range<usize>>,
}

impl Drawn {
    fn bytes_of(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        let lines = self.lines[range.clone()].iter().zip(&self.ends[range]);
        let text: String = lines.map(|(line, end)| format!("{line}{end}")).collect();
        self.encoded(&text)
    }

    fn encoded(&self, text: &str) -> Vec<u8> {
        match self.encoding {
            "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            "latin-1" => text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).unwrap())
                .collect(),
            _ => text.as_bytes().to_vec(),
        }
    }

    fn decoded(&self, bytes: &[u8]) -> String {
        match self.encoding {
            "utf-16le" => {
                let units = bytes
                    .chunks(2)
                    .map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
                String::from_utf16(&units.collect::<Vec<_>>()).unwrap()
            }
            "latin-1" => bytes.iter().copied().map(char::from).collect(),
            _ => String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn mark(&self) -> Vec<u8> {
        match self.has_mark {
            true => self.encoded("\u{feff}"),
            false => Vec::new(),
        }
    }
}

/// A function's lines, in one of two languages.
fn function(path: &str, name: &str, body: &[&str], unit: &str) -> Vec<String> {
    let (head, foot) = match path {
        "a.py" => (format!("def {name}(a):"), None),
        _ => (format!("function {name}(a) {{"), Some("}".to_owned())),
    };
    let body = body.iter().map(|line| format!("{unit}{line}"));
    std::iter::once(head).chain(body).chain(foot).collect()
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let line = prop::sample::select(vec!["a = 1", "a = 'é'", "a = a + 1", "return a"]);
    let body = prop::collection::vec(line, 1..4);
    // Few lines, so that the ends of 40 are enough.
    let ends = prop_oneof![
        Just(vec!["\n"; 40]),
        Just(vec!["\r\n"; 40]),
        Just(vec!["\r"; 40]),
        prop::collection::vec(prop::sample::select(vec!["\n", "\r\n"]), 40),
    ];
    (
        prop::collection::vec(body, 1..5),
        ends,
        prop::sample::select(vec![
            ("a.py", "utf-8", false),
            ("a.py", "utf-8", true),
            ("a.py", "latin-1", false),
            ("a.js", "utf-8", false),
            ("a.js", "utf-8", true),
            ("a.js", "utf-16le", true),
        ]),
        prop::sample::select(vec!["\t", "  ", "   ", "    ", "        "]),
        any::<bool>(),
    )
        .prop_map(
            |(bodies, ends, (path, encoding, has_mark), unit, has_last_end)| {
                let mut lines = Vec::new();
                if encoding == "latin-1" {
                    lines.push("# coding: latin-1".to_owned());
                }
                let mut functions = Vec::new();
                for (n, body) in bodies.iter().enumerate() {
                    let start = lines.len();
                    lines.extend(function(path, &format!("f{n}"), body, unit));
                    functions.push(start..lines.len());
                    lines.push(String::new());
                }
                lines.pop();
                let mut ends = ends[..lines.len()].to_vec();
                if !has_last_end {
                    *ends.last_mut().unwrap() = "";
                }
                Drawn {
                    path,
                    lines,
                    ends,
                    encoding,
                    has_mark,
                    unit,
                    functions,
                }
            },
        )
}

const FORMS: [&str; 6] = [
    "symbol",
    "symbol of small",
    "lines",
    "hunk",
    "write",
    "write of small",
];

proptest! {
    // A case of Python starts an interpreter, of about 30 ms.
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// openclaw#115943, opencode#45926, cline#13512, cline#8883, aider#305.
    #[test]
    fn bytes_that_an_edit_does_not_name_stay(
        file in drawn(),
        form in prop::sample::select(FORMS.to_vec()),
        nth in any::<prop::sample::Index>(),
    ) {
        let nth = nth.index(file.functions.len());
        let range = file.functions[nth].clone();
        let name = format!("f{nth}");
        let body = ["a = a + 7", "a = 'ü'", "return a"];
        let given_unit = if form.starts_with("symbol") { "    " } else { file.unit };
        let code = function(file.path, &name, &body, given_unit).join("\n") + "\n";
        let profile = match form.ends_with("small") {
            true => AgentProfile::small(),
            false => AgentProfile::standard(),
        };
        let old = file.lines[range.clone()].join("\n") + "\n";
        let action = match form {
            "lines" => lines(file.path, range.start + 1, range.end, &code),
            "hunk" => hunk(file.path, &old, &code),
            _ if form.starts_with("symbol") => symbol(file.path, &name, &code),
            _ => {
                let mut all = file.lines.clone();
                all.splice(range.clone(), code.lines().map(str::to_owned));
                Action::Write { path: file.path.to_owned(), text: all.join("\n") + "\n" }
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let full = dir.path().join(file.path);
        let (before, behind) = (file.bytes_of(0..range.start), file.bytes_of(range.end..file.lines.len()));
        let whole = [file.mark(), file.bytes_of(0..file.lines.len())].concat();
        std::fs::write(&full, whole).unwrap();
        let seen = execute(dir.path(), profile, &action);
        prop_assert_eq!(seen.outcome, StepOutcome::Ok, "{} {:?}", seen.text, action);
        let bytes = std::fs::read(&full).unwrap();
        let start = [file.mark(), before].concat();
        prop_assert!(bytes.starts_with(&start), "{bytes:?}");
        prop_assert!(bytes[start.len()..].ends_with(&behind), "{bytes:?}");
        let middle = file.decoded(&bytes[start.len()..bytes.len() - behind.len()]);
        let ends: std::collections::BTreeSet<&str> = file.ends.iter().copied().filter(|end| !end.is_empty()).collect();
        let expected = function(file.path, &name, &body, file.unit);
        let mut left = middle.as_str();
        for (at, line) in expected.iter().enumerate() {
            let rest = left.strip_prefix(line.as_str());
            prop_assert!(rest.is_some(), "{line:?} in {middle:?}");
            left = rest.unwrap();
            let is_last = range.end == file.lines.len() && at + 1 == expected.len();
            let end = match is_last && file.ends[range.end - 1].is_empty() {
                true => Some(""),
                false if ends.is_empty() => Some("\n"),
                false => ["\r\n", "\n", "\r"].into_iter().find(|end| left.starts_with(end) && ends.contains(end)),
            };
            prop_assert!(end.is_some_and(|end| left.starts_with(end)), "{left:?} of {middle:?}");
            left = &left[end.unwrap().len()..];
        }
        prop_assert_eq!(left, "");
    }
}
