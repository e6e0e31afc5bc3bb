//! `flagbase bucket put`: files from this machine become objects.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flagbase_core::buckets::{crc64, media_type};
use reqwest::{Body, RequestBuilder, Response, header};

use super::place::Place;
use super::progress::Bytes;
use super::transfer::{ATTEMPTS, parts, together, unreadable};
use super::{remote, under};
use crate::cli::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};

/// Files up to this size are sent at once; larger ones so that they can be resumed.
const AT_ONCE: u64 = 8 << 20;
/// How much of a larger one is sent by one request.
const PIECE: u64 = 256 << 20;

#[derive(Debug, Args)]
pub(super) struct PutArgs {
    /// Files; `-` for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// `bucket/key`, or `bucket/prefix/` for files that keep their names
    to: Place,
    #[command(flatten)]
    head: HeadArgs,
    /// Fail when there is an object already
    #[arg(long)]
    no_overwrite: bool,
    /// Files sent at once
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    parallel: usize,
}

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
    fn onto(&self, mut request: RequestBuilder) -> Outcome<RequestBuilder> {
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

    fn content_type(&self, key: &str) -> String {
        let said = self.content_type.as_deref().or_else(|| media_type(key));
        said.unwrap_or("application/octet-stream").to_owned()
    }
}

pub(super) async fn run(args: &PutArgs, client: &Client) -> Outcome {
    if args.files.iter().any(|file| file == Path::new("-")) {
        return from_input(args, client).await;
    }
    if args.files.len() > 1 && !args.to.key.is_empty() && !args.to.key.ends_with('/') {
        return Err(Failure::usage(format!("`{}` names one object, and there are several files", args.to))
            .hint("end it with `/`"));
    }
    let mut total = 0;
    let mut files = Vec::new();
    for file in &args.files {
        let size = file_size(file)?;
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let to = args.to.with(name);
        to.object()?;
        total += size;
        files.push((file.clone(), size, to));
    }
    let bar = Bytes::new(total, client.printer.quiet);
    let count = files.len();
    let work = files.into_iter().map(|(file, size, to)| {
        let bar = &bar;
        async move {
            let sending = Sending { client, head: &args.head, only_new: args.no_overwrite, bar };
            sending.send((&file, size), &to).await.map_err(|failure| (to.to_string(), failure))
        }
    });
    let done = together(work.collect(), args.parallel, "sent").await;
    bar.finish();
    done?;
    client.printer.done(&match count {
        1 => format!("sent {total} bytes to `{}`", args.to),
        many => format!("sent {many} files to `{}`", args.to),
    });
    Ok(())
}

fn file_size(file: &Path) -> Outcome<u64> {
    let known = std::fs::metadata(file).map_err(|error| unreadable(file, &error))?;
    if known.is_dir() {
        return Err(
            Failure::usage(format!("`{}` is a directory", file.display())).hint("use `flagbase bucket sync`")
        );
    }
    Ok(known.len())
}

/// Standard input has no size and cannot be read twice: it goes as it comes.
async fn from_input(args: &PutArgs, client: &Client) -> Outcome {
    if args.files.len() > 1 {
        return Err(Failure::usage("standard input is one object; send it alone"));
    }
    let to = args.to.object()?;
    let input = futures_util::stream::unfold((), |()| async {
        let mut buffer = vec![0; 1 << 20];
        match std::io::stdin().lock().read(&mut buffer) {
            Ok(0) => None,
            Ok(read) => {
                buffer.truncate(read);
                Some((Ok(buffer), ()))
            }
            Err(error) => Some((Err(error), ())),
        }
    });
    let sending =
        Sending { client, head: &args.head, only_new: args.no_overwrite, bar: &Bytes::new(0, true) };
    sending.put(to, Body::wrap_stream(input), None).await?;
    client.printer.done(&format!("sent standard input to `{to}`"));
    Ok(())
}

/// How files are sent.
#[derive(Clone, Copy)]
pub(super) struct Sending<'a> {
    pub(super) client: &'a Client,
    pub(super) head: &'a HeadArgs,
    pub(super) only_new: bool,
    pub(super) bar: &'a Bytes,
}

impl Sending<'_> {
    /// Sends a file: at once when it is small, else so that it goes on where a connection broke.
    pub(super) async fn send(&self, (file, size): (&Path, u64), to: &Place) -> Outcome {
        if size > AT_ONCE {
            return self.resumable((file, size), to).await;
        }
        let bytes = std::fs::read(file).map_err(|error| unreadable(file, &error))?;
        let (count, crc64) = (bytes.len() as u64, crc64(&bytes));
        self.put(to, bytes.into(), Some(STANDARD.encode(crc64.to_be_bytes()))).await?;
        self.bar.add(count);
        Ok(())
    }

    async fn put(&self, to: &Place, body: Body, crc64: Option<String>) -> Outcome {
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
        let mark = Mark::of(self.client, (file, size), to)?;
        let (mut location, mut offset) = match mark.known() {
            Some(location) => match self.offset(&location).await {
                Ok(offset) => (location, offset),
                Err(_) => (self.begin(size, to).await?, 0),
            },
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

/// Where it is remembered which uploads are under way, so that the next run of a command goes on with them.
struct Mark {
    path: PathBuf,
    name: String,
}

impl Mark {
    /// The mark of a file, as it is now, on its way to an object.
    fn of(client: &Client, (file, size): (&Path, u64), to: &Place) -> Outcome<Self> {
        let path = crate::cli::credentials::Credentials::path()?.with_file_name("uploads.json");
        let known = std::fs::metadata(file).and_then(|known| known.modified());
        let changed = known.map_err(|error| unreadable(file, &error))?;
        let changed = changed.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let file = std::fs::canonicalize(file).map_err(|error| unreadable(file, &error))?;
        let environment = client.environment().unwrap_or_default();
        let name = format!("{} {environment} {to} {} {size} {changed}", client.server(), file.display());
        Ok(Self { path, name })
    }

    fn all(&self) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn known(&self) -> Option<String> {
        self.all().remove(&self.name)
    }

    /// Remembers where the upload is, or forgets it. Not being able to costs a resumption only.
    fn keep(&self, location: Option<&str>) {
        let mut all = self.all();
        match location {
            Some(location) => drop(all.insert(self.name.clone(), location.to_owned())),
            None if all.remove(&self.name).is_none() => return,
            None => {}
        }
        let written = self.path.parent().map(std::fs::create_dir_all).transpose();
        if written.is_ok() {
            let text = serde_json::to_string_pretty(&all).unwrap_or_default();
            drop(crate::private_file::write(&self.path, text.as_bytes()));
        }
    }
}
