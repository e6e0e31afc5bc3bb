//! Keys that must not outlive what their maker may do himself.

use serde_json::json;

use crate::{
    accounts::User,
    buckets::permitted,
    caller::Caller,
    catalog::{DocumentId, Draft, Expect, Kind, Write},
    keys::ApiKey,
    snapshot::Snapshot,
};

/// Withdraws the keys of somebody who is disabled or removed.
pub(super) fn of_nobody(snapshot: &Snapshot, maker: &str, because: &str) -> Vec<Draft> {
    made_by(snapshot, maker).map(|key| withdrawn(key, because)).collect()
}

/// Withdraws the keys that permit more than their maker, as he will be, may do himself.
pub(super) fn of_somebody(snapshot: &Snapshot, maker: &User, because: &str) -> Vec<Draft> {
    let own = Caller::of_account(maker);
    made_by(snapshot, &maker.id)
        .filter(|key| !covers(snapshot, &own, key))
        .map(|key| withdrawn(key, because))
        .collect()
}

/// Whether `maker` may do everything himself that `key` permits.
pub(super) fn covers(snapshot: &Snapshot, maker: &Caller, key: &ApiKey) -> bool {
    // In an environment that is gone the key permits nothing.
    let Some(place) = snapshot.environment(&key.environment) else { return true };
    let everywhere = key.permitted();
    maker.permissions(snapshot, place).and(everywhere) == everywhere
        && key.buckets.iter().all(|scope| {
            let to = (scope.bucket.as_str(), scope.prefix.as_str());
            let given = key.permitted_in_bucket(to.0, to.1);
            permitted(snapshot, place, maker, to).and(given) == given
        })
}

fn made_by<'a>(snapshot: &'a Snapshot, maker: &'a str) -> impl Iterator<Item = &'a ApiKey> {
    snapshot.keys().map(AsRef::as_ref).filter(move |key| key.created_by == maker)
}

fn withdrawn(key: &ApiKey, because: &str) -> Draft {
    Draft {
        id: DocumentId::new(Kind::ApiKey, "", &key.id),
        verb: "deleted",
        // Somebody may have revoked it a moment ago: then there is nothing left to do.
        expect: Expect::Any,
        write: Write::Delete,
        detail: json!({"name": key.name, "created_by": key.created_by, "reason": because}),
    }
}
