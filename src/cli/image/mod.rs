//! Images of sessions, for people who debug: look into one, compare two, run code from one.

mod file;
mod inspect;
mod run;

use super::Exit;
use super::args::ImageArgs;

/// Does what is asked of an image.
pub async fn image(args: ImageArgs) -> anyhow::Result<Exit> {
    match args {
        ImageArgs::Inspect(args) => inspect::inspect(&args),
        ImageArgs::Run(args) => run::run(*args).await,
    }
}
