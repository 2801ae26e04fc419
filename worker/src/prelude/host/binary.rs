//! Random bytes and digests.

use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{array_buffer, view_bytes};

/// `fillRandom(uint8array)`: random bytes from the kernel.
pub fn fill_random(
    _scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    _result: v8::ReturnValue<'_, v8::Value>,
) {
    let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(arguments.get(0)) else {
        return;
    };
    let data = view.data().cast::<u8>();
    let mut filled = 0;
    while filled < view.byte_length() {
        // SAFETY: the view's own bytes, of which `filled` are done.
        let got =
            unsafe { libc::getrandom(data.add(filled).cast(), view.byte_length() - filled, 0) };
        // It fails only when interrupted; random bytes can't be done without.
        if got > 0 {
            filled += got as usize;
        }
    }
}

/// `digest(name, uint8array)`: an ArrayBuffer, or nothing for a name that is not known.
pub fn digest(
    scope: &mut v8::PinScope<'_, '_>,
    arguments: v8::FunctionCallbackArguments<'_>,
    mut result: v8::ReturnValue<'_, v8::Value>,
) {
    let Some(bytes) = view_bytes(arguments.get(1)) else {
        return;
    };
    let digest = match arguments.get(0).to_rust_string_lossy(scope).as_str() {
        "SHA-1" => Sha1::digest(&bytes).to_vec(),
        "SHA-256" => Sha256::digest(&bytes).to_vec(),
        "SHA-384" => Sha384::digest(&bytes).to_vec(),
        "SHA-512" => Sha512::digest(&bytes).to_vec(),
        _ => return,
    };
    result.set(array_buffer(scope, &digest).into());
}
