//! `wasi:messaging@0.2.0-draft`: messages to the bus.

use flagbase_core::functions::HostError;
use wasmtime::component::{HasSelf, Linker, Resource};

use crate::wasm::guest::Guest;

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit/deps/messaging.wit",
        world: "wasi:messaging/imports",
        imports: { default: trappable },
        with: {
            "wasi:messaging/types.client": super::Client,
            "wasi:messaging/types.message": super::Message,
        },
    });
}

use bindings::wasi::messaging::{producer, types};

/// There is one bus, so there is nothing to connect to.
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Client;

/// A message that a guest writes.
#[derive(Default)]
#[expect(unreachable_pub, reason = "named by what is generated from the interface")]
pub struct Message {
    data: Vec<u8>,
    content_type: Option<String>,
    metadata: Vec<(String, String)>,
}

/// What guests may write beside a message's data, in pairs.
const MOST_METADATA: usize = 64;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    types::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)?;
    producer::add_to_linker::<Guest, HasSelf<Guest>>(linker, |guest| guest)
}

impl types::Host for Guest {}

impl types::HostClient for Guest {
    fn connect(&mut self, _: String) -> wasmtime::Result<Result<Resource<Client>, types::Error>> {
        Ok(Ok(self.table.push(Client)?))
    }

    fn disconnect(&mut self, _: Resource<Client>) -> wasmtime::Result<Result<(), types::Error>> {
        Ok(Ok(()))
    }

    fn drop(&mut self, client: Resource<Client>) -> wasmtime::Result<()> {
        self.table.delete(client)?;
        Ok(())
    }
}

impl types::HostMessage for Guest {
    fn new(&mut self, data: Vec<u8>) -> wasmtime::Result<Resource<Message>> {
        Ok(self.table.push(Message { data, ..Message::default() })?)
    }

    // Only messages that came have one, and none come this way.
    fn topic(&mut self, _: Resource<Message>) -> wasmtime::Result<Option<String>> {
        Ok(None)
    }

    fn content_type(&mut self, message: Resource<Message>) -> wasmtime::Result<Option<String>> {
        Ok(self.table.get(&message)?.content_type.clone())
    }

    fn set_content_type(
        &mut self,
        message: Resource<Message>,
        kind: String,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.table.get_mut(&message)?.content_type = Some(kind);
        Ok(Ok(()))
    }

    fn data(&mut self, message: Resource<Message>) -> wasmtime::Result<Vec<u8>> {
        Ok(self.table.get(&message)?.data.clone())
    }

    fn set_data(&mut self, message: Resource<Message>, data: Vec<u8>) -> wasmtime::Result<()> {
        self.table.get_mut(&message)?.data = data;
        Ok(())
    }

    fn metadata(&mut self, message: Resource<Message>) -> wasmtime::Result<Option<types::Metadata>> {
        let metadata = &self.table.get(&message)?.metadata;
        Ok((!metadata.is_empty()).then(|| metadata.clone()))
    }

    fn add_metadata(
        &mut self,
        message: Resource<Message>,
        key: String,
        value: String,
    ) -> wasmtime::Result<Result<(), types::MetadataError>> {
        let metadata = &mut self.table.get_mut(&message)?.metadata;
        metadata.retain(|(known, _)| *known != key);
        if metadata.len() >= MOST_METADATA {
            return Ok(Err(too_many()));
        }
        metadata.push((key, value));
        Ok(Ok(()))
    }

    fn set_metadata(
        &mut self,
        message: Resource<Message>,
        metadata: types::Metadata,
    ) -> wasmtime::Result<Result<(), types::MetadataError>> {
        if metadata.len() > MOST_METADATA {
            return Ok(Err(too_many()));
        }
        self.table.get_mut(&message)?.metadata = metadata;
        Ok(Ok(()))
    }

    fn remove_metadata(&mut self, message: Resource<Message>, key: String) -> wasmtime::Result<()> {
        self.table.get_mut(&message)?.metadata.retain(|(known, _)| *known != key);
        Ok(())
    }

    fn drop(&mut self, message: Resource<Message>) -> wasmtime::Result<()> {
        self.table.delete(message)?;
        Ok(())
    }
}

fn too_many() -> types::MetadataError {
    types::MetadataError::Invalid(Some(format!("a message has at most {MOST_METADATA} pairs of metadata")))
}

impl producer::Host for Guest {
    // The bus carries data alone; metadata stays with whoever wrote it.
    fn send(
        &mut self,
        _: Resource<Client>,
        topic: String,
        message: Resource<Message>,
    ) -> wasmtime::Result<Result<(), types::Error>> {
        let message = self.table.delete(message)?;
        let sent = self.call.host.publish(&self.call.visit, &topic, message.data);
        Ok(sent.map_err(|error| match error {
            HostError::Denied(why) => types::Error::PermissionDenied(why),
            HostError::NotFound(why) | HostError::TooLarge(why) | HostError::Failed(why) => {
                types::Error::Other(why)
            }
        }))
    }
}
