//! Sending an object: as it is, in parts, or compressed.

use std::sync::Arc;

use bytes::Bytes;
use flagbase_core::{
    blobs::Direct,
    buckets::{Conditions, Form, Judgement, Object, Pick, http_date, media_type},
    refusal::Refusal,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    Answered, Sites,
    bodies::{self, Told},
    caching::Caching,
    coding::{Coding, accepted, gzip, is_worth_packing, may_be_packed},
    known::Packed,
    lookup::{Page, Release},
};
use crate::functions::FunctionBody;

/// What a client asks of an object.
pub(super) struct Request<'a> {
    pub(super) sent: &'a HeaderMap,
    /// Whether only the head is asked for.
    pub(super) head: bool,
    pub(super) conditions: Conditions,
    pub(super) caching: Caching,
    /// What sends files without reading them, where the connection can.
    pub(super) direct: Option<Direct>,
}

/// Headers that belong to bytes, and are not sent without them.
const OF_BYTES: [HeaderName; 5] = [
    header::CONTENT_TYPE,
    header::CONTENT_LANGUAGE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::ACCEPT_RANGES,
];

impl Sites {
    /// Sends a page as the client can best use it.
    pub(super) async fn send(
        &self,
        release: &Release<'_>,
        page: &Page,
        (request, told): (&Request<'_>, Option<Told>),
    ) -> Result<Answered, Refusal> {
        let all = Conditions::default();
        // What stands in for something that is not there has no state and no parts of its own.
        let conditions = if page.status == StatusCode::OK { &request.conditions } else { &all };
        let object = &page.object;
        let kind = kind_of(object);
        let negotiable = object.head.content_encoding.is_none() && may_be_packed(&kind);
        let codings =
            if negotiable && !conditions.wants_range() { accepted(request.sent) } else { Vec::new() };
        let sending = Sending { release, page, conditions, request, negotiable };
        for coding in codings {
            let key = format!("{}{}", object.key, coding.ending());
            if let Some(sibling) = self.sibling(release.bucket, &key).await?
                && let Some(answered) = self.stored(&sending, (&sibling, Some(coding)), None).await?
            {
                return Ok(answered);
            }
            if coding == Coding::Gzip
                && is_worth_packing(&kind, object.size)
                && let Some(answered) = self.packed(&sending).await?
            {
                return Ok(answered);
            }
        }
        let answered = self.stored(&sending, (object, None), told).await?;
        Ok(answered.unwrap_or(Answered::Nothing))
    }

    /// Sends what is stored: the object itself, or a sibling that somebody compressed. `None` when it is gone.
    async fn stored(
        &self,
        sending: &Sending<'_>,
        (source, coding): (&Arc<Object>, Option<Coding>),
        told: Option<Told>,
    ) -> Result<Option<Answered>, Refusal> {
        let Sending { release, page, conditions, request, .. } = sending;
        if request.head {
            let form = Form::from(&**source);
            let headers = sending.headers(&page.object, form, coding);
            return Ok(Some(settle(
                conditions.judge(form),
                (page.status, form.size),
                headers,
                FunctionBody::default(),
            )));
        }
        let pick = |object: &Object| conditions.judge(object).pick();
        let found = self.objects.get(release.bucket, (&source.key, None), &pick).await?;
        let Some(part) = found else { return Ok(None) };
        let form = Form::from(&*part.object);
        // It may have been written anew since it was looked for.
        let described = if coding.is_none() { &part.object } else { &page.object };
        let headers = sending.headers(described, form, coding);
        let judged = conditions.judge(form);
        let wanted = match judged.pick() {
            Pick::Whole => Some((0, form.size)),
            Pick::Range(from, to) => Some((from, to)),
            Pick::Nothing => None,
        };
        let size = form.size;
        let body = match wanted {
            Some(range) => bodies::read(part, request.direct.as_ref(), range, told).await?,
            None => FunctionBody::default(),
        };
        Ok(Some(settle(judged, (page.status, size), headers, body)))
    }

    /// Sends the object compressed here and now; `None` when that is of no use.
    async fn packed(&self, sending: &Sending<'_>) -> Result<Option<Answered>, Refusal> {
        let Sending { page, conditions, .. } = sending;
        let object = &page.object;
        if object.head.cache_control.as_deref().is_some_and(|own| own.contains("no-transform")) {
            return Ok(None);
        }
        let etag = format!("{}-gzip", object.etag);
        // Weak: another version of the server may compress in another way.
        let form = |size| Form { etag: &etag, weak: true, modified: object.modified, size };
        let unread = conditions.judge(form(0));
        let answer = |judged, size, bytes: Bytes| {
            let headers = sending.headers(object, form(size), Some(Coding::Gzip));
            let body =
                if sending.request.head { FunctionBody::default() } else { FunctionBody::Whole(bytes) };
            Some(settle(judged, (page.status, size), headers, body))
        };
        if matches!(unread, Judgement::NotModified | Judgement::Failed) {
            return Ok(answer(unread, 0, Bytes::new()));
        }
        let Some(bytes) = self.gzipped(sending.release, object).await? else { return Ok(None) };
        Ok(answer(Judgement::Whole, bytes.len() as u64, bytes))
    }

    async fn gzipped(&self, release: &Release<'_>, object: &Arc<Object>) -> Result<Option<Bytes>, Refusal> {
        match self.compressed.get(object) {
            Some(Packed::Smaller(bytes)) => return Ok(Some(bytes)),
            Some(Packed::Useless) => return Ok(None),
            None => {}
        }
        let Some(turn) = self.compressed.turn() else { return Ok(None) };
        let found = self.objects.get(release.bucket, (&object.key, None), &|_| Pick::Whole).await?;
        let Some(part) = found.filter(|part| part.object.pieces == object.pieces) else { return Ok(None) };
        let whole = bodies::whole(object, part.bytes, object.size).await?;
        // Elsewhere, so that nobody else's request on this thread waits for it.
        let packed = tokio::task::spawn_blocking(move || gzip(&whole)).await.unwrap_or_default();
        self.compressed.keep(object, packed.clone().map_or(Packed::Useless, Packed::Smaller));
        drop(turn);
        Ok(packed)
    }
}

/// One answer in the making.
struct Sending<'a> {
    release: &'a Release<'a>,
    page: &'a Page,
    conditions: &'a Conditions,
    request: &'a Request<'a>,
    /// Whether other clients may get other bytes.
    negotiable: bool,
}

impl Sending<'_> {
    /// What is said of `object`, sent in this form.
    fn headers(&self, object: &Object, form: Form<'_>, coding: Option<Coding>) -> HeaderMap {
        let head = &object.head;
        let kind = kind_of(object);
        let caching = self.request.caching;
        let found = self.page.status == StatusCode::OK;
        let mut headers = HeaderMap::with_capacity(10);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let mut say = |name: HeaderName, value: Option<&str>| {
            let value = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
            headers.extend(value.map(|value| (name, value)));
        };
        say(header::CONTENT_TYPE, Some(&kind));
        say(header::CONTENT_LANGUAGE, head.content_language.as_deref());
        say(header::CONTENT_DISPOSITION, head.content_disposition.as_deref());
        say(header::CONTENT_ENCODING, coding.map(Coding::name).or(head.content_encoding.as_deref()));
        say(header::VARY, self.negotiable.then_some("Accept-Encoding"));
        if found {
            say(header::ETAG, Some(&format!("{}\"{}\"", if form.weak { "W/" } else { "" }, form.etag)));
            say(header::LAST_MODIFIED, http_date(form.modified).as_deref());
            say(header::ACCEPT_RANGES, coding.is_none().then_some("bytes"));
        }
        let control = match &head.cache_control {
            _ if !found => caching.of_what_may_change(),
            own => caching.of_object(own.as_deref(), &object.key, &kind),
        };
        headers.insert(header::CACHE_CONTROL, control);
        headers
    }
}

/// The answer for a judgement.
fn settle(
    judged: Judgement,
    (status, size): (StatusCode, u64),
    mut headers: HeaderMap,
    body: FunctionBody,
) -> Answered {
    let (status, length) = match judged {
        Judgement::Whole => (status, size),
        Judgement::Range(from, to) => {
            let range = format!("bytes {from}-{}/{size}", to.saturating_sub(1));
            headers.extend(HeaderValue::try_from(range).map(|range| (header::CONTENT_RANGE, range)));
            (StatusCode::PARTIAL_CONTENT, to - from)
        }
        Judgement::NotModified => {
            for name in OF_BYTES {
                headers.remove(name);
            }
            return Answered::Reply(reply(StatusCode::NOT_MODIFIED, headers, FunctionBody::default()));
        }
        Judgement::Failed => return Answered::Unexpected,
        Judgement::Unsatisfiable => return Answered::Unsatisfiable(size),
    };
    headers.insert(header::CONTENT_LENGTH, length.into());
    Answered::Reply(reply(status, headers, body))
}

fn reply(status: StatusCode, headers: HeaderMap, body: FunctionBody) -> Response<FunctionBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// The media type its writer said, or else what its name suggests.
fn kind_of(object: &Object) -> String {
    let said = object.head.content_type.as_str();
    // What S3 clients send who do not care.
    if said.is_empty() || said == "binary/octet-stream" {
        return media_type(&object.key).unwrap_or("application/octet-stream").to_owned();
    }
    said.to_owned()
}

#[cfg(test)]
mod tests {
    use flagbase_core::buckets::ObjectHead;

    use super::*;

    #[test]
    fn the_name_says_what_its_writer_did_not() {
        for (said, key, kind) in [
            ("", "a/index.html", "text/html; charset=utf-8"),
            ("binary/octet-stream", "a/app.js", "text/javascript; charset=utf-8"),
            ("text/plain", "a/index.html", "text/plain"),
            ("application/octet-stream", "a/app.js", "application/octet-stream"),
            ("", "a/noend", "application/octet-stream"),
        ] {
            let object = Object { key: key.into(), head: ObjectHead::of_type(said), ..Object::default() };
            assert_eq!(kind_of(&object), kind, "{said} {key}");
        }
    }
}
