//! One request with all its bytes, and the whole answer.

use bytes::{Bytes, BytesMut};
use http::Response;

use super::{super::call::Call, Failure, headers_fit, outside::why, redirects::Hop};

/// Sends what `hop` says.
pub(super) async fn whole(call: &Call, hop: &Hop) -> Result<Response<Bytes>, Failure> {
    let mut request = reqwest::Request::new(hop.method.clone(), hop.url.clone());
    *request.headers_mut() = hop.headers.clone();
    if !hop.body.is_empty() {
        *request.body_mut() = Some(hop.body.clone().into());
    }
    let mut answer = call.outside.exchange(request).await?;
    if !headers_fit(answer.headers()) {
        return Err(Failure::TooLarge);
    }
    let most = call.limits().response_body;
    if answer.content_length().is_some_and(|length| length > most) {
        return Err(Failure::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(part) = answer.chunk().await.map_err(|error| why(&error))? {
        if (body.len() + part.len()) as u64 > most {
            return Err(Failure::TooLarge);
        }
        body.extend_from_slice(&part);
    }
    let mut response = Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}
