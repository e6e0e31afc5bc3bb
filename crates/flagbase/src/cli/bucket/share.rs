//! `flagbase bucket share`.

use clap::Args;
use serde_json::json;

use super::amounts::{seconds, size};
use super::place::Place;
use super::remote::{self, text};
use super::under;
use crate::cli::client::{Call, Client};
use crate::cli::document;
use crate::exit::{Exit, Outcome};
use crate::output::{self, Format, View};

#[derive(Debug, Args)]
pub(super) struct ShareArgs {
    /// `bucket/key`
    place: Place,
    /// What may be done: `GET`, `PUT` or `DELETE`
    #[arg(long, default_value = "GET")]
    method: String,
    /// For how long, such as `30m`, `12h` or `7d`
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    expires_in: String,
    /// How many bytes may be written, such as `10MiB`
    #[arg(long, value_name = "SIZE")]
    max_size: Option<String>,
    /// The media type that has to be written
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// The version that may be read
    #[arg(long)]
    version: Option<String>,
}

pub(super) async fn share(args: &ShareArgs, client: &Client) -> Outcome {
    let place = args.place.object()?;
    let method = args.method.to_ascii_uppercase();
    // What is written need not be there before. Whoever may not look is told by the server what else he may do.
    if method != "PUT"
        && let Err(failure) = remote::head(client, place, args.version.as_deref()).await
        && failure.exit() == Exit::NotFound
    {
        return Err(failure);
    }
    let max_size = args.max_size.as_deref().map(size).transpose()?;
    let mut body = json!({"method": method, "key": place.key, "expires_in": seconds(&args.expires_in)?});
    document::set_some(&mut body, "max_size", max_size);
    document::set_some(&mut body, "content_type", args.content_type.clone());
    document::set_some(&mut body, "version", args.version.clone());
    let mut signed = client.call(Call::post(&under(&place.bucket, "sign"), body).scoped()).await?;
    let url = format!("{}{}", client.server(), text(&signed, "url"));
    document::set(&mut signed, "url", url.as_str());
    if client.printer.format == Format::Table {
        client.printer.done(&format!("good until {}", text(&signed, "expires_at")));
        return output::line(&url);
    }
    client.print(&signed, &View::ALL)
}
