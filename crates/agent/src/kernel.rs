//! Takes a kernel out of the compressed form that distributions ship (`vmlinuz`), because Firecracker boots only the
//! plain one (`vmlinux`).
//!
//! The form is described in the kernel's `Documentation/x86/boot.rst`; what is inside is LZ4 in its old format, as
//! Debian and Ubuntu choose it. For other compressions there is `extract-vmlinux` among the kernel's scripts.

/// Where a boot sector says how many sectors of set-up follow it.
const SETUP_SECTORS: usize = 0x1f1;
/// Where it says `HdrS`.
const SIGNATURE: usize = 0x202;
/// Where it says where the payload is, and how long.
const PAYLOAD: usize = 0x248;
const SECTOR: usize = 512;
const LZ4_OLD: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
const ELF: &[u8] = b"\x7fELF";
/// Most bytes of one block of LZ4 in its old format.
const BLOCK: usize = 8 << 20;
/// Largest kernel that is unpacked, in bytes.
const LARGEST: usize = 512 << 20;

/// Why a kernel cannot be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// It is neither a `vmlinux` nor a `vmlinuz`.
    #[error("this is no kernel for x86; expected a `vmlinuz` or a `vmlinux`")]
    NotAKernel,
    /// It is packed in another way.
    #[error("this kernel is not packed with LZ4; unpack it with `extract-vmlinux` of the kernel's scripts")]
    Compression,
    /// It breaks off, or makes no sense.
    #[error("this kernel is damaged")]
    Damaged,
}

/// The plain kernel in `image`; `image` itself when it is plain.
///
/// # Errors
/// When it is no kernel, or not packed with LZ4.
pub fn vmlinux(image: &[u8]) -> Result<Vec<u8>, KernelError> {
    if image.starts_with(ELF) {
        return Ok(image.to_vec());
    }
    if image.get(SIGNATURE..SIGNATURE + 4) != Some(b"HdrS") {
        return Err(KernelError::NotAKernel);
    }
    // A zero means four, for the sake of very old boot loaders.
    let sectors = match image.get(SETUP_SECTORS) {
        Some(0) | None => 4,
        Some(sectors) => usize::from(*sectors),
    };
    let number = |at| number(image, at).ok_or(KernelError::Damaged);
    let start = (sectors + 1) * SECTOR + number(PAYLOAD)?;
    let end = start.saturating_add(number(PAYLOAD + 4)?);
    let payload = image.get(start..end).ok_or(KernelError::Damaged)?;
    let blocks = payload.strip_prefix(&LZ4_OLD).ok_or(KernelError::Compression)?;
    let kernel = unpacked(blocks)?;
    if kernel.starts_with(ELF) { Ok(kernel) } else { Err(KernelError::Damaged) }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// All blocks; after them stands the length of what they hold.
fn unpacked(mut blocks: &[u8]) -> Result<Vec<u8>, KernelError> {
    let mut out = Vec::new();
    while blocks.len() > 4 {
        let length = number(blocks, 0).ok_or(KernelError::Damaged)?;
        let block = blocks.get(4..4 + length).ok_or(KernelError::Damaged)?;
        let before = out.len();
        unpack_block(block, &mut out, before).ok_or(KernelError::Damaged)?;
        if out.len() - before > BLOCK || out.len() > LARGEST {
            return Err(KernelError::Damaged);
        }
        blocks = blocks.get(4 + length..).unwrap_or_default();
    }
    match number(blocks, 0) {
        Some(length) if length == out.len() => Ok(out),
        _ => Err(KernelError::Damaged),
    }
}

/// One block: again and again literal bytes, then a copy of bytes that came before, no earlier than `begin`.
fn unpack_block(block: &[u8], out: &mut Vec<u8>, begin: usize) -> Option<()> {
    let mut rest = block;
    loop {
        let (token, tail) = rest.split_first()?;
        rest = tail;
        let literals = long(usize::from(token >> 4), &mut rest)?;
        out.extend_from_slice(rest.get(..literals)?);
        rest = rest.get(literals..)?;
        if rest.is_empty() {
            return Some(());
        }
        let offset = usize::from(u16::from_le_bytes(rest.get(..2)?.try_into().ok()?));
        rest = rest.get(2..)?;
        let length = long(usize::from(token & 15), &mut rest)? + 4;
        let from = out.len().checked_sub(offset).filter(|from| *from >= begin && offset > 0)?;
        if length > BLOCK {
            return None;
        }
        copy(out, from, length);
    }
}

/// Copies from what is there already; what was copied may be copied again.
fn copy(out: &mut Vec<u8>, from: usize, mut length: usize) {
    while length > 0 {
        let part = length.min(out.len() - from);
        out.extend_from_within(from..from + part);
        length -= part;
    }
}

/// A length that goes on in further bytes when it is 15.
fn long(short: usize, rest: &mut &[u8]) -> Option<usize> {
    let mut length = short;
    if short == 15 {
        loop {
            let (byte, tail) = rest.split_first()?;
            *rest = tail;
            length = length.checked_add(usize::from(*byte))?;
            if *byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel whose payload is this.
    fn packed(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 2 * SECTOR];
        image[SETUP_SECTORS] = 1;
        image[SIGNATURE..SIGNATURE + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD..PAYLOAD + 4].copy_from_slice(&8_u32.to_le_bytes());
        image[PAYLOAD + 4..PAYLOAD + 8].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        image.extend([0; 8]);
        image.extend(payload);
        image
    }

    /// `ELF`, then `abab…` twenty times, then `end`: literals, a copy that overlaps itself, a length beyond 15.
    fn payload() -> Vec<u8> {
        let block = [&[0x6f][..], b"\x7fELFab", &[2, 0, 19], &[0x30], b"end"].concat();
        let length = u32::try_from(block.len()).unwrap().to_le_bytes();
        [&LZ4_OLD[..], &length, &block, &47_u32.to_le_bytes()].concat()
    }

    #[test]
    fn a_packed_kernel_is_unpacked() {
        let kernel = vmlinux(&packed(&payload())).unwrap();
        assert_eq!(kernel, [&b"\x7fELF"[..], &b"ab".repeat(20), b"end"].concat());
    }

    #[test]
    fn a_plain_kernel_stays_as_it_is() {
        assert_eq!(vmlinux(b"\x7fELF and so on").unwrap(), b"\x7fELF and so on");
    }

    #[test]
    fn what_is_no_kernel_or_packed_otherwise_says_so() {
        assert_eq!(vmlinux(b"MZ"), Err(KernelError::NotAKernel));
        assert_eq!(vmlinux(&packed(b"\x28\xb5\x2f\xfd and so on")), Err(KernelError::Compression));
    }

    #[test]
    fn a_damaged_kernel_is_noticed_wherever_it_is_cut() {
        let whole = packed(&payload());
        for cut in SIGNATURE + 4..whole.len() {
            assert!(vmlinux(&whole[..cut]).is_err(), "{cut}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_block_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let mut out = b"before".to_vec();
            let begin = out.len();
            let _ = unpack_block(&bytes, &mut out, begin);
            proptest::prop_assert!(out.starts_with(b"before"));
        }
    }
}
