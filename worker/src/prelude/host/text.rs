//! Text to bytes and back.

use encoding_rs::Encoding;

use super::{uint8_array, view_bytes};

/// `utf8Encode(string)`: a Uint8Array; lone surrogates become U+FFFD.
pub fn utf8_encode(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let text = arguments.get(0).to_rust_string_lossy(scope);
    result.set(uint8_array(scope, text.as_bytes()).into());
}

/// `utf8EncodeInto(string, uint8array)`: `[read, written]`, in UTF-16 units and bytes; only whole
/// characters are written.
pub fn utf8_encode_into(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(arguments.get(1)) else {
        return;
    };
    let text = arguments.get(0).to_rust_string_lossy(scope);
    let mut read = 0;
    let mut written = 0;
    for character in text.chars() {
        if written + character.len_utf8() > view.byte_length() {
            break;
        }
        written += character.len_utf8();
        read += character.len_utf16();
    }
    if written > 0 {
        // SAFETY: at most the view's own length is written, and nothing else runs meanwhile.
        unsafe {
            core::ptr::copy_nonoverlapping(text.as_ptr(), view.data().cast::<u8>(), written);
        }
    }
    let pair = [
        v8::Number::new(scope, read as f64).into(),
        v8::Number::new(scope, written as f64).into(),
    ];
    result.set(v8::Array::new_with_elements(scope, &pair).into());
}

/// `utf8Length(string)`: in bytes.
pub fn utf8_length(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    if let Ok(text) = v8::Local::<v8::String>::try_from(arguments.get(0)) {
        result.set_double(text.utf8_length(scope) as f64);
    }
}

/// `encodingFor(label)`: the encoding's name in lower case, or nothing.
pub fn encoding_for(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let label = arguments.get(0).to_rust_string_lossy(scope);
    if let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) {
        let name = v8::String::new(scope, &encoding.name().to_ascii_lowercase());
        result.set(name.expect("a short name").into());
    }
}

/// `decode(name, uint8array, fatal, ignoreBOM)`: a string, or nothing when `fatal` and malformed.
pub fn decode(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let name = arguments.get(0).to_rust_string_lossy(scope);
    let (Some(encoding), Some(bytes)) = (
        Encoding::for_label_no_replacement(name.as_bytes()),
        view_bytes(arguments.get(1)),
    ) else {
        return;
    };
    let fatal = arguments.get(2).is_true();
    let keeps_mark = arguments.get(3).is_true();
    let mut decoder = if keeps_mark {
        encoding.new_decoder_without_bom_handling()
    } else {
        encoding.new_decoder_with_bom_removal()
    };
    let Some(capacity) = decoder.max_utf8_buffer_length(bytes.len()) else {
        return;
    };
    let mut text = String::with_capacity(capacity);
    if fatal {
        let (end, _) = decoder.decode_to_string_without_replacement(&bytes, &mut text, true);
        if end != encoding_rs::DecoderResult::InputEmpty {
            return;
        }
    } else {
        let (_, _, _) = decoder.decode_to_string(&bytes, &mut text, true);
    }
    if let Some(text) = v8::String::new(scope, &text) {
        result.set(text.into());
    }
}
