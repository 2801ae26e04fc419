use worker_protocol::layout::TABLE_ENTRIES_MAX;

use super::range::{Range, number};
use super::{Error, Settings};

/// What one session's state may cost. A run that is over one of these is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// The encoded delta of one run, in bytes.
    pub delta_bytes_max: u64,
    /// Pages of 4,096 bytes that have to be looked at after a run.
    pub touched_pages_max: u64,
    /// Separate mappings of memory.
    pub mappings_max: usize,
    /// Addresses in use, in GiB, with memory behind them or not.
    pub address_gb_max: u64,
    /// Page tables of a session's process, in MiB.
    pub page_tables_mb_max: u64,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            delta_bytes_max: 64 << 20,
            touched_pages_max: 64 << 10,
            mappings_max: 8 << 10,
            address_gb_max: 1 << 10,
            page_tables_mb_max: 64,
        }
    }
}

impl StateConfig {
    /// Puts the defaults under what was said, and checks it.
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let builtin = Self::default();
        let checked = |flag, min, max, unit, value: Option<u64>, default| {
            Range(flag, min, max, unit).check(value.unwrap_or(default))
        };
        let mappings_max = settings.mappings_max.unwrap_or(builtin.mappings_max);
        let mappings = number(TABLE_ENTRIES_MAX);
        Range("mappings-max", 256, mappings, "mappings").check(number(mappings_max))?;
        Ok(Self {
            delta_bytes_max: checked(
                "delta-bytes-max",
                64 << 10,
                1 << 30,
                "bytes",
                settings.delta_bytes_max,
                builtin.delta_bytes_max,
            )?,
            touched_pages_max: checked(
                "touched-pages-max",
                1 << 10,
                1 << 20,
                "pages",
                settings.touched_pages_max,
                builtin.touched_pages_max,
            )?,
            mappings_max,
            // A fresh world has 17 GiB of addresses in use.
            address_gb_max: checked(
                "address-gb-max",
                32,
                8 << 10,
                "GiB",
                settings.address_gb_max,
                builtin.address_gb_max,
            )?,
            page_tables_mb_max: checked(
                "page-tables-mb-max",
                4,
                4 << 10,
                "MiB",
                settings.page_tables_mb_max,
                builtin.page_tables_mb_max,
            )?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_the_defaults_and_nonsense_is_refused() {
        let silent = StateConfig::new(&Settings::default()).expect("defaults are good");
        assert_eq!(silent, StateConfig::default());
        for wrong in [
            Settings {
                delta_bytes_max: Some(1),
                ..Settings::default()
            },
            Settings {
                touched_pages_max: Some(u64::MAX),
                ..Settings::default()
            },
            Settings {
                mappings_max: Some(TABLE_ENTRIES_MAX + 1),
                ..Settings::default()
            },
            Settings {
                address_gb_max: Some(1),
                ..Settings::default()
            },
            Settings {
                page_tables_mb_max: Some(0),
                ..Settings::default()
            },
        ] {
            assert!(StateConfig::new(&wrong).is_err(), "{wrong:?}");
        }
    }
}
