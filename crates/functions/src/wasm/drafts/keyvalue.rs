//! `wasi:keyvalue@0.2.0-draft`.

use wasmtime::component::{HasSelf, Linker, Resource};

use super::stores::{self, Bucket, Trouble};
use crate::wasm::guest::Guest;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/deps/keyvalue.wit",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": crate::wasm::drafts::stores::Bucket },
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};

type Told<T> = wasmtime::Result<Result<T, store::Error>>;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    store::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    atomics::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    batch::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

impl From<Trouble> for store::Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Denied => Self::AccessDenied,
            Trouble::Other(why) => Self::Other(why),
        }
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what is generated wants to know about broken hosts, too")]
fn told<T>(done: Result<T, Trouble>) -> Told<T> {
    Ok(done.map_err(Into::into))
}

impl store::Host for Guest {
    async fn open(&mut self, identifier: String) -> Told<Resource<Bucket>> {
        match stores::open(self, &identifier) {
            Ok(bucket) => Ok(Ok(self.table.push(bucket)?)),
            Err(trouble) => told(Err(trouble)),
        }
    }
}

impl store::HostBucket for Guest {
    async fn get(&mut self, bucket: Resource<Bucket>, key: String) -> Told<Option<Vec<u8>>> {
        told(self.table.get(&bucket)?.get(&key).await)
    }

    async fn set(&mut self, bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Told<()> {
        told(self.table.get(&bucket)?.set(&key, value).await)
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Told<()> {
        told(self.table.get(&bucket)?.delete(&key).await)
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Told<bool> {
        told(self.table.get(&bucket)?.exists(&key).await)
    }

    // Here a cursor is a number, so it counts the keys that were given.
    async fn list_keys(&mut self, bucket: Resource<Bucket>, cursor: Option<u64>) -> Told<store::KeyResponse> {
        told(nth_page(self.table.get(&bucket)?, cursor.unwrap_or_default()).await)
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

async fn nth_page(bucket: &Bucket, skip: u64) -> Result<store::KeyResponse, Trouble> {
    let (mut after, mut seen) = (String::new(), 0);
    loop {
        let (keys, next) = bucket.0.keys("", &after).await?;
        let read = seen + keys.len() as u64;
        match next {
            Some(next) if read <= skip => after = next,
            next => {
                let skipped = usize::try_from(skip.saturating_sub(seen)).unwrap_or(usize::MAX);
                let keys = keys.into_iter().skip(skipped).collect();
                return Ok(store::KeyResponse { keys, cursor: next.map(|_| read) });
            }
        }
        seen = read;
    }
}

impl atomics::Host for Guest {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: u64) -> Told<u64> {
        let Ok(delta) = i64::try_from(delta) else {
            return told(Err(Trouble::Other(format!("{delta} is more than can be added at once"))));
        };
        let sum = self.table.get(&bucket)?.0.increment(&key, delta).await;
        told(sum.map_err(Trouble::from).and_then(|sum| {
            u64::try_from(sum).map_err(|_| Trouble::Other(format!("the value of `{key}` is below zero")))
        }))
    }
}

impl batch::Host for Guest {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Told<Vec<Option<(String, Vec<u8>)>>> {
        let found = self.table.get(&bucket)?.get_many(keys).await;
        let as_drafted = |(key, value): (String, Option<Vec<u8>>)| Some((key, value?));
        told(found.map(|found| found.into_iter().map(as_drafted).collect()))
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Told<()> {
        told(self.table.get(&bucket)?.set_many(pairs).await)
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Told<()> {
        told(self.table.get(&bucket)?.delete_many(keys).await)
    }
}
