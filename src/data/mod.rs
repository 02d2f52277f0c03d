//! Made-up data that looks like the real data.
//!
//! The real file may not be passed on, and a generator that needs a download first does not run at once: so txgen makes
//! its data itself, as much as is wanted.

mod account;
mod clock;
mod countries;
mod generate;
mod prices;
mod random;
mod regions;

pub use generate::generate;
