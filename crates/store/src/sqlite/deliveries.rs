//! Deliveries to webhooks on SQLite.

use async_trait::async_trait;
use flagbase_core::webhooks::{
    Deliveries, DeliveriesError, Delivery, DeliveryState, EndpointState, Health, NewDelivery, Removal,
    Selection, Settled, StoredSecret, Want,
};
use jiff::Timestamp;
use rusqlite::Connection;

use super::{Sqlite, fault::Fault, writer::Stop};

mod endpoints;
mod rows;

/// Rows removed in one job, so that other writes get their turn.
const CHUNK: u32 = 1_000;

#[async_trait]
impl Deliveries for Sqlite {
    async fn enqueue(&self, deliveries: Vec<NewDelivery>) -> Result<u64, DeliveriesError> {
        self.deliver(move |connection| rows::add(connection, &deliveries)).await
    }

    async fn pending(&self, wants: Vec<Want>) -> Result<Vec<Delivery>, DeliveriesError> {
        Ok(self.inner.readers.read(move |connection| rows::pending(connection, &wants)).await?)
    }

    async fn settle(&self, settled: Settled) -> Result<Health, DeliveriesError> {
        self.deliver(move |connection| rows::settle(connection, &settled)).await
    }

    async fn list(&self, selection: Selection) -> Result<Vec<Delivery>, DeliveriesError> {
        Ok(self.inner.readers.read(move |connection| rows::list(connection, &selection)).await?)
    }

    async fn shift(
        &self,
        selection: Selection,
        state: DeliveryState,
        at: Timestamp,
    ) -> Result<u64, DeliveriesError> {
        self.deliver(move |connection| rows::shift(connection, &selection, state, at)).await
    }

    async fn endpoint(&self, endpoint: &str) -> Result<EndpointState, DeliveriesError> {
        let endpoint = endpoint.to_owned();
        Ok(self.inner.readers.read(move |connection| endpoints::state(connection, &endpoint)).await?)
    }

    async fn add_secret(
        &self,
        endpoint: &str,
        secret: StoredSecret,
        before_until: Timestamp,
    ) -> Result<(), DeliveriesError> {
        let endpoint = endpoint.to_owned();
        self.deliver(move |connection| endpoints::add_secret(connection, &endpoint, &secret, before_until))
            .await
    }

    async fn remove(&self, removal: Removal) -> Result<u64, DeliveriesError> {
        let mut gone = 0;
        loop {
            let now = removal.clone();
            let rows = self.deliver(move |connection| endpoints::remove(connection, &now, CHUNK)).await?;
            gone += rows;
            if rows < u64::from(CHUNK) {
                return Ok(gone);
            }
        }
    }
}

impl Sqlite {
    /// A write about deliveries, which only faults can stop.
    async fn deliver<T, F>(&self, work: F) -> Result<T, DeliveriesError>
    where
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.writer.write(move |connection| work(connection).map_err(Stop::Fault)).await
    }
}
