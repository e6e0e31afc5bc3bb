//! The command line through the real binary: help, exit codes, and what goes to which stream.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;

/// A fresh machine: an empty directory, no environment, no terminal.
struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn flagbase(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagbase"));
        command.current_dir(self.path()).env_clear().env("HOME", self.path()).args(arguments);
        // Somebody may have a NATS server on its usual port.
        command.env("FLAGBASE_EVENTS__NATS_PORT", "0");
        command
    }

    fn run(&self, arguments: &[&str]) -> Assert {
        self.flagbase(arguments).assert()
    }
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stdout.clone()).unwrap()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let machine = Machine::new();
    let groups = [
        "start",
        "version",
        "config",
        "doctor",
        "admin",
        "backup",
        "restore",
        "login",
        "logout",
        "whoami",
        "flag",
        "segment",
        "environment",
        "override",
        "route",
        "user",
        "role",
        "key",
        "guard",
        "webhook",
        "fn",
        "bucket",
        "events",
        "completions",
    ];
    insta::assert_snapshot!("help", stdout(&machine.run(&["--help"]).success()));
    let mut all = String::new();
    for group in groups {
        let help = stdout(&machine.run(&[group, "--help"]).success());
        all.extend(["$ flagbase ", group, " --help\n", &help, "\n"]);
    }
    insta::assert_snapshot!("help-of-commands", all);
}

#[test]
fn every_command_is_in_the_table_of_the_documentation() {
    let documentation = include_str!("../../../docs/src/cli.md");
    let help = stdout(&Machine::new().run(&["--help"]).success());
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let entries = commands.lines().filter(|line| !line.starts_with("   "));
    let names = entries.filter_map(|line| line.split_whitespace().next());
    let is_documented = |name: &str| {
        let mut rows = documentation.lines().filter(|line| line.starts_with("| `"));
        rows.any(|row| row.contains(&format!("`{name} ")) || row.contains(&format!("`{name}`")))
    };
    let missing: Vec<&str> = names.filter(|name| *name != "help" && !is_documented(name)).collect();
    assert!(missing.is_empty() && commands.contains("bucket"), "{missing:?} of {commands}");
}

#[test]
fn the_version_is_short_on_request() {
    let machine = Machine::new();
    let long = stdout(&machine.run(&["version"]).success());
    for line in ["flagbase", "Version:", "Commit:", "Built:"] {
        assert!(long.contains(line), "{long}");
    }
    let short = stdout(&machine.run(&["version", "-s"]).success());
    assert_eq!(short.trim(), env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let machine = Machine::new();
    for arguments in [&["fly"][..], &["start", "--port", "many"], &["flag", "get"], &["override", "remove"]] {
        machine.run(arguments).code(2).stdout("");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(&machine.run(&["completions", shell]).success());
        assert!(script.contains("flagbase"), "{shell}");
    }
}

#[test]
fn without_a_terminal_nothing_is_asked_and_the_flag_to_give_is_named() {
    let machine = Machine::new();
    let asked = machine.run(&["login", "alice@example.com"]).code(2);
    assert!(stderr(&asked).contains("--password-file"), "{}", stderr(&asked));
    let unnamed = machine.run(&["login"]).code(2);
    assert!(stderr(&unnamed).contains("email"), "{}", stderr(&unnamed));
}

#[test]
fn a_server_that_is_not_there_is_named_with_what_to_do() {
    let machine = Machine::new();
    let refused = machine.run(&["flag", "list", "--server", "http://127.0.0.1:1"]).code(1).stdout("");
    let text = stderr(&refused);
    assert!(text.contains("http://127.0.0.1:1 cannot be reached"), "{text}");
    assert!(text.contains("hint:") && text.contains("flagbase start"), "{text}");
    machine.run(&["flag", "list", "--server", "ftp://x"]).code(2);
}

#[test]
fn nothing_is_coloured_without_a_terminal() {
    let machine = Machine::new();
    let refused = machine.run(&["whoami", "--server", "http://127.0.0.1:1"]).code(1);
    assert!(!stderr(&refused).contains('\u{1b}'));
    let broken =
        machine.flagbase(&["config", "validate"]).env("FLAGBASE_SERVER__PROT", "1").assert().code(78);
    assert!(!stderr(&broken).contains('\u{1b}'), "{}", stderr(&broken));
}

#[test]
fn a_backup_needs_a_database_and_never_overwrites_by_accident() {
    let machine = Machine::new();
    machine.run(&["backup", "copy.db"]).code(3);
    std::fs::write(machine.path().join("copy.db"), "precious").unwrap();
    machine.run(&["backup", "copy.db"]).code(5);
    assert_eq!(std::fs::read(machine.path().join("copy.db")).unwrap(), b"precious");
    machine.run(&["restore", "missing.db"]).code(3);
    let foreign = machine.run(&["restore", "copy.db", "--yes"]).code(1);
    assert!(stderr(&foreign).contains("not a flagbase database"), "{}", stderr(&foreign));
}

#[test]
fn work_on_a_database_says_which_one_and_whether_it_is_new() {
    let machine = Machine::new();
    let new = stderr(&machine.run(&["admin", "setup-token"]).success());
    let path = machine.path().join("flagbase.db");
    assert!(new.contains(&format!("database: {}", path.display())), "{new}");
    assert!(new.contains("a new one was made") && new.contains("`flagbase start`"), "{new}");
    let again = stderr(&machine.run(&["admin", "setup-token"]).success());
    assert!(again.contains("database: ") && !again.contains("a new one was made"), "{again}");
}

#[test]
fn the_doctor_finds_a_fresh_machine_healthy_and_prints_data_on_request() {
    let machine = Machine::new();
    let healthy = machine.run(&["doctor", "--port", "0", "-o", "json"]).success();
    let findings: serde_json::Value = serde_json::from_str(&stdout(&healthy)).unwrap();
    let results: Vec<_> =
        findings.as_array().unwrap().iter().map(|f| f["result"].as_str().unwrap()).collect();
    assert!(results.len() >= 7 && results.iter().all(|result| *result == "ok"), "{findings:#}");
    assert!(!machine.path().join("flagbase.db").exists(), "looking must not make anything");
}

#[test]
fn the_doctor_names_what_is_wrong() {
    let machine = Machine::new();
    std::fs::write(machine.path().join("flagbase.db"), "not a database").unwrap();
    std::fs::write(machine.path().join("data"), "not a directory").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let sick = machine.run(&["doctor", "--host", "127.0.0.1", "--port", &port]).code(1);
    let text = stdout(&sick);
    assert_eq!(text.matches("failed").count(), 3, "{text}");
}

#[test]
fn the_doctor_knows_our_bus_from_another() {
    use std::io::Write as _;
    let machine = Machine::new();
    for (name, code, expected) in
        [("flagbase", 0, "a bus of ours answers"), ("other", 1, "another NATS server answers")]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let greet = move || {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(format!("INFO {{\"server_name\":\"{name}\"}} \r\n").as_bytes()).unwrap();
        };
        let server = std::thread::Builder::new().name("greeter".to_owned()).spawn(greet).unwrap();
        let mut doctor = machine.flagbase(&["doctor", "--port", "0"]);
        let told = doctor.env("FLAGBASE_EVENTS__NATS_PORT", port).assert().code(code);
        server.join().unwrap();
        assert!(stdout(&told).contains(expected), "{}", stdout(&told));
    }
}
