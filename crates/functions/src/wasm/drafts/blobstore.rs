//! `wasi:blobstore@0.2.0-draft`: containers are buckets. Making and deleting a bucket is an operator's, not a guest's.

mod values;

use flagbase_core::functions::{Bucket, HostError};
use wasmtime::component::{HasSelf, Linker, Resource};

use self::values::{Incoming, Names, Outgoing};
use crate::wasm::guest::Guest;

mod bindings {
    wasmtime::component::bindgen!({
        path: ["wit/deps/io.wit", "wit/deps/blobstore.wit"],
        world: "wasi:blobstore/imports",
        imports: { default: async | trappable },
        with: {
            "wasi:io": wasmtime_wasi::p2::bindings::io,
            "wasi:blobstore/types.outgoing-value": super::values::Outgoing,
            "wasi:blobstore/types.incoming-value": super::values::Incoming,
            "wasi:blobstore/container.container": super::Container,
            "wasi:blobstore/container.stream-object-names": super::values::Names,
        },
    });
}

use bindings::wasi::blobstore::{blobstore, container, types};

type Told<T> = wasmtime::Result<Result<T, String>>;

/// A bucket that a guest opened.
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Container {
    name: String,
    bucket: Bucket,
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    types::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    container::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    blobstore::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

#[expect(clippy::unnecessary_wraps, reason = "what is generated wants to know about broken hosts, too")]
fn told<T>(done: Result<T, HostError>) -> Told<T> {
    Ok(done.map_err(|error| error.to_string()))
}

impl Guest {
    fn granted(&self, name: &str) -> Result<Bucket, HostError> {
        self.call.host.bucket(&self.call.visit, name)
    }

    fn container(&mut self, name: String) -> Told<Resource<Container>> {
        match self.granted(&name) {
            Ok(bucket) => Ok(Ok(self.table.push(Container { name, bucket })?)),
            Err(error) => told(Err(error)),
        }
    }

    /// The buckets of both ends of a copy.
    fn ends(&self, from: &types::ObjectId, to: &types::ObjectId) -> Result<(Bucket, Bucket), HostError> {
        Ok((self.granted(&from.container)?, self.granted(&to.container)?))
    }
}

async fn copy((source, target): &(Bucket, Bucket), from: &str, to: &str) -> Result<(), HostError> {
    let kind = object(source, from).await?.head.content_type;
    let data = source.get(from).await?.ok_or_else(|| nothing(from))?;
    target.put(to, &kind, data).await.map(drop)
}

async fn rename(ends: &(Bucket, Bucket), from: &str, to: &str) -> Result<(), HostError> {
    copy(ends, from, to).await?;
    ends.0.delete(from).await
}

fn nothing(name: &str) -> HostError {
    HostError::NotFound(format!("there is no object `{name}`"))
}

async fn object(bucket: &Bucket, name: &str) -> Result<flagbase_core::buckets::Object, HostError> {
    bucket.head(name).await?.ok_or_else(|| nothing(name))
}

impl blobstore::Host for Guest {
    // One that is there is opened, as drafts differ about what to do then.
    async fn create_container(&mut self, name: String) -> Told<Resource<Container>> {
        self.container(name)
    }

    async fn get_container(&mut self, name: String) -> Told<Resource<Container>> {
        self.container(name)
    }

    async fn delete_container(&mut self, name: String) -> Told<()> {
        Ok(Err(format!(
            "functions do not delete buckets; empty it instead, or let an operator delete `{name}`"
        )))
    }

    async fn container_exists(&mut self, name: String) -> Told<bool> {
        let Ok(bucket) = self.granted(&name) else { return Ok(Ok(false)) };
        match bucket.list("", "").await {
            Ok(_) => Ok(Ok(true)),
            Err(HostError::NotFound(_)) => Ok(Ok(false)),
            Err(error) => told(Err(error)),
        }
    }

    async fn copy_object(&mut self, from: types::ObjectId, to: types::ObjectId) -> Told<()> {
        match self.ends(&from, &to) {
            Ok(ends) => told(copy(&ends, &from.object, &to.object).await),
            Err(error) => told(Err(error)),
        }
    }

    async fn move_object(&mut self, from: types::ObjectId, to: types::ObjectId) -> Told<()> {
        match self.ends(&from, &to) {
            // Onto itself nothing moves.
            Ok(_) if (&from.container, &from.object) == (&to.container, &to.object) => Ok(Ok(())),
            Ok(ends) => told(rename(&ends, &from.object, &to.object).await),
            Err(error) => told(Err(error)),
        }
    }
}

impl container::Host for Guest {}

impl container::HostContainer for Guest {
    async fn name(&mut self, container: Resource<Container>) -> Told<String> {
        Ok(Ok(self.table.get(&container)?.name.clone()))
    }

    // When a bucket was made is not told to functions.
    async fn info(&mut self, container: Resource<Container>) -> Told<types::ContainerMetadata> {
        let name = self.table.get(&container)?.name.clone();
        Ok(Ok(types::ContainerMetadata { name, created_at: 0 }))
    }

    async fn get_data(
        &mut self,
        container: Resource<Container>,
        name: String,
        start: u64,
        end: u64,
    ) -> Told<Resource<Incoming>> {
        let found = self.table.get(&container)?.bucket.get(&name).await;
        match found.and_then(|data| data.ok_or_else(|| nothing(&name))) {
            Ok(data) => Ok(Ok(self.table.push(Incoming::part(&data, start, end))?)),
            Err(error) => told(Err(error)),
        }
    }

    async fn write_data(
        &mut self,
        container: Resource<Container>,
        name: String,
        data: Resource<Outgoing>,
    ) -> Told<()> {
        // The bytes come later: they are kept when the value is finished.
        let bucket = self.table.get(&container)?.bucket.clone();
        self.table.get_mut(&data)?.goes_to(bucket, name);
        Ok(Ok(()))
    }

    async fn list_objects(&mut self, container: Resource<Container>) -> Told<Resource<Names>> {
        let bucket = self.table.get(&container)?.bucket.clone();
        Ok(Ok(self.table.push(Names::of(bucket))?))
    }

    async fn delete_object(&mut self, container: Resource<Container>, name: String) -> Told<()> {
        told(self.table.get(&container)?.bucket.delete(&name).await)
    }

    async fn delete_objects(&mut self, container: Resource<Container>, names: Vec<String>) -> Told<()> {
        let bucket = &self.table.get(&container)?.bucket;
        for name in names {
            if let Err(error) = bucket.delete(&name).await {
                return told(Err(error));
            }
        }
        Ok(Ok(()))
    }

    async fn has_object(&mut self, container: Resource<Container>, name: String) -> Told<bool> {
        told(self.table.get(&container)?.bucket.head(&name).await.map(|found| found.is_some()))
    }

    async fn object_info(
        &mut self,
        container: Resource<Container>,
        name: String,
    ) -> Told<types::ObjectMetadata> {
        let container = self.table.get(&container)?;
        told(object(&container.bucket, &name).await.map(|object| types::ObjectMetadata {
            name: object.key,
            container: container.name.clone(),
            created_at: u64::try_from(object.modified.as_second()).unwrap_or_default(),
            size: object.size,
        }))
    }

    async fn clear(&mut self, container: Resource<Container>) -> Told<()> {
        told(values::clear(&self.table.get(&container)?.bucket).await)
    }

    async fn drop(&mut self, container: Resource<Container>) -> wasmtime::Result<()> {
        self.table.delete(container)?;
        Ok(())
    }
}
