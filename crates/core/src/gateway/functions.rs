//! Deciding which version of a function runs: admit the caller, evaluate the function's flag.

use std::{fmt, sync::Arc};

use crate::{
    caller::Caller,
    engine::{CompiledFlag, Context, Reason},
    functions::{CompiledFunction, Deployed, Under, is_function_name},
    gateway::{Admission, Head, Require, decide_context},
    snapshot::EnvironmentSnapshot,
};

/// A function as a route names it: `hello`, or `hello@2` for one version whatever its flag says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionTarget {
    /// The function's name.
    pub name: Arc<str>,
    /// The version; none: as its flag says.
    pub version: Option<u32>,
}

impl FunctionTarget {
    /// Reads `hello` or `hello@2`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault =
            || format!("`{text}` names no function; write `hello`, or `hello@2` for one of its versions");
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => {
                let number = version.parse().ok().filter(|number: &u32| *number > 0);
                (name, Some(number.ok_or_else(fault)?))
            }
            None => (text, None),
        };
        if !is_function_name(name) {
            return Err(fault());
        }
        Ok(Self { name: name.into(), version })
    }
}

impl fmt::Display for FunctionTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// What becomes of a call of a function.
#[derive(Debug, Clone)]
pub enum FunctionDecision {
    /// This version runs.
    Run(Chosen),
    /// The caller is not let in.
    Refused(Arc<CompiledFunction>, Admission),
    /// None was promoted yet, or there is no such version any more.
    NoVersion(Arc<CompiledFunction>),
    /// There is no such function.
    NoFunction,
}

/// A version that was chosen, and why.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The function.
    pub function: Arc<CompiledFunction>,
    /// The version.
    pub deployed: Arc<Deployed>,
    /// What its flag said: to be counted as an exposure.
    pub said: Option<Said>,
    /// Why this version.
    pub why: Why,
}

/// What a flag said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The flag's key.
    pub flag: Arc<str>,
    /// The variant's name.
    pub variant: Arc<str>,
    /// Why that variant.
    pub reason: Reason,
    /// Whether something else would run if the flag were off.
    pub matters: bool,
}

/// Why a version was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was asked for by number.
    Asked,
    /// The flag's variant names it.
    Flag,
    /// It is the current one, and no flag decides.
    Current,
    /// It is the current one: the flag does not exist (any more).
    NoSuchFlag,
    /// It is the current one: the flag's variant names no version that there is.
    NoSuchVersion,
}

impl Said {
    /// The flag and its variant, when a fault of what runs is to be held against it.
    ///
    /// What would run just the same with the flag off is not the flag's fault: a guard that took it back would take
    /// the new version from those who have it, and change nothing for those who suffer.
    pub fn under(&self) -> Option<Under> {
        self.matters.then(|| Under { flag: Arc::clone(&self.flag), variant: Arc::clone(&self.variant) })
    }
}

/// Which version of the function called `name` runs for `caller`. Pure: the same snapshot, head and caller give the same
/// decision.
pub fn decide_function(
    environment: &EnvironmentSnapshot,
    head: &Head<'_>,
    caller: &Caller,
    name: &str,
) -> FunctionDecision {
    match environment.functions.get(name) {
        Some(function) => decide_version(environment, head, caller, (function, None)),
        None => FunctionDecision::NoFunction,
    }
}

/// Which version runs where a route names a function.
pub(super) fn decide_target(
    environment: &EnvironmentSnapshot,
    head: &Head<'_>,
    caller: &Caller,
    target: &FunctionTarget,
) -> FunctionDecision {
    match environment.functions.get(&target.name) {
        Some(function) => decide_version(environment, head, caller, (function, target.version)),
        None => FunctionDecision::NoFunction,
    }
}

fn decide_version(
    environment: &EnvironmentSnapshot,
    head: &Head<'_>,
    caller: &Caller,
    (function, asked): (&Arc<CompiledFunction>, Option<u32>),
) -> FunctionDecision {
    if !function.require.admits(&caller.role, !caller.is_nobody()) {
        return FunctionDecision::Refused(Arc::clone(function), Admission::of(caller));
    }
    let chosen = match asked {
        Some(number) => function.version(number).map(|deployed| (deployed, None, Why::Asked)),
        None => function.choose(environment, caller, || decide_context(environment, head, caller)),
    };
    match chosen {
        Some((deployed, said, why)) => FunctionDecision::Run(Chosen {
            function: Arc::clone(function),
            deployed: Arc::clone(deployed),
            said,
            why,
        }),
        None => FunctionDecision::NoVersion(Arc::clone(function)),
    }
}

impl CompiledFunction {
    /// The version that runs for `caller` by the flag, what the flag said, and why; `None` when there is no version.
    /// `context` is only made when there is a flag. Triggers, which nobody calls, choose in the same way.
    pub fn choose<'c>(
        &self,
        environment: &'c EnvironmentSnapshot,
        caller: &Caller,
        context: impl FnOnce() -> Context<'c>,
    ) -> Option<(&Arc<Deployed>, Option<Said>, Why)> {
        let Some(key) = &self.flag else {
            return Some((self.current()?, None, Why::Current));
        };
        let Some(flag) = environment.rules.flag(key) else {
            return Some((self.current()?, None, Why::NoSuchFlag));
        };
        let seen = environment.see(caller, key, &context())?;
        let named = self.named_by(&seen.evaluation.variant.value);
        let deployed = named.or_else(|| self.current())?;
        let said = Said {
            flag: Arc::clone(flag.key()),
            variant: Arc::clone(&seen.evaluation.variant.name),
            reason: seen.evaluation.reason,
            matters: self.without(flag) != Some(deployed.version),
        };
        Some((deployed, Some(said), if named.is_some() { Why::Flag } else { Why::NoSuchVersion }))
    }

    /// The version that would run with the flag off.
    fn without(&self, flag: &CompiledFlag) -> Option<u32> {
        self.named_by(&flag.off_variant().value).or_else(|| self.current()).map(|deployed| deployed.version)
    }
}

impl Admission {
    /// Why a caller that is not let in is not.
    pub(super) fn of(caller: &Caller) -> Self {
        if caller.is_nobody() { Self::Unauthenticated } else { Self::Forbidden }
    }
}

impl Require {
    /// Whether a caller of this role is let in; `somebody` when he showed a token.
    pub fn admits(&self, role: &str, somebody: bool) -> bool {
        match self {
            Self::Anyone => true,
            Self::Authenticated => somebody,
            Self::Roles(roles) => somebody && roles.iter().any(|admitted| admitted == role),
        }
    }
}

/// Attributes that rules see of a request beside its caller, to go with a visit: declared headers, and the address.
pub fn visit_attributes(environment: &EnvironmentSnapshot, head: &Head<'_>) -> Arc<[(Box<str>, Box<str>)]> {
    let attributes = environment.rules.attributes();
    let mut found: Vec<(Box<str>, Box<str>)> = Vec::new();
    for (header, slot) in &environment.headers {
        let value = head.headers.get(&**header).and_then(|value| value.to_str().ok());
        let own = header.starts_with("x-flagbase-");
        if let (Some(value), Some(name), false) = (value, attributes.name(*slot), own) {
            found.push((name.into(), value.into()));
        }
    }
    if !head.client_ip.is_empty() {
        found.push(("ip".into(), head.client_ip.into()));
    }
    found.into()
}

#[cfg(test)]
mod tests;
