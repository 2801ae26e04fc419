//! The bodies of `POST /api/exec`: JSON, or the source text itself.

use axum::body::Bytes;
use axum::extract::Query;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::http::{HeaderMap, Uri, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use utoipa::IntoParams;

use super::Problem;
use crate::error_code::ErrorCode;
use crate::wire::{ExecutionRequestBody, LanguageName};

/// The options of a request whose body is source text. With JSON they are in the body.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SourceOptions {
    /// The language, where the content type does not tell.
    language: Option<LanguageName>,
    /// The global `input`, as JSON text.
    input: Option<String>,
    /// Wall clock of the run, in milliseconds.
    timeout_ms: Option<u64>,
    /// The same in seconds; give one of the two.
    execution_timeout_secs: Option<u64>,
    /// JavaScript heap, in MiB. `heap_memory_max_mb` is accepted too.
    #[serde(alias = "heap_memory_max_mb")]
    heap_mb: Option<u64>,
    /// All ArrayBuffers together, in MiB.
    array_buffer_mb: Option<u64>,
    /// Private memory of the process, in MiB.
    memory_mb: Option<u64>,
    /// Stack of JavaScript calls, in KiB.
    stack_kb: Option<u64>,
    /// Size of the result, in bytes.
    result_bytes: Option<u64>,
    /// Console output that is kept, in bytes.
    output_bytes: Option<u64>,
    /// The session that it runs in; made when there is none of the name.
    session: Option<String>,
    /// The heap that it begins with, 64 hex digits; give this or `session`.
    heap: Option<String>,
    /// Makes a retry safe; the header `Idempotency-Key` means the same.
    idempotency_key: Option<String>,
}

enum Kind {
    Json,
    Source(Option<LanguageName>),
    /// What `curl -d` says unless it is told better.
    Form,
}

/// The request in this body.
pub fn parse(
    headers: &HeaderMap,
    uri: &Uri,
    body: Result<Bytes, BytesRejection>,
) -> Result<ExecutionRequestBody, Problem> {
    let kind = kind(headers)?;
    let body = body.map_err(unread)?;
    match kind {
        Kind::Json => {
            if uri.query().is_some_and(|query| !query.is_empty()) {
                let detail = "with a JSON body the options are fields of the body";
                return Err(Problem::invalid("query", detail).hint(
                    "move the options into the body, or send the source text as text/plain",
                ));
            }
            json(&body)
        }
        Kind::Form if looks_like_ours(&body) => Err(unsupported(
            "the body is JSON, but the content type says that it is a form",
        )
        .hint("add -H 'Content-Type: application/json'")),
        Kind::Form => source(uri, body, None),
        Kind::Source(language) => source(uri, body, language),
    }
}

fn kind(headers: &HeaderMap) -> Result<Kind, Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(Kind::Source(None));
    };
    let value = value
        .to_str()
        .map_err(|_| unsupported("the content type is no ASCII text"))?
        .to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    for parameter in parts {
        if let Some(charset) = parameter.strip_prefix("charset=") {
            let charset = charset.trim_matches('"');
            if !matches!(charset, "utf-8" | "utf8" | "us-ascii") {
                return Err(unsupported(format!("the text is in {charset}; send UTF-8")));
            }
        }
    }
    match essence {
        "application/json" => Ok(Kind::Json),
        "application/x-www-form-urlencoded" => Ok(Kind::Form),
        "application/typescript"
        | "application/x-typescript"
        | "text/typescript"
        | "text/x-typescript" => Ok(Kind::Source(Some(LanguageName::TypeScript))),
        "application/javascript"
        | "application/x-javascript"
        | "application/ecmascript"
        | "text/javascript"
        | "text/ecmascript" => Ok(Kind::Source(Some(LanguageName::JavaScript))),
        "application/octet-stream" | "" => Ok(Kind::Source(None)),
        other if other.ends_with("+json") && other.starts_with("application/") => Ok(Kind::Json),
        other if other.starts_with("text/") => Ok(Kind::Source(None)),
        other => Err(unsupported(format!(
            "{other} is not a content type that is read here"
        ))),
    }
}

fn unsupported(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::UnsupportedMediaType, detail)
        .hint(
            "send application/json with the field `code`, or the source text as text/plain, \
             application/javascript or application/typescript",
        )
        .in_field(Some("content-type".into()))
}

/// Why a body could not be read.
pub fn unread(rejection: BytesRejection) -> Problem {
    match rejection {
        BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
            Problem::new(
                ErrorCode::BodyTooLarge,
                "the body is over this server's limit",
            )
            .hint("an operator can raise --body-bytes-max")
        }
        other => Problem::new(ErrorCode::InvalidRequest, other.body_text()),
    }
}

/// JSON as one of our bodies; what is wrong is told with its place.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let parsed = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let field = (path != "." && path != "?").then_some(path);
        let error = error.into_inner();
        // A wrong field before the place where the JSON breaks must not hide the break.
        match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
            Err(broken) => wrong_json(broken, None),
            Ok(_) => wrong_json(error, field),
        }
    })?;
    reader.end().map_err(|error| wrong_json(error, None))?;
    // A list of the fields' values would do for the parser.
    if body.trim_ascii_start().first() != Some(&b'{') {
        let detail = "the body must be a JSON object";
        return Err(Problem::new(ErrorCode::InvalidRequest, detail).at(1, 1));
    }
    Ok(parsed)
}

fn wrong_json(error: serde_json::Error, field: Option<String>) -> Problem {
    let (line, column) = (error.line(), error.column());
    if error.is_data() {
        let hint = "see the schema in /api/openapi.json";
        Problem::new(ErrorCode::InvalidRequest, error.to_string())
            .hint(hint)
            .at(line, column)
            .in_field(field)
    } else {
        Problem::new(ErrorCode::InvalidJson, error.to_string()).at(line, column)
    }
}

/// JSON with a `code`, which as source text would be run to give itself.
fn looks_like_ours(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Code {
        #[serde(rename = "code")]
        _code: serde::de::IgnoredAny,
    }
    body.trim_ascii_start().first() == Some(&b'{') && serde_json::from_slice::<Code>(body).is_ok()
}

fn source(
    uri: &Uri,
    body: Bytes,
    language: Option<LanguageName>,
) -> Result<ExecutionRequestBody, Problem> {
    let options: SourceOptions = query(uri)?;
    let code = String::from_utf8(body.into()).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        let detail = format!("the source text is not UTF-8 at byte {position}");
        Problem::new(ErrorCode::InvalidRequest, detail)
    })?;
    let input = match options.input {
        None => None,
        Some(text) => Some(RawValue::from_string(text).map_err(|error| {
            Problem::invalid("input", format!("the parameter is not JSON: {error}"))
        })?),
    };
    Ok(ExecutionRequestBody {
        code,
        language: options.language.or(language),
        input: input.map(std::sync::Arc::from),
        timeout_ms: options.timeout_ms,
        execution_timeout_secs: options.execution_timeout_secs,
        heap_mb: options.heap_mb,
        array_buffer_mb: options.array_buffer_mb,
        memory_mb: options.memory_mb,
        stack_kb: options.stack_kb,
        result_bytes: options.result_bytes,
        output_bytes: options.output_bytes,
        session: options.session,
        heap: options.heap,
        idempotency_key: options.idempotency_key,
    })
}

/// The parameters of a URI's query.
pub fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(parameters)| parameters)
        .map_err(|rejection| Problem::invalid("query", rejection.body_text()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(
        content_type: &str,
        query: &str,
        body: &str,
    ) -> Result<ExecutionRequestBody, Problem> {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(
                header::CONTENT_TYPE,
                content_type.parse().expect("a header"),
            );
        }
        let uri = format!("/api/exec{query}").parse().expect("a URI");
        parse(&headers, &uri, Ok(Bytes::from(body.to_owned())))
    }

    fn refused(content_type: &str, query: &str, body: &str) -> serde_json::Value {
        let problem = parsed(content_type, query, body).expect_err("refused");
        serde_json::to_value(problem).expect("serializable")
    }

    #[test]
    fn json_and_source_give_the_same_request() {
        let body = parsed(
            "application/json; charset=utf-8",
            "",
            r#"{"code":"1","heap_mb":9}"#,
        )
        .expect("valid");
        assert_eq!((body.code.as_str(), body.heap_mb), ("1", Some(9)));
        for content_type in ["", "text/plain", "application/octet-stream"] {
            let query = "?heap_memory_max_mb=9&input=%7B%22a%22:1%7D";
            let body = parsed(content_type, query, "1").expect("valid");
            assert_eq!((body.code.as_str(), body.heap_mb), ("1", Some(9)));
            assert_eq!(body.input.expect("an input").get(), "{\"a\":1}");
            assert_eq!(body.language, None);
        }
        for (content_type, language) in [
            ("application/typescript", LanguageName::TypeScript),
            ("text/javascript", LanguageName::JavaScript),
        ] {
            assert_eq!(
                parsed(content_type, "", "1").expect("valid").language,
                Some(language)
            );
        }
        let body = parsed("application/typescript", "?language=js", "1").expect("valid");
        assert_eq!(body.language, Some(LanguageName::JavaScript));
    }

    #[test]
    fn broken_json_tells_where() {
        let problem = refused("application/json", "", "{\"code\":\n  1 +}");
        assert_eq!(problem["code"], "invalid_json");
        assert_eq!(
            (&problem["line"], &problem["column"]),
            (&2.into(), &5.into())
        );
        assert_eq!(refused("application/json", "", "")["code"], "invalid_json");
        assert_eq!(
            refused("application/json", "", "{\"code\":\"1\"} x")["code"],
            "invalid_json"
        );
    }

    #[test]
    fn wrong_fields_are_named() {
        let problem = refused("application/json", "", r#"{"code":"1","tiemout_ms":1}"#);
        assert_eq!(problem["code"], "invalid_request");
        assert_eq!(problem["field"], "tiemout_ms");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("tiemout_ms"))
        );
        let problem = refused(
            "application/json",
            "",
            r#"{"code":"1","timeout_ms":"soon"}"#,
        );
        assert_eq!(problem["field"], "timeout_ms");
        let problem = refused("application/json", "", "{}");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("`code`"))
        );
        let problem = refused("text/plain", "?heep=1", "1");
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains("`heep`"))
        );
        assert_eq!(refused("text/plain", "?input=%7B", "1")["field"], "input");
        assert_eq!(
            refused("application/json", "?heap_mb=1", r#"{"code":"1"}"#)["field"],
            "query"
        );
    }

    #[test]
    fn other_content_types_are_refused() {
        for content_type in [
            "multipart/form-data; boundary=x",
            "image/png",
            "text/plain; charset=latin1",
        ] {
            let problem = refused(content_type, "", "1");
            assert_eq!(problem["code"], "unsupported_media_type", "{content_type}");
        }
    }

    #[test]
    fn json_that_curl_calls_a_form_is_not_run_as_code() {
        let form = "application/x-www-form-urlencoded";
        let problem = refused(form, "", r#" {"code":"1 + 2"}"#);
        assert_eq!(problem["code"], "unsupported_media_type");
        assert!(
            problem["hint"]
                .as_str()
                .is_some_and(|hint| hint.contains("application/json"))
        );
        assert_eq!(parsed(form, "", "1 + 2").expect("source").code, "1 + 2");
    }
}
