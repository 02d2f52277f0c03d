//! `txgen land` as a user meets it: the built binary, against a `txgen emulator` in a process of its own.

#[cfg(feature = "lake")]
mod change_feed;
#[cfg(feature = "lake")]
mod gone;
#[cfg(feature = "lake")]
mod landed;
#[cfg(not(feature = "lake"))]
mod not_built;
