use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::{
    queue::redis::test_server::{self, TestServer, settings},
    signal::conformance::{next, signals_conform, some_ids},
    test_proxy::TestProxy,
};

const DEADLINE: Duration = Duration::from_millis(300);

async fn start() -> (Arc<dyn Signals>, Option<TestServer>) {
    let (url, server) = test_server::any().await;
    let signals = RedisSignals::connect(&settings(Duration::from_secs(5)), &url).await;
    (Arc::new(signals.unwrap()), server)
}

signals_conform!(start);

async fn private() -> (TestServer, RedisSignals) {
    let server = TestServer::start().await;
    let signals = RedisSignals::connect(&settings(DEADLINE), &server.url()).await;
    (server, signals.unwrap())
}

/// Publishes until something is heard, which must not take long.
async fn recovers(signals: &RedisSignals) {
    let mut receiver = signals.subscribe();
    let hearing = async {
        loop {
            // Refused while Redis is away: that is what is waited for to end.
            let _ = signals.publish(Signal::Finished(some_ids(1))).await;
            if timeout(Duration::from_millis(50), receiver.recv())
                .await
                .is_ok()
            {
                return;
            }
        }
    };
    timeout(Duration::from_secs(5), hearing).await.unwrap();
}

async fn fails_in_time(signals: &RedisSignals) {
    let before = Instant::now();
    let published = signals.publish(Signal::Finished(some_ids(1))).await;
    assert!(
        published
            .unwrap_err()
            .to_string()
            .contains("Redis at 127.0.0.1")
    );
    assert!(before.elapsed() < DEADLINE * 2);
}

#[tokio::test]
async fn another_process_hears_it_and_another_prefix_does_not() {
    let server = TestServer::start().await;
    let (shared, other) = (settings(DEADLINE), settings(DEADLINE));
    let mut buses = Vec::new();
    for settings in [&shared, &shared, &other] {
        let bus = RedisSignals::connect(settings, &server.url()).await;
        buses.push(bus.unwrap());
    }
    let mut receivers: Vec<_> = buses.iter().map(Signals::subscribe).collect();
    let signal = Signal::Finished(some_ids(3));
    buses[0].publish(signal.clone()).await.unwrap();
    for receiver in &mut receivers[..2] {
        assert_eq!(next(receiver).await, signal);
    }
    assert!(timeout(DEADLINE, receivers[2].recv()).await.is_err());
}

#[tokio::test]
async fn signals_are_heard_again_after_a_restart() {
    let (mut server, signals) = private().await;
    recovers(&signals).await;
    server.kill().await;
    fails_in_time(&signals).await;
    server.start_again().await;
    recovers(&signals).await;
}

#[tokio::test]
async fn signals_are_heard_again_after_redis_hung() {
    let (server, signals) = private().await;
    recovers(&signals).await;
    server.hang();
    // Long enough for the listener to have missed an answer too.
    for _ in 0..3 {
        fails_in_time(&signals).await;
        sleep(DEADLINE).await;
    }
    server.resume();
    recovers(&signals).await;
}

#[tokio::test]
async fn a_subscription_that_died_silently_is_replaced() {
    let server = TestServer::start().await;
    let proxy = TestProxy::to(&server.url()).await;
    let signals = RedisSignals::connect(&settings(DEADLINE), &proxy.url()).await;
    let signals = signals.unwrap();
    recovers(&signals).await;
    proxy.abandon_connections();
    fails_in_time(&signals).await;
    recovers(&signals).await;
}

#[tokio::test]
async fn a_subscription_outlives_silence() {
    let (_server, signals) = private().await;
    let mut receiver = signals.subscribe();
    // Several questions whether the connection still lives.
    sleep(DEADLINE * 5).await;
    let signal = Signal::Finished(some_ids(1));
    signals.publish(signal.clone()).await.unwrap();
    assert_eq!(next(&mut receiver).await, signal);
}

#[tokio::test]
async fn malformed_messages_are_passed_over() {
    let (server, signals) = private().await;
    let mut receiver = signals.subscribe();
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for channel in signals.channels.all() {
        let mut publish = cmd("PUBLISH");
        publish.arg(channel).arg("Not A Signal");
        let heard: u64 = publish.query_async(&mut connection).await.unwrap();
        assert_eq!(heard, 1);
    }
    let signal = Signal::Finished(some_ids(1));
    signals.publish(signal.clone()).await.unwrap();
    assert_eq!(next(&mut receiver).await, signal);
}

#[tokio::test]
async fn a_dropped_bus_leaves_no_connection() {
    let (server, signals) = private().await;
    signals
        .publish(Signal::Finished(some_ids(1)))
        .await
        .unwrap();
    drop(signals);
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let closing = async {
        loop {
            let clients = cmd("CLIENT").arg("LIST").to_owned();
            let list: String = clients.query_async(&mut connection).await.unwrap();
            if list.lines().count() == 1 {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(5), closing).await.unwrap();
}

#[tokio::test]
async fn a_redis_that_is_away_at_the_start_is_heard_once_it_is_there() {
    let mut server = TestServer::start().await;
    server.kill().await;
    let signals = RedisSignals::connect(&settings(DEADLINE), &server.url())
        .await
        .unwrap();
    fails_in_time(&signals).await;
    server.start_again().await;
    recovers(&signals).await;
}
