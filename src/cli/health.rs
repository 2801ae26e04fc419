use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, FromArgMatches as _};

use super::args::{Cli, Command, HealthArgs, ServeArgs};
use super::{Exit, environment, http_client};
use crate::config::Settings;

/// Asks a server whether it takes work: for containers, which need no other client for it.
pub async fn health(args: HealthArgs) -> anyhow::Result<Exit> {
    let base = match args.url {
        Some(url) => url,
        None => match server_here()? {
            Some(url) => url,
            None => {
                println!("the server here speaks MCP on its standard streams");
                return Ok(Exit::Completed);
            }
        },
    };
    let reply = http_client::call(&base, "/readyz", None).await?;
    println!("{}", String::from_utf8_lossy(&reply.body).trim_end());
    Ok(if reply.status.is_success() {
        Exit::Completed
    } else {
        Exit::Failed
    })
}

/// The URL of the one server on this machine, as its command line tells it; `None` when it has no
/// port. So a container whose command changes the port needs no other health check.
fn server_here() -> anyhow::Result<Option<String>> {
    let mut servers = Vec::new();
    for entry in fs::read_dir("/proc")
        .context("can't look for a server: give its --url")?
        .flatten()
    {
        let id = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        if id.is_some_and(|id| id != std::process::id())
            && let Ok(line) = fs::read(entry.path().join("cmdline"))
            && let Some(serve) = serve_of(&line)
        {
            servers.push(serve);
        }
    }
    let serve = match servers.len() {
        1 => servers.remove(0),
        0 => bail!("no server runs here: give its --url"),
        more => bail!("{more} servers run here: give the --url of one"),
    };
    let file = serve
        .config
        .as_deref()
        .map(Settings::from_file)
        .transpose()?;
    Ok(url_of(&serve.settings.or(file.unwrap_or_default())))
}

/// What a process was told, when it is a server of this program.
fn serve_of(line: &[u8]) -> Option<ServeArgs> {
    let words: Vec<&OsStr> = line
        .strip_suffix(b"\0")?
        .split(|byte| *byte == 0)
        .map(OsStr::from_bytes)
        .collect();
    if Path::new(words.first()?).file_name()? != "mcp-v8" {
        return None;
    }
    let matches = environment::with_variables(Cli::command())
        .try_get_matches_from(words)
        .ok()?;
    let cli = Cli::from_arg_matches(&matches).ok()?;
    match cli.command {
        None => Some(cli.serve),
        Some(Command::Serve(serve)) => Some(*serve),
        Some(_) => None,
    }
}

fn url_of(settings: &Settings) -> Option<String> {
    let port = settings.http_port.or(settings.sse_port)?;
    let host = match settings.bind_host {
        Some(host) if !host.is_unspecified() => host,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    Some(match host {
        IpAddr::V4(host) => format!("http://{host}:{port}"),
        IpAddr::V6(host) => format!("http://[{host}]:{port}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(line: &[u8]) -> Option<String> {
        url_of(&serve_of(line).expect("a server").settings)
    }

    #[test]
    fn a_servers_url_is_read_from_its_command_line() {
        let local = "http://127.0.0.1:3000".to_owned();
        assert_eq!(url(b"mcp-v8\0--http-port\x003000\0"), Some(local.clone()));
        let line = b"/usr/bin/mcp-v8\0serve\0--http-port=3000\0--bind-host=0.0.0.0\0";
        assert_eq!(url(line), Some(local));
        let line = b"mcp-v8\0--sse-port=9\0--bind-host=::1\0";
        assert_eq!(url(line), Some("http://[::1]:9".to_owned()));
    }

    #[test]
    fn other_programs_and_other_commands_are_no_servers() {
        for line in [
            b"tini\0--\0mcp-v8\0--http-port\x003000\0".as_slice(),
            b"mcp-v8\0exec\x001\0",
            b"mcp-v8\0health\0",
            b"",
        ] {
            assert!(
                serve_of(line).is_none(),
                "{:?}",
                String::from_utf8_lossy(line)
            );
        }
    }
}
