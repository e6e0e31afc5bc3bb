//! `/subsz`: what is subscribed to.

use serde::Serialize;

use super::{Unanswerable, query::Query, shown};
use crate::{ambient, client::Client, shared::Shared, subject, subscription::Sub};

/// A page of subscriptions.
#[derive(Serialize)]
pub(super) struct Subsz {
    server_id: String,
    now: String,
    num_subscriptions: usize,
    total: usize,
    offset: usize,
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions_list: Option<Vec<Subscription>>,
}

/// One subscription of a client.
#[derive(Serialize)]
pub(super) struct Subscription {
    subject: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    qgroup: Option<String>,
    sid: String,
    msgs: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<u64>,
    cid: u64,
}

impl Subsz {
    /// The page that is asked for: counts alone, or all subscriptions, or those that `test` would reach.
    pub(super) fn of(shared: &Shared, query: &Query<'_>) -> Result<Self, Unanswerable> {
        let part = query.part()?;
        let test = query.get("test");
        let list = (query.flag("subs")? || test.is_some()).then(|| {
            let mut all: Vec<_> =
                shared.everyone().iter().flat_map(|client| Subscription::all(client)).collect();
            all.retain(|sub| {
                test.is_none_or(|test| subject::covers(sub.subject.as_bytes(), test.as_bytes()))
            });
            all.sort_by(|a, b| (a.cid, &a.sid).cmp(&(b.cid, &b.sid)));
            all
        });
        let count = shared.subscription_count();
        Ok(Self {
            server_id: shared.id.clone(),
            now: shown::time(ambient::now()),
            num_subscriptions: count,
            total: list.as_ref().map_or(count, Vec::len),
            offset: part.offset,
            limit: part.limit,
            subscriptions_list: list.map(|list| part.of(list)),
        })
    }
}

impl Subscription {
    /// All of one client.
    pub(super) fn all(client: &Client) -> Vec<Self> {
        let mut all: Vec<_> = client.subs.lock().values().map(|sub| Self::of(client.id, sub)).collect();
        all.sort_by(|a, b| a.sid.cmp(&b.sid));
        all
    }

    fn of(cid: u64, sub: &Sub) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            subject: text(&sub.subject),
            qgroup: sub.queue.as_deref().map(text),
            sid: text(&sub.sid),
            msgs: sub.delivered(),
            max: Some(sub.max()).filter(|max| *max != 0),
            cid,
        }
    }
}
