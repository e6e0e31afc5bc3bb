//! The bytes of objects on their way to a client.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use flagbase_core::{
    blobs::Direct,
    buckets::{Object, Part, crc64},
    functions::{Body, BodyFault, BodyStream},
    refusal::{Class, Refusal},
};
use futures_util::Stream;

use crate::functions::FunctionBody;

/// So much is read before the answer begins: what is damaged is told with a status then, and not by breaking off.
pub(super) const SMALL: u64 = 256 << 10;

/// Who learns that a body broke off.
pub(super) struct Told(Box<dyn FnOnce() + Send>);

impl Told {
    pub(super) fn new(tell: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(tell))
    }
}

/// The bytes of an object from `range.0` up to before `range.1`, small ones read to their end and compared.
pub(super) async fn read(
    part: Part,
    direct: Option<&Direct>,
    (from, to): (u64, u64),
    told: Option<Told>,
) -> Result<FunctionBody, Refusal> {
    let length = to.saturating_sub(from);
    if length > SMALL {
        let watched = Watched { bytes: part.body(direct), left: length, told };
        return Ok(FunctionBody::Parts(Box::pin(watched), Some(length)));
    }
    whole(&part.object, part.bytes, length).await.map(FunctionBody::Whole)
}

/// So many bytes of `object`; compared with its checksum when they are all of it.
pub(super) async fn whole(object: &Object, bytes: BodyStream, length: u64) -> Result<Bytes, Refusal> {
    let damaged = |why: &str| {
        let message = format!("object `{}` is damaged: {why}; write it again", object.key);
        Refusal::new(Class::Internal, "object_damaged", message)
    };
    let read = Body::Stream(bytes, Some(length)).collect(length).await;
    let read = read.map_err(|fault| damaged(&fault.to_string()))?;
    if read.len() as u64 != length {
        return Err(damaged("it is shorter than it was"));
    }
    if length == object.size && crc64(&read) != object.crc64 {
        return Err(damaged("its checksum is another one"));
    }
    Ok(read)
}

/// Tells when a body breaks off, or ends before its end.
struct Watched {
    bytes: BodyStream,
    left: u64,
    told: Option<Told>,
}

impl Stream for Watched {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.bytes.as_mut().poll_next(cx);
        let broken = match &polled {
            Poll::Ready(Some(Ok(part))) => {
                self.left = self.left.saturating_sub(part.len() as u64);
                false
            }
            Poll::Ready(Some(Err(_))) => true,
            Poll::Ready(None) => self.left > 0,
            Poll::Pending => false,
        };
        if broken && let Some(Told(tell)) = self.told.take() {
            tell();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use futures_util::{StreamExt as _, stream};

    use super::*;

    fn object(bytes: &[u8]) -> Object {
        Object { size: bytes.len() as u64, crc64: crc64(bytes), ..Object::default() }
    }

    fn stream(parts: Vec<Result<&'static [u8], BodyFault>>) -> BodyStream {
        Box::pin(stream::iter(parts.into_iter().map(|part| part.map(Bytes::from_static)).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn small_objects_are_whole_and_right_before_the_answer_begins() {
        let right = object(b"hello");
        let read = whole(&right, stream(vec![Ok(b"hel"), Ok(b"lo")]), 5).await;
        assert_eq!(read.unwrap(), "hello");
        assert_eq!(
            whole(&right, stream(vec![Ok(b"ell")]), 3).await.unwrap(),
            "ell",
            "a part has no checksum"
        );
        let broken = || BodyFault::Broken("gone".to_owned());
        for parts in [vec![Ok(&b"hallo"[..])], vec![Ok(b"hell")], vec![], vec![Ok(b"hel"), Err(broken())]] {
            assert_eq!(whole(&right, stream(parts), 5).await.unwrap_err().code, "object_damaged");
        }
    }

    #[tokio::test]
    async fn somebody_is_told_once_when_a_large_one_breaks_off() {
        let told = Arc::new(AtomicU32::new(0));
        let left = SMALL + 10;
        for (parts, expected) in [
            (vec![Ok(&b"0123456789"[..])], 1),
            (vec![Ok(&b"01"[..]), Err(BodyFault::TooSlow)], 2),
            (vec![], 3),
        ] {
            let count = Arc::clone(&told);
            let tell = Told::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            });
            let part = Part { object: Arc::new(object(b"")), bytes: stream(parts), file: None };
            let body = read(part, None, (0, left), Some(tell)).await.unwrap();
            let FunctionBody::Parts(parts, length) = body else { panic!("it is sent in parts") };
            assert_eq!(length, Some(left));
            parts.for_each(async |_| ()).await;
            assert_eq!(told.load(Ordering::Relaxed), expected);
        }
    }
}
