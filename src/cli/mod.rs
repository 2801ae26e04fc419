//! The command line: what can be asked of the program, and with which code it ends.

mod admin;
mod args;
mod engine;
mod environment;
mod exec;
mod exit;
mod health;
mod http_client;
mod image;
mod migrate;
mod report;
mod sandbox;
mod server;
mod session;
mod source;
mod tag;
mod task;

use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use self::args::{Cli, Command, ServeArgs};
pub use self::exit::Exit;
use crate::config::{Config, LogFormat, Machine, Settings};
use crate::telemetry;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let command = environment::with_variables(Cli::command());
    let cli = match command
        .try_get_matches()
        .and_then(|found| Cli::from_arg_matches(&found))
    {
        Ok(cli) => cli,
        // Clap prints help and version on the standard output and ends with 0 for them, else with 2.
        Err(error) => error.exit(),
    };
    match cli.command.unwrap_or(Command::Serve(Box::new(cli.serve))) {
        Command::Serve(args) => serve(*args),
        Command::Exec(args) => run(exec::exec(*args)),
        Command::Sandbox(args) => run(sandbox::sandbox(args)),
        Command::Health(args) => run(health::health(args)),
        Command::Engine(args) => run(engine::engine(args)),
        Command::Image(args) => run(image::image(args)),
        Command::Session(args) => run(session::session(*args)),
        Command::Tag(args) => run(tag::tag(args)),
        Command::Task(args) => run(task::task(*args)),
        Command::Admin(args) => run(admin::admin(*args)),
    }
}

fn serve(args: ServeArgs) -> ExitCode {
    let config = match config(args) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    block_on(async move {
        let traces = match telemetry::start(config.log_format, "info", config.traces.as_ref()) {
            Ok(traces) => traces,
            Err(error) => {
                eprintln!("mcp-v8: {error:#}");
                return Exit::CouldNotRun;
            }
        };
        environment::warn_of_unknown_variables();
        let exit = match Box::pin(crate::server::run(config)).await {
            Ok(()) => Exit::Completed,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "can't serve");
                Exit::CouldNotRun
            }
        };
        if let Some(traces) = traces {
            traces.close().await;
        }
        exit
    })
}

fn config(args: ServeArgs) -> Result<Config, crate::config::Error> {
    let file = args
        .config
        .as_deref()
        .map(Settings::from_file)
        .transpose()?;
    Config::new(args.settings.or(file.unwrap_or_default()), &Machine::read())
}

/// Runs one of the short commands: its log is for the person in front of it.
fn run(command: impl Future<Output = anyhow::Result<Exit>>) -> ExitCode {
    block_on(async {
        let log = telemetry::start(LogFormat::Text, "error", None);
        log.expect("a log needs nothing that can fail");
        command.await.unwrap_or_else(|error| {
            eprintln!("mcp-v8: {error:#}");
            Exit::CouldNotRun
        })
    })
}

fn block_on(future: impl Future<Output = Exit>) -> ExitCode {
    // The runs need the processors more than the node, which only passes messages.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(future);
            // A reader of the standard input blocks its thread until the next line; nobody waits for it.
            runtime.shutdown_background();
            exit.into()
        }
        Err(error) => {
            eprintln!("mcp-v8: can't start the runtime: {error}");
            Exit::CouldNotRun.into()
        }
    }
}

fn refuse(error: &crate::config::Error) -> ExitCode {
    eprintln!("mcp-v8: {error}");
    eprintln!("mcp-v8: see `mcp-v8 --help`");
    Exit::Usage.into()
}
