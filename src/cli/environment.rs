//! Every flag of the server is a variable too: `--http-port` is `MCP_V8_HTTP_PORT`.

use std::collections::BTreeSet;
use std::env;

use clap::{Arg, Command};

/// Variables with names of their own that stand for a flag when its `MCP_V8_…` is not set.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("http-port", "PORT"),
    ("directory-path", "STATE_PATH"),
    ("runs-max", "MCP_V8_MAX_CONCURRENT_EXECUTIONS"),
    ("timeout-secs", "MCP_V8_EXECUTION_TIMEOUT"),
    ("heap-mb", "MCP_V8_HEAP_MEMORY_MAX"),
];
/// Used by commands that are not the server.
const OF_COMMANDS: [&str; 2] = ["MCP_V8_URL", "MCP_V8_ENDPOINTS"];
/// What Kubernetes sets for a service that is named `mcp-v8`.
const OF_KUBERNETES: [&str; 2] = ["MCP_V8_SERVICE_", "MCP_V8_PORT"];

/// Lets the flags of `command` and of its `serve` be set by variables.
pub fn with_variables(command: Command) -> Command {
    command
        .mut_args(with_variable)
        .mut_subcommand("serve", |serve| serve.mut_args(with_variable))
}

/// Names in the environment that look like ours and mean nothing, most likely a slip.
pub fn warn_of_unknown_variables() {
    for name in unknown(env::vars_os().filter_map(|(name, _)| name.into_string().ok())) {
        tracing::warn!(variable = name, "this variable is not known, and ignored");
    }
}

fn variable(flag: &str) -> String {
    format!("MCP_V8_{}", flag.to_uppercase().replace('-', "_"))
}

fn with_variable(arg: Arg) -> Arg {
    let Some(flag) = arg.get_long().map(str::to_owned) else {
        return arg;
    };
    if flag == "help" || flag == "version" {
        return arg;
    }
    let mut names = vec![variable(&flag)];
    names.extend(
        OTHER_NAMES
            .iter()
            .filter(|(of, _)| *of == flag)
            .map(|(_, name)| (*name).into()),
    );
    // An empty variable counts as none: that is how one takes back what an image sets.
    let set = names
        .iter()
        .find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()));
    match set.or(names.first()) {
        Some(name) if set.is_some() || env::var_os(name).is_none() => arg.env(name.clone()),
        _ => arg,
    }
}

fn unknown(names: impl Iterator<Item = String>) -> Vec<String> {
    let known: BTreeSet<String> =
        <super::args::ServeArgs as clap::Args>::augment_args(Command::new(""))
            .get_arguments()
            .filter_map(|arg| arg.get_long().map(variable))
            .chain(OTHER_NAMES.iter().map(|(_, name)| (*name).to_owned()))
            .chain(OF_COMMANDS.map(str::to_owned))
            .collect();
    names
        .filter(|name| name.starts_with("MCP_V8_") && !known.contains(name))
        .filter(|name| !OF_KUBERNETES.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_the_server_has_its_variable() {
        let command = with_variables(<super::super::args::Cli as clap::CommandFactory>::command());
        let serve = command.find_subcommand("serve").unwrap();
        for arg in command.get_arguments().chain(serve.get_arguments()) {
            let Some(flag) = arg.get_long() else { continue };
            if flag == "help" || flag == "version" || flag == "http-port" {
                continue;
            }
            let name = arg
                .get_env()
                .unwrap_or_else(|| panic!("--{flag} has no variable"));
            assert_eq!(name.to_str().unwrap(), variable(flag));
        }
    }

    #[test]
    fn a_slip_is_found_and_what_kubernetes_sets_is_not_taken_for_one() {
        let names = [
            "MCP_V8_HTTP_PROT",
            "MCP_V8_HTTP_PORT",
            "MCP_V8_CONFIG",
            "MCP_V8_SERVICE_HOST",
            "MCP_V8_PORT_8080_TCP_ADDR",
            "MCP_V8_HEAP_MEMORY_MAX",
            "HOME",
        ];
        assert_eq!(
            unknown(names.into_iter().map(str::to_owned)),
            ["MCP_V8_HTTP_PROT"]
        );
    }
}
