//! Connections that come back, and connections that do not.

use futures::future::join_all;
use sqlx::{Postgres, postgres::PgConnectOptions};
use tokio::task::yield_now;

use crate::test_proxy::TestProxy;

use super::*;

fn limits(most: u32, deadline: Duration) -> Limits {
    Limits {
        most,
        deadline,
        longest_life: None,
    }
}

const MOST: u32 = 3;
const SOON: Duration = Duration::from_secs(20);

fn options() -> PgConnectOptions {
    let url = std::env::var("TEST_DATABASE_URL").expect("`cargo xtask test` names a Postgres");
    url.parse().unwrap()
}

/// Each of them within a deadline, as every question is.
async fn ask_all(pool: &Pool<Postgres>) -> bool {
    let asked = (0..MOST).map(|_| {
        let answer = sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(pool);
        tokio::time::timeout(Duration::from_millis(300), answer)
    });
    let answers = join_all(asked).await;
    answers.iter().all(|answer| matches!(answer, Ok(Ok(1))))
}

async fn until_all_are_answered(pool: &Pool<Postgres>) {
    let begun = Instant::now();
    while !ask_all(pool).await {
        assert!(begun.elapsed() < SOON, "{:?}", pool.usage());
    }
}

#[tokio::test]
async fn connections_that_carry_nothing_any_more_are_replaced() {
    let server = options();
    let proxy = TestProxy::to(&format!("{}:{}", server.get_host(), server.get_port())).await;
    let behind = server.host("127.0.0.1").port(proxy.port());
    let pool = Pool::<Postgres>::new("test", behind, limits(MOST, Duration::from_millis(300)));
    // At every moment of a question, and after it.
    for looks in 0..40 {
        until_all_are_answered(&pool).await;
        let abandoning = async {
            for _ in 0..looks {
                yield_now().await;
            }
            proxy.abandon_connections();
        };
        tokio::join!(ask_all(&pool), abandoning);
        until_all_are_answered(&pool).await;
        assert_eq!(pool.usage().used, 0);
    }
}

#[tokio::test]
async fn what_is_given_up_is_closed_and_the_rest_is_used_again() {
    let pool = Pool::<Postgres>::new("test", options(), limits(1, SOON));
    let process = || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool);
    let first = process().await.unwrap();
    assert_eq!(process().await.unwrap(), first);

    let mut given_up = pool.lend().await.unwrap();
    assert_eq!((pool.usage().used, pool.usage().idle), (1, 0));
    assert!(futures::poll!(given_up.execute("SELECT pg_sleep(60)")).is_pending());
    drop(given_up);
    let second = process().await.unwrap();
    assert_ne!(second, first);

    // A refusal is an end, and being thrown out is not.
    pool.execute("SELECT 1 / 0").await.unwrap_err();
    assert_eq!(process().await.unwrap(), second);
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    pool.execute(end).await.unwrap_err();
    assert_ne!(process().await.unwrap(), second);
}

#[tokio::test]
async fn a_refusal_is_named_within_the_deadline() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let options = options().host("127.0.0.1").port(port);
    let pool = Pool::<Postgres>::new("test", options, limits(1, Duration::from_millis(500)));
    let begun = Instant::now();
    let error = pool.execute("SELECT 1").await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(begun.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn one_that_has_lived_long_enough_makes_place() {
    let limits = Limits {
        longest_life: Some(Duration::ZERO),
        ..limits(1, SOON)
    };
    let pool = Pool::<Postgres>::new("test", options(), limits);
    let process = || sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&pool);
    assert_ne!(process().await.unwrap(), process().await.unwrap());
}
