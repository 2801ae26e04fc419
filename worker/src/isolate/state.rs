use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::console::ConsoleBuffer;
use super::inspector::Reply;

/// What V8's callbacks and the run share. There is one isolate in a worker, on one thread.
#[derive(Default)]
pub struct State {
    /// Lines that are not sent yet.
    pub console: RefCell<ConsoleBuffer>,
    /// The first error that nobody caught: of a timer, a listener, a microtask.
    pub uncaught: RefCell<Option<v8::Global<v8::Value>>>,
    /// Rejected promises without a handler, in the order of their rejection.
    pub rejections: RefCell<Vec<(v8::Global<v8::Promise>, v8::Global<v8::Value>)>>,
    /// The inspector's answer to the evaluation under way.
    pub reply: RefCell<Option<Reply>>,
    /// The id of the evaluation under way; answers to others are dropped.
    pub call_id: Cell<i32>,
    /// Prelude code runs that must not print.
    pub muted: Cell<bool>,
    /// When the first run of this world began, in nanoseconds of monotonic time.
    pub started_ns: Cell<i64>,
    /// Keeps the platform alive, and lets its tasks be pumped.
    pub platform: RefCell<Option<v8::SharedRef<v8::Platform>>>,
}

thread_local! {
    static CURRENT: Rc<State> = Rc::default();
}

impl State {
    /// The state of this thread's isolate.
    pub fn current() -> Rc<State> {
        CURRENT.with(Rc::clone)
    }
}
