//! Functions in the form in which calls are decided.

use std::sync::Arc;

use serde_json::Value;

use super::{Definition, Deployed, Settings, Trigger, Version};
use crate::{catalog::Revision, gateway::Require};

/// A function ready to be called. Part of the snapshot; immutable.
#[derive(Debug, Clone)]
pub struct CompiledFunction {
    /// Its name.
    pub name: Arc<str>,
    /// The environment's key.
    pub environment: Arc<str>,
    /// The revision that wrote it.
    pub revision: Revision,
    /// The version that runs when no flag decides.
    pub current: Option<u32>,
    /// The flag whose variants name versions.
    pub flag: Option<Arc<str>>,
    /// Who may call it over HTTP.
    pub require: Require,
    /// Whether it sees the caller's token.
    pub forward_token: bool,
    /// What all versions run with.
    pub settings: Arc<Settings>,
    /// What starts it besides requests.
    pub triggers: Arc<[Trigger]>,
    versions: Box<[Arc<Deployed>]>,
}

impl CompiledFunction {
    /// Compiles a stored function.
    pub fn new(environment: &Arc<str>, definition: &Definition, revision: Revision) -> Self {
        let name: Arc<str> = definition.name.as_str().into();
        let settings = Arc::new(definition.settings.clone());
        let deployed = |version: &Version| {
            Arc::new(Deployed {
                environment: Arc::clone(environment),
                function: Arc::clone(&name),
                version: version.number,
                digest: version.digest,
                shape: version.shape,
                settings: Arc::clone(&settings),
            })
        };
        Self {
            environment: Arc::clone(environment),
            revision,
            current: definition.current,
            flag: definition.flag_key.as_deref().map(Arc::from),
            require: definition.require.clone(),
            forward_token: definition.forward_token,
            triggers: definition.triggers.as_slice().into(),
            versions: definition.versions.iter().map(deployed).collect(),
            settings,
            name,
        }
    }

    /// The version of this number.
    pub fn version(&self, number: u32) -> Option<&Arc<Deployed>> {
        let at = self.versions.binary_search_by_key(&number, |deployed| deployed.version).ok()?;
        self.versions.get(at)
    }

    /// The version that runs when no flag decides.
    pub fn current(&self) -> Option<&Arc<Deployed>> {
        self.version(self.current?)
    }

    /// All versions there are, by number.
    pub fn versions(&self) -> &[Arc<Deployed>] {
        &self.versions
    }

    /// The version that a flag's value names, when there is one.
    pub fn named_by(&self, value: &Value) -> Option<&Arc<Deployed>> {
        self.version(named_version(value)?)
    }
}

/// The version that a variant's value names: the number `2`, or the text `2` or `v2`.
pub fn named_version(value: &Value) -> Option<u32> {
    match value {
        Value::Number(number) => {
            let whole = number.as_u64().or_else(|| {
                let float =
                    number.as_f64().filter(|float| float.fract() == 0.0 && (1.0..1e9).contains(float))?;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "whole, in range"
                )]
                Some(float as u64)
            })?;
            u32::try_from(whole).ok().filter(|number| *number > 0)
        }
        Value::String(text) => {
            let digits = text.strip_prefix('v').unwrap_or(text);
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| plain && *number > 0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_names_a_version_by_number_or_by_text() {
        for value in [json!(2), json!(2.0), json!("2"), json!("v2")] {
            assert_eq!(named_version(&value), Some(2), "{value}");
        }
        for value in [
            json!(0),
            json!(-1),
            json!(2.5),
            json!("two"),
            json!("+2"),
            json!("vv2"),
            json!(""),
            json!(true),
            json!(null),
            json!("v"),
            json!(1e12),
            json!("99999999999"),
        ] {
            assert_eq!(named_version(&value), None, "{value}");
        }
    }
}
