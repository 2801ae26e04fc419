//! One run, from its frame to its end.

use worker_protocol::{Done, ErrorKind, Language, Run, ScriptError};

use super::errors::Place;
use super::repl::{self, Evaluated};
use super::{Isolate, limits, platform};
use crate::address_space::written_pages::WrittenPages;
use crate::address_space::{clock, heap, program_pages, stack};
use crate::deep_source::guarded;
use crate::typescript::{self, Stripped};

/// How often waiters of `Atomics.waitAsync` are looked at: V8 keeps their deadlines to itself.
const WAITER_POLL_NS: i64 = 500_000;

/// How often the warm-up evaluates what most runs have in common: until all that V8 would compile
/// better is compiled, so that no run pays for it.
const WARM_ROUNDS: usize = 6;

/// The longest single sleep, so that a jump of the clock can't make one last for ever.
const SLEEP_NS_MAX: i64 = 1_000_000_000;

/// An evaluation that came to its end.
pub(super) enum Settled {
    Value(v8::Global<v8::Value>),
    Thrown {
        value: v8::Global<v8::Value>,
        place: Option<Place>,
        at_compile_time: bool,
    },
}

/// Why a run has no value.
enum Failure {
    Thrown {
        value: v8::Global<v8::Value>,
        place: Option<Place>,
        syntax: bool,
    },
    Ours(ScriptError),
}

impl Isolate<'_, '_, '_> {
    /// Runs the prelude's representative work and a few evaluations, so that children find it
    /// compiled.
    pub fn warm_up(&mut self) {
        self.state.muted.set(true);
        self.prelude
            .start_run(self.scope, &[0; 32], Some("{\"warm\":[1,2,3]}"));
        self.prelude.warm_up(self.scope);
        for _ in 0..WARM_ROUNDS {
            self.evaluate_typical();
        }
        self.scope.low_memory_notification();
        program_pages::forget_used_constants();
        self.evaluate_typical();
        self.prelude.start_run(self.scope, &[0; 32], None);
        self.state.muted.set(false);
        self.constants_used = program_pages::used_constants();
        program_pages::share_with_forks(&self.constants_used);
        heap::start_afresh();
        self.written_pages = WrittenPages::of(|| {
            let run = Run {
                seed: vec![0; 32],
                code: "1 + 2".to_owned(),
                limits: Some(limits::defaults()),
                ..Run::default()
            };
            let done = self.run(&run, Language::Auto);
            drop(worker_protocol::encode(&done));
        });
        stack::drop_unused();
    }

    /// Evaluates what most runs have in common. None of it leaves a name behind.
    fn evaluate_typical(&mut self) {
        for code in [
            "1 + 2",
            "Promise.resolve(1)",
            "{ const warm = await 1; warm }",
            "throw new Error('warm')",
            "console.log('warm', [1], { a: 1 }); ({ a: [1] })",
        ] {
            let run = Run {
                code: code.to_owned(),
                ..Run::default()
            };
            let done = self.evaluate_and_drain(&run, Language::JavaScript);
            assert!(
                done.error.is_some() == code.starts_with("throw"),
                "{code}: {done:?}"
            );
        }
        self.scope.perform_microtask_checkpoint();
    }

    /// Evaluates a frame's code, drains what it started, and renders the result.
    pub fn run(&mut self, run: &Run, language: Language) -> Done {
        clock::resume(run.virtual_clock);
        if self.state.started_ns.get() == 0 {
            self.state.started_ns.set(clock::monotonic_ns());
        }
        if let Some(bounds) = &run.limits {
            limits::apply(self.scope, bounds);
        }
        self.prelude
            .start_run(self.scope, &run.seed, run.input_json.as_deref());
        let done = match run.globals {
            true => self.globals(),
            false => self.evaluate_and_drain(run, language),
        };
        self.state.console.borrow_mut().flush();
        done
    }

    fn evaluate_and_drain(&mut self, run: &Run, language: Language) -> Done {
        let mut done = Done::default();
        let mut stripped = None;
        let outcome = self.settle(run, language, &mut stripped, &mut done.warnings);
        let outcome = outcome.and_then(|value| self.render(&value, run, &mut done));
        if let Err(failure) = outcome {
            done.error = Some(self.describe(failure, stripped.as_ref()));
        }
        self.inspector.release();
        self.state.uncaught.replace(None);
        self.state.rejections.borrow_mut().clear();
        done
    }

    fn settle(
        &mut self,
        run: &Run,
        language: Language,
        stripped: &mut Option<Stripped>,
        warnings: &mut Vec<String>,
    ) -> Result<v8::Global<v8::Value>, Failure> {
        if language == Language::TypeScript {
            *stripped = Some(strip(&run.code)?);
        }
        match stripped {
            Some(stripped) => {
                let code = stripped.code.clone();
                self.evaluate(&code);
            }
            None => self.evaluate_javascript(&run.code),
        }
        // Code that does not parse is told at once, before anything of it ran.
        let mut settled = self.take_reply();
        if let Some(Settled::Thrown {
            value,
            place,
            at_compile_time: true,
        }) = &settled
            && language != Language::TypeScript
            // What is too deep for V8's parser is too deep for the other one.
            && !self.is_stack_overflow(value)
            && !guarded(|| typescript::is_script(&run.code))
        {
            if guarded(|| typescript::has_modules(&run.code)) {
                return Err(modules_unsupported());
            }
            let as_typescript = match language {
                Language::Auto => guarded(|| typescript::strip(&run.code)).ok(),
                _ => None,
            };
            let Some(code) = as_typescript else {
                let place = place.map(|place| within(&run.code, place));
                return Err(Failure::Thrown {
                    value: value.clone(),
                    place,
                    syntax: true,
                });
            };
            self.evaluate(&code.code);
            *stripped = Some(code);
            settled = self.take_reply();
        }
        self.drain(settled, warnings)
    }

    fn is_stack_overflow(&mut self, thrown: &v8::Global<v8::Value>) -> bool {
        v8::scope!(let scope, self.scope);
        let thrown = v8::Local::new(scope, thrown);
        self.prelude.describe_error(scope, thrown).is_stack_overflow
    }

    /// A console takes `{a: 1}` for an object; the language alone would take it for a block.
    fn evaluate_javascript(&mut self, code: &str) {
        let trimmed = code.trim();
        if trimmed.starts_with('{') && trimmed.ends_with('}') && self.is_expression(trimmed) {
            self.evaluate(&format!("({code}\n)"));
        } else {
            self.evaluate(code);
        }
    }

    fn is_expression(&mut self, code: &str) -> bool {
        v8::tc_scope!(let scope, self.scope);
        v8::String::new(scope, &format!("({code}\n)"))
            .is_some_and(|source| v8::Script::compile(scope, source, None).is_some())
    }

    /// Runs microtasks, platform tasks and timers until nothing is left that the run waits for.
    fn drain(
        &mut self,
        mut settled: Option<Settled>,
        warnings: &mut Vec<String>,
    ) -> Result<v8::Global<v8::Value>, Failure> {
        let intervals;
        loop {
            self.checkpoint();
            if let Some(value) = self.take_uncaught() {
                return Err(Failure::Thrown {
                    value,
                    place: None,
                    syntax: false,
                });
            }
            if settled.is_none() {
                settled = self.take_reply();
            }
            if let Some(Settled::Thrown { value, place, .. }) = settled {
                return Err(Failure::Thrown {
                    value,
                    place,
                    syntax: false,
                });
            }
            let pending = self.follow_promise(&mut settled);
            if matches!(settled, Some(Settled::Thrown { .. })) {
                continue;
            }
            let left = self.prelude.pending(self.scope);
            if settled.is_some() && !pending && !left.waiters && !left.timeouts {
                intervals = left.timers;
                break;
            }
            let next_ms = match left.timers {
                true => self.prelude.next_timer_ms(self.scope),
                false => -1.0,
            };
            if next_ms < 0.0 && !left.waiters {
                return Err(never_settles());
            }
            let mut wait_ns = if next_ms < 0.0 {
                SLEEP_NS_MAX
            } else {
                (next_ms * 1e6) as i64
            };
            if left.waiters {
                wait_ns = wait_ns.min(WAITER_POLL_NS);
            }
            if wait_ns > 0 {
                self.state.console.borrow_mut().flush();
                clock::sleep_ns(wait_ns.min(SLEEP_NS_MAX));
            }
            self.prelude.run_timers(self.scope);
        }
        let cleared = match intervals {
            true => self.prelude.clear_intervals(self.scope),
            false => 0,
        };
        match settled {
            Some(Settled::Value(value)) => {
                if cleared > 0 {
                    let noun = if cleared == 1 {
                        "interval was"
                    } else {
                        "intervals were"
                    };
                    warnings.push(format!(
                        "{cleared} {noun} still running and ended with the run"
                    ));
                }
                Ok(value)
            }
            _ => Err(never_settles()),
        }
    }

    /// A result that is a promise stands for what it comes to. Tells whether it is still pending.
    fn follow_promise(&mut self, settled: &mut Option<Settled>) -> bool {
        let Some(Settled::Value(value)) = settled else {
            return false;
        };
        v8::scope!(let scope, self.scope);
        let value = v8::Local::new(scope, &*value);
        let Ok(promise) = v8::Local::<v8::Promise>::try_from(value) else {
            return false;
        };
        match promise.state() {
            v8::PromiseState::Pending => return true,
            v8::PromiseState::Fulfilled => {
                let result = promise.result(scope);
                *settled = Some(Settled::Value(v8::Global::new(scope, result)));
            }
            v8::PromiseState::Rejected => {
                let reason = promise.result(scope);
                let value = v8::Global::new(scope, reason);
                *settled = Some(Settled::Thrown {
                    value,
                    place: None,
                    at_compile_time: false,
                });
            }
        }
        false
    }

    fn checkpoint(&mut self) {
        loop {
            self.scope.perform_microtask_checkpoint();
            let platform = self.state.platform.borrow().clone();
            let Some(platform) = platform else { return };
            if !platform::pump(&platform, self.scope) {
                return;
            }
        }
    }

    fn take_uncaught(&mut self) -> Option<v8::Global<v8::Value>> {
        if let Some(value) = self.state.uncaught.take() {
            return Some(value);
        }
        let mut rejections = self.state.rejections.borrow_mut();
        if rejections.is_empty() {
            None
        } else {
            Some(rejections.remove(0).1)
        }
    }

    pub(super) fn take_reply(&mut self) -> Option<Settled> {
        let reply = self.state.reply.take()?;
        v8::tc_scope!(let scope, self.scope);
        Some(match repl::read(scope, &self.inspector, &reply) {
            Some(Evaluated::Value(value)) => Settled::Value(v8::Global::new(scope, value)),
            Some(Evaluated::Thrown {
                value,
                place,
                at_compile_time,
            }) => Settled::Thrown {
                value: v8::Global::new(scope, value),
                place,
                at_compile_time,
            },
            None => {
                let message = v8::String::new(scope, "the result could not be read");
                let message = message.unwrap_or_else(|| v8::String::empty(scope));
                let error = v8::Exception::error(scope, message);
                Settled::Thrown {
                    value: v8::Global::new(scope, error),
                    place: None,
                    at_compile_time: false,
                }
            }
        })
    }

    fn render(
        &mut self,
        value: &v8::Global<v8::Value>,
        run: &Run,
        done: &mut Done,
    ) -> Result<(), Failure> {
        let bytes_max = run
            .limits
            .as_ref()
            .map_or(1 << 20, |limits| limits.result_bytes);
        match self.prelude.render(self.scope, value, bytes_max) {
            Ok(rendered) => {
                done.result_json = rendered.json;
                done.result_text_bytes = rendered.text_bytes;
                done.result_text = rendered.text;
                done.result_truncated = rendered.truncated;
                if rendered.json_too_large {
                    return Err(Failure::Ours(ours(
                        ErrorKind::ResultLimit,
                        "ResultTooLarge",
                        format!("the result as JSON is over the limit of {bytes_max} bytes"),
                    )));
                }
                Ok(())
            }
            Err(thrown) => {
                let mut error = self.describe(
                    Failure::Thrown {
                        value: thrown,
                        place: None,
                        syntax: false,
                    },
                    None,
                );
                error.kind = ErrorKind::ResultUnrenderable as i32;
                Err(Failure::Ours(error))
            }
        }
    }

    fn describe(&mut self, failure: Failure, stripped: Option<&Stripped>) -> ScriptError {
        match failure {
            Failure::Ours(error) => error,
            Failure::Thrown {
                value,
                place,
                syntax,
            } => self.script_error(&value, place, stripped, syntax),
        }
    }
}

/// The comment that names the script is ours: an error at its end is one at the end of the code.
fn within(code: &str, place: Place) -> Place {
    let lines = code.split('\n').count() as u32;
    if place.line <= lines {
        return place;
    }
    let last = code.rsplit('\n').next().unwrap_or("");
    Place {
        line: lines,
        column: last.encode_utf16().count() as u32 + 1,
    }
}

fn strip(code: &str) -> Result<Stripped, Failure> {
    if guarded(|| typescript::has_modules(code)) {
        return Err(modules_unsupported());
    }
    guarded(|| typescript::strip(code)).map_err(|error| {
        let mut ours = ours(ErrorKind::Syntax, "SyntaxError", error.message);
        (ours.line, ours.column) = (error.line, error.column);
        Failure::Ours(ours)
    })
}

fn ours(kind: ErrorKind, name: &str, message: String) -> ScriptError {
    ScriptError {
        kind: kind as i32,
        name: name.to_owned(),
        message,
        ..ScriptError::default()
    }
}

fn modules_unsupported() -> Failure {
    Failure::Ours(ours(
        ErrorKind::ModulesUnsupported,
        "SyntaxError",
        "import and export are not available: code runs as in a console, with nothing to import \
         from; the value of the last expression is the result"
            .to_owned(),
    ))
}

fn never_settles() -> Failure {
    Failure::Ours(ours(
        ErrorKind::NeverSettles,
        "NeverSettles",
        "the result is a promise that nothing is left to settle: no timer, no waiter, no microtask"
            .to_owned(),
    ))
}
