//! `egss models`: what models there are, and fetching one.
mod listed;
mod table;

use super::{out, values};
use crate::base::ModelManifest;
use crate::checkpoint::{
    HubSettings, PackedFolder, Pruned, find_manifest, manifests, models_dir, pull,
};
use crate::ops::Backend;
use clap::{Args, Subcommand};
use listed::{Asked, Listed};
use serde::Serialize;
use std::io::Write;

/// Lists, shows and fetches models.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Subcommand, Debug)]
enum ModelsCommand {
    /// Lists the known models, with the memory that they need
    List(FiguresArgs),
    /// Shows everything known of one model
    Show {
        /// Name of a model (see `egss models list`)
        name: String,
        #[command(flatten)]
        figures: FiguresArgs,
    },
    /// Fetches a model from the hub (HF_ENDPOINT; with HF_TOKEN where it is not public),
    /// checked by SHA-256
    Pull {
        /// Name of a model (see `egss models list`)
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Removes packed weights that are damaged or of no use any more
    ///
    /// Packed weights are quantised weights as the kernels of a CPU want them. They are kept
    /// in the folder `packed` beside the models, 64 GiB at most, so that a model starts at once.
    Prune {
        /// Remove all of them.
        #[arg(long)]
        all: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Which figures are printed, and how.
#[derive(Args, Debug)]
struct FiguresArgs {
    /// Tokens of one sequence that memory is computed for.
    #[arg(
        long,
        value_delimiter = ',',
        default_values_t = CONTEXTS,
        value_parser = values::positive::<usize>
    )]
    ctx: Vec<usize>,
    /// Device that the model would run on: cpu, cuda or metal; the last two in builds with that feature.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Memory that a mixture's experts would be in: device or host.
    #[arg(long, default_value = "device", value_name = "PLACE")]
    experts: String,
    /// Print JSON, with every figure in bytes
    #[arg(long)]
    json: bool,
}

/// A short step's context, and what most models take.
const CONTEXTS: [usize; 2] = [4_096, 32_768];

impl ModelsArgs {
    /// Carries the command out, on standard output.
    pub fn run(self) -> anyhow::Result<()> {
        let mut shown = Vec::new();
        self.run_on(&mut shown)?;
        Ok(out::print(&String::from_utf8(shown)?)?)
    }

    fn run_on(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            ModelsCommand::List(figures) => figures.list(out),
            ModelsCommand::Show { name, figures } => figures.show(&name, out),
            ModelsCommand::Pull { name, json } => {
                let manifest = find_manifest(&name)?;
                pull_with_progress(&manifest)?;
                let path = models_dir()?.join(manifest.kept_as());
                if json {
                    let backend = &Backend::cpu();
                    let contexts = &CONTEXTS;
                    let asked = Asked { backend, contexts };
                    return print_json(&Listed::new(manifest, &asked)?, out);
                }
                let of = match manifest.file() {
                    Some(_) => "its SHA-256 is right",
                    None => "the SHA-256 of each file of weights is the hub's",
                };
                writeln!(out, "{} is there and {of}", path.display())?;
                Ok(())
            }
            ModelsCommand::Prune { all, json } => {
                let pruned = PackedFolder::of_user()?.prune(all)?;
                match json {
                    true => print_json(&pruned, out),
                    false => print_pruned(&pruned, out),
                }
            }
        }
    }
}

impl FiguresArgs {
    fn list(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let json = self.json;
        self.with_asked(|asked| {
            let all = manifests()?;
            let mut listed = Vec::new();
            for manifest in &all {
                let mut l = Listed::new(manifest.clone(), asked)?;
                l.without_those_of(&all);
                listed.push(l);
            }
            match json {
                true => print_json(&listed, out),
                false => Ok(table::list(&listed, asked, out)?),
            }
        })
    }

    fn show(self, name: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let json = self.json;
        self.with_asked(|asked| {
            let listed = Listed::new(find_manifest(name)?, asked)?;
            match json {
                true => print_json(&listed, out),
                false => Ok(table::show(&listed, asked, out)?),
            }
        })
    }

    fn with_asked<T>(self, run: impl FnOnce(&Asked<'_>) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut contexts = self.ctx;
        contexts.sort_unstable();
        contexts.dedup();
        let backend = &Backend::open(&self.device)?.with_experts(&self.experts)?;
        run(&Asked {
            backend,
            contexts: &contexts,
        })
    }
}

/// Pulls with a bar on a terminal, and a line each tenth elsewhere. Both go to
/// standard error: standard output carries the result.
fn pull_with_progress(manifest: &ModelManifest) -> anyhow::Result<()> {
    let dir = models_dir()?;
    let settings = HubSettings::from_env()?;
    if out::is_redrawn() {
        // How much it is in all is known when the hub has answered.
        let bar = indicatif::ProgressBar::new(0);
        bar.set_style(indicatif::ProgressStyle::with_template(
            "{msg} [{wide_bar}] {bytes} of {total_bytes} {bytes_per_sec} {eta}",
        )?);
        bar.set_message(manifest.name.clone());
        pull(manifest, &dir, &settings, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })?;
        bar.finish();
    } else {
        let mut tenths_shown = 0;
        pull(manifest, &dir, &settings, &mut |done, total| {
            let tenths = done * 10 / total.max(1);
            if tenths > tenths_shown {
                tenths_shown = tenths;
                out::note(&format!(
                    "{}: {} of {}",
                    manifest.name,
                    gigabytes(done),
                    gigabytes(total)
                ));
            }
        })?;
    }
    Ok(())
}

fn print_json(value: &impl Serialize, out: &mut dyn Write) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)?;
    Ok(())
}

/// A line for each file of packed weights.
fn print_pruned(pruned: &Pruned, out: &mut dyn Write) -> anyhow::Result<()> {
    for file in &pruned.removed {
        let (path, size) = (file.path.display(), gigabytes(file.bytes));
        writeln!(out, "removed {path}, {size}: {}", file.reason)?;
    }
    for file in &pruned.kept {
        let (path, size) = (file.path.display(), gigabytes(file.bytes));
        writeln!(out, "kept {path}, {size}, of {}", file.of.display())?;
    }
    if pruned.removed.is_empty() && pruned.kept.is_empty() {
        writeln!(out, "there are no packed weights")?;
    }
    Ok(())
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        models: ModelsArgs,
    }

    fn output(args: &[&str]) -> anyhow::Result<String> {
        let cli = Cli::try_parse_from(["egss"].iter().chain(args))?;
        let mut out = Vec::new();
        cli.models.run_on(&mut out)?;
        Ok(String::from_utf8(out)?)
    }

    #[test]
    fn list_says_of_every_model_what_it_is_and_the_memory_that_it_needs() {
        let listed = output(&["list"]).unwrap();
        let header = listed.lines().next().unwrap();
        assert!(header.contains("GB 4K") && header.contains("GB 32K"));
        for manifest in manifests().unwrap() {
            let begins = format!("{} ", manifest.name);
            let lines: Vec<_> = listed.lines().filter(|l| l.starts_with(&begins)).collect();
            let [line] = lines[..] else {
                panic!("{} has {} lines", manifest.name, lines.len());
            };
            let licence = manifest.licence.trim_start_matches("LicenseRef-");
            assert!(line.ends_with(licence), "{line}");
            assert!(line.contains(&manifest.architecture), "{line}");
            assert!(
                line.contains(manifest.precision.as_ref().unwrap()),
                "{line}"
            );
        }
        let widest = listed.lines().map(str::len).max();
        assert!(widest.unwrap() <= WIDTH_MAX, "{widest:?}");
    }

    /// Columns of a terminal of common width.
    const WIDTH_MAX: usize = 120;

    #[test]
    fn list_adds_the_gguf_precisions_that_no_other_model_of_the_shape_has() {
        let of = |name: &str| {
            let json = output(&["list", "--json"]).unwrap();
            let all: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
            let model = all.into_iter().find(|m| m["name"] == name).unwrap();
            let precisions = model["precisions"].as_array().unwrap().clone();
            let name = |p: &serde_json::Value| p["precision"].as_str().unwrap().to_owned();
            precisions.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(of("qwen3-8b"), ["bf16", "q8_0"]);
        assert_eq!(of("qwen3-8b-q4_k_m"), ["q4_k_m"]);
        assert_eq!(of("qwen2.5-coder-32b-instruct"), ["bf16", "q8_0", "q4_k_m"]);
    }

    #[test]
    #[cfg_attr(feature = "composite", ignore = "of the kernels' widths")]
    fn memory_is_the_weights_and_two_caches_of_every_layer_and_head() {
        let json = output(&["show", "qwen3-8b", "--json", "--ctx", "1024,50000"]).unwrap();
        let model: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(model["context_max"], 40_960);
        let bf16 = &model["precisions"][0];
        // Keys and values of f32 for 36 layers of 8 heads of 128.
        let contexts = bf16["contexts"].as_array().unwrap();
        assert_eq!(
            contexts.len(),
            1,
            "50,000 tokens are past the model's context"
        );
        assert_eq!(contexts[0]["kv_bytes"], 1024 * 2 * 36 * 8 * 128 * 4);
        let weights = bf16["weights_bytes"].as_u64().unwrap();
        // Beside them there is the tokenizer.
        let tokenizer = weights - 2 * 8_190_735_360;
        assert!((1 << 20..1 << 29).contains(&tokenizer), "{tokenizer}");
        let sum = weights + contexts[0]["kv_bytes"].as_u64().unwrap();
        assert!(contexts[0]["total_bytes"].as_u64().unwrap() > sum);
        assert!(output(&["list", "--ctx", "0"]).is_err());
    }

    #[test]
    fn a_model_that_is_larger_than_any_machine_does_not_fit() {
        let line = |args: &[&str], begins: &str| {
            let listed = output(args).unwrap();
            let line = listed.lines().find(|line| line.starts_with(begins));
            line.expect(begins).to_owned()
        };
        let kimi = line(&["list"], "kimi-k2-instruct ");
        assert!(kimi.contains(" no "), "{kimi}");
        // FP8 keeps its width: a byte for most of 1,026 billion.
        let shown = line(&["show", "kimi-k2-instruct"], "fp8 ");
        assert!(
            shown.contains(" 1036 ") && shown.ends_with(" no"),
            "{shown}"
        );
    }

    #[test]
    fn show_tells_the_checksum_and_unknown_names_are_refused() {
        let all = manifests().unwrap();
        let file = all.iter().find(|m| m.file().is_some()).unwrap();
        let shown = output(&["show", &file.name]).unwrap();
        assert!(shown.contains(&file.file().unwrap().sha256));
        let repository = output(&["show", "glm-4.6"]).unwrap();
        assert!(repository.contains("the hub's, for each file of weights"));
        let error = output(&["show", "nope"]).unwrap_err().to_string();
        assert!(error.contains(&file.name), "{error}");
    }
}
