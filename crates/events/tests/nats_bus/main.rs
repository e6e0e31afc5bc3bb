//! The bus on the real nats-server keeps the contract of buses: core NATS, which keeps nothing, and `JetStream`.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends at the first thing that is not as it should be"
)]

mod jetstream;
mod login;
mod support;

mod core {
    use flagbase_testkit::BusUnderTest;

    async fn fresh() -> BusUnderTest {
        super::support::core().await
    }

    flagbase_testkit::event_bus_contract!(super::fresh);
    flagbase_testkit::event_bus_fault_contract!(super::fresh);
}

mod stream {
    use flagbase_testkit::BusUnderTest;

    async fn fresh() -> BusUnderTest {
        super::support::stream().await
    }

    flagbase_testkit::event_bus_contract!(super::fresh);
    flagbase_testkit::event_bus_fault_contract!(super::fresh);
}
