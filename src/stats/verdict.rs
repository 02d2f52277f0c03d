//! What became of the thresholds of a run: part of its summary, made by [`crate::threshold`], which is above this module.

use serde::{Deserialize, Serialize};

/// One threshold, held against one figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The threshold, such as `failed>0`.
    pub threshold: String,
    /// The figure that was looked at, such as `cosmos_db.failed`: a figure without a service is looked at in each.
    pub figure: String,
    /// Its value; `null` when there is none, as of a latency when nothing was stored.
    pub value: Option<f64>,
    /// Whether the run has failed by it. A figure without a value has: nothing shows that it is good.
    pub crossed: bool,
}
