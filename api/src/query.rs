//! Reading the parameters of a query so that one answer names every wrong one.

use std::borrow::Cow;

use actix_web::HttpRequest;

use crate::{
    problem::{FieldError, MOST_FIELD_ERRORS, Problem, ProblemType},
    strict_json::push_segment,
};

/// The parameters of a query that have not been read yet, and what was wrong with those that have.
pub(crate) struct Query<'a> {
    unread: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    errors: Vec<FieldError>,
}

impl<'a> Query<'a> {
    /// The parameters of a request.
    pub(crate) fn of(request: &'a HttpRequest) -> Self {
        Self {
            unread: url::form_urlencoded::parse(request.query_string().as_bytes()).collect(),
            errors: Vec::new(),
        }
    }

    /// A parameter that may be there once.
    pub(crate) fn one<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let mut values = self.take(|each| each == name);
        if values.len() > 1 {
            self.wrong(name, "is there more than once");
            return None;
        }
        let (_, value) = values.pop()?;
        read(&value).map_err(|detail| self.wrong(name, detail)).ok()
    }

    /// A parameter with several values, between commas or each on its own.
    pub(crate) fn many<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let mut read_values = Vec::new();
        for (_, values) in self.take(|each| each == name) {
            for value in values.split(',') {
                match read(value) {
                    Ok(value) => read_values.push(value),
                    Err(detail) => self.wrong(name, detail),
                }
            }
        }
        read_values
    }

    /// The parameters whose names begin with `prefix`, without it.
    pub(crate) fn prefixed(&mut self, prefix: &str) -> Vec<(String, String)> {
        self.take(|each| each.starts_with(prefix))
            .into_iter()
            .map(|(name, value)| (name[prefix.len()..].to_owned(), value.into_owned()))
            .collect()
    }

    /// Notes that a parameter is wrong.
    pub(crate) fn wrong(&mut self, name: &str, detail: impl Into<String>) {
        let mut pointer = String::new();
        push_segment(&mut pointer, name);
        self.errors.push(FieldError {
            pointer,
            detail: detail.into(),
        });
    }

    /// Everything that was wrong, now that all parameters that there are have been read.
    pub(crate) fn finish(mut self, known: &str) -> Result<(), Problem> {
        for (name, _) in std::mem::take(&mut self.unread)
            .into_iter()
            .take(MOST_FIELD_ERRORS)
        {
            self.wrong(&name, format!("no such parameter; there are {known}"));
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::fields(
            ProblemType::InvalidParameter,
            "Parameters of the query are wrong: see `errors`.",
            self.errors,
        ))
    }

    fn take(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(Cow<'a, str>, Cow<'a, str>)> {
        self.unread
            .extract_if(.., |(name, _)| wanted(name))
            .collect()
    }
}

/// A whole number within bounds.
pub(crate) fn number(text: &str, least: u64, most: u64) -> Result<u64, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be an integer from {least} to {most}"))
}

/// `true` or `false`.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "must be true or false".to_owned())
}
