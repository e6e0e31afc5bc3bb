//! `flagbase backup` and `restore`.

use std::path::PathBuf;

use clap::Args;
use flagbase_core::clock::SystemClock;
use flagbase_store::Progress;

use super::ask;
use super::settings::{self, DatabaseArgs, Global};
use crate::app::storage;
use crate::config::{Config, Environment};
use crate::exit::{Exit, Failure, Outcome};
use crate::place;
use crate::{output, progress};

/// What whoever asks for help has to know before the day it is needed.
const NOT_IN_IT: &str = "\
Not in the copy: the contents of buckets and the code of functions. They are files below `storage.base_path`, or in the
store that `storage.url` names; the command says where. Files there are only added and removed, never changed: copy them
before and after this, without deleting from the copy.

  rsync -a data/storage/ /backups/storage/
  flagbase backup /backups/flagbase.db
  rsync -a data/storage/ /backups/storage/";

#[derive(Debug, Args)]
#[command(after_help = NOT_IN_IT)]
pub(crate) struct BackupArgs {
    /// The file to write
    file: PathBuf,
    /// Replace the file when it exists
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The file to read
    file: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
}

pub(crate) async fn backup(args: BackupArgs, global: &Global, environment: &Environment) -> Outcome {
    let config = settings::load(&args.database.into(), global, environment)?.config;
    if args.file.exists() && !args.force {
        let message = format!("`{}` exists already", args.file.display());
        return Err(Failure::new(Exit::Conflict, message).hint("choose another name, or give --force"));
    }
    let source = config.database.path.clone();
    if !source.exists() {
        return Err(no_database(&source));
    }
    let file = args.file.clone();
    let bar = progress::Pages::new("copying");
    let meter = bar.clone();
    let work = tokio::task::spawn_blocking(move || {
        flagbase_store::backup(&source, &file, &mut |now: Progress| {
            meter.set(now.done, now.total);
        })
    });
    let done = work.await.map_err(|error| Failure::plain(format!("cannot back up: {error}")))?;
    bar.finish();
    done.map_err(|error| place::failure(&error))?;
    output::line(&place::absolute(&args.file).display().to_string())?;
    output::say(&format!(
        "{}; copy it before and after this, without deleting from the copy",
        elsewhere(&config)
    ));
    Ok(())
}

/// What a copy of the database does not hold.
fn elsewhere(config: &Config) -> String {
    let place = if storage::is_remote(config) {
        "the store that `storage.url` names".to_owned()
    } else {
        format!("`{}`", place::absolute(&config.storage.base_path).display())
    };
    format!("not in this copy: the contents of buckets and the code of functions, which are in {place}")
}

pub(crate) async fn restore(args: RestoreArgs, global: &Global, environment: &Environment) -> Outcome {
    let config = settings::load(&args.database.into(), global, environment)?.config;
    if !args.file.exists() {
        let message = format!("there is no file `{}`", args.file.display());
        return Err(Failure::new(Exit::NotFound, message));
    }
    let database = place::database(&config);
    let (path, was_there) = (database.path.clone(), database.path.exists());
    if was_there {
        let question = format!("Replace the database `{}`? A copy is kept.", database.path.display());
        ask::confirm(&question, global.client.yes)?;
    }
    place::prepare(&config.server.data_dir)?;
    let bar = progress::Pages::new("restoring");
    let meter = bar.clone();
    let work = tokio::task::spawn_blocking(move || {
        let mut step = |now: Progress| meter.set(now.done, now.total);
        flagbase_store::restore(&args.file, &database, &SystemClock, &mut step)
    });
    let done = work.await.map_err(|error| Failure::plain(format!("cannot restore: {error}")))?;
    bar.finish();
    let restored = done.map_err(|error| place::failure(&error))?;
    place::tell(&path, was_there);
    output::say("restored; start the server again with `flagbase start`");
    output::say(&format!("{}; put its copy back, too, before the start", elsewhere(&config)));
    if let Some(kept) = restored.replaced {
        output::say(&format!("the database that was there is kept in {}", place::absolute(&kept).display()));
    }
    Ok(())
}

/// There is nothing to work on.
pub(crate) fn no_database(path: &std::path::Path) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no database `{}`", path.display()))
        .hint("name it with --database, or run this where `flagbase start` runs")
}
