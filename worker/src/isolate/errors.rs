//! Errors of the script, told with places in the user's own source.

use worker_protocol::{ErrorKind, ScriptError};

use super::{Isolate, SCRIPT_NAME, limits};
use crate::prelude;
use crate::typescript::Stripped;

/// Where an error happened, from 1; 0 is unknown.
#[derive(Clone, Copy, Default)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Isolate<'_, '_, '_> {
    /// Describes a thrown value. `place` is what the inspector told; without it V8 is asked.
    pub fn script_error(
        &mut self,
        thrown: &v8::Global<v8::Value>,
        place: Option<Place>,
        stripped: Option<&Stripped>,
        syntax: bool,
    ) -> ScriptError {
        v8::scope!(let scope, self.scope);
        let thrown = v8::Local::new(scope, thrown);
        let place = place.unwrap_or_else(|| {
            let message = v8::Exception::create_message(scope, thrown);
            // Evaluated code has no name of its own, only what its last comment says; the prelude's
            // scripts do.
            let ours = message
                .get_script_resource_name(scope)
                .is_none_or(|name| !prelude::is_own_script(&name.to_rust_string_lossy(scope)));
            if !ours {
                return Place::default();
            }
            Place {
                line: message.get_line_number(scope).unwrap_or(0) as u32,
                column: message.get_start_column() as u32 + 1,
            }
        });
        let described = self.prelude.describe_error(scope, thrown);
        // Once somebody has read an error's stack, V8 knows its place from the text alone.
        let place = if place.line > 0 {
            place
        } else {
            first_place(&described.stack)
        };
        let (line, column) = match stripped {
            Some(stripped) if place.line > 0 => stripped.source_position(place.line, place.column),
            _ => (place.line, place.column),
        };
        let kind = if described.is_stack_overflow {
            ErrorKind::StackOverflow
        } else if described.is_array_buffer_limit && limits::array_buffer_refused() {
            ErrorKind::ArrayBufferLimit
        } else if syntax {
            ErrorKind::Syntax
        } else {
            ErrorKind::Thrown
        };
        let stack = match stripped {
            Some(stripped) => with_source_positions(&described.stack, stripped),
            None => described.stack,
        };
        ScriptError {
            kind: kind as i32,
            name: described.name,
            message: described.message,
            stack,
            line,
            column,
        }
    }
}

/// Rewrites `main.js:LINE:COLUMN` to the places of the TypeScript source.
fn with_source_positions(stack: &str, stripped: &Stripped) -> String {
    let mut result = String::with_capacity(stack.len());
    let mut rest = stack;
    while let Some(found) = rest.find(SCRIPT_NAME) {
        let (before, after) = rest.split_at(found);
        result.push_str(before);
        let after = &after[SCRIPT_NAME.len()..];
        let (place, length) = leading_place(after);
        match place {
            Some((line, column)) => {
                let (line, column) = stripped.source_position(line, column);
                result.push_str(&format!("main.ts:{line}:{column}"));
            }
            None => result.push_str(SCRIPT_NAME),
        }
        rest = &after[length..];
    }
    result.push_str(rest);
    result
}

/// The first place in the user's code that a stack names.
fn first_place(stack: &str) -> Place {
    let places = stack
        .split(SCRIPT_NAME)
        .skip(1)
        .filter_map(|rest| leading_place(rest).0);
    places
        .map(|(line, column)| Place { line, column })
        .next()
        .unwrap_or_default()
}

/// The numbers of `:LINE:COLUMN` at the start of `text`, and how long that is.
fn leading_place(text: &str) -> (Option<(u32, u32)>, usize) {
    let number = |text: &str| -> Option<(u32, usize)> {
        let digits = text.strip_prefix(':')?;
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        Some((digits[..length].parse().ok()?, length + 1))
    };
    let Some((line, first)) = number(text) else {
        return (None, 0);
    };
    let Some((column, second)) = number(&text[first..]) else {
        return (None, 0);
    };
    (Some((line, column)), first + second)
}

/// `import()` finds nothing here.
pub fn on_import<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    _options: v8::Local<'s, v8::Data>,
    _resource: v8::Local<'s, v8::Value>,
    specifier: v8::Local<'s, v8::String>,
    _attributes: v8::Local<'s, v8::FixedArray>,
) -> Option<v8::Local<'s, v8::Promise>> {
    let specifier = specifier.to_rust_string_lossy(scope);
    let message = format!("import(\"{specifier}\"): modules are not available here");
    let message = v8::String::new(scope, &message)?;
    let error = v8::Exception::type_error(scope, message);
    let resolver = v8::PromiseResolver::new(scope)?;
    resolver.reject(scope, error);
    Some(resolver.get_promise(scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_stack_are_found() {
        assert_eq!(leading_place(":12:3)\n"), (Some((12, 3)), 5));
        assert_eq!(leading_place(":12"), (None, 0));
        let place = first_place("Error: main.js\n    at f (main.js:6:25)\n    at main.js:9:1");
        assert_eq!((place.line, place.column), (6, 25));
        assert_eq!(leading_place(" "), (None, 0));
    }
}
