//! The scrolling blocks, one for each batch: the workshop's own output, made true.

use std::fmt::Write as _;

use super::faster_mark;
use super::number::{ms, seconds, short, whole_ms};
use super::style::{BAD, CAUTION, NAME, if_any};
use crate::service::ServiceName;
use crate::stats::{Batch, ServiceBatch};

/// A batch as a block of text that ends with an empty line.
#[must_use]
pub fn block(batch: &Batch) -> String {
    let mut text = format!("{NAME}Total requests: requested {}{NAME:#}\n\n", batch.requested);
    for service in &batch.services {
        // Writing to a string cannot fail.
        let _ = write_service(&mut text, batch, service);
        text.push('\n');
    }
    text
}

fn write_service(text: &mut String, batch: &Batch, figures: &ServiceBatch) -> std::fmt::Result {
    let ServiceBatch { service: name, total, .. } = figures;
    let name = *name;
    write!(
        text,
        "{name}: inserted {} {} @ {:.2} writes/s",
        figures.succeeded,
        name.items(),
        figures.writes_per_second()
    )?;
    if name == ServiceName::CosmosDb {
        let per_second = figures.request_units_per_second();
        let per_month = short(figures.writes_per_month());
        write!(text, ", {per_second:.2} RU/s ({per_month} {} a month at this rate)", name.items())?;
    }
    writeln!(text)?;
    match figures.processing {
        Some(processing) if processing.is_full() => {
            let faster = faster_mark(name, batch.faster_processing());
            writeln!(text, "{name}: processing time {}{faster}", whole_ms(processing.time))?;
        }
        Some(processing) => {
            let (time, settlements) = (whole_ms(processing.time), processing.settlements);
            writeln!(text, "{name}: processing time {time} for the first {settlements}")?;
        }
        None => writeln!(text, "{name}: processing time -, nothing settled yet")?,
    }
    if figures.succeeded > 0 {
        let latency = figures.service_time;
        let (p50, p99, max) = (ms(latency.p50), ms(latency.p99), ms(latency.max));
        writeln!(text, "{name}: latency p50 {p50}, p99 {p99}, max {max}")?;
    } else {
        writeln!(text, "{name}: latency -, nothing inserted in this batch")?;
    }
    let faster = faster_mark(name, batch.faster_elapsed());
    writeln!(text, "{name}: total elapsed time {}{faster}", seconds(figures.elapsed))?;
    writeln!(text, "{name}: total succeeded {}", total.succeeded)?;
    writeln!(text, "{name}: total pending {}", total.pending)?;
    writeln!(text, "{name}: total throttled {}", if_any(total.throttled, CAUTION))?;
    writeln!(text, "{name}: total failed {}", if_any(total.failed, BAD))
}
