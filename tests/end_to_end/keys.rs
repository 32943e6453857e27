//! Keys: made through one process they are good on every one, and revoked they are good on none.

use std::time::{Duration, Instant};

use coatcheck_tests::{
    client::{Answer, Client},
    deployment::{Mode, Plan},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::in_both_modes;

in_both_modes!(a_key_is_good_on_every_process_until_it_is_revoked_on_one);

const ADMIN: &str = "a-key-for-tests-only";

async fn send(client: &Client, method: Method, path: &str, key: &str) -> Answer {
    let request = client.request(method, path).bearer_auth(key);
    client.send(request).await.unwrap()
}

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let request = client
        .request(Method::POST, path)
        .bearer_auth(key)
        .header("content-type", "application/json")
        .body(body.to_string());
    client.send(request).await.unwrap()
}

async fn a_key_is_good_on_every_process_until_it_is_revoked_on_one(mode: Mode) {
    let mut deployment = Plan::new(mode)
        .set("COATCHECK_AUTH__MODE", "keys")
        .set("COATCHECK_AUTH__ADMIN_KEY", ADMIN)
        .processes(2, 1)
        .start()
        .await
        .unwrap();
    let first = deployment.client().unwrap();
    let second = first.at(deployment.apis().last().unwrap().address());
    let body = json!({"tenant": "acme", "scopes": ["jobs:read", "jobs:submit"]});
    let made = post(&first, "/v1/keys", ADMIN, &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["secret"].as_str().unwrap().to_owned();

    let submission = json!({"kind": "sleep", "payload": {"ms": 1}});
    let job = post(&second, "/v1/jobs", &secret, &submission).await;
    assert_eq!(job.status, 202, "{}", job.text());
    let path = job.header("location").to_owned();
    for client in [&first, &second] {
        assert_eq!(send(client, Method::GET, &path, &secret).await.status, 200);
        // The operator's own tenant is another.
        assert_eq!(send(client, Method::GET, &path, ADMIN).await.status, 404);
    }

    let revoked = send(&first, Method::DELETE, made.header("location"), ADMIN).await;
    assert_eq!(revoked.status, 204);
    let began = Instant::now();
    for client in [&first, &second] {
        while send(client, Method::GET, &path, &secret).await.status != 401 {
            assert!(began.elapsed() < Duration::from_secs(5), "still good");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
