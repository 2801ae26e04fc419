//! V8's platform: no threads; its foreground tasks run when the run's loop pumps them.

/// Starts V8 on the single-threaded platform.
pub fn initialize() -> v8::SharedRef<v8::Platform> {
    let platform = v8::new_single_threaded_default_platform(false).make_shared();
    v8::V8::initialize_platform(platform.clone());
    v8::V8::initialize();
    platform
}

/// Runs the tasks that are due; tells whether there was one.
pub fn pump(platform: &v8::SharedRef<v8::Platform>, isolate: &v8::Isolate) -> bool {
    let mut any = false;
    while v8::Platform::pump_message_loop(platform, isolate, false) {
        any = true;
    }
    any
}
