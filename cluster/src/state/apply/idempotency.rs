//! Idempotency keys that clients give: a request that comes again gets what the first one made.
//!
//! | command | effect |
//! |---|---|
//! | one with a key that is not known | the key is remembered with what was made |
//! | one with a known key | what it made, or KEY_REUSED when the request is another one |
//! | ExpireIdempotencyKeys | those older than the time go, at most 1,000 in one command |

use super::{Context, Outcome, Stop, StoreError, Transaction, View, refuse};
use crate::proto::{self, IdempotencyRecord, Reason};
use crate::state::table::{self, Table};

/// One command forgets at most so many.
const EXPIRED_MAX: u32 = 1000;

/// A request as its key names it.
pub(super) struct Request<'a> {
    pub scope: &'a [u8],
    pub key: &'a str,
    pub digest: &'a [u8],
}

/// What the request has made already.
pub(super) fn made<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Option<Vec<u8>>, Stop> {
    if request.key.is_empty() {
        return Ok(None);
    }
    let key = table::idempotency_key(context.principal, request.scope, request.key);
    let record: Option<IdempotencyRecord> = rows.record(&key)?;
    match record {
        Some(record) if record.request_digest != request.digest => refuse(Reason::KeyReused),
        Some(record) => Ok(Some(record.made)),
        None => Ok(None),
    }
}

/// Keeps what the request makes.
pub(super) fn remember<V: View>(
    rows: &mut Transaction<V>,
    context: &Context<'_>,
    request: &Request<'_>,
    made: &[u8],
) -> Result<(), StoreError> {
    if request.key.is_empty() {
        return Ok(());
    }
    let key = table::idempotency_key(context.principal, request.scope, request.key);
    rows.put_bytes(
        table::idempotency_age(context.time_ms, &key),
        bytes::Bytes::new(),
    )?;
    let record = IdempotencyRecord {
        request_digest: request.digest.to_vec(),
        made: made.to_vec(),
        created_ms: context.time_ms,
        principal: context.principal.to_owned(),
    };
    rows.put(key, &record)
}

pub(super) fn expire<V: View>(
    rows: &mut Transaction<V>,
    command: &proto::ExpireIdempotencyKeys,
) -> Result<Outcome, Stop> {
    let ages = Table::IdempotencyAges;
    let end = ages.key(&[&command.before_ms.to_be_bytes()]);
    let limit = command.limit.min(EXPIRED_MAX);
    let old = rows.keys_before(&ages.key(&[]), &end, limit as usize)?;
    for age in &old {
        // The table's number and the time stand in front.
        let key = Table::IdempotencyKeys.key(&[age.get(9..).unwrap_or_default()]);
        rows.delete(&key)?;
        rows.delete(age)?;
    }
    let count = u32::try_from(old.len()).expect("the limit is a u32");
    Ok(Outcome::Expired(proto::Expired { count }))
}
