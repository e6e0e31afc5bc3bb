//! `flagbase bucket put`: files from this machine become objects.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Body;

use super::amounts::bytes;
use super::place::Place;
use super::progress::Bar;
use super::sending::{HeadArgs, Sending};
use super::transfer::{together, unreadable};
use crate::cli::client::Client;
use crate::exit::{Failure, Outcome};

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
    let bar = Bar::new(total, client.printer.quiet);
    let count = files.len();
    let last = files.last().map(|(.., to)| to.to_string()).unwrap_or_default();
    let work = files.into_iter().map(|(file, size, to)| {
        let bar = &bar;
        async move {
            let sending = Sending { client, head: &args.head, only_new: args.no_overwrite, bar };
            sending.send((&file, size), &to).await.map_err(|failure| (to.to_string(), failure))
        }
    });
    let done = together(work.collect(), args.parallel, "objects could not be sent").await;
    bar.finish();
    done?;
    client.printer.done(&match count {
        1 => format!("sent {} to `{last}`", bytes(total)),
        many => format!("sent {many} files, {}, to `{}`", bytes(total), args.to),
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
    let sending = Sending { client, head: &args.head, only_new: args.no_overwrite, bar: &Bar::new(0, true) };
    let sent = sending.put(to, Body::wrap_stream(input), None).await;
    sent.map_err(|failure| sending.explained(failure, to))?;
    client.printer.done(&format!("sent standard input to `{to}`"));
    Ok(())
}
