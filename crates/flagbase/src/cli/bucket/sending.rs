//! How files become objects: at once, or so that they can be resumed.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flagbase_core::buckets::{crc64, media_type};
use reqwest::{Body, RequestBuilder, Response, header};

use super::amounts::bytes;
use super::mark::Mark;
use super::place::Place;
use super::progress::Bar;
use super::transfer::{ATTEMPTS, parts, unreadable};
use super::{remote, under};
use crate::cli::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};

/// Files up to this size are sent at once; larger ones so that they can be resumed.
const AT_ONCE: u64 = 8 << 20;
/// How much of a larger one is sent by one request.
const PIECE: u64 = 256 << 20;

/// What is sent along with the bytes of an object.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct HeadArgs {
    /// The media type [default: what the name suggests]
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// How long browsers keep it, such as `max-age=3600`
    #[arg(long, value_name = "TEXT")]
    cache_control: Option<String>,
    /// Metadata; repeat for each
    #[arg(long = "meta", value_name = "NAME=VALUE")]
    metadata: Vec<String>,
}

impl HeadArgs {
    pub(super) fn onto(&self, mut request: RequestBuilder) -> Outcome<RequestBuilder> {
        if let Some(text) = &self.cache_control {
            request = request.header(header::CACHE_CONTROL, text);
        }
        for pair in &self.metadata {
            let (name, value) = pair.split_once('=').ok_or_else(|| {
                Failure::usage(format!("`{pair}` is no metadata")).hint("write it like `colour=blue`")
            })?;
            request = request.header(format!("x-meta-{}", name.to_ascii_lowercase()), value.as_bytes());
        }
        Ok(request)
    }

    pub(super) fn content_type(&self, key: &str) -> String {
        let said = self.content_type.as_deref().or_else(|| media_type(key));
        said.unwrap_or("application/octet-stream").to_owned()
    }
}

/// How files are sent.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) client: &'a Client,
    pub(super) head: &'a HeadArgs,
    pub(super) only_new: bool,
    pub(super) bar: &'a Bar,
}

impl Sending<'_> {
    /// Sends a file: at once when it is small, else so that it goes on where a connection broke.
    pub(super) async fn send(&self, (file, size): (&Path, u64), to: &Place) -> Outcome {
        let sent = async {
            if size > AT_ONCE {
                return self.resumable((file, size), to).await;
            }
            let bytes = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
            let (count, crc64) = (bytes.len() as u64, crc64(&bytes));
            self.put(to, bytes.into(), Some(STANDARD.encode(crc64.to_be_bytes()))).await?;
            self.bar.add(count);
            Ok(())
        };
        sent.await.map_err(|failure| self.explained(failure, to))
    }

    /// A failure in the words of the command line.
    pub(super) fn explained(&self, failure: Failure, to: &Place) -> Failure {
        if self.only_new && failure.is("precondition_failed") { there_already(to) } else { failure }
    }

    pub(super) async fn put(&self, to: &Place, body: Body, crc64: Option<String>) -> Outcome {
        let mut request =
            self.client.request(&Call::put(&remote::path(to), serde_json::Value::Null).scoped())?;
        if let Some(crc64) = crc64 {
            request = request.header("x-checksum-crc64nvme", crc64);
        }
        request = self.conditions(self.head.onto(request)?);
        let kind = self.head.content_type(&to.key);
        self.client.stream(request.header(header::CONTENT_TYPE, kind).body(body)).await.map(drop)
    }

    fn conditions(&self, request: RequestBuilder) -> RequestBuilder {
        if self.only_new { request.header(header::IF_NONE_MATCH, "*") } else { request }
    }

    /// Sends a file by tus 1.0; goes on with what an earlier run of the command left.
    async fn resumable(&self, (file, size): (&Path, u64), to: &Place) -> Outcome {
        // The server would tell only when everything is sent.
        if self.only_new && remote::head(self.client, to, None).await.is_ok() {
            return Err(there_already(to));
        }
        let mark = Mark::of(self.client, (file, size), to)?;
        let (mut location, mut offset) = match self.resumed(&mark, (file, size)).await {
            Some(found) => found,
            None => (self.begin(size, to).await?, 0),
        };
        mark.keep(Some(&location));
        self.bar.add(offset);
        let mut attempts = 0;
        while offset < size {
            match self.append(&location, file, (offset, PIECE.min(size - offset))).await {
                Ok(now) => (offset, attempts) = (now, 0),
                Err(failure)
                    if attempts >= ATTEMPTS || !matches!(failure.exit(), Exit::Failure | Exit::Conflict) =>
                {
                    if matches!(failure.exit(), Exit::NotFound | Exit::NotAllowed) {
                        mark.keep(None);
                    }
                    return Err(failure);
                }
                Err(failure) => {
                    attempts += 1;
                    tokio::time::sleep(Duration::from_millis(200) * 2_u32.pow(attempts)).await;
                    let refused = failure.exit() == Exit::Conflict;
                    match self.offset(&location).await {
                        // The server still kept what an earlier run had sent, when it was asked how much that is.
                        Ok(now) if now < size || !refused => offset = now,
                        Ok(_) => {
                            mark.keep(None);
                            return Err(failure);
                        }
                        Err(gone) if gone.exit() == Exit::NotFound && refused => {
                            mark.keep(None);
                            return Err(failure);
                        }
                        Err(gone) if gone.exit() == Exit::NotFound => {
                            location = self.begin(size, to).await?;
                            mark.keep(Some(&location));
                            offset = 0;
                        }
                        Err(_) => {}
                    }
                }
            }
        }
        mark.keep(None);
        Ok(())
    }

    /// Where an earlier run of the command left its upload, and how far that had come.
    async fn resumed(&self, mark: &Mark, (file, size): (&Path, u64)) -> Option<(String, u64)> {
        let location = mark.known()?;
        let (file, printer) = (file.display(), self.client.printer);
        match self.offset(&location).await {
            Ok(offset) => {
                if offset > 0 {
                    let message = format!("`{file}`: going on at {} of {}", bytes(offset), bytes(size));
                    self.bar.aside(|| printer.done(&message));
                }
                Some((location, offset))
            }
            Err(failure) => {
                if failure.exit() == Exit::NotFound {
                    let message =
                        format!("`{file}`: the server has given up what was sent of it before; sending all");
                    self.bar.aside(|| printer.done(&message));
                }
                None
            }
        }
    }

    async fn begin(&self, size: u64, to: &Place) -> Outcome<String> {
        let request = self
            .client
            .request(&Call::post(&under(&to.bucket, "uploads"), serde_json::Value::Null).scoped())?;
        let (key, kind) = (STANDARD.encode(&to.key), STANDARD.encode(self.head.content_type(&to.key)));
        let request = self.conditions(self.head.onto(request)?);
        let request = request
            .header("tus-resumable", "1.0.0")
            .header("upload-length", size)
            .header("upload-metadata", format!("key {key},content_type {kind}"));
        let response = self.client.stream(request).await?;
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        location
            .map(str::to_owned)
            .ok_or_else(|| Failure::plain("the server does not say where the upload is"))
    }

    async fn offset(&self, location: &str) -> Outcome<u64> {
        let request =
            self.client.request_at(reqwest::Method::HEAD, location)?.header("tus-resumable", "1.0.0");
        offset_of(&self.client.stream(request).await?)
    }

    async fn append(&self, location: &str, file: &Path, (offset, most): (u64, u64)) -> Outcome<u64> {
        let bytes = parts(file, (offset, most), self.bar.clone())?;
        let request = self
            .client
            .request_at(reqwest::Method::PATCH, location)?
            .header("tus-resumable", "1.0.0")
            .header("upload-offset", offset)
            .header(header::CONTENT_TYPE, "application/offset+octet-stream")
            .header(header::CONTENT_LENGTH, most)
            .body(Body::wrap_stream(bytes));
        offset_of(&self.client.stream(request).await?)
    }
}

fn offset_of(response: &Response) -> Outcome<u64> {
    let offset = response.headers().get("upload-offset").and_then(|value| value.to_str().ok()?.parse().ok());
    offset.ok_or_else(|| Failure::plain("the server does not say how much of the upload it has"))
}

fn there_already(to: &Place) -> Failure {
    Failure::new(Exit::Conflict, format!("there is an object `{to}` already"))
        .hint("leave --no-overwrite out to write over it")
}
