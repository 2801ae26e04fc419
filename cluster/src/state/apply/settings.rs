//! Settings of the cluster.
//!
//! | command | effect |
//! |---|---|
//! | SetSetting | the value; an empty one removes it, also where there is none |

use super::{Context, Outcome, Stop, Transaction, View, done, limits, require};
use crate::proto::{self, Reason, SettingRecord};
use crate::state::table;

pub(super) fn set<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    command: proto::SetSetting,
) -> Result<Outcome, Stop> {
    let fits =
        limits::name(&command.name) && command.value.len() <= limits::SETTING_VALUE_BYTES_MAX;
    require(fits, Reason::Invalid)?;
    let key = table::setting(&command.name);
    if command.value.is_empty() {
        rows.delete(&key)?;
    } else {
        let record = SettingRecord {
            name: command.name,
            value: command.value,
            changed_ms: context.time_ms,
            principal: context.principal.to_owned(),
        };
        rows.put(key, &record)?;
    }
    Ok(done())
}
