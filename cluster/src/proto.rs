//! The messages and services of `proto/`, made by the build script.

#![allow(missing_docs, clippy::large_enum_variant, clippy::doc_markdown)]

tonic::include_proto!("mcp_v8.v1");
