use rmcp::model::JsonObject;
use serde_json::Value;

/// What is wrong with a call's arguments. Models read this text and call again, so it names the
/// argument, what it must be and what came.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArgumentError {
    /// One that the tool can't do without.
    #[error("the argument `{name}` is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// One of the wrong kind.
    #[error("the argument `{name}` must be {expected}, but it is {given}")]
    Kind {
        /// Its name.
        name: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// What came.
        given: String,
    },
    /// A number out of bounds.
    #[error("the argument `{name}` is {given}; at most {max} is allowed")]
    TooLarge {
        /// Its name.
        name: &'static str,
        /// What came.
        given: u64,
        /// The most that is accepted.
        max: u64,
    },
    /// Two names for one thing.
    #[error("`{first}` and `{second}` say the same; pass one of them")]
    Both {
        /// Our name.
        first: &'static str,
        /// The other name.
        second: &'static str,
    },
    /// One that the tool does not have.
    #[error("there is no argument `{name}`; this tool takes {known}")]
    Unknown {
        /// What came.
        name: String,
        /// The names that exist.
        known: String,
    },
}

/// The arguments of one call, taken out one by one.
///
/// Reading them by hand rather than by a derived parser costs a few lines and gives errors that name
/// the argument; the derived one says "invalid type: string, expected u64" and not where.
pub(super) struct Arguments {
    values: JsonObject,
    known: Vec<&'static str>,
}

impl Arguments {
    pub fn new(values: Option<JsonObject>) -> Self {
        Self {
            values: values.unwrap_or_default(),
            known: Vec::new(),
        }
    }

    /// Any value; `null` is a value too.
    pub fn any(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.values.remove(name)
    }

    /// A string; `null` counts as left out.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, ArgumentError> {
        match self.any(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(kind(name, "a string", &other)),
        }
    }

    /// A string that must be there.
    pub fn required_text(&mut self, name: &'static str) -> Result<String, ArgumentError> {
        self.text(name)?.ok_or(ArgumentError::Missing { name })
    }

    /// A whole number; `null` counts as left out.
    pub fn number(&mut self, name: &'static str) -> Result<Option<u64>, ArgumentError> {
        match self.any(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match whole(&value) {
                Some(number) => Ok(Some(number)),
                None => Err(kind(name, "a whole number", &value)),
            },
        }
    }

    /// A whole number up to a bound.
    pub fn number_up_to(
        &mut self,
        name: &'static str,
        max: u64,
    ) -> Result<Option<u64>, ArgumentError> {
        match self.number(name)? {
            Some(given) if given > max => Err(ArgumentError::TooLarge { name, given, max }),
            number => Ok(number),
        }
    }

    /// Refuses whatever was not taken; call it last.
    pub fn finish(self) -> Result<(), ArgumentError> {
        match self.values.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(ArgumentError::Unknown {
                name,
                known: self.known.join(", "),
            }),
        }
    }
}

/// JSON Schema counts 3.0 as an integer, and some clients write it.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let float = value.as_f64()?;
        let fits = (0.0..9e15).contains(&float) && float.fract() == 0.0;
        fits.then_some(float as u64)
    })
}

pub(super) fn kind(name: &'static str, expected: &'static str, given: &Value) -> ArgumentError {
    let given = match given {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) if text.len() <= 40 => format!("the string {text:?}"),
        Value::String(text) => format!("a string of {} bytes", text.len()),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    };
    ArgumentError::Kind {
        name,
        expected,
        given,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arguments(value: Value) -> Arguments {
        Arguments::new(value.as_object().cloned())
    }

    #[test]
    fn takes_what_is_there() {
        let mut given = arguments(json!({"a": "x", "b": 3.0, "c": null, "d": null}));
        assert_eq!(given.required_text("a"), Ok("x".into()));
        assert_eq!(given.number("b"), Ok(Some(3)));
        assert_eq!(given.number("c"), Ok(None));
        assert_eq!(given.any("d"), Some(Value::Null));
        assert_eq!(given.any("e"), None);
        assert_eq!(given.finish(), Ok(()));
    }

    #[test]
    fn says_which_argument_is_wrong_and_why() {
        let text = |error: ArgumentError| error.to_string();
        let mut given = arguments(json!({"a": 1, "b": "30", "c": -1, "d": 1.5, "x": []}));
        let error = given.text("a").unwrap_err();
        assert_eq!(
            text(error),
            "the argument `a` must be a string, but it is 1"
        );
        let error = given.number("b").unwrap_err();
        assert_eq!(
            text(error),
            "the argument `b` must be a whole number, but it is the string \"30\""
        );
        assert!(given.number("c").is_err());
        assert!(given.number("d").is_err());
        let error = given.required_text("e").unwrap_err();
        assert_eq!(text(error), "the argument `e` is missing");
        assert_eq!(
            text(given.finish().unwrap_err()),
            "there is no argument `x`; this tool takes a, b, c, d, e"
        );
        let mut given = arguments(json!({"a": 11}));
        assert!(given.number_up_to("a", 10).is_err());
    }
}
