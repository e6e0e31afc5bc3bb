//! `wasi:keyvalue@0.2.0-draft2`.

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource};

use super::stores::{self, Bucket, Trouble};
use crate::wasm::guest::Guest;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/deps/keyvalue2.wit",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: {
            "wasi:keyvalue/store.bucket": crate::wasm::drafts::stores::Bucket,
            "wasi:keyvalue/atomics.cas": super::Swap,
        },
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};

type Told<T> = wasmtime::Result<Result<T, store::Error>>;

/// A value as it was, to be replaced when it still is.
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Swap {
    store: flagbase_core::functions::Store,
    key: String,
    seen: Option<Bytes>,
}

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

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<String>,
    ) -> Told<store::KeyResponse> {
        let page = self.table.get(&bucket)?.0.keys("", &cursor.unwrap_or_default()).await;
        told(page.map(|(keys, cursor)| store::KeyResponse { keys, cursor }).map_err(Into::into))
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::HostCas for Guest {
    async fn new(&mut self, bucket: Resource<Bucket>, key: String) -> Told<Resource<Swap>> {
        let store = self.table.get(&bucket)?.0.clone();
        match store.get(&key).await {
            Ok(seen) => Ok(Ok(self.table.push(Swap { store, key, seen })?)),
            Err(error) => told(Err(error.into())),
        }
    }

    async fn current(&mut self, swap: Resource<Swap>) -> Told<Option<Vec<u8>>> {
        let swap = self.table.get_mut(&swap)?;
        match swap.store.get(&swap.key).await {
            Ok(seen) => {
                swap.seen.clone_from(&seen);
                Ok(Ok(seen.map(Into::into)))
            }
            Err(error) => told(Err(error.into())),
        }
    }

    async fn drop(&mut self, swap: Resource<Swap>) -> wasmtime::Result<()> {
        self.table.delete(swap)?;
        Ok(())
    }
}

impl atomics::Host for Guest {
    async fn increment(&mut self, bucket: Resource<Bucket>, key: String, delta: i64) -> Told<i64> {
        told(self.table.get(&bucket)?.0.increment(&key, delta).await.map_err(Into::into))
    }

    // A swap that failed gives a new one, which saw what is there now.
    async fn swap(
        &mut self,
        swap: Resource<Swap>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), atomics::CasError>> {
        let Swap { store, key, seen } = self.table.delete(swap)?;
        let swapped = store.swap(&key, seen, value.into()).await;
        let failed = |error| Ok(Err(atomics::CasError::StoreError(Trouble::from(error).into())));
        match swapped {
            Ok(true) => Ok(Ok(())),
            Err(error) => failed(error),
            Ok(false) => match store.get(&key).await {
                Ok(seen) => {
                    Ok(Err(atomics::CasError::CasFailed(self.table.push(Swap { store, key, seen })?)))
                }
                Err(error) => failed(error),
            },
        }
    }
}

impl batch::Host for Guest {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Told<Vec<(String, Option<Vec<u8>>)>> {
        told(self.table.get(&bucket)?.get_many(keys).await)
    }

    async fn set_many(&mut self, bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Told<()> {
        told(self.table.get(&bucket)?.set_many(pairs).await)
    }

    async fn delete_many(&mut self, bucket: Resource<Bucket>, keys: Vec<String>) -> Told<()> {
        told(self.table.get(&bucket)?.delete_many(keys).await)
    }
}
