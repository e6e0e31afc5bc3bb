use proptest::prelude::*;

use super::*;

fn chunks(signed: bool) -> Framing {
    Framing::Chunks(Chunks { signed, at: At::default() })
}

/// What comes out when `text` comes in pieces of these sizes.
fn through(mut framing: Framing, text: &[u8], sizes: &[usize]) -> Result<Vec<u8>, String> {
    let (mut out, mut left, mut sizes) =
        (VecDeque::new(), Bytes::copy_from_slice(text), sizes.iter().cycle());
    while !left.is_empty() {
        let size = sizes.next().map_or(left.len(), |size| (*size).clamp(1, left.len()));
        framing.take(left.split_to(size), &mut out).map_err(|fault| fault.to_string())?;
    }
    out.extend(framing.rest());
    Ok(out.into_iter().flatten().collect())
}

/// The bytes in chunks, and what comes behind them.
fn read(text: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut data, mut left) = (Vec::new(), text);
    loop {
        let end = find(left, b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&left[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return (data, left[end + 2..].to_vec());
        }
        data.extend_from_slice(&left[end + 2..end + 2 + size]);
        left = &left[end + 4 + size..];
    }
}

proptest! {
    #[test]
    fn one_large_chunk_becomes_many_with_the_same_bytes(
        chunked in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..50), 0..6),
        sizes in proptest::collection::vec(1_usize..20, 1..8),
    ) {
        let mut text = Vec::new();
        for chunk in &chunked {
            text.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
            text.extend_from_slice(chunk);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n");
        let (data, trailers) = read(&through(chunks(false), &text, &sizes).unwrap());
        prop_assert_eq!(data, chunked.concat());
        prop_assert_eq!(trailers, b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
    }
}

#[test]
fn signed_chunks_go_on_as_they_came() {
    let text = b"3;chunk-signature=ab\r\nabc\r\n0;chunk-signature=cd\r\n\r\n";
    assert_eq!(through(chunks(true), text, &[5]).unwrap(), text);
}

#[test]
fn what_is_no_chunk_is_refused() {
    for text in ["x\r\n", "3\r\nabcdef", "\r\n", "-1\r\n"] {
        assert!(
            through(chunks(false), text.as_bytes(), &[4]).unwrap_err().contains("FormatError"),
            "{text:?}"
        );
    }
    let long = "1".repeat(2000);
    assert!(through(chunks(false), long.as_bytes(), &[100]).is_err());
    let large = through(chunks(true), b"fffffff;chunk-signature=ab\r\n", &[9]);
    assert!(large.unwrap_err().contains("TooLarge"));
}

const FORM: &str = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nforms/${filename}\r\n--b\r\n\
                    Content-Disposition: form-data; name=\"file\"; filename=\"C:\\a.txt\"\r\n\r\n${filename} stays\r\n--b--\r\n";

#[test]
fn the_name_of_the_file_takes_its_place_in_the_fields() {
    for size in [1, 7, 1000] {
        let told = through(Framing::Form(Form::default()), FORM.as_bytes(), &[size]).unwrap();
        assert_eq!(String::from_utf8(told).unwrap(), FORM.replacen("${filename}", "a.txt", 1), "{size}");
    }
}

#[test]
fn a_form_without_a_file_goes_on_as_it_came() {
    let form = FORM.replace("name=\"file\"", "name=\"other\"");
    assert_eq!(through(Framing::Form(Form::default()), form.as_bytes(), &[9]).unwrap(), form.as_bytes());
    let long = "x".repeat(MOST_FIELDS + 10);
    assert_eq!(through(Framing::Form(Form::default()), long.as_bytes(), &[9999]).unwrap(), long.as_bytes());
}
