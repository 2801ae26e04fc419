//! `mcp-v8 admin`: what operators ask of a cluster.

mod args;
mod backup;
mod blobs;
mod connection;
mod contents;
mod engines;
mod error;
mod log;
mod maintenance;
mod members;
mod perf;
mod print;
mod recover;
mod status;

pub use self::args::AdminArgs;
use self::args::{
    AdminCommand, BackupCommand, BlobsCommand, CheckCommand, EnginesCommand, MembersCommand,
};
use self::connection::Connection;
use self::error::AdminError;
use super::Exit;

/// Does what the command line says.
pub async fn admin(args: AdminArgs) -> anyhow::Result<Exit> {
    Ok(match run(&args).await {
        Ok(exit) => exit,
        Err(error) => {
            eprintln!("mcp-v8: {error}");
            error.exit()
        }
    })
}

async fn run(args: &AdminArgs) -> Result<Exit, AdminError> {
    // What is done with files alone needs no cluster.
    match &args.command {
        AdminCommand::Backup {
            command: BackupCommand::Verify { file },
        } => return backup::verify(args.output, file).await,
        AdminCommand::Backup {
            command:
                BackupCommand::Restore {
                    file,
                    directory,
                    node_id,
                },
        } => return backup::restore(args.output, file, directory, node_id.as_deref()).await,
        AdminCommand::UnsafeRecover(args_of) => {
            return recover::recover(args.output, args_of).await;
        }
        AdminCommand::Log(log_args) => return log::log(args.output, log_args).await,
        _ => {}
    }
    let connection = Connection::new(args)?;
    let form = args.output;
    match &args.command {
        AdminCommand::Status => status::status(&connection, form).await,
        AdminCommand::Members { command } => {
            match command.as_ref().unwrap_or(&MembersCommand::List) {
                MembersCommand::List => members::list(&connection, form).await,
                MembersCommand::Add {
                    address,
                    learner,
                    no_wait,
                } => members::add(&connection, form, address, *learner, *no_wait).await,
                MembersCommand::Wait { member, learner } => {
                    members::wait(&connection, form, member, *learner).await
                }
                MembersCommand::Promote { member } => {
                    members::promote(&connection, form, member).await
                }
                MembersCommand::Demote { member, force } => {
                    members::demote(&connection, form, member, *force).await
                }
                MembersCommand::Remove {
                    member,
                    drain,
                    force,
                } => members::remove(&connection, form, member, *drain, *force).await,
                MembersCommand::Replace { member, force } => {
                    members::replace(&connection, form, member, *force).await
                }
            }
        }
        AdminCommand::TransferLeader { to } => {
            members::transfer_leader(&connection, form, to.as_deref()).await
        }
        AdminCommand::Drain { member, no_wait } => {
            members::drain(&connection, form, member, *no_wait).await
        }
        AdminCommand::Undrain { member } => members::undrain(&connection, form, member).await,
        AdminCommand::Snapshot { member } => {
            maintenance::snapshot(&connection, form, member.as_deref()).await
        }
        AdminCommand::Purge { member } => {
            maintenance::purge(&connection, form, member.as_deref()).await
        }
        AdminCommand::Compact { member } => {
            maintenance::compact(&connection, form, member.as_deref()).await
        }
        AdminCommand::Contents => contents::contents(&connection, form).await,
        AdminCommand::Blobs { command } => {
            let looks_after = matches!(command, Some(BlobsCommand::Check));
            blobs::blobs(&connection, form, looks_after).await
        }
        AdminCommand::Hash { scan } => maintenance::hash(&connection, form, *scan).await,
        AdminCommand::Backup {
            command: BackupCommand::Save { file, into, keep },
        } => match (into, file) {
            (Some(directory), _) => backup::save_into(&connection, form, directory, *keep).await,
            (None, Some(file)) => backup::save(&connection, form, file).await,
            (None, None) => unreachable!("one of them is required"),
        },
        AdminCommand::Backup { .. } | AdminCommand::UnsafeRecover(_) | AdminCommand::Log(_) => {
            unreachable!("done without a connection")
        }
        AdminCommand::Engines { command } => {
            match command.as_ref().unwrap_or(&EnginesCommand::List) {
                EnginesCommand::List => engines::list(&connection, form).await,
                EnginesCommand::Allow { engine } => {
                    engines::set(&connection, form, engine, "allowed").await
                }
                EnginesCommand::Forbid { engine } => {
                    engines::set(&connection, form, engine, "forbidden").await
                }
                EnginesCommand::Retire { engine, force } => {
                    engines::retire(&connection, form, engine, *force).await
                }
            }
        }
        AdminCommand::Check {
            command: CheckCommand::Perf { seconds, clients },
        } => perf::perf(&connection, form, *seconds, *clients).await,
    }
}
