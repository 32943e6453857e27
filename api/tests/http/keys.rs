//! The rows about keys: making, showing and revoking them, and what they let their holders do.

use std::time::{Duration, Instant};

use coatcheck_shared::{
    api_key::{IssuedApiKey, NewApiKey, Scope},
    clock::Clock,
    timestamp::Timestamp,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{client::Answer, service::Service};

const ADMIN: &str = "a-key-of-the-operator";
const WITH_KEYS: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-of-the-operator\"";

/// A key that the store holds, whatever the API would say to it.
pub(crate) async fn key(service: &Service, tenant: &str, scopes: &[Scope]) -> IssuedApiKey {
    let new = NewApiKey {
        tenant: tenant.parse().unwrap(),
        scopes: scopes.to_vec(),
        queues: None,
        kinds: None,
        expires_at: None,
    };
    stored(service, new).await
}

/// Stores a key.
pub(crate) async fn stored(service: &Service, new: NewApiKey) -> IssuedApiKey {
    let issued = new.issue(&service.backend.clock).unwrap();
    let store = &service.backend.store;
    store.insert_api_key(&issued.key).await.unwrap();
    issued
}

/// The header line that shows a key.
pub(crate) fn bearer(issued: &IssuedApiKey) -> String {
    line(issued.secret.expose_secret())
}

fn line(secret: &str) -> String {
    format!("authorization: Bearer {secret}\r\n")
}

async fn create(service: &Service, secret: &str, body: &Value) -> Answer {
    let head = format!("content-type: application/json\r\n{}", line(secret));
    let body = body.to_string();
    service.send("POST", "/v1/keys", &head, &body).await
}

async fn submit(service: &Service, head: &str, fields: &str) -> Answer {
    let body = format!("{{\"kind\":\"sleep\",\"payload\":{{\"ms\":1}}{fields}}}");
    service.post_with(head, &body).await
}

#[tokio::test]
async fn a_key_is_made_with_its_secret_shown_once_and_works_at_once() {
    let service = Service::start_with(WITH_KEYS).await;
    let body = json!({"tenant": "acme", "scopes": ["jobs:submit", "jobs:read"]});
    let answer = create(&service, ADMIN, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let made = answer.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("cck_") && secret.len() >= 47, "{secret}");
    assert_eq!(made["tenant"], "acme");
    assert_eq!(made["scopes"], json!(["jobs:submit", "jobs:read"]));
    let path = answer.header("location").unwrap();
    assert_eq!(path, format!("/v1/keys/{}", made["id"].as_str().unwrap()));

    assert_eq!(submit(&service, &line(secret), "").await.status, 202);
    let shown = service.send("GET", path, &line(ADMIN), "").await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("etag"), answer.header("etag"));
    let mut without_secret = made.clone();
    without_secret.as_object_mut().unwrap().remove("secret");
    assert_eq!(shown.json(), without_secret);
    let list = service.send("GET", "/v1/keys", &line(ADMIN), "").await;
    assert_eq!(list.json()["items"], json!([without_secret]));
    assert!(!String::from_utf8(list.body).unwrap().contains(secret));
}

#[tokio::test]
async fn a_wrong_key_is_a_400_that_names_every_field() {
    let service = Service::start_with(WITH_KEYS).await;
    for (body, pointers) in [
        (json!({}), &["/scopes", "/tenant"] as &[_]),
        (
            json!({"tenant": "A b", "scopes": ["jobs:read", "all", 7], "queues": [], "x": 1}),
            &["/queues", "/scopes/1", "/scopes/2", "/tenant", "/x"],
        ),
        (
            json!({"tenant": "a", "scopes": ["admin"], "kinds": ["sleep"]}),
            &["/scopes"],
        ),
        (json!({"tenant": "a", "scopes": []}), &["/scopes"]),
        (
            json!({"tenant": "a", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z"}),
            &["/expires_at"],
        ),
        (
            json!({"tenant": "a", "scopes": ["admin"], "expires_at": "soon"}),
            &["/expires_at"],
        ),
    ] {
        let answer = create(&service, ADMIN, &body).await;
        assert_eq!(
            (answer.status, &*answer.problem()),
            (400, "invalid-request"),
            "{body}"
        );
        assert_eq!(answer.pointers(), *pointers, "{body}");
    }
    assert!(service.backend.store.api_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_revoked_key_is_refused_here_at_once_and_elsewhere_within_five_seconds() {
    let service = Service::start_with(WITH_KEYS).await;
    let here = key(&service, "a", &[Scope::Read]).await;
    let elsewhere = key(&service, "a", &[Scope::Read]).await;
    for issued in [&here, &elsewhere] {
        let answer = service.send("GET", "/v1/jobs", &bearer(issued), "").await;
        assert_eq!(answer.status, 200);
    }
    let path = format!("/v1/keys/{}", here.key.id);
    for expected in [204, 404] {
        let answer = service.send("DELETE", &path, &line(ADMIN), "").await;
        assert_eq!(answer.status, expected);
    }
    let answer = service.send("GET", "/v1/jobs", &bearer(&here), "").await;
    assert_eq!(answer.status, 401);

    // As another process does it: this one is told nothing.
    let store = &service.backend.store;
    assert!(store.delete_api_key(elsewhere.key.id).await.unwrap());
    let revoked = Instant::now();
    while service
        .send("GET", "/v1/jobs", &bearer(&elsewhere), "")
        .await
        .status
        != 401
    {
        assert!(revoked.elapsed() < Duration::from_secs(5), "still good");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_goes_on_ends_with_the_key_that_it_began_with() {
    let service = Service::start_with(WITH_KEYS).await;
    let issued = key(&service, "a", &[Scope::Submit, Scope::Read]).await;
    let head = bearer(&issued);
    let path = submit(&service, &head, "").await.json()["links"]["self"].clone();
    let path = path.as_str().unwrap();
    let mut stream = TcpStream::connect(service.address).await.unwrap();
    let request = format!("GET {path}/events HTTP/1.1\r\nhost: test\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = format!("prefer: wait=30\r\n{head}");
    let waiting = service.send("GET", path, &head, "");
    let revoking = async {
        // Both have begun: the stream has told the first event.
        let mut told = String::new();
        while !told.contains("queued") {
            told.push_str(&some(&mut stream).await);
        }
        let store = &service.backend.store;
        assert!(store.delete_api_key(issued.key.id).await.unwrap());
        let revoked = Instant::now();
        while !told.ends_with("\r\n0\r\n\r\n") {
            told.push_str(&some(&mut stream).await);
        }
        assert!(revoked.elapsed() < Duration::from_secs(5), "still good");
        revoked
    };
    let (answer, revoked) = tokio::join!(waiting, revoking);
    assert_eq!((answer.status, &*answer.problem()), (401, "unauthorized"));
    assert!(revoked.elapsed() < Duration::from_secs(5), "still good");
}

/// What comes next.
async fn some(stream: &mut TcpStream) -> String {
    let mut bytes = [0; 1_024];
    let length = timeout(Duration::from_secs(10), stream.read(&mut bytes));
    let length = length.await.unwrap().unwrap();
    assert!(length > 0, "the connection is closed");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

#[tokio::test]
async fn two_credentials_are_none() {
    let service = Service::start_with(WITH_KEYS).await;
    let issued = key(&service, "a", &[Scope::Read]).await;
    let both = bearer(&issued).repeat(2);
    let answer = service.send("GET", "/v1/jobs", &both, "").await;
    assert_eq!((answer.status, &*answer.problem()), (401, "unauthorized"));
}

#[tokio::test]
async fn a_key_ends_at_its_time_though_it_is_held_in_memory() {
    let service = Service::start_with(WITH_KEYS).await;
    let expires_at: Timestamp = service.backend.clock.now().after(Duration::from_secs(1));
    let body = json!({"tenant": "a", "scopes": ["jobs:read"], "expires_at": expires_at});
    let made = create(&service, ADMIN, &body).await.json();
    let head = line(made["secret"].as_str().unwrap());
    let before = service.send("GET", "/v1/jobs", &head, "").await;
    assert_eq!(before.status, 200, "{before:?}");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let after = service.send("GET", "/v1/jobs", &head, "").await;
    assert_eq!((after.status, &*after.problem()), (401, "unauthorized"));
    let challenge = after.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[tokio::test]
async fn a_limited_key_submits_to_its_queues_and_kinds_alone_and_sees_no_others() {
    let service = Service::start_with(WITH_KEYS).await;
    let limited = NewApiKey {
        tenant: "a".parse().unwrap(),
        scopes: vec![Scope::Submit, Scope::Read, Scope::Cancel],
        queues: Some(vec!["mail".parse().unwrap()]),
        kinds: Some(vec!["sleep".parse().unwrap()]),
        expires_at: None,
    };
    let limited = bearer(&stored(&service, limited).await);
    let all = bearer(&key(&service, "a", &[Scope::Admin]).await);
    let own = submit(&service, &limited, ",\"queue\":\"mail\"").await;
    assert_eq!(own.status, 202, "{own:?}");
    let other = submit(&service, &all, "").await;
    let http = r#"{"kind":"http","payload":{"method":"GET","url":"http://x/"},"queue":"mail"}"#;
    for answer in [
        submit(&service, &limited, "").await,
        service.post_with(&limited, http).await,
    ] {
        assert_eq!(
            (answer.status, &*answer.problem()),
            (403, "insufficient-scope")
        );
    }

    let own = own.header("location").unwrap().to_owned();
    let other = other.header("location").unwrap().to_owned();
    let nothing = "/v1/jobs/00000000-0000-7000-8000-000000000000";
    let head = format!("x-request-id: same\r\n{limited}");
    for (method, suffix) in [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/attempts"),
        ("GET", "/logs"),
        ("POST", "/cancel"),
    ] {
        let path = format!("{other}{suffix}");
        let hidden = service.send(method, &path, &head, "").await;
        let absent = format!("{nothing}{suffix}");
        let absent = service.send(method, &absent, &head, "").await;
        assert_eq!(hidden.problem(), "job-not-found", "{path}");
        assert_eq!(hidden.body, absent.body, "{path}");
        let path = format!("{own}{suffix}");
        let answer = service.send(method, &path, &head, "").await;
        assert!(
            answer.status == 200 || answer.problem() == "result-not-ready",
            "{path}"
        );
    }
    for (method, suffix) in [("GET", "/events"), ("POST", "/retry"), ("DELETE", "")] {
        let path = format!("{other}{suffix}");
        let hidden = service.send(method, &path, &head, "").await;
        assert_eq!(hidden.problem(), "job-not-found", "{method} {path}");
    }
    let path = "/v1/jobs/cancel?kind=sleep&state=queued";
    let bulk = service.send("POST", path, &limited, "").await.json();
    assert_eq!(bulk["count"], 0, "its own is cancelled already: {bulk}");
    let batch = r#"{"jobs":[{"kind":"sleep","payload":{"ms":1}}]}"#;
    let json = format!("content-type: application/json\r\n{limited}");
    let batch = service.send("POST", "/v1/jobs/batch", &json, batch).await;
    assert_eq!(batch.json()["outcomes"][0]["status"], 403, "{batch:?}");
    let untouched = service.send("GET", &other, &all, "").await.json();
    assert_eq!(untouched["state"], "queued");
    for (query, visible) in [("", 1), ("?queue=mail", 1), ("?queue=default", 0)] {
        let path = format!("/v1/jobs{query}");
        let list = service.send("GET", &path, &limited, "").await.json();
        assert_eq!(list["items"].as_array().unwrap().len(), visible, "{query}");
    }
}

#[tokio::test]
async fn an_administrator_manages_the_keys_of_their_own_tenant_the_operator_all() {
    let service = Service::start_with(WITH_KEYS).await;
    let acme = key(&service, "acme", &[Scope::Admin]).await;
    let globex = key(&service, "globex", &[Scope::Admin]).await;
    let operator = key(&service, "default", &[Scope::Admin]).await;
    let secret = acme.secret.expose_secret();
    for (tenant, status) in [("acme", 201), ("globex", 403), ("default", 403)] {
        let body = json!({"tenant": tenant, "scopes": ["jobs:read"]});
        let answer = create(&service, secret, &body).await;
        assert_eq!(answer.status, status, "{tenant}");
    }
    let list = service.send("GET", "/v1/keys", &bearer(&acme), "").await;
    let list = list.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
    let head = format!("x-request-id: same\r\n{}", bearer(&acme));
    for method in ["GET", "DELETE"] {
        let mut bodies = Vec::new();
        for id in [
            globex.key.id.to_string(),
            "00000000-0000-7000-8000-000000000000".to_owned(),
            "1".to_owned(),
            acme.key.id.to_string().to_uppercase(),
        ] {
            let path = format!("/v1/keys/{id}");
            let answer = service.send(method, &path, &head, "").await;
            assert_eq!(answer.problem(), "key-not-found", "{method} {id}");
            bodies.push(answer.body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{method}");
    }
    let list = service
        .send("GET", "/v1/keys", &bearer(&operator), "")
        .await;
    let list = list.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 4, "{list}");
}

#[tokio::test]
async fn a_flood_of_bad_keys_is_a_few_statements_and_stops_no_good_one() {
    let service = Service::start_with(WITH_KEYS).await;
    let good = bearer(&key(&service, "a", &[Scope::Read]).await);
    assert_eq!(service.send("GET", "/v1/jobs", &good, "").await.status, 200);
    let began = Instant::now();
    let bad: Vec<String> = (0..200)
        .map(|number| line(&format!("cck_{:032x}_{:043}", 1, number)))
        .collect();
    let asked = futures::future::join_all(
        bad.iter()
            .map(|head| service.send("GET", "/v1/jobs", head, "")),
    );
    let (bad, good) = tokio::join!(asked, service.send("GET", "/v1/jobs", &good, ""));
    assert!(bad.iter().all(|answer| answer.status == 401));
    assert_eq!(good.status, 200);
    // One reading each would take 20 s, for they keep their distance.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn keys_that_cannot_be_read_again_are_good_for_seconds_and_the_operators_goes_on() {
    let service = Service::start_with(WITH_KEYS).await;
    let head = bearer(&key(&service, "a", &[Scope::Read]).await);
    assert_eq!(
        service.send("GET", "/v1/kinds", &head, "").await.status,
        200
    );
    // The readers find the table gone: what stands in memory is good for seconds.
    let url = format!("sqlite:{}", service.database_file().display());
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&url)
        .await
        .unwrap();
    sqlx::query("ALTER TABLE api_keys RENAME TO gone")
        .execute(&mut connection)
        .await
        .unwrap();
    let away = Instant::now();
    assert_eq!(
        service.send("GET", "/v1/kinds", &head, "").await.status,
        200
    );
    loop {
        let asked = Instant::now();
        let answer = service.send("GET", "/v1/kinds", &head, "").await;
        assert!(asked.elapsed() < Duration::from_secs(2));
        if answer.status != 200 {
            assert!(matches!(answer.status, 500 | 503), "{answer:?}");
            break;
        }
        assert!(away.elapsed() < Duration::from_secs(5), "good for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let operator = service.send("GET", "/v1/kinds", &line(ADMIN), "").await;
    assert_eq!(operator.status, 200);
}
