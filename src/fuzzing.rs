//! Where fuzzers get in: each function takes unchecked bytes through the code that meets such bytes,
//! and panics when a promise is broken. Built for fuzzers (`cfg(fuzzing)`, see `fuzz/README.md`), and for the test that
//! takes the kept corpora through again.

pub use crate::report::fuzzing::{report_merge, summary};
pub use crate::settings::fuzzing::{connection_string, json_with_comments, settings};
pub use crate::source::fuzzing::csv;
pub use crate::threshold::fuzzing::threshold;

#[cfg(test)]
mod tests {
    use std::path::Path;

    fn replay(target: &str, run: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
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
    fn csv_files_of_the_corpus_do_no_harm() {
        replay("csv", super::csv);
    }

    #[test]
    fn settings_of_the_corpus_do_no_harm() {
        replay("settings", super::settings);
    }

    #[test]
    fn json_with_comments_of_the_corpus_does_no_harm() {
        replay("json_with_comments", super::json_with_comments);
    }

    #[test]
    fn connection_strings_of_the_corpus_do_no_harm() {
        replay("connection_string", super::connection_string);
    }

    #[test]
    fn summaries_of_the_corpus_do_no_harm() {
        replay("summary", super::summary);
    }

    #[test]
    fn summaries_of_the_corpus_that_are_merged_do_no_harm() {
        replay("report_merge", super::report_merge);
    }

    #[test]
    fn thresholds_of_the_corpus_do_no_harm() {
        replay("threshold", super::threshold);
    }
}
