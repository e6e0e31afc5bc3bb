//! Code of functions that is a closure of the test.

use async_trait::async_trait;
use flagbase_core::functions::{
    Artifact, Compute, Digest, Grants, Limits, Occasion, PrepareError, Prepared, Step,
};
pub(crate) use flagbase_core::functions::{Body, Fault, Visit};
use futures_util::future::BoxFuture;
use http::{Request, Response};

type Answer = BoxFuture<'static, Result<Response<Body>, Fault>>;

/// Runs every function by one closure.
pub(crate) struct Code(Box<dyn Fn(Visit, Request<Body>) -> Answer + Send + Sync>);

impl Code {
    pub(crate) fn new(run: impl Fn(Visit, Request<Body>) -> Answer + Send + Sync + 'static) -> Self {
        Self(Box::new(run))
    }
}

#[async_trait]
impl Compute for Code {
    fn driver(&self) -> &'static str {
        "closure"
    }

    async fn prepare(
        &self,
        _: &Artifact,
        _: (&Grants, &Limits),
        _: &(dyn Fn(Step) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        Err(PrepareError::Rejected("nothing is deployed here".to_owned()))
    }

    async fn serve(&self, visit: Visit, request: Request<Body>) -> Result<Response<Body>, Fault> {
        (self.0)(visit, request).await
    }

    async fn deliver(&self, visit: Visit, _: Occasion) -> Result<(), Fault> {
        Err(Fault::NotServed { version: visit.deployed.version, what: "events" })
    }

    async fn retain(&self, _: &(dyn for<'d> Fn(&'d Digest) -> bool + Send + Sync)) {}

    async fn stop(&self) {}
}
