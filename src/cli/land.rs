//! `txgen land`: what an event hub or a container holds, into a Delta table.

#[cfg(not(feature = "lake"))]
mod absent;
mod args;
#[cfg(feature = "lake")]
mod beside_run;
#[cfg(feature = "lake")]
mod landing;
#[cfg(feature = "lake")]
mod lines;
#[cfg(feature = "lake")]
mod words;

#[cfg(not(feature = "lake"))]
pub(super) use self::absent::{Lake, execute, missing};
pub(super) use self::args::LandArgs;
#[cfg(feature = "lake")]
pub(super) use self::beside_run::Lake;
#[cfg(feature = "lake")]
pub(super) use self::landing::{execute, variables};
