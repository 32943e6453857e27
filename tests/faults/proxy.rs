//! A stretch of network that can be cut: between one process and one server.

use std::{net::SocketAddr, time::Duration};

use coatcheck_tests::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// How much is passed on at a time.
const PIECE: usize = 16 * 1024;

/// For how long a forgotten connection stays open, both sides hearing nothing: for longer than a
/// round may take to recover.
const FORGOTTEN_FOR: Duration = Duration::from_secs(60);

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It arrives.
    Open,
    /// Connections break, and new ones break at once.
    Cut,
    /// Nothing arrives either way, and nobody is told: half-open. What is sent meanwhile arrives
    /// once the line is open again, late, as TCP does it.
    Silent,
    /// Nothing passes over the connections that there are, ever again, and nobody is told: what a
    /// firewall does that has forgotten them. New ones pass.
    Forgotten,
    /// What the process sends does not arrive.
    RequestsLost,
    /// What the server answers does not arrive: the lost reply to a COMMIT.
    AnswersLost,
    /// Each piece arrives later by this much.
    Slow(Duration),
}

/// The stretch. Gone when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Begins to pass on what comes, to `server`.
    pub(crate) async fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (line, state) = watch::channel(Line::Open);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // It ends with its connection, or with the proxy's sender.
                tokio::spawn(pass(client, server, state.clone()));
            }
        });
        Ok(Self {
            address,
            line,
            accepting,
        })
    }

    /// Where the process finds it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what becomes of what is sent.
    pub(crate) fn set(&self, line: Line) {
        self.line.send_replace(line);
    }

    /// Ends the connections that there are; new ones pass.
    pub(crate) async fn reset(&self) {
        self.set(Line::Cut);
        sleep(Duration::from_millis(5)).await;
        self.set(Line::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(client: TcpStream, server: SocketAddr, mut line: watch::Receiver<Line>) {
    let born_into = *line.borrow_and_update();
    let mut until_cut = line.clone();
    let mut until_forgotten = line.clone();
    let connection = async {
        let mut connecting = line.clone();
        connecting
            .wait_for(|line| !matches!(line, Line::Silent | Line::RequestsLost))
            .await
            .ok();
        let Ok(server) = TcpStream::connect(server).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let requests = copy(from_client, to_server, line.clone(), |line| {
            matches!(line, Line::Silent | Line::RequestsLost)
        });
        let answers = copy(from_server, to_client, line.clone(), |line| {
            matches!(line, Line::Silent | Line::AnswersLost)
        });
        tokio::join!(requests, answers);
    };
    // Where it is forgotten, its sockets live on in here, unread.
    let mut connection = std::pin::pin!(connection);
    let forgotten = async {
        if born_into == Line::Forgotten {
            std::future::pending::<()>().await;
        }
        until_forgotten
            .wait_for(|line| *line == Line::Forgotten)
            .await
            .ok();
    };
    let is_forgotten = tokio::select! {
        () = &mut connection => false,
        _ = until_cut.wait_for(|line| *line == Line::Cut) => false,
        () = forgotten => true,
    };
    if is_forgotten {
        sleep(FORGOTTEN_FOR).await;
    }
}

/// One direction of a connection.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
    is_held: impl Fn(&Line) -> bool,
) {
    let mut piece = vec![0; PIECE];
    loop {
        let length = match from.read(&mut piece).await {
            Ok(length) if length > 0 => length,
            _ => break,
        };
        if line.wait_for(|line| !is_held(line)).await.is_err() {
            break;
        }
        let state = *line.borrow();
        if let Line::Slow(delay) = state {
            sleep(delay).await;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            break;
        }
    }
    // The other side is told that no more comes.
    drop(to.shutdown().await);
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const A_WHILE: Duration = Duration::from_millis(100);

    /// A server that sends everything back.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await.ok();
                });
            }
        });
        address
    }

    async fn answer(stream: &mut TcpStream) -> std::io::Result<u8> {
        stream.read_u8().await
    }

    #[tokio::test]
    async fn what_is_held_arrives_late_and_what_is_cut_breaks() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_u8(1).await.unwrap();
        assert_eq!(
            timeout(SOON, answer(&mut stream)).await.unwrap().unwrap(),
            1
        );

        for held in [Line::Silent, Line::RequestsLost, Line::AnswersLost] {
            proxy.set(held);
            stream.write_u8(2).await.unwrap();
            assert!(
                timeout(A_WHILE, answer(&mut stream)).await.is_err(),
                "{held:?}"
            );
            proxy.set(Line::Open);
            assert_eq!(
                timeout(SOON, answer(&mut stream)).await.unwrap().unwrap(),
                2
            );
        }

        proxy.set(Line::Cut);
        assert!(timeout(SOON, answer(&mut stream)).await.unwrap().is_err());
        proxy.set(Line::Open);
        let mut forgotten = TcpStream::connect(proxy.address()).await.unwrap();
        forgotten.write_u8(3).await.unwrap();
        assert_eq!(
            timeout(SOON, answer(&mut forgotten))
                .await
                .unwrap()
                .unwrap(),
            3
        );
        proxy.set(Line::Forgotten);
        sleep(A_WHILE).await;
        forgotten.write_u8(3).await.unwrap();
        assert!(timeout(A_WHILE, answer(&mut forgotten)).await.is_err());
        proxy.set(Line::Open);
        assert!(timeout(A_WHILE, answer(&mut forgotten)).await.is_err());
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_u8(3).await.unwrap();
        assert_eq!(
            timeout(SOON, answer(&mut stream)).await.unwrap().unwrap(),
            3
        );
    }
}
