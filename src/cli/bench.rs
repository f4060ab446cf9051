//! `egss bench`: measurements of this machine with a model.
use super::bench_drafts::DraftsArgs;
use super::check::CheckArgs;
use super::common::{Meter, ModelArgs, NamedModel};
use super::locate::LocateArgs;
use super::{heading, out, values};
use crate::engine::bench::{
    BranchBench, BranchRow, branch_bench, forget_peak_rss, peak_rss_bytes, prefill_trunk,
    release_trunk,
};
use crate::engine::{self, LocalEngine};
use crate::kv::BLOCK_SIZE;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Prefill, and decoding of 1 to 32 branches off short and long trunks.
    Decode(BranchArgs),
    /// Cost of forking eight branches.
    Fork(BranchArgs),
    /// Share of entropy and sampling in a decode step.
    Entropy(BranchArgs),
    /// Speed of drafts on recorded texts, and that they change no token.
    Drafts(DraftsArgs),
    /// Recall of the index on reference solutions; without a model.
    Locate(LocateArgs),
    /// Choice of tests after an edit, on reference solutions; without a model.
    Check(CheckArgs),
}

#[derive(Args)]
struct BranchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Trunk lengths in tokens
    ///
    /// [default: decode 256,1024,4096,8192; fork 256,1024,4096; entropy 1024].
    #[arg(
        long,
        value_name = "N,N",
        help_heading = heading::MEASUREMENT,
        value_delimiter = ',',
        value_parser = values::positive::<usize>
    )]
    trunk: Vec<usize>,
    /// Branches forked off a trunk [default: decode 1,2,4,8,16,32; fork 8; entropy 1,8].
    #[arg(
        long,
        value_name = "N,N",
        help_heading = heading::MEASUREMENT,
        value_delimiter = ',',
        value_parser = values::positive::<usize>
    )]
    branches: Vec<usize>,
    /// Tokens that each branch decodes.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::MEASUREMENT,
        default_value_t = 16,
        value_parser = tokens_of_a_round
    )]
    tokens: usize,
    /// Rounds of forking and decoding; medians are shown.
    #[arg(
        long,
        value_name = "N",
        help_heading = heading::MEASUREMENT,
        default_value_t = 5,
        value_parser = values::positive::<usize>
    )]
    rounds: usize,
    /// Prefill a cache for each branch instead of forking: the same work without sharing.
    #[arg(long, help_heading = heading::MEASUREMENT)]
    own_caches: bool,
    /// Hold each branch to a grammar, as an agent is, one that allows nearly any text.
    #[arg(long, help_heading = heading::MEASUREMENT)]
    masked: bool,
    /// Launch each kernel of a GPU's decode step by itself, not all as one recorded step.
    #[arg(long, help_heading = heading::MEASUREMENT)]
    launch_each: bool,
    /// One JSON object a row instead of a table.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
    /// Also draw tokens per second against branches into this file.
    #[arg(long, value_name = "FILE", help_heading = heading::OUTPUT)]
    svg: Option<std::path::PathBuf>,
}

/// A row with what it is a row of.
#[derive(Serialize)]
struct NamedRow<'a> {
    model: &'a str,
    device: &'a str,
    #[serde(flatten)]
    row: &'a BranchRow,
}

impl BenchArgs {
    pub fn run(self) -> anyhow::Result<()> {
        match self.what {
            What::Decode(args) => args.run(&[256, 1024, 4096, 8192], &[1, 2, 4, 8, 16, 32]),
            What::Fork(args) => args.run(&[256, 1024, 4096], &[8]),
            What::Entropy(args) => args.run(&[1024], &[1, 8]),
            What::Drafts(args) => args.run(),
            What::Locate(args) => args.run(),
            What::Check(args) => args.run(),
        }
    }
}

impl BranchArgs {
    fn run(mut self, trunks: &[usize], branches: &[usize]) -> anyhow::Result<()> {
        if self.branches.is_empty() {
            self.branches = branches.to_vec();
        }
        let mut named = self.model.named()?;
        if self.launch_each {
            named.backend = named.backend.without_recordings();
        }
        match self.trunk.is_empty() {
            true => self.trunk = self.trunks_held(&named, trunks)?,
            false => self.check_trunks(&named)?,
        }
        let longest = self.trunk.iter().max().expect("not empty") + self.tokens;
        let asked = self.model.ctx.unwrap_or(0);
        self.model.ctx = Some(asked.max(longest));
        let mut opened = self.model.open_named(named, 1, 0)?;
        // Reading a gigabyte is this bench's own need, not the engine's.
        let peak_rss_before = peak_rss_bytes();
        let bandwidth = opened.backend.read_bandwidth()?;
        forget_peak_rss();
        out::note(&format!(
            "memory reads at {:.1} GB/s on {}",
            bandwidth / 1e9,
            opened.backend.describe()
        ));
        if !self.json {
            out::print_line(HEADER)?;
        }
        let mut rows = Vec::new();
        for &trunk in &self.trunk {
            let machine = (bandwidth, peak_rss_before);
            self.run_trunk(&mut opened.engine, trunk, machine, &mut rows)?;
        }
        if let Some(path) = &self.svg {
            super::plot::tokens_by_branches(&self.model.model, &rows, path)?;
            out::note(&format!("drawn to {}", path.display()));
        }
        Ok(())
    }

    /// Those of `trunks`, which nobody asked for, that the model and the KV cache hold with
    /// all branches; where they hold none, the longest that they do.
    fn trunks_held(&self, named: &NamedModel, trunks: &[usize]) -> anyhow::Result<Vec<usize>> {
        let config = named.checkpoint.config();
        let held = engine::context_held(config, &named.backend, named.kv_bytes_max);
        let branches = self.branches.iter().copied().max().unwrap_or(1);
        // A branch has a tail block of its own beside those that it writes.
        let of_branch = self.tokens.saturating_add(2 * BLOCK_SIZE);
        let copies = if self.own_caches { branches } else { 1 };
        let of_branches = branches.saturating_mul(of_branch);
        let longest = (held.saturating_sub(of_branches) / copies)
            .min(config.context_max.saturating_sub(self.tokens));
        let (fitting, others): (Vec<usize>, Vec<usize>) =
            trunks.iter().partition(|&&trunk| trunk <= longest);
        if longest == 0 {
            bail!(
                "the model and its KV cache have no room for {branches} branches of {} tokens; lower --branches or --tokens, or raise --kv-mem",
                self.tokens
            );
        }
        let fitting = if fitting.is_empty() {
            vec![longest]
        } else {
            fitting
        };
        if !others.is_empty() {
            out::note(&format!(
                "trunks of up to {longest} tokens fit the model and its KV cache: {fitting:?} are measured, {others:?} are left out"
            ));
        }
        Ok(fitting)
    }

    /// Refuses a trunk that was asked for and that the model cannot hold.
    fn check_trunks(&self, named: &NamedModel) -> anyhow::Result<()> {
        let limit = named.checkpoint.config().context_max;
        let longest = self.trunk.iter().copied().max().unwrap_or(0);
        if longest.saturating_add(self.tokens) > limit {
            bail!(
                "--trunk {longest} with --tokens {} is past the {limit} tokens that this model was trained for; lower one of them",
                self.tokens
            );
        }
        Ok(())
    }

    fn run_trunk(
        &self,
        engine: &mut LocalEngine,
        tokens: usize,
        (bandwidth, peak_rss_before): (f64, u64),
        rows: &mut Vec<BranchRow>,
    ) -> anyhow::Result<()> {
        let name = format!("trunk of {tokens}");
        let mut meter = Meter::new(&name);
        let copies = match self.own_caches {
            true => self.branches.iter().copied().max().unwrap_or(1),
            false => 1,
        };
        let trunk = prefill_trunk(engine, tokens, copies, &mut |progress| {
            meter.show(&progress)
        })?;
        for &branches in &self.branches {
            let bench = BranchBench {
                branches,
                tokens: self.tokens,
                rounds: self.rounds,
                masked: self.masked,
                bandwidth,
                peak_rss_before,
            };
            let mut decoded = 0;
            let row = branch_bench(engine, &trunk, &bench, &mut |progress| {
                // Each round counts from 0 again, and so must its meter.
                if progress.decoded_tokens < decoded {
                    meter = Meter::new(&name);
                }
                decoded = progress.decoded_tokens;
                meter.show(&progress)
            })?;
            self.print(&row)?;
            rows.push(row);
        }
        release_trunk(engine, trunk);
        Ok(())
    }

    fn print(&self, row: &BranchRow) -> anyhow::Result<()> {
        if self.json {
            let named = NamedRow {
                model: &self.model.model,
                device: &self.model.device,
                row,
            };
            return Ok(out::print_line(&serde_json::to_string(&named)?)?);
        }
        let line = format!(
            "{:>6} {:>8} {:>11.1} {:>10.1} {:>8.3} {:>8.3} {:>6.0}% {:>6.2}% {:>7.2} {:>10.2} {:>9} {:>6} {:>10.3}",
            row.trunk_tokens,
            row.branches,
            row.prefill_tok_s,
            row.decode_tok_s,
            row.steady_step_ms,
            row.forward_ms,
            row.bandwidth_fraction * 100.0,
            row.entropy_share * 100.0,
            row.fork_us_median,
            row.grammar_fork_us_median,
            row.prefilled_tokens_at_fork,
            row.blocks_copied,
            row.first_step_ratio
        );
        Ok(out::print_line(&line)?)
    }
}

/// Names and units of the table's columns.
const HEADER: &str = " trunk branches prefill t/s decode t/s step ms forward memory entropy fork us grammar us prefilled copied first step";

/// Fewer tokens leave no steady step behind the first ones.
const TOKENS_MIN: usize = 4;

fn tokens_of_a_round(text: &str) -> Result<usize, String> {
    values::within(text, TOKENS_MIN..=usize::MAX)
}
