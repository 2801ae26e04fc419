use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use worker_protocol::{
    Handoff, PROTOCOL_VERSION, Role, Start, ToWorker, ZygoteReady, from_worker, to_worker,
};

use super::child::{Child, Forking, ReadError};
use super::engine::Engine;
use super::line::{Line, LineSockets, News};
use super::process::Process;
use super::{Options, SandboxMode, StartError, spawner};

/// How long a zygote may take to start. A loaded machine needs seconds, not more.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The process of the base image, from which all runs are forked.
#[derive(Debug)]
pub struct Zygote {
    line: Line,
    ready: ZygoteReady,
}

impl Zygote {
    /// Starts a zygote and waits until it is locked in and has become the base image.
    pub async fn start(engine: &'static Engine, options: Options) -> Result<Self, StartError> {
        let (forking, worker_channel) = Forking::pair().map_err(StartError::Socket)?;
        let (sockets, [worker_handoff, worker_orders]) =
            LineSockets::pair().map_err(StartError::Socket)?;
        let pid = spawner::spawn(engine, [worker_channel, worker_handoff, worker_orders]).await?;
        let process = Process::open(pid).map_err(StartError::Spawn)?;
        let mut program = forking.started(process);
        let started = async {
            let ready = lock_in(&mut program, options, engine).await?;
            let line = enter(&mut program, &sockets, ready.layers_active, engine).await?;
            Ok((line, ready))
        };
        let started = tokio::time::timeout(START_TIMEOUT, started).await;
        let started = started.unwrap_or(Err(StartError::TimedOut {
            waited: START_TIMEOUT,
        }));
        let process = program.into_process();
        match started {
            Ok((sockets, ready)) => Ok(Self {
                line: Line::new(process, sockets, ready.layers_active)
                    .map_err(StartError::Socket)?,
                ready,
            }),
            Err(error) => {
                process.kill();
                process.ended().await;
                Err(error)
            }
        }
    }

    /// What it said of itself.
    pub fn ready(&self) -> &ZygoteReady {
        &self.ready
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        self.line.process()
    }

    /// The process as one that waits for orders.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Orders a fork for one run.
    pub fn fork(&self) -> io::Result<Forking> {
        self.line.fork_run()
    }

    /// Gives the order alone, for a channel that is handed over already.
    pub fn order(&self) -> io::Result<()> {
        self.line.order()
    }

    /// Waits for the next thing that it says.
    pub async fn news(&self) -> News {
        self.line.news().await
    }

    /// Kills it and reaps it. Children that it forked live on.
    pub async fn end(self) {
        let process = self.line.into_process();
        process.kill();
        process.ended().await;
    }
}

/// Lets the program put its sandbox in place, and nothing else yet.
async fn lock_in(
    program: &mut Child,
    options: Options,
    engine: &Engine,
) -> Result<ZygoteReady, StartError> {
    let start = Start {
        node_pid: std::process::id(),
        layers: match options.sandbox {
            SandboxMode::Off => 0,
            SandboxMode::Require | SandboxMode::Auto => options.layers,
        },
        layers_required: options.sandbox == SandboxMode::Require,
        enter: true,
        constants_used: engine.facts().constants_used.clone(),
        more_v8_flags: String::new(),
    };
    let frame = ToWorker {
        frame: Some(to_worker::Frame::Start(start)),
    };
    program.send(&frame).await.map_err(StartError::Socket)?;
    match receive(program).await? {
        from_worker::Frame::ZygoteReady(ready) if ready.protocol_version > PROTOCOL_VERSION => {
            Err(StartError::Version {
                theirs: ready.protocol_version,
                ours: PROTOCOL_VERSION,
            })
        }
        from_worker::Frame::ZygoteReady(ready) => Ok(ready),
        from_worker::Frame::ZygoteFailed(failed) => Err(StartError::Refused {
            reason: failed.reason,
        }),
        from_worker::Frame::Fatal(fatal) => Err(StartError::Refused {
            reason: fatal.message,
        }),
        _ => Err(StartError::Protocol),
    }
}

/// Makes the program the process of the base image: it takes other descriptors first, as a fork does.
async fn enter(
    program: &mut Child,
    first: &LineSockets,
    layers: u32,
    engine: &Engine,
) -> Result<LineSockets, StartError> {
    let (forking, channel) = Forking::pair().map_err(StartError::Socket)?;
    let (sockets, [handoff, orders]) = LineSockets::pair().map_err(StartError::Socket)?;
    let role = Role::Enter;
    let message = Handoff {
        role,
        node_pid: std::process::id(),
        layers,
    };
    let descriptors = [
        channel.as_fd(),
        handoff.as_fd(),
        orders.as_fd(),
        engine.image(),
    ];
    first
        .hand(message, &descriptors)
        .map_err(StartError::Socket)?;
    drop((channel, handoff, orders));
    program
        .adopt(forking)
        .await
        .map_err(|_| StartError::Ended)?;
    become_image(program, engine.plan()).await?;
    Ok(sockets)
}

/// Sends the steps by which a process becomes an image, and waits until it has followed them.
async fn become_image(child: &mut Child, plan: &[u8]) -> Result<(), StartError> {
    resting(child).await?;
    child.send_bytes(plan).await.map_err(StartError::Socket)?;
    resting(child).await
}

async fn resting(child: &mut Child) -> Result<(), StartError> {
    match receive(child).await? {
        from_worker::Frame::Resting(_) => Ok(()),
        _ => Err(StartError::Protocol),
    }
}

async fn receive(child: &mut Child) -> Result<from_worker::Frame, StartError> {
    match child.receive().await {
        Ok(Some(frame)) => Ok(frame),
        Ok(None) | Err(ReadError::Frame(_)) => Err(StartError::Protocol),
        Err(ReadError::Closed | ReadError::Unread) => Err(StartError::Ended),
    }
}
