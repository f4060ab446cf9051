//! `egss report RUN`: the report again, from a run's record.
use super::out;
use crate::report::{RunView, html, json, text, write_report};
use clap::Args;
use std::path::PathBuf;

/// Show a run again from its record. Without a flag, writes report.html,
/// report.md and report.json beside the record.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Run directory, or a record file.
    pub run: PathBuf,
    /// Print a text tree and write nothing.
    #[arg(long, group = "format")]
    pub text: bool,
    /// Print the report as JSON and write nothing.
    #[arg(long, group = "format")]
    pub json: bool,
    /// Print the HTML page and write nothing.
    #[arg(long, group = "format")]
    pub html: bool,
}

impl ReportArgs {
    /// Errors: no record there, a record that cannot be read, a directory that
    /// cannot be written.
    pub fn run(self) -> anyhow::Result<()> {
        if !(self.text || self.json || self.html) {
            let files = write_report(&self.run)?.files;
            let lines: String = (files.iter())
                .map(|file| format!("wrote {}\n", file.display()))
                .collect();
            return Ok(out::print(&lines)?);
        }
        let view = RunView::read(&self.run)?;
        let shown = if self.text {
            text(&view)
        } else if self.json {
            serde_json::to_string_pretty(&json(&view))? + "\n"
        } else {
            html(&view)
        };
        Ok(out::print(&shown)?)
    }
}
