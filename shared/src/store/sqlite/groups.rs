//! Statements over a group of rows, in a few sizes that are each prepared once.

/// How many rows a statement takes. Where a group is smaller than its statement, the rest of the
/// values stay unbound, which SQLite takes for null: every such statement passes over a null id.
const SIZES: [usize; 3] = [1, 8, 64];

/// One statement, in every size.
pub(super) struct GroupStatement([String; SIZES.len()]);

impl GroupStatement {
    /// A statement with a list of rows, each of so many columns, between `before` and `after`.
    pub(super) fn new(before: &str, columns: usize, after: &str) -> Self {
        // Without numbers: SQLite would look each numbered value up in the list of all of them.
        let row = format!("({})", vec!["?"; columns].join(","));
        Self(SIZES.map(|size| format!("{before}{}{after}", vec![row.as_str(); size].join(","))))
    }

    /// The rows in pieces, each with the smallest statement that takes all of it.
    pub(super) fn pieces<'a, Row>(
        &'static self,
        rows: &'a [Row],
    ) -> impl Iterator<Item = (&'static str, &'a [Row])> {
        rows.chunks(SIZES[SIZES.len() - 1]).map(|piece| {
            let fits = SIZES.partition_point(|size| *size < piece.len());
            (self.0[fits].as_str(), piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    static STATEMENT: LazyLock<GroupStatement> =
        LazyLock::new(|| GroupStatement::new("VALUES ", 2, ""));

    #[test]
    fn a_group_goes_into_the_fewest_statements_that_take_it() {
        let sizes = |rows: usize| -> Vec<(usize, usize)> {
            STATEMENT
                .pieces(&vec![(); rows])
                .map(|(text, piece)| (text.matches("(?,?)").count(), piece.len()))
                .collect()
        };
        assert_eq!(sizes(0), []);
        assert_eq!(sizes(1), [(1, 1)]);
        assert_eq!(sizes(2), [(8, 2)]);
        assert_eq!(sizes(64), [(64, 64)]);
        assert_eq!(sizes(130), [(64, 64), (64, 64), (8, 2)]);
    }
}
