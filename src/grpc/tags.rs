//! Tags for programs.

use std::sync::Arc;

use cluster::proto::{
    self, DeleteTagRequest, DeleteTagResponse, GetTagRequest, GetTagResponse, ListTagsRequest,
    ListTagsResponse, PutTagRequest, PutTagResponse, tags_server,
};
use serde_json::value::RawValue;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::{deadline, status};
use crate::error_code::ErrorCode;
use crate::service::sessions::HeapId;
use crate::service::tags::{Error, Filter, Freshness, NewTag, Tag, Tags};

/// Tags on a page when no number is named.
const LIMIT: usize = 100;

/// The service of one node.
pub struct TagsService {
    tags: Tags,
}

impl TagsService {
    /// On these tags.
    pub fn new(tags: Tags) -> Self {
        Self { tags }
    }
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl tags_server::Tags for TagsService {
    async fn put(&self, request: Request<PutTagRequest>) -> Reply<PutTagResponse> {
        let deadline = deadline::of(request.metadata());
        let PutTagRequest {
            name,
            value,
            if_version,
            heap,
        } = request.into_inner();
        let new = NewTag {
            name,
            value: json(value).map_err(failed)?,
            heap: heap_of(&heap)?,
            if_version,
        };
        let written = self.tags.put(new, "", deadline).await;
        let version = written.map_err(failed)?;
        Ok(Response::new(PutTagResponse { version }))
    }

    async fn get(&self, request: Request<GetTagRequest>) -> Reply<GetTagResponse> {
        let freshness = freshness(request.metadata(), request.get_ref().local);
        let tag = self.tags.get(&request.get_ref().name, freshness).await;
        let tag = tag.map_err(failed)?;
        Ok(Response::new(GetTagResponse {
            tag: Some(message(tag)),
        }))
    }

    async fn delete(&self, request: Request<DeleteTagRequest>) -> Reply<DeleteTagResponse> {
        let deadline = deadline::of(request.metadata());
        let DeleteTagRequest { name, if_version } = request.into_inner();
        let deleted = self.tags.delete(name, if_version, "", deadline).await;
        let version = deleted.map_err(failed)?;
        Ok(Response::new(DeleteTagResponse { version }))
    }

    async fn list(&self, request: Request<ListTagsRequest>) -> Reply<ListTagsResponse> {
        let freshness = freshness(request.metadata(), request.get_ref().local);
        let ListTagsRequest {
            prefix,
            after,
            limit,
            heap,
            ..
        } = request.into_inner();
        let limit = match limit {
            0 => LIMIT,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let filter = Filter {
            prefix: &prefix,
            heap: heap_of(&heap)?,
            after: (!after.is_empty()).then_some(after.as_str()),
        };
        let page = self.tags.list(filter, limit, freshness).await;
        let page = page.map_err(failed)?;
        Ok(Response::new(ListTagsResponse {
            tags: page.tags.into_iter().map(message).collect(),
            more: page.more,
        }))
    }
}

fn json(bytes: Vec<u8>) -> Result<Option<Arc<RawValue>>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::ValueMalformed)?;
    let value = RawValue::from_string(text).map_err(|_| Error::ValueMalformed)?;
    Ok(Some(Arc::from(value)))
}

fn heap_of(bytes: &[u8]) -> Result<Option<HeapId>, Status> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let heap = HeapId::from_bytes(bytes).map(Some);
    heap.ok_or_else(|| status(ErrorCode::InvalidRequest, "a heap has 32 bytes".to_owned()))
}

fn freshness(metadata: &MetadataMap, local: bool) -> Freshness {
    if local {
        Freshness::Local
    } else {
        Freshness::Newest(deadline::of(metadata))
    }
}

fn message(tag: Tag) -> proto::Tag {
    proto::Tag {
        name: tag.name,
        value: tag.value.get().as_bytes().to_vec(),
        version: tag.version,
        changed_ms: tag.changed_ms,
        heap: HeapId::to_record(tag.heap),
    }
}

fn failed(error: Error) -> Status {
    status(error.code(), error.to_string())
}
