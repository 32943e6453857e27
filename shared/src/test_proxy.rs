//! A way to a server that can lose connections without either end noticing.

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// Forwards to a server, until it is told to abandon what it has.
pub(crate) struct TestProxy {
    port: u16,
    abandoned: watch::Sender<u64>,
    _accepting: JoinSet<()>,
}

impl TestProxy {
    /// A proxy to the server at `HOST:PORT`, which may stand in a URL of Redis.
    pub(crate) async fn to(server: &str) -> Self {
        let server = server.trim_start_matches("redis://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (abandoned, round) = watch::channel(0);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut forwarding = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                forwarding.spawn(forward(client, server.clone(), round.clone()));
            }
        });
        Self {
            port,
            abandoned,
            _accepting: accepting,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a Redis behind it.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Every connection stays open and carries nothing any more; new ones work.
    pub(crate) fn abandon_connections(&self) {
        self.abandoned.send_modify(|round| *round += 1);
    }
}

async fn forward(mut client: TcpStream, server: String, mut round: watch::Receiver<u64>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    round.mark_unchanged();
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = round.changed() => std::future::pending().await,
    }
}
