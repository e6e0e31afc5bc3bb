//! The server alone, as a program.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use flagbase_nats::{Options, Server};

fn main() -> ExitCode {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match argument.as_str() {
            "-p" => options.port = value.parse().unwrap_or(options.port),
            "-a" => options.host = value,
            _ => return ExitCode::FAILURE,
        }
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::FAILURE;
    };
    runtime.block_on(async {
        let Ok(server) = Server::start(options).await else { return ExitCode::FAILURE };
        let _ = tokio::signal::ctrl_c().await;
        server.shutdown().await;
        ExitCode::SUCCESS
    })
}
