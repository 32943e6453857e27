//! A part of a collection: 200 where it is all of it, else 206 and where it lies.

use actix_web::{
    HttpRequest, HttpResponseBuilder,
    http::{StatusCode, header},
};
use serde::Serialize;

use crate::{
    problem::{Problem, ProblemType},
    reply::{self, Answer},
};

/// Where a page lies in its collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The number of its first item, from 0.
    pub(super) first: u64,
    /// How many items it has.
    pub(super) count: u64,
    /// Whether there are more behind it.
    pub(super) more: bool,
}

impl Place {
    fn status(self) -> StatusCode {
        if self.content_range().is_some() {
            StatusCode::PARTIAL_CONTENT
        } else {
            StatusCode::OK
        }
    }

    /// `Content-Range`, none for what is all there is or nothing at all.
    fn content_range(self) -> Option<String> {
        if self.count == 0 || (self.first == 0 && !self.more) {
            return None;
        }
        let end = self.first + self.count;
        let total = if self.more {
            "*".to_owned()
        } else {
            end.to_string()
        };
        Some(format!("items {}-{}/{total}", self.first, end - 1))
    }
}

/// Answers with a page.
pub(super) fn answer(
    request: &HttpRequest,
    place: Place,
    body: &impl Serialize,
    extend: impl FnOnce(&mut HttpResponseBuilder),
) -> Answer {
    reply::revalidated_json(request, place.status(), body, |response| {
        response.insert_header((header::ACCEPT_RANGES, "items"));
        if let Some(range) = place.content_range() {
            response.insert_header((header::CONTENT_RANGE, range));
        }
        extend(response);
    })
}

/// That a range begins behind the last of so many items.
pub(super) fn past_the_end(items: u64) -> Problem {
    let problem = Problem::new(
        ProblemType::RangeNotSatisfiable,
        format!("The collection has {items} items."),
    );
    match header::HeaderValue::from_str(&format!("items */{items}")) {
        Ok(range) => problem.with_header(header::CONTENT_RANGE, range),
        Err(_) => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_it_lies_unless_it_is_everything() {
        let range = |first, count, more| Place { first, count, more }.content_range();
        assert_eq!(range(0, 3, false), None);
        assert_eq!(range(0, 0, false), None);
        assert_eq!(range(0, 50, true).unwrap(), "items 0-49/*");
        assert_eq!(range(50, 5, false).unwrap(), "items 50-54/55");
        assert_eq!(range(50, 0, false), None);
    }
}
