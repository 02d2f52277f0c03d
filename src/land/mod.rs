//! Landing: what an event hub or a container holds, into a Delta table, every event once.
//!
//! The table says what it has; this reads what comes after, and commits. Whatever goes wrong, it begins again where the
//! table ends.

mod landing;
mod origin;
mod plan;
mod progress;

pub use landing::{Until, land};
pub use origin::Origin;
pub use plan::{LandError, Plan, Start};
pub use progress::{Ended, Lag, Landed, Step};
