//! The API and the page, wired into the daemon: their address, their tokens, their part of a reload.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::wire::{self, Opened};
use crate::config::{Config, Token};
use crate::daemon::Progress;
use crate::daemon::desk::{Desk, Wake};
use crate::store::Store;
use crate::web::{Access, Scope, Site, serve};

/// The file with the token that is made where none is configured, beside the database.
const TOKEN_FILE: &str = "web-token";

/// Between two attempts at an address that somebody else has.
const BIND_AGAIN: Duration = Duration::from_secs(10);

/// What the page is made of.
pub(super) struct Parts {
    /// The configuration in force.
    pub(super) config: watch::Receiver<Arc<Config>>,
    /// What the daemon does.
    pub(super) progress: watch::Receiver<Progress>,
    /// Tells it that there is something to do.
    pub(super) wake: Wake,
    /// When it ends.
    pub(super) stop: CancellationToken,
}

/// Answers requests until the daemon stops. The queue does not depend on it: an address that is taken is tried
/// again, and said once.
pub(super) async fn run(opened: Opened, parts: Parts) {
    let Parts { mut config, progress, wake, stop } = parts;
    let Some(listen) = opened.config.web.listen else { return };
    let folder = wire::database_path(&opened.config).parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let access = watch::Sender::new(Arc::new(access(&opened.config, listen, &folder)));
    let desk = Desk::new(
        Arc::clone(&opened.store) as Arc<dyn Store>,
        Arc::clone(&opened.clock),
        config.clone(),
        wire::open_vault(),
    )
    .waking(wake);
    let site = Site::new(desk, access.subscribe(), progress, stop.clone());
    let Some(listener) = listener(listen, &stop).await else { return };
    told(&opened.config, listener.local_addr().unwrap_or(listen), &folder);
    let following = async {
        while config.changed().await.is_ok() {
            let fresh = Arc::clone(&config.borrow_and_update());
            if fresh.web.listen != Some(listen) {
                tracing::warn!("web.listen changes at the next start; the page stays where it is");
            }
            access.send_replace(Arc::new(self::access(&fresh, listen, &folder)));
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = serve(listener, site, stop) => {}
        () = following => {}
    }
}

async fn listener(listen: SocketAddr, stop: &CancellationToken) -> Option<TcpListener> {
    let mut told = false;
    loop {
        match TcpListener::bind(listen).await {
            Ok(listener) => return Some(listener),
            Err(error) if !told => {
                told = true;
                tracing::warn!(
                    %error,
                    address = %listen,
                    "the page cannot be served there; trying again; web.listen sets another address, or \"off\""
                );
            }
            Err(_) => {}
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(BIND_AGAIN) => {}
        }
    }
}

fn told(config: &Config, listen: SocketAddr, folder: &Path) {
    let token = match &config.web.token {
        Token::Unset => format!("file {}", folder.join(TOKEN_FILE).display()),
        Token::Found { found_in, .. } => found_in.clone(),
        Token::Missing { looked_in } => format!("missing: {looked_in}"),
    };
    tracing::info!(page = %format!("http://{listen}/"), token, "the page is ready");
    if !listen.ip().is_loopback() {
        tracing::warn!(
            address = %listen,
            "the page is served to other machines without TLS, and tokens can be read on the way; put a proxy with TLS in front"
        );
    }
}

/// Who may, by the configuration. A token that cannot be had lets nobody in, and says so.
fn access(config: &Config, listen: SocketAddr, folder: &Path) -> Access {
    let mut access = Access::new(listen, config.web.hosts.clone(), config.web.open_reading);
    match &config.web.token {
        Token::Found { value, .. } => access = access.with(value, Scope::Write),
        Token::Missing { looked_in } => {
            tracing::error!("nobody can write by the page: web.token was not found; looked in {looked_in}");
        }
        Token::Unset => match made_token(&folder.join(TOKEN_FILE)) {
            Ok(value) => access = access.with(&value, Scope::Write),
            Err(error) => {
                tracing::error!("nobody can write by the page: its token cannot be kept: {error:#}");
            }
        },
    }
    match &config.web.read_token {
        Token::Found { value, .. } => access = access.with(value, Scope::Read),
        Token::Missing { looked_in } => {
            tracing::error!("web.read_token was not found; looked in {looked_in}");
        }
        Token::Unset => {}
    }
    access
}

/// The token in this file; made at the first start, for its owner's eyes alone.
fn made_token(path: &Path) -> anyhow::Result<SecretString> {
    let named = || path.display().to_string();
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => {
            let fresh = || uuid::Uuid::new_v4().simple().to_string();
            let token = format!("{}{}", fresh(), fresh());
            file.write_all(format!("{token}\n").as_bytes())
                .and_then(|()| file.sync_all())
                .with_context(named)?;
            Ok(SecretString::from(token))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = std::fs::read_to_string(path).with_context(named)?;
            let token = text.trim();
            // Its maker died between making it and writing it, or somebody emptied it.
            anyhow::ensure!(
                token.len() >= 32,
                "{} holds no token; delete it, and it is made anew",
                path.display()
            );
            Ok(SecretString::from(token.to_owned()))
        }
        Err(error) => Err(error).with_context(named),
    }
}
