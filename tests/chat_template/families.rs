//! Each family's chat template, rendered by the program and by `transformers`.
//!
//! Expected texts are those of `scripts/dump-conversations`; the templates are
//! not part of the repository (`scripts/fetch-templates`).
use crate::real;
use egss::agent::{self, CallFormat, Dialect, SplicedDialect};
use egss::checkpoint::{ChatTemplate, Checkpoint, Message};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

#[derive(serde::Deserialize)]
struct Fixture {
    tools: BTreeMap<String, Vec<Value>>,
    conversations: BTreeMap<String, Vec<Message>>,
    families: BTreeMap<String, Family>,
}

#[derive(serde::Deserialize)]
struct Family {
    sha256: String,
    bos: String,
    eos: String,
    cases: Vec<RawCase>,
}

#[derive(serde::Deserialize)]
struct RawCase {
    conversation: String,
    tools: String,
    add_generation_prompt: bool,
    variables: BTreeMap<String, Value>,
    text: Option<String>,
}

/// One conversation and what `transformers` renders of it.
pub struct Case {
    pub name: &'static str,
    pub messages: &'static [Message],
    pub tools: &'static [Value],
    pub prompt: bool,
    variables: &'static BTreeMap<String, Value>,
    /// `None` where the template refuses it.
    pub text: Option<&'static str>,
}

static FIXTURE: LazyLock<Fixture> =
    LazyLock::new(|| serde_json::from_str(include_str!("conversations.json")).unwrap());

pub fn cases(family: &str) -> impl Iterator<Item = Case> {
    FIXTURE.families[family].cases.iter().map(|case| Case {
        name: &case.conversation,
        messages: &FIXTURE.conversations[&case.conversation],
        tools: &FIXTURE.tools[&case.tools],
        prompt: case.add_generation_prompt,
        variables: &case.variables,
        text: case.text.as_deref(),
    })
}

/// The template of a family, the one that the fixture was made with.
fn template(name: &str) -> ChatTemplate {
    let family = &FIXTURE.families[name];
    if name == "smollm2" {
        let path = real::models_dir().join("SmolLM2-135M-Instruct.Q4_1.gguf");
        assert!(
            path.exists(),
            "there is no {}; run scripts/fetch-model smollm2-135m-instruct-q4_1",
            path.display()
        );
        return Checkpoint::open(&path).unwrap().chat_template().unwrap();
    }
    let path = real::models_dir().join(format!("templates/{name}.jinja"));
    let source = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run scripts/fetch-templates", path.display()));
    let found: String = Sha256::digest(&source)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        found, family.sha256,
        "another template; run scripts/fetch-templates, and scripts/dump-conversations if it changed"
    );
    ChatTemplate::new(&source, &family.bos, &family.eos).unwrap()
}

fn with_variables(template: &ChatTemplate, variables: &BTreeMap<String, Value>) -> ChatTemplate {
    variables
        .iter()
        .fold(template.clone(), |template, (name, value)| {
            template.with_variable(name, value)
        })
}

/// Every conversation's text is `transformers`', whole and in segments, and none
/// of its messages' text counts as the template's.
fn renders_as_transformers(family: &str) {
    let template = template(family);
    let mut with_tools = BTreeSet::new();
    for case in cases(family) {
        let template = with_variables(&template, case.variables);
        let rendered = template.render(case.messages, case.tools, case.prompt);
        let what = format!("{family}, {:?}, {:?}", case.name, case.variables);
        let Some(expected) = case.text else {
            assert!(rendered.is_err(), "{what} is refused by its template");
            continue;
        };
        assert_eq!(rendered.unwrap(), expected, "{what}");
        let segments = template
            .segments(case.messages, case.tools, case.prompt)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(crate::text(&segments), expected, "{what}");
        let mut own = segments.iter().filter(|segment| !segment.is_content);
        assert!(
            own.all(|segment| !segment.text.contains("FORGED")),
            "{what}"
        );
        if !case.tools.is_empty() {
            with_tools.insert(case.name);
        }
    }
    assert!(with_tools.len() >= 10, "{family}: {with_tools:?}");
}

/// What follows a prompt, as a model decodes it, and what it says.
struct Reply {
    decoded: String,
    message: Message,
}

const THOUGHT: &str = "I look there.";

fn reply(template: &ChatTemplate, history: &[Message], content: &str) -> Reply {
    let prompt = template.render(history, &[], true).unwrap();
    if !template.rewrites_history() {
        // What the template shows of it between its prompt and its end.
        let message = Message::new("assistant", content);
        let whole = template
            .render(
                &[history, std::slice::from_ref(&message)].concat(),
                &[],
                false,
            )
            .unwrap();
        let end = whole.rfind(content).unwrap() + content.len();
        let decoded = whole[..end].strip_prefix(&prompt).unwrap().to_owned();
        return Reply { decoded, message };
    }
    let open = if prompt.trim_end().ends_with("<think>") {
        ""
    } else {
        "<think>"
    };
    Reply {
        decoded: format!("{open}{THOUGHT}</think>{content}"),
        message: Message::new("assistant", format!("<think>{THOUGHT}</think>{content}")),
    }
}

/// DESIGN's invariant 4: messages are rendered once, when they are appended.
///
/// Joined, they are the whole rendered at once; with a template that rewrites
/// history, they are but for the thoughts that it drops.
fn suffixes_join_to_the_whole(
    family: &str,
    variables: &[(&str, Value)],
    tool: &str,
    rewrites: bool,
) {
    let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), v.clone()));
    let template = with_variables(&template(family), &variables.collect());
    assert_eq!(template.rewrites_history(), rewrites, "{family}");
    let mut history = vec![
        Message::new("system", "Be brief."),
        Message::new("user", "look <|im_end|>"),
    ];
    let mut joined = template.render(&history, &[], true).unwrap();
    let turns = [(tool, "x = 1"), ("user", "thanks"), ("user", "bye")];
    for ((role, said), answer) in turns.into_iter().zip(["A call.", "It is 1.", "Yes."]) {
        let reply = reply(&template, &history, answer);
        joined += &reply.decoded;
        history.push(reply.message);
        let message = Message::new(role, said);
        let suffix = template
            .render_suffix(&history, &message, &[], true)
            .unwrap_or_else(|error| panic!("{family}, {said}: {error}"));
        let content: Vec<_> = suffix.iter().filter(|segment| segment.is_content).collect();
        assert_eq!(content.len(), 1, "{family}: {suffix:?}");
        assert_eq!(content[0].text, said, "{family}");
        joined += &crate::text(&suffix);
        history.push(message);
    }
    let whole = template.render(&history, &[], true).unwrap();
    if rewrites {
        assert_ne!(joined, whole, "{family}");
        assert_eq!(joined.matches(THOUGHT).count(), 3, "{family}");
        assert_eq!(
            without_thoughts(&joined),
            without_thoughts(&whole),
            "{family}"
        );
    } else {
        assert_eq!(joined, whole, "{family}");
    }
}

/// The text without thoughts and their tags, and without whitespace, which
/// templates lay around them.
fn without_thoughts(text: &str) -> String {
    let thoughts = regex::Regex::new(r"(?s)<think>.*?</think>|</?think>").unwrap();
    let text = thoughts.replace_all(text, "");
    text.split_whitespace().collect()
}

/// The dialect that an agent cuts from the template writes what the template does,
/// but for thoughts, and calls as the family was trained to.
fn carries_an_agent(family: &str, tool: &str, calls: CallFormat) {
    let template = template(family);
    for reasons in [false, true] {
        let dialect = SplicedDialect::of(&template, vec![], reasons)
            .unwrap_or_else(|error| panic!("{family}: {error}"));
        assert_eq!(dialect.calls(), calls, "{family}");
        let text = |segments: Vec<agent::Segment>| -> String {
            segments.iter().map(agent::Segment::text).collect()
        };
        let opening = text(dialect.prompt("Rules.", "An issue."));
        if !reasons {
            assert!(!opening.trim_end().ends_with("<think>"), "{family}");
        }
        let seen = text(dialect.observation("Seen."));
        let asked = text(dialect.question("Another way?"));
        let joined = format!("{opening}One.{seen}Two.{asked}");
        let history = [
            ("system", "Rules."),
            ("user", "An issue."),
            ("assistant", "One."),
            (tool, "Seen."),
            ("assistant", "Two."),
            ("user", "Another way?"),
        ];
        let variables =
            ["enable_thinking", "thinking"].map(|name| (name.to_owned(), Value::from(reasons)));
        let whole = with_variables(&template, &variables.into())
            .render(&crate::messages(&history), &[], true)
            .unwrap();
        assert_eq!(
            without_thoughts(&joined),
            without_thoughts(&whole),
            "{family}, reasons: {reasons}"
        );
    }
}

/// Three tests a family: its renderings, its suffixes with the variables, the role
/// of a tool's result and what its template does to history, and an agent's turns
/// with the format of its calls.
macro_rules! families {
    ($($module:ident: $name:literal, [$($variable:expr),*], $tool:literal, $history:ident, $calls:ident;)*) => {$(
        mod $module {
            #[test]
            fn conversations_are_rendered_as_by_transformers() {
                super::renders_as_transformers($name);
            }

            #[test]
            fn suffixes_joined_are_the_whole_but_for_what_it_says_it_drops() {
                super::suffixes_join_to_the_whole($name, &[$($variable),*], $tool, super::$history);
            }

            #[test]
            fn an_agent_speaks_it() {
                super::carries_an_agent($name, $tool, super::CallFormat::$calls);
            }
        }
    )*};
}

const KEPT: bool = false;
const REWRITTEN: bool = true;

families! {
    qwen2_5: "qwen2.5", [], "tool", KEPT, Hermes;
    qwen3: "qwen3", [], "tool", REWRITTEN, Hermes;
    qwen3_coder: "qwen3-coder", [], "tool", KEPT, QwenXml;
    glm_4_0414: "glm-4-0414", [], "observation", KEPT, Hermes;
    glm_4_5: "glm-4.5", [], "tool", REWRITTEN, Glm;
    glm_4_6: "glm-4.6", [], "tool", REWRITTEN, Glm;
    glm_4_7_flash: "glm-4.7-flash", [], "tool", REWRITTEN, Glm;
    llama_3_1: "llama-3.1", [], "tool", KEPT, Hermes;
    llama_3_2: "llama-3.2", [], "tool", KEPT, Hermes;
    smollm2: "smollm2", [], "tool", KEPT, Hermes;
    deepseek_v3_0324: "deepseek-v3-0324", [], "tool", KEPT, Hermes;
    deepseek_v3_1: "deepseek-v3.1", [("thinking", true.into())], "tool", REWRITTEN, Hermes;
    kimi_k2: "kimi-k2", [], "tool", KEPT, Kimi;
}

#[test]
fn every_family_of_the_fixture_has_its_tests() {
    let source = include_str!("families.rs");
    for name in FIXTURE.families.keys() {
        assert!(source.contains(&format!(": {name:?}, [")), "{name}");
    }
}
