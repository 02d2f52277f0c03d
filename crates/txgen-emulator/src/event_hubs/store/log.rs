//! A partition's events as bytes in segments: no object per event, and memory goes back a segment at a time.

use std::collections::VecDeque;

use super::super::message::Delivery;

/// A segment holds so many bytes, or one event that is larger.
const SEGMENT_BYTES: usize = 256 * 1024;

/// Bytes of memory that an event takes besides its own, about: its entry, in a vector that has room for as many again.
pub(in super::super) const OVERHEAD: u64 = 64;

/// What a sender hands over.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct NewEvent<'a> {
    pub(in super::super) key: Option<&'a str>,
    /// Encoded annotations, and how many values they are.
    pub(in super::super) annotations: (&'a [u8], u32),
    /// Encoded properties, body and so on.
    pub(in super::super) message: &'a [u8],
}

/// An event read back for inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct StoredEvent {
    pub(in super::super) sequence_number: i64,
    pub(in super::super) enqueued_ms: i64,
    pub(in super::super) key: Option<String>,
    pub(in super::super) message: Vec<u8>,
}

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Position {
    /// At the oldest event.
    Start,
    /// At the next event that arrives.
    End,
    /// After the event with this offset, or at it.
    Offset(i64, bool),
    /// After the event with this sequence number, or at it.
    SequenceNumber(i64, bool),
    /// At the first event enqueued later than this time in milliseconds, or at it.
    EnqueuedTime(i64, bool),
}

/// Where a log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Mark {
    pub(in super::super) next_sequence_number: i64,
    pub(in super::super) next_offset: i64,
    pub(in super::super) last_offset: i64,
    pub(in super::super) last_enqueued_ms: i64,
}

/// Where in a segment an event's parts lie, one after the other from `start`: key, annotations, message.
#[derive(Clone, Copy, Debug)]
struct Entry {
    enqueued_ms: i64,
    start: u32,
    end: u32,
    annotations_length: u32,
    annotation_values: u32,
    /// Keys are at most 128 characters, so 512 bytes; `None` is no key, which is not the empty key.
    key_length: Option<u16>,
}

#[derive(Debug)]
struct Segment {
    first_sequence_number: i64,
    /// The offset of its first byte in the partition.
    first_offset: i64,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl Segment {
    fn event(&self, index: usize) -> Option<Delivery<'_>> {
        let entry = self.entries.get(index)?;
        let bytes = self.bytes.get(entry.start as usize..entry.end as usize)?;
        let (key, rest) = bytes.split_at_checked(entry.key_length.unwrap_or(0).into())?;
        let (annotations, message) = rest.split_at_checked(entry.annotations_length as usize)?;
        Some(Delivery {
            sequence_number: self.first_sequence_number + index as i64,
            offset: self.first_offset + i64::from(entry.start),
            enqueued_ms: entry.enqueued_ms,
            key: entry.key_length.and_then(|_| std::str::from_utf8(key).ok()),
            annotations: (annotations, entry.annotation_values),
            message,
        })
    }

    /// The memory that its events take, in bytes.
    fn memory(&self) -> u64 {
        self.bytes.len() as u64 + OVERHEAD * self.entries.len() as u64
    }

    fn has_room_for(&self, size: usize) -> bool {
        self.entries.is_empty() || self.bytes.len() + size <= SEGMENT_BYTES
    }
}

/// The events of one partition. Sequence numbers start at 0 and have no gaps; an event's offset is the number of bytes
/// before it.
#[derive(Debug)]
pub(in super::super) struct Log {
    segments: VecDeque<Segment>,
    next_sequence_number: i64,
    next_offset: i64,
    last_offset: i64,
    last_enqueued_ms: i64,
}

impl Log {
    /// An empty log.
    pub(in super::super) fn new(created_ms: i64) -> Self {
        Self {
            segments: VecDeque::new(),
            next_sequence_number: 0,
            next_offset: 0,
            last_offset: -1,
            last_enqueued_ms: created_ms,
        }
    }

    /// Adds one event, and gives the memory that it takes, in bytes. Times never run backwards within a partition, whatever
    /// the clock does.
    pub(in super::super) fn push(&mut self, event: NewEvent<'_>, now_ms: i64) -> u64 {
        let key = event.key.unwrap_or_default().as_bytes();
        let size = key.len() + event.annotations.0.len() + event.message.len();
        if !self.segments.back().is_some_and(|segment| segment.has_room_for(size)) {
            self.segments.push_back(Segment {
                first_sequence_number: self.next_sequence_number,
                first_offset: self.next_offset,
                bytes: Vec::with_capacity(size.max(SEGMENT_BYTES)),
                entries: Vec::new(),
            });
        }
        let Some(segment) = self.segments.back_mut() else { return 0 };
        let start = segment.bytes.len();
        segment.bytes.extend_from_slice(key);
        segment.bytes.extend_from_slice(event.annotations.0);
        segment.bytes.extend_from_slice(event.message);
        self.last_enqueued_ms = self.last_enqueued_ms.max(now_ms);
        // A segment stays below 2 MiB: its own size, or one message of at most 1 MiB.
        segment.entries.push(Entry {
            enqueued_ms: self.last_enqueued_ms,
            start: start as u32,
            end: segment.bytes.len() as u32,
            annotations_length: event.annotations.0.len() as u32,
            annotation_values: event.annotations.1,
            key_length: event.key.and_then(|key| u16::try_from(key.len()).ok()),
        });
        self.last_offset = segment.first_offset + start as i64;
        self.next_sequence_number += 1;
        // An event of no bytes at all still moves the offset on, so that offsets distinguish events.
        let taken = size.max(1);
        segment.bytes.resize(start + taken, 0);
        self.next_offset += taken as i64;
        taken as u64 + OVERHEAD
    }

    /// Where the log stands.
    pub(in super::super) fn mark(&self) -> Mark {
        Mark {
            next_sequence_number: self.next_sequence_number,
            next_offset: self.next_offset,
            last_offset: self.last_offset,
            last_enqueued_ms: self.last_enqueued_ms,
        }
    }

    /// Goes on where the log once stood. What was before is forgotten when events between are not there; whether it is not
    /// further already.
    pub(in super::super) fn go_on_at(&mut self, mark: Mark) -> bool {
        if mark.next_sequence_number > self.next_sequence_number {
            self.segments.clear();
            self.next_sequence_number = mark.next_sequence_number;
            self.next_offset = mark.next_offset;
            self.last_offset = mark.last_offset;
        }
        self.last_enqueued_ms = self.last_enqueued_ms.max(mark.last_enqueued_ms);
        (mark.next_sequence_number, mark.next_offset) == (self.next_sequence_number, self.next_offset)
    }

    /// When an event is enqueued that arrives now.
    pub(super) fn enqueued_ms(&self, now_ms: i64) -> i64 {
        self.last_enqueued_ms.max(now_ms)
    }

    /// The sequence number that the next event gets.
    pub(in super::super) fn end(&self) -> i64 {
        self.next_sequence_number
    }

    /// The sequence number of the oldest event that is still there; the next one's when there is none.
    pub(in super::super) fn start(&self) -> i64 {
        self.segments.front().map_or(self.next_sequence_number, |segment| segment.first_sequence_number)
    }

    /// The offset of the latest event; -1 before the first.
    pub(in super::super) fn last_offset(&self) -> i64 {
        self.last_offset
    }

    /// When the latest event was enqueued; before the first, when the partition was made.
    pub(super) fn last_enqueued_ms(&self) -> i64 {
        self.last_enqueued_ms
    }

    /// The memory that the events which are still there take, in bytes.
    pub(in super::super) fn memory(&self) -> u64 {
        self.segments.iter().map(Segment::memory).sum()
    }

    /// Bytes of all events that ever were.
    pub(super) fn bytes_ever(&self) -> u64 {
        self.next_offset.unsigned_abs()
    }

    /// The events from this sequence number on, or from the oldest that is still there.
    pub(in super::super) fn from(&self, sequence_number: i64) -> impl Iterator<Item = Delivery<'_>> {
        let first =
            self.segments.partition_point(|s| s.first_sequence_number + s.entries.len() as i64 <= sequence_number);
        self.segments.iter().skip(first).flat_map(move |segment| {
            let skipped = usize::try_from(sequence_number - segment.first_sequence_number).unwrap_or(0);
            (skipped..segment.entries.len()).filter_map(|index| segment.event(index))
        })
    }

    /// The sequence number at which a position begins. A position after the end is the end.
    pub(super) fn find(&self, position: Position) -> i64 {
        match position {
            Position::Start => self.start(),
            Position::End => self.end(),
            Position::SequenceNumber(number, inclusive) => {
                number.saturating_add(i64::from(!inclusive)).clamp(self.start(), self.end())
            }
            Position::Offset(offset, inclusive) => {
                self.first(|event| if inclusive { event.offset >= offset } else { event.offset > offset })
            }
            Position::EnqueuedTime(time, inclusive) => {
                self.first(|event| if inclusive { event.enqueued_ms >= time } else { event.enqueued_ms > time })
            }
        }
    }

    /// The first event for which `reached` holds; it must hold for all after it too.
    fn first(&self, reached: impl Fn(&Delivery<'_>) -> bool) -> i64 {
        let last_of =
            |segment: &Segment| segment.event(segment.entries.len().saturating_sub(1)).is_some_and(|e| reached(&e));
        let at = self.segments.partition_point(|segment| !last_of(segment));
        let Some(segment) = self.segments.get(at) else { return self.end() };
        let (mut low, mut high) = (0, segment.entries.len());
        while low < high {
            let middle = low.midpoint(high);
            if segment.event(middle).is_some_and(|event| reached(&event)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        segment.first_sequence_number + low as i64
    }

    /// Drops the segments whose events were all enqueued before this time; gives the memory given back, in bytes.
    pub(super) fn expire(&mut self, before_ms: i64) -> u64 {
        let mut freed = 0;
        while let Some(segment) = self.segments.front() {
            if segment.entries.last().is_some_and(|entry| entry.enqueued_ms >= before_ms) {
                break;
            }
            freed += segment.memory();
            self.segments.pop_front();
        }
        freed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(log: &mut Log, key: Option<&str>, message: &[u8], now_ms: i64) {
        log.push(NewEvent { key, annotations: (&[], 0), message }, now_ms);
    }

    /// A log of `count` events of a kilobyte, one a millisecond: several segments.
    fn filled(count: i64) -> Log {
        let mut log = Log::new(0);
        for number in 0..count {
            push(&mut log, Some("us"), &[number as u8; 1000], number);
        }
        log
    }

    #[test]
    fn events_come_back_in_order_with_consecutive_numbers_and_growing_offsets() {
        let log = filled(1000);
        let numbers: Vec<_> = log.from(0).map(|event| event.sequence_number).collect();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert!(log.from(0).zip(log.from(1)).all(|(one, next)| one.offset < next.offset));
        assert!(log.from(0).all(|event| event.message == [event.sequence_number as u8; 1000]));
        assert_eq!(log.from(0).last().unwrap().offset, log.last_offset());
    }

    #[test]
    fn the_empty_key_is_not_the_missing_key() {
        let mut log = Log::new(0);
        push(&mut log, None, b"a", 1);
        push(&mut log, Some(""), b"b", 1);
        assert_eq!(log.from(0).map(|event| event.key).collect::<Vec<_>>(), [None, Some("")]);
    }

    #[test]
    fn every_position_finds_its_event() {
        let log = filled(1000);
        let offset = log.from(500).next().unwrap().offset;
        for (position, expected) in [
            (Position::Start, 0),
            (Position::End, 1000),
            (Position::Offset(-1, false), 0),
            (Position::Offset(offset, false), 501),
            (Position::Offset(offset, true), 500),
            (Position::SequenceNumber(500, false), 501),
            (Position::SequenceNumber(500, true), 500),
            (Position::SequenceNumber(5000, true), 1000),
            (Position::EnqueuedTime(500, false), 501),
            (Position::EnqueuedTime(500, true), 500),
            (Position::EnqueuedTime(-5, true), 0),
            (Position::EnqueuedTime(5000, true), 1000),
        ] {
            assert_eq!(log.find(position), expected, "{position:?}");
        }
    }

    #[test]
    fn expired_events_are_gone_and_the_numbers_go_on() {
        let mut log = filled(1000);
        let before = log.memory();
        let freed = log.expire(600);
        assert!(freed > 0 && log.memory() == before - freed);
        assert!(log.start() > 0 && log.start() <= 600);
        assert_eq!(log.from(0).next().unwrap().sequence_number, log.start());
        assert_eq!(log.find(Position::SequenceNumber(0, true)), log.start());
        push(&mut log, None, b"x", 2000);
        assert_eq!(log.from(1000).next().unwrap().sequence_number, 1000);
        log.expire(i64::MAX);
        assert_eq!((log.start(), log.end(), log.memory()), (1001, 1001, 0));
        assert_eq!(log.from(0).count(), 0);
    }

    #[test]
    fn enqueued_times_never_run_backwards() {
        let mut log = Log::new(0);
        push(&mut log, None, b"a", 10);
        push(&mut log, None, b"b", 5);
        assert!(log.from(0).all(|event| event.enqueued_ms == 10));
    }

    #[test]
    fn an_event_larger_than_a_segment_has_one_of_its_own() {
        let mut log = Log::new(0);
        push(&mut log, None, b"small", 1);
        push(&mut log, None, &vec![7; SEGMENT_BYTES * 2], 2);
        push(&mut log, None, b"small", 3);
        assert_eq!(log.segments.len(), 3);
        assert_eq!(log.from(1).next().unwrap().message.len(), SEGMENT_BYTES * 2);
    }

    #[test]
    fn an_event_costs_less_than_a_third_more_than_its_bytes() {
        let mut log = Log::new(0);
        for number in 0..20_000 {
            push(&mut log, Some("us"), &[0; 900], number);
        }
        let held: usize =
            log.segments.iter().map(|s| s.bytes.capacity() + s.entries.capacity() * size_of::<Entry>()).sum();
        assert!(held / 20_000 < 1_200, "{} bytes an event", held / 20_000);
    }
}
