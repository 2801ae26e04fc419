//! The names of what is kept.

use crate::storage::Object;

/// All of one cluster.
pub fn folder(cluster_id: &str) -> String {
    format!("archive/{cluster_id}/")
}

/// The state as of an entry.
pub fn state(cluster_id: &str, index: u64) -> String {
    format!("{}state-{index:020}", folder(cluster_id))
}

/// Entries of the log.
pub fn log(cluster_id: &str, first: u64, last: u64) -> String {
    format!("{}log-{first:020}-{last:020}", folder(cluster_id))
}

/// What there is of one cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The newest state: its index and its key.
    pub state: Option<(u64, String)>,
    /// Pieces of the log that go on from it, without holes: first, last, key.
    pub pieces: Vec<(u64, u64, String)>,
    /// How many bytes these pieces have.
    pub log_bytes: u64,
    /// Keys of what the newest state makes needless.
    pub needless: Vec<String>,
}

impl Kept {
    /// Sorts out what is listed of one cluster.
    pub fn of(objects: Vec<Object>) -> Self {
        let mut kept = Self::default();
        let mut pieces = Vec::new();
        for object in objects {
            let Some((_, name)) = object.key.rsplit_once('/') else {
                continue;
            };
            if let Some(index) = name.strip_prefix("state-").and_then(|it| it.parse().ok()) {
                let newest = kept.state.as_ref().is_none_or(|(known, _)| *known < index);
                let other = if newest {
                    kept.state.replace((index, object.key)).map(|(_, key)| key)
                } else {
                    Some(object.key)
                };
                kept.needless.extend(other);
            } else if let Some((first, last)) = name.strip_prefix("log-").and_then(range) {
                pieces.push((first, last, object));
            }
        }
        pieces.sort_by_key(|(first, last, _)| (*first, *last));
        let mut end = kept.state.as_ref().map_or(0, |(index, _)| *index);
        for (first, last, object) in pieces {
            if kept.state.is_some() && last <= end {
                kept.needless.push(object.key);
            } else if first <= end + 1 {
                end = last;
                kept.log_bytes += object.bytes;
                kept.pieces.push((first, last, object.key));
            }
        }
        kept
    }

    /// The last entry that can be restored.
    pub fn end(&self) -> Option<u64> {
        let (index, _) = self.state.as_ref()?;
        Some(self.pieces.last().map_or(*index, |(_, last, _)| *last))
    }
}

fn range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn objects(keys: &[String]) -> Vec<Object> {
        let object = |key: &String| Object {
            key: key.clone(),
            bytes: 10,
            modified: SystemTime::UNIX_EPOCH,
        };
        keys.iter().map(object).collect()
    }

    #[test]
    fn the_newest_state_and_the_log_without_holes_count() {
        assert_eq!(Kept::of(Vec::new()).end(), None);
        let keys = [
            log("a", 1, 9),
            state("a", 9),
            state("a", 20),
            log("a", 10, 22),
            log("a", 21, 21),
            log("a", 23, 23),
            log("a", 25, 30),
            "archive/a/unknown".to_owned(),
        ];
        let kept = Kept::of(objects(&keys));
        assert_eq!(kept.state, Some((20, keys[2].clone())));
        let ranges: Vec<_> = kept.pieces.iter().map(|piece| (piece.0, piece.1)).collect();
        assert_eq!(ranges, [(10, 22), (23, 23)], "24 is nowhere");
        assert_eq!(kept.end(), Some(23));
        assert_eq!(kept.log_bytes, 20);
        let needless = [&keys[1], &keys[0], &keys[4]];
        assert!(kept.needless.iter().eq(needless), "{:?}", kept.needless);
    }
}
