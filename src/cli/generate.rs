//! `egss generate`: text with the entropy of every token.
use super::common::{CTX_TOKENS, Meter, ModelArgs};
use super::drafts::DraftArgs;
use super::{heading, out, values};
use crate::base::{Purpose, RngKey, SamplerSettings, TokenEntropy, Utf8Decoder};
use crate::checkpoint::{Grouped, Message, Tokenizer};
use crate::engine::{Engine, Finish, GenerateJob, Generated, PrefixCache};
use crate::report::decoding;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::io::Read;
use std::path::PathBuf;

/// Continues a prompt.
#[derive(Args)]
pub struct GenerateArgs {
    /// The prompt; `-` reads standard input.
    prompt: String,
    /// Take the prompt as it is, without the model's chat template.
    #[arg(long, help_heading = heading::INPUT)]
    raw: bool,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drafts: DraftArgs,
    /// Tokens to generate at most.
    #[arg(
        long,
        short = 'n',
        value_name = "N",
        help_heading = heading::SAMPLING,
        default_value_t = 256,
        value_parser = values::positive::<usize>
    )]
    tokens: usize,
    /// Branches forked off the prompt, with different first tokens.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::SAMPLING,
        default_value_t = 1,
        value_parser = branches
    )]
    branches: usize,
    /// Temperature; 0 takes the most likely token.
    #[arg(
        long,
        value_name = "T",
        help_heading = heading::SAMPLING,
        default_value_t = 0.0,
        value_parser = values::temperature
    )]
    temperature: f32,
    /// Keep the most likely tokens up to this probability in sum; 1 keeps all.
    #[arg(
        long,
        value_name = "P",
        help_heading = heading::SAMPLING,
        default_value_t = 1.0,
        value_parser = values::fraction
    )]
    top_p: f32,
    /// Keep the N most likely tokens; 0 keeps all.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::SAMPLING,
        default_value_t = 0,
        value_parser = values::whole::<usize>
    )]
    top_k: usize,
    /// Drop tokens below this fraction of the highest probability; 0 keeps all.
    #[arg(
        long,
        value_name = "P",
        help_heading = heading::SAMPLING,
        default_value_t = 0.0,
        value_parser = values::fraction
    )]
    min_p: f32,
    /// Seed of all random draws.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::SAMPLING,
        default_value_t = 0,
        value_parser = values::seed
    )]
    seed: u64,
    /// Lark grammar (llguidance's dialect) that the text must follow.
    #[arg(long, value_name = "FILE", help_heading = heading::SAMPLING)]
    grammar: Option<PathBuf>,
    /// One JSON object a branch instead of text.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

impl GenerateArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let prompt = self.prompt_text()?;
        let grammar = self.grammar.as_ref().map(|path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the grammar {}", path.display()))
        });
        let grammar = grammar.transpose()?;
        // Raw text needs no chat template.
        let mut opened = match self.raw {
            true => self.model.open_named(self.model.named()?, 1, CTX_TOKENS)?,
            false => self.model.open_for(1, CTX_TOKENS)?,
        };
        self.drafts.apply(&mut opened);
        let tokens = if self.raw {
            opened.engine.vocabulary().encode_special(&prompt)
        } else {
            let message = Message::new("user", prompt);
            opened
                .template
                .render_tokens(opened.engine.tokenizer(), &[message], &[], true)?
        };
        if tokens.is_empty() {
            bail!("the prompt is empty");
        }
        let engine = &mut opened.engine;
        let trunk = engine.new_sequence(PrefixCache::Use);
        engine.append(trunk, &tokens, Purpose::Agent)?;
        let mut meter = Meter::new("prefill");
        engine.compute(&[trunk], Purpose::Agent, &mut |progress| {
            meter.show(&progress)
        })?;
        drop(meter);

        let first_tokens = engine.likely_next(trunk, self.branches);
        let sampler = SamplerSettings {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
        };
        let root = RngKey::from_seed(self.seed);
        let mut jobs = Vec::new();
        for branch in 0..self.branches {
            let seq = if branch == 0 {
                trunk
            } else {
                engine.fork(trunk, tokens.len(), Purpose::Agent)
            };
            jobs.push(GenerateJob {
                seq,
                sampler,
                rng: root.split(branch as u64),
                tokens_max: self.tokens,
                grammar: grammar.clone(),
                grammar_prefix: 0,
                stop_tokens: opened.stop_tokens.clone(),
                // Branch b avoids the b likeliest first tokens: no two are the same.
                first_token_not: first_tokens[..branch.min(first_tokens.len())].to_vec(),
                distinct: None,
                purpose: Purpose::Agent,
            });
        }
        let live = self.branches == 1 && !self.json;
        let mut meter = Meter::new("decode");
        let tokenizer = engine.tokenizer().clone();
        let mut painter = Painter::new(&tokenizer);
        let generated = engine.generate(&jobs, &mut |progress| {
            if live {
                let tokens = progress.new_tokens.iter();
                let text: String = tokens.map(|(_, token)| painter.text(token)).collect();
                if let Err(error) = out::print(&text) {
                    // An engine's step cannot be stopped from its progress.
                    out::end_at(error);
                }
            } else {
                meter.show(&progress);
            }
        })?;
        drop(meter);
        if live {
            out::print_line(painter.finish())?;
        } else {
            for (branch, generated) in generated.iter().enumerate() {
                out::print_line(&self.shown(branch, generated, &tokenizer))?;
            }
        }
        if !self.json {
            self.note_ends(&generated, opened.engine.context_max());
        }
        let usage = opened.engine.usage().total();
        out::note(&format!(
            "{} tokens decoded, {} computed, {} reused, {} forks, {} blocks copied, {:.1} s",
            usage.decoded_tokens,
            usage.computed_tokens,
            usage.reused_tokens,
            usage.forks,
            usage.blocks_copied,
            usage.wall_ms as f64 / 1e3
        ));
        if let Some(decoding) = decoding(&usage) {
            out::note(&decoding);
        }
        Ok(())
    }

    /// Says why a text ended that the model itself did not end.
    fn note_ends(&self, generated: &[Generated], context_max: usize) {
        for (branch, generated) in generated.iter().enumerate() {
            let Some(end) = self.end(generated.finish, context_max) else {
                continue;
            };
            out::note(&match self.branches {
                1 => format!("the text ends here: {end}"),
                _ => format!("the text of branch {branch} ends there: {end}"),
            });
        }
    }

    /// The limit that a text ended at; `None` where it came to its own end.
    fn end(&self, finish: Finish, context_max: usize) -> Option<String> {
        match finish {
            Finish::Stop | Finish::GrammarEnd => None,
            Finish::TokensMax => Some(format!(
                "{} tokens were asked for; raise --tokens for more",
                Grouped(self.tokens as u64)
            )),
            Finish::ContextFull => Some(format!(
                "the context of {} tokens is full; raise --ctx, if the model takes more",
                Grouped(context_max as u64)
            )),
            Finish::KvPoolFull => Some("the KV cache is full; raise --kv-mem for more".into()),
        }
    }

    fn prompt_text(&self) -> anyhow::Result<String> {
        if self.prompt != "-" {
            return Ok(self.prompt.clone());
        }
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("standard input is not text")?;
        Ok(text)
    }

    /// A branch as it is printed when all are there, without its last line break.
    fn shown(&self, branch: usize, generated: &Generated, tokenizer: &Tokenizer) -> String {
        let n = generated.tokens.len().max(1) as f32;
        let nats: f32 = generated
            .tokens
            .iter()
            .map(|token| token.entropy_nats)
            .sum();
        let (mean, finish) = (nats / n, finish_name(generated.finish));
        if self.json {
            let ids: Vec<u32> = generated.tokens.iter().map(|token| token.token).collect();
            return json!({
                "branch": branch,
                "text": tokenizer.decode(&ids),
                "finish": finish,
                "entropy_mean_nats": mean,
                "tokens": generated.tokens,
            })
            .to_string();
        }
        let mut painter = Painter::new(tokenizer);
        let mut text = format!("--- branch {branch} ({mean:.3} nats a token, {finish})\n");
        text.extend(generated.tokens.iter().map(|token| painter.text(token)));
        text + painter.finish()
    }
}

/// Most branches of one prompt.
const BRANCHES_MAX: usize = 4_096;

fn branches(text: &str) -> Result<usize, String> {
    values::within(text, 1..=BRANCHES_MAX)
}

/// Text of tokens as they come, each in the colour of its entropy. A character that spans
/// tokens comes with its last.
struct Painter<'a> {
    tokenizer: &'a Tokenizer,
    decoder: Utf8Decoder,
    is_coloured: bool,
}

impl<'a> Painter<'a> {
    fn new(tokenizer: &'a Tokenizer) -> Self {
        Self {
            tokenizer,
            decoder: Utf8Decoder::default(),
            is_coloured: out::is_coloured(),
        }
    }

    fn text(&mut self, token: &TokenEntropy) -> String {
        let text = self.decoder.push(self.tokenizer.token_bytes(token.token));
        paint(text, token, self.is_coloured)
    }

    /// For a character that never became whole.
    fn finish(self) -> &'static str {
        self.decoder.finish()
    }
}

fn finish_name(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::GrammarEnd => "grammar end",
        Finish::TokensMax => "token limit",
        Finish::ContextFull => "context full",
        Finish::KvPoolFull => "KV pool full",
    }
}

/// Colours a token by its entropy: plain below 0.5 nats, then yellow, orange, red.
fn paint(text: String, token: &TokenEntropy, is_coloured: bool) -> String {
    let code = match token.entropy_nats {
        e if !is_coloured || e < 0.5 || text.is_empty() => return text,
        e if e < 1.5 => 229,
        e if e < 2.5 => 215,
        _ => 203,
    };
    format!("\x1b[38;5;{code}m{text}\x1b[0m")
}
