//! nginx and Envoy, set up to do what the gateway does.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::server::{Server, free_port};
use super::site::FLAG;
use crate::workspace::Workspace;
use crate::{servers, tool};

const NGINX_HINT: &str = "on Debian, `apt-get install nginx-light`";

/// Where a peer listens and whom it talks to.
pub(crate) struct Ports {
    /// Passes everything on to the backend.
    pub(crate) plain: u16,
    /// Does so after Flagbase has evaluated the flag.
    pub(crate) deciding: u16,
    pub(crate) backend: u16,
    pub(crate) flagbase: u16,
}

/// An nginx that answers paths ending in `/large` with a file and all others with a little JSON.
pub(crate) struct Backend {
    pub(crate) server: Server,
}

impl Backend {
    /// Bytes of a small body.
    pub(crate) const SMALL: usize = 127;
    /// Bytes of a large body.
    pub(crate) const LARGE: usize = 100 * 1024;

    /// Starts it in `home`.
    pub(crate) fn start(home: &Path) -> Result<Self> {
        let port = free_port()?;
        fs::write(home.join("large"), "x".repeat(Self::LARGE)).context("write the large body")?;
        let head = r#"{"name":"bench","text":""#;
        let text = "x".repeat(Self::SMALL - head.len() - 2);
        let servers = format!(
            "sendfile on;\n\
             server {{ listen 127.0.0.1:{port};\n\
             location / {{ default_type application/json; return 200 '{head}{text}\"}}'; }}\n\
             location ~ /large$ {{ root {}; rewrite .* /large break; }} }}",
            home.display()
        );
        // A single process keeps its user, who may read the file wherever it lies.
        let mut server = start_nginx("master_process off;", &servers, home, port)?;
        server.await_ready("/").context("wait for the backend")?;
        Ok(Self { server })
    }
}

/// An nginx with two workers that serves the files in `home`, as one would set it up to be fast.
pub(crate) fn files(home: &Path) -> Result<Server> {
    let port = free_port()?;
    // A worker of another user could not read files below a home directory.
    let servers = format!(
        "sendfile on; tcp_nopush on; open_file_cache max=100;\n\
         server {{ listen 127.0.0.1:{port}; root {}; location = / {{ return 200; }} }}",
        home.display()
    );
    let mut server = start_nginx("user root; worker_processes 2;", &servers, home, port)?;
    server.await_ready("/").context("wait for nginx")?;
    Ok(server)
}

/// An nginx with two workers that proxies, plainly and with `auth_request`.
pub(crate) fn nginx(ports: &Ports, home: &Path) -> Result<Server> {
    let Ports { plain, deciding, backend, flagbase } = ports;
    let servers = format!(
        "upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 100000000; }}\n\
         upstream flagbase {{ server 127.0.0.1:{flagbase}; keepalive 64; keepalive_requests 100000000; }}\n\
         proxy_http_version 1.1;\n\
         proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 64k;\n\
         proxy_max_temp_file_size 0;\n\
         proxy_set_header Connection \"\";\n\
         proxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $remote_addr;\n\
         proxy_set_header X-Forwarded-Proto $scheme;\n\
         proxy_set_header X-Flagbase-User \"\";\n\
         server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://backend; }} }}\n\
         server {{ listen 127.0.0.1:{deciding};\n\
         location / {{ auth_request /decide; proxy_pass http://backend; }}\n\
         location = /decide {{ internal; proxy_pass_request_body off;\n\
         proxy_set_header Connection \"\"; proxy_set_header Content-Length \"\";\n\
         proxy_pass http://flagbase/api/v1/flags/{FLAG}/evaluate; }} }}"
    );
    let mut server = start_nginx("worker_processes 2;", &servers, home, *plain)?;
    server.await_ready("/").context("wait for nginx")?;
    Ok(server)
}

fn start_nginx(processes: &str, servers: &str, home: &Path, port: u16) -> Result<Server> {
    let nginx = tool::required("nginx", NGINX_HINT)?;
    let at = home.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
        .concat();
    let configuration = format!(
        "daemon off;\n{processes}\npid {at}/pid;\nerror_log {at}/error.log warn;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 100000000;\n{temporary}{servers}\n}}\n"
    );
    let file = home.join("nginx.conf");
    fs::write(&file, configuration).context("write the configuration of nginx")?;
    let mut command = Command::new(nginx);
    command.arg("-e").arg(home.join("error.log")).arg("-c").arg(&file);
    Server::start(command, home, port)
}

/// An Envoy with two workers that proxies, plainly and with `ext_authz`.
pub(crate) fn envoy(ports: &Ports, workspace: &Workspace, home: &Path) -> Result<Server> {
    let program = servers::envoy(workspace)?;
    let file = home.join("envoy.json");
    let configuration = envoy_configuration(ports).to_string();
    fs::write(&file, configuration).context("write the configuration of Envoy")?;
    let mut command = Command::new(program);
    command.arg("--config-path").arg(&file).args([
        "--concurrency",
        "2",
        "--log-level",
        "warn",
        "--disable-hot-restart",
    ]);
    let mut server = Server::start(command, home, ports.plain)?;
    server.await_ready("/").context("wait for Envoy")?;
    Ok(server)
}

fn envoy_configuration(ports: &Ports) -> Value {
    json!({ "static_resources": {
        "listeners": [
            listener("plain", ports.plain, &[router()]),
            listener("deciding", ports.deciding, &[authorization(ports.flagbase), router()]),
        ],
        "clusters": [cluster("backend", ports.backend), cluster("flagbase", ports.flagbase)],
    }})
}

fn listener(name: &str, port: u16, filters: &[Value]) -> Value {
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": "backend" } });
    json!({
        "name": name,
        "address": address(port),
        "filter_chains": [{ "filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": typed("network.http_connection_manager", "HttpConnectionManager"),
                "stat_prefix": name,
                "use_remote_address": true,
                "http_filters": filters,
                "route_config": {
                    "request_headers_to_remove": ["x-flagbase-user"],
                    "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }],
                },
            },
        }]}],
    })
}

fn router() -> Value {
    json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": typed("http.router", "Router") },
    })
}

fn authorization(flagbase: u16) -> Value {
    let uri = format!("http://127.0.0.1:{flagbase}");
    json!({
        "name": "envoy.filters.http.ext_authz",
        "typed_config": {
            "@type": typed("http.ext_authz", "ExtAuthz"),
            "transport_api_version": "V3",
            "http_service": {
                "server_uri": { "uri": uri, "cluster": "flagbase", "timeout": "5s" },
            },
        },
    })
}

fn cluster(name: &str, port: u16) -> Value {
    let endpoint = json!({ "endpoint": { "address": address(port) } });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [endpoint] }],
        },
    })
}

fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

fn typed(filter: &str, message: &str) -> String {
    format!("type.googleapis.com/envoy.extensions.filters.{filter}.v3.{message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envoy_decides_on_one_listener_only() {
        let ports = Ports { plain: 1, deciding: 2, backend: 3, flagbase: 4 };
        let configuration = envoy_configuration(&ports);
        let filters = |listener: usize| {
            let path = format!(
                "/static_resources/listeners/{listener}/filter_chains/0/filters/0/typed_config/http_filters"
            );
            configuration.pointer(&path).unwrap().as_array().unwrap().len()
        };
        assert_eq!((filters(0), filters(1)), (1, 2));
    }
}
