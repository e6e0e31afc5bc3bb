//! The configuration through the real binary: print, validate, and refusing to start on a bad one.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;

struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new(yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("flagbase.yaml"), yaml).unwrap();
        Self { directory }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn flagbase(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagbase"));
        command.current_dir(self.path()).env_clear().env("HOME", self.path()).args(arguments);
        command
    }
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn every_value_can_be_traced_to_its_origin() {
    let machine = Machine::new("server:\n  port: 9000\n");
    let printed = machine
        .flagbase(&["config", "print", "--show-origin", "-o", "json", "--host", "127.0.0.1"])
        .env("FLAGBASE_IAM__TOKEN_TTL", "1h")
        .assert()
        .success();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&stdout(&printed)).unwrap();
    let row = |key: &str| rows.iter().find(|row| row["key"] == key).unwrap();
    assert_eq!(row("server.port")["value"], 9000);
    assert_eq!(row("server.port")["origin"], "file `./flagbase.yaml`");
    assert_eq!(row("server.host")["origin"], "flag `--host`");
    assert_eq!(row("iam.token_ttl")["origin"], "environment variable `FLAGBASE_IAM__TOKEN_TTL`");
    assert_eq!(row("guard.interval")["origin"], "default");
    assert_eq!(row("iam.jwt_secret")["value"], "[redacted]");
}

#[test]
fn what_is_printed_can_be_used_as_a_configuration() {
    let machine = Machine::new("server:\n  port: 9000\n");
    for arguments in [&["config", "print", "-o", "yaml"][..], &["config", "print", "--defaults"]] {
        let printed = stdout(&machine.flagbase(arguments).assert().success());
        std::fs::write(machine.path().join("again.yaml"), printed).unwrap();
        machine.flagbase(&["config", "validate", "--config", "again.yaml"]).assert().success();
    }
}

#[test]
fn an_unknown_key_is_shown_in_its_place_with_the_key_that_was_meant() {
    let machine = Machine::new("server:\n  prot: 9000\n");
    let refused = machine.flagbase(&["config", "validate"]).assert().code(78).stdout("");
    insta::assert_snapshot!("unknown-key", stderr(&refused));
}

#[test]
fn a_bad_configuration_stops_the_start_before_anything_is_made() {
    let machine = Machine::new("mode: cluster\n");
    let refused = machine.flagbase(&["start"]).assert().code(78);
    assert!(stderr(&refused).contains("openssl rand -hex 32"), "{}", stderr(&refused));
    assert!(!machine.path().join("flagbase.db").exists());
    assert!(!machine.path().join("data").exists());
}

#[test]
fn a_secret_never_appears_in_output_not_even_in_errors() {
    let machine = Machine::new("iam:\n  jwt_sekret: hunter2hunter2\n  jwt_secret: hunter2hunter2\n");
    let refused = machine.flagbase(&["config", "validate"]).assert().code(78);
    assert!(!stderr(&refused).contains("hunter2"), "{}", stderr(&refused));
    let machine = Machine::new("iam:\n  jwt_secret: 22222222\n");
    let refused = machine.flagbase(&["config", "validate"]).assert().code(78);
    assert!(!stderr(&refused).contains("22222222"), "{}", stderr(&refused));
    let machine = Machine::new("");
    let mut command = machine.flagbase(&["config", "print", "--show-origin"]);
    let printed = command.env("FLAGBASE_IAM__JWT_SECRET", "hunter2hunter2").assert().success();
    assert!(!stdout(&printed).contains("hunter2"), "{}", stdout(&printed));
}

#[test]
fn a_misspelt_variable_of_one_underscore_is_pointed_out() {
    let machine = Machine::new("");
    let mut command = machine.flagbase(&["config", "validate"]);
    let valid = command.env("FLAGBASE_SERVER_PORT", "9").assert().success();
    assert!(stderr(&valid).contains("`FLAGBASE_SERVER__PORT`"), "{}", stderr(&valid));
}
