//! Every connection is an open file.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Lets this process open as many files as the system would ever let it. Where it will not,
/// the old limit holds, and what goes beyond it is refused connection by connection.
pub(crate) fn raise() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        } else {
            Ok(())
        }
    });
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}
