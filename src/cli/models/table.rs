//! Known models as text: a line for each precision, columns under each other.
use super::listed::{Asked, AtPrecision, Listed};
use crate::base::ModelSource;
use crate::checkpoint::Grouped;
use crate::engine::memory_available_bytes;
use crate::ops::ExpertsPlace;
use std::io::{self, Write};

/// What stands before the name in an SPDX identifier of a licence that SPDX does not list.
const UNLISTED_LICENCE: &str = "LicenseRef-";

/// Marks a precision that is computed for a GGUF file of one's own.
const OWN_FILE: &str = "~";

/// All models: a line for each, and one more for each further precision of it.
pub fn list(listed: &[Listed], asked: &Asked<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = vec![header(
        &["NAME", "PRECISION", "PARAMETERS"],
        asked,
        |tokens| vec![format!("GB {tokens}")],
        &["FITS", "HERE", "FAMILY", "LICENCE"],
    )];
    for l in listed {
        let m = &l.manifest;
        let licence = m.licence.strip_prefix(UNLISTED_LICENCE);
        let last = [
            if l.present { "yes" } else { "no" },
            &m.architecture,
            licence.unwrap_or(&m.licence),
        ];
        if l.precisions.is_empty() {
            let precision = m.precision.as_deref().unwrap_or("?");
            let mut row: Vec<String> = vec![m.name.clone(), precision.into(), parameters(l)];
            row.extend(asked.contexts.iter().map(|_| "?".into()));
            row.push("?".into());
            row.extend(last.map(String::from));
            rows.push(row);
        }
        for (i, at) in l.precisions.iter().enumerate() {
            let mut row = match i {
                0 => vec![m.name.clone(), marked(at), parameters(l)],
                _ => vec![String::new(), marked(at), String::new()],
            };
            row.extend(asked.contexts.iter().map(|&tokens| total(at, tokens)));
            row.push(fits(at));
            if i == 0 {
                row.extend(last.map(String::from));
            }
            rows.push(row);
        }
    }
    write_table(&rows, 3, 2 + asked.contexts.len(), out)?;
    write_notes(listed, asked, out)
}

/// Everything of one model.
pub fn show(l: &Listed, asked: &Asked<'_>, out: &mut dyn Write) -> io::Result<()> {
    let m = &l.manifest;
    writeln!(out, "name          {}", m.name)?;
    writeln!(out, "architecture  {}", m.architecture)?;
    writeln!(out, "parameters    {} billion", m.params_b)?;
    if let Some(active) = m.active_params_b {
        writeln!(out, "active        {active} billion for each token")?;
    }
    writeln!(out, "licence       {}", m.licence)?;
    if let Some(tokens) = l.context_max {
        writeln!(out, "context       {} tokens", Grouped(tokens as u64))?;
    }
    writeln!(out, "hub           {}", m.hub_repo)?;
    match &m.source {
        ModelSource::File(file) => {
            let bytes = Grouped(file.bytes);
            writeln!(out, "file          {} ({bytes} bytes)", file.file)?;
            writeln!(out, "sha256        {}", file.sha256)?;
        }
        ModelSource::Repository { revision } => {
            let revision = revision.as_deref().unwrap_or("newest");
            writeln!(out, "revision      {revision}")?;
            writeln!(out, "sha256        the hub's, for each file of weights")?;
        }
    }
    writeln!(out, "kept at       {}", l.path.display())?;
    match l.present {
        false => writeln!(out, "present       no: egss models pull {}", m.name)?,
        true => writeln!(out, "present       yes")?,
    }
    for (at, gate) in m.gates.iter().enumerate() {
        writeln!(
            out,
            "{:13} {} >= {} nats ({})",
            if at == 0 { "gate" } else { "" },
            gate.signal.name(),
            gate.threshold_nats,
            gate.source()
        )?;
    }
    if l.precisions.is_empty() {
        return writeln!(out, "memory        unknown: the manifest has no [config]");
    }
    writeln!(out)?;
    let mut rows = vec![header(
        &["PRECISION", "GB OF WEIGHTS"],
        asked,
        |tokens| vec![format!("KV {tokens}"), format!("GB {tokens}")],
        &["FITS"],
    )];
    for at in &l.precisions {
        let mut row = vec![marked(at), gigabytes(at.weights_bytes)];
        for &tokens in asked.contexts {
            let kv = at.at(tokens).map(|at| gigabytes(at.kv_bytes));
            row.extend([kv.unwrap_or_else(|| "-".into()), total(at, tokens)]);
        }
        row.push(fits(at));
        rows.push(row);
    }
    write_table(&rows, 1, 1 + 2 * asked.contexts.len(), out)?;
    write_notes(std::slice::from_ref(l), asked, out)
}

/// What the columns mean.
fn write_notes(listed: &[Listed], asked: &Asked<'_>, out: &mut dyn Write) -> io::Result<()> {
    let available = match memory_available_bytes(asked.backend) {
        Some(bytes) => format!("{} GB are available", gigabytes(bytes)),
        None => "how much is available cannot be told".into(),
    };
    writeln!(out)?;
    writeln!(
        out,
        "GB: memory of a run with one sequence of so many tokens; {available}."
    )?;
    if asked.backend.experts_place() == ExpertsPlace::Host && asked.backend.free_bytes().is_some() {
        writeln!(
            out,
            "Experts, which stay on the host, are not of these figures (--json has theirs)."
        )?;
    }
    let mut all = listed.iter().flat_map(|l| &l.precisions);
    if all.any(|at| !at.published) {
        writeln!(
            out,
            "{OWN_FILE} is computed for a GGUF file of one's own, which --model takes by its path."
        )?;
    }
    Ok(())
}

/// The words above the columns: `first`, those of each context, then `last`.
fn header(
    first: &[&str],
    asked: &Asked<'_>,
    of_context: impl Fn(&str) -> Vec<String>,
    last: &[&str],
) -> Vec<String> {
    let words = |words: &[&str]| {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
    };
    let contexts = asked.contexts.iter().flat_map(|&n| of_context(&tokens(n)));
    let mut row = words(first);
    row.extend(contexts);
    row.extend(words(last));
    row
}

/// Columns as wide as their widest cell; numbers, from column `numbers_from` to
/// `numbers_to`, end at the same place.
fn write_table(
    rows: &[Vec<String>],
    numbers_from: usize,
    numbers_to: usize,
    out: &mut dyn Write,
) -> io::Result<()> {
    let n_columns = rows.first().map_or(0, Vec::len);
    let cell_width = |column: usize| move |row: &Vec<String>| row.get(column).map(String::len);
    let widths: Vec<usize> = (0..n_columns)
        .map(|column| rows.iter().filter_map(cell_width(column)).max())
        .map(Option::unwrap_or_default)
        .collect();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            match (numbers_from..=numbers_to).contains(&column) {
                true => line += &format!("{cell:>width$}  "),
                false => line += &format!("{cell:width$}  "),
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn marked(at: &AtPrecision) -> String {
    let mark = if at.published { "" } else { OWN_FILE };
    format!("{}{mark}", at.precision)
}

fn total(at: &AtPrecision, tokens: usize) -> String {
    let at = at.at(tokens);
    at.map_or_else(|| "-".into(), |at| gigabytes(at.total_bytes))
}

/// `yes` where every context that the model takes fits, else up to which.
fn fits(at: &AtPrecision) -> String {
    if at.contexts.iter().any(|at| at.fits.is_none()) || at.contexts.is_empty() {
        return "?".into();
    }
    match at.longest_that_fits() {
        None => "no".into(),
        Some(_) if at.contexts.iter().all(|at| at.fits == Some(true)) => "yes".into(),
        Some(longest) => format!("at {}", tokens(longest)),
    }
}

/// `30.5 B (3.3 B)`: in all, and those that a token passes through.
fn parameters(l: &Listed) -> String {
    let in_all = billions(l.manifest.params_b);
    match l.manifest.active_params_b {
        Some(active) => format!("{in_all} ({})", billions(active)),
        None => in_all,
    }
}

fn billions(n: f32) -> String {
    match n {
        100.0.. => format!("{n:.0} B"),
        10.0.. => format!("{n:.1} B"),
        _ => format!("{n:.2} B"),
    }
}

/// `4K` for 4,096.
fn tokens(n: usize) -> String {
    match n.is_multiple_of(1024) && n > 0 {
        true => format!("{}K", n / 1024),
        false => n.to_string(),
    }
}

fn gigabytes(bytes: u64) -> String {
    let gb = bytes as f64 / 1e9;
    match gb {
        100.0.. => format!("{gb:.0}"),
        _ => format!("{gb:.1}"),
    }
}
