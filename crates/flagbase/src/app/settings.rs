//! From the configuration to what each component wants to know.

use flagbase_core::gateway::{AddressPolicy, GatewayConfig};
use flagbase_core::identity::{self, IdentityConfig};
use flagbase_core::metrics;
use flagbase_core::webhooks;

use crate::config::{Config, Registration};
use crate::exit::{Exit, Failure, Outcome};

/// What identity is configured with; `secret` signs.
pub(crate) fn identity(config: &Config, secret: identity::Secret) -> IdentityConfig {
    let iam = &config.iam;
    IdentityConfig {
        secret,
        token_ttl: iam.token_ttl,
        registration: match iam.registration {
            Registration::Open => identity::Registration::Open,
            Registration::Invite => identity::Registration::Invite,
            Registration::Closed => identity::Registration::Closed,
        },
        default_role: iam.default_role.clone(),
        self_assignable_roles: iam.self_assignable_roles.clone(),
        hash_concurrency: iam.hash_concurrency,
        hash_queue: iam.hash_queue,
        login_attempts: iam.login_attempts,
        login_window: iam.login_window,
        setup_token_ttl: iam.setup_token_ttl,
    }
}

/// What the gateway is configured with.
pub(crate) fn gateway(config: &Config) -> Outcome<GatewayConfig> {
    let gateway = &config.gateway;
    let trusted = gateway.trusted_proxies.iter().map(|text| text.parse()).collect::<Result<_, String>>();
    Ok(GatewayConfig {
        environment: gateway.environment.clone(),
        hosts: gateway.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
        paths: gateway.paths.clone(),
        connect_timeout: gateway.connect_timeout,
        request_timeout: gateway.request_timeout,
        idle_timeout: gateway.idle_timeout,
        max_idle_per_host: gateway.max_idle_per_host,
        retries: gateway.retries,
        allow_loopback_upstreams: gateway.allow_loopback_upstreams,
        allow_private_upstreams: gateway.allow_private_upstreams,
        trusted_proxies: trusted.map_err(|fault| Failure::new(Exit::Configuration, fault))?,
    })
}

/// What webhooks are configured with.
pub(crate) fn webhooks(config: &Config) -> webhooks::Settings {
    let webhooks = &config.webhooks;
    webhooks::Settings {
        addresses: AddressPolicy { loopback: webhooks.allow_loopback, private: webhooks.allow_private },
        timeout: webhooks.timeout,
        concurrency: webhooks.concurrency,
        per_endpoint: webhooks.concurrency_per_endpoint,
        retention: webhooks.retention,
        disable_after: webhooks.disable_after,
    }
}

/// How measurements are kept.
pub(crate) fn metrics(config: &Config) -> metrics::Settings {
    metrics::Settings {
        flush_interval: config.metrics.flush_interval,
        retention: config.metrics.retention,
        build: metrics::Build { version: env!("CARGO_PKG_VERSION"), commit: env!("FLAGBASE_COMMIT") },
    }
}
