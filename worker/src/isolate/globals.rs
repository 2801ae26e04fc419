//! What a world has by name, for whoever compares two of them.

use sha2::{Digest as _, Sha256};
use worker_protocol::{Done, Global};

use super::Isolate;
use super::run::Settled;

/// So much of a value's text is told, in bytes; the hash is that of all of it.
const SHOWN_BYTES: usize = 200;
/// More names than that are not told.
const NAMES_MAX: usize = 10_000;

impl Isolate<'_, '_, '_> {
    /// Tells the world's own names: properties of the global object, and what scripts have declared beside it.
    pub fn globals(&mut self) -> Done {
        let mut globals: Vec<Global> = Vec::new();
        for (name, text) in self.prelude.globals(self.scope) {
            globals.push(global(name, &text));
        }
        for name in self.declared_names().into_iter().take(NAMES_MAX) {
            // A name alone settles with the next microtask; one that has no value yet throws.
            self.evaluate(&name);
            self.scope.perform_microtask_checkpoint();
            let text = match self.take_reply() {
                Some(Settled::Value(value)) => self.prelude.global_text(self.scope, &value),
                _ => "<uninitialized>".to_owned(),
            };
            globals.push(global(name, &text));
        }
        self.inspector.release();
        Done {
            globals,
            globals_told: true,
            ..Done::default()
        }
    }

    /// What scripts have declared with `let`, `const` and `class`: the language has no list of it.
    fn declared_names(&mut self) -> Vec<String> {
        let call_id = self.next_call();
        self.inspector.declared_names(call_id);
        let Some(reply) = self.state.reply.take() else {
            return Vec::new();
        };
        v8::scope!(let scope, self.scope);
        super::repl::names(scope, &reply).unwrap_or_default()
    }
}

fn global(name: String, text: &str) -> Global {
    let shown = text.floor_char_boundary(SHOWN_BYTES);
    Global {
        name,
        text: text[..shown].to_owned(),
        text_bytes: text.len() as u64,
        hash: Sha256::digest(text)[..16].to_vec(),
    }
}
