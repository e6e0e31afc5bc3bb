use serde::Deserialize;
use tempfile::TempDir;

use super::*;

#[derive(Deserialize)]
struct Exchange {
    method: String,
    path: String,
    request: Option<String>,
    status: u16,
    headers: Vec<String>,
    body: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Recorded {
    Exchange(Exchange),
    End { exit: Option<i32> },
}

fn place() -> TempDir {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("toy.elf"), b"\x7fELF of a toy").unwrap();
    fs::write(home.path().join("toy"), b"no ELF").unwrap();
    fs::write(home.path().join("img"), [0; 512]).unwrap();
    home
}

fn agrees(vmm: &mut Vmm, exchange: &Exchange) -> Outcome {
    let Exchange { method, path, request, status, headers, body } = exchange;
    let outcome = vmm.handle(method, path, request.as_deref());
    let call = format!("{method} {path} {request:?}");
    assert_eq!(outcome.reply.body, *body, "{call}");
    assert_eq!(outcome.reply.status, *status, "{call}");
    assert_eq!(outcome.reply.headers(), *headers, "{call}");
    outcome
}

#[test]
fn every_recorded_exchange_is_answered_as_it_was() {
    let text = include_str!("../../data/firecracker/transcript.json");
    let exchanges: Vec<Exchange> = serde_json::from_str(text).unwrap();
    assert_eq!(exchanges.len(), 36);
    let home = place();
    let fresh = || Vmm::new("a-sock", home.path(), false);
    let mut vmm = fresh();
    for exchange in &exchanges {
        // Each snapshot was loaded into a process of its own.
        if exchange.path == "/snapshot/load" && exchange.status == 204 {
            vmm = fresh();
        }
        agrees(&mut vmm, exchange);
    }
}

#[test]
fn every_recorded_refusal_is_the_same_and_ends_the_process_when_it_did() {
    let text = include_str!("../../data/firecracker/refusals.json");
    let processes: Vec<Vec<Recorded>> = serde_json::from_str(text).unwrap();
    let home = place();
    let mut seen = 0;
    for (number, process) in processes.iter().enumerate() {
        let mut vmm = Vmm::new(&format!("p{number}"), home.path(), false);
        let mut ended = None;
        for recorded in process {
            match recorded {
                Recorded::Exchange(exchange) => {
                    seen += 1;
                    ended = agrees(&mut vmm, exchange).exit;
                }
                Recorded::End { exit } => assert_eq!(ended, *exit, "process {number}"),
            }
        }
    }
    assert_eq!(seen, 34);
}

#[test]
fn a_snapshot_that_was_cut_off_ends_the_process() {
    let home = place();
    fs::write(home.path().join("state"), "{}").unwrap();
    let body = r#"{"snapshot_path":"state","mem_backend":{"backend_type":"File","backend_path":"memory"}}"#;
    let outcome = Vmm::new("a", home.path(), false).handle("PUT", "/snapshot/load", Some(body));
    assert_eq!((outcome.reply.status, outcome.exit), (400, Some(1)));
}

#[test]
fn an_absolute_path_leads_into_the_jail() {
    let home = place();
    let body = r#"{"kernel_image_path":"/toy.elf","boot_args":"quiet"}"#;
    let jailed = Vmm::new("a", home.path(), true).handle("PUT", "/boot-source", Some(body));
    assert_eq!(jailed.reply.status, 204);
    let free = Vmm::new("a", home.path(), false).handle("PUT", "/boot-source", Some(body));
    assert_eq!(free.reply.status, 400);
}

#[test]
fn metrics_are_set_up_once() {
    let home = place();
    let mut vmm = Vmm::new("a", home.path(), false);
    let mut set = || vmm.handle("PUT", "/metrics", Some(r#"{"metrics_path":"m"}"#)).reply.status;
    assert_eq!((set(), set()), (204, 400));
}

#[test]
fn an_ordinary_test_run_is_no_microvm() {
    assert!(!process());
}
