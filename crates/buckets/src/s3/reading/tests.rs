use flagbase_core::{
    buckets::{Piece, Settings, Site},
    catalog::{DocumentId, Kind},
};

use super::*;

fn object(pieces: &[u64]) -> Object {
    let pieces: Vec<_> =
        pieces.iter().map(|size| Piece { blob: String::new(), size: *size, crc64: 0 }).collect();
    Object { size: pieces.iter().map(|piece| piece.size).sum(), pieces, ..Object::default() }
}

fn wanted(range: Option<&str>, part: Option<i32>) -> Wanted {
    Wanted {
        key: "k".into(),
        version: None,
        range: range.map(|range| Range::parse(range).unwrap()),
        part,
        conditions: Conditions::default(),
        checksum: false,
    }
}

fn span(pieces: &[u64], range: Option<&str>, part: Option<i32>) -> Result<(u64, u64, bool), String> {
    let span = wanted(range, part).span(&object(pieces));
    span.map(|span| (span.from, span.to, span.partial)).map_err(|error| error.code().as_str().to_owned())
}

#[test]
fn ranges_are_those_of_http() {
    assert_eq!(span(&[10], None, None), Ok((0, 10, false)));
    assert_eq!(span(&[10], Some("bytes=2-4"), None), Ok((2, 5, true)));
    assert_eq!(span(&[10], Some("bytes=2-"), None), Ok((2, 10, true)));
    assert_eq!(span(&[10], Some("bytes=2-99"), None), Ok((2, 10, true)));
    assert_eq!(span(&[10], Some("bytes=-3"), None), Ok((7, 10, true)));
    assert_eq!(span(&[10], Some("bytes=-99"), None), Ok((0, 10, true)));
    assert_eq!(span(&[10], Some("bytes=10-"), None), Err("InvalidRange".into()));
    assert_eq!(span(&[0], Some("bytes=0-"), None), Err("InvalidRange".into()));
    assert_eq!(span(&[0], Some("bytes=-5"), None), Ok((0, 0, false)));
}

#[test]
fn parts_are_the_pieces_in_order() {
    assert_eq!(span(&[5, 5, 2], None, Some(1)), Ok((0, 5, true)));
    assert_eq!(span(&[5, 5, 2], None, Some(3)), Ok((10, 12, true)));
    assert_eq!(span(&[5, 5, 2], None, Some(4)), Err("InvalidPartNumber".into()));
    assert_eq!(span(&[5], None, Some(0)), Err("InvalidArgument".into()));
    assert_eq!(span(&[5], Some("bytes=0-1"), Some(1)), Err("InvalidRequest".into()));
}

#[test]
fn nothing_is_opened_of_what_will_not_be_told() {
    let mut object = object(&[10]);
    assert_eq!(wanted(Some("bytes=99-"), None).pick(&object), Pick::Nothing);
    assert_eq!(wanted(Some("bytes=1-1"), None).pick(&object), Pick::Range(1, 2));
    assert_eq!(wanted(None, None).pick(&object), Pick::Whole);
    object.marker = true;
    assert_eq!(wanted(None, None).pick(&object), Pick::Nothing);
    let error = wanted(None, None).admit(&object).unwrap_err();
    assert_eq!(error.code().as_str(), "MethodNotAllowed");
    assert_eq!(error.headers().unwrap()["x-amz-delete-marker"], "true");
}

#[test]
fn what_strangers_read_is_saved_and_not_shown() {
    let bucket = |site: Option<Site>| Bucket {
        id: DocumentId::new(Kind::Bucket, "default", "b"),
        revision: 1,
        settings: Settings { site, ..Settings::default() },
        policy: None,
    };
    let site = Site { index: "index.html".into(), error: None, spa: false };
    let says = |said: &str| {
        let mut object = object(&[1]);
        object.head.content_disposition = Some(said.to_owned());
        object
    };
    let told = |site: Option<Site>, granted, object: &Object| disposition(&bucket(site), granted, object);
    assert_eq!(told(None, Granted::Public, &object(&[1])).as_deref(), Some("attachment"));
    assert_eq!(told(None, Granted::Public, &says("inline")).as_deref(), Some("attachment"));
    assert_eq!(told(Some(site.clone()), Granted::Public, &says("inline")).as_deref(), Some("inline"));
    assert_eq!(told(Some(site), Granted::Public, &object(&[1])).as_deref(), Some("attachment"));
    let named = says("Attachment; filename=\"a.txt\"");
    assert_eq!(told(None, Granted::Public, &named), named.head.content_disposition);
    assert_eq!(told(None, Granted::Permission, &object(&[1])), None);
}
