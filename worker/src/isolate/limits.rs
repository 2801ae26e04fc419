//! A run's bounds that V8 itself must keep.

use core::ffi::{c_char, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::ffi::CStr;

use worker_protocol::{Fatal, FatalKind, Limits, from_worker};

use super::State;
use crate::address_space::layout::{STACK_BYTES, STACK_START};
use crate::channel;

/// The heap that an isolate is made with; a run's own limit replaces it. V8 sizes its young
/// generation by this number.
const HEAP_BYTES_INITIAL: usize = 64 << 20;

/// The native stack that is left below the limit of JavaScript's: for V8's runtime functions,
/// parsers and our own callbacks.
const STACK_RESERVE_BYTES: usize = 2 << 20;

/// The limit of the run under way, for the callback.
static HEAP_BYTES_MAX: AtomicUsize = AtomicUsize::new(HEAP_BYTES_INITIAL);

/// Counts and bounds the memory of ArrayBuffers.
struct ArrayBuffers {
    used: AtomicUsize,
    max: AtomicUsize,
    refused: AtomicBool,
}

static ARRAY_BUFFERS: ArrayBuffers = ArrayBuffers {
    used: AtomicUsize::new(0),
    max: AtomicUsize::new(64 << 20),
    refused: AtomicBool::new(false),
};

static VTABLE: v8::RustAllocatorVtable<ArrayBuffers> = v8::RustAllocatorVtable {
    allocate: allocate_zeroed,
    allocate_uninitialized: allocate_zeroed,
    free: free_buffer,
    drop: drop_allocator,
};

/// Memory is zeroed even where V8 would not mind: what a script never wrote must not depend on what
/// was there before.
unsafe extern "C" fn allocate_zeroed(buffers: &ArrayBuffers, bytes: usize) -> *mut c_void {
    let used = buffers.used.load(Ordering::Relaxed);
    let fits = used
        .checked_add(bytes)
        .is_some_and(|sum| sum <= buffers.max.load(Ordering::Relaxed));
    if !fits {
        buffers.refused.store(true, Ordering::Relaxed);
        return core::ptr::null_mut();
    }
    let memory = crate::address_space::heap::calloc(1, bytes.max(1));
    if !memory.is_null() {
        buffers.used.store(used + bytes, Ordering::Relaxed);
    }
    memory
}

unsafe extern "C" fn free_buffer(buffers: &ArrayBuffers, memory: *mut c_void, bytes: usize) {
    buffers.used.fetch_sub(bytes, Ordering::Relaxed);
    // SAFETY: V8 gives back what `allocate_zeroed` gave it.
    unsafe { crate::address_space::heap::free(memory) };
}

unsafe extern "C" fn drop_allocator(_buffers: *const ArrayBuffers) {}

unsafe extern "C" {
    /// `v8::Isolate::SetStackLimit(uintptr_t)`, which the binding leaves out.
    #[link_name = "_ZN2v87Isolate13SetStackLimitEm"]
    fn set_stack_limit(isolate: *mut c_void, limit: usize);
}

/// How an isolate is made.
pub fn create_params() -> v8::CreateParams {
    // SAFETY: both are statics.
    let allocator = unsafe { v8::new_rust_allocator(&raw const ARRAY_BUFFERS, &VTABLE) };
    v8::CreateParams::default()
        .heap_limits(0, HEAP_BYTES_INITIAL)
        .array_buffer_allocator(allocator.make_shared())
        // A worker has one thread: to wait for another would be to wait for ever.
        .allow_atomics_wait(false)
}

/// The bounds of a run that was given none, in a trial.
pub fn defaults() -> Limits {
    Limits {
        heap_bytes: HEAP_BYTES_INITIAL as u64,
        array_buffer_bytes: 64 << 20,
        stack_bytes: 1 << 20,
        result_bytes: 1 << 20,
    }
}

/// Whether an earlier run of this process's line has put its heap limit in force.
static HAS_HEAP_LIMIT: AtomicBool = AtomicBool::new(false);

/// Puts a run's bounds in force.
pub fn apply(isolate: &mut v8::Isolate, limits: &Limits) {
    let heap_bytes = (limits.heap_bytes as usize).max(1 << 20);
    HEAP_BYTES_MAX.store(heap_bytes, Ordering::Relaxed);
    // V8 has no way to set a limit but this one, and takes a callback only once.
    let before = HAS_HEAP_LIMIT.swap(true, Ordering::Relaxed);
    if !before {
        isolate.add_near_heap_limit_callback(on_near_heap_limit, core::ptr::null_mut());
    }
    if before || heap_bytes < HEAP_BYTES_INITIAL {
        isolate.remove_near_heap_limit_callback(on_near_heap_limit, heap_bytes);
        isolate.add_near_heap_limit_callback(on_near_heap_limit, core::ptr::null_mut());
    }
    ARRAY_BUFFERS
        .max
        .store(limits.array_buffer_bytes as usize, Ordering::Relaxed);
    ARRAY_BUFFERS.refused.store(false, Ordering::Relaxed);
    let stack_bytes = (limits.stack_bytes as usize).min(STACK_BYTES - STACK_RESERVE_BYTES);
    // SAFETY: the limit lies inside the stack that this thread runs on.
    unsafe {
        // A raw isolate pointer is what the method's `this` is.
        let this: *mut c_void = core::mem::transmute(isolate.as_raw_isolate_ptr());
        set_stack_limit(this, STACK_START + STACK_BYTES - stack_bytes);
    }
}

/// Whether an ArrayBuffer was refused for its size since the run began.
pub fn array_buffer_refused() -> bool {
    ARRAY_BUFFERS.refused.load(Ordering::Relaxed)
}

/// Makes the next ArrayBuffer fail, whatever its size, while `body` runs.
pub fn without_array_buffers<T>(body: impl FnOnce() -> T) -> T {
    let max = ARRAY_BUFFERS.max.swap(0, Ordering::Relaxed);
    let result = body();
    ARRAY_BUFFERS.max.store(max, Ordering::Relaxed);
    ARRAY_BUFFERS.refused.store(false, Ordering::Relaxed);
    result
}

/// V8 is about to pass its limit: a larger one of this run is raised to, else the run is over. The
/// process ends here and now, since V8 would go on only to abort.
unsafe extern "C" fn on_near_heap_limit(
    _data: *mut c_void,
    current: usize,
    _initial: usize,
) -> usize {
    let max = HEAP_BYTES_MAX.load(Ordering::Relaxed);
    if current < max {
        return max;
    }
    end(
        FatalKind::HeapLimit,
        format!("the JavaScript heap reached its limit of {max} bytes"),
    )
}

/// V8 gives up for lack of memory.
pub unsafe extern "C" fn on_oom(location: *const c_char, details: &v8::OomDetails) {
    let text = |pointer: *const c_char| {
        if pointer.is_null() {
            return std::borrow::Cow::Borrowed("");
        }
        // SAFETY: V8's own constants.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy()
    };
    let kind = if details.is_heap_oom {
        FatalKind::HeapLimit
    } else {
        FatalKind::OutOfMemory
    };
    let mut message = format!("{} {}", text(location), text(details.detail))
        .trim()
        .to_owned();
    if crate::address_space::mappings::ran_out_of_entries() {
        message.push_str(": too many separate mappings of memory");
    }
    end(kind, message);
}

/// V8 meets a state that it can't go on from.
pub fn on_fatal(file: &str, line: i32, message: &str) {
    end(FatalKind::Internal, format!("{message} ({file}:{line})"));
}

/// Sends what was printed and the reason, and ends the process.
fn end(kind: FatalKind, message: String) -> ! {
    // V8 calls from anywhere, even while a line is added.
    if let Ok(mut console) = State::current().console.try_borrow_mut() {
        console.flush();
    }
    channel::send(from_worker::Frame::Fatal(Fatal {
        kind: kind as i32,
        message,
    }));
    channel::exit(2)
}
