//! Lists, tenants and the catalogue.

use futures::future::join_all;

use super::{
    Fixture,
    fixture::{new_job, now, tenant},
};
use crate::{
    job::{Job, JobFilter, JobId, NewJob, State, Tenant, filter::PageRequest},
    kind::{KindDefinition, sleep::SleepPayload},
    store::ResultLookup,
};

fn page(after: Option<JobId>, limit: u32) -> PageRequest {
    PageRequest {
        after,
        before: None,
        limit,
    }
}

fn ids(jobs: &[Job]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(super) async fn pages_follow_one_another_newest_first(fixture: &Fixture) {
    let mut expected = fixture.insert_many(25).await;
    expected.reverse();
    let mut seen = Vec::new();
    loop {
        let after = seen.last().copied();
        let filter = JobFilter::default();
        let jobs = fixture
            .store
            .list(&tenant(), &filter, page(after, 10))
            .await
            .unwrap();
        seen.extend(ids(&jobs));
        if jobs.len() < 10 {
            break;
        }
        // What is submitted meanwhile does not shift the pages.
        fixture.insert(new_job()).await;
    }
    assert_eq!(seen, expected);
    let back = PageRequest {
        after: None,
        before: Some(seen[20]),
        limit: 10,
    };
    let filter = JobFilter::default();
    let jobs = fixture.store.list(&tenant(), &filter, back).await.unwrap();
    assert_eq!(ids(&jobs), seen[10..20]);
}

pub(super) async fn filters_narrow_a_list(fixture: &Fixture) {
    let lease = fixture.lease().await;
    let plain = fixture.insert(new_job()).await;
    let running = fixture.running(lease).await.id;
    let middle = now();
    let marked = fixture
        .insert(NewJob {
            kind: "other".parse().unwrap(),
            queue: "mail".parse().unwrap(),
            metadata: [
                ("customer".to_owned(), "42".to_owned()),
                ("a.b \"c\"".to_owned(), "x'y".to_owned()),
            ]
            .into(),
            ..new_job()
        })
        .await;
    let everything = [marked, running, plain];
    let metadata = |key: &str, value: &str| JobFilter {
        metadata: vec![(key.to_owned(), value.to_owned())],
        ..JobFilter::default()
    };
    let cases = [
        (JobFilter::default(), everything.as_slice()),
        (
            JobFilter {
                states: vec![State::Running, State::Failed],
                ..JobFilter::default()
            },
            &[running],
        ),
        (
            JobFilter {
                states: vec![State::Running, State::Queued],
                ..JobFilter::default()
            },
            &everything,
        ),
        (
            JobFilter {
                kinds: vec!["other".parse().unwrap()],
                ..JobFilter::default()
            },
            &[marked],
        ),
        (
            JobFilter {
                queues: vec!["default".parse().unwrap(), "x".parse().unwrap()],
                ..JobFilter::default()
            },
            &[running, plain],
        ),
        (
            JobFilter {
                created_after: Some(middle),
                ..JobFilter::default()
            },
            &[marked],
        ),
        (
            JobFilter {
                created_before: Some(middle),
                ..JobFilter::default()
            },
            &[running, plain],
        ),
        (
            JobFilter {
                visible_kinds: Some(vec!["other".parse().unwrap()]),
                visible_queues: Some(vec!["mail".parse().unwrap(), "x".parse().unwrap()]),
                ..JobFilter::default()
            },
            &[marked],
        ),
        (
            JobFilter {
                queues: vec!["default".parse().unwrap()],
                visible_queues: Some(vec!["mail".parse().unwrap()]),
                ..JobFilter::default()
            },
            &[],
        ),
        (
            JobFilter {
                visible_kinds: Some(Vec::new()),
                ..JobFilter::default()
            },
            &[],
        ),
        (metadata("customer", "42"), &[marked]),
        (metadata("customer", "4"), &[]),
        (metadata("a.b \"c\"", "x'y"), &[marked]),
        (metadata("' OR 1=1 --", "1"), &[]),
    ];
    for (filter, expected) in cases {
        let jobs = fixture
            .store
            .list(&tenant(), &filter, page(None, 10))
            .await
            .unwrap();
        assert_eq!(ids(&jobs), expected, "{filter:?}");
    }
}

pub(super) async fn another_tenant_sees_nothing(fixture: &Fixture) {
    let id = fixture.insert(new_job()).await;
    let other: Tenant = "other".parse().unwrap();
    let store = &fixture.store;
    assert_eq!(store.get(&other, id).await.unwrap(), None);
    assert_eq!(store.result(&other, id).await.unwrap(), ResultLookup::NoJob);
    assert_eq!(store.attempts(&other, id).await.unwrap(), None);
    assert_eq!(store.logs(&other, id, 0, 10).await.unwrap(), None);
    assert_eq!(store.cancel(&other, id, now()).await.unwrap(), None);
    let list = store
        .list(&other, &JobFilter::default(), page(None, 10))
        .await
        .unwrap();
    assert!(list.is_empty());
    assert_eq!(fixture.state(id).await, State::Queued);
}

/// Whoever asks at the same time shares a statement: each gets its own answer all the same.
pub(super) async fn a_crowd_is_told_each_its_own(fixture: &Fixture) {
    let other: Tenant = "other".parse().unwrap();
    let mut jobs = Vec::new();
    for number in 0..150 {
        let mut job = new_job();
        if number % 3 == 0 {
            job.tenant = other.clone();
        }
        jobs.push((job.tenant.clone(), fixture.insert(job).await));
    }
    let absent = new_job().id;
    let store = &fixture.store;
    let asked = jobs
        .iter()
        .flat_map(|(_, id)| [(tenant(), *id), (other.clone(), *id)]);
    let asked: Vec<_> = asked.chain([(tenant(), absent)]).collect();
    let answers = join_all(asked.iter().map(|(tenant, id)| store.get(tenant, *id))).await;
    for ((asker, id), answer) in asked.iter().zip(answers) {
        let is_its_own = jobs.contains(&(asker.clone(), *id));
        let told = answer.unwrap().map(|job| (job.tenant, job.id));
        assert_eq!(told, is_its_own.then(|| (asker.clone(), *id)));
    }
}

pub(super) async fn queues_and_kinds_are_catalogued(fixture: &Fixture) {
    let store = &fixture.store;
    for queue in ["b", "a", "b"] {
        store.create_queue(&queue.parse().unwrap()).await.unwrap();
    }
    let queues = store.queues().await.unwrap();
    assert_eq!(queues, ["a".parse().unwrap(), "b".parse().unwrap()]);

    let sleep = KindDefinition::of::<SleepPayload>().unwrap();
    let changed = KindDefinition {
        description: "another".to_owned(),
        ..sleep.clone()
    };
    store.announce_kinds(&[sleep]).await.unwrap();
    store
        .announce_kinds(std::slice::from_ref(&changed))
        .await
        .unwrap();
    assert_eq!(store.kinds().await.unwrap(), [changed]);
    assert!(store.now().await.unwrap().since(now()).as_secs() < 60);
}
