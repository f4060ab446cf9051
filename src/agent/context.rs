//! The first prompt: rules, tools, the issue, and the files that matter.
use super::AgentError;
use super::call::CallFormat;
use super::chosen::Chosen;
use super::config::{AgentConfig, Role};
use super::dialect::{Dialect, encode};
use super::issue::shown_issue;
use super::location::locations;
use super::map::map;
use super::numbered::numbered;
use super::parse::{DIVIDER_MARK, REPLACE_MARK, SEARCH_MARK};
use super::prompt::{
    FIRST_VIEW, REPRODUCE, SYSTEM, SYSTEM_MAP, SYSTEM_MAP_ONE_TURN, SYSTEM_ONE_TURN, TASK, fill,
};
use super::rank::{identifiers, rank};
use super::tool::{Block, ToolSet, form};
use crate::base::{LimitHit, Location, PromptStyle, ToolForm};
use crate::engine::Vocabulary;
use crate::index::{Located, RepoFile, RepoView};
use crate::lang::Example;

/// Of the files' tokens, what one file may take before only the functions that
/// the issue names are shown of it.
const ONE_FILE_SHARE: f32 = 0.75;

/// Tokens of an issue below which nobody could tell from it what is wrong.
const ISSUE_TOKENS_MIN: usize = 128;

/// What a run starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPrompt {
    /// The program's own words: may hold special tokens.
    pub system: String,
    /// The issue and the files: content.
    pub user: String,
    /// Paths shown whole, the likeliest first.
    pub shown: Vec<String>,
    /// Paths of which only some functions are shown.
    pub excerpted: Vec<String>,
    /// The locations of which the first call views one; empty: it is like any other.
    pub locations: Vec<Location>,
    /// Limits that kept something out.
    pub cuts: Vec<LimitHit>,
}

impl FirstPrompt {
    /// Its tokens, with which every branch begins.
    pub fn tokens(&self, vocabulary: &dyn Vocabulary, dialect: &dyn Dialect) -> Vec<u32> {
        encode(vocabulary, &dialect.prompt(&self.system, &self.user))
    }
}

/// The call that makes the example's change in the first form that is open for it, and
/// the code block behind it.
fn example_edit(tools: &ToolSet, example: &Example, calls: CallFormat) -> (String, String) {
    let edits = tools.forms().iter().find_map(|&open| {
        let n_lines = example.code.lines().count().to_string();
        let arguments = match open {
            ToolForm::EditSymbol => vec![("path", example.path), ("symbol", example.symbol)],
            ToolForm::EditLines => vec![("path", example.path), ("start", "1"), ("end", &n_lines)],
            ToolForm::EditHunks | ToolForm::Write => vec![("path", example.path)],
            _ => return None,
        };
        let call = calls.write(open.tool().name(), &arguments);
        let block = match form(open).block {
            Block::Hunks => {
                let (old, new) = example.change();
                [SEARCH_MARK, &old, DIVIDER_MARK, new, REPLACE_MARK].join("\n")
            }
            Block::Code | Block::None => example.code.to_owned(),
        };
        Some((call, block))
    });
    edits.expect("a profile has a tool that changes files")
}

/// Builds the first prompt. `ctx_tokens` is what one sequence may hold: the
/// files take at most [`AgentLimits::files_tokens_max`](crate::base::AgentLimits) and half
/// of it. Of files those are shown that [the scope](super::Scope::shows) names. `located`
/// says which are the likeliest where the profile's prompt is a map.
///
/// Of an issue that is too long for half of the context a part is shown. Errors: an empty
/// issue, a context that has no room for the rules and a part of the issue.
pub fn first_prompt(
    config: &AgentConfig,
    view: &RepoView,
    located: &Located,
    issue: &str,
    vocabulary: &dyn Vocabulary,
    dialect: &dyn Dialect,
    ctx_tokens: usize,
) -> Result<FirstPrompt, AgentError> {
    let issue = issue.trim();
    if issue.is_empty() {
        return Err(AgentError::EmptyIssue);
    }
    let style = config.profile.prompt;
    let template = match (style, config.role) {
        (PromptStyle::Files, Role::Agent) => SYSTEM,
        (PromptStyle::Files, Role::OneTurn) => SYSTEM_ONE_TURN,
        (PromptStyle::Map, Role::Agent) => SYSTEM_MAP,
        (PromptStyle::Map, Role::OneTurn) => SYSTEM_MAP_ONE_TURN,
    };
    let example = config.language.example();
    let (call, code) = example_edit(&config.tools, &example, dialect.calls());
    let system = fill(
        template,
        &[
            ("tools", &config.tools.describe(&config.test_cmd)),
            ("language", config.language.name()),
            ("call", &call),
            ("path", example.path),
            ("symbol", example.symbol),
            ("fence", config.language.fence()),
            ("code", &code),
        ],
    );
    let locations = locations(config, view, located);
    let closing = match (config.role, locations.len()) {
        (Role::OneTurn, _) => "Make the call.".to_owned(),
        (Role::Agent, 0) => "Make the first call.".to_owned(),
        (Role::Agent, n) => fill(FIRST_VIEW, &[("n", &n.to_string())])
            .trim_end()
            .to_owned(),
    };
    let closing = match config.test_cmd.as_str() {
        command if config.role == Role::Agent && !command.is_empty() => {
            let has_map = config.profile.prompt == PromptStyle::Map;
            let asked = match has_map && !config.is_reproduced {
                true => REPRODUCE,
                false => "",
            };
            format!("The tests are run with: {command}\n{asked}{closing}")
        }
        _ => closing,
    };
    let n_tokens = |text: &str| vocabulary.encode(text).len();
    let rules = n_tokens(&system) + n_tokens(&closing);
    let room = (ctx_tokens / 2).saturating_sub(rules);
    let n_issue = n_tokens(issue);
    if room < ISSUE_TOKENS_MIN.min(n_issue) {
        return Err(AgentError::PromptTooLong {
            tokens: rules + n_issue,
            tokens_max: ctx_tokens / 2,
            ctx_tokens,
        });
    }
    let shown = shown_issue(issue, room, &n_tokens);
    let is_cut = n_issue > room;
    let issue_cut = is_cut.then(|| LimitHit::new("issue_tokens_max", room, n_issue));
    let fixed = rules + n_issue.min(room);
    let limits = config.limits();
    let budget = limits.files_tokens_max.min(ctx_tokens / 2 - fixed / 2);
    let chosen = match style {
        PromptStyle::Files => choose(config, view, issue, budget, &n_tokens),
        PromptStyle::Map => map(config, view, located, budget, &n_tokens),
    };
    let (listing, cut) = match style {
        PromptStyle::Files => listing(view, &chosen, limits.listed_files_max),
        PromptStyle::Map => (String::new(), None),
    };
    let files = match chosen.text.trim_end() {
        "" => "The repository holds no text files.",
        text => text,
    };
    Ok(FirstPrompt {
        user: fill(
            TASK,
            &[
                ("listing", &listing),
                ("files", files),
                ("issue", &shown),
                ("closing", &closing),
            ],
        ),
        system,
        locations,
        shown: chosen.whole,
        excerpted: chosen.part,
        cuts: chosen
            .cuts
            .into_iter()
            .chain(cut)
            .chain(issue_cut)
            .collect(),
    })
}

/// Files as they fit, the likeliest first: whole ones, and of a file too long
/// for its share the functions that the issue names.
fn choose(
    config: &AgentConfig,
    view: &RepoView,
    issue: &str,
    budget: usize,
    n_tokens: &dyn Fn(&str) -> usize,
) -> Chosen {
    let mut chosen = Chosen::default();
    let mut left = budget;
    let mut n_left_out = 0;
    for index in rank(view, issue) {
        let file = &view.files[index];
        if !config.scope.shows(&file.path) {
            continue;
        }
        let Some(text) = file.text.as_deref().filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        // No text has more tokens than bytes, nor fewer than a twentieth of
        // them: a file far too long need not be encoded to be known as such.
        let whole = (text.len() / 20 <= left).then(|| show(config, file, text, 0));
        let fits = |shown: &String, limit: usize| n_tokens(shown) <= limit;
        let share = (budget as f32 * ONE_FILE_SHARE) as usize;
        let limit = if chosen.text.is_empty() {
            left
        } else {
            left.min(share)
        };
        if let Some(shown) = whole.filter(|shown| fits(shown, limit)) {
            left -= n_tokens(&shown);
            chosen.text += &shown;
            chosen.whole.push(file.path.clone());
        } else if let Some(shown) = excerpt(config, file, text, issue)
            && fits(&shown, left)
        {
            left -= n_tokens(&shown);
            chosen.text += &shown;
            chosen.part.push(file.path.clone());
        } else {
            n_left_out += 1;
        }
    }
    if n_left_out > 0 {
        chosen
            .cuts
            .push(LimitHit::unmeasured("files_tokens_max", budget));
    }
    chosen
}

/// A file or some of its lines, fenced, with its name above.
fn show(config: &AgentConfig, file: &RepoFile, text: &str, first_line: usize) -> String {
    let language = file.language().fence();
    let body = match config.profile.line_numbers {
        true => numbered(text, first_line),
        false => format!("{}\n", text.trim_end()),
    };
    format!("{}:\n```{language}\n{body}```\n\n", file.path)
}

/// The functions and classes of a long file that the issue names; without
/// any, an outline. `None` for a file that defines none.
fn excerpt(config: &AgentConfig, file: &RepoFile, text: &str, issue: &str) -> Option<String> {
    if !file.language().is_code() {
        return None;
    }
    let wanted = identifiers(issue);
    let lines: Vec<&str> = text.lines().collect();
    let all = file.symbols();
    let named: Vec<_> = all
        .iter()
        .filter(|s| !s.is_local && wanted.contains(s.name.as_str()))
        .collect();
    if named.is_empty() {
        let outline: String = all
            .iter()
            .filter(|s| !s.is_local)
            .map(|s| {
                format!(
                    "{}  # lines {} to {}\n",
                    lines[s.header],
                    s.lines.start + 1,
                    s.lines.end
                )
            })
            .collect();
        return (!outline.is_empty()).then(|| {
            let label = file.language().fence();
            format!(
                "{} (outline only):\n```{label}\n{outline}```\n\n",
                file.path
            )
        });
    }
    let mut shown = String::new();
    let mut last_end = 0;
    for symbol in named {
        if symbol.lines.start < last_end {
            continue; // within a class that was shown
        }
        last_end = symbol.lines.end;
        let part = lines[symbol.lines.clone()].join("\n");
        let part = show(config, file, &part, symbol.lines.start);
        let heading = format!(
            "{} (lines {} to {} of {}):",
            file.path,
            symbol.lines.start + 1,
            symbol.lines.end,
            lines.len()
        );
        shown += &part.replacen(&format!("{}:", file.path), &heading, 1);
    }
    Some(shown)
}

/// Names of the files, unless all of them are shown anyway.
fn listing(view: &RepoView, chosen: &Chosen, files_max: usize) -> (String, Option<LimitHit>) {
    let unseen = view
        .files
        .iter()
        .any(|f| !chosen.whole.contains(&f.path) && f.text.as_deref() != Some(""));
    if !unseen {
        return (String::new(), None);
    }
    let paths: Vec<&str> = view.files.iter().map(|f| f.path.as_str()).collect();
    let mut listed = paths[..paths.len().min(files_max)].join("\n");
    let mut cut = None;
    if paths.len() > files_max {
        listed += &format!("\n... and {} more", paths.len() - files_max);
        cut = Some(LimitHit::new("listed_files_max", files_max, paths.len()));
    }
    (format!("Files:\n{listed}\n\n"), cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::dialect::ChatMl;
    use crate::base::AgentProfile;
    use crate::engine::scripted::ByteVocabulary;
    use crate::index::{Index, Weights};

    fn view(files: &[(&str, &str)]) -> RepoView {
        let file = |(path, text): &(&str, &str)| RepoFile {
            path: path.to_string(),
            text: Some((*text).into()),
        };
        RepoView {
            files: files.iter().map(file).collect(),
        }
    }

    fn prompt(
        config: &AgentConfig,
        view: &RepoView,
        ctx: usize,
    ) -> Result<FirstPrompt, AgentError> {
        let vocabulary = ByteVocabulary::chat_ml();
        let issue = "`total` is wrong.\n";
        let located = Index::of(view).locate(view, issue, &Weights::default());
        first_prompt(
            config,
            view,
            &located,
            issue,
            &vocabulary,
            &ChatMl::default(),
            ctx,
        )
    }

    const CART: &str = "def total(xs):\n    return sum(xs) + 1\n";

    #[test]
    fn an_agent_is_asked_for_a_reproduction_where_the_issue_gives_none() {
        let view = view(&[("cart.py", CART)]);
        let asks = |profile: AgentProfile, is_reproduced, test_cmd: &str| {
            let config = AgentConfig {
                is_reproduced,
                test_cmd: test_cmd.to_owned(),
                ..AgentConfig::agent(profile)
            };
            let prompt = prompt(&config, &view, 20_000).unwrap();
            prompt.user.contains("write a new test file")
        };
        assert!(asks(AgentProfile::standard(), false, "pytest"));
        assert!(!asks(AgentProfile::standard(), true, "pytest"));
        assert!(
            !asks(AgentProfile::standard(), false, ""),
            "nothing runs it"
        );
        assert!(!asks(AgentProfile::small(), false, "pytest"));
    }

    #[test]
    fn the_example_is_an_edit_in_a_form_that_is_open() {
        let view = view(&[("cart.py", CART)]);
        let shown = |forms: &[ToolForm]| {
            let profile = AgentProfile {
                tools: [forms, &[ToolForm::Submit]].concat(),
                ..AgentProfile::standard()
            };
            let config = AgentConfig {
                language: crate::lang::of_path("a.py"),
                ..AgentConfig::agent(profile)
            };
            let system = prompt(&config, &view, 20_000).unwrap().system;
            let at = system.rfind("<tool_call>").unwrap();
            let text = system[at..].to_owned();
            crate::agent::parse(CallFormat::Hermes, &config.tools, &text).expect(&text)
        };
        for form in [
            ToolForm::EditSymbol,
            ToolForm::EditLines,
            ToolForm::EditHunks,
            ToolForm::Write,
        ] {
            let action = shown(&[ToolForm::View, form]);
            assert_eq!(action.tool(), form.tool());
        }
        let hunks = format!("{:?}", shown(&[ToolForm::EditHunks]));
        assert!(hunks.contains("width + height") && hunks.contains("width * height"));
    }

    #[test]
    fn a_small_repository_is_shown_whole() {
        let view = view(&[("cart.py", CART), ("empty.py", "")]);
        let first = prompt(&AgentConfig::agent(AgentProfile::small()), &view, 20_000).unwrap();
        assert!(
            first
                .user
                .contains(&format!("cart.py:\n```python\n{CART}```"))
        );
        assert!(!first.user.contains("Files:"), "all of them are shown");
        assert!(first.system.contains("- submit(): ") && first.system.contains("<tool_call>"));
        assert_eq!(first.shown, ["cart.py"]);
        let one_turn =
            prompt(&AgentConfig::one_turn(AgentProfile::small()), &view, 20_000).unwrap();
        assert!(!one_turn.system.contains("submit"));
        assert!(one_turn.user.contains(CART));
    }

    #[test]
    fn of_a_large_repository_what_fits_and_matters_is_shown() {
        let long: String = (0..400)
            .map(|n| format!("def f{n}():\n    return {n}\n\n"))
            .collect();
        let big = format!("{long}{CART}");
        let view = view(&[("big.py", &big), ("other.py", &long), ("z.py", "Z = 1\n")]);
        let first = prompt(&AgentConfig::agent(AgentProfile::small()), &view, 8_192).unwrap();
        assert_eq!(first.excerpted, ["big.py"]);
        assert!(first.user.contains("big.py (lines 1201 to 1202 of 1202):"));
        assert!(first.user.contains("Files:\nbig.py\nother.py\nz.py\n"));
        assert!(first.shown.contains(&"z.py".to_string()));
        assert!(first.user.len() + first.system.len() < 8_192);
        let limits: Vec<&str> = first.cuts.iter().map(|cut| cut.limit.as_str()).collect();
        assert_eq!(limits, ["files_tokens_max"]);
    }

    #[test]
    fn the_standard_profile_gets_a_map_with_what_the_issue_names() {
        let long: String = (0..400)
            .map(|n| format!("def f{n}():\n    return {n}\n\n"))
            .collect();
        let view = view(&[
            ("docs/index.md", "# Shop\n"),
            ("shop/big.py", &format!("{long}{CART}")),
            (
                "shop/other.py",
                "class Other:\n    def g(self):\n        return 1\n",
            ),
        ]);
        let profile = AgentProfile::standard().in_context(32_768);
        let first = prompt(&AgentConfig::agent(profile), &view, 32_768).unwrap();
        assert!(
            first
                .user
                .starts_with("The repository has 3 files:\nshop/big.py (1202 lines)\n")
        );
        // The outline of the file that holds it is too long: the likeliest of it is shown.
        for part in [" 1201| def total(xs):\n", "more definitions\n"] {
            assert!(first.user.contains(part), "{}", first.user);
        }
        assert!(
            first
                .user
                .contains("shop/other.py (3 lines)\n    1| class Other:\n    2|   def g(self):\n")
        );
        assert!(
            first
                .user
                .contains("shop/big.py, lines 1201 to 1202:\n```python\n1201| def total(xs):\n")
        );
        for tool in ["list(path)", "view(path, start, end)", "undo()"] {
            assert!(first.system.contains(tool), "{tool}");
        }
        assert!(first.cuts.is_empty(), "{:?}", first.cuts);
    }

    #[test]
    fn long_paths_leave_the_map_room_for_code() {
        let folder = "module/src/main/java/org/example/shop/inventory";
        let paths: Vec<String> = (0..150)
            .map(|n| format!("{folder}/part{n}/InventoryReportGenerator{n}.java"))
            .collect();
        let mut files: Vec<(&str, &str)> = paths.iter().map(|p| (p.as_str(), "")).collect();
        files.push(("cart.py", CART));
        let config = |ctx: usize| AgentConfig::agent(AgentProfile::standard().in_context(ctx));
        // Tokens are bytes here: a quarter of the context is the map's.
        let first = prompt(&config(8_192), &view(&files), 8_192).unwrap();
        assert!(first.user.contains("The repository has 151 files:"));
        assert!(first.user.contains("1| def total(xs):"), "{}", first.user);
        assert_eq!(first.cuts[0].limit, "listed_files_max");
        assert!(first.user.len() < 4_096, "{}", first.user.len());
    }

    #[test]
    fn of_an_issue_that_is_too_long_a_part_is_shown_and_an_empty_one_is_refused() {
        let config = AgentConfig::agent(AgentProfile::small());
        let first = |issue: &str, ctx_tokens| {
            let (view, vocabulary) = (RepoView::default(), ByteVocabulary::chat_ml());
            let dialect = ChatMl::default();
            let none = Located::default();
            first_prompt(
                &config,
                &view,
                &none,
                issue,
                &vocabulary,
                &dialect,
                ctx_tokens,
            )
        };
        let long = format!("`total` is wrong.\n{}\nIt should be 3.", "x".repeat(5_000));
        let shown = first(&long, 4_096).unwrap();
        assert!(
            shown.user.contains("`total` is wrong.\nxxx"),
            "{}",
            shown.user
        );
        assert!(
            shown.user.contains("xxx\nIt should be 3.\n"),
            "{}",
            shown.user
        );
        assert_eq!(shown.cuts[0].limit, "issue_tokens_max");
        assert!(matches!(first(" \n", 4_096), Err(AgentError::EmptyIssue)));
        // Tokens are bytes here: the rules alone take more than half.
        let refused = first(&long, 1_024).unwrap_err().to_string();
        assert!(
            refused.contains("half of the context (512 of 1024)"),
            "{refused}"
        );
    }
}
