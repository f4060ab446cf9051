//! Writes a report beside its record.
use super::{ReportError, RunView, html, json, markdown};
use crate::record::{RECORD_FILE, read_record};
use std::path::{Path, PathBuf};

/// What a report was written from and to.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub view: RunView,
    /// `report.html`, `report.md`, `report.json`, and `patch.diff` of a run that has ended.
    pub files: Vec<PathBuf>,
}

impl RunView {
    /// Reads a run from its directory or its record file.
    pub fn read(run: &Path) -> Result<Self, ReportError> {
        let (lines, _) = read_record(&record_path(run)?)?;
        Ok(Self::new(lines))
    }
}

/// The record file that `run` names, itself or as the directory that holds it.
fn record_path(run: &Path) -> Result<PathBuf, ReportError> {
    let path = if run.is_dir() {
        run.join(RECORD_FILE)
    } else {
        run.to_owned()
    };
    if path.is_file() {
        Ok(path)
    } else {
        Err(ReportError::NoRecord {
            path: run.to_owned(),
        })
    }
}

/// Reads a run and writes its reports into the directory of its record,
/// over older ones. `patch.diff` is written once the run has ended, empty if
/// it ended without a patch.
pub fn write_report(run: &Path) -> Result<Written, ReportError> {
    let record = record_path(run)?;
    let (lines, _) = read_record(&record)?;
    let view = RunView::new(lines);
    let dir = record.parent().unwrap_or(Path::new("."));
    let json = serde_json::to_string_pretty(&json(&view)).expect("plain data serialises");
    let mut files = Vec::new();
    let mut write = |name: &str, text: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|source| ReportError::Write {
            path: path.clone(),
            source,
        })?;
        files.push(path);
        Ok::<(), ReportError>(())
    };
    write("report.html", html(&view).as_bytes())?;
    write("report.md", markdown(&view).as_bytes())?;
    write("report.json", (json + "\n").as_bytes())?;
    if view.ended.is_some() {
        write("patch.diff", &view.patch_bytes())?;
    }
    Ok(Written { view, files })
}
