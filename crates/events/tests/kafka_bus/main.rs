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
    // Not the one that kills the broker in the middle: Tansu forgets the producer, too. Apache Kafka does it.
    flagbase_testkit::bus_cases!(
        super::fresh,
        faults,
        [
            a_broker_that_is_away_is_told_and_everything_comes_in_order_later,
            a_broker_that_was_never_there_is_told_and_used_once_it_is,
            nothing_piles_up_while_the_broker_is_away,
        ]
    );
}
