//! `egss bench`: what this machine does with a model.
use super::common::{Meter, ModelArgs};
use crate::engine::bench::{ForkBench, fork_bench};
use anyhow::bail;
use clap::{Args, Subcommand};

#[derive(Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Fork branches off a trunk and decode them together.
    Fork(ForkArgs),
}

#[derive(Args)]
struct ForkArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Trunk lengths in tokens.
    #[arg(long, value_delimiter = ',', default_values_t = [256, 1024, 4096])]
    trunk: Vec<usize>,
    /// Branches forked off the trunk.
    #[arg(long, default_value_t = 8)]
    branches: usize,
    /// Tokens that each branch decodes.
    #[arg(long, default_value_t = 16)]
    tokens: usize,
    /// Rounds of forking and decoding; medians are shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// One JSON object a trunk instead of a table.
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    pub fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Fork(args) => args.run(),
        }
    }
}

impl ForkArgs {
    fn run(self) -> anyhow::Result<()> {
        if self.branches == 0 || self.rounds == 0 || self.tokens < 4 || self.trunk.contains(&0) {
            bail!("--branches, --rounds and --trunk must be at least 1, --tokens at least 4");
        }
        let longest = self.trunk.iter().max().expect("clap gives a default") + self.tokens;
        if longest > self.model.ctx {
            bail!(
                "a trunk and its tail take {longest} tokens, --ctx is {}; raise it",
                self.model.ctx
            );
        }
        let mut opened = self.model.open()?;
        if !self.json {
            println!(
                "{:>6} {:>8} {:>10} {:>14} {:>9} {:>7} {:>12} {:>12} {:>10}",
                "trunk",
                "branches",
                "fork us",
                "grammar fork us",
                "prefilled",
                "copied",
                "prefill t/s",
                "decode t/s",
                "first step"
            );
        }
        for &trunk in &self.trunk {
            let mut meter = Meter::new(&format!("trunk of {trunk}"));
            let bench = ForkBench {
                trunk_tokens: trunk,
                branches: self.branches,
                tokens: self.tokens,
                rounds: self.rounds,
            };
            let mut decoded = 0;
            let row = fork_bench(&mut opened.engine, &bench, &mut |progress| {
                // Each round counts from 0 again, and so must its meter.
                if progress.decoded_tokens < decoded {
                    meter = Meter::new(&format!("trunk of {trunk}"));
                }
                decoded = progress.decoded_tokens;
                meter.show(&progress)
            })?;
            drop(meter);
            if self.json {
                println!("{}", serde_json::to_string(&row)?);
            } else {
                println!(
                    "{:>6} {:>8} {:>10.2} {:>15.2} {:>9} {:>7} {:>12.1} {:>12.1} {:>10.3}",
                    row.trunk_tokens,
                    row.branches,
                    row.fork_us_median,
                    row.grammar_fork_us_median,
                    row.prefilled_tokens_at_fork,
                    row.blocks_copied,
                    row.prefill_tok_s,
                    row.decode_tok_s,
                    row.first_step_ratio
                );
            }
        }
        Ok(())
    }
}
