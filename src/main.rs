//! The thin binary: one sentence on standard error for whatever went wrong.
use std::process::ExitCode;

fn main() -> ExitCode {
    match egss::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("egss: {}", sentence(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error with its causes, those left out that it spells out already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}
