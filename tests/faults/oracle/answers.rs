//! What each request is answered, and that it is answered at all.

use std::{collections::BTreeMap, time::Duration};

use super::{Found, Promise};
use crate::history::{Answer, Exchange, History, Request};

/// No answer that is not waited for by preference may take longer: the database's deadline is 2 s,
/// and a machine under test is slow.
const LONGEST_ANSWER: Duration = Duration::from_secs(4);

/// How long a connection may lie in the kernel's queue before a process accepts it: a request that
/// breaks sooner, as the process closes its door, has reached nobody.
const ACCEPTED_WITHIN: Duration = Duration::from_millis(100);

/// What each request may be answered, whatever has died: everything else is a fault shown to a
/// client that should not see it.
pub(super) fn answers_keep_the_contract(exchange: &Exchange, history: &History, found: &mut Found) {
    let request = &exchange.request;
    match &exchange.answer {
        Answer::Nothing { connected } => {
            let took = exchange.answered_at.saturating_sub(exchange.asked_at);
            if *connected && took > ACCEPTED_WITHIN && history.excuses.no_resets {
                found.add(
                    Promise::Reset,
                    format!("{request:?} asked of API {}", exchange.api),
                );
            }
        }
        Answer::Whole {
            status,
            body,
            has_retry_after,
            ..
        } => {
            let allowed: &[u16] = match request {
                Request::Submit { .. } => &[200, 202, 409, 429, 503],
                Request::Get { .. } => &[200, 404, 429, 503],
                Request::Result { .. } => &[200, 404, 429, 503],
                Request::Cancel { .. } => &[200, 202, 404, 409, 429, 503],
                Request::Retry { .. } => &[202, 404, 409, 429, 503],
            };
            if !allowed.contains(status) {
                found.add(
                    Promise::WrongAnswer,
                    format!("{request:?}: {status} {body}"),
                );
            }
            if matches!(status, 429 | 503) && !has_retry_after {
                found.add(
                    Promise::WrongAnswer,
                    format!("{request:?}: {status} without Retry-After"),
                );
            }
            let took = exchange.answered_at.saturating_sub(exchange.asked_at);
            if took > LONGEST_ANSWER {
                found.add(Promise::LateAnswer, format!("{request:?}: {took:?}"));
            }
        }
    }
}

/// Where no process dies, whoever has stored a job says so. A repetition that finds the job there,
/// while no request for it was answered by its own doing, shows one that was stored and then reset.
pub(super) fn what_was_stored_is_answered(history: &History, found: &mut Found) {
    if !history.excuses.no_resets {
        return;
    }
    let mut only_replays: BTreeMap<&str, bool> = BTreeMap::new();
    for exchange in &history.exchanges {
        if let (Request::Submit { key }, Answer::Whole { is_replay, .. }) =
            (&exchange.request, &exchange.answer)
        {
            let only = only_replays.entry(key).or_insert(true);
            *only = *only && *is_replay;
        }
    }
    for key in only_replays
        .into_iter()
        .filter_map(|(key, only)| only.then_some(key))
    {
        found.add(
            Promise::Reset,
            format!("{key} was stored, and not answered"),
        );
    }
}
