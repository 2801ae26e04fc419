use std::collections::VecDeque;
use std::sync::Arc;

use futures::{Stream, stream};

use super::Event;
use super::output::{Cursor, Entries};
use super::record::Record;

struct Follower {
    record: Arc<Record>,
    cursor: Cursor,
    batch: VecDeque<Event>,
    over: bool,
}

/// The events after the cursor, live, then the end.
///
/// A follower reads from what is kept, at its own pace: nothing is buffered for it, and one that is
/// too slow gets a [`Event::Gap`] where the output's ring went over it.
pub(super) fn follow(
    record: Arc<Record>,
    cursor: Cursor,
) -> impl Stream<Item = Event> + Send + Unpin + 'static {
    let follower = Follower {
        record,
        cursor,
        batch: VecDeque::new(),
        over: false,
    };
    Box::pin(stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(event) = follower.batch.pop_front() {
                return Some((event, follower));
            }
            if follower.over {
                return None;
            }
            match follower.record.next_entries(&mut follower.cursor).await {
                Some(Entries::Some(entries)) => follower.batch.extend(
                    entries
                        .into_iter()
                        .map(|(seq, level, text)| Event::Line { seq, level, text }),
                ),
                Some(Entries::Gap {
                    last,
                    entries,
                    bytes,
                }) => {
                    follower.batch.push_back(Event::Gap {
                        seq: last,
                        dropped: entries,
                        dropped_bytes: bytes,
                    });
                }
                Some(Entries::None) | None => {
                    follower.over = true;
                    let end = Event::End(Box::new(follower.record.view()));
                    follower.batch.push_back(end);
                }
            }
        }
    }))
}
