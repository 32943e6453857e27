//! The kind `thumbnail`: what a job of it carries, and what runs it.

use std::{
    io::Cursor,
    path::{Component, Path, PathBuf},
};

use coatcheck_worker::{Handler, HandlerError, JobContext, JobResult, KindPayload, schemars};
use image::ImageFormat;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::{fs, task::spawn_blocking};

/// Which image to make small, and how small.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Thumbnail {
    /// A PNG or JPEG file in the folder of images.
    pub(crate) file: PathBuf,
    /// The largest width and height of the thumbnail, in pixels.
    #[schemars(range(min = 1, max = 2_048))]
    pub(crate) pixels: u32,
}

impl KindPayload for Thumbnail {
    const KIND: &'static str = "thumbnail";
    const DESCRIPTION: &'static str = "Makes a small PNG of an image.";
}

/// Makes thumbnails of the images in a folder.
pub(crate) struct Thumbnails {
    /// The folder: no job sees anything outside of it.
    pub(crate) folder: PathBuf,
}

impl Handler for Thumbnails {
    type Payload = Thumbnail;
    type Output = JobResult;

    async fn run(&self, job: Thumbnail, context: &JobContext) -> Result<JobResult, HandlerError> {
        if !is_inside(&job.file) {
            return Err(HandlerError::fail("file must be a path inside the folder"));
        }
        let original = fs::read(self.folder.join(&job.file)).await?;

        context.progress(20.0, Some("resizing"));
        let small = spawn_blocking(move || resize(&original, job.pixels)).await?;

        let small = small.map_err(HandlerError::fail)?;
        Ok(JobResult::new("image/png", small))
    }
}

fn is_inside(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_)))
}

fn resize(original: &[u8], pixels: u32) -> image::ImageResult<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    image::load_from_memory(original)?
        .thumbnail(pixels, pixels)
        .write_to(&mut png, ImageFormat::Png)?;
    Ok(png.into_inner())
}
