//! Standard output and standard error: the one place that writes to them.
//!
//! `print!` and `eprintln!` panic where nobody reads on or a disk is full, and standard
//! output keeps back a last line without a line break and forgets an error with it. Here a
//! result is written whole or is an [`OutputError`]; a message that cannot be written is
//! given up, since there is no other place for it.
use std::io::{self, ErrorKind, IsTerminal, Write};

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The reader (`| head`) has seen enough: the program ends without a word.
    #[error("nobody reads standard output any more")]
    Closed,
    #[error("the result cannot be written to standard output: {0}")]
    Failed(io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// Writes a result, or a part of one, to standard output.
pub fn print(text: &str) -> Result<(), OutputError> {
    print_bytes(text.as_bytes())
}

/// [`print`] for what need not be UTF-8.
pub fn print_bytes(bytes: &[u8]) -> Result<(), OutputError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// [`print`] with a line break behind the text.
pub fn print_line(text: &str) -> Result<(), OutputError> {
    print(&format!("{text}\n"))
}

/// Writes a command's help to standard output, in colours where it takes them.
pub fn print_help(help: &clap::Error) -> Result<(), OutputError> {
    help.print()?;
    Ok(io::stdout().flush()?)
}

/// Ends the process over an error of [`print`], where it cannot be handed up.
pub fn end_at(error: OutputError) -> ! {
    std::process::exit(match error {
        OutputError::Closed => 0,
        OutputError::Failed(_) => {
            note(&format!("egss: {error}"));
            1
        }
    })
}

/// Writes a message and a line break to standard error.
pub fn note(text: &str) {
    // In one write, so that lines of several threads stay whole.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// True where standard output takes colours: a terminal that has them, of a user who wants
/// them (no-color.org, bixense.com/clicolors).
pub fn is_coloured() -> bool {
    takes_colour(io::stdout().is_terminal(), |name| {
        std::env::var(name).unwrap_or_default()
    })
}

/// True where lines of standard error can be redrawn in their places.
pub fn is_redrawn() -> bool {
    io::stderr().is_terminal() && !is_dumb(&std::env::var("TERM").unwrap_or_default())
}

/// `var` gives an environment variable, or nothing.
fn takes_colour(is_terminal: bool, var: impl Fn(&str) -> String) -> bool {
    if !var("NO_COLOR").is_empty() {
        return false;
    }
    if !matches!(&*var("CLICOLOR_FORCE"), "" | "0") {
        return true;
    }
    is_terminal && var("CLICOLOR") != "0" && !is_dumb(&var("TERM"))
}

/// True for a terminal without escape sequences.
fn is_dumb(term: &str) -> bool {
    term == "dumb"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// aprender#662.
    #[test]
    fn colours_go_to_terminals_that_have_them_and_users_who_want_them() {
        let coloured = |is_terminal, set: &[(&str, &str)]| {
            takes_colour(is_terminal, |name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map_or(String::new(), |(_, value)| (*value).to_owned())
            })
        };
        assert!(coloured(true, &[]));
        assert!(coloured(
            true,
            &[("TERM", "xterm-256color"), ("NO_COLOR", "")]
        ));
        assert!(!coloured(false, &[]));
        for none in [("NO_COLOR", "1"), ("TERM", "dumb"), ("CLICOLOR", "0")] {
            assert!(!coloured(true, &[none]), "{none:?}");
        }
        assert!(coloured(false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!coloured(false, &[("CLICOLOR_FORCE", "0")]));
        assert!(!coloured(
            true,
            &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]
        ));
    }

    #[test]
    fn a_reader_that_went_away_is_told_from_a_disk_that_is_full() {
        let of = |kind: ErrorKind| OutputError::from(io::Error::from(kind));
        assert!(matches!(of(ErrorKind::BrokenPipe), OutputError::Closed));
        let full = of(ErrorKind::StorageFull).to_string();
        assert!(full.starts_with("the result cannot be written"), "{full}");
    }
}
