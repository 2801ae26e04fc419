use std::process::{Command, Stdio};

use mcp_v8::workers::{Options, ProbeKind, ProbeOutcome, SandboxMode, Workers};
use rustix::io::Errno;
use worker_protocol::layer;

use super::server::{TestServer, children};

const FORBIDDEN: [ProbeKind; 11] = [
    ProbeKind::OpenFile,
    ProbeKind::CreateFile,
    ProbeKind::Connect,
    ProbeKind::Fork,
    ProbeKind::Ptrace,
    ProbeKind::ReadNodeProc,
    ProbeKind::SignalNode,
    ProbeKind::Exec,
    ProbeKind::MapShared,
    ProbeKind::MemfdCreate,
    ProbeKind::RaiseLimit,
];
const SIGSYS: i32 = 31;

async fn with_layers(layers: u32) -> Workers {
    let options = Options {
        layers,
        ..Options::new(1, SandboxMode::Auto)
    };
    Workers::start(
        mcp_v8::workers::Engine::embedded().expect("the engine"),
        options,
    )
    .await
    .expect("the worker starts")
}

async fn probe(workers: &Workers, kind: ProbeKind) -> ProbeOutcome {
    workers.probe(kind).await.expect("a process")
}

fn refused(errno: Errno) -> ProbeOutcome {
    ProbeOutcome::Answered(-i64::from(errno.raw_os_error()))
}

/// With all layers each forbidden thing ends the process that tries it.
#[tokio::test(flavor = "multi_thread")]
async fn all_layers_stop_everything() {
    let workers = with_layers(layer::ALL).await;
    for kind in FORBIDDEN {
        assert_eq!(
            probe(&workers, kind).await,
            ProbeOutcome::Killed(SIGSYS),
            "{kind:?}"
        );
    }
    workers.shutdown().await;
}

/// Without layers the same attempts get through: the probes can fail.
#[tokio::test(flavor = "multi_thread")]
async fn without_layers_the_probes_succeed() {
    let workers = with_layers(0).await;
    for kind in [
        ProbeKind::OpenFile,
        ProbeKind::CreateFile,
        ProbeKind::Fork,
        ProbeKind::MapShared,
        ProbeKind::MemfdCreate,
        ProbeKind::SignalNode,
    ] {
        let outcome = probe(&workers, kind).await;
        assert!(
            matches!(outcome, ProbeOutcome::Answered(0..)),
            "{kind:?}: {outcome:?}"
        );
    }
    workers.shutdown().await;
}

/// Landlock alone keeps files and the network away, where this kernel has it.
#[tokio::test(flavor = "multi_thread")]
async fn landlock_alone() {
    let workers = with_layers(layer::LANDLOCK | layer::NO_NEW_PRIVS).await;
    let report = &workers.sandbox_report().layers;
    let landlock = report.iter().find(|layer| layer.name == "landlock");
    if landlock.is_some_and(|layer| layer.active) {
        for kind in [
            ProbeKind::OpenFile,
            ProbeKind::CreateFile,
            ProbeKind::ReadNodeProc,
        ] {
            assert_eq!(
                probe(&workers, kind).await,
                refused(Errno::ACCESS),
                "{kind:?}"
            );
        }
    } else {
        println!("no Landlock here: {landlock:?}");
    }
    workers.shutdown().await;
}

/// The resource limits alone can't be raised again.
#[tokio::test(flavor = "multi_thread")]
async fn resource_limits_alone() {
    let workers = with_layers(layer::RLIMITS).await;
    let outcome = probe(&workers, ProbeKind::RaiseLimit).await;
    assert_eq!(outcome, refused(Errno::PERM));
    workers.shutdown().await;
}

/// Seccomp alone ends the process: no other layer is needed for that.
#[tokio::test(flavor = "multi_thread")]
async fn seccomp_alone() {
    let workers = with_layers(layer::SECCOMP | layer::NO_NEW_PRIVS).await;
    for kind in FORBIDDEN {
        assert_eq!(
            probe(&workers, kind).await,
            ProbeOutcome::Killed(SIGSYS),
            "{kind:?}"
        );
    }
    workers.shutdown().await;
}

/// What the kernel says of forks that wait: the filter is on, and no privilege can be had.
#[tokio::test(flavor = "multi_thread")]
async fn the_kernel_confirms() {
    let server = TestServer::start(&["--runs-ready", "3"]);
    server.settled().await;
    let workers = children(server.pid());
    assert_eq!(workers.len(), 4);
    let zygote = server.zygote_pid().await;
    for worker in workers {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", worker.pid)).expect("there");
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1))
        };
        assert_eq!(field("NoNewPrivs:"), Some("1"), "{status}");
        assert_eq!(field("Seccomp:"), Some("2"), "{status}");
        if worker.pid != zygote {
            assert_eq!(field("CapEff:"), Some("0000000000000000"), "{status}");
        }
    }
    let sandbox = server.get_json("/health?verbose").await["sandbox"].take();
    assert_eq!(sandbox["mode"], "auto");
    let names = sandbox["layers"].as_array().expect("layers").iter();
    let names: Vec<_> = names.filter_map(|layer| layer["name"].as_str()).collect();
    assert!(
        names.contains(&"seccomp") && names.contains(&"landlock"),
        "{names:?}"
    );
}

/// `--sandbox=require` starts where every layer works, and otherwise says which one does not.
#[test]
fn require_starts_or_says_why() {
    let program = env!("CARGO_BIN_EXE_mcp-v8");
    let listed = Command::new(program)
        .args(["sandbox", "--json"])
        .stdin(Stdio::null())
        .output()
        .expect("the program was built");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let missing = listed["layers"].as_array().expect("layers").iter();
    let missing = missing.filter(|layer| layer["active"] == false);
    let missing: Vec<&str> = missing.filter_map(|layer| layer["name"].as_str()).collect();
    let output = Command::new(program)
        .args(["exec", "--sandbox=require", "1 + 2"])
        .stdin(Stdio::null())
        .output()
        .expect("the program was built");
    let error = String::from_utf8_lossy(&output.stderr);
    if missing.is_empty() {
        assert!(output.status.success(), "{error}");
        assert_eq!(output.stdout, b"3\n");
    } else {
        assert!(!output.status.success());
        assert!(
            missing.iter().any(|name| error.contains(name)),
            "{missing:?}: {error}"
        );
    }
    // Nothing in a usual environment is a reason to go without a layer that depends on us alone.
    assert!(!missing.contains(&"clean_start"), "{listed}");
}
