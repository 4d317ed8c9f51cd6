//! `serve`: the daemon.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{Config, Sources};
use crate::daemon::desk::{Remembered, outlook};
use crate::daemon::{Progress, Stop, kill_point};
use crate::domain::plan::Decision;
use crate::domain::time::Clock;

use super::force::Force;
use super::said::{told, usage};
use super::{signals, site, wire};

/// Run the daemon: make what is asked for, until a signal stops it
///
/// SIGTERM or SIGINT stops it: no new jobs, what runs is finished or handed back; a second one stops it now.
/// SIGHUP reads the configuration again; a bad one changes nothing and says why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop serve
  backstop serve --config /etc/backstop/backstop.toml --set log.format=json")]
pub(super) struct Args {}

/// How long requests may hold up a stop, more than the site gives them.
const LAST_ANSWERS: Duration = Duration::from_secs(8);

/// Where a debug build dies, for the tests that kill it: `after-intent:3`. A release build does not look.
const KILL_AT: &str = "BACKSTOP_KILL_AT";

/// Runs the daemon until a signal stops it.
///
/// # Errors
/// When it cannot start, or ends by itself.
pub async fn run(sources: Sources, clock: Clock) -> anyhow::Result<()> {
    if cfg!(debug_assertions)
        && let Some(point) = sources.environment.get(KILL_AT)
    {
        kill_point::arm(point).map_err(|why| usage(format!("{KILL_AT}: {why}")))?;
    }
    let config = wire::configuration(&sources, &clock)?;
    let from =
        config.source.file.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string());
    let opened = wire::open(config, Arc::clone(&clock)).await?;
    let stop = Stop::default();
    let daemon = wire::daemon(&opened, stop.clone()).await?;
    let force = Force::new(&opened, daemon.reloader());
    let listening = signals::listen(stop.clone(), reload(sources, Arc::clone(&force)))?;
    let parts = site::Parts {
        config: force.announced(),
        progress: daemon.progress(),
        wake: Arc::new(daemon.waker()),
        stop: stop.soon.clone(),
    };
    let mut answering = tokio::spawn(site::run(opened.clone(), parts));
    let following = tokio::spawn(force.follow_keys());
    let feeding = tokio::spawn(feed_watchdog(daemon.progress()));
    // While it stops there are no passes to feed the watchdog with, so systemd must know that it stops.
    let stopping = tokio::spawn(async move {
        stop.soon.cancelled().await;
        tell_systemd(&[sd_notify::NotifyState::Stopping]);
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = from,
        database = %wire::database_path(&opened.config).display(),
        assets = opened.config.assets.len(),
        "backstop is ready"
    );
    warn_of_idle_chains(&opened.config, &opened.clock);
    tell_systemd(&[sd_notify::NotifyState::Ready]);
    let ended = daemon.serve().await;
    // Whoever has asked by then is answered before the database closes; the site ends by itself a few seconds after the
    // daemon was told to stop. A daemon that ends by itself answers nobody.
    if ended.is_err() || tokio::time::timeout(LAST_ANSWERS, &mut answering).await.is_err() {
        answering.abort();
    }
    stopping.abort();
    feeding.abort();
    following.abort();
    listening.abort();
    opened.store.close().await;
    let done = ended?;
    tracing::info!(delivered = done.delivered, manual = done.manual, "backstop has stopped");
    Ok(())
}

/// A daemon without a key runs well and delivers nothing: its log should say why.
pub(super) fn warn_of_idle_chains(config: &Config, clock: &Clock) {
    for asset in &config.assets {
        let plan = outlook::plan(config, asset, None, &Remembered::default(), clock());
        let nobody = plan.links.iter().all(|link| matches!(link.decision, Decision::Skip(_)));
        // A chain that is `manual` alone is meant so.
        if nobody && !plan.links.is_empty() {
            tracing::warn!(
                asset = %asset.name,
                "no provider of its chain can be called, so every job is handed to a person; backstop check says why"
            );
        }
    }
}

/// What SIGHUP does: reads the configuration again. A bad one changes nothing and says why.
fn reload(sources: Sources, force: Arc<Force>) -> impl Fn() + Send + 'static {
    let sources = Arc::new(sources);
    move || {
        let (sources, force) = (Arc::clone(&sources), Arc::clone(&force));
        tokio::spawn(async move {
            match force.reload(&sources).await {
                Ok(()) => tracing::info!("the configuration was read again and is in force"),
                Err(error) => {
                    tracing::error!("the configuration was read again and changes nothing: {}", told(&error));
                }
            }
        });
    }
}

/// Feeds the watchdog with the passes of the claim loop, and with nothing else.
async fn feed_watchdog(mut progress: watch::Receiver<Progress>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut fed = 0;
    loop {
        tokio::time::sleep((limit / 4).min(Duration::from_secs(10))).await;
        let passes = progress.borrow_and_update().passes;
        if passes != fed {
            fed = passes;
            tell_systemd(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
