//! `structuredClone`, by V8's own serializer.

use std::cell::RefCell;

use v8::{ValueDeserializerHelper, ValueSerializerHelper};

use super::call_internal;

/// What does not travel as bytes within one process.
#[derive(Default)]
struct Shared {
    buffers: RefCell<Vec<v8::Global<v8::SharedArrayBuffer>>>,
    modules: RefCell<Vec<v8::Global<v8::WasmModuleObject>>>,
}

struct Writer<'a>(&'a Shared);
struct Reader<'a>(&'a Shared);

impl v8::ValueSerializerImpl for Writer<'_> {
    fn throw_data_clone_error<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        message: v8::Local<'s, v8::String>,
    ) {
        let error = call_internal(scope, "dataCloneError", &[message.into()])
            .unwrap_or_else(|| v8::Exception::error(scope, message));
        scope.throw_exception(error);
    }

    fn get_shared_array_buffer_id<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        buffer: v8::Local<'s, v8::SharedArrayBuffer>,
    ) -> Option<u32> {
        let mut buffers = self.0.buffers.borrow_mut();
        buffers.push(v8::Global::new(scope, buffer));
        Some(buffers.len() as u32 - 1)
    }

    fn get_wasm_module_transfer_id(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        module: v8::Local<v8::WasmModuleObject>,
    ) -> Option<u32> {
        let mut modules = self.0.modules.borrow_mut();
        modules.push(v8::Global::new(scope, module));
        Some(modules.len() as u32 - 1)
    }
}

impl v8::ValueDeserializerImpl for Reader<'_> {
    fn get_shared_array_buffer_from_id<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        id: u32,
    ) -> Option<v8::Local<'s, v8::SharedArrayBuffer>> {
        let buffers = self.0.buffers.borrow();
        buffers
            .get(id as usize)
            .map(|buffer| v8::Local::new(scope, buffer))
    }

    fn get_wasm_module_from_id<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        id: u32,
    ) -> Option<v8::Local<'s, v8::WasmModuleObject>> {
        let modules = self.0.modules.borrow();
        modules
            .get(id as usize)
            .map(|module| v8::Local::new(scope, module))
    }
}

/// `structuredClone(value, transfer?)`: the copy; throws what `internal.dataCloneError` makes.
pub fn structured_clone(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let transfer = match transfer_list(scope, arguments.get(1)) {
        Ok(transfer) => transfer,
        Err(message) => {
            let message = v8::String::new(scope, message).expect("a short message");
            if let Some(error) = call_internal(scope, "dataCloneError", &[message.into()]) {
                scope.throw_exception(error);
            }
            return;
        }
    };
    let context = scope.get_current_context();
    let shared = Shared::default();
    let serializer = v8::ValueSerializer::new(scope, Box::new(Writer(&shared)));
    serializer.write_header();
    for (id, buffer) in transfer.iter().enumerate() {
        serializer.transfer_array_buffer(id as u32, *buffer);
    }
    if serializer.write_value(context, arguments.get(0)) != Some(true) {
        return;
    }
    let bytes = serializer.release();
    // Detaching comes only after everything was read, so that a failure leaves the originals alone.
    let moved: Vec<_> = transfer
        .iter()
        .map(|buffer| {
            let store = buffer.get_backing_store();
            buffer.detach(None);
            v8::ArrayBuffer::with_backing_store(scope, &store)
        })
        .collect();
    let deserializer = v8::ValueDeserializer::new(scope, Box::new(Reader(&shared)), &bytes);
    if deserializer.read_header(context) != Some(true) {
        return;
    }
    for (id, buffer) in moved.iter().enumerate() {
        deserializer.transfer_array_buffer(id as u32, *buffer);
    }
    if let Some(copy) = deserializer.read_value(context) {
        result.set(copy);
    }
}

/// The ArrayBuffers of a transfer list; each once, none detached.
fn transfer_list<'s>(
    scope: &v8::PinScope<'s, '_>,
    list: v8::Local<'s, v8::Value>,
) -> Result<Vec<v8::Local<'s, v8::ArrayBuffer>>, &'static str> {
    let Ok(list) = v8::Local::<v8::Array>::try_from(list) else {
        return Ok(Vec::new());
    };
    let mut buffers: Vec<v8::Local<v8::ArrayBuffer>> = Vec::new();
    for index in 0..list.length() {
        let item = list.get_index(scope, index);
        let buffer = item.and_then(|item| item.try_into().ok());
        let buffer: v8::Local<v8::ArrayBuffer> =
            buffer.ok_or("a value in the transfer list can't be transferred")?;
        if buffer.was_detached() || !buffer.is_detachable() {
            return Err("an ArrayBuffer in the transfer list is detached already");
        }
        if buffers.contains(&buffer) {
            return Err("an ArrayBuffer stands twice in the transfer list");
        }
        buffers.push(buffer);
    }
    Ok(buffers)
}
