//! `demo`: the main job on a fresh machine, offline: a queue, a fallback, a person.

use std::fmt::Write as _;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::said::{FAINT, STRONG, Said, field, paint, preview};
use super::session::Session;
use super::wire::Opened;
use super::{drain, show};
use crate::config::{LOCAL_FILE, Sources};
use crate::daemon::Stop;
use crate::domain::job::JobId;
use crate::store::{JobFilter, JobStory, Store};

/// The demo's configuration. Its first line tells it from an operator's own file.
const CONFIGURATION: &str = r#"# Written by `backstop demo`. Everything here works without a network and without a key.

# The first provider has no key in this demo, so the picture comes from the fallback.
[assets.hero-image]
chain = ["gemini-3.1-flash-image", "title-card", "manual"]

[assets.social-text]
chain = ["template", "manual"]

# Nobody can make a video offline: a person is asked.
[assets.video-clip]
chain = ["gemini-omni-1.1-flash", "manual"]

[providers.template]
template = "New on the site: {{ input.title or slug }}. Put the kettle on and read it."
"#;

/// One job for each outcome. The dedupe key makes a second demo find the jobs of the first.
const STATEMENTS: [&str; 3] = [
    r#"INSERT INTO jobs (asset, slug, input, dedupe_key)
  VALUES ('hero-image', 'bees-in-winter', '{"title": "What bees do in winter"}', 'demo') ON CONFLICT DO NOTHING;"#,
    r#"INSERT INTO jobs (asset, slug, input, dedupe_key)
  VALUES ('socialText', 'bees-in-winter', '{"title": "What bees do in winter"}', 'demo') ON CONFLICT DO NOTHING;"#,
    r#"INSERT INTO jobs (asset, slug, prompt, dedupe_key)
  VALUES ('video-clip', 'bees-in-winter', 'A calm beehive under snow', 'demo') ON CONFLICT DO NOTHING;"#,
];

/// Show the main job offline: make a folder, ask by SQL, make what can be made, ask a person for the rest
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  backstop demo --dir /tmp/backstop-demo

Run twice, it shows the same jobs again.")]
pub(super) struct Args {
    /// The folder to make
    #[arg(long, value_name = "FOLDER", default_value = "backstop-demo")]
    dir: PathBuf,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let folder = session.sources.working_directory.join(&args.dir);
    prepare(&folder)?;
    // No environment: the demo makes no call that a key of this machine would pay for.
    let sources = Sources {
        file: Some(folder.join(LOCAL_FILE)),
        working_directory: folder.clone(),
        ..Sources::default()
    };
    let inside = Session::new(sources, Arc::clone(&session.clock));
    let opened = inside.open().await?;
    for statement in STATEMENTS {
        opened.store.execute(statement).await?;
    }
    let done = drain::run(&opened, Stop::default(), stderr().is_terminal()).await?;
    let filter = JobFilter { slug: Some("bees-in-winter".to_owned()), limit: 10, ..JobFilter::default() };
    let mut stories = Vec::new();
    for job in opened.store.jobs(&filter).await?.iter().rev() {
        stories.extend(opened.store.story(JobId(job.id)).await?);
    }
    let mut text = format!("{} {}\n\n", paint(STRONG, "The demo is in"), folder.display());
    writeln!(text, "{}", paint(STRONG, "Asked for, in SQL"))?;
    for statement in STATEMENTS {
        writeln!(text, "  {}", statement.replace('\n', "\n  "))?;
    }
    writeln!(text, "\n{} {}", paint(STRONG, "Drained."), drain::sentence(done))?;
    for story in &stories {
        tell(&mut text, &opened, story)?;
    }
    text.push_str(&try_next(&args.dir, &stories));
    inside.close().await;
    Ok(Said::fine(text, json!({ "folder": folder, "jobs": stories })))
}

/// Makes the folder and its configuration; an operator's own configuration is left alone.
fn prepare(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let file = folder.join(LOCAL_FILE);
    let named = || file.display().to_string();
    if !file.exists() {
        return std::fs::write(&file, CONFIGURATION).with_context(named);
    }
    let found = std::fs::read_to_string(&file).with_context(named)?;
    anyhow::ensure!(
        found.lines().next() == CONFIGURATION.lines().next(),
        "{} is not the demo's; name another folder with --dir",
        file.display()
    );
    Ok(())
}

fn tell(text: &mut String, opened: &Opened, story: &JobStory) -> std::fmt::Result {
    let job = &story.job;
    writeln!(text, "\n{}", paint(STRONG, show::headline(job)))?;
    if let Some(url) = &job.url {
        let path = url::Url::parse(url).ok().and_then(|url| url.to_file_path().ok());
        field(text, "file", path.map_or_else(|| url.clone(), |path| path.display().to_string()));
    }
    if let Some(words) = &job.text {
        field(text, "text", preview(words, 200));
    }
    for attempt in story.history.last().map(|run| run.attempts.as_slice()).unwrap_or_default() {
        field(
            text,
            "",
            format!("{}. {:<24} {}", attempt.position + 1, attempt.provider, show::verdict(attempt)),
        );
    }
    if job.status == "manual" {
        field(text, "answer", show::provide(opened, job));
    }
    Ok(())
}

/// Statements and commands that work as they stand.
fn try_next(folder: &Path, stories: &[JobStory]) -> String {
    let number =
        |asset: &str| stories.iter().find(|story| story.job.asset == asset).map_or(1, |story| story.job.id);
    let (picture, video) = (number("hero-image"), number("video-clip"));
    let program =
        std::env::current_exe().map_or_else(|_| "backstop".to_owned(), |path| path.display().to_string());
    let lines = [
        (format!("cd {}", folder.display()), ""),
        (format!("alias backstop={program}"), ""),
        (format!("backstop show {picture}"), "the story of the picture"),
        ("sqlite3 backstop.db 'SELECT status, url, provider, fallback_used FROM jobs'".to_owned(), ""),
        ("sqlite3 backstop.db 'SELECT asset, sentence FROM health'".to_owned(), ""),
        ("sqlite3 backstop.db 'SELECT * FROM manual_queue'".to_owned(), "what waits for a person"),
        (
            format!(
                "sqlite3 backstop.db \"UPDATE jobs SET status = 'done', url = 'https://example.org/bees.mp4' WHERE id = {video}\""
            ),
            "provide it",
        ),
        (
            "sqlite3 backstop.db \"INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'your-article')\""
                .to_owned(),
            "ask for more",
        ),
        ("backstop serve".to_owned(), "and have it made at once"),
    ];
    let mut text = format!("\n{}\n", paint(STRONG, "Try next"));
    for (command, why) in lines {
        let why = if why.is_empty() { String::new() } else { paint(FAINT, format!("   # {why}")) };
        text.push_str(&format!("  {command}{why}\n"));
    }
    text
}
