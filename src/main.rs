//! txgen.
fn main() {}
