//! `GET /docs`: the document in a browser. Swagger UI comes along in the binary, so that nothing
//! is fetched from anywhere else, and the page's policy would not let it.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderValue},
};
use utoipa_swagger_ui::Config;

use super::{Operation, Parameter, Reply, Tag, field};
use crate::{
    problem::{Problem, ProblemType},
    reply::Answer,
};

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");
const STYLE: &str = include_str!("docs/page.css");

/// The files of Swagger UI that the page needs.
const LIBRARY: [&str; 2] = ["swagger-ui.css", "swagger-ui-bundle.js"];

/// Nothing from elsewhere, nothing inline, no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// What this endpoint says of itself.
pub(crate) fn describe() -> Operation {
    Operation::new(
        Tag::Service,
        "getDocs",
        "This document, to read in a browser",
    )
    .answers(Reply::bytes(200, "The page.", "text/html").always([field::CONTENT_SECURITY_POLICY]))
}

/// What this endpoint says of itself.
pub(crate) fn describe_file() -> Operation {
    let file = Parameter::path("file", "One of the page's files.", || {
        serde_json::json!({
            "enum": ["page.css", "page.js", "swagger-ui.css", "swagger-ui-bundle.js"],
        })
    });
    Operation::new(Tag::Service, "getDocsFile", "A file of that page")
        .with([file])
        .answers(
            Reply::bytes(200, "The style.", "text/css")
                .or_bytes("text/javascript")
                .always([field::CONTENT_SECURITY_POLICY])
                .sometimes([field::CONTENT_ENCODING]),
        )
        .problems([ProblemType::RouteNotFound])
}

/// Serves the page.
pub(crate) async fn get() -> Answer {
    Ok(served(
        "text/html; charset=utf-8",
        Cow::Borrowed(PAGE.as_bytes()),
        false,
    ))
}

/// Serves a file of the page.
pub(crate) async fn file(request: HttpRequest) -> Answer {
    let name = request.match_info().get("file").unwrap_or_default();
    let own = match name {
        "page.js" => Some(("text/javascript; charset=utf-8", SCRIPT)),
        "page.css" => Some(("text/css; charset=utf-8", STYLE)),
        _ => None,
    };
    if let Some((media_type, text)) = own {
        return Ok(served(media_type, Cow::Borrowed(text.as_bytes()), false));
    }
    if !LIBRARY.contains(&name) {
        return Err(no_file());
    }
    // Its configuration goes into another of its files, which is not served.
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::from("")))
        .map_err(|error| Problem::internal(&error))?
        .ok_or_else(no_file)?;
    Ok(served(&file.content_type, file.bytes, file.gzpipped))
}

fn no_file() -> Problem {
    Problem::new(
        ProblemType::RouteNotFound,
        "The page has no file by this name.",
    )
}

fn served(media_type: &str, bytes: Cow<'static, [u8]>, gzipped: bool) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"));
    if gzipped {
        // Whoever wants it in no coding at all gets it all the same: it is not kept in any other.
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    match bytes {
        Cow::Borrowed(bytes) => response.body(bytes),
        Cow::Owned(bytes) => response.body(bytes),
    }
}
