//! The agent against a real model's tokenizer and template, and as a whole
//! with a scripted engine.
//!
//! The real model is found in the models directory (`EGSS_MODELS_DIR`, or the
//! user's); `scripts/fetch-model` puts it there.
#[path = "models/real.rs"]
mod real;

use egss::agent::{
    AgentConfig, CallFormat, ChatMl, Dialect, Executor, GrammarContext, Memory, Segment,
    SplicedDialect, ToolSet, Verdict, call_span, encode, encode_observation, first_prompt, grammar,
    locate_call, parse,
};
use egss::base::{AgentProfile, Purpose, RngKey, SamplerSettings, Thought};
use egss::checkpoint::{ChatTemplate, Checkpoint, Tokenizer};
use egss::decode::GrammarFactory;
use egss::engine::scripted::{Line, ScriptedEngine};
use egss::engine::{Engine, GenerateJob, PrefixCache, Vocabulary};
use egss::index::{Located, RepoView};
use egss::record::{BranchStatus, StepOutcome};
use egss::workspace::{Sandbox, SandboxMode, find_python};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, LazyLock};

struct Real {
    template: ChatTemplate,
    tokenizer: Arc<Tokenizer>,
    grammars: GrammarFactory,
}

static REAL: LazyLock<Real> = LazyLock::new(|| {
    let checkpoint = Checkpoint::open(&real::model_path()).unwrap();
    let tokenizer = Arc::new(checkpoint.tokenizer().unwrap());
    let ids = 0..tokenizer.size() as u32;
    let bytes = ids.clone().map(|id| tokenizer.token_bytes(id).to_vec());
    let bytes: Vec<Vec<u8>> = bytes.collect();
    let special: Vec<bool> = ids.map(|id| tokenizer.is_special(id)).collect();
    let eos = checkpoint.eos_token_ids().unwrap()[0];
    let encoder = tokenizer.clone();
    let encode = move |text: &[u8]| encoder.encode(std::str::from_utf8(text).unwrap());
    Real {
        template: checkpoint.chat_template().unwrap(),
        grammars: GrammarFactory::new(bytes, &special, eos, Arc::new(encode)).unwrap(),
        tokenizer,
    }
});

const CART: &str = "class Cart:\n    def total(self, prices):\n        return sum(prices) + 1\n";
const FIX: &str = "<tool_call>\n{\"name\": \"edit\", \"arguments\": {\"path\": \"cart.py\", \"symbol\": \"Cart.total\"}}\n</tool_call>\n```python\ndef total(self, prices):\n    return sum(prices)\n```";

fn repository() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("cart.py"), CART).unwrap();
    let test = "from cart import Cart\n\ndef test_total():\n    assert Cart().total([2, 3]) == 5\n";
    std::fs::write(dir.path().join("test_cart.py"), test).unwrap();
    dir
}

#[test]
fn the_models_own_template_is_cut_into_chat_ml() {
    let stops = vec!["<|im_end|>".to_string(), "<|endoftext|>".to_string()];
    let cut = SplicedDialect::of(&REAL.template, stops, false).unwrap();
    let chat_ml = ChatMl::default();
    assert_eq!(
        cut.prompt("Rules.", "Issue."),
        chat_ml.prompt("Rules.", "Issue.")
    );
    assert_eq!(cut.observation("Seen."), chat_ml.observation("Seen."));
    assert_eq!(cut.stop_tokens(&*REAL.tokenizer).len(), 2);
}

#[test]
fn rendered_suffixes_are_the_tokens_of_the_whole() {
    let vocabulary: &dyn Vocabulary = &*REAL.tokenizer;
    let dialect = ChatMl::default();
    let mut history = encode(vocabulary, &dialect.prompt("Rules.", "Issue."));
    history.extend(vocabulary.encode_special(&format!("{FIX}<|im_end|>")));
    let (text, last) = ("cart.py was changed.", history.last().copied());
    history.extend(encode_observation(vocabulary, &dialect, text, last));
    let whole = [
        dialect.prompt("Rules.", "Issue."),
        vec![Segment::Template(FIX.into())],
        dialect.observation("cart.py was changed."),
    ];
    let text: String = whole.iter().flatten().map(|s| s.text()).collect();
    assert_eq!(vocabulary.decode(&history), text);
    // A content is encoded apart from the markup around it, so that it cannot
    // forge any: the whole at once is the whole by segments.
    assert_eq!(history, encode(vocabulary, &whole.concat()));
}

#[test]
fn a_tools_name_starts_at_a_token_and_its_delimiter_ends_one() {
    let vocabulary: &dyn Vocabulary = &*REAL.tokenizer;
    for (name, with_delimiter) in ToolSet::full().tool_names_with_delimiter(CallFormat::Hermes) {
        let text = FIX.replace("\"edit\"", &format!("\"{name}\""));
        let tokens = vocabulary.encode_special(&text);
        let call = locate_call(vocabulary, CallFormat::Hermes, &tokens).unwrap();
        let tail = &tokens[call.name_at..];
        let path = vocabulary.encode(&with_delimiter);
        assert_eq!(&tail[..path.len()], path, "{name}");
        assert_eq!(call.arguments.start, call.name_at + path.len());
        let span = call_span(CallFormat::Hermes, &text).unwrap();
        assert_eq!(
            vocabulary.decode(&tokens[call.arguments]),
            text[span.arguments]
        );
    }
}

#[test]
fn the_grammar_forces_all_that_is_not_a_choice() {
    let dir = repository();
    let view = RepoView::read(dir.path(), &BTreeSet::new()).unwrap();
    let vocabulary: &dyn Vocabulary = &*REAL.tokenizer;
    let context = GrammarContext::of(
        &view,
        vocabulary,
        CallFormat::Hermes,
        &AgentProfile::small().limits,
    );
    assert_eq!(context.markers, CallFormat::Hermes.markers());
    let config = AgentConfig::agent(AgentProfile::small());
    let lark = grammar::lark(&config.tools, &Thought::None, &context);
    let mut grammar = REAL.grammars.compile(&lark).unwrap();
    let tokens = vocabulary.encode_special(FIX);
    let mut n_free_before_code = 0;
    let code_at = tokens.len()
        - vocabulary
            .encode("def total(self, prices):\n    return sum(prices)\n```")
            .len();
    for (at, &token) in tokens.iter().enumerate() {
        let forced = grammar.forced();
        if forced.is_empty() {
            n_free_before_code += usize::from(at < code_at);
            assert!(
                grammar.mask().unwrap().allows(token),
                "{at}: {:?}",
                vocabulary.decode(&[token])
            );
        } else {
            assert_eq!(forced[0], token, "{at}: {:?}", vocabulary.decode(&[token]));
        }
        grammar.accept(token).unwrap();
    }
    assert!(grammar.can_stop());
    // The tool, the file, the form, the function.
    assert!(n_free_before_code <= 8, "{n_free_before_code}");
}

/// One trajectory as a search would drive it.
fn drive(texts: &[&str], config: &AgentConfig) -> (Vec<StepOutcome>, BranchStatus, String) {
    let dir = repository();
    let python = find_python(None, Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let sandbox = Sandbox::new(SandboxMode::UnsafeNone, &python).unwrap();
    let executor = Executor::new(&sandbox, config, None);
    let lines = texts.iter().map(|text| Line {
        text: text.to_string(),
        entropy_nats: 0.1,
    });
    let mut engine = ScriptedEngine::from_script(lines.collect());
    let dialect = ChatMl::default();
    let view = RepoView::read(dir.path(), &BTreeSet::new()).unwrap();
    let first = first_prompt(
        config,
        &view,
        &Located::default(),
        "`total` is off by one.",
        engine.vocabulary(),
        &dialect,
        60_000,
    )
    .unwrap();
    let mut history = first.tokens(engine.vocabulary(), &dialect);
    let seq = engine.new_sequence(PrefixCache::Use);
    engine.append(seq, &history, Purpose::Agent).unwrap();
    let mut memory = Memory::default();
    let mut outcomes = Vec::new();
    let state = || std::fs::read_to_string(dir.path().join("cart.py")).unwrap();
    loop {
        let before = state();
        let tools = memory.tools(config, before != CART, 9 - memory.n_steps());
        let view = RepoView::read(dir.path(), &BTreeSet::new()).unwrap();
        let context = GrammarContext::of(
            &view,
            engine.vocabulary(),
            CallFormat::Hermes,
            config.limits(),
        );
        let job = GenerateJob {
            seq,
            sampler: SamplerSettings::GREEDY,
            rng: RngKey::from_seed(1),
            tokens_max: 1_000,
            grammar: Some(grammar::lark(&tools, &config.profile.thought, &context)),
            grammar_prefix: 0,
            stop_tokens: dialect.stop_tokens(engine.vocabulary()),
            first_token_not: vec![],
            distinct: None,
            purpose: Purpose::Agent,
        };
        let said = engine.generate(&[job], &mut |_| {}).unwrap().remove(0);
        let said: Vec<u32> = said.tokens.iter().map(|t| t.token).collect();
        history.extend(&said);
        let text = engine.vocabulary().decode(&said);
        let action = parse(CallFormat::Hermes, &config.tools, &text);
        let observation = match &action {
            Err(error) => executor.unreadable(error),
            Ok(action) => match memory.review(action, &before, before != CART) {
                Verdict::Answer(observation) => observation,
                Verdict::Execute => executor.execute(dir.path(), action).unwrap(),
            },
        };
        let (tool, canonical) = match &action {
            Ok(action) => (Some(action.tool().name()), action.canonical()),
            Err(_) => (None, text),
        };
        memory.note(tool, &canonical, (&before, &state()), observation.outcome);
        outcomes.push(observation.outcome);
        if let Some(status) = memory.status(config) {
            return (outcomes, status, state());
        }
        let (text, last) = (&observation.text, history.last().copied());
        let seen = encode_observation(engine.vocabulary(), &dialect, text, last);
        history.extend(&seen);
        engine.append(seq, &seen, Purpose::Agent).unwrap();
        assert_eq!(
            engine.tokens(seq),
            history,
            "what the engine holds is the history"
        );
    }
}

const VIEW: &str =
    "<tool_call>\n{\"name\": \"view\", \"arguments\": {\"path\": \"cart.py\"}}\n</tool_call>";
const TEST: &str = "<tool_call>\n{\"name\": \"run\", \"arguments\": {\"command\": \"python3 -m pytest -q\"}}\n</tool_call>";
const SUBMIT: &str = "<tool_call>\n{\"name\": \"submit\", \"arguments\": {}}\n</tool_call>";

#[test]
fn a_trajectory_goes_from_a_failing_test_to_a_submitted_fix() {
    use StepOutcome::*;
    let texts = [TEST, VIEW, FIX, TEST, SUBMIT];
    let (outcomes, status, text) = drive(&texts, &AgentConfig::agent(AgentProfile::small()));
    assert_eq!(outcomes, [TestsFailed, Ok, Ok, TestsPassed, Submitted]);
    assert_eq!(status, BranchStatus::Submitted);
    assert_eq!(text, CART.replace(" + 1", ""));
}

#[test]
fn a_model_that_goes_in_circles_is_stopped() {
    use StepOutcome::*;
    // The script ignores that the tool is withheld, as no held model could.
    let (outcomes, status, _) = drive(&[VIEW], &AgentConfig::agent(AgentProfile::small()));
    assert_eq!(outcomes, [Ok, Repeated, Repeated, Repeated]);
    assert_eq!(status, BranchStatus::Stuck);
    let (outcomes, status, _) = drive(
        &["I would fix it."],
        &AgentConfig::agent(AgentProfile::small()),
    );
    assert_eq!(outcomes, [Rejected; 3]);
    assert_eq!(status, BranchStatus::NoToolCall);
}

#[test]
fn one_turn_is_one_step_of_the_same_agent() {
    let (outcomes, status, text) = drive(&[FIX], &AgentConfig::one_turn(AgentProfile::small()));
    assert_eq!(outcomes, [StepOutcome::Ok]);
    assert_eq!(status, BranchStatus::Submitted);
    assert_eq!(text, CART.replace(" + 1", ""));
}
