//! The parts of txgen that every transaction goes through: reading and serialising rows, and counting outcomes.
//!
//! `cargo bench --bench parts`. All of it is on one thread, so figures are those of one core.

// A benchmark ends at the first thing that goes wrong.
#![allow(clippy::expect_used, missing_docs)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokio::time::Instant;
use txgen::identity::RunId;
use txgen::service::{Counters, Receipt, ServiceName};
use txgen::source::{Source, SourceOptions};
use txgen::stats::{Outcome, Stats};
use txgen::transaction::Transaction;

const OPTIONS: fn() -> SourceOptions = || SourceOptions::new(RunId::random(), 5_184_000);

/// Rows of the shipped file, which has the 28 columns.
fn cleaned() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/Untagged_Transactions.csv");
    std::fs::read_to_string(path).expect("the shipped data is there")
}

/// The same rows as the raw file has them: 40 columns, date and time apart, no account columns.
fn raw() -> String {
    const BEFORE: &str = "transactionID,accountID,transactionAmountUSD,transactionAmount,transactionCurrencyCode,\
        transactionCurrencyConversionRate,transactionDate,transactionTime,localHour,transactionScenario,transactionType,\
        transactionMethod,transactionDeviceType,transactionDeviceId,transactionIPaddress,ipState,ipPostcode,\
        ipCountryCode,isProxyIP,browserType,browserLanguage,paymentInstrumentType,cardType,cardNumberInputMethod,\
        paymentInstrumentID,paymentBillingAddress,paymentBillingPostalCode,paymentBillingState,\
        paymentBillingCountryCode,paymentBillingName,shippingAddress,shippingPostalCode,shippingCity,shippingState,\
        shippingCountry,cvvVerifyResult,responseCode,digitalItemCount,physicalItemCount,purchaseProductType\n";
    let mut file = BEFORE.to_owned();
    for row in cleaned().lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        let [id, account, usd, amount, currency, hour, ip, state, postcode, country, proxy, language, ..] = cells[..]
        else {
            continue;
        };
        let (instrument, card, billing) = (cells[12], cells[13], &cells[14..17]);
        let (cvv, digital, physical) = (cells[17], cells[18], cells[19]);
        let (date, time) = cells[27].split_once('T').expect("a date and a time");
        let (date, time) = (date.replace('-', ""), time.replace(':', ""));
        let time = time.trim_start_matches('0');
        writeln!(
            file,
            "{id},{account},{usd},{amount},{currency},,{date},{time},{hour},A,P,,,,{ip},{state},{postcode},{country},\
             {proxy},,{language},{instrument},{card},,,,{},{},{},,,,,,,{cvv},,{digital},{physical},",
            billing[0], billing[1], billing[2]
        )
        .expect("a string takes it");
    }
    file
}

fn source(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("source");
    for (name, file) in [("28 columns", cleaned()), ("raw, 40 columns", raw())] {
        let rows = file.lines().count() as u64 - 1;
        group.throughput(Throughput::Elements(rows));
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Source::from_reader(name, Cursor::new(file.clone()), OPTIONS()).expect("it has a header"),
                |source| assert_eq!(source.map(|row| black_box(row).is_ok()).filter(|ok| *ok).count() as u64, rows),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// What is counted of a transaction at one service: its request, its outcome, and its share of the blocks.
fn statistics(criterion: &mut Criterion) {
    const OUTCOMES: u64 = 100_000;
    let mut group = criterion.benchmark_group("statistics");
    group.throughput(Throughput::Elements(OUTCOMES));
    let source = Source::from_reader("28 columns", Cursor::new(cleaned()), OPTIONS()).expect("it has a header");
    let transactions: Vec<Transaction> = source.map(|row| row.expect("every row can be read")).collect();
    group.bench_function("outcomes, with a block every 1,000", |bencher| {
        let start = Instant::now();
        bencher.iter_batched(
            || Stats::new([(ServiceName::EventHubs, Arc::<Counters>::default())], start),
            |mut stats| {
                for (nth, transaction) in (0..OUTCOMES).zip(transactions.iter().cycle()) {
                    let intended = start + Duration::from_micros(20 * nth);
                    let settled = intended + Duration::from_micros(5_000 + (nth * 7919) % 3_000);
                    let result = Ok(Receipt { request_units: 14.5, server_time: None });
                    let outcome = Outcome { result, intended, admitted: intended, settled, ambiguous: false };
                    stats.requested(transaction, intended, intended);
                    stats.settled(ServiceName::EventHubs, transaction.row, &outcome);
                    if stats.is_due(settled) {
                        black_box(stats.close_batch(settled));
                    }
                }
                stats
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(parts, source, statistics);
criterion_main!(parts);
