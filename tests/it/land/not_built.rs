//! A txgen without Delta tables says how to get one that has them.

use crate::support::stderr;
use crate::support::verified::txgen;

#[test]
fn without_the_feature_every_command_that_needs_tables_says_how_to_get_it() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in
        [&["land"][..], &["land", "--to", "lake/t", "--until-caught-up"], &["run", "--emulator", "--land", "lake"]]
    {
        let output = txgen(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("cargo build --release --features lake"), "{}", stderr(&output));
    }
}
