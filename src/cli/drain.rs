//! `drain`: works off what is due, shows progress, and ends.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::daemon::{Progress, Stop};
use crate::domain::time::Clock;
use crate::store::Store;

use super::{signals, wire};

/// Work off what is due, show progress, and end; for people who have cron
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  */5 * * * *  backstop drain --config /etc/backstop/backstop.toml")]
pub(super) struct Args {}

/// Works off what is due in an open database and says what it came to.
///
/// # Errors
/// When the daemon cannot be made or ends by itself.
pub async fn run(opened: &wire::Opened, stop: Stop, show: bool) -> anyhow::Result<Progress> {
    let daemon = wire::daemon(opened, stop.clone()).await?;
    let listening = signals::listen(stop, || tracing::info!("drain reads its configuration once"))?;
    let bar = if show { progress_bar(due(opened).await?) } else { ProgressBar::hidden() };
    let mut progress = daemon.progress();
    let drawing = {
        let bar = bar.clone();
        tokio::spawn(async move {
            while progress.changed().await.is_ok() {
                let now = *progress.borrow_and_update();
                bar.set_position(now.runs);
                bar.set_message(format!("{} delivered, {} for a person", now.delivered, now.manual));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    let ended = daemon.drain().await;
    drawing.abort();
    listening.abort();
    bar.finish_and_clear();
    Ok(ended?)
}

/// How many jobs are due, for the length of the bar.
async fn due(opened: &wire::Opened) -> anyhow::Result<u64> {
    let assets: Vec<_> = opened.config.assets.iter().map(|asset| asset.name.clone()).collect();
    Ok(opened.store.due(&assets, (opened.clock)()).await?)
}

/// The same for programs.
pub(super) fn json(done: Progress) -> serde_json::Value {
    serde_json::json!({ "runs": done.runs, "delivered": done.delivered, "manual": done.manual })
}

/// One line for people.
#[must_use]
pub fn sentence(done: Progress) -> String {
    let runs = match done.runs {
        0 => return "Nothing was due.".to_owned(),
        1 => "1 run".to_owned(),
        runs => format!("{runs} runs"),
    };
    let later = done.runs.saturating_sub(done.delivered).saturating_sub(done.manual);
    let mut parts = vec![format!("{} delivered", done.delivered)];
    match done.manual {
        0 => {}
        1 => parts.push("1 needs a person".to_owned()),
        more => parts.push(format!("{more} need a person")),
    }
    match later {
        0 => {}
        1 => parts.push("1 comes back later".to_owned()),
        more => parts.push(format!("{more} come back later")),
    }
    format!("{runs}: {}.", parts.join(", "))
}

fn progress_bar(due: u64) -> ProgressBar {
    let bar = ProgressBar::new(due);
    let template = "{bar:30} {pos}/{len} {msg} {per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Reads the configuration, opens the database, drains.
///
/// # Errors
/// As for [`run`].
pub async fn verb(config: crate::config::Config, clock: Clock, show: bool) -> anyhow::Result<Progress> {
    let opened = wire::open(config, Arc::clone(&clock)).await?;
    let done = run(&opened, Stop::default(), show).await;
    opened.store.close().await;
    done
}
