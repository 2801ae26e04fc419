//! Nodes of one cluster, as processes of the real program.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::wire::Wires;
use crate::server::wait_until;
use crate::support::{Ended, program, run};

/// The longest that anything takes that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A port that was free a moment ago, below those that the kernel gives to outgoing connections.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests run in parallel, and several test programs may.
    let start = 12_000 + (std::process::id() % 150) as u16 * 100;
    loop {
        let port = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000 + 12_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// One node, which may be down.
pub struct Member {
    pub name: String,
    pub directory: PathBuf,
    pub http: u16,
    /// Where it listens for other nodes.
    pub cluster: u16,
    /// Where others are told that it listens: there, or a wire that leads there.
    pub advertised: u16,
    pub flags: Vec<String>,
    /// What it has in its environment besides.
    pub environment: Vec<(&'static str, String)>,
    child: Option<Child>,
}

impl Member {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.http)
    }

    pub fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.cluster)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it is there");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.with_extension("log")).unwrap_or_default()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub struct Fleet {
    /// What all of its nodes have in their environment, and nothing else.
    pub environment: Vec<(&'static str, String)>,
    pub members: Vec<Member>,
    pub client: Client,
    pub wires: Option<Wires>,
    root: tempfile::TempDir,
}

impl Fleet {
    pub fn new() -> Self {
        Self::with_root(tempfile::tempdir().expect("a directory for temporary files"))
    }

    /// One whose directories are below this one.
    pub fn below(directory: &Path) -> Self {
        let root = tempfile::tempdir_in(directory);
        Self::with_root(root.expect("a directory for temporary files"))
    }

    fn with_root(root: tempfile::TempDir) -> Self {
        Self {
            members: Vec::new(),
            client: Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(20))
                .build()
                .expect("a client"),
            environment: Vec::new(),
            wires: None,
            root,
        }
    }

    /// Three nodes that would form a cluster, none of them started.
    pub fn of_three_planned() -> Self {
        let mut fleet = Self::new();
        fleet.plan(3, &[]);
        fleet
    }

    /// Three nodes that have formed a cluster.
    pub async fn of_three() -> Self {
        let mut fleet = Self::of_three_planned();
        fleet.start_all().await;
        fleet
    }

    /// Three nodes whose connections to each other go through wires that can be cut.
    pub async fn of_three_wired() -> Self {
        let mut fleet = Self::of_three_wired_planned().await;
        fleet.start_all().await;
        fleet
    }

    /// The same, none of them started.
    pub async fn of_three_wired_planned() -> Self {
        let mut fleet = Self::new();
        let wires = Wires::new(3).await;
        fleet.plan(3, &wires.ports());
        for (index, member) in fleet.members.iter().enumerate() {
            wires.lead_to(index, member.cluster);
        }
        fleet.wires = Some(wires);
        fleet
    }

    fn plan(&mut self, count: usize, advertised: &[u16]) {
        for index in 0..count {
            let name = format!("n{}", index + 1);
            let at = self.add(&name, &[]);
            if let Some(port) = advertised.get(index) {
                self.members[at].advertised = *port;
            }
        }
        let peers: Vec<_> = self
            .members
            .iter()
            .map(|member| format!("{}=127.0.0.1:{}", member.name, member.advertised))
            .collect();
        for member in &mut self.members {
            member.flags = vec!["--peers".to_owned(), peers.join(",")];
        }
    }

    /// A node with these flags, which is not started yet. Gives its index.
    pub fn add(&mut self, name: &str, flags: &[&str]) -> usize {
        let cluster = free_port();
        self.members.push(Member {
            name: name.to_owned(),
            directory: self
                .root
                .path()
                .join(format!("{name}-{}", self.members.len())),
            http: free_port(),
            cluster,
            advertised: cluster,
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            environment: Vec::new(),
            child: None,
        });
        self.members.len() - 1
    }

    fn command(&self, index: usize) -> Command {
        let member = &self.members[index];
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-v8"));
        command
            .env_clear()
            .envs(self.environment.clone())
            .envs(member.environment.clone())
            .args(["--http-port", &member.http.to_string(), "--runs-ready", "1"])
            .args(["--runs-max", "8", "--node-id", &member.name])
            .args(["--cluster-addr", &member.endpoint()])
            .args([
                "--advertise-addr",
                &format!("127.0.0.1:{}", member.advertised),
            ])
            .arg("--directory-path")
            .arg(&member.directory)
            .args(&member.flags)
            .stdin(Stdio::null());
        command
    }

    /// Starts the process and does not wait.
    pub fn launch(&mut self, index: usize) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.members[index].directory.with_extension("log"))
            .expect("a log can be written");
        let mut command = self.command(index);
        command
            .stdout(log.try_clone().expect("it is a file"))
            .stderr(log);
        let child = command.spawn().expect("the program starts");
        if let Some(wires) = &self.wires {
            wires.belongs_to(index, child.id());
        }
        self.members[index].child = Some(child);
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&mut self, index: usize) {
        self.launch(index);
        self.ready(index).await;
    }

    pub async fn start_all(&mut self) {
        for index in 0..self.members.len() {
            self.launch(index);
        }
        for index in 0..self.members.len() {
            self.ready(index).await;
        }
    }

    pub async fn ready(&self, index: usize) {
        let member = &self.members[index];
        let what = format!("{} to be ready", member.name);
        wait_until(&what, PATIENCE, async || self.is_ready(index).await).await;
    }

    pub async fn is_ready(&self, index: usize) -> bool {
        let asked = self
            .client
            .get(self.members[index].url("/readyz"))
            .send()
            .await;
        asked.is_ok_and(|reply| reply.status() == StatusCode::OK)
    }

    /// Ends it as power does.
    pub fn kill(&mut self, index: usize) {
        let mut child = self.members[index].child.take().expect("it runs");
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
    }

    /// Ends it as an operator does.
    pub async fn stop(&mut self, index: usize) -> ExitStatus {
        self.members[index].signal(Signal::TERM);
        self.ended(index).await
    }

    /// Waits for its own end.
    pub async fn ended(&mut self, index: usize) -> ExitStatus {
        let mut child = self.members[index].child.take().expect("it runs");
        let mut status = None;
        wait_until("a node to end", PATIENCE, async || {
            status = child.try_wait().expect("it is our child");
            status.is_some()
        })
        .await;
        status.expect("just seen")
    }

    /// The index of the node that a majority follows.
    pub async fn leader(&self) -> usize {
        let mut found = None;
        wait_until("a leader", PATIENCE, async || {
            let status = self.status().await;
            let name = status["leader"]["name"].as_str().map(str::to_owned);
            found = name.and_then(|name| self.members.iter().position(|it| it.name == name));
            found.is_some_and(|index| self.members[index].child.is_some())
        })
        .await;
        found.expect("just seen")
    }

    /// Another one than the leader.
    pub async fn follower(&self) -> usize {
        (self.leader().await + 1) % self.members.len()
    }

    /// What `mcp-v8 admin status` tells.
    pub async fn status(&self) -> Value {
        let ended = self.admin(&["-o", "json", "status"]).await;
        serde_json::from_str(&ended.out).unwrap_or(Value::Null)
    }

    /// The operators' command, by way of all nodes that run.
    pub async fn admin(&self, arguments: &[&str]) -> Ended {
        let endpoints: Vec<_> = self
            .members
            .iter()
            .filter(|member| member.child.is_some())
            .map(Member::endpoint)
            .collect();
        let mut command = program();
        command.args([
            "admin",
            "--timeout-secs",
            "20",
            "--endpoints",
            &endpoints.join(","),
        ]);
        run(command.args(arguments)).await
    }

    /// The same, which has to go well.
    pub async fn administer(&self, arguments: &[&str]) -> String {
        let ended = self.admin(arguments).await;
        assert_eq!(
            ended.code,
            Some(0),
            "{arguments:?}: {} {}",
            ended.out,
            ended.err
        );
        ended.out
    }

    pub async fn put(&self, index: usize, name: &str, value: Value) -> Response {
        let url = self.members[index].url(&format!("/api/tags/{name}"));
        let request = self.client.put(url).json(&json!({ "value": value }));
        request.send().await.expect("the node answers")
    }

    pub async fn get(&self, index: usize, path: &str) -> (StatusCode, Value) {
        let reply = self.client.get(self.members[index].url(path)).send().await;
        let reply = reply.expect("the node answers");
        (reply.status(), reply.json().await.expect("JSON"))
    }

    /// All nodes have one state, as they count it and as it is on their disks. One that was thought dead has
    /// to be known to live first.
    pub async fn same_state(&self) {
        let mut hashes = Value::Null;
        wait_until("a hash of each node", PATIENCE, async || {
            let told = self.admin(&["-o", "json", "hash"]).await;
            hashes = serde_json::from_str(&told.out).unwrap_or_default();
            let nodes = hashes["nodes"].as_array().cloned().unwrap_or_default();
            nodes.len() >= self.members.len() && nodes.iter().all(|node| node["hash"].is_string())
        })
        .await;
        let nodes = hashes["nodes"].as_array().expect("a list");
        for node in nodes {
            assert_eq!(node["hash"], nodes[0]["hash"], "{hashes}");
            assert_eq!(node["index"], nodes[0]["index"], "{hashes}");
        }
        self.administer(&["hash", "--scan"]).await;
    }
}
