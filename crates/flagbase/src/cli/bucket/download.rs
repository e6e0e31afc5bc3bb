//! `flagbase bucket get`: objects become files on this machine.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::header;

use super::amounts::bytes;
use super::place::Place;
use super::progress::Bar;
use super::remote::{self, Known};
use super::transfer::{ATTEMPTS, checksum, unwritable};
use crate::cli::client::{Call, Client};
use crate::exit::{Exit, Failure, Outcome};

#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// `bucket/key`
    from: Place,
    /// The file, or a directory (one that is not there yet ends with `/`); `-` for standard output [default: the last word of the key]
    to: Option<PathBuf>,
    /// A version of the object
    #[arg(long)]
    version: Option<String>,
}

pub(super) async fn run(args: &GetArgs, client: &Client) -> Outcome {
    let from = args.from.object()?;
    if args.to.as_deref() == Some(Path::new("-")) {
        return to_output(client, from, args.version.as_deref()).await;
    }
    let name = from.key.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | ".."));
    let known = remote::head(client, from, args.version.as_deref()).await.map_err(|failure| match failure
        .exit()
    {
        Exit::NotFound if from.key.ends_with('/') => {
            failure.hint(format!("`flagbase bucket sync {from} ./here` fetches everything below it"))
        }
        _ => failure,
    })?;
    let file = match (&args.to, name) {
        (Some(to), Some(name)) if to.is_dir() || is_directory(to) => to.join(name),
        (Some(to), _) => to.clone(),
        (None, Some(name)) => PathBuf::from(name),
        (None, None) => {
            return Err(Failure::usage(format!("`{from}` suggests no name")).hint("name the file"));
        }
    };
    if let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
    }
    let bar = Bar::new(known.size, client.printer.quiet);
    let fetched = fetch(client, (from, args.version.as_deref()), &known, (&file, &bar)).await;
    bar.finish();
    fetched?;
    client.printer.done(&format!("fetched {} to `{}`", bytes(known.size), file.display()));
    Ok(())
}

/// Whether a directory is meant, whatever is there.
fn is_directory(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"/")
}

async fn to_output(client: &Client, from: &Place, version: Option<&str>) -> Outcome {
    let call = Call::get(&remote::path(from)).scoped().query_some("version", version);
    let mut response = client.stream(client.request(&call)?).await?;
    let mut output = std::io::stdout().lock();
    while let Some(part) = response.chunk().await.map_err(|error| client.unreachable(&error))? {
        match output.write_all(&part) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| Failure::plain(format!("cannot write: {error}")))?,
        }
    }
    output.flush().map_err(|error| Failure::plain(format!("cannot write: {error}")))
}

/// Fetches an object into a file, which is the old one or the whole new one. What an earlier run left is gone on with.
pub(super) async fn fetch(
    client: &Client,
    (from, version): (&Place, Option<&str>),
    known: &Known,
    (file, bar): (&Path, &Bar),
) -> Outcome {
    let part = beside(file, known);
    let mut attempts = 0;
    loop {
        let there = std::fs::metadata(&part).map_or(0, |there| there.len());
        if there > known.size {
            remove(&part)?;
            continue;
        }
        if there == known.size && (there > 0 || part.exists()) {
            break;
        }
        if there > 0 && attempts == 0 {
            let message =
                format!("`{}`: going on at {} of {}", file.display(), bytes(there), bytes(known.size));
            bar.aside(|| client.printer.done(&message));
        }
        match append(client, (from, version), (known, there), (&part, bar)).await {
            Ok(()) if std::fs::metadata(&part).is_ok_and(|now| now.len() == known.size) => break,
            Err(failure) if failure.exit() != Exit::Failure || attempts >= ATTEMPTS => return Err(failure),
            Ok(()) if attempts >= ATTEMPTS => {
                return Err(
                    Failure::plain(format!("`{from}` breaks off again and again")).hint("try it later")
                );
            }
            _ => {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(200) * 2_u32.pow(attempts)).await;
            }
        }
    }
    if checksum(&part)? != known.crc64 {
        remove(&part)?;
        return Err(
            Failure::plain(format!("what came of `{from}` is not what it is there")).hint("try it again")
        );
    }
    std::fs::rename(&part, file).map_err(|error| unwritable(file, &error))
}

async fn append(
    client: &Client,
    (from, version): (&Place, Option<&str>),
    (known, there): (&Known, u64),
    (part, bar): (&Path, &Bar),
) -> Outcome {
    let call = Call::get(&remote::path(from)).scoped().query_some("version", version);
    let mut request = client.request(&call)?.header(header::IF_MATCH, &known.etag);
    if there > 0 {
        request = request.header(header::RANGE, format!("bytes={there}-"));
    }
    let mut response = client.stream(request).await?;
    let mut file =
        OpenOptions::new().create(true).append(true).open(part).map_err(|error| unwritable(part, &error))?;
    bar.add(there);
    while let Some(bytes) = response.chunk().await.map_err(|error| client.unreachable(&error))? {
        file.write_all(&bytes).map_err(|error| unwritable(part, &error))?;
        bar.add(bytes.len() as u64);
    }
    file.sync_all().map_err(|error| unwritable(part, &error))
}

/// The name of what is there of a file so far; another state of the object has another name.
fn beside(file: &Path, known: &Known) -> PathBuf {
    let state: String = known.etag.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(60).collect();
    file.with_file_name(format!(".{name}.{state}.part"))
}

fn remove(part: &Path) -> Outcome {
    std::fs::remove_file(part).map_err(|error| unwritable(part, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_state_of_an_object_is_not_gone_on_with() {
        let known = |etag: &str| Known { key: "a".into(), size: 1, crc64: String::new(), etag: etag.into() };
        let one = beside(Path::new("dir/a.txt"), &known("\"abc-1\""));
        assert_eq!(one, Path::new("dir/.a.txt.abc1.part"));
        assert_ne!(one, beside(Path::new("dir/a.txt"), &known("\"abd-1\"")));
    }
}
