//! Any bytes as a delta.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    process_image_fuzz::delta(data);
});
