//! The inspector's answers, read.

use super::errors::Place;
use super::inspector::Reply;
use super::{Isolate, SCRIPT_NAME};

/// What an evaluation came to.
pub enum Evaluated<'s> {
    /// A value.
    Value(v8::Local<'s, v8::Value>),
    /// Something was thrown.
    Thrown {
        /// What.
        value: v8::Local<'s, v8::Value>,
        /// Where.
        place: Option<Place>,
        /// No frame of JavaScript was on the stack: the code itself did not parse.
        at_compile_time: bool,
    },
}

impl Isolate<'_, '_, '_> {
    /// Begins to evaluate `code` under a fresh id.
    pub fn evaluate(&mut self, code: &str) {
        let call_id = self.next_call();
        // The name is told by a comment, so that positions stay what they are.
        self.inspector
            .evaluate(call_id, &format!("{code}\n//# sourceURL={SCRIPT_NAME}"));
    }
}

impl Isolate<'_, '_, '_> {
    /// An id for the next question; what an earlier one is answered is heard no more.
    pub fn next_call(&mut self) -> i32 {
        let call_id = self.state.call_id.get().wrapping_add(1).max(1);
        self.state.call_id.set(call_id);
        self.state.reply.replace(None);
        call_id
    }
}

/// Reads the names in an answer of [`super::inspector::Inspector::declared_names`].
pub fn names(scope: &mut v8::PinScope<'_, '_>, reply: &Reply) -> Option<Vec<String>> {
    let text = reply.to_v8(scope)?;
    let message = v8::json::parse(scope, text)?.to_object(scope)?;
    let result = object(scope, message, "result")?;
    let names: v8::Local<v8::Array> = property(scope, result, "names")?.try_into().ok()?;
    let name = |index| Some(names.get_index(scope, index)?.to_rust_string_lossy(scope));
    (0..names.length()).map(name).collect()
}

/// Reads the protocol's answer. The values are taken from the heap, not from the text, but for
/// primitives, which the text holds exactly.
pub fn read<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    inspector: &super::inspector::Inspector,
    reply: &Reply,
) -> Option<Evaluated<'s>> {
    let text = reply.to_v8(scope)?;
    let message = v8::json::parse(scope, text)?.to_object(scope)?;
    let result = object(scope, message, "result")?;
    if let Some(details) = object(scope, result, "exceptionDetails") {
        let value = object(scope, details, "exception")
            .and_then(|remote| value_of(scope, inspector, remote))
            .unwrap_or_else(|| v8::undefined(scope).into());
        let line = number(scope, details, "lineNumber");
        let column = number(scope, details, "columnNumber");
        let ours = string(scope, details, "url").is_none_or(|url| url == SCRIPT_NAME);
        let at_compile_time = object(scope, details, "stackTrace").is_none();
        // With a stack the numbers are those of its first frame, sometimes counted from 0 and
        // sometimes from 1; the error itself knows better then.
        let place = match (line, column) {
            (Some(line), Some(column)) if ours && at_compile_time => Some(Place {
                line: line + 1,
                column: column + 1,
            }),
            _ => None,
        };
        return Some(Evaluated::Thrown {
            value,
            place,
            at_compile_time,
        });
    }
    let remote = object(scope, result, "result")?;
    value_of(scope, inspector, remote).map(Evaluated::Value)
}

fn property<'s>(
    scope: &v8::PinScope<'s, '_>,
    object: v8::Local<'s, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    let key = v8::String::new(scope, name)?;
    // The answer is parsed JSON: only its own properties count, whatever the script did to
    // `Object.prototype`.
    if !object.has_own_property(scope, key.into())? {
        return None;
    }
    object.get(scope, key.into())
}

fn object<'s>(
    scope: &v8::PinScope<'s, '_>,
    from: v8::Local<'s, v8::Object>,
    name: &str,
) -> Option<v8::Local<'s, v8::Object>> {
    property(scope, from, name)?.try_into().ok()
}

fn string(
    scope: &v8::PinScope<'_, '_>,
    from: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<String> {
    let from = v8::Local::new(scope, from);
    let value: v8::Local<v8::String> = property(scope, from, name)?.try_into().ok()?;
    Some(value.to_rust_string_lossy(scope))
}

fn number(
    scope: &v8::PinScope<'_, '_>,
    from: v8::Local<'_, v8::Object>,
    name: &str,
) -> Option<u32> {
    let from = v8::Local::new(scope, from);
    property(scope, from, name)?.uint32_value(scope)
}

/// The value that a `RemoteObject` stands for.
fn value_of<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    inspector: &super::inspector::Inspector,
    remote: v8::Local<'s, v8::Object>,
) -> Option<v8::Local<'s, v8::Value>> {
    if let Some(id) = string(scope, remote, "objectId") {
        return inspector.object(scope, &id);
    }
    if let Some(text) = string(scope, remote, "unserializableValue") {
        return unserializable(scope, &text);
    }
    match string(scope, remote, "type").as_deref() {
        Some("undefined") | None => Some(v8::undefined(scope).into()),
        Some(_) => property(scope, remote, "value"),
    }
}

/// The numbers that JSON lacks, and BigInts.
fn unserializable<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    text: &str,
) -> Option<v8::Local<'s, v8::Value>> {
    match text {
        "NaN" => Some(v8::Number::new(scope, f64::NAN).into()),
        "Infinity" => Some(v8::Number::new(scope, f64::INFINITY).into()),
        "-Infinity" => Some(v8::Number::new(scope, f64::NEG_INFINITY).into()),
        "-0" => Some(v8::Number::new(scope, -0.0).into()),
        bigint => {
            // V8 wrote the digits, so they are a literal of the language.
            let source = v8::String::new(scope, bigint)?;
            v8::Script::compile(scope, source, None)?.run(scope)
        }
    }
}
