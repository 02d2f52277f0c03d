//! Where fuzzers get in: each function takes unchecked bytes through the code that meets such bytes,
//! and panics when a promise is broken. Built for fuzzers (`cfg(fuzzing)`, see `fuzz/README.md`), and for the test that
//! takes the kept corpora through again.

pub use crate::cosmos::fuzzing::{queries as cosmos_queries, requests as cosmos_requests};
pub use crate::data::fuzzing::log as data_log;
pub use crate::event_hubs::fuzzing::{connection as amqp_connection, kafka_requests};

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
        let mut inputs = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            // Seen only when it panics: which input it was.
            eprintln!("{}", path.display());
            run(&input);
            inputs += 1;
        }
        assert!(inputs > 0, "{} is empty", folder.display());
    }

    #[test]
    fn amqp_frames_of_the_corpus_do_no_harm() {
        replay("amqp_connection", super::amqp_connection);
    }

    #[test]
    fn kafka_requests_of_the_corpus_do_no_harm() {
        replay("kafka_requests", super::kafka_requests);
    }

    #[test]
    fn logs_of_the_corpus_do_no_harm() {
        replay("data_log", super::data_log);
    }

    #[test]
    fn cosmos_db_requests_of_the_corpus_do_no_harm() {
        replay("cosmos_requests", super::cosmos_requests);
    }

    #[test]
    fn cosmos_db_queries_of_the_corpus_do_no_harm() {
        replay("cosmos_queries", super::cosmos_queries);
    }
}
