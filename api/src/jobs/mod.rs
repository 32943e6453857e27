//! The endpoints about jobs, one a file.

pub(crate) mod attempts;
pub(crate) mod batch;
pub(crate) mod bulk;
pub(crate) mod cancel;
pub(crate) mod delete;
pub(crate) mod events;
mod filter;
pub(crate) mod following;
pub(crate) mod get;
pub(crate) mod list;
pub(crate) mod logs;
mod page;
mod raw;
pub(crate) mod result;
mod result_body;
pub(crate) mod retry;
pub(crate) mod submission;
pub(crate) mod submit;
mod unique;
mod view;
mod wait;

use actix_web::HttpRequest;
use coatcheck_shared::job::JobId;

use crate::problem::Problem;

/// The id in the path. What is none is answered like one that nobody has.
fn id_in_path(request: &HttpRequest) -> Result<JobId, Problem> {
    request
        .match_info()
        .get("id")
        .and_then(|text| text.parse().ok())
        .ok_or_else(Problem::no_job)
}

/// The URL of a job.
fn path_of(id: JobId) -> String {
    format!("/v1/jobs/{id}")
}
