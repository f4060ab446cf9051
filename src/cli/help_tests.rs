//! Help and documents are held against the flags that there are.
use super::command;
use super::heading::ADVANCED;
use super::tests::leaves;
use crate::base::AgentProfile;
use crate::search::STRATEGY_NAMES;
use clap::{Arg, Command};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Flags of `egss solve -h` at most, beside -h itself: more are no summary.
const SHORT_FLAGS_MAX: usize = 25;
/// Columns of `egss solve -h` at most.
const SHORT_COLUMNS_MAX: usize = 100;
const SENTENCES_MAX: usize = 2;

/// Flags of other programs that documents name by themselves.
const OF_OTHERS: [&str; 1] = ["--index"];

fn built(path: &[&str]) -> Command {
    let mut command = command();
    command.build();
    let found = path.iter().try_fold(&command, |at, name| {
        at.get_subcommands().find(|sub| sub.get_name() == *name)
    });
    found.expect("a command").clone()
}

/// The flags without -h.
fn flags(command: &Command) -> Vec<&Arg> {
    let flags = command.get_arguments();
    flags
        .filter(|arg| arg.get_long().is_some_and(|long| long != "help"))
        .collect()
}

fn help(arg: &Arg) -> String {
    let help = arg.get_long_help().or(arg.get_help());
    help.map(ToString::to_string).unwrap_or_default()
}

#[test]
fn each_flag_of_a_command_has_a_heading_or_none_has() {
    let command = command();
    for (path, leaf) in leaves(&[], &command) {
        let flags = flags(leaf);
        let without = flags.iter().filter(|arg| arg.get_help_heading().is_none());
        let without: Vec<_> = without.map(|arg| arg.get_id()).collect();
        assert!(
            without.is_empty() || without.len() == flags.len(),
            "{path:?}: {without:?}"
        );
    }
    let solve = built(&["solve"]);
    assert!(
        flags(&solve)
            .iter()
            .all(|arg| arg.get_help_heading().is_some())
    );
}

#[test]
fn the_short_help_of_solve_fits_a_screen() {
    let mut solve = built(&["solve"]);
    let shown = flags(&solve);
    let shown: Vec<_> = (shown.iter())
        .filter(|arg| !arg.is_hide_short_help_set())
        .collect();
    assert!(shown.len() <= SHORT_FLAGS_MAX, "{} flags", shown.len());
    assert!(
        shown
            .iter()
            .all(|arg| arg.get_help_heading() != Some(ADVANCED))
    );
    let text = solve.render_help().to_string();
    for line in text.lines() {
        assert!(line.chars().count() <= SHORT_COLUMNS_MAX, "{line}");
    }
    assert!(!text.contains(ADVANCED), "{text}");
    let long = solve.render_long_help().to_string();
    for arg in flags(&solve) {
        assert!(long.contains(&format!("--{}", arg.get_long().unwrap())));
    }
    // Behind all others, whatever the order of the groups.
    let mut headings = long
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '));
    assert_eq!(headings.next_back(), Some("Advanced:"));
}

#[test]
fn help_has_two_sentences_at_most_beside_the_default() {
    let default = Regex::new(r"(?s)\[default: .*?\]").unwrap();
    let command = command();
    for (path, leaf) in leaves(&[], &command) {
        for arg in flags(leaf) {
            let name = arg.get_long().unwrap();
            let help = help(arg);
            let text = default.replace(&help, "").replace("\n\n", ". ");
            let sentences = text.split(". ").filter(|part| !part.trim().is_empty());
            let n = sentences.count();
            assert!(
                (1..=SENTENCES_MAX).contains(&n),
                "{path:?} --{name}: {help}"
            );
            let first = help.split(' ').next().unwrap_or_default();
            assert!(
                !["What", "Who", "Where"].contains(&first),
                "{path:?} --{name}"
            );
        }
    }
}

/// The figures of the built-in profiles stand in the help.
#[test]
fn help_gives_the_limits_of_the_built_in_profiles() {
    let solve = built(&["solve"]);
    let limits = |profile: AgentProfile| {
        let limits = profile.limits;
        [
            limits.tokens_max,
            limits.steps_max.into(),
            limits.action_tokens_max as u64,
            limits.reasoning_tokens_max as u64,
        ]
    };
    let flags = [
        "tokens_max",
        "steps_max",
        "action_tokens_max",
        "reasoning_tokens_max",
    ];
    let limits = limits(AgentProfile::small())
        .into_iter()
        .zip(limits(AgentProfile::standard()));
    for (flag, (small, standard)) in flags.into_iter().zip(limits) {
        let flag = solve.get_arguments().find(|arg| arg.get_id() == flag);
        let help = help(flag.expect("a flag"));
        let figures = format!("small {small}, standard {standard}");
        assert!(
            help.replace('\n', " ").contains(&figures),
            "{help}: {figures}"
        );
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents: README and those in docs/, then the ones for people who change the program.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> = files(&root().join("docs"));
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    let at_root = ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"];
    paths.extend(at_root.map(|name| root().join(name)));
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a document");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Code in a document: lines of fenced blocks, each with those that continue it, and spans.
fn code(text: &str) -> Vec<String> {
    let span = Regex::new(r"`([^`]+)`").unwrap();
    let mut found = Vec::new();
    let (mut prose, mut is_fenced) = (String::new(), false);
    let joined = text.replace("\\\n", " ");
    for line in joined.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced {
            found.push(line.to_owned());
        } else {
            prose += line;
            prose.push('\n');
        }
    }
    let spans = span.captures_iter(&prose);
    found.extend(spans.map(|span| span[1].replace('\n', " ")));
    found
}

/// The flags that code gives to `egss`, each with the command.
fn egss_flags(code: &str) -> Vec<(Vec<String>, String)> {
    let program = Regex::new(r"(^|[\s/])egss (?P<rest>[a-z].*)$").unwrap();
    let Some(found) = program.captures(code) else {
        return Vec::new();
    };
    let rest = found["rest"].split(['|', '#', ';', '&', '>']).next();
    let words: Vec<&str> = rest.unwrap_or_default().split_whitespace().collect();
    let is_command = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase());
    let path = words.iter().take_while(is_command);
    let path: Vec<String> = path.map(|word| (*word).to_owned()).collect();
    let flags = flags_in(words.into_iter());
    flags.map(|flag| (path.clone(), flag)).collect()
}

/// The flags among the words, but for those of a command inside quotes.
fn flags_in<'a>(words: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    let mut is_quoted = false;
    words.filter_map(move |word| {
        let flag = flag_of(word).filter(|_| !is_quoted);
        is_quoted ^= word.matches(['"', '\'']).count() % 2 == 1;
        flag
    })
}

/// `--ctx` of `--ctx=4096`.
fn flag_of(word: &str) -> Option<String> {
    let name = word.strip_prefix("--")?;
    let end = name.find(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    let name = &name[..end.unwrap_or(name.len())];
    (!name.is_empty()).then(|| format!("--{name}"))
}

/// The command that the first words name; the others are its values.
fn named<'a>(command: &'a Command, path: &[String]) -> Option<&'a Command> {
    let mut at = command;
    for name in path {
        match at.get_subcommands().find(|sub| sub.get_name() == name) {
            Some(sub) => at = sub,
            None => break,
        }
    }
    (at.get_name() != command.get_name()).then_some(at)
}

fn has(command: &Command, flag: &str) -> bool {
    let is_it = |arg: &Arg| {
        arg.get_long()
            .is_some_and(|long| flag == format!("--{long}"))
    };
    command.get_arguments().any(is_it)
}

#[test]
fn documents_give_each_command_only_flags_that_it_has() {
    let command = built(&[]);
    let mut n_checked = 0;
    for (path, text) in documents() {
        for code in code(&text) {
            for (words, flag) in egss_flags(&code) {
                let Some(command) = named(&command, &words) else {
                    continue;
                };
                assert!(has(command, &flag), "{}: {flag} in {code}", path.display());
                n_checked += 1;
            }
        }
    }
    assert!(n_checked > 50, "{n_checked} were checked");
}

/// A flag by itself is of some command of egss, or of a script.
#[test]
fn documents_name_only_flags_that_there_are() {
    let command = command();
    let leaves = leaves(&[], &command);
    let scripts = files(&root().join("scripts"));
    let scripts = scripts
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let scripts: String = scripts.collect();
    let of_scripts = Regex::new(r"--[a-z][a-z-]*").unwrap();
    let of_scripts: BTreeSet<&str> = of_scripts.find_iter(&scripts).map(|m| m.as_str()).collect();
    for (path, text) in documents() {
        // It describes the inside, and gives flags with their commands.
        if path.ends_with("ARCHITECTURE.md") {
            continue;
        }
        for code in code(&text).iter().filter(|code| code.starts_with("--")) {
            for flag in flags_in(code.split_whitespace()) {
                let is_known = leaves.iter().any(|(_, leaf)| has(leaf, &flag))
                    || ["--help", "--version"].contains(&&*flag)
                    || of_scripts.contains(&*flag)
                    || OF_OTHERS.contains(&&*flag);
                assert!(is_known, "{}: {flag}", path.display());
            }
        }
    }
}

#[test]
fn documents_name_each_strategy() {
    let documents = documents();
    for name in STRATEGY_NAMES {
        let as_number = name.replace("of-n", "of-4");
        let is_named = documents.iter().any(|(_, text)| {
            let names = [format!("`{name}`"), format!("`{as_number}`")];
            names.iter().any(|name| text.contains(name))
        });
        assert!(is_named, "{name}");
    }
}
