//! Whom a request comes from.

use std::sync::Arc;

use flagbase_core::{
    buckets::Visitor,
    caller::{Caller, Principal},
    catalog::Actor,
    flags::Asked,
    gateway::Forwarded,
};
use s3s::{S3Request, S3Result, s3_error};

/// Whom a request comes from; travels in the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) caller: Arc<Caller>,
    pub(super) environment: Arc<str>,
    pub(super) from: Option<Forwarded>,
    /// What the request called this server.
    pub(super) host: Arc<str>,
}

impl Guest {
    /// The guest that was let in.
    pub(super) fn of<T>(request: &S3Request<T>) -> S3Result<Self> {
        let guest = request.extensions.get::<Self>().cloned();
        guest.ok_or_else(|| s3_error!(AccessDenied, "nobody was let in"))
    }

    pub(super) fn visitor(&self) -> Visitor<'_> {
        Visitor {
            caller: &self.caller,
            environment: &self.environment,
            reason: "",
            ip: self.from.map(|from| from.address),
            secure: self.from.is_some_and(|from| from.secure),
        }
    }

    pub(super) fn asked(&self) -> Asked<'_> {
        Asked { caller: &self.caller, environment: &self.environment, reason: "" }
    }

    pub(super) fn actor(&self) -> Actor {
        self.caller.actor()
    }

    /// What is noted of who began an upload.
    pub(super) fn owner(&self) -> String {
        match self.caller.principal {
            Principal::Nobody => String::new(),
            Principal::User => format!("user:{}", self.caller.email),
            Principal::Key(_) => format!("key:{}", self.caller.id),
        }
    }
}
