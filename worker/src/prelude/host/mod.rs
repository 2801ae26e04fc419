//! The functions that the prelude's JavaScript calls.

mod binary;
mod clone;
mod control;
mod inspect;
mod text;
mod url;

use std::cell::RefCell;

/// The prelude's scripts are named with this in front, so that their frames can be told from the
/// user's.
pub const SCRIPT_PREFIX: &str = "internal:";

thread_local! {
    /// The object through which the prelude and Rust meet.
    static INTERNAL: RefCell<Option<v8::Global<v8::Object>>> = const { RefCell::new(None) };
}

/// Makes `internal` known to the functions that call back.
pub fn set_internal<'s>(scope: &v8::PinScope<'s, '_>, internal: v8::Local<'s, v8::Object>) {
    let internal = v8::Global::new(scope, internal);
    INTERNAL.with(|known| known.replace(Some(internal)));
}

/// Calls `internal[name]`; nothing when it is not there yet or throws.
fn call_internal<'s>(
    scope: &v8::PinScope<'s, '_>,
    name: &str,
    arguments: &[v8::Local<'s, v8::Value>],
) -> Option<v8::Local<'s, v8::Value>> {
    let internal = INTERNAL.with(|known| known.borrow().clone())?;
    let internal = v8::Local::new(scope, internal);
    let key = v8::String::new(scope, name)?;
    let function: v8::Local<v8::Function> = internal.get(scope, key.into())?.try_into().ok()?;
    let undefined = v8::undefined(scope).into();
    function.call(scope, undefined, arguments)
}

/// Sets functions of Rust on an object.
macro_rules! define {
    ($scope:ident, $object:ident, { $($name:literal => $function:path,)* }) => { $(
        let key = v8::String::new($scope, $name).expect("a short name");
        let function = v8::Function::new($scope, $function).expect("memory at start");
        function.set_name(key);
        $object.set($scope, key.into(), function.into());
    )* };
}

/// The object `host`.
pub fn object<'s>(scope: &mut v8::PinScope<'s, '_>) -> v8::Local<'s, v8::Object> {
    let host = v8::Object::new(scope);
    define!(scope, host, {
        "print" => control::print,
        "nowMs" => control::now_ms,
        "timeOriginMs" => control::time_origin_ms,
        "enqueueMicrotask" => control::enqueue_microtask,
        "reportError" => control::report_error,
        "checkpoint" => control::checkpoint,
        "stopping" => control::stopping,
        "provokeArrayBufferLimit" => control::provoke_array_buffer_limit,
        "fillRandom" => binary::fill_random,
        "digest" => binary::digest,
        "structuredClone" => clone::structured_clone,
        "utf8Encode" => text::utf8_encode,
        "utf8EncodeInto" => text::utf8_encode_into,
        "utf8Length" => text::utf8_length,
        "encodingFor" => text::encoding_for,
        "decode" => text::decode,
        "urlParse" => url::parse,
        "urlSet" => url::set,
        "promiseDetails" => inspect::promise_details,
        "proxyDetails" => inspect::proxy_details,
        "previewEntries" => inspect::preview_entries,
        "typeTag" => inspect::type_tag,
        "nonIndexKeys" => inspect::non_index_keys,
    });
    host
}

/// The bytes in a typed array of their own.
pub fn uint8_array<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    bytes: &[u8],
) -> v8::Local<'s, v8::Uint8Array> {
    let buffer = array_buffer(scope, bytes);
    v8::Uint8Array::new(scope, buffer, 0, bytes.len()).expect("a view of a whole buffer")
}

fn array_buffer<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    bytes: &[u8],
) -> v8::Local<'s, v8::ArrayBuffer> {
    let buffer = v8::ArrayBuffer::new(scope, bytes.len());
    for (cell, byte) in buffer.get_backing_store().iter().zip(bytes) {
        cell.set(*byte);
    }
    buffer
}

/// The bytes under a view; nothing when the argument is none.
fn view_bytes(value: v8::Local<'_, v8::Value>) -> Option<Vec<u8>> {
    let view: v8::Local<v8::ArrayBufferView> = value.try_into().ok()?;
    let mut bytes = vec![0; view.byte_length()];
    let copied = view.copy_contents(&mut bytes);
    bytes.truncate(copied);
    Some(bytes)
}

/// Leaves out the frames of the prelude's own scripts.
pub fn without_prelude_frames(stack: &str) -> String {
    let marks = [format!("({SCRIPT_PREFIX}"), format!("at {SCRIPT_PREFIX}")];
    let lines = stack.lines().filter(|line| {
        !(line.trim_start().starts_with("at ") && marks.iter().any(|mark| line.contains(mark)))
    });
    lines.collect::<Vec<_>>().join("\n")
}
