//! The account document: where the clients learn which endpoints to follow.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::cosmos::answer::Answer;
use crate::cosmos::call::Call;
use crate::cosmos::catalog::{Account, Reach};
use crate::cosmos::query;

/// What the SDKs call the one region that there is.
const REGION: &str = "Local";

/// Names the endpoint by which the client came: whatever leads here leads here again.
pub(super) fn read(account: &Account, call: &Call) -> Answer {
    let endpoint = endpoint(account.reach, call.host().unwrap_or("localhost"));
    let location = json!([{ "name": REGION, "databaseAccountEndpoint": endpoint }]);
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

/// Those who come by `localhost` are sent to 127.0.0.1 as Microsoft's emulator does, which answers
/// `https://127.0.0.1:8081/` (<https://github.com/Azure/azure-cosmos-db-emulator-docker/issues/231>): the SDKs' tests take
/// the two for two regions. Other names may lead through containers and tunnels to here, and stay.
fn endpoint(reach: Reach, host: &str) -> String {
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    let name = if reach.ipv4 && name.eq_ignore_ascii_case("localhost") { "127.0.0.1" } else { name };
    format!("{}://{name}{port}/", reach.scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_127_0_0_1_where_that_leads_here() {
        let https = Reach { scheme: "https", ipv4: true };
        for (reach, host, expected) in [
            (https, "localhost:8081", "https://127.0.0.1:8081/"),
            (Reach::HTTP, "LocalHost", "http://127.0.0.1/"),
            (https, "localhost.example:8081", "https://localhost.example:8081/"),
            (https, "cosmos:8081", "https://cosmos:8081/"),
            (Reach { ipv4: false, ..https }, "localhost:8081", "https://localhost:8081/"),
            (Reach { ipv4: false, ..https }, "[::1]:8081", "https://[::1]:8081/"),
        ] {
            assert_eq!(endpoint(reach, host), expected);
        }
    }
}
