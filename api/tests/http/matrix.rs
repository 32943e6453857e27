//! Every route against every credential. A route without a row fails.

use std::time::Duration;

use coatcheck_api::{Endpoint, endpoints};
use coatcheck_shared::{
    api_key::{NewApiKey, Scope},
    clock::Clock,
};

use crate::{
    keys::{bearer, key, stored},
    service::Service,
};

const WITH_KEYS: &str = "auth.mode = \"keys\"\nauth.admin_key = \"a-key-of-the-operator\"";
const SUBMISSION: &str = r#"{"kind":"sleep","payload":{"ms":1}}"#;
const BATCH: &str = r#"{"jobs":[{"kind":"sleep","payload":{"ms":1}}]}"#;
const NEW_KEY: &str = r#"{"tenant":"a","scopes":["jobs:read"]}"#;

/// What a route answers to a caller with the right key, and to one of another tenant whose key is
/// otherwise as good.
struct Row {
    method: &'static str,
    path: &'static str,
    body: &'static str,
    right: u16,
    other_tenant: u16,
}

const fn row(
    method: &'static str,
    path: &'static str,
    body: &'static str,
    right: u16,
    other_tenant: u16,
) -> Row {
    Row {
        method,
        path,
        body,
        right,
        other_tenant,
    }
}

/// In the order of the table. Of the paths, `{id}` is a queued job's or a key's, of the tenant `a`.
/// What removes something comes last.
const ROWS: &[Row] = &[
    row("GET", "/v1/jobs", "", 200, 200),
    row("POST", "/v1/jobs", SUBMISSION, 202, 202),
    row("GET", "/v1/jobs/{id}", "", 200, 404),
    row("GET", "/v1/jobs/{id}/result", "", 404, 404),
    row("GET", "/v1/jobs/{id}/attempts", "", 200, 404),
    row("GET", "/v1/jobs/{id}/logs", "", 200, 404),
    row("GET", "/v1/jobs/{id}/events", "", 200, 404),
    row("GET", "/v1/kinds", "", 200, 200),
    row("GET", "/v1/queues", "", 200, 200),
    row("GET", "/v1/queues/{queue}", "", 200, 200),
    row("GET", "/v1/keys", "", 200, 200),
    row("POST", "/v1/keys", NEW_KEY, 201, 403),
    row("GET", "/v1/keys/{id}", "", 200, 404),
    row("GET", "/livez", "", 200, 200),
    row("GET", "/readyz", "", 200, 200),
    row("GET", "/metrics", "", 403, 403),
    row("GET", "/problems/{name}", "", 200, 200),
    row("GET", "/openapi.json", "", 200, 200),
    row("GET", "/docs", "", 200, 200),
    row("GET", "/docs/{file}", "", 200, 200),
    row("POST", "/v1/jobs/batch", BATCH, 202, 202),
    row("POST", "/v1/jobs/cancel?queue=none", "", 200, 200),
    row("POST", "/v1/jobs/retry?queue=none", "", 200, 200),
    row("DELETE", "/v1/jobs?queue=none", "", 200, 200),
    row("POST", "/v1/jobs/{id}/cancel", "", 200, 404),
    row("POST", "/v1/jobs/{id}/retry", "", 202, 404),
    row("DELETE", "/v1/jobs/{id}", "", 409, 404),
    row("DELETE", "/v1/keys/{id}", "", 204, 404),
];

impl Row {
    /// Its path may have a query behind it, which the table's has not.
    fn is_of(&self, endpoint: &Endpoint) -> bool {
        self.method == endpoint.method && self.path.split('?').next() == Some(endpoint.path)
    }

    /// Its answer ends with the job.
    fn is_endless(&self) -> bool {
        self.path.ends_with("/events")
    }
}

fn row_of(endpoint: &Endpoint) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.is_of(endpoint))
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let endpoints = endpoints();
    for endpoint in &endpoints {
        assert!(row_of(endpoint).is_some(), "no row for {endpoint:?}");
    }
    for row in ROWS {
        let has_route = endpoints.iter().any(|endpoint| row.is_of(endpoint));
        assert!(has_route, "no route for {} {}", row.method, row.path);
    }
    assert_eq!(endpoints.len(), ROWS.len());
}

/// The server, with a job and a key of the tenant `a`.
struct Stage {
    service: Service,
    job: String,
    key: String,
}

impl Stage {
    async fn set() -> Self {
        let service = Service::start_with(WITH_KEYS).await;
        let submitter = bearer(&key(&service, "a", &[Scope::Submit]).await);
        let answer = service.post_with(&submitter, SUBMISSION).await;
        let job = answer.json()["id"].as_str().unwrap().to_owned();
        let key = key(&service, "a", &[Scope::Read]).await.key.id.to_string();
        Self { service, job, key }
    }

    fn target(&self, row: &Row) -> String {
        let id = if row.path.starts_with("/v1/keys") {
            &self.key
        } else {
            &self.job
        };
        row.path
            .replace("{id}", id)
            .replace("{name}", "unauthorized")
            .replace("{queue}", "default")
            .replace("{file}", "page.js")
    }

    async fn ask(&self, row: &Row, target: &str, head: &str) -> crate::client::Answer {
        let head = format!("content-type: application/json\r\nx-request-id: same\r\n{head}");
        self.service.send(row.method, target, &head, row.body).await
    }
}

#[tokio::test]
async fn none_bad_and_expired_are_401_wherever_a_scope_is_needed() {
    let stage = Stage::set().await;
    let expired = NewApiKey {
        tenant: "a".parse().unwrap(),
        scopes: Scope::ALL.to_vec(),
        queues: None,
        kinds: None,
        expires_at: Some(
            stage
                .service
                .backend
                .clock
                .now()
                .before(Duration::from_secs(1)),
        ),
    };
    let expired = bearer(&stored(&stage.service, expired).await);
    let unknown = format!("authorization: Bearer cck_{:032x}_{:043}\r\n", 1, 1);
    let bare = "Bearer realm=\"coatcheck\"";
    let invalid = "Bearer realm=\"coatcheck\", error=\"invalid_token\"";
    for endpoint in endpoints().iter().filter(|each| each.scope.is_some()) {
        let row = row_of(endpoint).unwrap();
        let target = stage.target(row);
        let mut bodies = Vec::new();
        for (head, challenge) in [
            ("", bare),
            ("authorization: Bearer something\r\n", invalid),
            (&unknown, invalid),
            (&expired, invalid),
        ] {
            let answer = stage.ask(row, &target, head).await;
            assert_eq!(answer.status, 401, "{endpoint:?} {head}");
            assert_eq!(answer.problem(), "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some(challenge));
            bodies.push(answer.body);
        }
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[tokio::test]
async fn every_other_scope_is_403_whether_the_id_exists_or_not() {
    let stage = Stage::set().await;
    for endpoint in endpoints() {
        let Some(needed) = endpoint.scope else {
            continue;
        };
        let row = row_of(&endpoint).unwrap();
        let others: Vec<Scope> = Scope::ALL
            .into_iter()
            .filter(|scope| ![needed, Scope::Admin].contains(scope))
            .collect();
        let head = bearer(&key(&stage.service, "a", &others).await);
        let target = stage.target(row);
        let absent = row.path.replace("{id}", "1");
        let [known, unknown] = [
            stage.ask(row, &target, &head).await,
            stage.ask(row, &absent, &head).await,
        ];
        assert_eq!(known.status, 403, "{endpoint:?}");
        assert_eq!(known.problem(), "insufficient-scope");
        assert_eq!(known.body, unknown.body, "{endpoint:?}");
        let challenge = format!(
            "Bearer realm=\"coatcheck\", error=\"insufficient_scope\", scope=\"{}\"",
            needed.as_str()
        );
        assert_eq!(known.header("www-authenticate"), Some(&*challenge));
    }
}

#[tokio::test]
async fn the_right_scope_suffices_and_another_tenant_finds_nothing() {
    let stage = Stage::set().await;
    for row in ROWS {
        let endpoint = endpoints()
            .into_iter()
            .find(|endpoint| row.is_of(endpoint))
            .unwrap();
        let (own, other) = match endpoint.scope {
            None => (String::new(), String::new()),
            Some(scope) => (
                bearer(&key(&stage.service, "a", &[scope]).await),
                bearer(&key(&stage.service, "b", &[scope]).await),
            ),
        };
        let target = stage.target(row);
        let others = stage.ask(row, &target, &other).await;
        assert_eq!(others.status, row.other_tenant, "{endpoint:?}");
        if row.other_tenant == 404 {
            let absent = row
                .path
                .replace("{id}", "00000000-0000-7000-8000-000000000000");
            let absent = stage.ask(row, &absent, &other).await;
            assert_eq!(others.body, absent.body, "{endpoint:?}");
        }
        let body = String::from_utf8(others.body).unwrap();
        if endpoint.method == "GET" && !row.path.contains('{') {
            assert!(!body.contains(&stage.job), "{endpoint:?}");
            assert!(!body.contains(&stage.key), "{endpoint:?}");
        }
        if endpoint.method == "GET" {
            let head = stage.service.send("HEAD", &target, &own, "").await;
            assert_eq!(head.status, row.right, "HEAD {endpoint:?}");
        }
        if row.is_endless() {
            // Its head has been seen.
            continue;
        }
        let answer = stage.ask(row, &target, &own).await;
        assert_eq!(answer.status, row.right, "{endpoint:?}");
    }
}
