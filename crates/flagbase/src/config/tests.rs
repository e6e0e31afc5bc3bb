//! The configuration as a person meets it: files, variables and flags in, values or clear complaints out.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// A directory with a `flagbase.yaml`, and what else a test puts there.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(yaml: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.write("flagbase.yaml", yaml);
        place
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn sources(&self, variables: &[(&str, &str)]) -> Sources {
        let environment = Environment::of(self.directory.path(), variables);
        Sources { environment, file: None, flags: Vec::new() }
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        self.sources(variables).load()
    }

    /// The messages, each followed by its advice.
    fn complaints(&self, variables: &[(&str, &str)]) -> Vec<String> {
        let error = self.load(variables).unwrap_err();
        error.problems.iter().map(|p| format!("{p} | {}", p.advice())).collect()
    }
}

#[test]
fn nothing_configured_gives_the_documented_defaults() {
    let loaded = Place::new("").load(&[]).unwrap();
    let config = &loaded.config;
    assert_eq!(config.mode, Mode::Local);
    assert_eq!((config.server.host.as_str(), config.server.port), ("0.0.0.0", 8080));
    assert_eq!(config.server.max_body, 1 << 20);
    assert_eq!(config.database.path, PathBuf::from("flagbase.db"));
    assert_eq!(config.iam.token_ttl, Duration::from_hours(24));
    assert_eq!(config.iam.jwt_secret, Some(Secret::new("change-me-in-production")));
    assert_eq!(config.iam.self_assignable_roles, ["developer", "user"]);
    assert_eq!(config.storage.base_path, PathBuf::from("./data/storage"));
    assert_eq!(config.gateway.max_idle_per_host, 1024);
    assert_eq!(loaded.origin("server.port"), "default");
    assert!(loaded.warnings.is_empty());
}

#[test]
fn the_keys_of_the_first_release_work_unchanged() {
    let place = Place::new(
        "server:\n  host: 127.0.0.1\n  port: 9090\ndatabase:\n  path: /tmp/x.db\niam:\n  jwt_secret: change-me-in-production\n  \
         token_ttl: 12h\nstorage:\n  base_path: /srv\nevents:\n  nats_port: 4333\n",
    );
    let config = place.load(&[]).unwrap().config;
    assert_eq!((config.server.host.as_str(), config.server.port), ("127.0.0.1", 9090));
    assert_eq!(config.iam.token_ttl, Duration::from_hours(12));
}

#[test]
fn each_origin_wins_over_the_one_before_it() {
    let place = Place::new("server: {port: 2}");
    assert_eq!(place.load(&[]).unwrap().config.server.port, 2);

    place.write("etc/flagbase.yaml", "server: {port: 1, host: etc.example.com}");
    let loaded = place.load(&[]).unwrap();
    assert_eq!((loaded.config.server.port, loaded.config.server.host.as_str()), (2, "etc.example.com"));
    assert!(loaded.origin("server.host").contains("etc"), "{}", loaded.origin("server.host"));

    let file = place.write("other.yaml", "server: {port: 3}");
    let mut sources = place.sources(&[]);
    sources.file = Some(file);
    assert_eq!(sources.load().unwrap().config.server.port, 3);

    sources.environment = Environment::of(place.directory.path(), &[("FLAGBASE_SERVER__PORT", "4")]);
    let loaded = sources.load().unwrap();
    assert_eq!(loaded.config.server.port, 4);
    assert_eq!(loaded.origin("server.port"), "environment variable `FLAGBASE_SERVER__PORT`");

    sources.flags.push(FlagValue { key: "server.port", flag: "--port", value: 5_u16.into() });
    let loaded = sources.load().unwrap();
    assert_eq!(loaded.config.server.port, 5);
    assert_eq!(loaded.origin("server.port"), "flag `--port`");
}

#[test]
fn variables_are_read_as_the_kind_of_value_their_key_takes() {
    let config = Place::new("")
        .load(&[
            ("FLAGBASE_IAM__JWT_SECRET", "0123456789"),
            ("FLAGBASE_IAM__SELF_ASSIGNABLE_ROLES", "developer, tester"),
            ("FLAGBASE_GATEWAY__ALLOW_PRIVATE_UPSTREAMS", "false"),
            ("FLAGBASE_GATEWAY__RETRIES", "3"),
            ("FLAGBASE_SERVER__HOST", ""),
            ("FLAGBASE_IAM__JWT_SECRET_FILE", ""),
            ("FLAGBASE_MODE", "local"),
        ])
        .unwrap()
        .config;
    assert_eq!(config.iam.jwt_secret, Some(Secret::new("0123456789")));
    assert_eq!(config.iam.self_assignable_roles, ["developer", "tester"]);
    assert!(!config.gateway.allow_private_upstreams);
    assert_eq!(config.gateway.retries, 3);
    assert_eq!(config.server.host, "0.0.0.0", "an empty variable counts as not set where any text will do");
}

#[test]
fn unknown_keys_are_all_reported_with_origin_line_and_the_nearest_known_key() {
    let place = Place::new("server:\n  host: a.example.com\n  prot: 1\nsurprise: true\n");
    let error = place.load(&[("FLAGBASE_IAM__TOKEN_TLL", "1h")]).unwrap_err();
    let all: Vec<_> = error.problems.iter().map(|p| (p.to_string(), p.advice())).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all[0].0.starts_with("unknown key `server.prot` in file `"), "{all:?}");
    assert_eq!(all[0].1, "did you mean `server.port`?");
    assert_eq!(error.problems[0].line(), Some(3));
    assert_eq!(error.problems[1].line(), Some(4));
    assert!(all[2].0.contains("environment variable `FLAGBASE_IAM__TOKEN_TLL`"), "{all:?}");
    assert_eq!(all[2].1, "did you mean `iam.token_ttl`?");
}

#[test]
fn variables_a_container_platform_sets_do_not_stop_the_start() {
    let loaded = Place::new("")
        .load(&[
            ("FLAGBASE_PORT", "tcp://10.0.0.1:80"),
            ("FLAGBASE_SERVER_PORT", "tcp://10.0.0.2:80"),
            ("FLAGBASE_SERVICE_PORT", "80"),
            ("FLAGBASE_PORT_80_TCP_ADDR", "10.0.0.1"),
        ])
        .unwrap();
    assert_eq!(loaded.config.server.port, 8080);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn variables_that_were_probably_meant_for_us_are_warned_about() {
    for (name, says) in [
        ("FLAGBASE_SERVER_PORT", "the variable is `FLAGBASE_SERVER__PORT`"),
        ("FLAGBASE_PORT", "the variable is `FLAGBASE_SERVER__PORT`"),
        ("FLAGBASE_JWT_SECRET", "the variable is `FLAGBASE_IAM__JWT_SECRET`"),
        ("FLAGBASE_RETENTION", "the variable is `FLAGBASE_EVENTS__RETENTION` or `FLAGBASE_"),
    ] {
        let loaded = Place::new("").load(&[(name, "1")]).unwrap();
        assert_eq!(loaded.warnings.len(), 1, "{name}: {:?}", loaded.warnings);
        assert!(loaded.warnings[0].starts_with(&format!("`{name}` is ignored")), "{:?}", loaded.warnings);
        assert!(loaded.warnings[0].contains(says), "{:?}", loaded.warnings);
    }
    let ours = Place::new("").load(&[("FLAGBASE_ENVIRONMENT", "staging"), ("FLAGBASE_TOKEN", "t")]).unwrap();
    assert!(ours.warnings.is_empty(), "{:?}", ours.warnings);
}

#[test]
fn unknown_keys_wrong_kinds_and_values_without_sense_come_all_at_once() {
    let place = Place::new(
        "server:\n  port: eighty\n  prot: 1\n  max_body: 1XB\n  host: 'a b'\niam:\n  token_ttl: 24\n  \
         login_attempts: many\ngateway:\n  hosts: a\nsurprise: true\n",
    );
    let complaints = place.complaints(&[
        ("FLAGBASE_METRICS__RETENTION", "long"),
        ("FLAGBASE_GATEWAY__RETRIES", "99"),
        ("FLAGBASE_LOG__COLOUR", ""),
    ]);
    for says in [
        "unknown key `server.prot`",
        "unknown key `surprise`",
        "unknown key `log.colour`",
        "`server.port` must be a number from 0 to 65535",
        "`server.max_body` must be a size",
        "`iam.token_ttl` must be a duration",
        "`iam.login_attempts` must be a whole number",
        "`gateway.hosts` must be a list",
        "`metrics.retention` must be a duration",
        "`server.host` is `a b`",
        "`gateway.retries` is `99`",
    ] {
        assert!(complaints.iter().any(|c| c.starts_with(says)), "{says}: {complaints:#?}");
    }
    assert_eq!(complaints.len(), 11, "{complaints:#?}");
}

#[test]
fn a_wrong_value_that_a_later_place_replaces_does_no_harm() {
    let place = Place::new("server: {port: eighty}");
    assert_eq!(place.load(&[("FLAGBASE_SERVER__PORT", "81")]).unwrap().config.server.port, 81);
}

#[test]
fn an_empty_variable_is_an_error_where_text_will_not_do() {
    for name in [
        "FLAGBASE_SERVER__PORT",
        "FLAGBASE_SERVER__MAX_BODY",
        "FLAGBASE_IAM__TOKEN_TTL",
        "FLAGBASE_IAM__REGISTRATION",
        "FLAGBASE_GATEWAY__HOSTS",
        "FLAGBASE_GATEWAY__ALLOW_PRIVATE_UPSTREAMS",
        "FLAGBASE_MODE",
    ] {
        let complaints = Place::new("").complaints(&[(name, "")]);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("empty") && complaints[0].contains(name), "{complaints:?}");
    }
}

#[test]
fn every_key_that_takes_any_text_may_be_left_empty_and_no_other() {
    for key in keys() {
        let name = key.variable();
        let loaded = Place::new("").load(&[(&name, "")]);
        assert_eq!(loaded.is_ok(), key.takes_any_text(), "{name}");
    }
}

#[test]
fn a_variable_and_the_file_for_it_cannot_both_be_set() {
    let place = Place::new("");
    let path = place.write("secret", "from-a-file\n");
    let complaints = place.complaints(&[
        ("FLAGBASE_IAM__JWT_SECRET", "direct"),
        ("FLAGBASE_IAM__JWT_SECRET_FILE", path.to_str().unwrap()),
    ]);
    assert_eq!(
        complaints,
        ["`FLAGBASE_IAM__JWT_SECRET` and `FLAGBASE_IAM__JWT_SECRET_FILE` are both set | keep one of the two"]
    );
}

#[test]
fn a_wrong_type_says_what_was_expected_what_came_and_where() {
    let cases = [
        ("server: {port: eighty}", "`server.port` must be a number from 0 to 65535, not string \"eighty\""),
        ("server: {port: 70000}", "`server.port` must be a number from 0 to 65535, not"),
        ("server: 5", "`server` must be a section"),
        ("iam: {token_ttl: 24}", "`iam.token_ttl` must be a duration with its unit"),
        ("server: {max_body: 1XB}", "`server.max_body` must be a size"),
        (
            "iam: {registration: maybe}",
            "`iam.registration` must be one of `open`, `invite`, `closed`, not `maybe`",
        ),
        ("mode: swarm", "`mode` must be one of `local`, `cluster`, not `swarm`"),
        ("gateway: {hosts: a}", "`gateway.hosts` must be a list"),
    ];
    for (yaml, expected) in cases {
        let complaints = Place::new(yaml).complaints(&[]);
        assert!(complaints[0].starts_with(expected), "{yaml}: {complaints:?}");
        assert!(complaints[0].contains("flagbase.yaml"), "{yaml}: {complaints:?}");
    }
}

#[test]
fn broken_yaml_and_duplicate_keys_are_refused() {
    assert!(Place::new("server: [").complaints(&[])[0].contains("not a valid YAML mapping"));
    assert!(Place::new("- a").complaints(&[])[0].contains("not a valid YAML mapping"));
    let twice = Place::new("server: {port: 1}\nserver: {port: 2}\n").complaints(&[]);
    assert!(twice[0].contains("duplicate"), "{twice:?}");
}

#[test]
fn keys_without_a_value_leave_the_default() {
    let config = Place::new("server:\niam:\n  token_ttl:\n").load(&[]).unwrap().config;
    assert_eq!(config.server.port, 8080);
    assert_eq!(config.iam.token_ttl, Duration::from_hours(24));
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let mut sources = Place::new("").sources(&[]);
    sources.file = Some("no-such.yaml".into());
    let error = sources.load().unwrap_err();
    assert_eq!(error.problems[0].to_string(), "there is no file `no-such.yaml`");
}

#[test]
fn secrets_are_read_from_files_named_in_a_file_or_a_variable() {
    let place = Place::new("");
    let path = place.write("secret", "from-a-file\n");
    let variable = ("FLAGBASE_IAM__JWT_SECRET_FILE", path.to_str().unwrap());
    let loaded = place.load(&[variable]).unwrap();
    assert_eq!(loaded.config.iam.jwt_secret, Some(Secret::new("from-a-file")));
    assert!(loaded.origin("iam.jwt_secret").contains("FLAGBASE_IAM__JWT_SECRET_FILE"));

    place.write("flagbase.yaml", &format!("iam: {{jwt_secret_file: '{}'}}", path.display()));
    let loaded = place.load(&[]).unwrap();
    assert_eq!(loaded.config.iam.jwt_secret, Some(Secret::new("from-a-file")));

    let later = place.load(&[("FLAGBASE_IAM__JWT_SECRET", "later")]).unwrap();
    assert_eq!(later.config.iam.jwt_secret, Some(Secret::new("later")), "the later layer wins");
}

#[test]
fn a_secret_file_that_is_missing_or_doubled_is_an_error() {
    let missing = Place::new("").complaints(&[("FLAGBASE_IAM__JWT_SECRET_FILE", "/no/such")]);
    assert!(missing[0].contains("`/no/such`, which cannot be read"), "{missing:?}");
    let both = Place::new("iam:\n  jwt_secret: a\n  jwt_secret_file: b\n").complaints(&[]);
    assert!(both[0].contains("sets both"), "{both:?}");
}

#[test]
fn outside_local_mode_only_a_strong_secret_will_do() {
    let good = "5f1c0a97e3b24d68a1f0c9e7b6d5a4938271605f4e3d2c1b";
    let cases = [
        (None, false),
        (Some("change-me-in-production"), false),
        (Some("hunter2"), false),
        (Some("change-me-in-production-change-me-in-production"), false),
        (Some("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), false),
        (Some(good), true),
    ];
    for (secret, accepted) in cases {
        let mut variables = vec![("FLAGBASE_MODE", "cluster")];
        variables.extend(secret.map(|secret| ("FLAGBASE_IAM__JWT_SECRET", secret)));
        let place = Place::new("");
        if accepted {
            assert_eq!(place.load(&variables).unwrap().config.iam.registration, Registration::Invite);
        } else {
            let complaints = place.complaints(&variables);
            assert!(complaints[0].starts_with("`iam.jwt_secret`"), "{complaints:?}");
            assert!(complaints[0].contains("openssl rand -hex 32"), "{complaints:?}");
            assert!(secret.is_none_or(|s| s.starts_with("change-me") || !complaints[0].contains(s)));
        }
    }
}

#[test]
fn cluster_defaults_give_way_to_what_was_configured() {
    let place = Place::new("mode: cluster\niam: {registration: open}\n");
    let secret = ("FLAGBASE_IAM__JWT_SECRET", "5f1c0a97e3b24d68a1f0c9e7b6d5a4938271605f4e3d2c1b");
    let loaded = place.load(&[secret]).unwrap();
    assert_eq!(loaded.config.iam.registration, Registration::Open);
    assert!(!loaded.config.gateway.allow_loopback_upstreams);
    assert_eq!(loaded.origin("gateway.allow_loopback_upstreams"), "default in cluster mode");
}

#[test]
fn values_that_make_no_sense_are_all_reported_at_once() {
    let place = Place::new(
        "server: {host: 'a b', public_url: nowhere, max_body: 0, cors_origins: ['x.example.com'], request_timeout: 0s}\n\
         gateway: {paths: [shop], hosts: ['a:1'], trusted_proxies: [10.0.0.0/99], retries: 99}\n\
         iam: {hash_concurrency: 0, self_assignable_roles: [admin]}\nlog: {level: 'loud=='}\n",
    );
    let complaints = place.complaints(&[]);
    for key in [
        "server.host",
        "server.public_url",
        "server.max_body",
        "server.cors_origins",
        "server.request_timeout",
        "gateway.paths",
        "gateway.hosts",
        "gateway.trusted_proxies",
        "gateway.retries",
        "iam.hash_concurrency",
        "iam.self_assignable_roles",
        "log.level",
    ] {
        assert!(complaints.iter().any(|c| c.starts_with(&format!("`{key}`"))), "{key}: {complaints:#?}");
    }
    assert_eq!(complaints.len(), 12, "{complaints:#?}");
}

#[test]
fn shown_values_and_debug_output_hide_secrets() {
    let loaded = Place::new("iam: {jwt_secret: hunter2-hunter2}").load(&[]).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
    let key = keys().iter().find(|key| key.path == "iam.jwt_secret").unwrap();
    assert_eq!(loaded.shown(key), "[redacted]");
    let port = keys().iter().find(|key| key.path == "server.port").unwrap();
    assert_eq!(loaded.shown(port), 8080);
    assert_eq!(loaded.warnings.len(), 1, "a weak secret is worth a warning: {:?}", loaded.warnings);
}

#[test]
fn only_addresses_of_this_machine_are_this_machine() {
    for (host, here) in [
        ("127.0.0.1", true),
        ("::1", true),
        ("::ffff:127.0.0.1", true),
        ("localhost", true),
        ("0.0.0.0", false),
        ("::", false),
        ("192.0.2.1", false),
        ("localhost.example.com", false),
    ] {
        assert_eq!(is_this_machine(host), here, "{host}");
    }
}

#[test]
fn a_bus_that_makes_no_sense_is_refused_without_showing_its_password() {
    let complaints = Place::new("events: {url: 'amqp://user:hunter2@one'}").complaints(&[]);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].starts_with("`events.url` ") && !complaints[0].contains("hunter2"),
        "{complaints:?}"
    );
    let loaded = Place::new("events: {url: 'nats://user:hunter2@one'}").load(&[]).unwrap();
    assert!(!format!("{:?}", loaded.config.events).contains("hunter2"));
    let shown = loaded.shown(keys().iter().find(|key| key.path == "events.url").unwrap());
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
}

#[test]
fn strangers_who_may_watch_from_elsewhere_are_warned_of() {
    let warned =
        |yaml: &str| Place::new(yaml).load(&[]).unwrap().warnings.join(" ").contains("events.anonymous");
    assert!(warned("events: {anonymous: read, host: 0.0.0.0}"));
    for fine in
        ["events: {anonymous: read}", "events: {host: 0.0.0.0}", "events: {anonymous: off, host: 0.0.0.0}"]
    {
        assert!(!warned(fine), "{fine}");
    }
}

#[test]
fn what_runs_functions_is_chosen_and_checked() {
    let config = Place::new("").load(&[]).unwrap().config;
    assert_eq!(config.compute.driver, Driver::Wasm);
    assert_eq!((config.functions.max_code, config.functions.instances), (64 << 20, 1000));
    assert!(config.functions.secrets_key.reveal().is_empty());
    let complaints = Place::new(
        "compute: {driver: firecracker, firecracker: {uid: 0, vcpus: 99}}\nfunctions:\n  loaded: 0\n  secrets_key: short\n  \
         max_code: 1\n",
    )
    .complaints(&[("FLAGBASE_COMPUTE__FIRECRACKER__KERNEL", "/boot/vmlinux")]);
    for part in [
        "rootfs` is empty",
        "uid` is `0`",
        "vcpus` is `99`",
        "loaded` is `0`",
        "secrets_key` is too short",
        "max_code` is `1`",
    ] {
        assert!(complaints.iter().any(|complaint| complaint.contains(part)), "{part}: {complaints:#?}");
    }
    assert!(!complaints.iter().any(|complaint| complaint.contains("kernel")), "{complaints:#?}");
    let args = |value: &str| {
        let text = format!("compute: {{driver: firecracker, firecracker: {{kernel_args: '{value}'}}}}");
        let complaints = Place::new(&text).complaints(&[]);
        complaints.into_iter().filter(|complaint| complaint.contains("kernel_args")).collect::<Vec<_>>()
    };
    assert!(args("random.trust_cpu=on mitigations=off").is_empty());
    for (value, part) in [
        ("quiet init=/bin/sh", "kernel_args` is `init=/bin/sh`"),
        ("flagbase.drive=/dev/vdc", "is Flagbase's own"),
        ("-- more", "is `--`"),
        ("größe=1", "cannot be read by the kernel"),
        (&"a".repeat(1025), "is too long"),
    ] {
        let complaints = args(value);
        assert!(complaints.iter().any(|complaint| complaint.contains(part)), "{part}: {complaints:#?}");
    }
    let wrong = Place::new("compute: {firecracker: fast}").complaints(&[]);
    assert!(wrong[0].contains("`compute.firecracker` must be a section"), "{wrong:?}");
    let wrong = Place::new("compute: {driver: docker}").complaints(&[]);
    assert!(wrong[0].contains("`wasm`, `firecracker`, `none`"), "{wrong:?}");
}

#[test]
fn where_s3_is_served_is_an_address_or_nowhere() {
    let listen = |value: &str| Place::new("").load(&[("FLAGBASE_STORAGE__S3__LISTEN", value)]);
    for value in ["127.0.0.1:0", "[::1]:9000", "none"] {
        assert_eq!(listen(value).unwrap().config.storage.s3.listen, value);
    }
    assert_eq!(listen("").unwrap().config.storage.s3.listen, "127.0.0.1:9000", "empty counts as not set");
    for value in ["9000", "localhost", "off"] {
        let error = listen(value).unwrap_err();
        assert!(error.problems[0].to_string().contains("storage.s3.listen"), "{error:?}");
    }
    let wrong = Place::new("storage:\n  s3:\n    domain: s3_x.example.com:9000\n    region: US East\n");
    assert_eq!(wrong.load(&[]).unwrap_err().problems.len(), 2);
}
