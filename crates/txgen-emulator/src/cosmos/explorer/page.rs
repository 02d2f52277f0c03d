//! What the page looks like. Whatever is put into it is escaped by the macro.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::form_urlencoded;

use super::{Asked, ContainerView, Events, Shown};
use crate::event_hubs::{EventView, HubView};

const STYLE: &str = include_str!("style.css");

pub(super) fn draw(shown: &Shown) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "txgen emulator" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { a href="/_explorer/" { "txgen emulator" } }
                    @if let Some(hubs) = &shown.hubs {
                        section aria-labelledby="event-hubs" {
                            h2 id="event-hubs" { "Event Hubs" }
                            @for hub in hubs { (one_hub(hub)) }
                        }
                    }
                    @if let Some(events) = &shown.events { (latest(events)) }
                    section aria-labelledby="cosmos-db" {
                        h2 id="cosmos-db" { "Cosmos DB" }
                        (containers(shown))
                    }
                    @if let Some(asked) = &shown.asked { (answer(asked)) }
                }
            }
        }
    }
}

/// A link to this page with these parameters, to the part of it with this id.
fn link(parameters: &[(&str, &str)], to: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("/_explorer/?{query}#{to}")
}

fn headings(columns: &[&str]) -> Markup {
    html! {
        thead { tr { @for column in columns { th scope="col" { (column) } } } }
    }
}

fn moment(ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    moment.and_then(|moment| moment.format(&Rfc3339).ok()).unwrap_or_default()
}

fn one_hub(hub: &HubView) -> Markup {
    let events: i64 = hub.partitions.iter().map(|partition| partition.end - partition.begin).sum();
    html! {
        div.panel {
            h3 { (hub.name) }
            p.note { (events) " events; consumer groups: " (hub.consumer_groups.join(", ")) }
            div.scroll tabindex="0" role="group" aria-label={ "Partitions of " (hub.name) } {
                table {
                    (headings(&["Partition", "Events", "Sequence numbers", "Last offset", "Last enqueued", "Receivers"]))
                    tbody {
                        @for (id, partition) in hub.partitions.iter().enumerate() {
                            tr {
                                td { a href=(link(&[("hub", &hub.name), ("partition", &id.to_string())], "events")) { (id) } }
                                td { (partition.end - partition.begin) }
                                @if partition.end > partition.begin {
                                    td { (partition.begin) " to " (partition.end - 1) }
                                    td { (partition.last_offset) }
                                    td { (moment(partition.last_enqueued_ms)) }
                                } @else {
                                    td { "none" } td {} td {}
                                }
                                td { (partition.readers) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn latest(shown: &Events) -> Markup {
    html! {
        section aria-labelledby="events" {
            h2 id="events" { "Latest events of " (shown.hub) ", partition " (shown.partition) }
            @match shown.events.as_deref() {
                None => p.message.bad { "There is no such partition." },
                Some([]) => p.note { "It holds no event." },
                Some(events) => { @for event in events { (one_event(event)) } },
            }
        }
    }
}

fn one_event(event: &EventView) -> Markup {
    let text = std::str::from_utf8(&event.body).ok().map(str::to_owned);
    // A character may have been cut in two.
    let text =
        text.or_else(|| (event.body.len() < event.size).then(|| String::from_utf8_lossy(&event.body).into_owned()));
    html! {
        div.panel {
            p.note {
                "Sequence number " (event.sequence_number) ", offset " (event.offset) ", " (moment(event.enqueued_ms))
                @if let Some(key) = &event.key { ", partition key " code { (key) } }
                ", " (event.size) " bytes"
            }
            @match text {
                Some(text) => pre.scroll tabindex="0" { (text) @if event.body.len() < event.size { "…" } },
                None => p.note { "The body is not text." },
            }
        }
    }
}

fn containers(shown: &Shown) -> Markup {
    html! {
        @if shown.databases.is_empty() { p.note { "There is no database." } }
        @for database in &shown.databases {
            div.panel {
                h3 { (database) }
                @let own: Vec<_> = shown.containers.iter().filter(|container| container.database == *database).collect();
                @if own.is_empty() { p.note { "It has no container." } } @else { (table(database, &own)) }
            }
        }
    }
}

fn table(database: &str, containers: &[&ContainerView]) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label={ "Containers of " (database) } {
            table {
                (headings(&["Container", "Partition key", "Documents", "Bytes", "RU/s", "Physical partitions"]))
                tbody {
                    @for container in containers {
                        tr {
                            td {
                                a href=(link(&[("database", database), ("container", &container.name)], "documents")) {
                                    (container.name)
                                }
                            }
                            td { code { (container.key) } }
                            td { (container.documents) }
                            td { (container.bytes) }
                            td { (container.throughput) @if container.is_shared { " (the database's)" } }
                            td { (container.partitions) }
                        }
                    }
                }
            }
        }
    }
}

fn answer(asked: &Asked) -> Markup {
    html! {
        section aria-labelledby="documents" {
            h2 id="documents" { "Documents of " (asked.database) "/" (asked.container) }
            form method="get" action="/_explorer/#documents" {
                input type="hidden" name="database" value=(asked.database);
                input type="hidden" name="container" value=(asked.container);
                label for="query" { "Query" }
                textarea id="query" name="query" rows="3" spellcheck="false" maxlength="20000" { (asked.query) }
                button type="submit" { "Run" }
            }
            @match &asked.answer {
                Err(message) => p.message.bad role="alert" { (message) },
                Ok(results) => {
                    p.note {
                        (results.items.len()) @if results.items.len() == 1 { " result" } @else { " results" }
                        @if results.has_more { ", and there are more" }
                        ", " (results.charge) " RU"
                    }
                    @for item in &results.items { div.panel { pre.scroll tabindex="0" { (item) } } }
                }
            }
        }
    }
}
