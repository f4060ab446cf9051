//! Headings of the help, and how a command's flags are arranged below them.
use clap::{Arg, ArgAction, Command};

pub const INPUT: &str = "Input";
pub const MODEL: &str = "Model";
pub const SEARCH: &str = "Search";
pub const SAMPLING: &str = "Sampling";
pub const BUDGET: &str = "Budget";
pub const TESTS: &str = "Tests";
pub const SELECTION: &str = "Selection";
pub const GATE: &str = "Gate";
pub const MEASUREMENT: &str = "Measurement";
pub const OUTPUT: &str = "Output";
/// Flags that `-h` leaves out.
pub const ADVANCED: &str = "Advanced";

/// The order in which the help has them, whatever the order of the flags in the code.
const ORDER: [&str; 11] = [
    INPUT,
    MODEL,
    SEARCH,
    SAMPLING,
    BUDGET,
    TESTS,
    SELECTION,
    GATE,
    MEASUREMENT,
    OUTPUT,
    ADVANCED,
];

/// The command with its flags in the order of their headings, the advanced ones in `--help` only.
pub fn arranged(mut command: Command) -> Command {
    if command
        .get_arguments()
        .any(|arg| arg.get_help_heading() == Some(OUTPUT))
    {
        command = command.disable_help_flag(true).arg(help_flag());
    }
    for heading in ORDER {
        let below = command.get_arguments();
        let below = below.filter(|arg| arg.get_help_heading() == Some(heading));
        let ids: Vec<_> = below.map(|arg| arg.get_id().clone()).collect();
        for id in ids {
            // Clap puts a flag that is changed behind all others.
            command = command.mut_arg(id, |arg| arg.hide_short_help(heading == ADVANCED));
        }
    }
    command.mut_subcommands(arranged)
}

/// Clap's own one stands alone below `Options`, in front of all headings.
fn help_flag() -> Arg {
    Arg::new("help")
        .short('h')
        .long("help")
        .action(ArgAction::Help)
        .help_heading(OUTPUT)
        .display_order(usize::MAX)
        .help("Print help; -h prints the common flags in short, --help all flags")
}
