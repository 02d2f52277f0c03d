//! From an event hub or a container into the table.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use txgen_lake::{Appender, Options};

use super::origin::{Batch, Extent, View};
use super::plan::{LandError, Plan, Start};
use super::progress::{Ended, Lag, Landed, Step};
use crate::text::counted;

/// Batches of events that wait to be taken.
const WAITING: usize = 4;
/// Between two looks at how far the partitions are.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two tries to begin again, at first.
const PAUSE: Duration = Duration::from_millis(200);

/// When landing ends, where nothing goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Until {
    /// Once this is cancelled, with what was read by then.
    pub stopped: CancellationToken,
    /// Once this is cancelled, and everything is landed that was there at that moment.
    pub caught_up: CancellationToken,
}

/// Lands until it is asked to end, or is caught up where the plan says so. `watch` is called with every step.
///
/// # Errors
/// When the service or the table is in trouble for too long, refuses txgen, or belongs to another process by now.
pub async fn land(
    plan: &Plan,
    until: &Until,
    watch: &mut (dyn FnMut(Step) + Send),
) -> Result<(Ended, Landed), LandError> {
    let began = Instant::now();
    let ends_at_targets = plan.until_caught_up;
    let mut landing =
        Landing { plan, watch, landed: Landed::default(), began, targets: BTreeMap::new(), ends_at_targets };
    let (mut pause, mut troubled_since) = (PAUSE, None::<Instant>);
    loop {
        let commits = landing.landed.commits;
        let ended = landing.attempt(until).await;
        landing.landed.took = began.elapsed();
        let error = match ended {
            Ok(ended) => return Ok((ended, landing.landed)),
            Err(error) if error.may_heal() => error,
            Err(error) => return Err(error),
        };
        if landing.landed.commits > commits {
            (pause, troubled_since) = (PAUSE, None);
        }
        if troubled_since.get_or_insert_with(Instant::now).elapsed() >= plan.retry_for {
            return Err(error);
        }
        (landing.watch)(Step::Again { why: error.to_string() });
        if until.stopped.run_until_cancelled(sleep(pause)).await.is_none() {
            return Ok((Ended::Stopped, landing.landed));
        }
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

struct Landing<'a> {
    plan: &'a Plan,
    watch: &'a mut (dyn FnMut(Step) + Send),
    landed: Landed,
    began: Instant,
    /// Where each partition ended when landing began, or was asked to catch up.
    targets: BTreeMap<u32, Extent>,
    /// Whether landing ends there.
    ends_at_targets: bool,
}

/// Batches of events, from a task of its own.
struct Feed {
    arrived: mpsc::Receiver<Batch>,
    task: JoinHandle<Result<(), LandError>>,
    _cancel: DropGuard,
}

impl Landing<'_> {
    /// Lands from where the table ends, until something is wrong.
    async fn attempt(&mut self, until: &Until) -> Result<Ended, LandError> {
        let plan = self.plan;
        let opened = async {
            let view = plan.origin.look().await?;
            let extents = partitions(plan, &view)?;
            let appender = open(plan, &view, &extents).await?;
            Ok::<_, LandError>((view, extents, appender))
        };
        let Some(opened) = until.stopped.run_until_cancelled(opened).await else { return Ok(Ended::Stopped) };
        let (view, extents, mut appender) = opened?;
        // Partitions that have come from a split since are landed to where they are now.
        let target = |(partition, extent): (&u32, &Extent)| {
            (*partition, self.targets.get(partition).copied().unwrap_or(*extent))
        };
        self.targets = extents.iter().map(target).collect();
        self.begin(&extents, &mut appender).await?;
        self.landed.version = appender.version();
        let mut ends: BTreeMap<u32, i64> =
            extents.iter().map(|(partition, extent)| (*partition, extent.last)).collect();
        (self.watch)(Step::Began {
            version: appender.version(),
            positions: appender.landed().clone(),
            behind: behind(&extents, appender.landed()),
        });
        let mut taken = Taken { last: appender.landed().clone(), read_out: BTreeSet::new(), gone: BTreeMap::new() };
        let mut newest: BTreeMap<u32, i64> = BTreeMap::new();
        let mut feed = feed(view.clone(), taken.last.clone());
        let mut due: Option<Instant> = None;
        let mut look_at = Instant::now() + LOOK_EVERY;
        loop {
            if self.ends_at_targets && self.is_caught_up(&taken) {
                self.commit(&mut appender).await?;
                appender.finish().await;
                return Ok(Ended::CaughtUp);
            }
            tokio::select! {
                biased;
                () = until.stopped.cancelled() => {
                    self.commit(&mut appender).await?;
                    appender.finish().await;
                    return Ok(Ended::Stopped);
                }
                () = until.caught_up.cancelled(), if !self.ends_at_targets => {
                    let now = view.extents().await?;
                    self.targets.iter_mut().for_each(|(id, extent)| *extent = now.get(id).copied().unwrap_or(*extent));
                    taken.read_out.clear();
                    self.ends_at_targets = true;
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.commit(&mut appender).await?;
                    due = None;
                }
                () = sleep_until(look_at) => {
                    // How far the partitions are is worth nothing that would end landing.
                    if let Ok(extents) = view.extents().await {
                        for (partition, end) in &mut ends {
                            *end = extents.get(partition).map_or(*end, |extent| extent.last);
                        }
                        self.pass_over_what_is_gone(&extents, &mut taken, &mut appender)?;
                    }
                    (self.watch)(Step::Behind(lags(&ends, appender.landed(), &newest)));
                    look_at = Instant::now() + LOOK_EVERY;
                }
                batch = feed.arrived.recv() => {
                    let Some(batch) = batch else {
                        // What was read is good, whatever became of the reader.
                        self.commit(&mut appender).await?;
                        return Err(match feed.task.await {
                            Ok(Err(error)) => error,
                            Ok(Ok(())) | Err(_) => LandError::Internal,
                        });
                    };
                    let Batch { partition, events, position, is_last } = batch;
                    if is_last {
                        taken.read_out.insert(partition);
                    }
                    if events.is_empty() {
                        continue;
                    }
                    newest.extend(events.last().and_then(|event| Some((partition, event.enqueued_unix_us?))));
                    for event in events {
                        self.check_order(&mut taken.last, partition, event.sequence_number)?;
                        appender.take(event).await?;
                    }
                    if let Some(position) = position {
                        taken.last.insert(partition, Some(position));
                        appender.skip_to(partition, position);
                    }
                    due = due.or_else(|| Some(Instant::now() + self.plan.commit_every));
                    if appender.pending_bytes() >= self.plan.commit_bytes {
                        self.commit(&mut appender).await?;
                        due = None;
                    }
                }
            }
        }
    }

    /// Compares the table's positions with what there is. Where only what comes is wanted, and where a gap is accepted, the
    /// table's position is moved there.
    async fn begin(&mut self, extents: &BTreeMap<u32, Extent>, appender: &mut Appender) -> Result<(), LandError> {
        for (partition, Extent { first, last }) in extents {
            match appender.landed().get(partition).copied().flatten() {
                Some(landed) if landed > *last => {
                    return Err(LandError::Ahead { partition: *partition, last: *last, landed });
                }
                Some(landed) if *first > landed + 1 => {
                    self.gap(*partition, landed, *first)?;
                    appender.skip_to(*partition, first - 1);
                }
                None if self.plan.start == Start::Latest => appender.skip_to(*partition, *last),
                _ => {}
            }
        }
        appender.commit().await?;
        Ok(())
    }

    fn gap(&mut self, partition: u32, landed: i64, next: i64) -> Result<(), LandError> {
        let lost = u64::try_from(next - landed - 1).unwrap_or_default();
        if !self.plan.allow_gaps {
            return Err(LandError::Gap { partition, lost: counted(lost, "event"), landed, next });
        }
        self.landed.lost += lost;
        (self.watch)(Step::Gap { partition, lost });
        Ok(())
    }

    /// Whether the event is the one that comes next, where a partition's numbers have no holes.
    fn check_order(
        &mut self,
        taken: &mut BTreeMap<u32, Option<i64>>,
        partition: u32,
        number: i64,
    ) -> Result<(), LandError> {
        if !self.plan.origin.has_dense_numbers() {
            return Ok(());
        }
        let last = taken.entry(partition).or_default();
        if let Some(last) = *last
            && number > last + 1
        {
            self.gap(partition, last, number)?;
        }
        *last = Some(number).max(*last);
        Ok(())
    }

    /// What retention has deleted before it was read will not come: a target that lies in it is reached.
    fn pass_over_what_is_gone(
        &mut self,
        extents: &BTreeMap<u32, Extent>,
        taken: &mut Taken,
        appender: &mut Appender,
    ) -> Result<(), LandError> {
        if !self.ends_at_targets {
            return Ok(());
        }
        for (partition, Extent { first, .. }) in extents {
            let target = self.targets.get(partition).map(|target| target.last);
            let Some(target) = target.filter(|target| target < first) else { continue };
            let last = taken.last.get(partition).copied().flatten();
            // What was read before it was deleted may be on its way.
            if taken.gone.insert(*partition, last) != Some(last) {
                continue;
            }
            if let Some(last) = last.filter(|last| *last < target) {
                self.gap(*partition, last, *first)?;
                taken.last.insert(*partition, Some(first - 1));
                appender.skip_to(*partition, first - 1);
            }
            taken.read_out.insert(*partition);
        }
        Ok(())
    }

    fn is_caught_up(&self, taken: &Taken) -> bool {
        self.targets.iter().all(|(partition, Extent { first, last })| {
            last < first
                || taken.read_out.contains(partition)
                || taken.last.get(partition).copied().flatten() >= Some(*last)
        })
    }

    async fn commit(&mut self, appender: &mut Appender) -> Result<(), LandError> {
        if let Some(committed) = appender.commit().await? {
            self.landed.add(&committed);
            self.landed.took = self.began.elapsed();
            (self.watch)(Step::Committed(committed, self.landed.clone()));
        }
        Ok(())
    }
}

/// The partitions that are landed, with what they hold.
fn partitions(plan: &Plan, view: &View) -> Result<BTreeMap<u32, Extent>, LandError> {
    let wanted = &plan.partitions;
    if let Some(unknown) = wanted.iter().find(|partition| !view.partitions.contains_key(partition)) {
        let known: Vec<String> = view.partitions.keys().map(u32::to_string).collect();
        return Err(LandError::NoSuchPartition(*unknown, known.join(", ")));
    }
    let all = view.partitions.iter().map(|(partition, extent)| (*partition, *extent));
    Ok(all.filter(|(partition, _)| wanted.is_empty() || wanted.contains(partition)).collect())
}

async fn open(plan: &Plan, view: &View, extents: &BTreeMap<u32, Extent>) -> Result<Appender, LandError> {
    let Plan { location, store, rejected, partition_by, lander, retry_for, .. } = plan;
    let options = Options {
        table: location.to_string(),
        lander: lander.clone(),
        partition_by: partition_by.clone(),
        retry_for: *retry_for,
        pause: PAUSE,
    };
    let partitions = extents.keys().copied();
    Ok(Appender::open(view.source.clone(), partitions, store.clone(), rejected.clone(), options).await?)
}

/// What has been read in one attempt.
struct Taken {
    /// The last number of each partition.
    last: BTreeMap<u32, Option<i64>>,
    /// Partitions in which, at some time since, nothing was left.
    read_out: BTreeSet<u32>,
    /// Partitions whose target was found deleted, with the last number at that moment.
    gone: BTreeMap<u32, Option<i64>>,
}

fn feed(view: View, after: BTreeMap<u32, Option<i64>>) -> Feed {
    let (batches, arrived) = mpsc::channel(WAITING);
    let cancel = CancellationToken::new();
    let task = tokio::spawn(view.follow(after, batches, cancel.clone()));
    Feed { arrived, task, _cancel: cancel.drop_guard() }
}

fn behind(extents: &BTreeMap<u32, Extent>, landed: &BTreeMap<u32, Option<i64>>) -> u64 {
    let of = |(partition, extent): (&u32, &Extent)| {
        let next = landed.get(partition).copied().flatten().map_or(0, |landed| landed + 1);
        u64::try_from(extent.last + 1 - next.max(extent.first)).unwrap_or_default()
    };
    extents.iter().map(of).sum()
}

fn lags(
    ends: &BTreeMap<u32, i64>,
    landed: &BTreeMap<u32, Option<i64>>,
    newest: &BTreeMap<u32, i64>,
) -> BTreeMap<u32, Lag> {
    let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000;
    let of = |(partition, end): (&u32, &i64)| {
        let landed = landed.get(partition).copied().flatten().unwrap_or(-1);
        let events = u64::try_from(end - landed).unwrap_or_default();
        let age = newest.get(partition).map_or(0, |moment| now - i128::from(*moment));
        (*partition, Lag { events, seconds: if events == 0 { 0.0 } else { age.max(0) as f64 / 1e6 } })
    };
    ends.iter().map(of).collect()
}
