//! `txgen completions`: what a shell needs to complete txgen's commands, flags and values.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::standard_output::print;
use super::{Cli, CliError};
use crate::observers::standard_output::Colours;

/// What `txgen completions` takes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    source <(txgen completions bash)                                              this shell alone\n  \
    txgen completions bash > ~/.local/share/bash-completion/completions/txgen     every bash from now on\n  \
    txgen completions zsh > ~/.zfunc/_txgen                                       where ~/.zfunc is in $fpath\n  \
    txgen completions fish > ~/.config/fish/completions/txgen.fish\n  \
    txgen completions powershell >> $PROFILE\n  \
    txgen completions elvish >> ~/.config/elvish/rc.elv")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Prints the completions.
pub(super) fn execute(args: &CompletionsArgs) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "txgen", &mut script);
    print(&String::from_utf8_lossy(&script), Colours::Never)?;
    Ok(ExitCode::SUCCESS)
}
