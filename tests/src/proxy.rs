//! A wire between a process and its database that a test can cut.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

/// What happens on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Everything goes through.
    Open,
    /// Nothing goes through and nobody is told: as when the network between two machines is gone.
    Silent,
    /// Connections end, and new ones are refused: as when the server is gone.
    Refused,
}

/// A TCP proxy in front of PostgreSQL.
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    most: Arc<AtomicUsize>,
}

impl Proxy {
    /// In front of the server in this URL.
    pub async fn start(url: &str) -> Self {
        let url = Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host").to_owned();
        let port = url.port().expect("a port");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (wire, watched) = watch::channel(Wire::Open);
        let most = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let highest = Arc::clone(&most);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (host, watched) = (host.clone(), watched.clone());
                let (open, highest) = (Arc::clone(&open), Arc::clone(&highest));
                tokio::spawn(async move {
                    highest.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    carry(client, &host, port, watched).await;
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            address,
            wire,
            most,
        }
    }

    /// The URL of the same database behind this proxy.
    pub fn url_of(&self, url: &str) -> String {
        let mut url = Url::parse(url).expect("a URL");
        url.set_host(Some(&self.address.ip().to_string()))
            .expect("a host");
        url.set_port(Some(self.address.port())).expect("a port");
        url.to_string()
    }

    /// Changes what happens on the wire, for the connections that are there too.
    pub fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }

    /// The most connections that were open at once.
    pub fn most_connections(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Carries one connection until one side ends it, or the wire refuses.
async fn carry(client: TcpStream, host: &str, port: u16, mut wire: watch::Receiver<Wire>) {
    let carried = async {
        while *wire.borrow_and_update() == Wire::Silent {
            wire.changed().await.ok()?;
        }
        if *wire.borrow() == Wire::Refused {
            return None;
        }
        let server = TcpStream::connect((host, port)).await.ok()?;
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        tokio::select! {
            () = pump(client_reads, server_writes, wire.clone()) => {}
            () = pump(server_reads, client_writes, wire.clone()) => {}
            _ = wire.wait_for(|wire| *wire == Wire::Refused) => {}
        }
        Some(())
    };
    let _ended = carried.await;
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut wire: watch::Receiver<Wire>,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return;
        };
        if wire.wait_for(|wire| *wire != Wire::Silent).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
