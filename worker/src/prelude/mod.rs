//! The JavaScript that is there before any user code, and its ways into Rust and back.
//!
//! The files in `js/` are bodies of functions of `host`, which holds the functions of `host/`, and
//! of `internal`, an object through which they and this module meet. User code sees neither.

mod host;

/// Whether a script of this name is the prelude's.
pub fn is_own_script(name: &str) -> bool {
    name.starts_with(host::SCRIPT_PREFIX)
}

/// Each file's name and text, in the order of their numbers.
static FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/prelude.rs"));

/// The functions of `internal` that are called from here.
pub struct Prelude {
    start_run: v8::Global<v8::Function>,
    warm_up: v8::Global<v8::Function>,
    run_timers: v8::Global<v8::Function>,
    next_timer_ms: v8::Global<v8::Function>,
    pending: v8::Global<v8::Function>,
    clear_intervals: v8::Global<v8::Function>,
    render: v8::Global<v8::Function>,
    describe_error: v8::Global<v8::Function>,
    globals: v8::Global<v8::Function>,
    global_text: v8::Global<v8::Function>,
}

/// What a run may still wait for.
pub struct Pending {
    /// An `Atomics.waitAsync` with a deadline is open.
    pub waiters: bool,
    /// A one-shot timer is set.
    pub timeouts: bool,
    /// A timer of any kind is set.
    pub timers: bool,
}

/// A value as JSON and as text.
pub struct Rendered {
    /// JSON, when it has one that fits.
    pub json: Option<String>,
    /// What a console prints.
    pub text: String,
    /// The length of `text` before it was cut.
    pub text_bytes: u64,
    /// One of both was cut or left out.
    pub truncated: bool,
    /// There is JSON, but it is over the limit.
    pub json_too_large: bool,
}

/// A thrown value, told.
pub struct Described {
    /// The error's name.
    pub name: String,
    /// Its message.
    pub message: String,
    /// Its stack, or nothing.
    pub stack: String,
    /// It is V8's own error for a stack overflow.
    pub is_stack_overflow: bool,
    /// It is V8's own error for an ArrayBuffer that was refused.
    pub is_array_buffer_limit: bool,
}

type Call<'s> = Result<v8::Local<'s, v8::Value>, v8::Global<v8::Value>>;

impl Prelude {
    /// Runs the files.
    ///
    /// # Panics
    /// When one of them throws: the worker is broken then, and must not start.
    pub fn load(scope: &mut v8::PinScope<'_, '_>) -> Self {
        v8::tc_scope!(let scope, scope);
        let host = host::object(scope);
        let null = v8::null(scope).into();
        let internal = v8::Object::with_prototype_and_properties(scope, null, &[], &[]);
        for (name, text) in FILES {
            let loaded = Self::load_file(scope, host, internal, name, text);
            if loaded.is_none() {
                let error = scope
                    .exception()
                    .map(|error| error.to_rust_string_lossy(scope));
                panic!("the prelude's {name}: {}", error.unwrap_or_default());
            }
        }
        host::set_internal(scope, internal);
        let function = |name: &str| {
            let key = v8::String::new(scope, name).expect("a short name");
            let value = internal.get(scope, key.into());
            let function: Option<v8::Local<v8::Function>> =
                value.and_then(|value| value.try_into().ok());
            let function = function.unwrap_or_else(|| panic!("the prelude lacks {name}"));
            v8::Global::new(scope, function)
        };
        Self {
            start_run: function("startRun"),
            warm_up: function("warmUp"),
            run_timers: function("runTimers"),
            next_timer_ms: function("nextTimerMs"),
            pending: function("pending"),
            clear_intervals: function("clearIntervals"),
            render: function("render"),
            describe_error: function("describeError"),
            globals: function("globals"),
            global_text: function("globalText"),
        }
    }

    fn load_file<'s>(
        scope: &v8::PinScope<'s, '_>,
        host: v8::Local<'s, v8::Object>,
        internal: v8::Local<'s, v8::Object>,
        name: &str,
        text: &str,
    ) -> Option<v8::Local<'s, v8::Value>> {
        // One line in front, so that lines are off by none: the text begins on it.
        let source = format!("(function (host, internal) {{ \"use strict\"; {text}\n}})");
        let source = v8::String::new(scope, &source)?;
        let name = v8::String::new(scope, &format!("{}{name}", host::SCRIPT_PREFIX))?;
        let origin = v8::ScriptOrigin::new(
            scope,
            name.into(),
            0,
            0,
            false,
            -1,
            None,
            false,
            false,
            false,
            None,
        );
        let script = v8::Script::compile(scope, source, Some(&origin))?;
        let function: v8::Local<v8::Function> = script.run(scope)?.try_into().ok()?;
        let undefined = v8::undefined(scope).into();
        function.call(scope, undefined, &[host.into(), internal.into()])
    }

    fn call<'s>(
        scope: &v8::PinScope<'s, '_>,
        function: &v8::Global<v8::Function>,
        arguments: &[v8::Local<'s, v8::Value>],
    ) -> Option<v8::Local<'s, v8::Value>> {
        let undefined = v8::undefined(scope).into();
        v8::Local::new(scope, function).call(scope, undefined, arguments)
    }

    /// Calls a function that takes nothing and gives a number; 0 when it throws, which only a
    /// shortage of stack or memory could make it do.
    fn number(scope: &mut v8::PinScope<'_, '_>, function: &v8::Global<v8::Function>) -> f64 {
        v8::tc_scope!(let scope, scope);
        Self::call(scope, function, &[])
            .and_then(|value| value.number_value(scope))
            .unwrap_or(0.0)
    }

    /// Begins a run: forgets the last one's timers, seeds `Math.random`, sets `input`.
    pub fn start_run(&self, scope: &mut v8::PinScope<'_, '_>, seed: &[u8], input: Option<&str>) {
        v8::tc_scope!(let scope, scope);
        let [a, b, c, d] = seed_words(seed).map(|word| v8::Integer::new(scope, word).into());
        let has_input = v8::Boolean::new(scope, input.is_some());
        let input = v8::String::new(scope, input.unwrap_or("")).unwrap_or(v8::String::empty(scope));
        Self::call(
            scope,
            &self.start_run,
            &[a, b, c, d, has_input.into(), input.into()],
        );
    }

    /// Runs the prelude's representative work.
    pub fn warm_up(&self, scope: &mut v8::PinScope<'_, '_>) {
        v8::tc_scope!(let scope, scope);
        if Self::call(scope, &self.warm_up, &[]).is_none() {
            let error = scope
                .exception()
                .map(|error| error.to_rust_string_lossy(scope));
            panic!("the prelude's warm-up: {}", error.unwrap_or_default());
        }
    }

    /// Runs the timers that are due.
    pub fn run_timers(&self, scope: &mut v8::PinScope<'_, '_>) {
        Self::number(scope, &self.run_timers);
    }

    /// Milliseconds to the next timer, negative when there is none.
    pub fn next_timer_ms(&self, scope: &mut v8::PinScope<'_, '_>) -> f64 {
        Self::number(scope, &self.next_timer_ms)
    }

    /// What a run may still wait for.
    pub fn pending(&self, scope: &mut v8::PinScope<'_, '_>) -> Pending {
        let bits = Self::number(scope, &self.pending) as u32;
        Pending {
            waiters: bits & 1 != 0,
            timeouts: bits & 2 != 0,
            timers: bits & 4 != 0,
        }
    }

    /// Ends all intervals; tells how many.
    pub fn clear_intervals(&self, scope: &mut v8::PinScope<'_, '_>) -> u64 {
        Self::number(scope, &self.clear_intervals) as u64
    }

    /// Renders a value, which can run user code (`toJSON`, getters); gives what it threw.
    pub fn render(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        value: &v8::Global<v8::Value>,
        bytes_max: u64,
    ) -> Result<Rendered, v8::Global<v8::Value>> {
        v8::tc_scope!(let scope, scope);
        let value = v8::Local::new(scope, value);
        let bytes_max = v8::Number::new(scope, bytes_max as f64);
        let called = Self::call(scope, &self.render, &[value, bytes_max.into()]);
        let result: Call = called.ok_or_else(|| {
            let thrown = scope
                .exception()
                .unwrap_or_else(|| v8::undefined(scope).into());
            v8::Global::new(scope, thrown)
        });
        let result = result?;
        let json = element(scope, result, 0).filter(|json| json.is_string());
        Ok(Rendered {
            json: json.map(|json| whole_characters(json.to_rust_string_lossy(scope))),
            text: text(scope, result, 1),
            truncated: flag(scope, result, 2),
            text_bytes: element(scope, result, 3)
                .and_then(|bytes| bytes.number_value(scope))
                .unwrap_or(0.0) as u64,
            json_too_large: flag(scope, result, 4),
        })
    }

    /// Describes whatever was thrown.
    pub fn describe_error(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        thrown: v8::Local<'_, v8::Value>,
    ) -> Described {
        let thrown = v8::Global::new(scope, thrown);
        v8::tc_scope!(let scope, scope);
        let thrown = v8::Local::new(scope, thrown);
        match Self::call(scope, &self.describe_error, &[thrown]) {
            Some(result) => Described {
                name: text(scope, result, 0),
                message: text(scope, result, 1),
                stack: host::without_prelude_frames(&text(scope, result, 2)),
                is_stack_overflow: flag(scope, result, 4),
                is_array_buffer_limit: flag(scope, result, 5),
            },
            None => Described {
                name: "Error".to_owned(),
                message: "an error that can't be described".to_owned(),
                stack: String::new(),
                is_stack_overflow: false,
                is_array_buffer_limit: false,
            },
        }
    }
}

impl Prelude {
    /// The names that the global object has beside its own, with their values as texts.
    pub fn globals(&self, scope: &mut v8::PinScope<'_, '_>) -> Vec<(String, String)> {
        v8::tc_scope!(let scope, scope);
        let Some(told) = Self::call(scope, &self.globals, &[]) else {
            return Vec::new();
        };
        let count = v8::Local::<v8::Array>::try_from(told).map_or(0, |told| told.length());
        let pairs = (0..count / 2).map(|pair| 2 * pair);
        pairs
            .map(|at| (text(scope, told, at), text(scope, told, at + 1)))
            .collect()
    }

    /// A value as a text by which it is compared.
    pub fn global_text(
        &self,
        scope: &mut v8::PinScope<'_, '_>,
        value: &v8::Global<v8::Value>,
    ) -> String {
        v8::tc_scope!(let scope, scope);
        let value = v8::Local::new(scope, value);
        Self::call(scope, &self.global_text, &[value])
            .map_or_else(String::new, |text| text.to_rust_string_lossy(scope))
    }
}

/// Replaces escapes of lone surrogates, which JSON allows and many of its readers refuse, by that of
/// U+FFFD. `JSON.stringify` escapes a surrogate only when it is alone.
fn whole_characters(json: String) -> String {
    if !json.contains("\\ud") {
        return json;
    }
    let mut result = String::with_capacity(json.len());
    let mut rest = json.as_str();
    while let Some(at) = rest.find('\\') {
        result.push_str(&rest[..at]);
        let escape = &rest.as_bytes()[at..];
        let lone = escape.len() >= 6 && escape.starts_with(b"\\ud") && escape[3] > b'7';
        let length = if lone { 6 } else { 2 };
        result.push_str(if lone {
            "\\ufffd"
        } else {
            &rest[at..at + length]
        });
        rest = &rest[at + length..];
    }
    result.push_str(rest);
    result
}

/// The state of a generator that `seed` stands for: its halves, folded into one.
fn seed_words(seed: &[u8]) -> [i32; 4] {
    let mut words = [0; 4];
    for (index, byte) in seed.iter().enumerate() {
        words[index / 4 % 4] ^= i32::from(*byte) << (8 * (index % 4));
    }
    words
}

fn element<'s>(
    scope: &v8::PinScope<'s, '_>,
    array: v8::Local<'s, v8::Value>,
    index: u32,
) -> Option<v8::Local<'s, v8::Value>> {
    let array: v8::Local<v8::Array> = array.try_into().ok()?;
    array.get_index(scope, index)
}

fn text<'s>(scope: &v8::PinScope<'s, '_>, array: v8::Local<'s, v8::Value>, index: u32) -> String {
    element(scope, array, index).map_or_else(String::new, |value| value.to_rust_string_lossy(scope))
}

fn flag<'s>(scope: &v8::PinScope<'s, '_>, array: v8::Local<'s, v8::Value>, index: u32) -> bool {
    element(scope, array, index).is_some_and(|value| value.is_true())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_seed_counts() {
        let mut seen = std::collections::HashSet::from([seed_words(&[0; 32])]);
        for index in 0..32 {
            let mut seed = [0; 32];
            seed[index] = 1 + index as u8;
            assert!(seen.insert(seed_words(&seed)), "{index}");
        }
    }

    #[test]
    fn lone_surrogates_are_replaced_and_nothing_else() {
        let replaced = |json: &str| whole_characters(json.to_owned());
        assert_eq!(replaced(r#""a\\ud800""#), r#""a\\ud800""#);
        assert_eq!(replaced(r#""\\\ud800b""#), r#""\\\ufffdb""#);
        assert_eq!(replaced(r#""\udfff\u0000""#), r#""\ufffd\u0000""#);
    }
}
