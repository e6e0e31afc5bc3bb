//! What the README and the quickstart show of functions and buckets, run as it stands there.

use std::process::Command;

use super::*;

const README: (&str, &str) = ("### Code and files that live here", include_str!("../../../../README.md"));
const QUICKSTART: (&str, &str) =
    ("## 8. Code and files that live here", include_str!("../../../../docs/src/quickstart.md"));

/// The commands of a shell below a heading, up to the next one.
fn commands((heading, page): (&str, &str)) -> String {
    let (_, section) = page.split_once(heading).unwrap();
    let section = section.split_once("\n#").map_or(section, |(section, _)| section);
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_who_copies_the_commands_has_a_function_and_a_site() {
    for page in [README, QUICKSTART] {
        let server = TestServer::start(PROGRAM).await;
        let developer = server.join("dev@example.com", "developer").await;
        let text = commands(page);
        let (asks, script): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("curl "));
        let programs = std::path::Path::new(PROGRAM).parent().unwrap().display().to_string();
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &script.join("\n")]).current_dir(server.directory());
        shell.env("PATH", format!("{programs}:/usr/bin:/bin")).env("HOME", server.directory());
        shell.env("FLAGBASE_SERVER", server.url("")).env("FLAGBASE_TOKEN", &developer);
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut seen = Vec::new();
        for line in asks {
            let address = line.rsplit(' ').next().unwrap();
            let path = address.strip_prefix("http://localhost:8080").unwrap();
            seen.push(server.send(Method::GET, path, None, None).await.expect_status(200).text);
        }
        assert_eq!(seen.len(), 2, "{text}");
        assert_eq!(seen[0], "Hello\n");
        assert!(seen[1].contains("<h1>Release 1</h1>"), "{seen:?}");
    }
}
