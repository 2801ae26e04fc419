//! Nodes and operators that show each other certificates.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use serde_json::json;

use super::fleet::Fleet;
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
