//! Values on their way in and out, and names that are read in pages.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use flagbase_core::functions::{Bucket, HostError};
use parking_lot::Mutex;
use wasmtime::component::Resource;
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, OutputStream, Pollable, StreamError, StreamResult, pipe::MemoryInputPipe,
};

use super::{
    Told,
    bindings::wasi::blobstore::{container, types},
    told,
};
use crate::wasm::guest::Guest;

/// A value that a guest writes may have so many bytes.
const MOST_VALUE: usize = 64 << 20;

/// A value that was read.
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Incoming(Bytes);

/// A value that is being written.
#[derive(Default)]
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Outgoing {
    bytes: Written,
    streamed: bool,
    to: Option<(Bucket, String)>,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<BytesMut>>);

/// Names of objects, read page by page.
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Names {
    bucket: Bucket,
    read: VecDeque<String>,
    /// Where to go on; `None` at the end.
    next: Option<String>,
}

impl Incoming {
    /// From `start` to `end`, which is part of it.
    pub(super) fn part(data: &Bytes, start: u64, end: u64) -> Self {
        let length = data.len();
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(length);
        let (start, end) = (place(start), place(end.saturating_add(1)));
        Self(if start < end { data.slice(start..end) } else { Bytes::new() })
    }
}

impl Outgoing {
    /// Where it will be kept.
    pub(super) fn goes_to(&mut self, bucket: Bucket, name: String) {
        self.to = Some((bucket, name));
    }
}

impl Names {
    pub(super) fn of(bucket: Bucket) -> Self {
        Self { bucket, read: VecDeque::new(), next: Some(String::new()) }
    }

    /// At most `most` names, and whether that was all.
    async fn take(&mut self, most: u64) -> Result<(Vec<String>, bool), HostError> {
        if self.read.is_empty()
            && let Some(after) = self.next.take()
        {
            let (objects, next) = self.bucket.list("", &after).await?;
            self.read = objects.into_iter().map(|object| object.key).collect();
            self.next = next;
        }
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(self.read.len());
        let names = self.read.drain(..count).collect();
        Ok((names, self.read.is_empty() && self.next.is_none()))
    }
}

/// Deletes every object.
pub(super) async fn clear(bucket: &Bucket) -> Result<(), HostError> {
    let mut next = Some(String::new());
    while let Some(after) = next {
        let (objects, more) = bucket.list("", &after).await?;
        for object in objects {
            bucket.delete(&object.key).await?;
        }
        next = more;
    }
    Ok(())
}

impl types::Host for Guest {}

impl types::HostOutgoingValue for Guest {
    async fn new_outgoing_value(&mut self) -> wasmtime::Result<Resource<Outgoing>> {
        Ok(self.table.push(Outgoing::default())?)
    }

    async fn outgoing_value_write_body(
        &mut self,
        value: Resource<Outgoing>,
    ) -> wasmtime::Result<Result<Resource<DynOutputStream>, ()>> {
        let value = self.table.get_mut(&value)?;
        if std::mem::replace(&mut value.streamed, true) {
            return Ok(Err(()));
        }
        let stream: DynOutputStream = Box::new(value.bytes.clone());
        Ok(Ok(self.table.push(stream)?))
    }

    async fn finish(&mut self, value: Resource<Outgoing>) -> Told<()> {
        let Outgoing { bytes, to, .. } = self.table.delete(value)?;
        let Some((bucket, name)) = to else { return Ok(Ok(())) };
        let data = std::mem::take(&mut *bytes.0.lock()).freeze();
        told(bucket.put(&name, "application/octet-stream", data).await.map(drop))
    }

    async fn drop(&mut self, value: Resource<Outgoing>) -> wasmtime::Result<()> {
        self.table.delete(value)?;
        Ok(())
    }
}

impl types::HostIncomingValue for Guest {
    async fn incoming_value_consume_sync(&mut self, value: Resource<Incoming>) -> Told<Vec<u8>> {
        Ok(Ok(self.table.delete(value)?.0.into()))
    }

    async fn incoming_value_consume_async(
        &mut self,
        value: Resource<Incoming>,
    ) -> Told<Resource<DynInputStream>> {
        let stream: DynInputStream = Box::new(MemoryInputPipe::new(self.table.delete(value)?.0));
        Ok(Ok(self.table.push(stream)?))
    }

    async fn size(&mut self, value: Resource<Incoming>) -> wasmtime::Result<u64> {
        Ok(self.table.get(&value)?.0.len() as u64)
    }

    async fn drop(&mut self, value: Resource<Incoming>) -> wasmtime::Result<()> {
        self.table.delete(value)?;
        Ok(())
    }
}

impl container::HostStreamObjectNames for Guest {
    async fn read_stream_object_names(
        &mut self,
        names: Resource<Names>,
        most: u64,
    ) -> Told<(Vec<String>, bool)> {
        told(self.table.get_mut(&names)?.take(most).await)
    }

    async fn skip_stream_object_names(&mut self, names: Resource<Names>, most: u64) -> Told<(u64, bool)> {
        let skipped = self.table.get_mut(&names)?.take(most).await;
        told(skipped.map(|(names, end)| (names.len() as u64, end)))
    }

    async fn drop(&mut self, names: Resource<Names>) -> wasmtime::Result<()> {
        self.table.delete(names)?;
        Ok(())
    }
}

impl OutputStream for Written {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut written = self.0.lock();
        if written.len() + bytes.len() > MOST_VALUE {
            let why = wasmtime::format_err!("a value has at most {MOST_VALUE} bytes");
            return Err(StreamError::LastOperationFailed(why));
        }
        written.extend_from_slice(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Written {
    async fn ready(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_range_are_part_of_it_and_what_is_beyond_is_left_out() {
        let data = Bytes::from_static(b"0123456789");
        for (start, end, expected) in
            [(0, 0, "0"), (2, 4, "234"), (8, u64::MAX, "89"), (9, 9, "9"), (10, 20, ""), (5, 4, "")]
        {
            assert_eq!(Incoming::part(&data, start, end).0, expected, "{start}–{end}");
        }
    }

    #[test]
    fn a_value_is_not_larger_than_may_be() {
        let mut written = Written::default();
        assert!(written.write(Bytes::from(vec![0; MOST_VALUE])).is_ok());
        assert!(written.write(Bytes::from_static(b"x")).is_err());
    }
}
