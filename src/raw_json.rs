//! JSON that is passed on as it is. A field that is `null` is a value here, one that is missing is
//! not.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// For `serde(with)`.
pub fn serialize<S: Serializer>(
    value: &Option<Arc<RawValue>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    value.as_deref().serialize(serializer)
}

/// For `serde(with)`.
pub fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Arc<RawValue>>, D::Error> {
    Ok(Some(Arc::from(Box::<RawValue>::deserialize(deserializer)?)))
}
