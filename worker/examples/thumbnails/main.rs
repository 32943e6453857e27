//! A worker of one's own: the built-in kinds, and `thumbnail` beside them.

mod handler;

use std::error::Error;

use coatcheck_worker::{handlers::builtin, run_until_signalled, settings};

use self::handler::Thumbnails;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().init();
    let folder = "./images".into();
    let registry = builtin(&settings::load()?)?.register(Thumbnails { folder })?;
    run_until_signalled(registry).await?;
    Ok(())
}
