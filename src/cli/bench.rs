//! `egss bench`: what this machine does with a model.
use super::common::{Meter, ModelArgs};
use crate::engine::LocalEngine;
use crate::engine::bench::{
    BranchBench, BranchRow, branch_bench, forget_peak_rss, peak_rss_bytes, prefill_trunk,
    release_trunk,
};
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
    /// What forking eight branches costs.
    Fork(BranchArgs),
    /// What entropy and sampling take of a decode step.
    Entropy(BranchArgs),
}

#[derive(Args)]
struct BranchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Trunk lengths in tokens [default: decode 256,1024,4096,8192; fork 256,1024,4096; entropy 1024].
    #[arg(long, value_delimiter = ',')]
    trunk: Vec<usize>,
    /// Branches forked off a trunk [default: decode 1,2,4,8,16,32; fork 8; entropy 1,8].
    #[arg(long, value_delimiter = ',')]
    branches: Vec<usize>,
    /// Tokens that each branch decodes.
    #[arg(long, default_value_t = 16)]
    tokens: usize,
    /// Rounds of forking and decoding; medians are shown.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Give each branch a cache of its own, prefilled anew, instead of a fork's: what
    /// the same work costs without sharing.
    #[arg(long)]
    own_caches: bool,
    /// Hold each branch to a grammar, as an agent is, one that allows nearly any text.
    #[arg(long)]
    masked: bool,
    /// Launch each kernel of a GPU's decode step by itself, not all as one recorded step.
    #[arg(long)]
    launch_each: bool,
    /// One JSON object a row instead of a table.
    #[arg(long)]
    json: bool,
    /// Also draw tokens per second against branches into this file.
    #[arg(long, value_name = "FILE")]
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
        }
    }
}

impl BranchArgs {
    fn run(mut self, trunks: &[usize], branches: &[usize]) -> anyhow::Result<()> {
        if self.trunk.is_empty() {
            self.trunk = trunks.to_vec();
        }
        if self.branches.is_empty() {
            self.branches = branches.to_vec();
        }
        if self.branches.contains(&0)
            || self.trunk.contains(&0)
            || self.rounds == 0
            || self.tokens < 4
        {
            bail!("--branches, --rounds and --trunk must be at least 1, --tokens at least 4");
        }
        let longest = self.trunk.iter().max().expect("not empty") + self.tokens;
        let asked = self.model.ctx.unwrap_or(0);
        self.model.ctx = Some(asked.max(longest));
        let mut opened = self.model.open_by(|backend| match self.launch_each {
            true => backend.without_recordings(),
            false => backend,
        })?;
        // Reading a gigabyte is this bench's own need, not the engine's.
        let peak_rss_before = peak_rss_bytes();
        let bandwidth = opened.backend.read_bandwidth()?;
        forget_peak_rss();
        eprintln!(
            "memory reads at {:.1} GB/s on {}",
            bandwidth / 1e9,
            opened.backend.describe()
        );
        if !self.json {
            println!("{HEADER}");
        }
        let mut rows = Vec::new();
        for &trunk in &self.trunk {
            let machine = (bandwidth, peak_rss_before);
            self.run_trunk(&mut opened.engine, trunk, machine, &mut rows)?;
        }
        if let Some(path) = &self.svg {
            super::plot::tokens_by_branches(&self.model.model, &rows, path)?;
            eprintln!("drawn to {}", path.display());
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
            println!("{}", serde_json::to_string(&named)?);
            return Ok(());
        }
        println!(
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
        Ok(())
    }
}

/// Names and units of the table's columns.
const HEADER: &str = " trunk branches prefill t/s decode t/s step ms forward memory entropy fork us grammar us prefilled copied first step";
