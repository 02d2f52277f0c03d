//! The account document: where the clients learn which endpoints to follow.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::Account;
use crate::cosmos::query;

/// What the SDKs call the one region that there is.
const REGION: &str = "Local";

/// Names the endpoint by which the client came: whatever leads here leads here again.
pub(super) fn read(account: &Account, call: &Call) -> Answer {
    let host = call.host().unwrap_or("localhost");
    let scheme = account.scheme;
    let location = json!([{ "name": REGION, "databaseAccountEndpoint": format!("{scheme}://{host}/") }]);
    let replicas = json!({ "asyncReplication": false, "minReplicaSetSize": 1, "maxReplicasetSize": 4 });
    let engine = json!({
        "maxSqlQueryInputLength": query::MAX_LENGTH, "maxJoinsPerSqlQuery": 10, "maxLogicalAndPerSqlQuery": 2000,
        "maxLogicalOrPerSqlQuery": 2000, "maxUdfRefPerSqlQuery": 0, "maxInExpressionItemsCount": 16000,
        "queryMaxInMemorySortDocumentCount": 500, "maxQueryRequestTimeoutFraction": 0.9, "sqlAllowNonFiniteNumbers": false,
        "sqlAllowAggregateFunctions": true, "sqlAllowSubQuery": true, "sqlAllowScalarSubQuery": true,
        "allowNewKeywords": true, "sqlAllowLike": true, "sqlAllowGroupByClause": true, "maxSpatialQueryCells": 12,
        "spatialMaxGeometryPointCount": 256, "sqlDisableOptimizationFlags": 0, "sqlAllowTop": true,
        "enableSpatialIndexing": false,
    });
    let body: Value = json!({
        "_self": "", "id": "txgen", "_rid": "txgen", "media": "//media/", "addresses": "//addresses/", "_dbs": "//dbs/",
        "writableLocations": location, "readableLocations": location, "enableMultipleWriteLocations": false,
        "continuousBackupEnabled": false, "enableNRegionSynchronousCommit": false,
        "enablePerPartitionFailoverBehavior": false, "userReplicationPolicy": replicas,
        "systemReplicationPolicy": replicas, "userConsistencyPolicy": { "defaultConsistencyLevel": "Session" },
        "readPolicy": { "primaryReadCoefficient": 1, "secondaryReadCoefficient": 1 },
        "queryEngineConfiguration": engine.to_string(),
    });
    Answer::json(StatusCode::OK, 0.0, &body)
}
