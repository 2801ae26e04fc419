//! V8 in this process: one isolate, one context, one inspector session through which all user code
//! goes.

mod console;
mod errors;
mod globals;
mod inspector;
mod limits;
mod platform;
mod rejections;
mod repl;
mod run;
mod state;

pub use limits::without_array_buffers;
pub use state::State;

use std::rc::Rc;

use crate::address_space::written_pages::WrittenPages;
use crate::prelude::Prelude;
use inspector::Inspector;

/// V8's flags. They are part of what an engine is: changing one makes a new engine.
///
/// One thread and nothing that another could do; the seeds are constants because every worker of an
/// engine starts from the same pages anyway, and nothing rests on them. The flags' own page stays
/// writable, since the table of mappings knows nothing of the program's variables.
const FLAGS: &str = "--single-threaded --hash-seed=20261 --random-seed=20261 \
    --stack-size=900 --no-freeze-flags-after-init";

/// All of V8's flags, with those that a node asks for.
pub fn flags(more: &str) -> String {
    let flags = [FLAGS, crate::arch::V8_BASELINE_FLAGS, more];
    let all: Vec<&str> = flags.into_iter().flat_map(str::split_whitespace).collect();
    all.join(" ")
}

/// The name under which user code appears in stacks.
pub const SCRIPT_NAME: &str = "main.js";

/// A live isolate with its handles, on V8's thread.
pub struct Isolate<'a, 's, 'i> {
    scope: &'a mut v8::PinScope<'s, 'i>,
    state: Rc<State>,
    prelude: Prelude,
    inspector: Inspector,
    /// What a child fetches while it waits.
    pub written_pages: WrittenPages,
    /// The huge pages of the program's constants that the warm-up used.
    pub constants_used: Vec<u64>,
}

impl Isolate<'_, '_, '_> {
    /// Starts V8, loads and warms the prelude, and hands the isolate to `body`, which ends the
    /// process.
    pub fn enter(
        flags: &str,
        body: impl FnOnce(&mut Isolate<'_, '_, '_>) -> std::convert::Infallible,
    ) -> ! {
        v8::V8::set_flags_from_string(flags);
        v8::V8::set_entropy_source(|buffer: &mut [u8]| {
            buffer.fill(0x5a);
            true
        });
        v8::V8::set_fatal_error_handler(limits::on_fatal);
        let platform = platform::initialize();
        let mut isolate = v8::Isolate::new(limits::create_params());
        let state = State::current();
        isolate.set_microtasks_policy(v8::MicrotasksPolicy::Explicit);
        isolate.set_promise_reject_callback(rejections::on_promise_reject);
        isolate.set_capture_stack_trace_for_uncaught_exceptions(true, 32);
        isolate.set_host_import_module_dynamically_callback(errors::on_import);
        isolate.set_oom_error_handler(limits::on_oom);
        state.platform.replace(Some(platform));

        v8::scope!(let handles, &mut isolate);
        let context = v8::Context::new(handles, v8::ContextOptions::default());
        let scope = &mut v8::ContextScope::new(handles, context);
        let inspector = Inspector::connect(scope, context);
        // The inspector brings a console of its own when it finds none; the prelude's comes after it
        // and replaces it.
        let prelude = Prelude::load(scope);
        let mut isolate = Isolate {
            scope,
            state,
            prelude,
            inspector,
            written_pages: WrittenPages::default(),
            constants_used: Vec::new(),
        };
        isolate.warm_up();
        match body(&mut isolate) {}
    }
}
