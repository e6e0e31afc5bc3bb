//! What guests of our own interfaces ask the host without waiting: who is calling, flags, configuration, the log, the bus.

use flagbase_core::functions::{Level, Stream};

use super::bindings::flagbase::{
    faas::{bus, config, context, log, types},
    features::evaluate,
};
use crate::wasm::guest::Guest;

impl types::Host for Guest {}

impl context::Host for Guest {
    fn who(&mut self) -> context::Caller {
        let caller = &self.call.visit.caller;
        context::Caller {
            id: caller.id.to_string(),
            email: caller.email.to_string(),
            role: caller.role.to_string(),
            groups: caller.groups.iter().map(ToString::to_string).collect(),
        }
    }

    fn what(&mut self) -> context::About {
        let visit = &self.call.visit;
        context::About {
            function: visit.deployed.function.to_string(),
            version: visit.deployed.version,
            environment: visit.deployed.environment.to_string(),
            request_id: visit.id.to_string(),
            traceparent: visit.trace.as_ref().map(|trace| trace.as_str().to_owned()).unwrap_or_default(),
        }
    }
}

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<(String, String)>) {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.call.log(level, Stream::Log, &message, fields);
    }
}

impl config::Host for Guest {
    fn get(&mut self, name: String) -> Option<String> {
        self.call.visit.deployed.settings.variables.get(&name).cloned()
    }

    fn all(&mut self) -> Vec<(String, String)> {
        let variables = self.call.visit.deployed.settings.variables.iter();
        variables.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

impl bus::Host for Guest {
    fn publish(&mut self, subject: String, data: Vec<u8>) -> Result<(), String> {
        let sent = self.call.host.publish(&self.call.visit, &subject, data);
        sent.map_err(|error| error.to_string())
    }
}

impl evaluate::Host for Guest {
    fn boolean(&mut self, key: String, fallback: bool) -> bool {
        let seen = self.call.evaluator().evaluate(&key);
        seen.and_then(|seen| seen.evaluation.variant.value.as_bool()).unwrap_or(fallback)
    }

    fn text(&mut self, key: String, fallback: String) -> String {
        let seen = self.call.evaluator().evaluate(&key);
        seen.and_then(|seen| seen.evaluation.variant.value.as_str().map(str::to_owned)).unwrap_or(fallback)
    }

    fn number(&mut self, key: String, fallback: f64) -> f64 {
        let seen = self.call.evaluator().evaluate(&key);
        seen.and_then(|seen| seen.evaluation.variant.value.as_f64()).unwrap_or(fallback)
    }

    fn explain(&mut self, key: String, fallback: String) -> evaluate::Details {
        let Some(seen) = self.call.evaluator().evaluate(&key) else {
            return evaluate::Details { value: fallback, variant: String::new(), reason: "ERROR".to_owned() };
        };
        evaluate::Details {
            value: seen.evaluation.variant.value.to_string(),
            variant: seen.evaluation.variant.name.to_string(),
            reason: seen.evaluation.reason.as_str().to_owned(),
        }
    }
}
