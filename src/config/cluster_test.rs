//! What these show: names and addresses are checked at the edge, and each refusal says what to write.

use std::path::Path;

use clap::Parser as _;

use super::*;

#[derive(clap::Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

fn read(line: &str) -> Result<ClusterConfig, String> {
    let words = ["mcp-v8"].into_iter().chain(line.split_whitespace());
    let flags = Flags::try_parse_from(words).map_err(|error| error.to_string())?;
    ClusterConfig::new(&flags.settings).map_err(|error| error.to_string())
}

#[test]
fn silence_is_a_node_alone_that_keeps_nothing() {
    let config = read("").unwrap();
    assert_eq!((config.directory, config.listen), (None, None));
    assert!(config.peers.is_empty() && config.join.is_empty());
    assert_eq!(config.timings, RaftTimings::default());
}

#[test]
fn three_nodes_are_read() {
    let line = "--node-id n2 --cluster-addr 127.0.0.1:7002 --directory-path d \
                --peers n1=a:7001,n2=127.0.0.1:7002,n3=[::1]:7003";
    let config = read(line).unwrap();
    assert_eq!(config.directory.as_deref(), Some(Path::new("d")));
    let peers: Vec<_> = config.peers.iter().map(|peer| &peer.address[..]).collect();
    assert_eq!(peers, ["a:7001", "127.0.0.1:7002", "[::1]:7003"]);
}

#[test]
fn each_refusal_says_what_to_write() {
    let node = "--node-id n1 --directory-path d";
    for (line, told) in [
        (format!("{node} --peers n1"), "NAME=HOST:PORT"),
        (format!("{node} --peers n1=a"), "HOST:PORT"),
        (format!("{node} --peers n1=:1"), "HOST:PORT"),
        (format!("{node} --peers n1=a:0"), "HOST:PORT"),
        (format!("{node} --peers n1=a:1,n1=b:1"), "twice"),
        (format!("{node} --peers n1=a:1 --join b:1"), "only one"),
        (format!("{node} --join b:1 --standby"), "--standby"),
        ("--directory-path d --join b:1".into(), "--node-id"),
        ("--node-id n1 --join b:1".into(), "--directory-path"),
        ("--node-id=-n1".into(), "-n1"),
        ("--heartbeat-ms 1".into(), "--heartbeat-ms"),
        ("--election-ms-min 100".into(), "--election-ms-min"),
        ("--node-lease-secs 1".into(), "--node-lease-secs"),
        ("--snapshot-log-bytes 1".into(), "snapshot-log-bytes"),
    ] {
        let error = read(&line).unwrap_err();
        assert!(error.contains(told), "{line}: {error}");
    }
}
