//! Whom a request comes from.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use flagbase_core::{
    buckets::Visitor,
    caller::{Caller, Principal},
    catalog::Actor,
    flags::Asked,
};
use s3s::{S3Request, S3Result, s3_error};

/// Whom a request comes from; travels in the request's extensions.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) caller: Arc<Caller>,
    pub(super) environment: Arc<str>,
    pub(super) ip: Option<IpAddr>,
    /// What the request called this server.
    pub(super) host: Arc<str>,
}

/// The address at the other end of the connection; travels in the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

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
            ip: self.ip,
            secure: false,
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
