//! What an endpoint says of itself. Its method, path and scope stand in the route table, and what
//! every such endpoint answers is added from there.

use schemars::JsonSchema;
use serde_json::Value;

use super::{
    content::Content,
    parameter::{self, Parameter},
    reply::Reply,
};
use crate::problem::ProblemType;

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tag {
    /// One job.
    Jobs,
    /// Many jobs with one request.
    ManyJobs,
    /// What can be submitted.
    Kinds,
    /// Who may do what.
    Keys,
    /// How the server is, and what it can.
    Service,
}

impl Tag {
    /// All of them, in the order in which they are read.
    pub(super) const ALL: [Self; 5] = [
        Self::Jobs,
        Self::ManyJobs,
        Self::Kinds,
        Self::Keys,
        Self::Service,
    ];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Jobs => "Jobs",
            Self::ManyJobs => "Many jobs",
            Self::Kinds => "Kinds",
            Self::Keys => "Keys",
            Self::Service => "Service",
        }
    }

    /// What it is about.
    pub(super) const fn says(self) -> &'static str {
        match self {
            Self::Jobs => "Hand work in, follow it, fetch what it leaves.",
            Self::ManyJobs => "Lists, batches, and moves of many jobs by filters.",
            Self::Kinds => "What can be submitted.",
            Self::Keys => "Who may do what. For administrators.",
            Self::Service => "How the server is, and what it can.",
        }
    }
}

/// An operation, described.
pub(crate) struct Operation {
    pub(super) tag: Tag,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) says: &'static str,
    pub(super) parameters: Vec<Parameter>,
    /// The media types of its body; none where it takes none.
    pub(super) body: Vec<Content>,
    pub(super) answers: Vec<Reply>,
    pub(super) problems: Vec<ProblemType>,
}

impl Operation {
    /// An operation with its name in client libraries, and what it does in a few words.
    pub(crate) fn new(tag: Tag, id: &'static str, summary: &'static str) -> Self {
        Self {
            tag,
            id,
            summary,
            says: "",
            parameters: Vec::new(),
            body: Vec::new(),
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// What else there is to know, in Markdown.
    #[must_use]
    pub(crate) fn says(mut self, says: &'static str) -> Self {
        self.says = says;
        self
    }

    /// With parameters of the path, the query or the head.
    #[must_use]
    pub(crate) fn with(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    /// For who has a version of it already, or means one.
    #[must_use]
    pub(crate) fn conditional(self) -> Self {
        self.with([parameter::IF_NONE_MATCH, parameter::IF_MATCH])
            .problems([ProblemType::PreconditionFailed])
    }

    /// With a JSON body, and the problems that come with one.
    #[must_use]
    pub(crate) fn takes<T: JsonSchema>(
        self,
        examples: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        self.takes_content(Content::taken::<T>("application/json", examples))
    }

    /// With a body of another media type.
    #[must_use]
    pub(crate) fn takes_content(mut self, content: Content) -> Self {
        if self.body.is_empty() {
            self.problems.extend([
                ProblemType::MalformedJson,
                ProblemType::InvalidRequest,
                ProblemType::RequestTimeout,
                ProblemType::BodyTooLarge,
                ProblemType::UnsupportedMediaType,
                ProblemType::UnsupportedCoding,
                ProblemType::Overloaded,
            ]);
        }
        self.body.push(content);
        self
    }

    /// With an answer that is no problem.
    #[must_use]
    pub(crate) fn answers(mut self, reply: Reply) -> Self {
        self.answers.push(reply);
        self
    }

    /// With problems of its own, beside those of every such endpoint.
    #[must_use]
    pub(crate) fn problems(mut self, problems: impl IntoIterator<Item = ProblemType>) -> Self {
        self.problems.extend(problems);
        self
    }
}
