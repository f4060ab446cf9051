//! The thin binary.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]
use std::process::ExitCode;

fn main() -> ExitCode {
    egss::cli::run()
}
