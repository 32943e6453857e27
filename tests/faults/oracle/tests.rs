//! The oracle is right about a good history, and finds each way in which one can be bad.

use super::*;
use crate::history::{Exchange, Excuses, JobSeen};

const fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn job(state: &str, attempt: u64) -> JobSeen {
    JobSeen {
        id: "a".to_owned(),
        key: "k".to_owned(),
        state: state.to_owned(),
        attempt,
        max_attempts: 3,
        finished_at: matches!(state, "succeeded" | "failed" | "cancelled").then(|| "then".into()),
        error: String::new(),
    }
}

fn exchange(asked_ms: u64, request: Request, status: u16, job: Option<JobSeen>) -> Exchange {
    Exchange {
        api: 0,
        asked_at: at(asked_ms),
        answered_at: at(asked_ms + 5),
        request,
        answer: Answer::Whole {
            status,
            job,
            body: String::new(),
            has_retry_after: status == 503,
            is_replay: false,
        },
    }
}

fn unanswered(asked_ms: u64, request: Request) -> Exchange {
    Exchange {
        answer: Answer::Nothing { connected: true },
        ..exchange(asked_ms, request, 0, None)
    }
}

fn submit(asked_ms: u64, status: u16) -> Exchange {
    let job = (status == 202).then(|| job("queued", 0));
    exchange(asked_ms, Request::Submit { key: "k".into() }, status, job)
}

fn get(asked_ms: u64, seen: JobSeen) -> Exchange {
    exchange(asked_ms, Request::Get { id: "a".into() }, 200, Some(seen))
}

fn result(asked_ms: u64, body: &str) -> Exchange {
    let mut exchange = exchange(asked_ms, Request::Result { id: "a".into() }, 200, None);
    if let Answer::Whole { body: own, .. } = &mut exchange.answer {
        *own = body.to_owned();
    }
    exchange
}

fn cancel(asked_ms: u64, status: u16, seen: Option<JobSeen>) -> Exchange {
    exchange(asked_ms, Request::Cancel { id: "a".into() }, status, seen)
}

fn retry() -> Request {
    Request::Retry { id: "a".into() }
}

fn run(attempt: u64, began_ms: u64, ended_ms: Option<u64>) -> Execution {
    Execution {
        id: "a".to_owned(),
        attempt,
        process: 70 + attempt,
        began_at: at(began_ms),
        ended_at: ended_ms.map(at),
    }
}

/// Submitted, run, polled and its result read twice.
fn good() -> History {
    History {
        exchanges: vec![
            submit(0, 202),
            submit(10, 202),
            get(20, job("running", 1)),
            get(200, job("succeeded", 1)),
            result(210, "ran 1 71\n"),
            result(220, "ran 1 71\n"),
        ],
        executions: vec![run(1, 15, Some(100))],
        jobs: vec![job("succeeded", 1)],
        ..History::default()
    }
}

/// A good history with something else in it.
fn history(change: impl FnOnce(&mut History)) -> History {
    let mut history = good();
    change(&mut history);
    history
}

/// What is broken there, each promise once.
fn broken(change: impl FnOnce(&mut History)) -> Vec<Promise> {
    let mut promises: Vec<Promise> = judge(&history(change))
        .into_iter()
        .map(|violation| violation.promise)
        .collect();
    promises.dedup();
    promises
}

/// A job that was cancelled before it ran.
fn cancelled(history: &mut History) {
    history.exchanges = vec![submit(0, 202), cancel(10, 200, Some(job("cancelled", 0)))];
    history.executions.clear();
    history.jobs = vec![job("cancelled", 0)];
}

#[test]
fn a_good_history_breaks_nothing() {
    assert_eq!(judge(&good()), []);
    assert_eq!(judge(&history(cancelled)), []);
    assert_eq!(judge(&History::default()), []);
}

#[test]
fn an_accepted_job_must_come_to_an_end() {
    assert_eq!(broken(|it| it.jobs.clear()), [Promise::Lost]);
    let waiting = |it: &mut History| {
        it.exchanges.truncate(3);
        it.jobs = vec![job("queued", 1)];
    };
    assert_eq!(broken(waiting), [Promise::Lost]);
}

#[test]
fn what_was_never_acknowledged_may_be_or_not() {
    let unknown = |it: &mut History| {
        it.exchanges = vec![submit(0, 503)];
        it.executions.clear();
        it.jobs.clear();
    };
    assert_eq!(broken(unknown), []);
    assert_eq!(broken(|it| it.exchanges = vec![submit(0, 503)]), []);
}

#[test]
fn a_key_stands_for_one_job() {
    let twin = || JobSeen {
        id: "b".to_owned(),
        ..job("succeeded", 1)
    };
    assert_eq!(broken(|it| it.jobs.push(twin())), [Promise::DuplicateJobs]);
    let other_id = |it: &mut History| {
        let request = Request::Submit { key: "k".into() };
        it.exchanges.push(exchange(30, request, 202, Some(twin())));
    };
    assert!(broken(other_id).contains(&Promise::DuplicateJobs));
}

#[test]
fn an_end_stays() {
    let back = |it: &mut History| it.exchanges.push(get(300, job("running", 2)));
    assert_eq!(broken(back), [Promise::TerminalChanged]);
    let again = |it: &mut History| {
        it.exchanges.truncate(4);
        it.jobs = vec![job("succeeded", 2)];
    };
    assert_eq!(broken(again), [Promise::TerminalChanged]);
    // A look that began before the end may show what was before.
    let early = |it: &mut History| {
        let mut look = get(195, job("running", 1));
        look.answered_at = at(230);
        it.exchanges.push(look);
    };
    assert_eq!(broken(early), []);
}

#[test]
fn only_a_retry_leads_out_of_an_end() {
    let failed_then_succeeded = |retry: Option<Exchange>| {
        broken(|it| {
            it.exchanges = vec![submit(0, 202), get(20, job("failed", 1))];
            it.exchanges.extend(retry);
            it.exchanges.push(get(100, job("succeeded", 2)));
            it.executions = vec![run(2, 60, Some(70))];
            it.jobs = vec![job("succeeded", 2)];
        })
    };
    assert_eq!(failed_then_succeeded(None), [Promise::TerminalChanged]);
    let refused = exchange(50, retry(), 409, None);
    assert_eq!(
        failed_then_succeeded(Some(refused)),
        [Promise::TerminalChanged]
    );
    let accepted = exchange(50, retry(), 202, Some(job("queued", 1)));
    assert_eq!(failed_then_succeeded(Some(accepted)), []);
    assert_eq!(failed_then_succeeded(Some(unanswered(50, retry()))), []);
    // No retry leads out of success.
    let retried = |it: &mut History| {
        it.exchanges.push(unanswered(230, retry()));
        it.exchanges.push(get(300, job("queued", 1)));
    };
    assert_eq!(broken(retried), [Promise::TerminalChanged]);
}

#[test]
fn a_result_stays_and_is_of_an_execution() {
    let of_an_older_attempt = |it: &mut History| {
        it.exchanges.truncate(3);
        it.exchanges.push(result(310, "ran 1 71\n"));
        it.executions.push(run(2, 110, Some(120)));
        it.jobs = vec![job("succeeded", 2)];
    };
    assert_eq!(broken(of_an_older_attempt), [Promise::ResultChanged]);
    let changed = |it: &mut History| {
        it.executions.push(run(2, 110, Some(120)));
        it.exchanges.push(result(300, "ran 2 72\n"));
    };
    assert_eq!(broken(changed), [Promise::ResultChanged]);
    let unfinished = |it: &mut History| it.executions[0].ended_at = None;
    assert_eq!(broken(unfinished), [Promise::ResultChanged]);
    let of_nobody = |it: &mut History| it.executions.clear();
    assert_eq!(broken(of_nobody), [Promise::ResultChanged]);
}

#[test]
fn an_acknowledged_id_is_known() {
    let lost = |it: &mut History| {
        let request = Request::Get { id: "a".into() };
        it.exchanges.push(exchange(30, request, 404, None));
    };
    assert_eq!(broken(lost), [Promise::Unknown]);
    // Asked before the acknowledgement had come, it may be unknown.
    let early = |it: &mut History| {
        let request = Request::Get { id: "a".into() };
        it.exchanges.push(exchange(2, request, 404, None));
    };
    assert_eq!(broken(early), []);
}

#[test]
fn attempts_are_counted_and_run_once() {
    let fourth = |it: &mut History| it.executions.push(run(4, 110, None));
    assert_eq!(broken(fourth), [Promise::TooManyAttempts]);
    let twice = |it: &mut History| it.executions.push(run(1, 110, None));
    assert_eq!(broken(twice), [Promise::TooManyAttempts]);
    let handed_back = |it: &mut History| {
        it.executions.push(run(1, 110, None));
        it.excuses.handed_back = true;
    };
    assert_eq!(broken(handed_back), []);
}

#[test]
fn attempts_at_one_job_do_not_run_side_by_side() {
    let overlapping = |it: &mut History| it.executions.push(run(2, 50, None));
    assert_eq!(broken(overlapping), [Promise::SideBySide]);
    let excused = |it: &mut History| {
        it.executions.push(run(2, 50, None));
        it.excuses.side_by_side = true;
    };
    assert_eq!(broken(excused), []);
    let after = |it: &mut History| it.executions.push(run(2, 101, None));
    assert_eq!(broken(after), []);
}

#[test]
fn a_cancel_is_kept() {
    let started = |it: &mut History| {
        cancelled(it);
        it.executions.push(run(1, 100, None));
    };
    assert_eq!(broken(started), [Promise::StartedAfterCancel]);
    let retried = |it: &mut History| {
        started(it);
        it.exchanges.push(unanswered(50, retry()));
    };
    assert_eq!(broken(retried), []);
    // The program's note of its start is coarse: it may read earlier than what led to it.
    let retried_just_then = |it: &mut History| {
        started(it);
        it.exchanges
            .push(exchange(102, retry(), 202, Some(job("queued", 0))));
    };
    assert_eq!(broken(retried_just_then), []);
    let retried_too_late = |it: &mut History| {
        started(it);
        it.exchanges
            .push(exchange(150, retry(), 202, Some(job("queued", 0))));
    };
    assert!(broken(retried_too_late).contains(&Promise::StartedAfterCancel));
    // It ran before, and was to be tried again.
    let earlier = |it: &mut History| {
        cancelled(it);
        it.executions.push(run(1, 2, None));
    };
    assert_eq!(broken(earlier), []);
    let succeeded_after_all = |it: &mut History| {
        it.exchanges.push(cancel(12, 200, Some(job("running", 1))));
    };
    assert_eq!(broken(succeeded_after_all), [Promise::CancelDisagrees]);
    let refused = |it: &mut History| {
        it.exchanges = vec![submit(0, 202), cancel(10, 409, None)];
        it.jobs = vec![job("cancelled", 1)];
    };
    assert_eq!(broken(refused), [Promise::CancelDisagrees]);
}

#[test]
fn answers_are_those_of_the_contract() {
    let status = |status| broken(|it| it.exchanges.push(submit(30, status)));
    assert_eq!(status(500), [Promise::WrongAnswer]);
    assert_eq!(status(404), [Promise::WrongAnswer]);
    assert_eq!(status(503), []);
    let unsaid = |it: &mut History| {
        it.exchanges
            .push(exchange(30, Request::Get { id: "a".into() }, 503, None));
        if let Some(Exchange {
            answer: Answer::Whole {
                has_retry_after, ..
            },
            ..
        }) = it.exchanges.last_mut()
        {
            *has_retry_after = false;
        }
    };
    assert_eq!(broken(unsaid), [Promise::WrongAnswer]);
    let late = |it: &mut History| it.exchanges[0].answered_at = at(4_100);
    assert!(broken(late).contains(&Promise::LateAnswer));
}

#[test]
fn a_request_is_answered_where_no_process_dies() {
    let reset_after = |ms: u64, excuses: Excuses| {
        broken(|it| {
            let mut broken_off = unanswered(30, Request::Get { id: "a".into() });
            broken_off.answered_at = at(30 + ms);
            it.exchanges.push(broken_off);
            it.excuses = excuses;
        })
    };
    assert_eq!(reset_after(200, Excuses::default()), []);
    let strict = Excuses {
        no_resets: true,
        ..Excuses::default()
    };
    assert_eq!(reset_after(200, strict), [Promise::Reset]);
    // Nobody has accepted it yet.
    assert_eq!(reset_after(50, strict), []);
    // It was accepted, however soon it broke: the repetition finds its job.
    let stored_and_reset = |excuses: Excuses| {
        broken(|it| {
            let mut replay = submit(10, 202);
            if let Answer::Whole { is_replay, .. } = &mut replay.answer {
                *is_replay = true;
            }
            it.exchanges[0] = unanswered(0, Request::Submit { key: "k".into() });
            it.exchanges[1] = replay;
            it.excuses = excuses;
        })
    };
    assert_eq!(stored_and_reset(strict), [Promise::Reset]);
    assert_eq!(stored_and_reset(Excuses::default()), []);
}

#[test]
fn what_was_refused_to_the_end_and_who_died_is_told() {
    let refused = |it: &mut History| it.never_accepted.push("k2".to_owned());
    assert_eq!(broken(refused), [Promise::NeverAccepted]);
    let died = |it: &mut History| it.died.push("a worker".to_owned());
    assert_eq!(broken(died), [Promise::Died]);
}
