//! The loopback network: one message to the kernel (rtnetlink(7)).

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

const NEW_LINK: u16 = 16;
const REQUEST_AND_ACKNOWLEDGE: u16 = 1 | 4;
const ERROR: u16 = 2;
/// The loopback interface is always the first.
const INDEX: i32 = 1;
const UP: u32 = 1;
const LENGTH: u32 = 32;

/// Turns the loopback interface on; the kernel gives it its addresses then.
pub(super) fn loopback_up() -> io::Result<()> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sendto(&socket, &message(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut answer = [0_u8; 1024];
    let (read, _) = recv(&socket, &mut answer[..], RecvFlags::empty())?;
    acknowledged(answer.get(..read).unwrap_or_default())
}

/// The header of a message, then that of a link.
fn message() -> Vec<u8> {
    let mut out = Vec::with_capacity(LENGTH as usize);
    out.extend(LENGTH.to_ne_bytes());
    out.extend(NEW_LINK.to_ne_bytes());
    out.extend(REQUEST_AND_ACKNOWLEDGE.to_ne_bytes());
    // sequence and sender, then family, padding and type
    out.extend([0; 12]);
    out.extend(INDEX.to_ne_bytes());
    out.extend(UP.to_ne_bytes());
    // which flags change
    out.extend(UP.to_ne_bytes());
    out
}

/// What the kernel says: an error number, 0 when there is none.
fn acknowledged(answer: &[u8]) -> io::Result<()> {
    let field = |from: usize, to: usize| answer.get(from..to).map(<[u8]>::to_vec);
    let kind = field(4, 6).and_then(|bytes| Some(u16::from_ne_bytes(bytes.try_into().ok()?)));
    let number = field(16, 20).and_then(|bytes| Some(i32::from_ne_bytes(bytes.try_into().ok()?)));
    match (kind, number) {
        (Some(ERROR), Some(0)) => Ok(()),
        (Some(ERROR), Some(number)) => Err(io::Error::from_raw_os_error(-number)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_is_as_long_as_it_says() {
        assert_eq!(message().len(), 32);
    }

    #[test]
    fn the_kernel_says_yes_no_or_nonsense() {
        let mut answer = vec![0; 36];
        answer[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        assert!(acknowledged(&answer).is_ok());
        answer[16..20].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert_eq!(acknowledged(&answer).unwrap_err().raw_os_error(), Some(1));
        assert!(acknowledged(&answer[..10]).is_err());
    }
}
