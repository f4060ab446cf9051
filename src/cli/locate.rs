//! `egss bench locate`: how often the index finds the place, and a model's own choice among what
//! it found; nothing is decoded.
use super::common::{Meter, ModelArgs, NamedModel};
use super::dialect::dialect;
use super::evaluation::TaskArgs;
use super::{heading, out, values};
use crate::agent::ChatMl;
use crate::checkpoint::Tokenizer;
use crate::eval::recall::{IndexedTask, Ranks, Recall, Shown, WITHIN, ablations, ranks};
use crate::eval::{ChoiceCertainty, ChosenRanks, LocationChosen, Order};
use crate::index::Weights;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;

/// Tokens of a sequence where nothing says how many: what the profile `standard` is measured at.
const CTX_TOKENS: usize = 32_768;

/// Measures how often the index finds the files and functions that reference solutions change.
#[derive(Args)]
pub struct LocateArgs {
    #[command(flatten)]
    tasks: TaskArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// Weights of the index, as TOML [default: the program's own].
    #[arg(long, value_name = "FILE", help_heading = heading::MEASUREMENT)]
    weights: Option<PathBuf>,
    /// Also fit the weights to the first half of the tasks in so many rounds, and print them.
    #[arg(
        long,
        value_name = "ROUNDS",
        help_heading = heading::MEASUREMENT,
        value_parser = values::positive::<usize>
    )]
    fit: Option<usize>,
    /// Also make the first prompts of the profile `standard`, and say which show the place
    ///
    /// Their context is --ctx, or 32768 tokens.
    #[arg(long, help_heading = heading::MEASUREMENT)]
    prompts: bool,
    /// Also ask the model for its own choice among the locations of each first prompt.
    #[arg(long, help_heading = heading::MEASUREMENT)]
    choices: bool,
    /// One JSON object a task and one of the sums, instead of tables.
    #[arg(long, help_heading = heading::OUTPUT)]
    json: bool,
}

impl LocateArgs {
    pub fn run(&self) -> anyhow::Result<()> {
        let mut weights = self.weights()?;
        // Its faults are told before anything is read, and its threads are those of the index.
        let named = match self.prompts || self.choices {
            true => Some(self.model.named()?),
            false => None,
        };
        let tokenizer = match &named {
            Some(named) => Some(named.checkpoint.tokenizer()?),
            None => None,
        };
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
        let chosen = match named.filter(|_| self.choices) {
            Some(named) => self.chosen(&indexed, named)?,
            None => Vec::new(),
        };
        if self.json {
            for ranks in &all {
                out::print_line(&json!(ranks).to_string())?;
            }
            for chosen in &chosen {
                out::print_line(&json!({ "chosen": chosen }).to_string())?;
            }
            let mut sums = json!({"all": Recall::of(all.iter())});
            if self.choices {
                sums["certainty"] = json!(ChoiceCertainty::of(&chosen));
            }
            return Ok(out::print_line(&sums.to_string())?);
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
        if let Some(tokenizer) = tokenizer.filter(|_| self.prompts) {
            self.print_prompts(&indexed, &tokenizer)?;
        }
        for (without, weights) in ablations(&weights) {
            let all = ranks(&indexed, &weights);
            out::print_line(&sums(
                &format!("all, without: {without}"),
                &Recall::of(all.iter()),
            ))?;
        }
        if self.choices {
            print_choices(&chosen)?;
        }
        Ok(())
    }

    /// The model's choice for each task; a task for which there is none is named.
    fn chosen(
        &self,
        indexed: &[IndexedTask<'_>],
        named: NamedModel,
    ) -> anyhow::Result<Vec<LocationChosen>> {
        let ctx_tokens = self.model.ctx.unwrap_or(CTX_TOKENS);
        named.checkpoint.chat_template()?;
        let mut opened = self.model.open_named(named, 1, ctx_tokens)?;
        // A choice is measured at once: a thinking model's reasoning is not decoded.
        let dialect = dialect(&opened, 0)?;
        let mut all = Vec::new();
        for (nth, task) in indexed.iter().enumerate() {
            let id = task.instance_id();
            let mut meter = Meter::new(&format!("{}/{} {id}", nth + 1, indexed.len()));
            let began = Instant::now();
            let chosen = task.chosen(&mut opened.engine, &dialect, &mut |p| meter.show(&p));
            drop(meter);
            match chosen {
                Ok(Some(chosen)) => {
                    let rank = chosen.ranks_by(Order::Model).file;
                    out::note(&format!(
                        "{}/{} {id}: {} locations behind {} tokens, {:.2} nats, changed file {} by the model, {:.0} s",
                        nth + 1,
                        indexed.len(),
                        chosen.n_locations,
                        chosen.prompt_tokens,
                        chosen.entropy_nats,
                        rank_or_dash(rank),
                        began.elapsed().as_secs_f32()
                    ));
                    all.push(chosen);
                }
                Ok(None) => out::note(&format!("{id}: no choice: there are not two locations")),
                Err(error) => out::note(&format!("{id}: no choice: {error}")),
            }
        }
        Ok(all)
    }

    fn print_prompts(
        &self,
        indexed: &[IndexedTask<'_>],
        tokenizer: &Tokenizer,
    ) -> anyhow::Result<()> {
        let ctx_tokens = self.model.ctx.unwrap_or(CTX_TOKENS);
        let mut all = Vec::new();
        for task in indexed {
            all.push(task.shown(tokenizer, &ChatMl::default(), ctx_tokens)?);
        }
        let n = |is: fn(&Shown) -> bool| all.iter().filter(|shown| is(shown)).count();
        out::print_line(&format!(
            "| first prompt of {} tokens ({} on average), of {} | outline of a changed file {} | changed code {} | either {} |",
            ctx_tokens,
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

fn rank_or_dash(rank: Option<usize>) -> String {
    rank.map_or("-".to_owned(), |rank| rank.to_string())
}

/// Hits by each order of the locations, and the entropy of right choices and wrong ones.
fn print_choices(chosen: &[LocationChosen]) -> anyhow::Result<()> {
    out::print_line(&format!(
        "\n| locations in the order of | n | {} | {} |\n|---|---:|{}",
        columns("file"),
        columns("function"),
        "---:|".repeat(2 * WITHIN.len())
    ))?;
    let shares = |rank: fn(ChosenRanks) -> Option<usize>, order: Order, of: usize| {
        let share = WITHIN.map(|most| {
            let found = chosen.iter().filter_map(|c| rank(c.ranks_by(order)));
            let hits = found.filter(|rank| *rank <= most).count();
            format!("{:.0} %", 100.0 * hits as f32 / of.max(1) as f32)
        });
        share.join(" | ")
    };
    let n_with_symbols = chosen.iter().filter(|c| c.has_symbols).count();
    for order in Order::ALL {
        out::print_line(&format!(
            "| {} | {} | {} | {} |",
            order.name(),
            chosen.len(),
            shares(|ranks| ranks.file, order, chosen.len()),
            shares(|ranks| ranks.symbol, order, n_with_symbols)
        ))?;
    }
    let certainty = ChoiceCertainty::of(chosen);
    let nats = |mean: Option<f64>| mean.map_or("-".to_owned(), |mean| format!("{mean:.2}"));
    let auroc = certainty.auroc.map_or("-".to_owned(), |auroc| {
        format!("{:.2} ({:.2}-{:.2})", auroc.value, auroc.low, auroc.high)
    });
    Ok(out::print_line(&format!(
        "\n| the model's likeliest location | n | entropy, nats | AUROC (95 %) |\n|---|---:|---:|---:|\n| in a changed file | {} | {} | {auroc} |\n| elsewhere | {} | {} | |",
        certainty.n_right,
        nats(certainty.right_nats),
        certainty.n_wrong,
        nats(certainty.wrong_nats)
    ))?)
}

fn row_of(ranks: &Ranks) -> String {
    let rank = rank_or_dash;
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
