use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};

use reqwest::{Client, Response, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::PATIENCE;

/// The program, with nothing of this process's environment that it would listen to.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcp-v8"));
    // What one node keeps is not another test's.
    let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nodes");
    std::fs::create_dir_all(&temporary).expect("a directory for temporary files");
    command.env_clear().env("TMPDIR", temporary);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub async fn run(command: &mut Command) -> Ended {
    let output = timeout(PATIENCE, command.output())
        .await
        .expect("it ends")
        .expect("it starts");
    output.into()
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, if no signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub out: String,
    /// What it complained of.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("it prints text"),
            err: String::from_utf8(output.stderr).expect("it prints text"),
        }
    }
}

/// A node that listens on a free port.
pub struct Node {
    child: Child,
    /// Where each listener is, by its name.
    urls: BTreeMap<String, String>,
    log: JoinHandle<String>,
    client: Client,
    /// Where it keeps things, unless its arguments say otherwise.
    _temporary: TempDir,
}

impl Node {
    /// Starts one with these arguments and `--http-port 0`.
    pub async fn start(arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(["--http-port", "0"]).args(arguments);
        Self::spawn(command, 1).await
    }

    /// Starts this command and waits until so many listeners are open.
    pub async fn spawn(mut command: Command, listeners: usize) -> Self {
        let temporary = tempfile::tempdir().expect("a directory for temporary files");
        command.env("TMPDIR", temporary.path());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = tokio::spawn(async move {
            let mut log = String::new();
            stderr
                .read_to_string(&mut log)
                .await
                .expect("the log is text");
            log
        });
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut urls = BTreeMap::new();
        while urls.len() < listeners {
            let line = timeout(PATIENCE, lines.next_line())
                .await
                .expect("it says where it listens");
            let Some(line) = line.expect("it prints text") else {
                panic!("the node ended: {}", log.await.expect("the log is read"));
            };
            let (name, url) = line.split_once(": listening on ").expect("the line's form");
            urls.insert(name.to_owned(), url.to_owned());
        }
        Self {
            child,
            urls,
            log,
            client: Client::new(),
            _temporary: temporary,
        }
    }

    /// The address of the listener `http`, with a path.
    pub fn url(&self, path: &str) -> String {
        self.url_of("http", path)
    }

    /// The address of a listener, with a path.
    pub fn url_of(&self, listener: &str, path: &str) -> String {
        format!("{}{path}", self.urls[listener])
    }

    /// The node's process.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("it has not been waited for")
    }

    /// Asks for a path.
    pub async fn get(&self, path: &str) -> Response {
        self.client
            .get(self.url(path))
            .send()
            .await
            .expect("the node answers")
    }

    /// Posts code and waits for the reply.
    pub async fn exec(&self, body: Value) -> (StatusCode, Value) {
        let reply = self
            .client
            .post(self.url("/api/exec"))
            .json(&body)
            .send()
            .await;
        let reply = reply.expect("the node answers");
        (
            reply.status(),
            reply.json().await.expect("the reply is JSON"),
        )
    }

    /// What `/health?verbose` tells.
    pub async fn health(&self) -> Value {
        self.get("/health?verbose")
            .await
            .json()
            .await
            .expect("the reply is JSON")
    }

    /// Sends a signal to the node alone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process id");
        kill_process(pid, signal).expect("the node is there");
    }

    /// Waits for its end; gives its code and its log.
    pub async fn ended(mut self) -> (Option<i32>, String) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it ends");
        let log = self.log.await.expect("the log is read");
        (status.expect("it can be waited for").code(), log)
    }
}
