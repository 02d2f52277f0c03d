use std::ops::Range;

use tempfile::TempDir;

use super::files::{path_of, segments};
use super::*;

const SERVICE: Service = Service::CosmosDb;

fn open(folder: &Path) -> Result<(Journal, Vec<Vec<u8>>), DataError> {
    let mut records = Vec::new();
    let journal = Journal::open(&DataDir::new(folder), SERVICE, |record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok((journal, records))
}

fn first(folder: &Path) -> PathBuf {
    path_of(folder, SERVICE, 1)
}

fn numbers(range: Range<u32>) -> Vec<Vec<u8>> {
    range.map(|number| number.to_le_bytes().to_vec()).collect()
}

#[tokio::test]
async fn what_was_written_is_read_back_in_order_and_gone_on_with() {
    let folder = TempDir::new().unwrap();
    for round in 0..3 {
        let (journal, found) = open(folder.path()).unwrap();
        assert_eq!(found, numbers(0..round * 10));
        numbers(round * 10..round * 10 + 10).iter().for_each(|record| journal.append(record).unwrap());
        journal.settled().await.unwrap();
    }
}

#[test]
fn a_second_emulator_is_kept_out_until_the_first_has_ended() {
    let folder = TempDir::new().unwrap();
    let (journal, _) = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()), Err(DataError::InUse { .. })));
    journal.close();
    assert!(journal.append(b"late").is_err());
    assert_eq!(open(folder.path()).unwrap().1, numbers(0..0));
}

#[test]
fn a_log_of_another_version_or_another_program_is_refused() {
    let folder = TempDir::new().unwrap();
    drop(open(folder.path()).unwrap());
    let mut file = std::fs::read(first(folder.path())).unwrap();
    file[8] = 7;
    std::fs::write(first(folder.path()), &file).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("has version 7 of the format"), "{error}");
    std::fs::write(first(folder.path()), "a diary, perhaps").unwrap();
    assert!(matches!(open(folder.path()), Err(DataError::Foreign { .. })));
}

#[tokio::test]
async fn damage_in_what_was_on_disk_is_refused_and_a_torn_end_is_cut_off() {
    let folder = TempDir::new().unwrap();
    {
        let (journal, _) = open(folder.path()).unwrap();
        for record in numbers(0..3) {
            journal.append(&record).unwrap();
            journal.settled().await.unwrap();
        }
    }
    let whole = std::fs::read(first(folder.path())).unwrap();
    let mut damaged = whole.clone();
    damaged[HEADER + 17] ^= 1;
    std::fs::write(first(folder.path()), &damaged).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::Damaged { at: 16, .. }), "{error}");
    std::fs::write(first(folder.path()), &whole[..whole.len() - 1]).unwrap();
    let (journal, found) = open(folder.path()).unwrap();
    assert_eq!(found, numbers(0..2));
    journal.append(&numbers(9..10)[0]).unwrap();
    drop(journal);
    assert_eq!(open(folder.path()).unwrap().1, [numbers(0..2), numbers(9..10)].concat());
}

#[test]
fn damage_before_the_last_segment_is_refused_wherever_it_is() {
    let folder = TempDir::new().unwrap();
    {
        let (journal, _) = open(folder.path()).unwrap();
        let record = vec![1; 6 * 1024 * 1024];
        (0..4).for_each(|_| journal.append(&record).unwrap());
    }
    assert!(path_of(folder.path(), SERVICE, 2).exists());
    let whole = std::fs::read(first(folder.path())).unwrap();
    std::fs::write(first(folder.path()), &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(open(folder.path()), Err(DataError::Damaged { .. })));
}

#[test]
fn a_rewritten_log_is_shorter_and_says_the_same_even_when_it_was_interrupted() {
    let folder = TempDir::new().unwrap();
    let size = || -> u64 {
        segments(folder.path(), SERVICE).unwrap().iter().map(|(_, path)| path.metadata().unwrap().len()).sum()
    };
    let (journal, _) = open(folder.path()).unwrap();
    for number in 0..200_u32 {
        let mut record = number.to_le_bytes().to_vec();
        record.resize(1024 * 1024, 0);
        journal.append(&record).unwrap();
    }
    assert!(journal.is_mostly_dead(10 * 1024 * 1024) && !journal.is_mostly_dead(200 * 1024 * 1024));
    let keep = |record: &[u8]| match record[0] {
        _ if record.len() < 5 => Kept::Whole,
        number if number % 20 == 0 => Kept::Part(record[..4].to_vec()),
        _ => Kept::Nothing,
    };
    journal.rewrite(|| journal.append(b"last"), keep).unwrap();
    assert!(size() < 1024 * 1024, "{}", size());
    assert!(!journal.is_mostly_dead(0));
    journal.append(b"more").unwrap();
    drop(journal);
    std::fs::write(first(folder.path()).with_extension("log.new"), "half").unwrap();
    let (_journal, found) = open(folder.path()).unwrap();
    let kept = (0..10_u32).map(|number| (number * 20).to_le_bytes().to_vec());
    assert_eq!(found, kept.chain([b"last".to_vec(), b"more".to_vec()]).collect::<Vec<_>>());
    assert!(!first(folder.path()).with_extension("log.new").exists());
}

#[tokio::test]
async fn who_waits_for_the_disk_is_called_when_it_has_got_there() {
    let folder = TempDir::new().unwrap();
    let (journal, _) = open(folder.path()).unwrap();
    journal.append(b"one").unwrap();
    let (called, call) = tokio::sync::oneshot::channel();
    let written = journal.written();
    if !journal.has_settled(written, move || called.send(()).unwrap_or_default()).unwrap() {
        call.await.unwrap();
    }
    assert!(journal.has_settled(written, || ()).unwrap());
}
