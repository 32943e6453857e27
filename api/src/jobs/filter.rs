//! The filters of a list, as they stand in the query.

use coatcheck_shared::{
    job::{JobFilter, KindName, QueueName, State},
    timestamp::Timestamp,
};

use crate::{caller::Caller, query::Query};

/// The parameters that filter, for who has used another.
pub(super) const KNOWN: &str = "state, kind, queue, created_after, created_before, metadata.KEY";

/// How many values one filter takes.
const MOST_VALUES: usize = 100;

/// Reads the filters, noting what is wrong with them; nothing comes through that the caller may
/// not see.
pub(super) fn read(query: &mut Query<'_>, caller: &Caller) -> JobFilter {
    let filter = JobFilter {
        states: query.many("state", |text| {
            text.parse::<State>().map_err(|error| error.to_string())
        }),
        kinds: query.many("kind", |text| {
            text.parse::<KindName>().map_err(|error| error.to_string())
        }),
        queues: query.many("queue", |text| {
            text.parse::<QueueName>().map_err(|error| error.to_string())
        }),
        created_after: query.one("created_after", time),
        created_before: query.one("created_before", time),
        metadata: query.prefixed("metadata."),
        ..JobFilter::default()
    };
    for (name, count) in [
        ("state", filter.states.len()),
        ("kind", filter.kinds.len()),
        ("queue", filter.queues.len()),
        ("metadata", filter.metadata.len()),
    ] {
        if count > MOST_VALUES {
            query.wrong(name, format!("has more than {MOST_VALUES} values"));
        }
    }
    if filter
        .metadata
        .iter()
        .any(|(key, value)| key.contains('\0') || value.contains('\0'))
    {
        query.wrong("metadata", "must not contain the character U+0000");
    }
    caller.narrow(filter)
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "must be an RFC 3339 time such as 2026-01-31T12:00:00Z".to_owned())
}
