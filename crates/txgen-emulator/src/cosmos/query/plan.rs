//! Query plans: how a client puts together the results of several partitions.
//!
//! The clients send the query that the plan names to each partition and merge: streams one after the other, sorted
//! ones by the `orderByItems` of each result, groups by their `groupByItems`, aggregates by adding up the `item` of each.

use serde_json::{Map, Value, json};

use super::Problem;
use super::print::{From, OrderBy, Printed};
use super::syntax::{Aggregate, Direction, Expression, Query, Select};

/// What clients replace by a condition when they go on after a page of a sorted query.
const RESUME_CONDITION: &str = "{documentdb-formattableorderbyquery-filter}";

/// The plan of a query over the keys from one bound to just before another. `features` is what the client says that it can do.
pub(super) fn for_client(query: &Query, bounds: &(String, String), features: &str) -> Result<Value, Problem> {
    check_features(query, features)?;
    let mut info = json!({
        "distinctType": distinct_type(query), "top": query.top, "offset": query.offset, "limit": query.limit,
        "orderBy": [], "orderByExpressions": [], "groupByExpressions": [], "groupByAliases": [], "aggregates": [],
        "groupByAliasToAggregateType": {}, "rewrittenQuery": "",
        "hasSelectValue": matches!(query.select, Select::Value(_)), "dCountInfo": null, "hasNonStreamingOrderBy": false,
    });
    let more = if query.is_aggregate() {
        aggregates(query, features.contains("NonValueAggregate"))?
    } else if !query.order_by.is_empty() {
        let names = query.order_by.iter().map(|(_, direction)| match direction {
            Direction::Ascending => "Ascending",
            Direction::Descending => "Descending",
        });
        json!({
            "orderBy": names.collect::<Vec<_>>(),
            "orderByExpressions": query.order_by.iter().map(|(by, _)| Printed(by).to_string()).collect::<Vec<_>>(),
            "rewrittenQuery": sorted(query),
        })
    } else if query.offset.is_some() || query.distinct {
        json!({ "rewrittenQuery": rewritten(query, &query.select.to_string(), &filter(query), "") })
    } else {
        json!({})
    };
    if let (Value::Object(info), Value::Object(more)) = (&mut info, more) {
        info.extend(more);
    }
    Ok(json!({
        "partitionedQueryExecutionInfoVersion": 2, "queryInfo": info,
        "queryRanges": [{
            "min": bounds.0, "max": bounds.1, "isMinInclusive": true, "isMaxInclusive": false,
        }],
    }))
}

/// Refuses a query that takes more of a client than it says that it can do. One that says nothing can do everything.
fn check_features(query: &Query, features: &str) -> Result<(), Problem> {
    let is_grouped = !query.group_by.is_empty();
    let wanted = [
        (is_grouped, "GroupBy"),
        (query.is_aggregate() && !is_grouped, "Aggregate"),
        (query.distinct, "Distinct"),
        (query.order_by.len() == 1, "OrderBy"),
        (query.order_by.len() > 1, "MultipleOrderBy"),
        (query.top.is_some(), "Top"),
        (query.offset.is_some(), "OffsetAndLimit"),
    ];
    let can = |name: &str| features.split(',').any(|feature| feature.trim().eq_ignore_ascii_case(name));
    let lacking = wanted.into_iter().find(|(is_wanted, name)| *is_wanted && !features.is_empty() && !can(name));
    match lacking {
        Some((_, name)) => Err(Problem::Message(format!(
            "Query contains 1 or more unsupported features. Upgrade your SDK to a version that does support the requested \
             features: Query contained {name}, which the calling client does not support."
        ))),
        None => Ok(()),
    }
}

/// Whether equal results come one after the other.
fn distinct_type(query: &Query) -> &'static str {
    let selected = query.select.expressions();
    let is_sorted = !query.order_by.is_empty()
        && selected.iter().all(|expression| query.order_by.iter().any(|(by, _)| by == *expression));
    match query.distinct {
        false => "None",
        true if is_sorted && !selected.is_empty() => "Ordered",
        true => "Unordered",
    }
}

fn filter(query: &Query) -> String {
    query.filter.as_ref().map(|filter| format!(" WHERE {}", Printed(filter))).unwrap_or_default()
}

/// What a result is to the client in the end.
fn payload(query: &Query) -> String {
    match &query.select {
        Select::All(variable) => variable.name.to_string(),
        Select::Value(value) => Printed(value).to_string(),
        Select::Fields(fields) => Printed(&Expression::Object(fields.clone())).to_string(),
    }
}

/// `[{"item": …}, …]`
fn items<'a>(expressions: impl Iterator<Item = &'a Expression>) -> String {
    let items: Vec<_> = expressions.map(|by| format!("{{\"item\": {}}}", Printed(by))).collect();
    format!("[{}]", items.join(", "))
}

fn sorted(query: &Query) -> String {
    let by = items(query.order_by.iter().map(|(by, _)| by));
    let selected = format!("{}._rid, {by} AS orderByItems, {} AS payload", query.root(), payload(query));
    let filter = match &query.filter {
        Some(filter) => format!(" WHERE ({}) AND ({RESUME_CONDITION})", Printed(filter)),
        None => format!(" WHERE ({RESUME_CONDITION})"),
    };
    rewritten(query, &selected, &filter, &OrderBy(&query.order_by).to_string())
}

/// The query for one partition: it cannot leave out what another may have to, but needs to give no more than that.
fn rewritten(query: &Query, selected: &str, filter: &str, rest: &str) -> String {
    let distinct = if query.distinct { "DISTINCT " } else { "" };
    // What is sorted is told apart by its document, too: which results are equal the client finds out.
    let cuts = !query.distinct || query.order_by.is_empty();
    let top = query.top.filter(|_| cuts).map(|top| format!("TOP {top} ")).unwrap_or_default();
    let window = match (query.offset, query.limit) {
        (Some(offset), Some(limit)) if cuts => format!(" OFFSET 0 LIMIT {}", offset.saturating_add(limit)),
        _ => String::new(),
    };
    format!("SELECT {distinct}{top}{selected}{}{filter}{rest}{window}", From(&query.sources))
}

fn aggregates(query: &Query, can_merge_fields: bool) -> Result<Value, Problem> {
    let by: Vec<_> = query.group_by.iter().map(|by| Printed(by).to_string()).collect();
    let group_by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
    let group_items = items(query.group_by.iter());
    let rest = format!("{}{}{group_by}", From(&query.sources), filter(query));
    match &query.select {
        Select::Value(Expression::Aggregate(aggregate, of)) if by.is_empty() => Ok(json!({
            "aggregates": [aggregate.plan_name()],
            "rewrittenQuery": format!("SELECT VALUE [{}]{rest}", partial(*aggregate, of)),
        })),
        Select::Value(value) => {
            let (kinds, payload) = contribution(value)?;
            Ok(json!({
                "groupByExpressions": by, "aggregates": kinds.as_str().iter().collect::<Vec<_>>(),
                "rewrittenQuery": format!("SELECT {group_items} AS groupByItems, {payload} AS payload{rest}"),
            }))
        }
        Select::Fields(fields) => {
            let mut kinds = Map::new();
            let mut parts = Vec::new();
            for (name, field) in fields {
                let (kind, value) = contribution(field)?;
                parts.push(format!("{}: {value}", Value::from(name.as_str())));
                kinds.insert(name.clone(), kind);
            }
            let aliases: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            // Clients that cannot merge fields without GROUP BY refuse this.
            let lone: Vec<_> =
                kinds.values().filter(|kind| by.is_empty() && !can_merge_fields && !kind.is_null()).collect();
            Ok(json!({
                "aggregates": lone, "groupByExpressions": by, "groupByAliases": aliases,
                "groupByAliasToAggregateType": kinds,
                "rewrittenQuery":
                    format!("SELECT {group_items} AS groupByItems, {{{}}} AS payload{rest}", parts.join(", ")),
            }))
        }
        Select::All(_) => Err(Problem::unsupported("SELECT * with aggregates")),
    }
}

/// What one partition contributes to a field, and by which aggregate contributions are merged; null for none.
fn contribution(field: &Expression) -> Result<(Value, String), Problem> {
    match field {
        Expression::Aggregate(kind, of) => Ok((json!(kind.plan_name()), partial(*kind, of))),
        field if field.has_aggregate() => {
            Err(Problem::Message("Compositions of aggregates and other expressions are not allowed.".to_owned()))
        }
        field => Ok((Value::Null, Printed(field).to_string())),
    }
}

/// What one partition contributes to an aggregate.
fn partial(aggregate: Aggregate, of: &Expression) -> String {
    let of = Printed(of);
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
        let plan = for_client(&query, &(String::new(), "FF".to_owned()), "").unwrap();
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
        let plan = plan("SELECT c.id FROM c WHERE c.x = 1 ORDER BY c.id DESC, c.y OFFSET 2 LIMIT 3");
        assert_eq!(plan["queryInfo"]["orderBy"], json!(["Descending", "Ascending"]));
        assert_eq!(
            plan["queryInfo"]["rewrittenQuery"],
            "SELECT c._rid, [{\"item\": c[\"id\"]}, {\"item\": c[\"y\"]}] AS orderByItems, {\"id\": c[\"id\"]} AS payload \
             FROM c WHERE ((c[\"x\"] = 1)) AND ({documentdb-formattableorderbyquery-filter}) \
             ORDER BY c[\"id\"] DESC, c[\"y\"] ASC OFFSET 0 LIMIT 5"
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
        assert_eq!(grouped["queryInfo"]["aggregates"], json!([]));
    }

    #[test]
    fn clients_that_cannot_merge_fields_learn_their_aggregates() {
        let query = parse("SELECT COUNT(1) FROM c", &Default::default()).unwrap();
        let aggregates = |features| {
            for_client(&query, &(String::new(), "FF".to_owned()), features).unwrap()["queryInfo"]["aggregates"].take()
        };
        assert_eq!(aggregates("Aggregate"), json!(["Count"]));
        assert_eq!(aggregates("Aggregate, NonValueAggregate"), json!([]));
        let refused = for_client(&query, &Default::default(), "OrderBy").unwrap_err().to_string();
        assert!(refused.contains("Query contained Aggregate"), "{refused}");
    }

    #[test]
    fn plans_say_whether_equal_results_come_in_a_row() {
        assert_eq!(plan("SELECT DISTINCT c.x FROM c")["queryInfo"]["distinctType"], "Unordered");
        assert_eq!(plan("SELECT DISTINCT VALUE c.x FROM c ORDER BY c.x")["queryInfo"]["distinctType"], "Ordered");
        assert_eq!(plan("SELECT c.x FROM c")["queryInfo"]["distinctType"], "None");
        let cut = plan("SELECT DISTINCT c.x FROM c ORDER BY c.y OFFSET 0 LIMIT 2");
        assert!(!cut["queryInfo"]["rewrittenQuery"].as_str().unwrap().contains("LIMIT"), "{cut}");
    }
}
