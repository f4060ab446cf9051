//! `--drafts`: whether several tokens are checked in one step.
use super::{heading, values};
use crate::engine::Opened;
use clap::Args;

#[derive(Args, Clone, Debug)]
pub struct DraftArgs {
    /// Tokens drafted from what was written before, which one step checks: off, auto (on a CPU, as
    /// far as it saves time), or up to N for each sequence. The output is the same.
    #[arg(
        long,
        value_name = "WAY",
        help_heading = heading::ADVANCED,
        default_value = "auto",
        value_parser = drafts
    )]
    drafts: Drafts,
}

/// The value of `--drafts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drafts {
    Off,
    /// As many as are likely to save time, where they change no bit.
    Auto,
    /// Up to so many for each sequence of a step.
    Tokens(usize),
}

impl DraftArgs {
    /// Lets engines draft as was asked.
    pub fn apply(&self, opened: &mut Opened) {
        match self.drafts {
            Drafts::Auto if opened.rows_are_independent => opened.draft(None),
            Drafts::Auto | Drafts::Off => {}
            Drafts::Tokens(n) => opened.draft(Some(n)),
        }
    }

    /// Tokens of a draft, where drafts are wanted: see [`Opened::draft`].
    pub fn tokens(&self) -> Option<Option<usize>> {
        match self.drafts {
            Drafts::Off => None,
            Drafts::Auto => Some(None),
            Drafts::Tokens(n) => Some(Some(n)),
        }
    }
}

fn drafts(text: &str) -> Result<Drafts, String> {
    Ok(match text {
        "off" => Drafts::Off,
        "auto" => Drafts::Auto,
        _ => Drafts::Tokens(
            values::positive(text).map_err(|_| "off, auto or a number of tokens is needed")?,
        ),
    })
}
