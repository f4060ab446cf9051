//! `egss bench drafts`: recorded texts, decoded without drafts and with them.
use super::common::{Meter, ModelArgs};
use super::drafts::DraftArgs;
use super::{heading, out, values};
use crate::engine;
use crate::engine::bench_drafts::{DraftBench, DraftRow, RecordedText, draft_bench};
use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

#[derive(Args)]
pub struct DraftsArgs {
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    drafts: DraftArgs,
    /// Files of conversations, one JSON object a line: prompt, and turns of said and seen.
    #[arg(long, num_args = 1.., required = true, value_name = "FILE", help_heading = heading::MEASUREMENT)]
    texts: Vec<PathBuf>,
    /// Continuations of one fork, side by side.
    #[arg(
        long,
        value_name = "N,N",
        help_heading = heading::MEASUREMENT,
        value_delimiter = ',',
        default_value = "1,4",
        value_parser = values::positive::<usize>
    )]
    branches: Vec<usize>,
    /// Temperature of several branches; one alone takes the likeliest token.
    #[arg(
        long,
        value_name = "T",
        help_heading = heading::MEASUREMENT,
        default_value_t = 0.7,
        value_parser = values::temperature
    )]
    temperature: f32,
    /// One JSON object a row instead of a table.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

#[derive(Serialize)]
struct NamedRow<'a> {
    model: &'a str,
    texts: &'a str,
    speed: f64,
    bound: f64,
    #[serde(flatten)]
    row: DraftRow,
}

impl DraftsArgs {
    pub fn run(self) -> anyhow::Result<()> {
        let files = self.read()?;
        let Some(draft_tokens) = self.drafts.tokens() else {
            bail!("--drafts off leaves nothing to measure: take auto, or a number of tokens");
        };
        let mut opened = self.model.open_named(self.model.named()?, 1, 0)?;
        if !opened.rows_are_independent {
            bail!(
                "with {} a row of a step depends on the others, so that drafts may change tokens: take a quantised model on a CPU",
                self.model.model
            );
        }
        if !self.json {
            out::print_line(HEADER)?;
        }
        let benches: Vec<DraftBench> = (self.branches.iter())
            .map(|&branches| DraftBench {
                branches,
                temperature: if branches == 1 { 0.0 } else { self.temperature },
                draft_tokens,
            })
            .collect();
        for (name, texts) in &files {
            let mut meter = Meter::new(name);
            let on_step = &mut |progress: engine::Progress<'_>| meter.show(&progress);
            for row in draft_bench(&mut opened.engine, texts, &benches, on_step)? {
                self.print(name, row)?;
            }
        }
        Ok(())
    }

    /// The texts of each file, by its name.
    fn read(&self) -> anyhow::Result<Vec<(String, Vec<RecordedText>)>> {
        let of_file = |path: &PathBuf| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let lines = (1..)
                .zip(text.lines())
                .filter(|(_, line)| !line.trim().is_empty());
            let texts = lines.map(|(n, line)| {
                serde_json::from_str(line)
                    .with_context(|| format!("{}, line {n} is no conversation", path.display()))
            });
            let texts = texts.collect::<anyhow::Result<Vec<RecordedText>>>()?;
            if texts.iter().all(|text| text.turns.is_empty()) {
                bail!("{} has no turn to decode", path.display());
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), texts))
        };
        self.texts.iter().map(of_file).collect()
    }

    fn print(&self, name: &str, row: DraftRow) -> anyhow::Result<()> {
        if self.json {
            let named = NamedRow {
                model: &self.model.model,
                texts: name,
                speed: row.speed(),
                bound: row.bound(),
                row,
            };
            return Ok(out::print_line(&serde_json::to_string(&named)?)?);
        }
        let a_second = |seconds: f64| row.decoded_tokens as f64 / seconds;
        let line = format!(
            "{name:<12} {:>8} {:>6} {:>7} {:>9.1} {:>11.1} {:>6.2} {:>11.2} {:>10.2} {:>6.2} {:>9}",
            row.branches,
            row.turns,
            row.decoded_tokens,
            a_second(row.plain_s),
            a_second(row.drafted_s),
            row.speed(),
            row.tokens_a_step,
            row.step_cost,
            row.bound(),
            row.rejected_rows,
        );
        Ok(out::print_line(&line)?)
    }
}

/// Names and units of the table's columns.
const HEADER: &str = "texts        branches  turns  tokens plain t/s drafted t/s  times tokens/step step cost  bound  rejected";
