//! `flagbase bucket sync`: a directory and a prefix become equal. Files are equal when size and CRC-64 are.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::download::fetch;
use super::place::{Place, file_below, key_of};
use super::progress::Bar;
use super::remote::{self, Known};
use super::sending::{HeadArgs, Sending};
use super::transfer::{checksum, together, unreadable, unwritable};
use crate::cli::client::Client;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{self, View};

#[derive(Debug, Args)]
pub(super) struct SyncArgs {
    /// What is taken: a directory, such as `./site`, or `bucket/prefix`
    from: String,
    /// What becomes equal to it: `bucket/prefix`, or a directory
    to: String,
    /// Delete there what is not here
    #[arg(long)]
    delete: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    head: HeadArgs,
    /// Files transferred at once
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    parallel: usize,
}

/// Which way it goes.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    Up(PathBuf, Place),
    Down(Place, PathBuf),
}

impl Way {
    fn of(from: &str, to: &str, is_here: impl Fn(&str) -> bool) -> Outcome<Self> {
        let looks = |text: &str| text == "." || text == ".." || text.starts_with(['/', '.', '~']);
        let place = |text: &str| {
            let mut place =
                text.parse::<Place>().map_err(|hint| Failure::usage(format!("`{text}`")).hint(hint))?;
            place.key = place.directory();
            Ok::<_, Failure>(place)
        };
        let unclear = || {
            Failure::usage(format!("`{from}` and `{to}`: one has to be a directory, and one `bucket/prefix`"))
                .hint("write a directory like `./site`")
        };
        match (looks(from), looks(to)) {
            (true, false) => Ok(Self::Up(from.into(), place(to)?)),
            (false, true) => Ok(Self::Down(place(from)?, to.into())),
            (true, true) => Err(unclear()),
            (false, false) => match (is_here(from), is_here(to)) {
                (true, false) => Ok(Self::Up(from.into(), place(to)?)),
                (false, true) => Ok(Self::Down(place(from)?, to.into())),
                (false, false) => {
                    Err(Failure::usage(format!("neither `{from}` nor `{to}` is a directory here"))
                        .hint("write the one that is to be made like `./site`"))
                }
                (true, true) => Err(unclear()),
            },
        }
    }
}

pub(super) async fn run(args: &SyncArgs, client: &Client) -> Outcome {
    match Way::of(&args.from, &args.to, |text| Path::new(text).is_dir())? {
        Way::Up(root, to) => up(args, client, (&root, &to)).await,
        Way::Down(from, root) => down(args, client, (&from, &root)).await,
    }
}

async fn up(args: &SyncArgs, client: &Client, (root, to): (&Path, &Place)) -> Outcome {
    let Here { files, broken } = files(root)?;
    let there: BTreeMap<String, Known> =
        remote::all(client, to).await?.into_iter().map(|known| (known.key.clone(), known)).collect();
    let mut send = Vec::new();
    for (key, (path, size)) in &files {
        let place = Place { bucket: to.bucket.clone(), key: format!("{}{key}", to.key) };
        let same = match there.get(&place.key) {
            Some(known) if known.size == *size => checksum(path)? == known.crc64,
            _ => false,
        };
        if !same {
            send.push((path.clone(), *size, place));
        }
    }
    // Where a link leads nowhere, nobody knows whether what is there is to go.
    let is_kept = |key: &str| files.contains_key(key) || broken.contains(key);
    let gone = |key: &&String| key.strip_prefix(&to.key).is_some_and(|key| !is_kept(key));
    let delete: Vec<String> = there.keys().filter(|_| args.delete).filter(gone).cloned().collect();
    if files.is_empty() && !delete.is_empty() {
        return Err(nothing_in(&root.display().to_string())
            .hint(format!("`flagbase bucket rm -r {to}` removes everything there, when that is meant")));
    }
    if args.dry_run {
        for (path, _, place) in &send {
            output::line(&format!("put {} {place}", path.display()))?;
        }
        return delete.iter().try_for_each(|key| output::line(&format!("rm {}/{key}", to.bucket)));
    }
    let bar = Bar::new(send.iter().map(|(_, size, _)| size).sum(), client.printer.quiet);
    let count = send.len();
    let work =
        send.into_iter().map(|(path, size, place)| {
            let sending = Sending { client, head: &args.head, only_new: false, bar: &bar };
            async move {
                sending.send((&path, size), &place).await.map_err(|failure| (place.to_string(), failure))
            }
        });
    let done = together(work.collect(), args.parallel, "objects could not be sent").await;
    bar.finish();
    done?;
    let which: Vec<Value> = delete.into_iter().map(Value::from).collect();
    let bar = Bar::counting(which.len(), client.printer.quiet);
    let deleted = remote::delete(client, &to.bucket, &which, &bar).await;
    bar.finish();
    deleted?.whole(which.len())?;
    Done { verb: "sent", count, deleted: which.len(), equal: files.len() - count, skipped: broken.len() }
        .tell(client)
}

async fn down(args: &SyncArgs, client: &Client, (from, root): (&Place, &Path)) -> Outcome {
    let objects = remote::all(client, from).await?;
    let Here { files: here, broken } = if root.exists() { files(root)? } else { Here::default() };
    let (mut fetched, mut odd, mut wanted) = (Vec::new(), Vec::new(), BTreeSet::new());
    for known in objects {
        let key = known.key.strip_prefix(&from.key).unwrap_or_default().to_owned();
        // Stores of files mark directories so.
        if known.size == 0 && (key.is_empty() || key.ends_with('/')) {
            continue;
        }
        let Some(path) = file_below(root, &key) else {
            odd.push(format!("{}/{}: the key cannot be a file", from.bucket, known.key));
            continue;
        };
        let same = match here.get(&key) {
            Some((path, size)) if *size == known.size => checksum(path)? == known.crc64,
            _ => false,
        };
        if !same {
            fetched.push((known, path));
        }
        wanted.insert(key);
    }
    let gone = here.iter().filter(|(key, _)| args.delete && !wanted.contains(*key));
    let gone: Vec<PathBuf> = gone.map(|(_, (path, _))| path.clone()).collect();
    if wanted.is_empty() && !gone.is_empty() {
        return Err(nothing_in(&from.to_string())
            .hint(format!("`flagbase bucket ls {} -r` shows what there is", from.bucket)));
    }
    if args.dry_run {
        for (known, path) in &fetched {
            output::line(&format!("get {}/{} {}", from.bucket, known.key, path.display()))?;
        }
        return gone.iter().try_for_each(|path| output::line(&format!("rm {}", path.display())));
    }
    let (count, equal) = (fetched.len(), wanted.len() - fetched.len());
    fetch_all(args, client, (from, fetched)).await?;
    for path in &gone {
        std::fs::remove_file(path).map_err(|error| unwritable(path, &error))?;
    }
    if !odd.is_empty() {
        return Err(Failure::plain(format!("{} objects cannot be files here", odd.len())).details(odd));
    }
    Done { verb: "fetched", count, deleted: gone.len(), equal, skipped: broken.len() }.tell(client)
}

/// More often a wrong name than the wish to delete everything.
fn nothing_in(source: &str) -> Failure {
    let message =
        format!("there is nothing in `{source}`, so `--delete` would delete everything; nothing was done");
    Failure::new(Exit::NotFound, message)
}

async fn fetch_all(
    args: &SyncArgs,
    client: &Client,
    (from, wanted): (&Place, Vec<(Known, PathBuf)>),
) -> Outcome {
    let bar = Bar::new(wanted.iter().map(|(known, _)| known.size).sum(), client.printer.quiet);
    let work = wanted.into_iter().map(|(known, path)| {
        let bar = &bar;
        async move {
            let place = Place { bucket: from.bucket.clone(), key: known.key.clone() };
            let fetching = async {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(|error| unwritable(parent, &error))?;
                }
                fetch(client, (place.object()?, None), &known, (&path, bar)).await
            };
            fetching.await.map_err(|failure| (place.to_string(), failure))
        }
    });
    let done = together(work.collect(), args.parallel, "objects could not be fetched").await;
    bar.finish();
    done
}

/// What a command did.
struct Done {
    verb: &'static str,
    count: usize,
    deleted: usize,
    equal: usize,
    skipped: usize,
}

impl Done {
    fn tell(&self, client: &Client) -> Outcome {
        let Self { verb, count, deleted, equal, skipped } = self;
        let links = match skipped {
            0 => String::new(),
            1 => "; skipped 1 link that leads nowhere".to_owned(),
            many => format!("; skipped {many} links that lead nowhere"),
        };
        let counts = json!({*verb: count, "deleted": deleted, "equal": equal, "skipped": skipped});
        let message = format!("{verb} {count}, deleted {deleted}, {equal} were equal{links}");
        client.changed(&message, &counts, &View::ALL)
    }
}

/// What is in a directory.
#[derive(Debug, Default)]
struct Here {
    /// Files by their keys, with their sizes.
    files: BTreeMap<String, (PathBuf, u64)>,
    /// What keys links would have that lead nowhere.
    broken: BTreeSet<String>,
}

/// All files below a directory. Links to directories are not followed; it is said which links lead nowhere.
fn files(root: &Path) -> Outcome<Here> {
    let mut here = Here::default();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        let entries = std::fs::read_dir(&directory).map_err(|error| unreadable(&directory, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&directory, &error))?.path();
            let kind = std::fs::symlink_metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() {
                directories.push(path);
                continue;
            }
            let key = || {
                key_of(root, &path).ok_or_else(|| {
                    let message = format!("the name of `{}` is not UTF-8", path.display());
                    Failure::usage(message).hint("rename it")
                })
            };
            let known = match std::fs::metadata(&path) {
                Err(error) if kind.is_symlink() && error.kind() != ErrorKind::PermissionDenied => {
                    output::warn(&format!(
                        "`{}` is a link that leads nowhere; it is skipped",
                        path.display()
                    ));
                    here.broken.insert(key()?);
                    continue;
                }
                known => known.map_err(|error| unreadable(&path, &error))?,
            };
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if !known.is_file() || name.starts_with('.') && name.ends_with(".part") {
                continue;
            }
            here.files.insert(key()?, (path.clone(), known.len()));
        }
    }
    Ok(here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_side_is_a_directory_and_the_other_a_prefix() {
        let here = |text: &str| text == "site";
        let place = |key: &str| Place { bucket: "web".into(), key: key.into() };
        assert_eq!(Way::of("./a", "web", here).unwrap(), Way::Up("./a".into(), place("")));
        assert_eq!(Way::of("site", "web/v1", here).unwrap(), Way::Up("site".into(), place("v1/")));
        assert_eq!(Way::of("web/v1/", "/tmp/x", here).unwrap(), Way::Down(place("v1/"), "/tmp/x".into()));
        for (from, to) in [("./a", "./b"), ("web", "other"), ("site", "site")] {
            assert!(Way::of(from, to, here).is_err(), "{from} {to}");
        }
    }

    #[test]
    fn files_are_found_wherever_they_are_and_what_is_half_fetched_is_not_one() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("a/b")).unwrap();
        for name in ["x", "a/b/y", "a/.z.abc.part"] {
            std::fs::write(place.path().join(name), name).unwrap();
        }
        let found = files(place.path()).unwrap().files;
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a/b/y", "x"]);
        assert_eq!(found["x"].1, 1);
    }
}
