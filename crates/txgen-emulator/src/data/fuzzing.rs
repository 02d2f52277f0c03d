//! What a fuzzer takes through the log on disk: a file as it may be found, or records as they may be in one.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a panic is what a fuzzer looks for")]

use super::segment::{self, Records, Service};

/// Takes an input through the start of both services. With bit 0 of the first byte, the rest is a file; without it, records,
/// each with its length in two bytes before it.
///
/// # Panics
/// When a file says one thing when it is read and another when it was cut where it was whole, or when a service that has
/// read it breaks its promises.
pub fn log(data: &[u8]) {
    let Some((&mode, mut data)) = data.split_first() else { return };
    let mut records = Vec::new();
    if mode & 1 == 0 {
        while let Some((length, rest)) = data.split_first_chunk::<2>() {
            let (record, rest) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
            records.push(record.to_vec());
            data = rest;
        }
    } else {
        let mut read = Records::new(data);
        records.extend(read.by_ref().map(|(_, record)| record.to_vec()));
        for service in [Service::EventHubs, Service::CosmosDb] {
            segment::beginning(data, service);
        }
        if read.has_lost() {
            assert!(!read.is_whole(), "nothing is lost of a file that is whole");
        }
        let mut again = Records::new(&data[..read.end()]);
        assert!(again.by_ref().map(|(_, record)| record).eq(records.iter().map(Vec::as_slice)));
        assert!(again.is_whole() || data.len() < segment::HEADER, "a file is not whole where it was cut");
    }
    crate::event_hubs::fuzzing::log(&records);
    crate::cosmos::fuzzing::log(&records);
}
