//! The bus on brokers that speak Kafka's protocol keeps the contract of buses.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

mod binary;
mod real;
mod support;

mod tansu {
    use flagbase_testkit::BusUnderTest;

    async fn fresh() -> BusUnderTest {
        super::support::tansu("").await
    }

    flagbase_testkit::event_bus_contract!(super::fresh);
    flagbase_testkit::event_bus_fault_contract!(super::fresh);
}

#[cfg(feature = "kafka-rdkafka")]
mod idempotent {
    use flagbase_testkit::BusUnderTest;

    async fn fresh() -> BusUnderTest {
        super::support::tansu("&idempotent").await
    }

    flagbase_testkit::event_bus_contract!(super::fresh);
    flagbase_testkit::event_bus_fault_contract!(super::fresh);
}
