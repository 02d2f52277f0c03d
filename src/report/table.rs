//! One line a batch: `--output table`.

use super::number::{ms, short};
use crate::service::ServiceName;
use crate::stats::{Batch, ServiceBatch};

/// The heading, for a run that writes to these services.
#[must_use]
pub fn heading(services: &[ServiceName]) -> String {
    let mut names = format!("{:>9} {:>8}", "", "");
    let mut columns = format!("{:>9} {:>8}", "requested", "elapsed");
    for service in services {
        let width = column_width(*service);
        names.push_str(&format!("  {:<width$}", service.to_string()));
        columns.push_str(&format!("  {:>8}", "writes/s"));
        if *service == ServiceName::CosmosDb {
            columns.push_str(&format!(" {:>8}", "RU/s"));
        }
        columns.push_str(&format!(" {:>8} {:>8} {:>9} {:>9} {:>7}", "p50", "p99", "pending", "throttled", "failed"));
    }
    format!("{}\n{columns}\n", names.trim_end())
}

/// A batch as one line.
#[must_use]
pub fn row(batch: &Batch) -> String {
    let mut row = format!("{:>9} {:>7.1}s", batch.requested, batch.elapsed.as_secs_f64());
    for figures in &batch.services {
        row.push_str(&service_columns(figures));
    }
    row.push('\n');
    row
}

fn service_columns(figures: &ServiceBatch) -> String {
    let mut columns = format!("  {:>8}", short(figures.writes_per_second()));
    if figures.service == ServiceName::CosmosDb {
        columns.push_str(&format!(" {:>8}", short(figures.request_units_per_second())));
    }
    let (p50, p99) = match figures.succeeded {
        0 => ("-".to_owned(), "-".to_owned()),
        _ => (ms(figures.service_time.p50), ms(figures.service_time.p99)),
    };
    let total = &figures.total;
    columns + &format!(" {p50:>8} {p99:>8} {:>9} {:>9} {:>7}", total.pending, total.throttled, total.failed)
}

fn column_width(service: ServiceName) -> usize {
    let request_units = if service == ServiceName::CosmosDb { 9 } else { 0 };
    8 + request_units + 9 + 9 + 10 + 10 + 8
}
