//! Numbers and bytes, one after the other. Numbers are LEB128: seven bits a byte, lowest first, in as
//! few bytes as they need.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// A number is over 64 bits, or longer than it needs to be.
    #[error("a number is not in its shortest form")]
    Number,
    /// There is more than there should be.
    #[error("{bytes} bytes are left over")]
    Trailing {
        /// How many.
        bytes: usize,
    },
}

/// Appends a number.
pub fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads what was put, in the same order.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next number.
    pub fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed::Truncated)?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Malformed::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                // A last byte of nothing but zeros could have been left out.
                let shortest = bits != 0 || shift == 0;
                return if shortest {
                    Ok(number)
                } else {
                    Err(Malformed::Number)
                };
            }
        }
        Err(Malformed::Number)
    }

    /// The next bytes, so many.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next bytes, as many as the array has.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        Ok(self.take(N)?.try_into().expect("as many as were asked for"))
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// There is nothing left.
    pub fn end(self) -> Result<(), Malformed> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(Malformed::Trailing { bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64, Malformed> {
        let mut reader = Reader::new(bytes);
        let number = reader.number()?;
        reader.end()?;
        Ok(number)
    }

    #[test]
    fn numbers_come_back() {
        for number in (0..64)
            .flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit])
            .chain([u64::MAX])
        {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(read(&bytes), Ok(number));
            assert_eq!(read(&bytes[..bytes.len() - 1]), Err(Malformed::Truncated));
        }
    }

    #[test]
    fn there_is_one_form_of_each_number() {
        assert_eq!(read(&[0x80, 0]), Err(Malformed::Number));
        assert_eq!(read(&[0xff; 10]), Err(Malformed::Number));
        let mut over = [0xff; 10];
        over[9] = 2;
        assert_eq!(read(&over), Err(Malformed::Number));
        over[9] = 1;
        assert_eq!(read(&over), Ok(u64::MAX));
        assert_eq!(read(&[1, 1]), Err(Malformed::Trailing { bytes: 1 }));
    }
}
