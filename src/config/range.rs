use super::{Bound, Error};

/// What a flag's number may be: the flag, the least, the most, and what is counted.
#[derive(Clone, Copy)]
pub(super) struct Range(
    pub(super) &'static str,
    pub(super) u64,
    pub(super) u64,
    pub(super) &'static str,
);

impl Range {
    /// The value itself, when it makes sense.
    pub(super) fn check(self, value: u64) -> Result<u64, Error> {
        let Self(flag, min, max, unit) = self;
        if (min..=max).contains(&value) {
            Ok(value)
        } else {
            Err(Error::OutOfRange {
                flag,
                value,
                min,
                max,
                unit,
            })
        }
    }

    /// A default and a maximum, each the operator's or else the built-in one.
    pub(super) fn bound(
        self,
        flag_max: &'static str,
        (default, max): (Option<u64>, Option<u64>),
        builtin: Bound,
    ) -> Result<Bound, Error> {
        let Self(flag, least, most, unit) = self;
        let bound = Bound {
            default: self.check(default.unwrap_or(builtin.default))?,
            max: Self(flag_max, least, most, unit).check(max.unwrap_or(builtin.max))?,
        };
        if bound.default > bound.max {
            let (value, bound) = (bound.default, bound.max);
            let advice = "lower the first or raise the second";
            return Err(Error::Over {
                flag,
                value,
                other: flag_max,
                bound,
                unit,
                advice,
            });
        }
        Ok(bound)
    }
}

/// A count as the number that errors show.
pub(super) fn number(count: usize) -> u64 {
    count as u64
}
