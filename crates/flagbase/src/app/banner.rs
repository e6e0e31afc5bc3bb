//! What a start says: where the server is, where its data is, and what to do next.

use std::fmt::Write as _;
use std::net::SocketAddr;

use flagbase_core::identity::Invited;

use super::logging::Form;
use crate::cli::VERSION;
use crate::config::{Config, Registration};
use crate::{output, place};

/// Says it: as text for a person, as one log line for a collector.
pub(crate) fn show(
    form: Form,
    config: &Config,
    (address, (bus, s3)): (SocketAddr, (Option<SocketAddr>, Option<SocketAddr>)),
    setup: Option<&Invited>,
) {
    let open = is_open(config.iam.registration, address);
    let url = url(config, address);
    let data = place::absolute(&config.server.data_dir);
    let database = place::absolute(&config.database.path);
    match form {
        Form::Text => {
            output::say(&text(&url, (bus, s3), &[("Data", &data), ("Database", &database)], setup));
            if open {
                output::say(&format!("\nWarning: {OPEN}.\n"));
            }
        }
        Form::Json => {
            let data_dir = data.display();
            let database = database.display();
            let (bus, s3) = (bus.map(tracing::field::display), s3.map(tracing::field::display));
            tracing::info!(version = VERSION, %url, %address, bus, s3, %data_dir, %database, "flagbase is running");
            if open {
                tracing::warn!(%address, "{OPEN}");
            }
            if setup.is_some() {
                // Logs are kept and read by many: the token itself stays in its file.
                tracing::info!(
                    "there is no administrator yet: use the token in `setup-token` in the data directory, or run \
                     `flagbase admin create`"
                );
            }
        }
    }
}

/// What is said when strangers can help themselves to an account.
const OPEN: &str = "registration is open and the server listens beyond this machine: anybody who reaches the port can \
                    register as `developer` and change flags and routes of development environments; to close it, set \
                    `iam.registration: invite`";

/// Whether whoever reaches the port from another machine can make himself an account.
fn is_open(registration: Registration, address: SocketAddr) -> bool {
    registration == Registration::Open && !address.ip().to_canonical().is_loopback()
}

/// The address people open.
pub(crate) fn url(config: &Config, address: SocketAddr) -> String {
    let public = config.server.public_url.trim_end_matches('/');
    if !public.is_empty() {
        return public.to_owned();
    }
    if address.ip().is_unspecified() {
        format!("http://localhost:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

fn text(
    url: &str,
    (bus, s3): (Option<SocketAddr>, Option<SocketAddr>),
    places: &[(&str, &std::path::PathBuf)],
    setup: Option<&Invited>,
) -> String {
    let mut text = format!("\nflagbase {VERSION} is running → {url}\n\n");
    // Writing to a string cannot fail.
    for (name, path) in places {
        let _ = writeln!(text, "  {name:<12} {}", path.display());
    }
    let _ = writeln!(text, "  {:<12} {url}/docs", "API");
    if let Some(bus) = bus {
        let _ = writeln!(text, "  {:<12} nats://{bus} (events: flagbase.>)", "NATS");
    }
    if let Some(s3) = s3 {
        let _ = writeln!(text, "  {:<12} http://{s3}", "S3");
    }
    if let Some(setup) = setup {
        let _ = writeln!(text, "  {:<12} {}", "Setup token", setup.token);
        let _ = writeln!(
            text,
            "  {:<12} (once, until {:.0}; also in setup-token in the data directory)",
            "", setup.expires_at
        );
        text.push_str("\nThere is no administrator yet. Make one with\n\n");
        text.push_str("  flagbase admin create you@example.com\n\n");
        let _ = writeln!(text, "or send the setup token, an email address and a password to {url}/setup.");
    }
    text.push_str("\nPress Ctrl-C to stop.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_without_an_administrator_says_how_to_make_one() {
        let invited = Invited {
            id: "0123456789abcdef".to_owned(),
            token: "t0ken".to_owned(),
            role: "admin".into(),
            email: None,
            expires_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let path = std::path::PathBuf::from("/srv/data");
        let text = text(
            "http://localhost:8080",
            ("127.0.0.1:4222".parse().ok(), "127.0.0.1:9000".parse().ok()),
            &[("Data", &path)],
            Some(&invited),
        );
        for part in [
            "http://localhost:8080",
            "nats://127.0.0.1:4222",
            "http://127.0.0.1:9000",
            "/srv/data",
            "t0ken",
            "1970-01-01T00:00:00Z",
            "flagbase admin create",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn open_registration_is_warned_of_only_where_others_reach_the_port() {
        for (address, open) in [
            ("127.0.0.1:8080", false),
            ("[::1]:8080", false),
            ("[::ffff:127.0.0.1]:8080", false),
            ("0.0.0.0:8080", true),
            ("[::]:8080", true),
            ("192.0.2.1:8080", true),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(is_open(Registration::Open, address), open, "{address}");
            assert!(!is_open(Registration::Invite, address) && !is_open(Registration::Closed, address));
        }
        assert!(OPEN.contains("`iam.registration: invite`") && OPEN.contains("`developer`"));
    }

    #[test]
    fn a_start_with_an_administrator_does_not_speak_of_setup() {
        assert!(!text("http://localhost:8080", (None, None), &[], None).contains("etup"));
    }
}
