//! The thin binary: one sentence on standard error for whatever went wrong.
use std::process::ExitCode;

fn main() -> ExitCode {
    match egss::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("egss: {error:#}");
            ExitCode::FAILURE
        }
    }
}
