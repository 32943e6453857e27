//! Writes that are made together with others.

use futures::future::join_all;

use super::{
    Fixture,
    fixture::{finish, new_job, success},
};
use crate::{
    job::{NewJob, Outcome, State},
    store::FinishOutcome,
};

pub(super) async fn groups_of_every_size_go_their_way(fixture: &Fixture) {
    let lease = fixture.lease().await;
    for size in [1, 2, 8, 9, 64, 65, 130] {
        let ids = fixture.insert_many(size).await;
        let jobs = fixture.claim(lease, &ids).await;
        assert_eq!(jobs.len(), size);
        let group: Vec<_> = jobs.iter().map(|job| finish(job, success())).collect();
        let recorded = fixture.store.finish(group.clone()).await.unwrap();
        assert_eq!(
            recorded,
            vec![FinishOutcome::Recorded(State::Succeeded); size]
        );
        for id in ids {
            assert_eq!(fixture.state(id).await, State::Succeeded);
        }
        let again = fixture.store.finish(group).await.unwrap();
        assert_eq!(
            again,
            vec![FinishOutcome::AlreadyRecorded(State::Succeeded); size]
        );
    }
}

pub(super) async fn a_stale_end_beside_the_newest_is_told_apart(fixture: &Fixture) {
    let (old_lease, lease) = (fixture.lease().await, fixture.lease().await);
    let old = fixture.running(old_lease).await;
    fixture.finish(&old, Outcome::Released).await;
    // The number of the attempt is the same again: only the lease differs.
    let new = fixture.claim(lease, &[old.id]).await.pop().unwrap();
    assert_eq!(new.attempt, old.attempt);
    let group = vec![finish(&old, success()), finish(&new, success())];
    assert_eq!(
        fixture.store.finish(group).await.unwrap(),
        [
            FinishOutcome::Stale,
            FinishOutcome::Recorded(State::Succeeded)
        ]
    );
}

pub(super) async fn a_bad_write_takes_no_other_with_it(fixture: &Fixture) {
    let bad = NewJob {
        // The schema refuses it, should nothing have done so before.
        max_attempts: 0,
        ..new_job()
    };
    let writes = (0..40).map(|number| {
        let job = if number % 2 == 0 {
            new_job()
        } else {
            NewJob {
                id: new_job().id,
                ..bad.clone()
            }
        };
        async { (job.max_attempts > 0, fixture.store.insert(vec![job]).await) }
    });
    for (is_good, outcome) in join_all(writes).await {
        assert_eq!(outcome.is_ok(), is_good, "{outcome:?}");
    }
}
