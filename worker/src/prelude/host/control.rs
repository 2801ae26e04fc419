//! The console, clocks, microtasks and errors.

use crate::address_space::clock;
use crate::isolate::{State, without_array_buffers};

/// Times are told in steps of this many nanoseconds: finer ones mostly serve to measure others.
const STEP_NS: i64 = 100_000;

/// `print(level, text)`.
pub fn print(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::current();
    if state.muted.get() {
        return;
    }
    let level = arguments.get(0).int32_value(scope).unwrap_or(0);
    let text = arguments.get(1).to_rust_string_lossy(scope);
    state.console.borrow_mut().push(level, text);
}

/// `nowMs()`: monotonic time in milliseconds.
pub fn now_ms(
    _scope: &mut v8::PinScope<'_, '_>,
    _arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let since = clock::monotonic_ns() - State::current().started_ns.get();
    result.set_double((since / STEP_NS * STEP_NS) as f64 / 1e6);
}

/// `timeOriginMs()`: the wall-clock time at which `nowMs` was 0, in milliseconds since 1970.
pub fn time_origin_ms(
    _scope: &mut v8::PinScope<'_, '_>,
    _arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let since = clock::monotonic_ns() - State::current().started_ns.get();
    result.set_double(((clock::realtime_ns() - since) / STEP_NS * STEP_NS) as f64 / 1e6);
}

/// `enqueueMicrotask(function)`.
pub fn enqueue_microtask(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    if let Ok(function) = v8::Local::<v8::Function>::try_from(arguments.get(0)) {
        scope.enqueue_microtask(function);
    }
}

/// `reportError(error)`: nobody caught it; the run ends with the first of these.
pub fn report_error(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::current();
    let mut uncaught = state.uncaught.borrow_mut();
    if uncaught.is_none() {
        *uncaught = Some(v8::Global::new(scope, arguments.get(0)));
    }
}

/// `checkpoint()`: runs the microtasks, as between two timers.
pub fn checkpoint(
    scope: &mut v8::PinScope<'_, '_>,
    _arguments: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    scope.perform_microtask_checkpoint();
}

/// `stopping()`: whether the run is over because of an error.
pub fn stopping(
    _scope: &mut v8::PinScope<'_, '_>,
    _arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let state = State::current();
    let stopping = state.uncaught.borrow().is_some() || !state.rejections.borrow().is_empty();
    result.set_bool(stopping);
}

/// `provokeArrayBufferLimit()`: the message of V8's error for an ArrayBuffer that is refused.
pub fn provoke_array_buffer_limit(
    scope: &mut v8::PinScope<'_, '_>,
    _arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    v8::tc_scope!(let scope, scope);
    let source = v8::String::new(scope, "new ArrayBuffer(8192)").expect("a short string");
    let script = v8::Script::compile(scope, source, None).expect("valid code");
    without_array_buffers(|| script.run(scope));
    let error = scope.exception().and_then(|error| error.to_object(scope));
    let key = v8::String::new(scope, "message").expect("a short string");
    if let Some(message) = error.and_then(|error| error.get(scope, key.into())) {
        result.set(message);
    }
}
