//! The program around the server: what it is started with, what it says, and how it ends.

pub(crate) mod arguments;
mod config;
mod log;
mod operator;
mod start;

use std::{path::Path, process::ExitCode, time::Duration};

use flagbase_nats::Server;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    arguments::{Arguments, Command},
    log::Log,
    start::Setup,
};

/// How long clients have to leave a lame duck, unless it is told.
const LAME_DUCK: Duration = Duration::from_mins(2);

/// Does what the command line says.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let log = Log::to_terminal();
    let outcome = Arguments::read(arguments).map_err(Into::into).and_then(|command| match command {
        Command::Serve(arguments) => serve(*arguments, &log),
        Command::Signal(order) => order.send().map_err(Into::into),
        Command::Say(text) => {
            log.plain(&text);
            Ok(())
        }
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.fatal(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn serve(arguments: Arguments, terminal: &Log) -> Result<(), Failure> {
    let setup = Setup::of(arguments)?;
    let log = match &setup.log_file {
        Some(path) => Log::to_file(path)?,
        None => terminal.clone(),
    };
    if let Some(path) = &setup.pid_file {
        std::fs::write(path, std::process::id().to_string())?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(until_the_end(&setup, &log));
    if let Some(path) = &setup.pid_file {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(path);
    }
    ended
}

async fn until_the_end(setup: &Setup, log: &Log) -> Result<(), Failure> {
    log.info("Starting flagbase-nats");
    log.info(&format!("  Version:  {}", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &setup.config_file {
        log.info(&format!("Using configuration file: {}", Path::display(path)));
    }
    // Before a client can send one.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut lame_duck = signal(SignalKind::user_defined2())?;
    let server = Server::start(setup.options.clone()).await?;
    announce(&server, setup, log);
    tokio::select! {
        _ = terminate.recv() => log.info("Trapped \"terminated\" signal"),
        _ = interrupt.recv() => log.info("Trapped \"interrupt\" signal"),
        _ = lame_duck.recv() => {
            log.info("Entering lame duck mode, stop accepting new clients");
            server.lame_duck(setup.lame_duck.unwrap_or(LAME_DUCK)).await;
        },
    }
    server.shutdown().await;
    log.info("Server Exiting..");
    Ok(())
}

/// The lines that those look for who wait until a server is ready.
fn announce(server: &Server, setup: &Setup, log: &Log) {
    if let Some(address) = server.monitor_address() {
        log.info(&format!("Starting http monitor on {address}"));
    }
    if let Some(address) = server.websocket_address() {
        let encrypted = setup.options.websocket.as_ref().is_some_and(|websocket| websocket.tls.is_some());
        let scheme = if encrypted { "wss" } else { "ws" };
        log.info(&format!("Listening for websocket clients on {scheme}://{address}"));
    }
    log.info(&format!("Listening for client connections on {}", server.address()));
    if setup.options.tls.is_some() {
        log.info("TLS required for client connections");
    }
    log.info("Server is ready");
}
