//! `egss bench locate`: how often the index finds the place, without a model.
use super::evaluation::TaskArgs;
use super::{out, values};
use crate::agent::ChatMl;
use crate::checkpoint::{Checkpoint, resolve};
use crate::eval::recall::{IndexedTask, Ranks, Recall, Shown, WITHIN, ablations, ranks};
use crate::index::Weights;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// How often the files and functions that reference solutions change are found from the issues.
#[derive(Args)]
pub struct LocateArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    /// Weights of the index, as TOML [default: the program's own].
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Also look for better weights on the first half of the tasks, so many rounds, and print
    /// them.
    #[arg(long, value_name = "ROUNDS", value_parser = values::positive::<usize>)]
    fit: Option<usize>,
    /// Also make the first prompts of the profile `standard`, counted by this model's tokenizer,
    /// and say which of them show the place.
    #[arg(long, value_name = "MODEL")]
    prompts: Option<String>,
    /// The context that those prompts are for, in tokens.
    #[arg(long, default_value_t = 32_768, value_parser = values::positive::<usize>)]
    ctx: usize,
    /// One JSON object a task and one of the sums, instead of tables.
    #[arg(long)]
    json: bool,
}

impl LocateArgs {
    pub fn run(&self) -> anyhow::Result<()> {
        let mut weights = self.weights()?;
        let mut tasks = self.tasks.read()?;
        // Halves by every other task in the order of their names.
        tasks.sort_by(|a, b| a.instance_id.cmp(&b.instance_id));
        let mut indexed = Vec::new();
        for (nth, task) in tasks.iter().enumerate() {
            let began = Instant::now();
            match IndexedTask::of(task) {
                Ok(done) => {
                    out::note(&format!(
                        "{}/{} {}: read in {} ms, indexed in {} ms",
                        nth + 1,
                        tasks.len(),
                        task.instance_id,
                        done.read_ms,
                        done.index_ms
                    ));
                    indexed.push(done);
                }
                Err(error) => out::note(&format!(
                    "not run: {error} ({:.1} s)",
                    began.elapsed().as_secs_f32()
                )),
            }
        }
        if indexed.is_empty() {
            bail!("no task of {} could be indexed", self.tasks.sources());
        }
        if let Some(rounds) = self.fit {
            weights = fit(&indexed, weights, rounds)?;
            out::print_line(&toml::to_string(&weights)?)?;
        }
        let all = ranks(&indexed, &weights);
        if self.json {
            for ranks in &all {
                out::print_line(&json!(ranks).to_string())?;
            }
            return Ok(out::print_line(
                &json!({"all": Recall::of(all.iter())}).to_string(),
            )?);
        }
        out::print_line(
            "| task | files | first changed file | all changed files | first changed function | ms |\n|---|---:|---:|---:|---:|---:|",
        )?;
        for ranks in &all {
            out::print_line(&row_of(ranks))?;
        }
        out::print_line(&format!(
            "\n| tasks | n | {0} | {1} | {2} |\n|---|---:|{3}",
            columns("file"),
            columns("all files"),
            columns("function"),
            "---:|".repeat(3 * WITHIN.len())
        ))?;
        let half = |odd: usize| all.iter().skip(odd).step_by(2);
        out::print_line(&sums("all", &Recall::of(all.iter())))?;
        out::print_line(&sums(
            "first half (weights chosen on it)",
            &Recall::of(half(0)),
        ))?;
        out::print_line(&sums("second half", &Recall::of(half(1))))?;
        if let Some(model) = &self.prompts {
            self.print_prompts(&indexed, model)?;
        }
        for (without, weights) in ablations(&weights) {
            let all = ranks(&indexed, &weights);
            out::print_line(&sums(
                &format!("all, without: {without}"),
                &Recall::of(all.iter()),
            ))?;
        }
        Ok(())
    }

    fn print_prompts(&self, indexed: &[IndexedTask<'_>], model: &str) -> anyhow::Result<()> {
        let tokenizer = Checkpoint::open(&resolve(model)?)?.tokenizer()?;
        let mut all = Vec::new();
        for task in indexed {
            all.push(task.first_prompt(&tokenizer, &ChatMl::default(), self.ctx)?);
        }
        let n = |is: fn(&Shown) -> bool| all.iter().filter(|shown| is(shown)).count();
        out::print_line(&format!(
            "| first prompt of {} tokens ({} on average), of {} | outline of a changed file {} | changed code {} | either {} |",
            self.ctx,
            all.iter().map(|shown| shown.tokens).sum::<usize>() / all.len(),
            all.len(),
            n(|shown| shown.outline),
            n(|shown| shown.code),
            n(|shown| shown.outline || shown.code),
        ))?;
        Ok(())
    }

    fn weights(&self) -> anyhow::Result<Weights> {
        let Some(path) = &self.weights else {
            return Ok(Weights::default());
        };
        let read = || format!("cannot read {}", path.display());
        let text = std::fs::read_to_string(path).with_context(read)?;
        toml::from_str(&text).with_context(|| format!("{} are no weights", path.display()))
    }
}

fn columns(of: &str) -> String {
    let columns = WITHIN.map(|n| format!("{of} @{n}"));
    columns.join(" | ")
}

fn row_of(ranks: &Ranks) -> String {
    let rank = |rank: Option<usize>| rank.map_or("-".to_owned(), |rank| rank.to_string());
    let symbol = match ranks.has_symbols {
        true => rank(ranks.symbol),
        false => "none changed".to_owned(),
    };
    format!(
        "| {} | {} | {} | {} | {symbol} | {} |",
        ranks.instance_id,
        ranks.n_files,
        rank(ranks.file),
        rank(ranks.all_files),
        ranks.locate_ms
    )
}

fn sums(name: &str, recall: &Recall) -> String {
    let percent = |hits: [usize; WITHIN.len()], of: usize| {
        let shares = hits.map(|n| format!("{:.0} %", 100.0 * n as f32 / of.max(1) as f32));
        shares.join(" | ")
    };
    format!(
        "| {name} | {} | {} | {} | {} |",
        recall.n_tasks,
        percent(recall.files, recall.n_tasks),
        percent(recall.all_files, recall.n_tasks),
        percent(recall.symbols, recall.n_with_symbols)
    )
}

/// Tries each weight up and down, on every other task, and keeps what finds more.
fn fit(indexed: &[IndexedTask<'_>], start: Weights, rounds: usize) -> anyhow::Result<Weights> {
    let half: Vec<&IndexedTask<'_>> = indexed.iter().step_by(2).collect();
    let quality = |weights: &Weights| -> f64 {
        let of = |task: &&IndexedTask<'_>| {
            let ranks = task.ranks(weights);
            let gain = |rank: Option<usize>| {
                let rank = rank.unwrap_or(usize::MAX) as f64;
                1.0 / rank
                    + if rank <= 10.0 { 0.5 } else { 0.0 }
                    + if rank <= 1.0 { 0.5 } else { 0.0 }
            };
            gain(ranks.file) + 0.5 * gain(ranks.symbol.map(|rank| rank.div_ceil(3)))
        };
        half.iter().map(of).sum()
    };
    let as_value = |weights: &Weights| serde_json::to_value(weights);
    let (mut best, mut most) = (start, quality(&start));
    for round in 0..rounds {
        let before = most;
        let value = as_value(&best)?;
        let mut paths: Vec<(String, Option<usize>)> = Vec::new();
        for (name, held) in value.as_object().into_iter().flatten() {
            match held.as_array() {
                Some(items) => paths.extend((0..items.len()).map(|at| (name.clone(), Some(at)))),
                None => paths.push((name.clone(), None)),
            }
        }
        for (name, at) in paths {
            for factor in [0.5, 0.75, 1.35, 2.0] {
                let mut changed = as_value(&best)?;
                let slot = match at {
                    Some(at) => &mut changed[&name][at],
                    None => &mut changed[&name],
                };
                let scaled = slot.as_f64().unwrap_or(0.0) * factor;
                *slot = json!(if name == "length" {
                    scaled.min(1.0)
                } else {
                    scaled
                });
                let tried: Weights = serde_json::from_value(changed)?;
                let found = quality(&tried);
                if found > most + 1e-9 {
                    (best, most) = (tried, found);
                }
            }
        }
        out::note(&format!("round {}: {most:.3}", round + 1));
        if most <= before {
            break;
        }
    }
    Ok(best)
}
