//! Query plans: what tells a client how to put together the results of several partitions.
//!
//! The clients send the query that the plan names to each partition and merge: streams one after the other, sorted
//! ones by the `orderByItems` of each result, aggregates by adding up the `item` of each.

use serde_json::{Map, Value, json};

use super::Problem;
use super::print::Printed;
use super::syntax::{Aggregate, Direction, Expression, Query, Select};
use crate::cosmos::partition_key::{Epk, PartitionKey};

/// What clients replace by a condition when they go on after a page of a sorted query.
const RESUME_CONDITION: &str = "{documentdb-formattableorderbyquery-filter}";

/// The plan of a query, limited to one partition key if its filter is.
pub(super) fn for_client(query: &Query, key: Option<&PartitionKey>) -> Result<Value, Problem> {
    let (min, max) = match key.map(PartitionKey::effective) {
        Some(key) => (key, key.next()),
        None => (Epk::MIN, Epk::MAX),
    };
    let mut info = json!({
        "distinctType": "None", "top": query.top, "offset": query.offset, "limit": query.limit,
        "orderBy": [], "orderByExpressions": [], "groupByExpressions": [], "groupByAliases": [], "aggregates": [],
        "groupByAliasToAggregateType": {}, "rewrittenQuery": "",
        "hasSelectValue": matches!(query.select, Select::Value(_)), "dCountInfo": null, "hasNonStreamingOrderBy": false,
    });
    let more = if query.is_aggregate() {
        aggregates(query)?
    } else if let Some((by, direction)) = &query.order_by {
        let name = match direction {
            Direction::Ascending => "Ascending",
            Direction::Descending => "Descending",
        };
        json!({
            "orderBy": [name], "orderByExpressions": [Printed(by, &query.alias).to_string()],
            "rewrittenQuery": sorted(query, by, *direction),
        })
    } else if query.offset.is_some() {
        let selected = match &query.select {
            Select::All => "*".to_owned(),
            Select::Value(value) => format!("VALUE {}", Printed(value, &query.alias)),
            Select::Fields(_) => format!("VALUE {}", payload(query)),
        };
        json!({ "rewrittenQuery": rewritten(query, &selected, &filter(query), "") })
    } else {
        json!({})
    };
    if let (Value::Object(info), Value::Object(more)) = (&mut info, more) {
        info.extend(more);
    }
    Ok(json!({
        "partitionedQueryExecutionInfoVersion": 2, "queryInfo": info,
        "queryRanges": [{
            "min": min.to_string(), "max": max.to_string(), "isMinInclusive": true, "isMaxInclusive": false,
        }],
    }))
}

fn filter(query: &Query) -> String {
    query.filter.as_ref().map(|filter| format!(" WHERE {}", Printed(filter, &query.alias))).unwrap_or_default()
}

/// What a result is to the client in the end.
fn payload(query: &Query) -> String {
    match &query.select {
        Select::All => query.alias.clone(),
        Select::Value(value) => Printed(value, &query.alias).to_string(),
        Select::Fields(fields) => Printed(&Expression::Object(fields.clone()), &query.alias).to_string(),
    }
}

fn sorted(query: &Query, by: &Expression, direction: Direction) -> String {
    let alias = &query.alias;
    let by = Printed(by, alias);
    let keyword = if direction == Direction::Ascending { "ASC" } else { "DESC" };
    let selected = format!("{alias}._rid, [{{\"item\": {by}}}] AS orderByItems, {} AS payload", payload(query));
    let filter = match &query.filter {
        Some(filter) => format!(" WHERE ({}) AND ({RESUME_CONDITION})", Printed(filter, alias)),
        None => format!(" WHERE ({RESUME_CONDITION})"),
    };
    rewritten(query, &selected, &filter, &format!(" ORDER BY {by} {keyword}"))
}

/// The query for one partition: it cannot leave out what another may have to, but needs to give no more than that.
fn rewritten(query: &Query, selected: &str, filter: &str, rest: &str) -> String {
    let top = query.top.map(|top| format!("TOP {top} ")).unwrap_or_default();
    let window = match (query.offset, query.limit) {
        (Some(offset), Some(limit)) => format!(" OFFSET 0 LIMIT {}", offset.saturating_add(limit)),
        _ => String::new(),
    };
    format!("SELECT {top}{selected} FROM {}{filter}{rest}{window}", query.alias)
}

fn aggregates(query: &Query) -> Result<Value, Problem> {
    let alias = &query.alias;
    match (&query.select, &query.group_by) {
        (Select::Value(Expression::Aggregate(aggregate, of)), None) => {
            let selected = format!("VALUE [{}]", partial(*aggregate, of, alias));
            Ok(json!({
                "aggregates": [aggregate.plan_name()],
                "rewrittenQuery": format!("SELECT {selected} FROM {alias}{}", filter(query)),
            }))
        }
        (Select::Fields(fields), Some(by)) => {
            let mut kinds = Map::new();
            let mut payload = Vec::new();
            for (name, field) in fields {
                let (kind, value) = match field {
                    Expression::Aggregate(kind, of) => (json!(kind.plan_name()), partial(*kind, of, alias)),
                    field if field.has_aggregate() => {
                        return Err(Problem::unsupported("expressions of aggregates over several partitions"));
                    }
                    field => (Value::Null, Printed(field, alias).to_string()),
                };
                payload.push(format!("{}: {value}", Value::from(name.as_str())));
                kinds.insert(name.clone(), kind);
            }
            let by = Printed(by, alias);
            let selected = format!("[{{\"item\": {by}}}] AS groupByItems, {{{}}} AS payload", payload.join(", "));
            Ok(json!({
                "groupByExpressions": [by.to_string()], "groupByAliases": kinds.keys().collect::<Vec<_>>(),
                "groupByAliasToAggregateType": kinds,
                "rewrittenQuery": format!("SELECT {selected} FROM {alias}{} GROUP BY {by}", filter(query)),
            }))
        }
        _ => Err(Problem::unsupported(
            "aggregates over several partitions in another form than SELECT VALUE with one aggregate, or GROUP BY with \
             named fields",
        )),
    }
}

/// What one partition contributes to an aggregate.
fn partial(aggregate: Aggregate, of: &Expression, alias: &str) -> String {
    let of = Printed(of, alias);
    match aggregate {
        Aggregate::Count => format!("{{\"item\": COUNT({of})}}"),
        Aggregate::Sum => format!("{{\"item\": SUM({of})}}"),
        Aggregate::Min => format!("{{\"item\": MIN({of})}}"),
        Aggregate::Max => format!("{{\"item\": MAX({of})}}"),
        Aggregate::Average => format!("{{\"item\": {{\"sum\": SUM({of}), \"count\": COUNT({of})}}}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parser::parse;
    use super::*;

    fn plan(text: &str) -> Value {
        let query = parse(text, &Default::default()).unwrap();
        let plan = for_client(&query, None).unwrap();
        let rewritten = plan["queryInfo"]["rewrittenQuery"].as_str().unwrap().replace(RESUME_CONDITION, "true");
        assert!(rewritten.is_empty() || parse(&rewritten, &Default::default()).is_ok(), "{rewritten}");
        plan
    }

    #[test]
    fn a_simple_query_is_sent_as_it_is() {
        let plan = plan("SELECT TOP 3 c.id FROM c WHERE c.x = 1");
        assert_eq!(plan["queryInfo"]["rewrittenQuery"], "");
        assert_eq!(plan["queryInfo"]["top"], 3);
        assert_eq!(plan["queryRanges"][0]["max"], "FF");
    }

    #[test]
    fn a_sorted_query_carries_what_it_is_sorted_by() {
        let plan = plan("SELECT c.id FROM c WHERE c.x = 1 ORDER BY c.id DESC OFFSET 2 LIMIT 3");
        assert_eq!(plan["queryInfo"]["orderBy"], json!(["Descending"]));
        assert_eq!(
            plan["queryInfo"]["rewrittenQuery"],
            "SELECT c._rid, [{\"item\": c[\"id\"]}] AS orderByItems, {\"id\": c[\"id\"]} AS payload FROM c \
             WHERE ((c[\"x\"] = 1)) AND ({documentdb-formattableorderbyquery-filter}) ORDER BY c[\"id\"] DESC \
             OFFSET 0 LIMIT 5"
        );
    }

    #[test]
    fn partial_aggregates_can_be_added_up() {
        assert_eq!(
            plan("SELECT VALUE COUNT(1) FROM c")["queryInfo"]["rewrittenQuery"],
            "SELECT VALUE [{\"item\": COUNT(1)}] FROM c"
        );
        assert_eq!(
            plan("SELECT VALUE AVG(c.x) FROM c")["queryInfo"]["rewrittenQuery"],
            "SELECT VALUE [{\"item\": {\"sum\": SUM(c[\"x\"]), \"count\": COUNT(c[\"x\"])}}] FROM c"
        );
        let grouped = plan("SELECT c.x, COUNT(1) AS n FROM c GROUP BY c.x");
        assert_eq!(grouped["queryInfo"]["groupByAliasToAggregateType"], json!({ "x": null, "n": "Count" }));
    }

    #[test]
    fn a_filter_on_the_partition_key_narrows_the_plan() {
        let query = parse("SELECT * FROM c", &Default::default()).unwrap();
        let plan = for_client(&query, Some(&PartitionKey::String("partitionKey".into()))).unwrap();
        assert_eq!(plan["queryRanges"][0]["min"], "013AEFCF77FA271571CF665A58C933F1");
        assert_eq!(plan["queryRanges"][0]["max"], "013AEFCF77FA271571CF665A58C933F2");
    }
}
