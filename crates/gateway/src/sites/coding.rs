//! Compressed forms: which a client takes, and what is worth it.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header};

/// Smaller ones are not worth it, in bytes.
const SMALLEST: u64 = 1 << 10;

/// Larger ones are only sent compressed when somebody compressed them before, in bytes.
const LARGEST: u64 = 4 << 20;

/// A form in which bytes are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Gzip,
}

impl Coding {
    /// As HTTP calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// What the key of the compressed sibling of an object ends with.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }
}

/// The codings that a client takes, the one it likes best first.
pub(super) fn accepted(sent: &HeaderMap) -> Vec<Coding> {
    let wishes = [Coding::Brotli, Coding::Gzip].map(|coding| (coding, wish(sent, coding.name())));
    let mut wanted: Vec<_> = wishes.into_iter().filter(|(_, wish)| *wish > 0.0).collect();
    // Stable: Brotli is smaller where both are as welcome.
    wanted.sort_by(|(_, left), (_, right)| right.total_cmp(left));
    wanted.into_iter().map(|(coding, _)| coding).collect()
}

/// How much a client likes `coding`, 0 to 1.
fn wish(sent: &HeaderMap, coding: &str) -> f32 {
    let (mut any, mut named) = (0.0, None);
    let values = sent.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for item in values.flat_map(|value| value.split(',')) {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |text| text.trim().parse().ok());
        let quality = quality.filter(|quality: &f32| (0.0..=1.0).contains(quality)).unwrap_or(0.0);
        match name.trim() {
            "*" => any = quality,
            name if name.eq_ignore_ascii_case(coding) => named = Some(quality),
            _ => {}
        }
    }
    named.unwrap_or(any)
}

/// Whether objects of this media type may have siblings that are smaller: not what is packed already.
pub(super) fn may_be_packed(kind: &str) -> bool {
    let kind = essence(kind);
    let packed = ["image/", "audio/", "video/", "font/woff"].iter().any(|packed| kind.starts_with(packed));
    let bitmap = matches!(&*kind, "image/svg+xml" | "image/x-icon" | "image/bmp");
    (!packed || bitmap) && !matches!(&*kind, "application/zip" | "application/gzip" | "application/pdf")
}

/// Whether an object of `size` bytes and this media type is worth compressing while somebody waits.
pub(super) fn is_worth_packing(kind: &str, size: u64) -> bool {
    let kind = essence(kind);
    let text = kind.starts_with("text/") || ["+xml", "+json"].iter().any(|ending| kind.ends_with(ending));
    let known = matches!(
        &*kind,
        "application/json"
            | "application/javascript"
            | "application/xml"
            | "application/wasm"
            | "application/yaml"
            | "application/x-javascript"
            | "image/x-icon"
            | "image/bmp"
            | "font/ttf"
            | "font/otf"
    );
    (text || known) && (SMALLEST..=LARGEST).contains(&size)
}

/// The media type without parameters, lower case.
fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `bytes` as gzip; `None` when that is no smaller.
pub(super) fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 3), Compression::new(6));
    encoder.write_all(bytes).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < bytes.len()).then(|| packed.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn accepts(value: &'static str) -> Vec<&'static str> {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))]);
        accepted(&headers).into_iter().map(Coding::name).collect()
    }

    #[test]
    fn the_client_says_what_it_takes_and_what_it_likes_best() {
        for (value, names) in [
            ("gzip, deflate, br, zstd", &["br", "gzip"][..]),
            ("gzip", &["gzip"]),
            ("GZIP;q=1.0, br;q=0.5", &["gzip", "br"]),
            ("br;q=0, gzip", &["gzip"]),
            ("*", &["br", "gzip"]),
            ("*;q=0.1, br;q=0", &["gzip"]),
            ("identity", &[]),
            ("gzip;q=nonsense", &[]),
            ("gzip;q=2", &[]),
            ("", &[]),
        ] {
            assert_eq!(accepts(value), names, "{value}");
        }
        assert_eq!(accepted(&HeaderMap::new()), []);
    }

    #[test]
    fn texts_of_some_length_are_worth_it_and_pictures_are_not() {
        assert!(is_worth_packing("text/html; charset=utf-8", 1024));
        assert!(is_worth_packing("image/svg+xml", 5000) && is_worth_packing("Application/JSON", 5000));
        for (kind, size) in [("text/html", 1023), ("text/css", LARGEST + 1), ("image/png", 5000), ("", 5000)]
        {
            assert!(!is_worth_packing(kind, size), "{kind} {size}");
        }
        assert!(may_be_packed("application/octet-stream") && may_be_packed("image/svg+xml"));
        assert!(!may_be_packed("image/png") && !may_be_packed("font/woff2") && !may_be_packed("video/mp4"));
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(bytes in proptest::collection::vec(0_u8..4, 0..3000)) {
            if let Some(packed) = gzip(&bytes) {
                let mut back = Vec::new();
                flate2::read::GzDecoder::new(&*packed).read_to_end(&mut back).unwrap();
                prop_assert!(back == bytes && packed.len() < bytes.len());
            }
        }
    }
}
