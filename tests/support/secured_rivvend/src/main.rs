//! Rivven's own server, as its library has it, with one user that may do everything.
//!
//! Takes the arguments of `rivvend`, except that its HTTP interface and its limits per address are not those of
//! `rivvend`: there is no interface, and no limit on requests. The user comes from the environment:
//! `SECURED_USER`, `SECURED_PASSWORD`, and `SECURED_SESSION_S`, how long a login is good for (seconds).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use rivven_core::{AuthConfig, AuthManager, PrincipalType};
use rivvend::{Cli, SecureServer, SecureServerConfig};
use tokio::signal::unix::{signal, SignalKind};

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(cli.log_level.clone())
        .init();
    let session = Duration::from_secs(variable("SECURED_SESSION_S")?.parse()?);
    let users = AuthManager::new(AuthConfig {
        session_timeout: session,
        ..AuthConfig::default()
    });
    users.create_principal(
        &variable("SECURED_USER")?,
        &variable("SECURED_PASSWORD")?,
        PrincipalType::User,
        HashSet::from(["admin".to_owned()]),
    )?;
    let config = SecureServerConfig {
        bind_addr: cli.bind,
        max_connections_per_ip: cli.max_connections_per_ip,
        rate_limit_per_ip: 0,
        idle_timeout: Duration::from_secs(cli.idle_timeout_secs),
        max_message_size: cli.max_request_size,
        require_auth: true,
        ..SecureServerConfig::default()
    };
    let server =
        SecureServer::with_auth_manager(cli.to_core_config(), config, Some(Arc::new(users)))
            .await?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = server.start() => ended,
        _ = terminated.recv() => Ok(()),
    }
}
