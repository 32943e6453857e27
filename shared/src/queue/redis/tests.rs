use std::sync::Arc;

use tokio::time::timeout;

use super::{
    test_server::{self, TestServer, settings},
    *,
};
use crate::{
    job::Priority,
    queue::conformance::{hints, ids, lane, queue_conforms},
    test_proxy::TestProxy,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Of the servers that are stopped in tests.
const DEADLINE: Duration = Duration::from_millis(500);
/// What a busy machine may add to a deadline.
const LENIENCE: Duration = Duration::from_millis(400);

async fn start() -> (Arc<dyn Queue>, Option<TestServer>) {
    let (url, server) = test_server::any().await;
    let queue = RedisQueue::connect(&settings(Duration::from_secs(5)), &url).await;
    (Arc::new(queue.unwrap()), server)
}

queue_conforms!(start);

async fn private() -> (TestServer, Arc<RedisQueue>, Lane) {
    let server = TestServer::start().await;
    let queue = RedisQueue::connect(&settings(DEADLINE), &server.url()).await;
    (
        server,
        Arc::new(queue.unwrap()),
        lane("default", Priority::Normal),
    )
}

/// Tries until it works again, which must not take long.
async fn recovers(queue: &RedisQueue, lane: &Lane) {
    let pushed = hints(lane, 3);
    let working = async {
        while queue.push(&pushed, End::Back).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        loop {
            let popped = queue.pop(std::slice::from_ref(lane), 3, DEADLINE).await;
            if let Ok(popped) = popped {
                // A push whose answer was lost may have been done, and was done again.
                assert!(popped.ends_with(&ids(&pushed)) || popped.starts_with(&ids(&pushed)));
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), working).await.unwrap();
}

/// Every call gives an error, in time.
async fn fails_in_time(queue: &RedisQueue, lane: &Lane) {
    let lanes = [lane.clone()];
    let pushed = hints(lane, 1);
    let before = Instant::now();
    let (push, oldest, depth, ping, take, pop) = tokio::join!(
        queue.push(&pushed, End::Back),
        queue.oldest(lane),
        queue.depth(lane),
        queue.ping(),
        queue.pop(&lanes, 1, Duration::ZERO),
        queue.pop(&lanes, 1, DEADLINE),
    );
    let took = before.elapsed();
    assert!(took < DEADLINE * 2 + LENIENCE, "{took:?}");
    for error in [
        push.unwrap_err(),
        oldest.unwrap_err(),
        depth.unwrap_err(),
        ping.unwrap_err(),
        take.unwrap_err(),
        pop.unwrap_err(),
    ] {
        assert!(error.to_string().contains("Redis at 127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn keys_are_hash_tagged_and_members_are_the_bytes_of_an_id() {
    let (server, queue, lane) = private().await;
    let pushed = hints(&lane, 1);
    queue.push(&pushed, End::Back).await.unwrap();
    let key = format!("{}:{{default}}:normal", queue.prefix);
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let members: Vec<Vec<u8>> = cmd("LRANGE")
        .arg(&[key.as_str(), "0", "-1"])
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(members, [pushed[0].id.as_uuid().as_bytes()]);

    // What somebody else put there is passed over.
    let foreign = cmd("LPUSH").arg(&[key.as_str(), "foreign"]).to_owned();
    foreign.query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(queue.oldest(&lane).await.unwrap(), None);
    let popped = queue.pop(&[lane], 5, PATIENCE).await.unwrap();
    assert_eq!(popped, ids(&pushed));
}

#[tokio::test]
async fn a_killed_redis_is_reported_at_once_and_found_again() {
    let (mut server, queue, lane) = private().await;
    recovers(&queue, &lane).await;
    let waiting = tokio::spawn({
        let (queue, lanes) = (queue.clone(), [lane.clone()]);
        async move { queue.pop(&lanes, 1, PATIENCE * 6).await }
    });
    sleep(Duration::from_millis(100)).await;
    server.kill().await;
    let waited = timeout(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(waited.is_err(), "{waited:?}");
    fails_in_time(&queue, &lane).await;
    server.start_again().await;
    recovers(&queue, &lane).await;
}

#[tokio::test]
async fn a_redis_restarted_between_two_calls_is_not_noticed() {
    let (mut server, queue, lane) = private().await;
    recovers(&queue, &lane).await;
    server.kill().await;
    server.start_again().await;
    let pushed = hints(&lane, 2);
    queue.push(&pushed, End::Back).await.unwrap();
    let popped = queue.pop(&[lane], 5, PATIENCE).await.unwrap();
    assert_eq!(popped, ids(&pushed));
}

#[tokio::test]
async fn a_hung_redis_is_reported_in_time_and_found_again() {
    let (server, queue, lane) = private().await;
    recovers(&queue, &lane).await;
    server.hang();
    for _ in 0..3 {
        fails_in_time(&queue, &lane).await;
    }
    server.resume();
    recovers(&queue, &lane).await;
}

#[tokio::test]
async fn connections_that_died_silently_are_replaced() {
    let server = TestServer::start().await;
    let proxy = TestProxy::to(&server.url()).await;
    let queue = RedisQueue::connect(&settings(DEADLINE), &proxy.url()).await;
    let (queue, lane) = (queue.unwrap(), lane("default", Priority::Normal));
    recovers(&queue, &lane).await;
    proxy.abandon_connections();
    fails_in_time(&queue, &lane).await;
    recovers(&queue, &lane).await;
}

#[tokio::test]
async fn callers_of_a_hung_redis_do_not_queue_up_behind_one_another() {
    let (server, queue, lane) = private().await;
    server.hang();
    let before = Instant::now();
    let callers = (0..200).map(|_| queue.depth(&lane));
    for answer in futures::future::join_all(callers).await {
        assert!(answer.is_err());
    }
    let took = before.elapsed();
    assert!(took < DEADLINE + LENIENCE, "{took:?}");
}

#[tokio::test]
async fn an_emptied_redis_is_an_empty_queue() {
    let (server, queue, lane) = private().await;
    queue.push(&hints(&lane, 10), End::Back).await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let flush = cmd("FLUSHALL");
    flush.query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(queue.depth(&lane).await.unwrap(), 0);
    assert_eq!(queue.oldest(&lane).await.unwrap(), None);
    recovers(&queue, &lane).await;
}

/// Why no queue can be had from this address.
async fn refusal(url: &str) -> QueueError {
    let settings = settings(Duration::from_secs(2));
    let connecting = RedisQueue::connect(&settings, url);
    let refused = timeout(Duration::from_secs(3), connecting).await.unwrap();
    refused.unwrap_err()
}

#[tokio::test]
async fn an_address_that_is_none_is_an_error_without_its_password() {
    for url in ["redis://me:secret@:6379:1/x/y", "me:secret@127.0.0.1", ""] {
        let error = refusal(url).await;
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        assert!(error.to_string().contains("REDIS_URL"), "{error}");
    }
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_used_once_it_is_there() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for url in [
        "redis://me:secret@127.0.0.1:1",
        "rediss://me:secret@127.0.0.1:1",
        "redis://me:secret@no-such-host.invalid:6379",
    ] {
        let queue = RedisQueue::connect(&settings(DEADLINE), url).await.unwrap();
        let error = queue.ping().await.unwrap_err();
        assert!(error.to_string().contains("Redis at"), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let mut server = TestServer::start().await;
    server.kill().await;
    let queue = RedisQueue::connect(&settings(DEADLINE), &server.url())
        .await
        .unwrap();
    server.start_again().await;
    recovers(&queue, &lane("default", Priority::High)).await;
}

#[tokio::test]
async fn a_password_is_used_and_a_missing_or_wrong_one_said() {
    let server = TestServer::start_with(&["--requirepass", "right-secret"]).await;
    let with = |login: &str| server.url().replace("://", &format!("://{login}"));
    for (login, part) in [
        ("", "Authentication required"),
        (":wrong-secret@", "Password authentication failed"),
    ] {
        let error = refusal(&with(login)).await;
        assert!(error.to_string().contains(part), "{error}");
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
    let queue = RedisQueue::connect(&settings(PATIENCE), &with(":right-secret@")).await;
    recovers(&queue.unwrap(), &lane("default", Priority::High)).await;
}

#[tokio::test]
async fn a_redis_without_the_command_is_refused_with_its_version() {
    let server = TestServer::start_with(&["--rename-command", "LMPOP", ""]).await;
    let error = refusal(&server.url()).await;
    let part = "Redis 7.0 or newer is needed, this is ";
    let text = error.to_string();
    let version = text.split(part).nth(1);
    assert!(version.is_some_and(|text| text.contains('.')), "{error}");
}

#[tokio::test]
async fn a_pop_that_is_given_up_leaves_its_hint_to_others() {
    let (_server, queue, lane) = private().await;
    let lanes = [lane.clone()];
    let given_up = timeout(DEADLINE, queue.pop(&lanes, 1, PATIENCE)).await;
    assert!(given_up.is_err());
    // Redis has to notice first that the connection is gone.
    sleep(DEADLINE).await;
    let pushed = hints(&lane, 1);
    queue.push(&pushed, End::Back).await.unwrap();
    let popped = queue.pop(&lanes, 1, PATIENCE).await.unwrap();
    assert_eq!(popped, ids(&pushed));
}
