//! The example worker's handler makes real thumbnails.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../examples/thumbnails/handler.rs"]
mod handler;

use std::path::Path;

use coatcheck_worker::{HandlerError, JobResult, context::Rehearsal, handler::Then};
use image::{Rgb, RgbImage};
use serde_json::json;

use self::handler::Thumbnails;

const LEFT: Rgb<u8> = Rgb([200, 30, 30]);
const RIGHT: Rgb<u8> = Rgb([20, 60, 220]);

/// Red on the left and blue on the right, 1,200 by 600.
fn paint(file: &Path) {
    let half = |x, _| if x < 600 { LEFT } else { RIGHT };
    RgbImage::from_fn(1_200, 600, half).save(file).unwrap();
}

async fn run(folder: &Path, file: &str) -> (Result<JobResult, HandlerError>, usize) {
    let payload = json!({"file": file, "pixels": 120});
    let rehearsal = Rehearsal::of::<Thumbnails>(&payload).unwrap();
    let folder = folder.to_owned();
    let outcome = rehearsal.run(&Thumbnails { folder }).await;
    (outcome, rehearsal.said().len())
}

#[tokio::test]
async fn an_image_is_made_small_and_keeps_its_colours() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["painted.png", "painted.jpg"] {
        paint(&folder.path().join(file));
        let (outcome, reports) = run(folder.path(), file).await;
        let result = outcome.unwrap();
        assert_eq!(result.content_type, "image/png");
        assert!(reports > 0);
        let small = image::load_from_memory_with_format(
            result.body.inline().unwrap(),
            image::ImageFormat::Png,
        )
        .unwrap()
        .to_rgb8();
        assert_eq!(small.dimensions(), (120, 60));
        for (x, y, pixel) in small.enumerate_pixels() {
            let expected = if x < 60 { LEFT } else { RIGHT };
            // The JPEG's blocks run over the edge between the halves.
            let near_the_edge = (56..64).contains(&x);
            let off = pixel.0.iter().zip(expected.0).map(|(a, b)| a.abs_diff(b));
            assert!(
                near_the_edge || off.max().unwrap() < 12,
                "{file} {x} {y}: {pixel:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_no_image_or_outside_of_the_folder_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text.png"), "no image").unwrap();
    for file in ["text.png", "../painted.png", "/etc/passwd"] {
        let (outcome, _) = run(folder.path(), file).await;
        assert_eq!(outcome.unwrap_err().into_parts().2, Then::Fail, "{file}");
    }
}

#[test]
fn the_readme_shows_the_example_as_it_is() {
    let readme = include_str!("../../README.md");
    for file in [
        include_str!("../examples/thumbnails/handler.rs"),
        include_str!("../examples/thumbnails/main.rs"),
    ] {
        assert!(readme.contains(&format!("```rust\n{file}```\n")), "{file}");
    }
}
