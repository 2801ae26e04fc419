//! A new cluster from what is left of one that has lost its majority.

use std::path::Path;

use serde::Serialize;

use super::args::{Form, RecoverArgs};
use super::error::AdminError;
use super::print::print;
use crate::cli::Exit;
use crate::service::backup::{self, Target};

#[derive(Serialize)]
struct Recovered<'a> {
    directory: &'a Path,
    old_cluster_id: String,
    cluster_id: String,
    node: u64,
    index: u64,
    state_hash: String,
    blobs: u64,
    missing_blobs: Vec<String>,
}

impl Recovered<'_> {
    fn text(&self) -> String {
        let mut text = format!(
            "{} is that of node {} of cluster {}, with what cluster {} had up to index {}: start a node with it, \
             and let others join",
            self.directory.display(),
            self.node,
            self.cluster_id,
            self.old_cluster_id,
            self.index,
        );
        if !self.missing_blobs.is_empty() {
            text.push_str(&format!(
                "\n{} blobs were on other nodes alone; heaps that need them do not open:",
                self.missing_blobs.len()
            ));
            for blob in &self.missing_blobs {
                text.push_str(&format!("\n  {blob}"));
            }
        }
        text
    }
}

/// Makes one, when that is meant.
pub async fn recover(form: Form, args: &RecoverArgs) -> Result<Exit, AdminError> {
    let refused = |message: String| AdminError::Refused { message };
    if !args.i_know_that_the_majority_is_lost {
        return Err(refused(
            "this makes a second cluster out of one that may still live, and forgets what this node had not heard \
             of. Use it when most voters are gone for good and there is no newer backup; say so with \
             --i-know-that-the-majority-is-lost"
                .to_owned(),
        ));
    }
    let name = args.node_id.as_deref().map(str::parse).transpose();
    let name = name.map_err(|error: cluster::ids::MalformedName| refused(error.to_string()))?;
    let target = Target {
        directory: args.new.clone(),
        name,
        address: String::new(),
    };
    let recovered = backup::recover(&args.old, target).await;
    let recovered = recovered.map_err(|error| refused(error.to_string()))?;
    let told = Recovered {
        directory: &args.new,
        old_cluster_id: recovered.old_cluster_id,
        cluster_id: recovered.restored.cluster_id.to_string(),
        node: recovered.restored.node,
        index: recovered.restored.index,
        state_hash: recovered.restored.hash.to_string(),
        blobs: recovered.blobs,
        missing_blobs: recovered.missing.iter().map(ToString::to_string).collect(),
    };
    print(form, &told, Recovered::text)?;
    Ok(Exit::Completed)
}
