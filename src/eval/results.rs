//! The file of rows.
use super::EvalError;
use super::row::EvalRow;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Below an evaluation's folder.
pub(super) const RESULTS_FILE: &str = "results.jsonl";

/// The whole rows of a file and how many bytes they take; none where there is no file.
/// A line that a kill cut short is no row.
///
/// Errors: a line that is no row, by its number.
pub(super) fn read_results(path: &Path) -> Result<(Vec<EvalRow>, u64), EvalError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(EvalError::io("read", path, error)),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let row = |(index, line)| {
        serde_json::from_str(line).map_err(|source| EvalError::Results {
            path: path.to_owned(),
            line: index + 1,
            source,
        })
    };
    let rows = text[..whole].lines().enumerate().map(row);
    Ok((rows.collect::<Result<_, _>>()?, whole as u64))
}

/// Rows on disk, and where new ones go.
pub(super) struct Results {
    pub(super) rows: Vec<EvalRow>,
    file: File,
    path: PathBuf,
}

impl Results {
    /// Opens or makes the file; a line that a kill cut short is taken out.
    pub(super) fn open(path: &Path) -> Result<Self, EvalError> {
        let (rows, whole_bytes) = read_results(path)?;
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .map_err(|e| EvalError::io("open", path, e))?;
        file.set_len(whole_bytes)
            .map_err(|e| EvalError::io("cut", path, e))?;
        Ok(Self {
            rows,
            file,
            path: path.to_owned(),
        })
    }

    pub(super) fn add(&mut self, row: EvalRow) -> Result<&EvalRow, EvalError> {
        let mut line = serde_json::to_string(&row).expect("plain data serialises");
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|e| EvalError::io("write", &self.path, e))?;
        self.rows.push(row);
        Ok(self.rows.last().expect("it was just added"))
    }
}
