//! Nodes and operators that show each other certificates.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustix::process::Signal;
use serde_json::json;

use super::fleet::{Fleet, Member, PATIENCE};
use crate::server::wait_until;
use crate::support::{Ended, program, run};

/// Someone who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca: PathBuf,
    directory: PathBuf,
}

impl Authority {
    fn new(parent: &Path, name: &str) -> Self {
        let directory = parent.join(name);
        std::fs::create_dir(&directory).expect("the directory is new");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let ca = directory.join("ca.pem");
        std::fs::write(&ca, certificate.pem()).expect("there is room");
        Self {
            issuer: Issuer::new(params, key),
            ca,
            directory,
        }
    }

    /// The flags of someone who has a certificate of this authority.
    fn flags(&self, name: &str) -> Vec<String> {
        let key = KeyPair::generate().expect("a key");
        let mut params =
            CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("it is an address");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |kind: &str, text: String| {
            let path = self.directory.join(format!("{name}.{kind}"));
            std::fs::write(&path, text).expect("there is room");
            path.display().to_string()
        };
        vec![
            "--cluster-tls-ca".to_owned(),
            self.ca.display().to_string(),
            "--cluster-tls-cert".to_owned(),
            file("crt", signed.pem()),
            "--cluster-tls-key".to_owned(),
            file("key", key.serialize_pem()),
        ]
    }
}

async fn members(fleet: &Fleet, flags: &[String]) -> Ended {
    let mut command = program();
    let endpoint = fleet.members[0].endpoint();
    command.args(["admin", "--timeout-secs", "5", "--endpoints", &endpoint]);
    run(command.args(flags).arg("members")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_one_authority_open_the_cluster_port() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let authority = Authority::new(directory.path(), "ours");
    let stranger = Authority::new(directory.path(), "foreign");
    let mut fleet = Fleet::of_three_planned();
    for member in &mut fleet.members {
        let flags = authority.flags(&member.name);
        member.flags.extend(flags);
    }
    fleet.start_all().await;
    assert_eq!(fleet.put(1, "x", json!(1)).await.status(), 200);
    let (status, tag) = fleet.get(2, "/api/tags/x").await;
    assert_eq!((status.as_u16(), &tag["value"]), (200, &json!(1)));

    let operator = members(&fleet, &authority.flags("operator")).await;
    assert_eq!(operator.code, Some(0), "{}", operator.err);
    for wrong in [stranger.flags("operator"), Vec::new()] {
        let refused = members(&fleet, &wrong).await;
        assert_ne!(refused.code, Some(0), "{}", refused.out);
    }
    // Half of it is refused before anything starts.
    let mut command = program();
    let half = &authority.flags("half")[..4];
    let ended = run(command.args(["--http-port", "0"]).args(half)).await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.err.contains("--cluster-tls-key"), "{}", ended.err);
}

/// Certificates run out, also those of the authority: nodes take up new ones one after the other, without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewed_certificates_need_no_restart() {
    let directory = tempfile::tempdir().expect("a directory for temporary files");
    let (old, new) = (
        Authority::new(directory.path(), "old"),
        Authority::new(directory.path(), "new"),
    );
    // Each node has files of its own, which are replaced below.
    let file = |member: &str, kind: &str| directory.path().join(format!("{member}.{kind}"));
    let mut fleet = Fleet::of_three_planned();
    let give = |member: &str, of: &Authority, trusted: &[&Authority]| {
        let flags = of.flags(member);
        let ca: String = trusted
            .iter()
            .map(|authority| std::fs::read_to_string(&authority.ca).expect("it was written"))
            .collect();
        std::fs::write(file(member, "ca"), ca).expect("there is room");
        std::fs::copy(&flags[3], file(member, "crt")).expect("there is room");
        std::fs::copy(&flags[5], file(member, "key")).expect("there is room");
        ["ca", "cert", "key"]
            .into_iter()
            .zip(["ca", "crt", "key"])
            .flat_map(|(flag, kind)| {
                let path = file(member, kind).display().to_string();
                [format!("--cluster-tls-{flag}"), path]
            })
            .collect::<Vec<_>>()
    };
    for member in &mut fleet.members {
        let flags = give(&member.name, &old, &[&old]);
        member.flags.extend(flags);
    }
    fleet.start_all().await;
    let pids: Vec<_> = fleet.members.iter().map(Member::pid).collect();
    let reload = async |times: usize| {
        for member in &fleet.members {
            member.signal(Signal::HUP);
            wait_until("new certificates", PATIENCE, async || {
                member.log().matches("new certificates").count() >= times
            })
            .await;
        }
    };
    // First all believe both authorities, then each shows a certificate of the new one, then the old is forgotten.
    for (times, (of, trusted)) in [
        (&old, vec![&old, &new]),
        (&new, vec![&old, &new]),
        (&new, vec![&new]),
    ]
    .into_iter()
    .enumerate()
    {
        for member in &fleet.members {
            give(&member.name, of, &trusted);
        }
        reload(times + 1).await;
        assert_eq!(fleet.put(times, "x", json!(times)).await.status(), 200);
    }
    assert_eq!(members(&fleet, &new.flags("operator")).await.code, Some(0));
    assert_ne!(members(&fleet, &old.flags("operator")).await.code, Some(0));
    // Connections that are made anew show them too: a node that comes back knows nothing but the new ones.
    let (killed, other) = (0, 1);
    fleet.kill(killed);
    wait_until("the others to go on", PATIENCE, async || {
        fleet.put(other, "y", json!(1)).await.status() == 200
    })
    .await;
    fleet.start(killed).await;
    let (status, tag) = fleet.get(killed, "/api/tags/y").await;
    assert_eq!((status.as_u16(), &tag["value"]), (200, &json!(1)));
    // A set that does not fit is told, and changes nothing.
    let member = &fleet.members[other];
    assert_eq!(member.pid(), pids[other], "it was not started again");
    std::fs::write(file(&member.name, "key"), "no key").expect("there is room");
    member.signal(Signal::HUP);
    wait_until("the refusal", PATIENCE, async || {
        member
            .log()
            .contains("the certificates stay those of before")
    })
    .await;
    assert_eq!(fleet.put(other, "z", json!(1)).await.status(), 200);
}
