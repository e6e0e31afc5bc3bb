//! The same on Apache Kafka itself. It takes long to start, so all of it runs on one.

use std::sync::Arc;

use flagbase_testkit::{
    BusUnderTest, ExternalServer,
    bus::{self, Broker as _},
};

use crate::support::on;

/// A new topic on the same broker for every case.
struct Topics {
    server: Arc<ExternalServer>,
    options: &'static str,
}

impl Topics {
    async fn fresh(&self, name: &str) -> BusUnderTest {
        let topic = format!("{name}{}", self.options.len());
        on(&self.server, &topic, self.options).await.with_broker(Arc::clone(&self.server))
    }

    async fn keep_the_contract(&self) {
        bus::an_event_arrives_as_it_was_published(&self.fresh("whole").await).await;
        bus::many_batches_arrive_in_their_order(&self.fresh("batches").await).await;
        bus::keys_of_any_letters_arrive(&self.fresh("letters").await).await;
        bus::what_is_offered_again_carries_the_same_id(&self.fresh("again").await).await;
        bus::a_large_event_arrives_whole(&self.fresh("large").await).await;
        bus::nothing_behind_a_huge_event_is_held_up(&self.fresh("huge").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apache_kafka_keeps_the_contract_and_everything_through_kill_9() {
    let server = Arc::new(ExternalServer::kafka().await);
    assert!(server.is_durable());
    for options in OPTIONS {
        Topics { server: Arc::clone(&server), options }.keep_the_contract().await;
    }
    for options in OPTIONS {
        let topics = Topics { server: Arc::clone(&server), options };
        let under = topics.fresh("killed").await;
        bus::a_broker_killed_in_the_middle_keeps_the_order_and_what_it_acknowledged(&under).await;
    }
}

#[cfg(not(feature = "kafka-rdkafka"))]
const OPTIONS: [&str; 1] = [""];
#[cfg(feature = "kafka-rdkafka")]
const OPTIONS: [&str; 2] = ["", "&idempotent"];
