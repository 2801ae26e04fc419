//! Times that come again: cron expressions in a time zone.
//!
//! Five fields (minute, hour, day of the month, month, day of the week) or six with seconds in front, as in
//! Vixie cron and croner's [grammar](https://docs.rs/croner). In a time zone that sets its clocks, a time
//! that does not exist on a day is moved to the first that does, and one that is there twice is due once.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A time in RFC 3339, in milliseconds since 1970.
pub fn time_ms(text: &str) -> Option<u64> {
    let time: Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// When something is due, again and again.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// The text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedSchedule {
    /// The expression.
    #[error("{cron:?} is no cron expression: {reason}")]
    Cron {
        /// What was given.
        cron: String,
        /// Why, for a person.
        reason: String,
    },
    /// The time zone.
    #[error("{zone:?} is no time zone of the IANA database, such as Europe/Berlin or UTC")]
    Zone {
        /// What was given.
        zone: String,
    },
    /// It never comes.
    #[error("{cron:?} is never due")]
    Never {
        /// What was given.
        cron: String,
    },
}

impl Schedule {
    /// An expression in a time zone of the IANA database; an empty one is UTC.
    ///
    /// # Errors
    /// As [`MalformedSchedule`] tells.
    pub fn parse(cron: &str, zone: &str) -> Result<Self, MalformedSchedule> {
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let parsed = parser
            .parse(cron)
            .map_err(|error| MalformedSchedule::Cron {
                cron: cron.to_owned(),
                reason: error.to_string(),
            })?;
        let zone = match zone {
            "" => TimeZone::UTC,
            zone => TimeZone::get(zone).map_err(|_| MalformedSchedule::Zone {
                zone: zone.to_owned(),
            })?,
        };
        Ok(Self { cron: parsed, zone })
    }

    /// The first time after one, in milliseconds since 1970.
    pub fn next_ms(&self, after_ms: u64) -> Option<u64> {
        let after = self.at(after_ms)?;
        let next = self.cron.find_next_occurrence(&after, false).ok()?;
        milliseconds(&next)
    }

    /// The last time up to one, in milliseconds since 1970.
    pub fn last_ms(&self, until_ms: u64) -> Option<u64> {
        let until = self.at(until_ms)?;
        let last = self.cron.find_previous_occurrence(&until, true).ok()?;
        milliseconds(&last)
    }

    fn at(&self, time_ms: u64) -> Option<Zoned> {
        let time = Timestamp::from_millisecond(i64::try_from(time_ms).ok()?).ok()?;
        Some(time.to_zoned(self.zone.clone()))
    }
}

fn milliseconds(time: &Zoned) -> Option<u64> {
    u64::try_from(time.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> u64 {
        let time: Timestamp = text.parse().unwrap();
        u64::try_from(time.as_millisecond()).unwrap()
    }

    fn next(cron: &str, zone: &str, after: &str) -> u64 {
        let schedule = Schedule::parse(cron, zone).unwrap();
        schedule.next_ms(ms(after)).unwrap()
    }

    #[test]
    fn the_next_time_is_after_the_one_given() {
        let at = "2026-03-01T12:00:00Z";
        assert_eq!(next("0 12 * * *", "", at), ms("2026-03-02T12:00:00Z"));
        assert_eq!(next("*/5 * * * * *", "", at), ms("2026-03-01T12:00:05Z"));
        assert_eq!(next("30 9 * * MON", "UTC", at), ms("2026-03-02T09:30:00Z"));
        let schedule = Schedule::parse("0 12 * * *", "").unwrap();
        assert_eq!(schedule.last_ms(ms(at)), Some(ms(at)));
        assert_eq!(
            schedule.last_ms(ms(at) - 1),
            Some(ms("2026-02-28T12:00:00Z"))
        );
    }

    #[test]
    fn a_day_with_other_clocks_has_each_time_once() {
        let daily = |after| next("30 2 * * *", "Europe/Berlin", after);
        // In the night to 29 March 2026 there is no half past two: it is three o'clock there.
        let spring = daily("2026-03-28T12:00:00Z");
        assert!(spring >= ms("2026-03-29T01:00:00Z") && spring < ms("2026-03-29T02:00:00Z"));
        // In the night to 25 October there are two.
        let autumn = Schedule::parse("30 2 * * *", "Europe/Berlin").unwrap();
        let mut times = Vec::new();
        let mut at = ms("2026-10-24T12:00:00Z");
        while let Some(next) = autumn
            .next_ms(at)
            .filter(|next| *next < ms("2026-10-25T12:00:00Z"))
        {
            times.push(next);
            at = next;
        }
        assert_eq!(times.len(), 1, "{times:?}");
    }

    #[test]
    fn what_is_no_schedule_says_why() {
        let error = |cron, zone| Schedule::parse(cron, zone).unwrap_err().to_string();
        assert!(error("61 * * * *", "").contains("no cron expression"));
        assert!(error("", "").contains("no cron expression"));
        assert!(error("* * * * *", "Mars/Olympus").contains("no time zone"));
        let never = Schedule::parse("0 0 30 2 *", "").unwrap();
        assert_eq!(never.next_ms(0), None);
    }
}
