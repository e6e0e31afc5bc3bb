//! Commands that talk to a server, through the real binary: what a person types, sees, and scripts.
#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]

use std::process::Output;

use flagbase_testkit::server::{PASSWORD, TestServer};
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flagbase");

/// A person at a keyboard beside a running server.
struct Person {
    server: TestServer,
}

impl Person {
    /// Logged in as an administrator.
    async fn new() -> Self {
        let person = Self { server: TestServer::start(PROGRAM).await };
        std::fs::write(person.server.directory().join("password"), format!("{PASSWORD}\n")).unwrap();
        person.ok("admin create admin@example.com --password-file password");
        person.ok("login admin@example.com --password-file password");
        person
    }

    fn run(&self, line: &str) -> Output {
        let mut words = Vec::new();
        // Quotes as a shell has them, so that the tests read like what people type.
        for (at, part) in line.split('\'').enumerate() {
            if at % 2 == 1 {
                words.push(part);
            } else {
                words.extend(part.split_whitespace());
            }
        }
        self.server.command(&words).env("FLAGBASE_SERVER", self.server.url("")).output().unwrap()
    }

    /// What a command that works prints.
    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} -o json"))).unwrap()
    }

    /// What a command that fails with `code` says.
    #[track_caller]
    fn fails(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{line}: {said}");
        assert!(output.stdout.is_empty(), "{line}: failures say nothing on standard output");
        said
    }
}

#[tokio::test]
async fn a_flag_lives_from_creation_to_revert() {
    let person = Person::new().await;
    person.ok("flag create checkout --name 'New checkout' --enabled --rule 'role equals developer'");
    assert!(person.ok("flag list").contains("New checkout"));
    assert_eq!(person.json("flag eval checkout")["value"], false);
    let explained = person.ok("flag eval checkout --attribute role=developer --explain");
    assert!(explained.contains("which equals `developer`"), "{explained}");
    person.ok("flag update checkout --rule 'role equals admin' --tag web");
    assert_eq!(person.json("flag eval checkout")["value"], true);
    person.ok("flag disable checkout --reason 'too loud'");
    let history = person.json("flag history checkout");
    let newest = &history[0];
    assert_eq!((newest["verb"].as_str(), newest["reason"].as_str()), (Some("disabled"), Some("too loud")));
    let first = history.as_array().unwrap().last().unwrap()["revision"].as_u64().unwrap();
    person.ok("flag delete checkout --yes");
    person.fails(3, "flag get checkout");
    person.ok(&format!("flag revert checkout {first}"));
    assert_eq!(person.json("flag get checkout")["rules"][0]["value"], "developer");
    assert!(person.ok("flag get checkout -o yaml").contains("key: checkout"));
}

#[tokio::test]
async fn a_flag_travels_through_a_file() {
    let person = Person::new().await;
    person.ok("flag create colour --type string --variant red=red --variant blue=blue --default red --weight red=50 --weight blue=50");
    let yaml = person.ok("flag get colour -o yaml");
    std::fs::write(
        person.server.directory().join("colour.yaml"),
        yaml.replace("name: colour", "name: Colour"),
    )
    .unwrap();
    person.ok("flag update colour --file colour.yaml");
    assert_eq!(person.json("flag get colour")["name"], "Colour");
    person.fails(2, "flag update other --file colour.yaml");
}

#[tokio::test]
async fn each_failure_has_its_exit_code_and_says_what_to_do() {
    let person = Person::new().await;
    person.ok("flag create taken");
    assert!(person.fails(5, "flag create taken").contains("exists already"));
    assert!(person.fails(3, "flag get missing").contains("missing"));
    assert!(person.fails(2, "flag delete taken").contains("--yes"));
    assert!(person.fails(1, "flag create bad --rule 'role is x'").contains("unknown operator"));
    assert!(person.fails(3, "flag list --environment nowhere").contains("nowhere"));
    person.ok("logout");
    assert!(person.fails(4, "flag list").contains("flagbase login"));
    assert!(
        person.fails(4, "login admin@example.com --password-file /dev/null").contains("invalid credentials")
    );
}

#[tokio::test]
async fn an_api_key_is_shown_once_and_does_what_it_was_made_for() {
    let person = Person::new().await;
    person.ok("flag create checkout");
    let token = person.ok("key create ci --permit flag.read,flag.evaluate");
    std::fs::write(person.server.directory().join("key"), &token).unwrap();
    let id = person.json("key list")[0]["id"].as_str().unwrap().to_owned();
    assert!(!person.ok("key list -o json").contains(token.trim()));
    person.ok("login --token-file key");
    assert_eq!(person.json("flag list")[0]["key"], "checkout");
    person.fails(4, "flag disable checkout");
    person.ok("login admin@example.com --password-file password");
    person.ok(&format!("key revoke {id} --yes"));
    person.fails(4, "login --token-file key");
}

#[tokio::test]
async fn people_are_managed_by_their_email() {
    let person = Person::new().await;
    person.ok("user create bob@example.com --role developer --group beta --password-file password");
    person.ok("environment create live --kind production");
    person.ok("user grant bob@example.com live developer");
    assert_eq!(person.json("user get bob@example.com")["grants"][0]["environment"], "live");
    person.ok("user grant bob@example.com live --remove");
    person.ok("user groups bob@example.com staff");
    person.ok("user set-role bob@example.com user");
    let bob = person.json("user get bob@example.com");
    assert_eq!((&bob["groups"][0], &bob["role"]), (&"staff".into(), &"user".into()));
    person.ok("user disable bob@example.com");
    person.fails(4, "login bob@example.com --password-file password");
    person.ok("user enable bob@example.com");
    person.ok("user delete bob@example.com --yes");
    person.fails(3, "user get bob@example.com");
}

#[tokio::test]
async fn invitations_are_seen_until_they_are_used_or_taken_back() {
    let person = Person::new().await;
    let invited = person.json("user invite developer --email bob@example.com --expires-in 72h");
    let listed = person.json("user invitations list");
    assert_eq!((&listed[0]["id"], &listed[0]["email"]), (&invited["id"], &"bob@example.com".into()));
    let table = person.ok("user invitations list");
    assert!(!table.contains(invited["token"].as_str().unwrap()), "the token is told once: {table}");
    let id = invited["id"].as_str().unwrap();
    person.ok(&format!("user invitations revoke {id}"));
    let said = person.fails(3, &format!("user invitations revoke {id}"));
    assert!(said.contains("not open"), "{said}");
    assert_eq!(person.json("user invitations list"), serde_json::json!([]));
}

#[tokio::test]
async fn segments_guards_roles_routes_and_overrides_are_kept_and_removed() {
    let person = Person::new().await;
    person.ok("flag create checkout --enabled");
    person.ok("segment put staff --condition 'email ends_with @example.com'");
    assert_eq!(person.json("segment get staff")["conditions"][0][0]["attribute"], "email");
    person.ok("guard put strict --flag checkout --more-than 3 --window 1m");
    assert_eq!(person.json("guard get strict")["rule"]["more_than"], 3);
    person.ok("role put tester --permit development=flag.read,flag.evaluate");
    person.ok("route add /shop http://127.0.0.1:9 --flag checkout");
    let route = person.json("route list")[0]["id"].as_str().unwrap().to_owned();
    person.ok(&format!("route update {route} --set methods=[\"GET\"] --set name=Shop"));
    let updated = person.json(&format!("route get {route}"));
    assert_eq!((&updated["name"], &updated["methods"][0]), (&"Shop".into(), &"GET".into()));
    person.ok("route add /both/* --flag checkout --variant true=http://127.0.0.1:9 --variant false=http://127.0.0.1:8 -X GET --role admin --strip-prefix");
    assert!(person.json("route test /gateway/both/x")["decision"].is_string());
    person.ok("route update /both/* --variant true=http://127.0.0.1:7 --remove-variant false");
    let variants = &person.json("route get /both/*")["variants"];
    assert_eq!(variants, &serde_json::json!({"true": ["http://127.0.0.1:7"]}));
    assert!(person.fails(2, "route update /both/* --remove-variant maybe").contains("the route has `true`"));
    assert!(person.fails(2, "route update /both/*").contains("nothing to change"));
    person.ok("override set checkout true");
    assert_eq!(person.json("flag eval checkout")["reason"], "OVERRIDE");
    assert_eq!(person.json("route test /gateway/shop")["decision"], "forward");
    person.ok("override remove checkout");
    assert_eq!(person.json("override list"), Value::Array(Vec::new()));
    for line in ["segment delete staff", "guard delete strict", "role delete tester"] {
        person.ok(&format!("{line} --yes"));
    }
    person.ok(&format!("route remove {route} --yes"));
    assert_eq!(person.json("route list").as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_administrator_is_helped_on_the_machine_itself_while_the_server_runs() {
    let person = Person::new().await;
    std::fs::write(person.server.directory().join("new"), "an even longer passphrase").unwrap();
    assert!(person.fails(5, "admin setup-token").contains("administrator exists already"));
    person.ok("admin reset-password admin@example.com --password-file new");
    person.fails(4, "login admin@example.com --password-file password");
    person.ok("login admin@example.com --password-file new");
    assert_eq!(person.json("whoami")["role"], "admin");
    person.fails(3, "admin reset-password nobody@example.com --password-file new");
    std::fs::write(person.server.directory().join("weak"), "short").unwrap();
    person.fails(2, "admin create weak@example.com --password-file weak");
}

#[tokio::test]
async fn tables_are_for_people_and_hold_no_json() {
    let person = Person::new().await;
    person.ok("flag create checkout --enabled --rule 'role equals developer' --rule 'role equals admin'");
    person.ok("route add /shop http://127.0.0.1:9 --flag checkout");
    for line in [
        "whoami",
        "role list",
        "route test /gateway/shop",
        "flag get checkout",
        "flag metrics checkout",
        "user list",
    ] {
        let shown = person.ok(line);
        assert!(!shown.contains(['{', '}', '"']), "{line}: {shown}");
    }
    let story = person.ok("flag eval checkout --explain");
    assert!(story.lines().any(|line| line.starts_with("no  rule 1")), "{story}");
    assert!(story.lines().any(|line| line.starts_with("yes rule 2")), "{story}");
    assert!(story.lines().any(|line| line.starts_with("    yes ") && line.contains("`role`")), "{story}");
    assert!(!story.contains(['{', '✓']), "signs are for terminals: {story}");
}

#[tokio::test]
async fn a_route_is_named_by_its_pattern_while_only_one_has_it() {
    let person = Person::new().await;
    person.ok("route add /shop http://127.0.0.1:9");
    assert_eq!(person.json("route get /shop")["pattern"], "/shop");
    person.ok("route update /gateway/shop --set name=Shop");
    assert_eq!(person.json("route get /shop")["name"], "Shop");
    person.ok("route add /shop http://127.0.0.1:8 --host a.example.com");
    assert!(person.fails(2, "route get /shop").contains("2 routes have the pattern"));
    assert!(person.fails(3, "route remove /nowhere --yes").contains("route list"));
}

#[tokio::test]
async fn what_the_server_says_is_said_once_and_without_http() {
    let person = Person::new().await;
    person.ok("-q flag create taken");
    let said = person.fails(5, "flag create taken");
    assert!(!said.contains("PUT") && said.contains("choose another key"), "{said}");
    let said = person.fails(1, "flag create bad --rule 'role is x'");
    assert_eq!(said.matches("unknown operator").count(), 1, "{said}");
    let said = person.fails(1, "flag create bad --rule 'role is x' --rule 'role was x'");
    assert_eq!(said.matches("unknown operator").count(), 2, "{said}");
    assert!(!said.contains("`errors`"), "{said}");
}

#[tokio::test]
async fn what_was_probably_not_meant_is_said_and_harms_nothing() {
    let person = Person::new().await;
    let said = |line: &str| String::from_utf8(person.run(line).stderr).unwrap();
    let made = said("flag create checkout --enabled");
    assert!(made.contains("everybody gets `false`"), "{made}");
    let again = said("flag enable checkout");
    assert!(again.contains("is on already; nothing changed"), "{again}");
    assert_eq!(person.json("flag history checkout").as_array().unwrap().len(), 1);
    let negative = person.fails(1, "flag create bad --rollout -5");
    assert!(!negative.contains("unexpected argument"), "{negative}");
    assert!(said("override remove chekcout").contains("nothing was set for `chekcout`"));
    person.ok("environment create live --kind production");
    let elsewhere = said("route add /shop http://127.0.0.1:9 --environment live");
    assert!(elsewhere.contains("`gateway.environment` is `live`"), "{elsewhere}");
    assert!(said("-q flag enable checkout").is_empty());
}

#[tokio::test]
async fn one_session_serves_the_command_line_and_others() {
    let person = Person::new().await;
    let token = person.ok("whoami --token");
    assert_eq!(person.json("whoami")["server"], person.server.url("").trim_end_matches('/'));
    person.ok("flag create checkout --enabled --rule 'email exists'");
    assert!(person.ok("flag get checkout").contains("email exists true => true"));
    person.ok("override set checkout true");
    let answer = reqwest::Client::new()
        .get(person.server.url("/api/v1/flags/checkout/evaluate"))
        .bearer_auth(token.trim())
        .send()
        .await
        .unwrap();
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(answer["reason"], "OVERRIDE");
}

#[tokio::test]
async fn options_may_stand_before_the_command() {
    let person = Person::new().await;
    person.ok("flag create checkout");
    let before: Value = serde_json::from_str(&person.ok("-o json flag list")).unwrap();
    assert_eq!(before, person.json("flag list"));
    person.ok("-y flag delete checkout");
}
