//! `plan`: what a run would do now, without doing it.

use super::said::{STRONG, Said, paint, table};
use super::session::Session;
use super::typed;
use crate::daemon::desk::outlook::{self, decision};
use crate::daemon::desk::{Outlook, Remembered};
use crate::domain::plan::{Override, Plan, PlannedLink};

/// Show which providers a run would call now, and which it would skip and why; calls nobody
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop plan hero-image
  backstop plan hero-image --override lummi")]
pub(super) struct Args {
    /// The asset, in any spelling
    asset: String,
    /// Plan a job with this one-run override
    #[arg(long = "override", value_name = "PROVIDER")]
    wish: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let config = session.config()?;
    let asset = typed::asset(&config, &args.asset)?;
    let wish = args.wish.as_deref().map(|wish| typed::wish(&config, asset, wish)).transpose()?;
    let now = (session.clock)();
    let remembered = match session.if_there(&config).await? {
        Some(opened) => Remembered::read(opened.store.as_ref(), &config, now).await?,
        None => Remembered::default(),
    };
    let plan = outlook::plan(&config, asset, wish.as_ref(), &remembered, now);
    let outlook = Outlook { asset: asset.clone(), wish, plan, now };
    let title = match &outlook.wish {
        None => format!("The next run of {}:", asset.name),
        Some(Override::Manual) => format!("A run of {} with the override manual:", asset.name),
        Some(Override::Provider(name)) => format!("A run of {} with the override {name}:", asset.name),
    };
    let mut text = format!("{}\n{}\n{}", paint(STRONG, title), rows(&outlook.plan), outlook.ending());
    if let Some(window) = outlook.window() {
        text.push_str(&format!("\n{window}"));
    }
    Ok(Said::fine(text, outlook.json()))
}

fn rows(plan: &Plan) -> String {
    if plan.links.is_empty() {
        return String::new();
    }
    let row = |(at, link): (usize, &PlannedLink)| {
        let (word, why) = decision(link);
        [(at + 1).to_string(), link.provider.to_string(), word.to_owned(), why]
    };
    table(&["#", "PROVIDER", "", "WHY"], plan.links.iter().enumerate().map(row))
}
