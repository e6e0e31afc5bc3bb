//! WASI commands as CGI.

use flagbase_core::functions::{Body, Fault};

use crate::{
    own::{event, tick},
    world::{World, hasty, settings},
};

#[tokio::test]
async fn a_command_answers_as_cgi_has_it() {
    let command = World::new().deploy("command", settings()).await;
    let hello = command.get("/").await.unwrap();
    assert_eq!((hello.status, hello.text()), (200, "Hello from a command.\n"));
    let plain = command.get("/plain").await.unwrap();
    assert_eq!(
        (plain.header("content-type"), plain.text()),
        ("text/plain; charset=utf-8", "no headers at all\n")
    );
    let status = command.get("/status").await.unwrap();
    assert_eq!((status.status, status.text()), (418, "short and stout"));
    assert_eq!(status.headers.get_all("x-one").iter().count(), 2);
    let away = command.get("/away").await.unwrap();
    assert_eq!((away.status, away.header("location")), (302, "https://example.com/"));
}

#[tokio::test]
async fn its_input_is_the_body() {
    let command = World::new().deploy("command", settings()).await;
    let body = vec![b'x'; 1 << 20];
    let echo = command.post("/echo", Body::Whole(body.clone().into())).await.unwrap();
    assert_eq!(echo.header("content-type"), "text/plain");
    assert_eq!(echo.body, body);
    // It need not read it.
    assert_eq!(command.post("/plain", Body::Whole(body.into())).await.unwrap().status, 200);
}

#[tokio::test]
async fn its_environment_is_the_request_and_nothing_of_this_process() {
    let command = World::new().deploy("command", settings()).await;
    let answer = command.get("/environment?a=b%20c").await.unwrap();
    let lines: Vec<&str> = answer.text().lines().collect();
    for line in [
        "GREETING=hi",
        "REQUEST_METHOD=GET",
        "PATH_INFO=/environment",
        "QUERY_STRING=a=b%20c",
        "SERVER_NAME=example.com",
        "GATEWAY_INTERFACE=CGI/1.1",
        "FLAGBASE_FUNCTION=command",
        "FLAGBASE_ENVIRONMENT=production",
    ] {
        assert!(lines.contains(&line), "{line}: {lines:?}");
    }
    for inherited in ["PATH=", "HOME=", "CARGO"] {
        assert!(!lines.iter().any(|line| line.starts_with(inherited)), "{inherited}: {lines:?}");
    }
}

#[tokio::test]
async fn it_sees_no_file_and_no_fine_clock() {
    let command = World::new().deploy("command", settings()).await;
    assert_eq!(command.get("/files").await.unwrap().text(), "no files");
    assert_eq!(command.get("/clock").await.unwrap().text(), "coarse");
}

#[tokio::test]
async fn what_it_says_on_standard_error_is_logged() {
    let command = World::new().deploy("command", settings()).await;
    assert_eq!(command.get("/stderr").await.unwrap().status, 204);
    assert_eq!(command.lines(), ["one line", "another line"]);
}

#[tokio::test]
async fn occasions_come_as_json_and_its_exit_code_is_the_answer() {
    let command = World::new().deploy("command", settings()).await;
    assert_eq!(command.deliver(event("orders.created")).await, Ok(()));
    assert_eq!(command.deliver(tick("0 3 * * *")).await, Ok(()));
    let lines = command.lines();
    assert!(lines[0].starts_with("event {") && lines[0].contains("\"data\":{\"order\":7}"), "{lines:?}");
    assert!(lines[1].starts_with("tick {") && lines[1].contains("\"schedule\":\"0 3 * * *\""), "{lines:?}");
    let failed = command.deliver(event("fail")).await;
    assert_eq!(failed, Err(Fault::Reported("it ended with exit code 3".to_owned())));
}

#[tokio::test]
async fn bad_commands_are_stopped() {
    let command = World::new().deploy("command", hasty()).await;
    assert!(matches!(command.get("/exit").await, Err(Fault::Reported(_))));
    assert!(matches!(command.get("/bad").await, Err(Fault::BadAnswer(_))));
    assert!(matches!(command.get("/trap").await, Err(Fault::Trapped(_))));
    assert!(matches!(command.get("/loop").await, Err(Fault::TimedOut(_))));
    assert!(matches!(command.get("/sleep").await, Err(Fault::TimedOut(_))));
    let flood = command.get("/flood").await.unwrap_err();
    assert!(matches!(flood, Fault::LimitReached(_) | Fault::TimedOut(_)), "{flood}");
    assert!(matches!(command.get("/flood-stderr").await, Err(Fault::TimedOut(_))));
    let logged: usize = command.lines().iter().map(String::len).sum();
    assert!(logged < 256 << 10, "{logged}");
    assert_eq!(command.get("/").await.unwrap().status, 200);
}
