//! The head of a frame.

/// Most bytes a head has.
pub(super) const LONGEST: usize = 14;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    /// Text, binary or a continuation: all of them carry the protocol.
    Data,
    Close,
    Ping,
    Pong,
}

/// What stands before the payload of a frame from a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

/// A frame as no client may send it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation;

impl Head {
    /// The head that `bytes` are, or how many bytes are missing at least.
    pub(super) fn read(bytes: &[u8]) -> Result<Result<Self, usize>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(Err(2 - bytes.len())) };
        let opcode = match first & 0x0f {
            0..=2 => Opcode::Data,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(Violation),
        };
        let (last, extended, masked) = (first & 0x80 != 0, first & 0x70 != 0, second & 0x80 != 0);
        let short = second & 0x7f;
        let control = opcode != Opcode::Data;
        if extended || !masked || (control && (short > 125 || !last)) {
            return Err(Violation);
        }
        let wide = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, mask)) = rest.split_at_checked(wide) else { return Ok(Err(wide + 4 - rest.len())) };
        let Some(&mask) = mask.first_chunk() else { return Ok(Err(4 - mask.len())) };
        let length = match short {
            126 | 127 => length.iter().fold(0, |length, byte| (length << 8) | u64::from(*byte)),
            short => u64::from(short),
        };
        if length > i64::MAX.cast_unsigned() { Err(Violation) } else { Ok(Ok(Self { opcode, length, mask })) }
    }
}

/// Adds one whole frame, as servers send it: without a mask.
pub(super) fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(match opcode {
        Opcode::Data => 0x82,
        Opcode::Close => 0x88,
        Opcode::Ping => 0x89,
        Opcode::Pong => 0x8a,
    });
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => out.push(short),
        (_, Ok(length)) => {
            out.push(126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend(u64::try_from(payload.len()).unwrap_or(u64::MAX).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [1, 2, 3, 4];

    fn read(head: &[u8]) -> Result<Result<Head, usize>, Violation> {
        Head::read(&[head, &MASK].concat())
    }

    fn data(length: u64) -> Head {
        Head { opcode: Opcode::Data, length, mask: MASK }
    }

    #[test]
    fn lengths_are_written_in_three_ways() {
        assert_eq!(read(&[0x82, 0xfd]), Ok(Ok(data(125))));
        assert_eq!(read(&[0x82, 0xfe, 1, 0]), Ok(Ok(data(256))));
        assert_eq!(read(&[0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0]), Ok(Ok(data(65536))));
    }

    #[test]
    fn a_head_that_is_not_whole_says_how_much_is_missing() {
        let whole = [0x82, 0xfe, 1, 0, 1, 2, 3, 4];
        let missing: Vec<_> =
            (0..8).map(|length| Head::read(&whole[..length]).unwrap().unwrap_err()).collect();
        assert_eq!(missing, [2, 1, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn what_no_client_may_send_is_a_violation() {
        for head in [[0x82, 5], [0xc2, 0x85], [0x83, 0x85], [0x8b, 0x85], [0x09, 0x85], [0x89, 0xfe]] {
            assert_eq!(read(&head), Err(Violation), "{head:x?}");
        }
        assert_eq!(read(&[0x82, 0xff, 255, 0, 0, 0, 0, 0, 0, 0]), Err(Violation));
    }
}
