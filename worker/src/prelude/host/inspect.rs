//! What V8 knows of a value without running any code of the user.

type Arguments<'a> = v8::FunctionCallbackArguments<'a>;

/// `promiseDetails(promise)`: `[state, result]`, the state 0 pending, 1 fulfilled, 2 rejected.
pub fn promise_details(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(promise) = v8::Local::<v8::Promise>::try_from(arguments.get(0)) else {
        return;
    };
    let (state, value) = match promise.state() {
        v8::PromiseState::Pending => (0, v8::undefined(scope).into()),
        v8::PromiseState::Fulfilled => (1, promise.result(scope)),
        v8::PromiseState::Rejected => (2, promise.result(scope)),
    };
    let state = v8::Integer::new(scope, state);
    result.set(v8::Array::new_with_elements(scope, &[state.into(), value]).into());
}

/// `proxyDetails(value)`: `[target, handler]`, or nothing when it is no proxy.
pub fn proxy_details(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(proxy) = v8::Local::<v8::Proxy>::try_from(arguments.get(0)) else {
        return;
    };
    let pair = [proxy.get_target(scope), proxy.get_handler(scope)];
    result.set(v8::Array::new_with_elements(scope, &pair).into());
}

/// `previewEntries(object)`: `[entries, whether they are keys and values in turn]`.
pub fn preview_entries(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(object) = v8::Local::<v8::Object>::try_from(arguments.get(0)) else {
        return;
    };
    let (Some(entries), is_key_value) = object.preview_entries(scope) else {
        return;
    };
    let is_key_value = v8::Boolean::new(scope, is_key_value);
    let pair = [entries.into(), is_key_value.into()];
    result.set(v8::Array::new_with_elements(scope, &pair).into());
}

/// `nonIndexKeys(object)`: its own enumerable keys that are no indices, without making a list of
/// those that are. No proxy is ever asked.
pub fn non_index_keys(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(object) = v8::Local::<v8::Object>::try_from(arguments.get(0)) else {
        return;
    };
    let wanted = v8::GetPropertyNamesArgsBuilder::new()
        .mode(v8::KeyCollectionMode::OwnOnly)
        .property_filter(v8::PropertyFilter::ONLY_ENUMERABLE)
        .index_filter(v8::IndexFilter::SkipIndices)
        .key_conversion(v8::KeyConversionMode::KeepNumbers)
        .build();
    if let Some(keys) = object.get_property_names(scope, wanted) {
        result.set(keys.into());
    }
}

/// `typeTag(value)`: which kind of object V8 says it is.
pub fn type_tag(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: Arguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let tag = v8::String::new(scope, tag_of(arguments.get(0))).expect("a short name");
    result.set(tag.into());
}

fn tag_of(value: v8::Local<'_, v8::Value>) -> &'static str {
    macro_rules! first {
        ($($test:ident => $tag:literal,)*) => { $(if value.$test() { return $tag; })* };
    }
    first! {
        is_proxy => "Proxy",
        is_array => "Array",
        is_async_function => "AsyncFunction",
        is_generator_function => "GeneratorFunction",
        is_function => "Function",
        is_map => "Map",
        is_set => "Set",
        is_weak_map => "WeakMap",
        is_weak_set => "WeakSet",
        is_map_iterator => "MapIterator",
        is_set_iterator => "SetIterator",
        is_promise => "Promise",
        is_date => "Date",
        is_reg_exp => "RegExp",
        is_native_error => "NativeError",
        is_generator_object => "Generator",
        is_arguments_object => "Arguments",
        is_boolean_object => "BooleanObject",
        is_number_object => "NumberObject",
        is_string_object => "StringObject",
        is_symbol_object => "SymbolObject",
        is_big_int_object => "BigIntObject",
        is_uint8_array => "Uint8Array",
        is_uint8_clamped_array => "Uint8ClampedArray",
        is_uint16_array => "Uint16Array",
        is_uint32_array => "Uint32Array",
        is_int8_array => "Int8Array",
        is_int16_array => "Int16Array",
        is_int32_array => "Int32Array",
        is_float32_array => "Float32Array",
        is_float64_array => "Float64Array",
        is_big_int64_array => "BigInt64Array",
        is_big_uint64_array => "BigUint64Array",
        is_typed_array => "Float16Array",
        is_data_view => "DataView",
        is_array_buffer => "ArrayBuffer",
        is_shared_array_buffer => "SharedArrayBuffer",
        is_module_namespace_object => "ModuleNamespace",
        is_wasm_module_object => "WasmModuleObject",
        is_wasm_memory_object => "WasmMemoryObject",
        is_external => "External",
        is_object => "Object",
    }
    ""
}
