//! One connection to a node of either system; all that differs between the two is here.

use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::record::Record;
use crate::error::LoadError;

/// The client of etcd's public protocol.
mod etcd {
    #![allow(missing_docs, reason = "generated")]
    tonic::include_proto!("etcdserverpb");
}

/// The client of our public protocol.
mod mcp_v8 {
    #![allow(missing_docs, reason = "generated")]
    tonic::include_proto!("mcp_v8.v1");
}

use etcd::kv_client::KvClient;
use mcp_v8::tags_client::TagsClient;

/// Longer than any node waits for a leader: an answer that comes later is none.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// etcd: keys and values.
    Etcd,
    /// mcp-v8: tags.
    McpV8,
}

/// How much a read may lag behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// It sees every write that was acknowledged before it.
    Linearizable,
    /// It is the node's own state.
    Local,
}

/// A connection to one node. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    endpoint: String,
    client: Client,
}

#[derive(Debug, Clone)]
enum Client {
    Etcd(KvClient<Channel>),
    McpV8(TagsClient<Channel>),
}

impl Connection {
    /// Connects with the first call, and again with the next one after it broke.
    pub fn new(system: System, endpoint: &str) -> Result<Self, LoadError> {
        let channel = Endpoint::from_shared(format!("http://{endpoint}"))
            .map_err(|source| LoadError::Endpoint {
                endpoint: endpoint.into(),
                source,
            })?
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(2))
            .connect_lazy();
        Ok(Self {
            endpoint: endpoint.into(),
            client: match system {
                System::Etcd => Client::Etcd(KvClient::new(channel)),
                System::McpV8 => Client::McpV8(TagsClient::new(channel)),
            },
        })
    }

    /// Ends when the write is committed; an error says nothing of whether it will be.
    pub async fn put(&mut self, record: Record) -> Result<(), LoadError> {
        let Record { name, value } = record;
        let call = async {
            match &mut self.client {
                Client::Etcd(client) => {
                    let key = name.into_bytes();
                    client
                        .put(etcd::PutRequest { key, value })
                        .await
                        .map(|_| ())
                }
                Client::McpV8(client) => client
                    .put(mcp_v8::PutTagRequest {
                        name,
                        value,
                        if_version: None,
                        heap: Vec::new(),
                    })
                    .await
                    .map(|_| ()),
            }
        };
        let answer = tokio::time::timeout(ANSWER_LIMIT, call).await;
        self.answered(answer.unwrap_or_else(|_| Err(too_late())))
    }

    /// The value of a record, if there is one.
    pub async fn get(&mut self, name: String, read: Read) -> Result<Option<Vec<u8>>, LoadError> {
        let local = read == Read::Local;
        let call = async {
            match &mut self.client {
                Client::Etcd(client) => {
                    let request = etcd::RangeRequest {
                        key: name.into_bytes(),
                        serializable: local,
                    };
                    let found = client.range(request).await?.into_inner();
                    Ok(found.kvs.into_iter().next().map(|row| row.value))
                }
                Client::McpV8(client) => {
                    match client.get(mcp_v8::GetTagRequest { name, local }).await {
                        Ok(found) => Ok(found.into_inner().tag.map(|tag| tag.value)),
                        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
                        Err(status) => Err(status),
                    }
                }
            }
        };
        let answer = tokio::time::timeout(ANSWER_LIMIT, call).await;
        self.answered(answer.unwrap_or_else(|_| Err(too_late())))
    }

    fn answered<T>(&self, answer: Result<T, Status>) -> Result<T, LoadError> {
        answer.map_err(|status| LoadError::Call {
            endpoint: self.endpoint.clone(),
            status: Box::new(status),
        })
    }
}

fn too_late() -> Status {
    Status::deadline_exceeded("no answer in time")
}
