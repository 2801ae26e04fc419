//! V8's inspector, which knows the semantics of a console: the value of the last expression,
//! top-level `await`, and declarations that stay and may be made again.

use std::rc::Rc;

use v8::inspector::{
    Channel, ChannelImpl, StringBuffer, StringView, V8Inspector, V8InspectorClient,
    V8InspectorClientImpl, V8InspectorClientTrustLevel, V8InspectorSession,
};

use super::State;

const CONTEXT_GROUP: i32 = 1;
/// The context's id: the first one of an inspector.
const CONTEXT_ID: i32 = 1;
const OBJECT_GROUP: &str = "run";

/// A protocol message, in the units that V8 wrote it in.
pub enum Reply {
    /// Latin-1.
    OneByte(Vec<u8>),
    /// UTF-16.
    TwoByte(Vec<u16>),
}

impl Reply {
    fn new(view: StringView<'_>) -> Self {
        match (view.characters8(), view.characters16()) {
            (Some(text), _) => Self::OneByte(text.to_vec()),
            (_, Some(text)) => Self::TwoByte(text.to_vec()),
            _ => Self::OneByte(Vec::new()),
        }
    }

    /// The message as a string of V8's.
    pub fn to_v8<'s>(&self, scope: &v8::PinScope<'s, '_>) -> Option<v8::Local<'s, v8::String>> {
        match self {
            Self::OneByte(text) => {
                v8::String::new_from_one_byte(scope, text, v8::NewStringType::Normal)
            }
            Self::TwoByte(text) => {
                v8::String::new_from_two_byte(scope, text, v8::NewStringType::Normal)
            }
        }
    }
}

struct Client;

impl V8InspectorClientImpl for Client {}

struct Replies(Rc<State>);

impl ChannelImpl for Replies {
    fn send_response(&self, call_id: i32, message: v8::UniquePtr<StringBuffer>) {
        // An answer to an earlier run's evaluation can surface in a later one.
        if call_id != self.0.call_id.get() {
            return;
        }
        if let Some(message) = message.as_ref() {
            self.0.reply.replace(Some(Reply::new(message.string())));
        }
    }

    fn send_notification(&self, _message: v8::UniquePtr<StringBuffer>) {}

    fn flush_protocol_notifications(&self) {}
}

/// The inspector and the one session on it.
pub struct Inspector {
    session: V8InspectorSession,
    _inspector: V8Inspector,
}

impl Inspector {
    /// An inspector that knows `context`.
    pub fn connect<'s>(
        scope: &mut v8::PinScope<'s, '_>,
        context: v8::Local<'s, v8::Context>,
    ) -> Self {
        let inspector = V8Inspector::create(scope, V8InspectorClient::new(Box::new(Client)));
        let session = inspector.connect(
            CONTEXT_GROUP,
            Channel::new(Box::new(Replies(State::current()))),
            StringView::empty(),
            V8InspectorClientTrustLevel::FullyTrusted,
        );
        inspector.context_created(
            context,
            CONTEXT_GROUP,
            StringView::empty(),
            StringView::empty(),
        );
        Self {
            session,
            _inspector: inspector,
        }
    }

    /// Begins to evaluate `code`; the answer comes to [`State::reply`], now or out of a microtask.
    pub fn evaluate(&self, call_id: i32, code: &str) {
        let mut message = String::with_capacity(code.len() + code.len() / 8 + 160);
        message.push_str("{\"id\":");
        message.push_str(&call_id.to_string());
        message.push_str(",\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"");
        push_escaped(&mut message, code);
        message.push_str("\",\"contextId\":");
        message.push_str(&CONTEXT_ID.to_string());
        message.push_str(",\"replMode\":true,\"silent\":true,\"objectGroup\":\"");
        message.push_str(OBJECT_GROUP);
        message.push_str("\"}}");
        self.session
            .dispatch_protocol_message(StringView::from(message.as_bytes()));
    }

    /// Asks for the names that scripts have declared beside the properties of the global object.
    pub fn declared_names(&self, call_id: i32) {
        let message = format!(
            "{{\"id\":{call_id},\"method\":\"Runtime.globalLexicalScopeNames\",\
             \"params\":{{\"executionContextId\":{CONTEXT_ID}}}}}"
        );
        self.session
            .dispatch_protocol_message(StringView::from(message.as_bytes()));
    }

    /// The object behind an id of the protocol.
    pub fn object<'s>(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        id: &str,
    ) -> Option<v8::Local<'s, v8::Value>> {
        let unwrapped = self
            .session
            .unwrap_object(scope, StringView::from(id.as_bytes()));
        unwrapped.ok().map(|(value, _, _)| value)
    }

    /// Lets go of the objects that this run's answer holds.
    pub fn release(&self) {
        self.session
            .release_object_group(StringView::from(OBJECT_GROUP.as_bytes()));
    }
}

/// Escapes `text` for a JSON string in ASCII, so that no reading of the bytes can go wrong.
fn push_escaped(message: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' => message.push_str("\\\""),
            '\\' => message.push_str("\\\\"),
            '\n' => message.push_str("\\n"),
            ' '..='~' => message.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    message.push_str("\\u");
                    for shift in [12, 8, 4, 0] {
                        let digit = u32::from(*unit >> shift) & 15;
                        message.push(char::from_digit(digit, 16).expect("four bits"));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_json_in_ascii() {
        let mut message = String::new();
        push_escaped(&mut message, "a\"\\\n\t\u{e9}\u{1F600}");
        assert_eq!(message, r#"a\"\\\n\u0009\u00e9\ud83d\ude00"#);
    }
}
