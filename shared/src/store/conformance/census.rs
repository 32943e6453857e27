//! The census.

use std::time::{Duration, Instant};

use super::{
    Fixture,
    fixture::{new_job, now, success, tenant},
};
use crate::{
    job::{NewJob, QueueName, Tenant},
    store::{Census, Figures},
};

fn queue(name: &str) -> QueueName {
    name.parse().unwrap()
}

/// Counted again and again until it is as it should be: a count makes way for the next one.
async fn census_with(fixture: &Fixture, expected: &[(&str, Figures)]) -> Census {
    let began = Instant::now();
    loop {
        fixture.store.take_census().await.unwrap();
        let census = fixture.store.census(None).await.unwrap();
        let queues = census.by_queue(|_| true);
        let found: Vec<(&str, Figures)> = queues
            .iter()
            .map(|(name, figures)| (name.as_str(), *figures))
            .collect();
        if found == expected {
            return census;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn jobs_are_counted_by_queue_and_state_while_they_are_active(fixture: &Fixture) {
    assert_eq!(
        fixture.store.census(None).await.unwrap(),
        Census::default(),
        "nothing has been counted yet"
    );
    let lease = fixture.lease().await;
    let first = new_job();
    let oldest_queued_at = Some(first.created_at);
    fixture.insert(first).await;
    fixture.insert(new_job()).await;
    let running = fixture.running(lease).await;
    fixture
        .insert(NewJob {
            queue: queue("later"),
            run_at: now().after(Duration::from_secs(3_600)),
            ..new_job()
        })
        .await;
    let default = Figures {
        scheduled: 0,
        queued: 2,
        running: 1,
        oldest_queued_at,
    };
    let later = Figures {
        scheduled: 1,
        ..Figures::default()
    };
    let census = census_with(fixture, &[("default", default), ("later", later)]).await;
    let age = now().since(census.taken_at.unwrap());
    assert!(age < Duration::from_secs(20), "{age:?}");

    fixture.finish(&running, success()).await;
    let default = Figures {
        running: 0,
        ..default
    };
    census_with(fixture, &[("default", default), ("later", later)]).await;
}

pub(super) async fn a_tenants_census_has_its_own_jobs_alone(fixture: &Fixture) {
    let another: Tenant = "another".parse().unwrap();
    fixture.insert(new_job()).await;
    fixture
        .insert(NewJob {
            tenant: another.clone(),
            queue: queue("theirs"),
            ..new_job()
        })
        .await;
    let of = |census: &Census| -> Vec<String> {
        census
            .by_queue(|_| true)
            .keys()
            .map(ToString::to_string)
            .collect()
    };
    let began = Instant::now();
    while of(&fixture.store.census(None).await.unwrap()) != ["default", "theirs"] {
        assert!(began.elapsed() < Duration::from_secs(20));
        fixture.store.take_census().await.unwrap();
    }
    let own = fixture.store.census(Some(&tenant())).await.unwrap();
    assert_eq!(of(&own), ["default"]);
    let theirs = fixture.store.census(Some(&another)).await.unwrap();
    assert_eq!(of(&theirs), ["theirs"]);
}

pub(super) async fn a_count_is_followed_by_a_pause(fixture: &Fixture) {
    fixture.store.take_census().await.unwrap();
    let first = fixture.store.census(None).await.unwrap().taken_at;
    assert!(first.is_some());
    fixture.store.take_census().await.unwrap();
    let second = fixture.store.census(None).await.unwrap().taken_at;
    assert_eq!(first, second, "it was asked again at once");
}
