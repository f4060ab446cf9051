//! Prints what a workspace of a repository costs, as a layer over one copy of the base and as a
//! copy: `cargo run --release --example workspace_cost -- DIR`.
//!
//! Medians of several rounds: making a workspace of the base, making one of a tree in which one
//! file is otherwise, and taking a snapshot of it after one more change. Bytes are those that a
//! workspace takes on the disk.
use egss::workspace::{Shadow, TreeId, enter_namespace, remove_workspaces};
use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let namespace = enter_namespace();
    let dir = std::env::args().nth(1).ok_or("usage: workspace_cost DIR")?;
    let temp = tempfile::tempdir()?;
    let (work, repo) = (temp.path().join("work"), Path::new(&dir).canonicalize()?);
    std::fs::create_dir(&work)?;
    let open = || Shadow::open(&temp.path().join("shadow"));
    let plain = open()?;
    let began = Instant::now();
    let base = plain.snapshot(&repo)?;
    println!(
        "snapshot of {} files: {} ms",
        plain.files(&base)?.len(),
        began.elapsed().as_millis()
    );
    println!(
        "| workspaces | of the base, ms | of a changed tree, ms | snapshot, ms | kB |\n|---|---:|---:|---:|---:|"
    );
    row("copies", &plain, &base, &temp.path().join("copy"), None)?;
    match namespace {
        Err(why) => println!("layers: {why}"),
        Ok(()) => {
            let began = Instant::now();
            let (layered, _) = open()?.in_layers(&base, &work, &repo, &[]);
            let ms = began.elapsed().as_millis();
            let place = work.join("one");
            row(
                "layers",
                &layered,
                &base,
                &place,
                Some(&work.join("layers/of-one")),
            )?;
            println!(
                "the copy below all layers, once a run: {ms} ms, {} kB",
                kb(&work.join("layers/base"))?
            );
        }
    }
    remove_workspaces(&work)?;
    Ok(())
}

fn row(
    name: &str,
    shadow: &Shadow,
    base: &TreeId,
    place: &Path,
    own: Option<&Path>,
) -> Result<(), Box<dyn Error>> {
    shadow.restore(base, place)?;
    let files = shadow.files(base)?;
    let file = files
        .iter()
        .find(|file| file.ends_with(".py"))
        .unwrap_or(&files[0]);
    let change = |n: usize| std::fs::write(place.join(file), format!("x = {n}\n"));
    change(0)?;
    let changed = shadow.snapshot(place)?;
    let mut ms: [Vec<f64>; 3] = Default::default();
    let mut bytes = 0;
    for n in 1..=ROUNDS {
        shadow.discard(place);
        ms[0].push(timed(|| shadow.restore(base, place))?);
        shadow.discard(place);
        ms[1].push(timed(|| shadow.restore(&changed, place))?);
        change(n)?;
        ms[2].push(timed(|| shadow.snapshot(place).map(drop))?);
        bytes = kb(own.unwrap_or(place))?;
    }
    let [base_ms, tree_ms, snapshot_ms] = ms.map(median);
    println!("| {name} | {base_ms:.1} | {tree_ms:.1} | {snapshot_ms:.1} | {bytes} |");
    Ok(())
}

fn timed<E>(work: impl FnOnce() -> Result<(), E>) -> Result<f64, E> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64() * 1e3)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Kilobytes of the blocks below a folder.
fn kb(dir: &Path) -> std::io::Result<u64> {
    let mut blocks = 0;
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            blocks += entry.metadata()?.blocks();
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(blocks / 2)
}
