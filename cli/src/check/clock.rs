//! Whether this machine and the database agree about the time.

use std::time::Duration;

use coatcheck_shared::timestamp::Timestamp;

use super::finding::Finding;

/// Jobs live by the database's clock; what people compare, like lines of logs, does not.
const LARGEST_DIFFERENCE: Duration = Duration::from_secs(1);

/// Compares the database's time with this machine's, before and after it was asked.
pub(super) fn judge(asked: Timestamp, database: Timestamp, answered: Timestamp) -> Finding {
    let (difference, direction) = if database < asked {
        (asked.since(database), "behind")
    } else {
        (database.since(answered), "ahead")
    };
    let milliseconds = difference.as_millis();
    if difference <= LARGEST_DIFFERENCE {
        return Finding::ok(
            "clock",
            format!(
                "the database's is within {} ms of this machine's",
                milliseconds.max(1)
            ),
        );
    }
    Finding::warn(
        "clock",
        format!(
            "the database's is {milliseconds} ms {direction} of this machine's: jobs live by the \
             database's, but times in logs will not agree; run a time service (NTP) on both"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::finding::Status;

    #[test]
    fn a_difference_counts_beyond_the_time_that_the_answer_took() {
        let at = |seconds: i64| Timestamp::from_microseconds(seconds * 1_000_000);
        for (asked, database, answered, expected) in [
            (100, 100, 100, Status::Ok),
            (100, 104, 105, Status::Ok),
            (100, 99, 105, Status::Ok),
            (100, 98, 105, Status::Warn),
            (100, 107, 105, Status::Warn),
        ] {
            let finding = judge(at(asked), at(database), at(answered));
            assert_eq!(finding.status, expected, "{finding:?}");
        }
    }
}
