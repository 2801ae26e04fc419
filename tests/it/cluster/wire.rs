//! The network between the nodes of a fleet: every connection goes through here, and can be cut or slowed
//! down by who makes it and whom it is for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    Open,
    /// Nothing comes through, and nobody is told.
    Cut,
    /// Everything comes late, and now and then much later, as where packets are lost and sent again.
    Lossy,
}

type Links = watch::Sender<HashMap<(usize, usize), Link>>;

struct Shared {
    links: Links,
    /// Where each wire leads.
    targets: Mutex<HashMap<usize, u16>>,
    /// Whose process has which id.
    processes: Mutex<HashMap<usize, u32>>,
}

pub struct Wires {
    shared: Arc<Shared>,
    ports: Vec<u16>,
    _tasks: JoinSet<()>,
}

impl Wires {
    pub async fn new(count: usize) -> Self {
        let shared = Arc::new(Shared {
            links: watch::Sender::new(HashMap::new()),
            targets: Mutex::default(),
            processes: Mutex::default(),
        });
        let (mut ports, mut tasks) = (Vec::new(), JoinSet::new());
        for index in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            ports.push(listener.local_addr().expect("it is bound").port());
            tasks.spawn(accept(listener, index, Arc::clone(&shared)));
        }
        Self {
            shared,
            ports,
            _tasks: tasks,
        }
    }

    pub fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    pub fn lead_to(&self, index: usize, port: u16) {
        self.shared
            .targets
            .lock()
            .expect("no panic")
            .insert(index, port);
    }

    pub fn belongs_to(&self, index: usize, pid: u32) {
        self.shared
            .processes
            .lock()
            .expect("no panic")
            .insert(index, pid);
    }

    /// All links from and to a node.
    pub fn set(&self, node: usize, link: Link) {
        let count = self.ports.len();
        self.shared.links.send_modify(|links| {
            for other in (0..count).filter(|other| *other != node) {
                links.insert((node, other), link);
                links.insert((other, node), link);
            }
        });
    }

    pub fn heal(&self) {
        self.shared.links.send_modify(HashMap::clear);
    }
}

async fn accept(listener: TcpListener, to: usize, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((inbound, from)) = listener.accept().await else {
            return;
        };
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let Some(source) = source(&shared, from) else {
                return;
            };
            let port = shared.targets.lock().expect("no panic").get(&to).copied();
            let Ok(outbound) =
                TcpStream::connect(("127.0.0.1", port.expect("it leads somewhere"))).await
            else {
                return;
            };
            for stream in [&inbound, &outbound] {
                let _ = stream.set_nodelay(true);
            }
            let (from_caller, to_caller) = inbound.into_split();
            let (from_callee, to_callee) = outbound.into_split();
            // Where one direction ends the other is of no use.
            tokio::select! {
                () = pump(from_caller, to_callee, shared.links.subscribe(), (source, to)) => {}
                () = pump(from_callee, to_caller, shared.links.subscribe(), (to, source)) => {}
            }
        });
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut links: watch::Receiver<HashMap<(usize, usize), Link>>,
    way: (usize, usize),
) {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let count = match from.read(&mut bytes).await {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        let link_of = |links: &HashMap<_, _>| links.get(&way).copied().unwrap_or(Link::Open);
        if links
            .wait_for(|links| link_of(links) != Link::Cut)
            .await
            .is_err()
        {
            return;
        }
        if link_of(&links.borrow_and_update()) == Link::Lossy {
            // Until then, or until the link is another one.
            let draw = getrandom::u32().unwrap_or_default();
            let late = if draw.is_multiple_of(50) {
                400
            } else {
                u64::from(draw % 30)
            };
            let _ = tokio::time::timeout(
                Duration::from_millis(late),
                links.wait_for(|links| link_of(links) != Link::Lossy),
            )
            .await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Which node's process has the other end of a connection.
fn source(shared: &Shared, from: SocketAddr) -> Option<usize> {
    let inode = inode_of(from.port())?;
    let wanted = format!("socket:[{inode}]");
    let processes = shared.processes.lock().expect("no panic").clone();
    processes.into_iter().find_map(|(index, pid)| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        let has = descriptors.flatten().any(|descriptor| {
            std::fs::read_link(descriptor.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str())
        });
        has.then_some(index)
    })
}

fn inode_of(port: u16) -> Option<u64> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let local = format!("0100007F:{port:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        (fields.get(1) == Some(&local.as_str())).then(|| fields.get(9)?.parse().ok())?
    })
}
