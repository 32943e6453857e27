//! A worker of one's own: the built-in kinds, and `thumbnail` beside them.

mod handler;

use std::error::Error;

use coatcheck_shared::settings;
use coatcheck_worker::handlers::builtin;

use self::handler::Thumbnails;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let settings = settings::load()?;
    let folder = "./images".into();
    let registry = builtin(&settings)?.register(Thumbnails { folder })?;
    for kind in registry.kinds() {
        tracing::info!(%kind, "can be run");
    }
    Ok(())
}
