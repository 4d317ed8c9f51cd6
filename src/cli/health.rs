//! `health`: how every asset and every provider is doing.

use super::said::{Exit, STRONG, Said, paint, table};
use super::session::Session;
use super::{measured, providers, show};
use crate::config::Config;
use crate::daemon::desk::{Doing, Standing, Wellbeing};
use crate::domain::time::Timestamp;
use crate::store::AssetCount;

/// Say how every asset and every provider is doing
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop health
  backstop health --json | jq '.assets[] | {asset, sentence}'
  backstop health --strict >/dev/null || echo 'somebody should look'

Exit code 0 when this could be told, however bad it is. With --strict, for a monitoring system: 1 when a job has been due for
15 minutes and nobody takes it though there is room, when a disk has less than 5 % or 200 MB left, or when the write-ahead
log is larger than 256 MB. Providers that fail and jobs that wait for a person are no such trouble.")]
pub(super) struct Args {
    /// Only this asset
    asset: Option<String>,
    /// Exit with 1 when something is bad that the daemon warns of
    #[arg(long)]
    strict: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let opened = session.existing().await?;
    let config = &opened.config;
    let only = args.asset.as_deref().map(|asset| super::typed::asset(config, asset)).transpose()?;
    let only = only.map(|only| &only.name);
    let doing = Wellbeing::read(&opened.desk()).await?;
    let now = doing.now;
    let mut text = String::new();
    for asset in doing.assets(only) {
        let name = paint(STRONG, &asset.asset.name);
        let spent = asset.money.said();
        let spent = if spent.is_empty() { spent } else { format!("; {spent}") };
        text.push_str(&format!("{name}  {}\n  {}{spent}\n", asset.sentence(now), spell_counts(&asset)));
    }
    text.push('\n');
    let providers = doing.providers(only);
    let costs = providers.iter().any(|one| !one.spent().is_empty());
    let mut header = vec!["PROVIDER", "STATE"];
    header.extend(costs.then_some("SPENT"));
    header.push("LAST ERROR");
    text.push_str(&table(&header, providers.iter().map(|one| row(one, costs, now))));
    text.push_str(&orphans(config, &doing.counts));
    text.push_str(&measured::text(&doing.measured, now));
    let bad = args.strict && doing.measured.is_bad(now);
    Ok(Said { text, json: doing.json(only), exit: if bad { Exit::Failed } else { Exit::Done } })
}

/// `3 pending (2 due), 1 manual`.
fn spell_counts(doing: &Doing<'_>) -> String {
    let spell = |(status, count): (&&str, &i64)| match (*status, doing.due) {
        ("pending", due) if due < *count => format!("{count} pending ({due} due)"),
        (status, _) => format!("{count} {}", show::colour(status)),
    };
    let parts: Vec<String> = doing.counts.iter().map(spell).collect();
    if parts.is_empty() { "no jobs".to_owned() } else { parts.join(", ") }
}

fn row(one: &Standing<'_>, costs: bool, now: Timestamp) -> Vec<String> {
    let mut row = vec![one.provider.name.to_string(), one.state()];
    row.extend(costs.then(|| one.spent()));
    row.push(providers::last_error(one, now));
    row
}

/// Jobs of assets that this configuration does not know are nobody's; that is worth a line.
fn orphans(config: &Config, counts: &[AssetCount]) -> String {
    let known = |name: &str| config.assets.iter().any(|asset| asset.name.as_str() == name);
    let waiting = counts.iter().filter(|count| count.status == "pending" && !known(&count.asset));
    waiting
        .map(|count| {
            format!(
                "\n{} pending of {}, an asset this configuration does not know\n",
                count.count, count.asset
            )
        })
        .collect()
}
