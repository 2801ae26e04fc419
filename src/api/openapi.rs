use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::body::Bytes;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::{OpenApi as Document, PathItem, Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::problem::{CONTENT_TYPE, Problem};
use super::routes::{COMMON_ERRORS, ROUTES};
use super::{about, events, exec, executions, health, sessions, tags, tasks};
use crate::error_code::ErrorCode;
use crate::wire::{GapBody, LineBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "mcp-v8",
        description = "Runs JavaScript and TypeScript, each run in a sandboxed V8 process of its \
                       own.\n\nA script that fails is a finished execution: the reply is a 200 and \
                       its `status` is not `completed`. A request that is refused is a problem \
                       document (RFC 9457) with a stable `code`.\n\nExecutions are kept in memory by \
                       the node that ran them, for a limited time and number; any node of the \
                       cluster answers for them."
    ),
    servers((url = "/")),
    tags(
        (name = "executions", description = "Code and what came of it"),
        (name = "sessions", description = "JavaScript worlds that stay from run to run"),
        (name = "tasks", description = "Code that runs whatever becomes of nodes"),
        (name = "tags", description = "Small JSON values that all nodes share"),
        (name = "operations", description = "The node itself"),
    ),
    paths(
        exec::exec,
        executions::list,
        executions::get,
        executions::output,
        events::events,
        executions::cancel,
        sessions::list,
        sessions::create,
        sessions::get,
        sessions::log,
        sessions::diff,
        sessions::reset,
        sessions::rename,
        sessions::delete,
        sessions::export,
        sessions::import,
        tasks::create,
        tasks::list,
        tasks::get,
        tasks::log,
        tasks::cancel,
        tasks::delete,
        tags::list,
        tags::get,
        tags::put,
        tags::delete,
        about::openapi_json,
        health::health,
        health::livez,
        health::readyz,
        about::metrics_text,
        about::index,
    ),
    components(schemas(Problem, LineBody, GapBody, ErrorCode)),
    modifiers(&Problems)
)]
struct Api;

/// Adds each route's problems to its responses, with an example for each code.
struct Problems;

impl Modify for Problems {
    fn modify(&self, document: &mut Document) {
        for route in ROUTES {
            let Some(item) = document.paths.paths.get_mut(route.path) else {
                continue;
            };
            let Some(operation) = operation(item, route.method) else {
                continue;
            };
            let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
            for code in route.errors.iter().chain(COMMON_ERRORS) {
                by_status.entry(code.http_status()).or_default().push(*code);
            }
            for (status, codes) in by_status {
                let response = problem_response(&codes);
                let responses = &mut operation.responses.responses;
                responses.insert(status.to_string(), RefOr::T(response));
            }
        }
    }
}

fn problem_response(codes: &[ErrorCode]) -> utoipa::openapi::Response {
    let mut content =
        ContentBuilder::new().schema(Some(RefOr::Ref(Ref::from_schema_name("Problem"))));
    let mut titles = Vec::new();
    for code in codes {
        let example = serde_json::json!({
            "type": format!("urn:mcp-v8:problem:{code}"),
            "title": code.title(),
            "status": code.http_status(),
            "detail": "what is wrong with this request",
            "code": code,
        });
        let example = ExampleBuilder::new()
            .summary(code.title())
            .value(Some(example))
            .build();
        content = content.examples_from_iter([(code.as_str(), RefOr::T(example))]);
        titles.push(format!("`{code}`: {}", code.title()));
    }
    ResponseBuilder::new()
        .description(titles.join("; "))
        .content(CONTENT_TYPE, content.build())
        .build()
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "get" => item.get.as_mut(),
        "post" => item.post.as_mut(),
        "put" => item.put.as_mut(),
        "delete" => item.delete.as_mut(),
        _ => None,
    }
}

/// The document of the whole API.
pub fn document() -> Document {
    Api::openapi()
}

/// The same as JSON.
pub fn document_json() -> Bytes {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| {
        let json = document()
            .to_pretty_json()
            .expect("the document is plain data");
        Bytes::from(json)
    });
    JSON.clone()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn json() -> Value {
        serde_json::from_slice(&document_json()).expect("JSON")
    }

    #[test]
    fn router_and_document_have_the_same_routes() {
        let document = json();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in item.as_object().expect("a path item").keys() {
                documented.insert((method.clone(), path.clone()));
            }
        }
        let served: BTreeSet<_> = ROUTES
            .iter()
            .map(|route| (route.method.to_owned(), route.path.to_owned()))
            .collect();
        assert_eq!(served.len(), ROUTES.len(), "a route is listed twice");
        assert_eq!(served, documented);
    }

    #[test]
    fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
        let document = json();
        assert_eq!(document["openapi"], "3.1.0");
        let mut references = Vec::new();
        collect_references(&document, &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(
                document.pointer(pointer).is_some(),
                "{reference} leads nowhere"
            );
        }
    }

    fn collect_references(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(reference)) = fields.get("$ref") {
                    into.push(reference.clone());
                }
                fields
                    .values()
                    .for_each(|value| collect_references(value, into));
            }
            Value::Array(items) => items.iter().for_each(|item| collect_references(item, into)),
            _ => {}
        }
    }

    #[test]
    fn every_operation_is_described_with_its_problems() {
        let document = json();
        let mut ids = BTreeSet::new();
        for route in ROUTES {
            let pointer = format!("/paths/{}/{}", route.path.replace('/', "~1"), route.method);
            let operation = document.pointer(&pointer).expect("documented");
            assert!(
                operation["summary"].is_string(),
                "{} has no summary",
                route.path
            );
            let id = operation["operationId"].as_str().expect("an operation id");
            assert!(ids.insert(id.to_owned()), "{id} is not unique");
            for code in route.errors {
                let status = code.http_status().to_string();
                let example = &operation["responses"][&status]["content"][CONTENT_TYPE]["examples"]
                    [code.as_str()];
                assert_eq!(
                    example["value"]["code"],
                    code.as_str(),
                    "{} {code}",
                    route.path
                );
            }
        }
    }

    #[test]
    fn every_schema_is_described() {
        let document = json();
        let schemas = document["components"]["schemas"]
            .as_object()
            .expect("schemas");
        for (name, schema) in schemas {
            let Some(properties) = schema["properties"].as_object() else {
                continue;
            };
            assert!(!properties.is_empty(), "{name} is empty");
        }
        for name in [
            "ExecutionBody",
            "ExecutionRequestBody",
            "OutputBody",
            "Problem",
        ] {
            assert!(
                schemas[name]["description"].is_string(),
                "{name} has no description"
            );
            assert!(!schemas[name]["example"].is_null(), "{name} has no example");
        }
        let codes = schemas["ErrorCode"].to_string();
        for code in ErrorCode::ALL {
            assert!(
                codes.contains(&format!("\"{code}\"")),
                "{code} is not documented"
            );
        }
    }
}
