//! The thin binary: everything it does lives in the library.

fn main() -> anyhow::Result<()> {
    let filter = std::env::var("RUST_LOG").unwrap_or("info,sqlx=warn,tokio_cron_scheduler=warn".to_owned());
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new(filter))
        .init();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(backstop::cli::main())
}
