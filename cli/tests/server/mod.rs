//! A server that answers as Coatcheck does, for as much as the load tester sees of it.

use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use serde_json::{Value, json};

/// What the server does beyond accepting every job.
#[derive(Clone)]
pub(crate) struct Behaviour {
    /// It holds up the first submission so long.
    pub(crate) stall: Option<Duration>,
    /// It refuses each such submission.
    pub(crate) refuse_every: Option<u64>,
    /// It closes a connection that is idle so long.
    pub(crate) keep_alive: Duration,
    /// It wants this key.
    pub(crate) key: Option<&'static str>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            stall: None,
            refuse_every: None,
            keep_alive: Duration::from_secs(60),
            key: None,
        }
    }
}

struct Jobs {
    behaviour: Behaviour,
    submitted: AtomicU64,
    /// When each job is finished.
    ends: Mutex<HashMap<u64, Instant>>,
    open: AtomicU64,
    most_open: AtomicU64,
}

/// A running server; it ends when it is dropped.
pub(crate) struct Server {
    address: std::net::SocketAddr,
    jobs: Arc<Jobs>,
    handle: ServerHandle,
}

impl Server {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let keep_alive = behaviour.keep_alive;
        let jobs = Arc::new(Jobs {
            behaviour,
            submitted: AtomicU64::new(0),
            ends: Mutex::new(HashMap::new()),
            open: AtomicU64::new(0),
            most_open: AtomicU64::new(0),
        });
        let data = web::Data::from(Arc::clone(&jobs));
        let (handles, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let app = move || {
                    App::new().app_data(data.clone()).service(
                        web::scope("/v1/jobs")
                            .route("", web::post().to(submit))
                            .route("", web::get().to(list))
                            .route("/{id}", web::get().to(get)),
                    )
                };
                let server = HttpServer::new(app)
                    .workers(1)
                    .disable_signals()
                    .keep_alive(keep_alive)
                    .listen(listener)
                    .unwrap()
                    .run();
                handles.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self {
            address,
            jobs,
            handle: started.recv().unwrap(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn submitted(&self) -> u64 {
        self.jobs.submitted.load(Ordering::SeqCst)
    }

    pub(crate) fn wait_until_followed(&self, count: u64) {
        let begun = Instant::now();
        while self.jobs.open.load(Ordering::SeqCst) < count {
            assert!(begun.elapsed() < Duration::from_secs(20));
            std::thread::yield_now();
        }
    }

    /// The most requests that were under way at once.
    pub(crate) fn most_connections(&self) -> u64 {
        self.jobs.most_open.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
    }
}

async fn submit(jobs: web::Data<Jobs>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let key = jobs.behaviour.key.map(|key| format!("Bearer {key}"));
    let given = request.headers().get("authorization");
    if key.is_some() && key.as_deref() != given.and_then(|value| value.to_str().ok()) {
        return HttpResponse::Unauthorized().json(json!({"title": "No key", "status": 401}));
    }
    let number = jobs.submitted.fetch_add(1, Ordering::SeqCst);
    if let Some(stall) = jobs.behaviour.stall.filter(|_| number == 0) {
        tokio::time::sleep(stall).await;
    }
    let every = jobs.behaviour.refuse_every;
    if every.is_some_and(|every| number.is_multiple_of(every)) {
        return HttpResponse::ServiceUnavailable()
            .json(json!({"title": "Queue full", "detail": "The queue is full."}));
    }
    let submission: Value = serde_json::from_slice(&body).unwrap();
    let ms = submission["payload"]["ms"].as_u64().unwrap();
    let end = Instant::now() + Duration::from_millis(ms);
    jobs.ends.lock().unwrap().insert(number, end);
    HttpResponse::Accepted()
        .insert_header(("location", format!("/v1/jobs/{number}")))
        .json(json!({"id": number.to_string(), "state": "queued"}))
}

async fn get(jobs: web::Data<Jobs>, request: HttpRequest, id: web::Path<u64>) -> HttpResponse {
    let Some(end) = jobs.ends.lock().unwrap().get(&id).copied() else {
        return HttpResponse::NotFound().json(json!({"title": "No such job"}));
    };
    let open = jobs.open.fetch_add(1, Ordering::SeqCst) + 1;
    jobs.most_open.fetch_max(open, Ordering::SeqCst);
    if request.headers().contains_key("prefer") {
        tokio::time::sleep_until(end.into()).await;
    }
    jobs.open.fetch_sub(1, Ordering::SeqCst);
    let state = if end <= Instant::now() {
        "succeeded"
    } else {
        "running"
    };
    HttpResponse::Ok().json(json!({"id": id.to_string(), "state": state}))
}

async fn list(jobs: web::Data<Jobs>) -> HttpResponse {
    let now = Instant::now();
    let ends = jobs.ends.lock().unwrap();
    let items: Vec<_> = ends
        .iter()
        .filter(|(_, end)| **end > now)
        .take(1)
        .map(|(id, _)| id)
        .collect();
    HttpResponse::PartialContent().json(json!({"items": items}))
}
