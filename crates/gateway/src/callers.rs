//! Who is asking, as the gateway sees it.

use std::sync::Arc;

use flagbase_core::{caller::Caller, identity::Identity, refusal::Refusal};

/// Knows callers by their tokens. [`Identity`] does; tests of the gateway need no accounts for it.
pub trait Callers: Send + Sync + 'static {
    /// The caller behind `token`, if it was verified before and nothing changed since. Waits for nothing.
    fn cached(&self, token: &str) -> Option<Arc<Caller>>;

    /// The caller behind `token`.
    fn authenticate(&self, token: &str) -> impl Future<Output = Result<Arc<Caller>, Refusal>> + Send;
}

impl Callers for Identity {
    fn cached(&self, token: &str) -> Option<Arc<Caller>> {
        Self::cached(self, token)
    }

    async fn authenticate(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        Self::authenticate(self, token).await
    }
}
