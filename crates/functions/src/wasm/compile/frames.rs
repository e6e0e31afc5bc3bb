//! What a child says on its standard output: frames of a letter, a length and that many bytes.

use std::io;

use flagbase_core::functions::Serves;

use super::Job;

/// One thing that a child says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// What it does, and how far it is in percent.
    Doing(String, Option<u8>),
    /// What a source exports for.
    Serves(Vec<Serves>),
    /// What is wrong with the code.
    Rejected(String),
    /// What there is too much of.
    TooMuch(String),
    /// Machine code: the end.
    Code(Vec<u8>),
}

impl Frame {
    /// As it goes over the pipe.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let (letter, payload) = match self {
            Self::Doing(doing, percent) => (b'd', serde_json::to_vec(&(doing, percent))?),
            Self::Serves(serves) => (b's', serde_json::to_vec(serves)?),
            Self::Rejected(why) => (b'r', why.clone().into_bytes()),
            Self::TooMuch(why) => (b't', why.clone().into_bytes()),
            Self::Code(code) => (b'c', code.clone()),
        };
        let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(payload.len() + 5);
        bytes.push(letter);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    fn decode(letter: u8, payload: Vec<u8>) -> io::Result<Self> {
        let text = |payload| String::from_utf8(payload).map_err(io::Error::other);
        match letter {
            b'd' => {
                let (doing, percent) = serde_json::from_slice(&payload)?;
                Ok(Self::Doing(doing, percent))
            }
            b's' => Ok(Self::Serves(serde_json::from_slice(&payload)?)),
            b'r' => Ok(Self::Rejected(text(payload)?)),
            b't' => Ok(Self::TooMuch(text(payload)?)),
            b'c' => Ok(Self::Code(payload)),
            other => Err(io::Error::other(format!("the compiler said `{other}`, which means nothing"))),
        }
    }
}

/// Bytes of the pipe, until they are frames.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// More bytes came.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> io::Result<Option<Frame>> {
        let Some(([letter, length @ ..], rest)) = self.bytes.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let (letter, length) = (*letter, u32::from_le_bytes(*length) as usize);
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = Frame::decode(letter, payload.to_vec())?;
        self.bytes.drain(..5 + length);
        Ok(Some(frame))
    }
}

/// The first line of a child's standard input.
pub(super) fn head(job: &Job) -> io::Result<Vec<u8>> {
    let mut head = serde_json::to_vec(job)?;
    head.push(b'\n');
    Ok(head)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            (any::<String>(), any::<Option<u8>>()).prop_map(|(doing, percent)| Frame::Doing(doing, percent)),
            Just(Frame::Serves(vec![Serves::Events, Serves::Requests])),
            any::<String>().prop_map(Frame::Rejected),
            any::<String>().prop_map(Frame::TooMuch),
            proptest::collection::vec(any::<u8>(), 0..100).prop_map(Frame::Code),
        ]
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_pipe_cuts_them(
            sent in proptest::collection::vec(any_frame(), 0..5),
            cut in 1_usize..20,
        ) {
            let bytes: Vec<u8> = sent.iter().flat_map(|frame| frame.encode().unwrap()).collect();
            let (mut frames, mut heard) = (Frames::default(), Vec::new());
            for part in bytes.chunks(cut) {
                frames.extend(part);
                while let Some(frame) = frames.next().unwrap() {
                    heard.push(frame);
                }
            }
            prop_assert_eq!(heard, sent);
        }
    }

    #[test]
    fn a_frame_that_means_nothing_is_an_error() {
        let mut frames = Frames::default();
        frames.extend(b"x\0\0\0\0");
        assert!(frames.next().is_err());
    }
}
