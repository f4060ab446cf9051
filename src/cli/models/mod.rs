//! `egss models`: what models there are, and fetching one.
use crate::base::ModelManifest;
use crate::checkpoint::{Grouped, find_manifest, manifests, models_dir, pull};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;

/// What a small run takes beside the weights, which stay at the file's width: KV pool,
/// vocabulary, logits and work space, bytes.
const MEMORY_WORK_BYTES: u64 = 512 << 20;

/// Lists, shows and fetches models.
#[derive(Args, Debug)]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Subcommand, Debug)]
enum ModelsCommand {
    /// Lists the known models
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows everything known of one model
    Show {
        /// Name of a model (see `egss models list`)
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetches a model from the hub (HF_ENDPOINT), checked by SHA-256
    Pull {
        /// Name of a model (see `egss models list`)
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl ModelsArgs {
    /// Carries the command out, on standard output.
    pub fn run(self) -> anyhow::Result<()> {
        self.run_on(&mut std::io::stdout().lock())
    }

    fn run_on(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.command {
            ModelsCommand::List { json } => list(json, out),
            ModelsCommand::Show { name, json } => {
                show(&Listed::new(find_manifest(&name)?)?, json, out)
            }
            ModelsCommand::Pull { name, json } => {
                let manifest = find_manifest(&name)?;
                pull_with_progress(&manifest)?;
                let listed = Listed::new(manifest)?;
                if json {
                    return print_json(&listed, out);
                }
                writeln!(
                    out,
                    "{} is there and its SHA-256 is right",
                    listed.path.display()
                )?;
                Ok(())
            }
        }
    }
}

/// A model, and how it stands with it on this machine.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    manifest: ModelManifest,
    path: PathBuf,
    present: bool,
    memory_bytes: u64,
    /// `None` where the machine's free memory cannot be told.
    fits: Option<bool>,
}

impl Listed {
    fn new(manifest: ModelManifest) -> anyhow::Result<Self> {
        let path = models_dir()?.join(&manifest.file);
        let memory_bytes = manifest.bytes + MEMORY_WORK_BYTES;
        Ok(Self {
            present: path.exists(),
            fits: memory_available_bytes().map(|free| memory_bytes <= free),
            path,
            memory_bytes,
            manifest,
        })
    }

    fn fits(&self) -> &'static str {
        match self.fits {
            Some(true) => "fits",
            Some(false) => "too large",
            None => "unknown",
        }
    }
}

fn list(json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let listed = manifests()?
        .into_iter()
        .map(Listed::new)
        .collect::<anyhow::Result<Vec<_>>>()?;
    if json {
        return print_json(&listed, out);
    }
    let width = listed
        .iter()
        .map(|l| l.manifest.name.len())
        .max()
        .unwrap_or(0);
    writeln!(
        out,
        "{:width$}  {:8}  {:>7}  {:10}  {:>8}  {:>8}  {:9}  PRESENT",
        "NAME", "FAMILY", "WEIGHTS", "LICENCE", "FILE", "MEMORY", "HERE"
    )?;
    for l in listed {
        writeln!(
            out,
            "{:width$}  {:8}  {:>7}  {:10}  {:>8}  {:>8}  {:9}  {}",
            l.manifest.name,
            l.manifest.architecture,
            format!("{} B", l.manifest.params_b),
            l.manifest.licence,
            gigabytes(l.manifest.bytes),
            gigabytes(l.memory_bytes),
            l.fits(),
            if l.present { "yes" } else { "no" },
        )?;
    }
    Ok(())
}

fn show(l: &Listed, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    if json {
        return print_json(l, out);
    }
    let m = &l.manifest;
    writeln!(out, "name          {}", m.name)?;
    writeln!(out, "architecture  {}", m.architecture)?;
    writeln!(out, "parameters    {} billion", m.params_b)?;
    writeln!(out, "licence       {}", m.licence)?;
    writeln!(out, "file          {} ({} bytes)", m.file, Grouped(m.bytes))?;
    writeln!(out, "sha256        {}", m.sha256)?;
    writeln!(out, "hub           {}", m.hub_repo)?;
    writeln!(
        out,
        "memory        {} ({})",
        gigabytes(l.memory_bytes),
        l.fits()
    )?;
    writeln!(out, "kept at       {}", l.path.display())?;
    match (l.present, &m.gate) {
        (false, _) => writeln!(out, "present       no: egss models pull {}", m.name)?,
        (true, _) => writeln!(out, "present       yes")?,
    }
    if let Some(gate) = &m.gate {
        writeln!(
            out,
            "gate          {} >= {} nats ({})",
            gate.signal.name(),
            gate.threshold_nats,
            gate.source()
        )?;
    }
    Ok(())
}

/// Pulls with a bar on a terminal, and a line each tenth elsewhere. Both go to
/// standard error: standard output carries the result.
fn pull_with_progress(manifest: &ModelManifest) -> anyhow::Result<()> {
    let dir = models_dir()?;
    if std::io::stderr().is_terminal() {
        let bar = indicatif::ProgressBar::new(manifest.bytes);
        bar.set_style(indicatif::ProgressStyle::with_template(
            "{msg} [{wide_bar}] {bytes} of {total_bytes} {bytes_per_sec} {eta}",
        )?);
        bar.set_message(manifest.name.clone());
        pull(manifest, &dir, None, &mut |done, _| bar.set_position(done))?;
        bar.finish();
    } else {
        let mut tenths_shown = 0;
        pull(manifest, &dir, None, &mut |done, total| {
            let tenths = done * 10 / total.max(1);
            if tenths > tenths_shown {
                tenths_shown = tenths;
                eprintln!(
                    "{}: {} of {}",
                    manifest.name,
                    gigabytes(done),
                    gigabytes(total)
                );
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

fn gigabytes(bytes: u64) -> String {
    format!("{:.2} GB", bytes as f64 / 1e9)
}

/// Memory that a new process can have, bytes; `None` where the system does not
/// say (it does on Linux).
fn memory_available_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
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
    fn list_names_every_model_with_licence_and_memory() {
        let listed = output(&["list"]).unwrap();
        assert_eq!(listed.lines().count(), 1 + manifests().unwrap().len());
        for manifest in manifests().unwrap() {
            let line = listed.lines().find(|l| l.contains(&manifest.name)).unwrap();
            assert!(line.contains(&manifest.licence), "{line}");
            assert!(line.contains(&manifest.architecture), "{line}");
        }
        let json: serde_json::Value =
            serde_json::from_str(&output(&["list", "--json"]).unwrap()).unwrap();
        assert_eq!(json[0]["licence"], "Apache-2.0");
        assert!(json[0]["memory_bytes"].as_u64() > json[0]["bytes"].as_u64());
    }

    #[test]
    fn show_tells_the_checksum_and_unknown_names_are_refused() {
        let manifest = &manifests().unwrap()[0];
        assert!(
            output(&["show", &manifest.name])
                .unwrap()
                .contains(&manifest.sha256)
        );
        let error = output(&["show", "nope"]).unwrap_err().to_string();
        assert!(error.contains(&manifest.name), "{error}");
    }
}
