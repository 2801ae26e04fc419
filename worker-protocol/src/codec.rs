use prost::Message;

/// The longest frame that either side accepts, in bytes without the length prefix.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// What is wrong with a frame that was received.
#[derive(Debug)]
pub enum FrameError {
    /// The length prefix is over [`FRAME_BYTES_MAX`].
    TooLong {
        /// The length that the prefix gives.
        bytes: usize,
    },
    /// The bytes are no message of the expected type.
    Malformed(prost::DecodeError),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(f, "a frame of {bytes} bytes is over the limit"),
            Self::Malformed(error) => write!(f, "malformed frame: {error}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// The length that a prefix announces, checked against [`FRAME_BYTES_MAX`].
pub fn frame_length(prefix: [u8; 4]) -> Result<usize, FrameError> {
    let bytes = u32::from_le_bytes(prefix) as usize;
    if bytes > FRAME_BYTES_MAX {
        Err(FrameError::TooLong { bytes })
    } else {
        Ok(bytes)
    }
}

/// A whole frame: prefix and message.
///
/// # Panics
/// When the message is longer than [`FRAME_BYTES_MAX`]: both sides bound what they put in a frame.
pub fn encode<M: Message>(message: &M) -> Vec<u8> {
    let bytes = message.encoded_len();
    assert!(
        bytes <= FRAME_BYTES_MAX,
        "a frame of {bytes} bytes is over the limit"
    );
    let mut frame = Vec::with_capacity(4 + bytes);
    frame.extend_from_slice(&(bytes as u32).to_le_bytes());
    message.encode(&mut frame).expect("a Vec grows as needed");
    frame
}

/// The message in a frame's body (the bytes after the prefix).
pub fn decode<M: Message + Default>(body: &[u8]) -> Result<M, FrameError> {
    M::decode(body).map_err(FrameError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Language, Limits, Run, ToWorker, to_worker};

    fn run() -> ToWorker {
        ToWorker {
            frame: Some(to_worker::Frame::Run(Run {
                seed: vec![1, 2, 3],
                code: "1 + 2".into(),
                language: Language::Auto as i32,
                input_json: Some("null".into()),
                limits: Some(Limits {
                    heap_bytes: 64 << 20,
                    ..Limits::default()
                }),
                virtual_clock: None,
                globals: false,
            })),
        }
    }

    #[test]
    fn a_frame_survives_the_round_trip() {
        let frame = encode(&run());
        let length = frame_length(frame[..4].try_into().expect("four bytes")).expect("short");
        assert_eq!(length, frame.len() - 4);
        assert_eq!(decode::<ToWorker>(&frame[4..]).expect("well formed"), run());
    }

    /// Older workers must understand what is written today: these bytes never change.
    #[test]
    fn golden_bytes_of_a_run() {
        let hex: String = encode(&run())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            hex,
            "1b0000000a1912030102031a0531202b20322a046e756c6c32050880808020"
        );
    }

    #[test]
    fn cut_and_overlong_frames_are_errors() {
        let frame = encode(&run());
        assert!(decode::<ToWorker>(&frame[4..frame.len() - 1]).is_err());
        assert!(frame_length(u32::MAX.to_le_bytes()).is_err());
    }
}
