use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder, Response};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

const ANNOUNCED: &str = "http: listening on ";

/// A server that lives as long as this value.
pub struct TestServer {
    child: Child,
    /// Kept open: a server that can't print would end.
    _stdout: BufReader<ChildStdout>,
    pub url: String,
    pub client: Client,
    _temporary: TempDir,
}

impl TestServer {
    /// Starts one on a free port and waits until it listens.
    pub fn start(flags: &[&str]) -> Self {
        let temporary = tempfile::tempdir().expect("a directory for temporary files");
        let mut child = Command::new(env!("CARGO_BIN_EXE_mcp-v8"))
            .args(["--http-port", "0"])
            .args(flags)
            .env("RUST_LOG", "error")
            // What one server keeps is not another's.
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program was built");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        let url = loop {
            line.clear();
            if stdout.read_line(&mut line).expect("readable") == 0 {
                panic!("the server ended early: {:?}", child.wait());
            }
            if let Some(url) = line.trim().strip_prefix(ANNOUNCED) {
                break url.to_owned();
            }
        };
        let client = Client::builder().no_proxy().build().expect("a client");
        Self {
            child,
            _stdout: stdout,
            url,
            client,
            _temporary: temporary,
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("process ids are small")
    }

    pub fn signal(&self, to: Signal) {
        signal(self.pid(), to);
    }

    /// Waits for the server's own end.
    pub async fn ended(&mut self, deadline: Duration) -> ExitStatus {
        let mut status = None;
        wait_until("the server to end", deadline, async || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        })
        .await;
        status.expect("just seen")
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    pub async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).send().await.expect("an answer");
        response.json().await.expect("JSON")
    }

    pub async fn post_exec(&self, body: &Value) -> Response {
        let request = self.post("/api/exec").json(body);
        request.send().await.expect("an answer")
    }

    /// An execution that was accepted, as it ended.
    pub async fn exec(&self, body: Value) -> Value {
        let response = self.post_exec(&body).await;
        let status = response.status();
        let text = response.text().await.expect("a whole answer");
        assert_eq!(status, 200, "{body}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    pub async fn run(&self, code: &str) -> Value {
        self.exec(json!({ "code": code })).await
    }

    /// The HTTP status and the problem document of a request that was refused.
    pub async fn refused(&self, body: Value) -> (u16, Value) {
        problem(self.post_exec(&body).await).await
    }

    /// Starts an execution without waiting for it.
    pub async fn submit(&self, body: Value) -> String {
        let request = self.post("/api/exec").header("prefer", "respond-async");
        let response = request.json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), 202);
        let body: Value = response.json().await.expect("JSON");
        body["execution_id"].as_str().expect("an id").to_owned()
    }

    /// Starts a run that prints and loops, and waits until it printed.
    pub async fn submit_loop(&self) -> String {
        let id = self
            .submit(json!({"code": "console.log('on'); for (;;);"}))
            .await;
        self.printed(&id).await;
        id
    }

    pub async fn printed(&self, id: &str) {
        let path = format!("/api/executions/{id}/output");
        wait_until("a line of the run", Duration::from_secs(20), async || {
            self.get_json(&path).await["total_lines"] != 0
        })
        .await;
    }

    pub async fn wait(&self, id: &str) -> Value {
        self.get_json(&format!("/api/executions/{id}?wait=30"))
            .await
    }

    pub async fn figures(&self) -> Value {
        self.get_json("/health?verbose").await["executions"].take()
    }

    pub async fn zygote_pid(&self) -> i32 {
        let mut pid = None;
        wait_until("a zygote", Duration::from_secs(30), async || {
            pid = self.figures().await["zygote_pid"].as_i64();
            pid.is_some()
        })
        .await;
        i32::try_from(pid.expect("just seen")).expect("process ids are small")
    }

    /// Waits until nothing runs and the forks ahead are there; gives processes and descriptors.
    pub async fn settled(&self) -> (usize, usize) {
        let mut seen = (0, 0);
        let mut same = 0;
        wait_until("the node to settle", Duration::from_secs(60), async || {
            let figures = self.figures().await;
            let limits = &self.get_json("/health?verbose").await["limits"];
            let idle = figures["running"] == 0 && figures["queued"] == 0;
            let now = (children(self.pid()).len(), descriptors(self.pid()));
            let full = figures["workers_ready"] == limits["runs_ready"]
                && Some(now.0 as u64) == limits["runs_ready"].as_u64().map(|ready| ready + 1);
            same = if idle && full && now == seen {
                same + 1
            } else {
                0
            };
            seen = now;
            same >= 5
        })
        .await;
        seen
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub async fn problem(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").cloned();
    let text = response.text().await.expect("a whole answer");
    let content_type = content_type.unwrap_or_else(|| panic!("{status} {text}: no type"));
    assert_eq!(content_type, "application/problem+json", "{text}");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(body["status"], status);
    for field in ["type", "title", "detail", "code"] {
        assert!(body[field].is_string(), "{field} is missing: {body}");
    }
    (status, body)
}

/// Looks at a condition every few milliseconds until it holds.
pub async fn wait_until(what: &str, deadline: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    loop {
        tick.tick().await;
        if condition().await {
            return;
        }
        assert!(start.elapsed() < deadline, "waited in vain for {what}");
    }
}

pub fn signal(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// A process as `/proc/PID/stat` has it.
#[derive(Clone, Debug)]
pub struct Process {
    pub pid: i32,
    pub state: char,
    pub parent: i32,
    pub group: i32,
    pub user_ticks: u64,
    pub start_ticks: u64,
}

pub fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are those after the last one.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Process {
        pid,
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        user_ticks: fields.get(11)?.parse().ok()?,
        start_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// All children of a process, zombies too.
pub fn children(parent: i32) -> Vec<Process> {
    std::fs::read_dir("/proc")
        .expect("/proc is there")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(process)
        .filter(|process| process.parent == parent)
        .collect()
}

pub fn descriptors(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}
