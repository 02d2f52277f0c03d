//! The metrics of a query, when they are asked for.
//!
//! <https://learn.microsoft.com/azure/cosmos-db/nosql/query-metrics-performance>

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::query::Prepared;

/// Adds the metrics that a request wants.
pub(super) fn add(mut answer: Answer, call: &Call, query: &Prepared, started: Instant) -> Answer {
    if call.is("x-ms-documentdb-populatequerymetrics") {
        let ms = started.elapsed().as_secs_f64() * 1000.0;
        let (count, size) = (answer.item_count(), answer.size());
        let (read, read_size) = if query.retrieves() { (count, size) } else { (0, 0) };
        let metrics = format!(
            "totalExecutionTimeInMs={ms:.2};queryCompileTimeInMs=0.00;queryLogicalPlanBuildTimeInMs=0.00;\
             queryPhysicalPlanBuildTimeInMs=0.00;queryOptimizationTimeInMs=0.00;VMExecutionTimeInMs={ms:.2};\
             indexLookupTimeInMs=0.00;instructionCount=0;documentLoadTimeInMs=0.00;systemFunctionExecuteTimeInMs=0.00;\
             userFunctionExecuteTimeInMs=0.00;retrievedDocumentCount={read};retrievedDocumentSize={read_size};\
             outputDocumentCount={count};outputDocumentSize={size};writeOutputTimeInMs=0.00;indexUtilizationRatio=1.00"
        );
        answer = answer.with("x-ms-documentdb-query-metrics", &metrics);
    }
    if call.is("x-ms-cosmos-populateindexmetrics") {
        answer = answer.with("x-ms-cosmos-index-utilization", &STANDARD.encode(index_metrics(query).to_string()));
    }
    answer
}

/// Which indexes serve the query, and would.
fn index_metrics(query: &Prepared) -> serde_json::Value {
    let single = |path: String| json!({ "FilterExpression": "", "IndexSpec": path, "FilterPreciseSet": true, "IndexPreciseSet": true, "IndexImpactScore": "High" });
    // The partition key's hash is an index of its own.
    let paths = std::iter::once("/_epk/?".to_owned()).chain(query.filtered_paths());
    let paths: Vec<_> = paths.map(single).collect();
    let composite = query.composite_paths();
    let composites: Vec<_> = [composite].into_iter().filter(|paths| paths.len() > 1).collect();
    let composites: Vec<_> = composites
        .into_iter()
        .map(|paths| json!({ "IndexSpecs": paths, "IndexPreciseSet": false, "IndexImpactScore": "High" }))
        .collect();
    json!({
        "UtilizedSingleIndexes": paths, "PotentialSingleIndexes": [], "UtilizedCompositeIndexes": [],
        "PotentialCompositeIndexes": composites,
    })
}
