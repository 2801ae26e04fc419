//! Any bytes as an image.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    process_image_fuzz::image(data);
});
