//! The verbs, one file each, and the one place where everything is wired.
pub mod clock;
pub mod drain;
pub mod serve;
pub mod signals;
pub mod wire;

/// temp
pub async fn main() -> anyhow::Result<()> {
    let sources = crate::config::Sources {
        environment: std::env::vars().collect(),
        working_directory: std::env::current_dir()?,
        ..Default::default()
    };
    let clock = clock::system();
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve::run(sources, clock).await,
        _ => {
            let config = wire::configuration(&sources, &clock)?;
            let done = drain::verb(config, clock, true).await?;
            tracing::info!("{}", drain::sentence(done));
            Ok(())
        }
    }
}
