use std::fs::File;
use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use process_image::StateId;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::file::ImageFile;
use crate::cli::Exit;
use crate::cli::args::ImageRunArgs;
use crate::config::{RunConfig, SandboxMode, StateConfig};
use crate::workers::session::{Origin, Session};
use crate::workers::{Engine, Options, Outcome, RunLimits, RunRequest, Workers};

/// Runs code in a session that begins with an image, and writes the image of what it has become.
pub async fn run(args: ImageRunArgs) -> anyhow::Result<Exit> {
    let engine = Engine::embedded().context("can't load the engine")?;
    let image = match ImageFile::open(engine, &args.from) {
        Ok(image) => image,
        Err(error) => {
            eprintln!("mcp-v8: {error:#}");
            return Ok(Exit::Failed);
        }
    };
    let save = args.save.as_ref().map(|path| {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .with_context(|| format!("can't make {}", path.display()))
    });
    let save = save.transpose()?;
    let workers = Workers::start(engine, Options::new(1, SandboxMode::Auto))
        .await
        .context("can't start V8")?;
    let ended = run_from(&workers, image, &args.code, save).await;
    workers.shutdown().await;
    ended
}

async fn run_from(
    workers: &Workers,
    image: ImageFile,
    code: &str,
    save: Option<File>,
) -> anyhow::Result<Exit> {
    let limits = StateConfig::default().into();
    let parent = image.header.state();
    let mut session = Session::open(workers, Origin::Image(image.file), limits)
        .await
        .context("can't enter the image")?;
    let attempt = session
        .run(
            request(code),
            &mut |line| println!("{}", line.text),
            CancellationToken::new(),
        )
        .await
        .context("can't run the code")?;
    let exit = match &attempt.ended().outcome {
        Outcome::Done(done) => match &done.error {
            None => {
                writeln!(io::stdout(), "{}", done.result_text)
                    .context("can't write to the standard output")?;
                Exit::Completed
            }
            Some(error) => {
                eprintln!("{}: {}", error.name, error.message);
                Exit::Failed
            }
        },
        Outcome::TimedOut => Exit::TimedOut,
        Outcome::OutOfMemory(_) => Exit::OutOfMemory,
        Outcome::Cancelled => Exit::Cancelled,
        Outcome::Crashed { .. } => Exit::Crashed,
    };
    let Some(save) = save else {
        attempt.abort();
        session.close().await;
        return Ok(exit);
    };
    // A name for what came of it: it follows from what was before and what changed.
    let mut name = Sha256::new();
    name.update(parent.0);
    name.update(attempt.encoded().map_or(&[][..], |delta| delta));
    attempt
        .commit(StateId(name.finalize().into()))
        .context("the run can't be kept")?;
    session.save(save).await.context("can't write the image")?;
    session.close().await;
    Ok(exit)
}

fn request(code: &str) -> RunRequest {
    let limits = RunConfig::default();
    RunRequest {
        code: code.to_owned(),
        language: crate::workers::Language::Auto,
        input_json: None,
        limits: RunLimits {
            timeout: Duration::from_millis(limits.timeout_ms.default),
            heap_bytes_max: limits.heap_mb.default << 20,
            array_buffer_bytes_max: limits.array_buffer_mb.default << 20,
            memory_bytes_max: limits.memory_mb.default << 20,
            stack_bytes_max: limits.stack_kb.default << 10,
            result_bytes_max: limits.result_bytes.default,
        },
        reproducible: None,
        globals: false,
    }
}
