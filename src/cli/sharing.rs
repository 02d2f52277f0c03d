//! The flags that make several processes one run.

use clap::Args;

use super::CliError;
use crate::identity::RunId;
use crate::settings::RunSettings;
use crate::shard::Shard;

/// Which part of which run this process is.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct SharingArgs {
    /// Send only every N-th row, as process I (from 0 on) of N that share the run, its --limit and its --rate
    #[arg(long, value_name = "I/N", help_heading = "One run in several processes", hide_short_help = true)]
    shard: Option<Shard>,
    /// The run's id, the same for all of its processes: 0b5c1f6e-93d2-8a47, or any UUID [default: a random one]
    #[arg(long, value_name = "ID", help_heading = "One run in several processes", hide_short_help = true)]
    run_id: Option<RunId>,
}

impl SharingArgs {
    /// Which part of the run this process takes.
    pub(super) fn shard(self) -> Shard {
        self.shard.unwrap_or(Shard::WHOLE)
    }

    /// The run's id; a random one unless the run is shared, for then all of its processes must have the same.
    pub(super) fn run_id(self) -> Result<RunId, CliError> {
        match (self.run_id, self.shard()) {
            (Some(run_id), _) => Ok(run_id),
            (None, shard) if shard.is_part() => Err(CliError::usage(anyhow::anyhow!(
                "--shard {shard}: needs --run-id, the same for all {} processes, or each would be a run of its own; \
                 a fresh one is --run-id {}",
                shard.count(),
                RunId::random(),
            ))),
            (None, _) => Ok(RunId::random()),
        }
    }

    /// The run's id, if the user has named one.
    pub(super) fn named_run(self) -> Option<RunId> {
        self.run_id
    }

    /// Cuts this process's part out of what is meant for the run as a whole.
    pub(super) fn cut(self, run: &mut RunSettings) {
        let shard = self.shard();
        run.limit = run.limit.map(|limit| shard.part_of(limit));
        run.rate = run.rate.map(|rate| shard.part_of_rate(rate));
    }

    /// Which rows are this process's, in words; nothing where all are.
    pub(super) fn plan(self) -> Option<String> {
        let shard = self.shard();
        let row = |turn: u64| u64::from(shard.index()) + 1 + turn * u64::from(shard.count());
        shard.is_part().then(|| format!("shard {shard}, rows {}, {}, {}, …", row(0), row(1), row(2)))
    }
}
