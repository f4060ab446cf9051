use super::*;
use crate::agent::{Change, CheckReport, Hunk, Query};
use crate::base::{AgentProfile, LimitHit, ToolForm};
use crate::workspace::{SandboxMode, find_python};
use std::sync::LazyLock;
use tempfile::TempDir;

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
    let python = find_python(None, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    Sandbox::new(SandboxMode::UnsafeNone, &python).unwrap()
});

const CART: &str = "def total(prices):\n    return sum(prices) + 1\n\n\ndef mean(prices):\n    return total(prices) / len(prices)\n";

fn workspace() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cart.py"), CART).unwrap();
    std::fs::create_dir(dir.path().join("pkg")).unwrap();
    std::fs::write(dir.path().join("pkg/data.bin"), b"\0\x01").unwrap();
    dir
}

fn run(dir: &TempDir, action: Action) -> Observation {
    let config = AgentConfig::agent(AgentProfile::small());
    let executor = Executor::new(&SANDBOX, &config, None);
    executor.execute(dir.path(), &action).unwrap()
}

fn standard(dir: &TempDir, action: Action) -> Observation {
    let config = AgentConfig::agent(AgentProfile::standard().in_context(8_192));
    let executor = Executor::new(&SANDBOX, &config, None);
    executor.execute(dir.path(), &action).unwrap()
}

fn edit(symbol: &str, code: &str) -> Action {
    Action::Edit {
        path: "cart.py".into(),
        change: Change::Symbol {
            symbol: symbol.into(),
            code: code.into(),
        },
    }
}

fn cart(dir: &TempDir) -> String {
    std::fs::read_to_string(dir.path().join("cart.py")).unwrap()
}

#[test]
fn an_edit_changes_the_file_and_says_by_how_much() {
    let dir = workspace();
    let seen = run(
        &dir,
        edit("total", "def total(prices):\n    return sum(prices)\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
    assert_eq!(seen.text, "cart.py was changed: 1 lines added, 1 removed.");
    assert_eq!(cart(&dir), CART.replace(" + 1", ""));
}

#[test]
fn an_edit_that_does_not_compile_leaves_the_file_as_it_was() {
    let dir = workspace();
    let seen = run(
        &dir,
        edit("total", "def total(prices):\n    return sum(prices\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(
        seen.text.contains("line 2") && seen.text.contains("not changed"),
        "{}",
        seen.text
    );
    assert_eq!(cart(&dir), CART);
    let seen = run(
        &dir,
        Action::Write {
            path: "new/deep.py".into(),
            text: "def (:\n".into(),
        },
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(!dir.path().join("new").join("deep.py").exists());
}

#[test]
fn an_edit_that_changes_nothing_is_told_so() {
    let dir = workspace();
    let seen = run(
        &dir,
        edit("total", "def total(prices):\n    return sum(prices) + 1\n"),
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(seen.text.starts_with("Nothing changed"), "{}", seen.text);
}

#[test]
fn an_edit_without_a_place_shows_the_nearest_text() {
    let dir = workspace();
    let hunks = vec![Hunk {
        old: "    return sum(price) + 2\n".into(),
        new: String::new(),
    }];
    let seen = run(
        &dir,
        Action::Edit {
            path: "cart.py".into(),
            change: Change::Hunks(hunks),
        },
    );
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(
        seen.text
            .contains("lines 2 to 2:\n    return sum(prices) + 1"),
        "{}",
        seen.text
    );
    let seen = run(&dir, edit("totl", "def totl():\n    pass\n"));
    assert!(seen.text.contains("nearest: total"), "{}", seen.text);
}

#[test]
fn the_check_runs_after_an_edit_and_decides_the_outcome() {
    let dir = workspace();
    let config = AgentConfig::agent(AgentProfile::small());
    let check = |dir: &Path| {
        let text = std::fs::read_to_string(dir.join("cart.py")).unwrap();
        Ok(Some(CheckReport {
            passed: !text.contains("+ 1"),
            text: "total([1]) == 1 fails".into(),
        }))
    };
    let executor = Executor::new(&SANDBOX, &config, Some(&check));
    let wrong = edit("mean", "def mean(prices):\n    return 0\n");
    let seen = executor.execute(dir.path(), &wrong).unwrap();
    assert_eq!(seen.outcome, StepOutcome::TestsFailed);
    assert!(seen.text.ends_with("total([1]) == 1 fails"));
    let right = edit("total", "def total(prices):\n    return sum(prices)\n");
    let seen = executor.execute(dir.path(), &right).unwrap();
    assert_eq!(seen.outcome, StepOutcome::TestsPassed);
    assert!(seen.text.contains("call submit"));
    let quiet = AgentConfig {
        check_after_edit: false,
        ..config
    };
    let executor = Executor::new(&SANDBOX, &quiet, Some(&check));
    let seen = executor.execute(dir.path(), &wrong.clone()).unwrap();
    assert_eq!(
        seen.outcome,
        StepOutcome::EditFailed,
        "it is what the file holds"
    );
}

#[test]
fn view_and_search_find_what_is_there_and_what_is_near() {
    let dir = workspace();
    let view = |path: &str, lines| {
        run(
            &dir,
            Action::View {
                path: path.into(),
                lines,
            },
        )
    };
    let search = |text: &str| run(&dir, Action::Search(Query::Text(text.into())));
    let seen = view("cart.py", Some((5, 99)));
    assert_eq!(
        seen.text,
        "cart.py, lines 5 to 6 of 6:\ndef mean(prices):\n    return total(prices) / len(prices)"
    );
    for (path, part) in [
        ("carts.py", "The nearest: cart.py"),
        ("pkg", "is a directory. It holds: data.bin"),
        ("pkg/data.bin", "binary"),
        ("../x", "outside"),
    ] {
        let seen = view(path, None);
        assert_eq!(seen.outcome, StepOutcome::Rejected);
        assert!(seen.text.contains(part), "{}", seen.text);
    }
    assert_eq!(search("def total").text, "cart.py:1: def total(prices):");
    assert_eq!(search("DEF MEAN").text, "cart.py:5: def mean(prices):");
    assert!(
        search("def totals(price)")
            .text
            .contains("The nearest line:\ncart.py:1")
    );
}

#[test]
fn a_command_is_told_by_its_end() {
    let dir = workspace();
    let run = |command: &str| {
        run(
            &dir,
            Action::Run {
                command: command.into(),
            },
        )
    };
    assert_eq!(run("true").text, "The command printed nothing.");
    let seen = run("echo no; exit 3");
    assert_eq!(seen.outcome, StepOutcome::CommandFailed);
    assert_eq!(seen.text, "no\nThe command ended with status 3.");
    let test = "from cart import total\n\ndef test_total():\n    assert total([1]) == 1\n";
    std::fs::write(dir.path().join("test_cart.py"), test).unwrap();
    let seen = run("python3 -m pytest -q");
    assert_eq!(seen.outcome, StepOutcome::TestsFailed, "{}", seen.text);
    assert_eq!(
        run("python3 -m pytest --no-such-option").outcome,
        StepOutcome::CommandFailed
    );
    std::fs::write(dir.path().join("cart.py"), CART.replace(" + 1", "")).unwrap();
    assert_eq!(
        run("python3 -m pytest -q").outcome,
        StepOutcome::TestsPassed
    );
}

#[test]
fn line_ends_and_broken_files_survive_an_edit() {
    let dir = workspace();
    let full = dir.path().join("cart.py");
    std::fs::write(&full, CART.replace('\n', "\r\n")).unwrap();
    run(&dir, edit("total", "def total(prices):\n    return 0\n"));
    let expected = CART.replace("sum(prices) + 1", "0").replace('\n', "\r\n");
    assert_eq!(cart(&dir), expected);
}

#[test]
fn the_repositorys_own_tests_stay_as_they_are() {
    let dir = workspace();
    std::fs::write(
        dir.path().join("test_cart.py"),
        "def test_total():\n    pass\n",
    )
    .unwrap();
    let mut config = AgentConfig::agent(AgentProfile::small());
    config.scope.tests.insert("test_cart.py".into());
    let executor = Executor::new(&SANDBOX, &config, None);
    let write = |path: &str| {
        let text = "def test_total():\n    assert True\n".to_string();
        let path = path.to_string();
        let write = Action::Write { path, text };
        executor.execute(dir.path(), &write).unwrap()
    };
    std::os::unix::fs::symlink("test_cart.py", dir.path().join("link.py")).unwrap();
    for path in ["test_cart.py", "./test_cart.py", "link.py"] {
        let seen = write(path);
        assert_eq!(seen.outcome, StepOutcome::Rejected, "{}", seen.text);
    }
    assert_eq!(write("test_more.py").outcome, StepOutcome::Ok);
    let kept = std::fs::read_to_string(dir.path().join("test_cart.py")).unwrap();
    assert!(kept.contains("pass"));
}

/// A workspace with a file of so many lines and some folders.
fn large(n_lines: usize) -> TempDir {
    let dir = workspace();
    let long: String = (1..=n_lines).map(|n| format!("line_{n} = {n}\n")).collect();
    std::fs::create_dir_all(dir.path().join("src/shop")).unwrap();
    std::fs::write(dir.path().join("src/shop/long.py"), long).unwrap();
    std::fs::write(dir.path().join("src/shop/notes.txt"), "line_7 is odd\n").unwrap();
    dir
}

#[test]
fn a_view_that_is_cut_says_what_is_missing_and_how_to_see_it() {
    let dir = large(900);
    let view = |lines| Action::View {
        path: "src/shop/long.py".into(),
        lines,
    };
    let seen = standard(&dir, view(None));
    assert!(
        seen.text.starts_with("src/shop/long.py, lines 1 to "),
        "{}",
        seen.text
    );
    assert!(seen.text.contains("\n1| line_1 = 1\n"));
    let [cut] = &seen.cuts[..] else {
        panic!("{:?}", seen.cuts);
    };
    assert_eq!(cut.limit, "observation_chars_max");
    // The range that it names can be asked for, and shows the rest.
    let said = seen.text.lines().last().unwrap();
    let numbers: Vec<usize> = said
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    let [first, last, start, end] = numbers[..] else {
        panic!("{said}");
    };
    assert_eq!((first, last), (start, end));
    let next = standard(&dir, view(Some((start, end))));
    assert!(
        next.text.contains(&format!("\n{start}| line_{start} = ")),
        "{}",
        next.text
    );
    assert!(!seen.text.contains(&format!("\n{start}| ")));
    let seen = run(&dir, view(None));
    assert!(seen.text.contains("lines 1 to "), "{}", seen.text);
    // The small profile has no ranges, so none is promised.
    assert!(!seen.text.contains("start"), "{}", seen.text);
    assert!(seen.text.contains("search finds a line"), "{}", seen.text);
    assert_eq!(seen.cuts.len(), 1);
}

#[test]
fn a_function_is_viewed_by_its_name() {
    let dir = workspace();
    let view = |symbol: &str| {
        let (path, symbol) = ("cart.py".into(), symbol.into());
        standard(&dir, Action::ViewSymbol { path, symbol })
    };
    let seen = view("mean").text;
    assert!(seen.starts_with("cart.py, lines 5 to 6 of 6:\n"), "{seen}");
    let seen = view("means");
    assert_eq!(seen.outcome, StepOutcome::Rejected);
    assert!(
        seen.text
            .contains("does not define means. The nearest: mean"),
        "{}",
        seen.text
    );
}

/// Of thousands of hits the first ones by path say nothing.
#[test]
fn a_search_shows_definitions_before_uses_and_sources_before_tests_and_pages() {
    let dir = large(1);
    let write = |path: &str, text: &str| {
        let file = dir.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("a/use.py", "from z.code import parse\nparse(1)\n");
    write("README.md", "parse it\n");
    write("tests/test_a.py", "def test_parse():\n    parse(2)\n");
    write("z/code.py", "# parse\ndef parse(x):\n    return x\n");
    let search = |glob: &str| {
        let query = Query::Files {
            pattern: "parse".into(),
            glob: glob.into(),
            context: 0,
        };
        standard(&dir, Action::Search(query)).text
    };
    let places = |text: &str| -> Vec<String> {
        let lines = text.lines();
        lines
            .map(|line| line.split(": ").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        places(&search("*")),
        [
            "z/code.py:2",
            "tests/test_a.py:1",
            "a/use.py:1",
            "a/use.py:2",
            "z/code.py:1",
            "tests/test_a.py:2",
            "README.md:1",
        ]
    );
    // A folder means what is in it.
    for folder in ["z", "z/", "./z"] {
        assert_eq!(places(&search(folder)), ["z/code.py:2", "z/code.py:1"]);
    }
}

#[test]
fn a_search_takes_an_expression_a_glob_and_lines_around() {
    let dir = large(120);
    let seen = standard(
        &dir,
        Action::Search(Query::Pattern("def \\w+\\(prices".into())),
    );
    assert_eq!(
        seen.text,
        "cart.py:1: def total(prices):\ncart.py:5: def mean(prices):"
    );
    let files = |pattern: &str, glob: &str, context| {
        let query = Query::Files {
            pattern: pattern.into(),
            glob: glob.into(),
            context,
        };
        standard(&dir, Action::Search(query))
    };
    let seen = files("line_7\\b", "*.py", 1);
    assert_eq!(
        seen.text,
        "src/shop/long.py:\n     6| line_6 = 6\n>    7| line_7 = 7\n     8| line_8 = 8"
    );
    assert!(
        files("line_7\\b", "src/**/*.txt", 0)
            .text
            .starts_with("src/shop/notes.txt:1:")
    );
    let seen = files("line", "src/shop/*", 50);
    assert!(
        seen.text.contains("50 of 121 hits are shown"),
        "{}",
        seen.text
    );
    let limits: Vec<&str> = seen.cuts.iter().map(|cut| cut.limit.as_str()).collect();
    assert_eq!(
        limits,
        [
            "search_hits_max",
            "search_context_max",
            "observation_chars_max"
        ][..limits.len()]
    );
    for (pattern, glob, said) in [
        ("(", "*.py", "no regular expression"),
        ("(\\w{500}){500}", "*.py", "too large an expression"),
        ("x", "[", "glob"),
        ("x", "*.rs", "matches no file"),
    ] {
        let seen = files(pattern, glob, 0);
        assert_eq!(seen.outcome, StepOutcome::Rejected);
        assert!(seen.text.contains(said), "{}", seen.text);
    }
    assert!(
        files("zzz", "*.py", 0)
            .text
            .contains("No line of 2 files matches")
    );
}

#[test]
fn a_hit_in_a_very_long_line_is_cut_and_says_so() {
    let dir = large(3);
    let minified = format!("var needle{};\n", "x".repeat(5_000));
    std::fs::write(dir.path().join("src/app.min.js"), minified).unwrap();
    for (glob, context) in [("*", 0), ("*", 2)] {
        let seen = standard(
            &dir,
            Action::Search(Query::Files {
                pattern: "needle".into(),
                glob: glob.into(),
                context,
            }),
        );
        assert!(seen.text.trim_end().ends_with("x ..."), "{}", seen.text);
        let hit = LimitHit::new("search_line_chars_max", 300, 5_011);
        assert_eq!(seen.cuts, [hit]);
    }
}

#[test]
fn a_folder_is_listed_and_a_wrong_one_answered_with_the_nearest() {
    let dir = large(3);
    let list = |path: &str| standard(&dir, Action::List { path: path.into() });
    assert_eq!(
        list("src").text,
        "2 files below src:\nsrc/shop/long.py (3 lines)\nsrc/shop/notes.txt (1 line)"
    );
    assert!(
        list(".")
            .text
            .starts_with("4 files below the repository:\ncart.py (6 lines)\n")
    );
    let seen = list("src/shp");
    assert_eq!(seen.outcome, StepOutcome::Rejected);
    assert!(seen.text.contains("The nearest: src/shop"), "{}", seen.text);
    for n in 0..300 {
        std::fs::write(dir.path().join(format!("src/shop/{n}.txt")), "").unwrap();
    }
    let seen = list("./");
    assert!(
        seen.text.contains("src/shop/ (302 files, 3 lines of code)"),
        "{}",
        seen.text
    );
    assert_eq!(seen.cuts, [LimitHit::new("listed_files_max", 200, 304)]);
}

#[test]
fn any_file_is_edited_by_lines_and_hunks() {
    let dir = large(3);
    let config = AgentConfig::agent(AgentProfile::standard());
    assert!(config.tools.has(ToolForm::EditHunks));
    let edit = |change| {
        let path = "src/shop/notes.txt".into();
        standard(&dir, Action::Edit { path, change })
    };
    let text = || std::fs::read_to_string(dir.path().join("src/shop/notes.txt")).unwrap();
    let seen = edit(Change::Lines {
        start: 1,
        end: 1,
        code: "line_7 is even\nand more\n".into(),
    });
    assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
    assert_eq!(text(), "line_7 is even\nand more\n");
    let hunk = Hunk {
        old: "and more\n".into(),
        new: "and less\n".into(),
    };
    assert_eq!(edit(Change::Hunks(vec![hunk])).outcome, StepOutcome::Ok);
    assert_eq!(text(), "line_7 is even\nand less\n");
}

#[test]
fn an_edit_of_any_language_that_does_not_parse_leaves_the_file_as_it_was() {
    let dir = workspace();
    let good = "export function total(prices) {\n  return prices.length + 1;\n}\n";
    std::fs::write(dir.path().join("cart.js"), good).unwrap();
    let edit = |code: &str| {
        let change = Change::Symbol {
            symbol: "total".into(),
            code: code.into(),
        };
        let path = "cart.js".into();
        standard(&dir, Action::Edit { path, change })
    };
    let seen = edit("export function total(prices) {\n  return prices.length +;\n}\n");
    assert_eq!(seen.outcome, StepOutcome::EditFailed);
    assert!(seen.text.contains("line 2"), "{}", seen.text);
    let text = || std::fs::read_to_string(dir.path().join("cart.js")).unwrap();
    assert_eq!(text(), good);
    let seen = edit("export function total(prices) {\n  return prices.length;\n}\n");
    assert_eq!(seen.outcome, StepOutcome::Ok, "{}", seen.text);
    assert_eq!(text(), good.replace(" + 1", ""));
}
