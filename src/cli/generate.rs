//! `egss generate`: text with the entropy of every token.
use super::common::{Meter, ModelArgs};
use crate::base::{Purpose, RngKey, SamplerSettings, TokenEntropy};

use crate::checkpoint::Message;
use crate::engine::{Engine, Finish, GenerateJob, Generated, PrefixCache};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;

/// Continues a prompt.
#[derive(Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// The prompt; `-` reads standard input.
    prompt: String,
    /// Take the prompt as it is, without the model's chat template.
    #[arg(long)]
    raw: bool,
    /// Tokens to generate at most.
    #[arg(long, short = 'n', default_value_t = 256)]
    tokens: usize,
    /// Branches forked off the prompt, with different first tokens.
    #[arg(long, default_value_t = 1)]
    branches: usize,
    /// 0 takes the most likely token.
    #[arg(long, default_value_t = 0.0)]
    temperature: f32,
    #[arg(long, default_value_t = 1.0)]
    top_p: f32,
    /// 0 keeps all.
    #[arg(long, default_value_t = 0)]
    top_k: usize,
    #[arg(long, default_value_t = 0.0)]
    min_p: f32,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A Lark grammar file (llguidance's dialect) that the text must follow.
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
    /// One JSON object a branch instead of text.
    #[arg(long)]
    json: bool,
}

impl GenerateArgs {
    pub fn run(self) -> anyhow::Result<()> {
        if self.branches == 0 || self.tokens == 0 {
            bail!("--branches and --tokens must be at least 1");
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            bail!(
                "--temperature {} is not a number of at least 0",
                self.temperature
            );
        }
        let prompt = self.prompt_text()?;
        let grammar = self.grammar.as_ref().map(|path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("cannot read the grammar {}", path.display()))
        });
        let grammar = grammar.transpose()?;
        let mut opened = self.model.open()?;
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
        let colour = std::io::stdout().is_terminal();
        let mut meter = Meter::new("decode");
        let tokenizer = engine.tokenizer().clone();
        let generated = engine.generate(&jobs, &mut |progress| {
            if live {
                for (_, token) in progress.new_tokens {
                    print!(
                        "{}",
                        paint(&tokenizer.decode(&[token.token]), token, colour)
                    );
                }
                std::io::stdout().flush().ok();
            } else {
                meter.show(&progress);
            }
        })?;
        drop(meter);
        for (branch, generated) in generated.iter().enumerate() {
            self.print(branch, generated, &tokenizer, live, colour);
        }
        let usage = opened.engine.usage().total();
        eprintln!(
            "{} tokens decoded, {} computed, {} reused, {} forks, {} blocks copied, {:.1} s",
            usage.decoded_tokens,
            usage.computed_tokens,
            usage.reused_tokens,
            usage.forks,
            usage.blocks_copied,
            usage.wall_ms as f64 / 1e3
        );
        Ok(())
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

    fn print(
        &self,
        branch: usize,
        generated: &Generated,
        tokenizer: &crate::checkpoint::Tokenizer,
        live: bool,
        colour: bool,
    ) {
        let ids: Vec<u32> = generated.tokens.iter().map(|token| token.token).collect();
        let n = generated.tokens.len().max(1) as f32;
        let mean = generated
            .tokens
            .iter()
            .map(|token| token.entropy_nats)
            .sum::<f32>()
            / n;
        if self.json {
            let line = json!({
                "branch": branch,
                "text": tokenizer.decode(&ids),
                "finish": finish_name(generated.finish),
                "entropy_mean_nats": mean,
                "tokens": generated.tokens,
            });
            println!("{line}");
            return;
        }
        if !live {
            println!(
                "--- branch {branch} ({mean:.3} nats a token, {})",
                finish_name(generated.finish)
            );
            for token in &generated.tokens {
                print!(
                    "{}",
                    paint(&tokenizer.decode(&[token.token]), token, colour)
                );
            }
        }
        println!();
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
fn paint(text: &str, token: &TokenEntropy, colour: bool) -> String {
    let code = match token.entropy_nats {
        e if !colour || e < 0.5 => return text.to_owned(),
        e if e < 1.5 => 229,
        e if e < 2.5 => 215,
        _ => 203,
    };
    format!("\x1b[38;5;{code}m{text}\x1b[0m")
}
