/// The length of an encoded [`Step`], in bytes.
pub const STEP_BYTES: usize = 32;

/// What is done with a range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum StepKind {
    /// It is not mapped any more.
    Unmap = 1,
    /// It becomes fresh memory of zeros with the protection `value`, as `PROT_*` bits, whatever was
    /// there.
    Map = 2,
    /// Its pages read as zeros.
    Drop = 3,
    /// It gets the image's bytes from `value` on.
    Read = 4,
    /// It gets the protection `value`, as `PROT_*` bits.
    Protect = 5,
    /// The last step: the process goes on as the image.
    Resume = 6,
}

/// One step of entering an image. A plan of steps is sent over the channel, one after the other and
/// without frames: the process that reads it is about to lose all of its memory.
///
/// | offset | bytes | |
/// |---|---|---|
/// | 0 | 4 | the kind |
/// | 4 | 4 | zeros |
/// | 8 | 8 | the first byte of the range |
/// | 16 | 8 | its length |
/// | 24 | 8 | the value |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What is done.
    pub kind: StepKind,
    /// The range's first byte.
    pub start: u64,
    /// Its length.
    pub bytes: u64,
    /// See [`StepKind`].
    pub value: u64,
}

impl Step {
    /// As bytes, little-endian.
    pub fn encode(self) -> [u8; STEP_BYTES] {
        let mut bytes = [0; STEP_BYTES];
        bytes[..4].copy_from_slice(&(self.kind as u32).to_le_bytes());
        for (word, at) in [(self.start, 8), (self.bytes, 16), (self.value, 24)] {
            bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_these_bytes() {
        let step = Step {
            kind: StepKind::Protect,
            start: 0x1000_0000_0000,
            bytes: 0x2000,
            value: 1,
        };
        let mut bytes = [0; STEP_BYTES];
        (bytes[0], bytes[13], bytes[17], bytes[24]) = (5, 0x10, 0x20, 1);
        assert_eq!(step.encode(), bytes);
    }
}
