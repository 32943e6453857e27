//! Standard error, line by line, into the attempt's log.

use std::collections::VecDeque;

use crate::JobContext;

/// A longer line is cut.
const LONGEST_LINE_BYTES: usize = 4 * 1024;

/// Further lines are read and dropped.
const MOST_LINES: usize = 1_000;

/// How many lines the message of a failure repeats.
const LAST_LINES: usize = 10;

/// How much of those lines it repeats.
const LAST_BYTES: usize = 2 * 1024;

pub(super) struct ErrorLog<'a> {
    context: &'a JobContext,
    line: Vec<u8>,
    is_cut: bool,
    lines: usize,
    last: VecDeque<String>,
}

impl<'a> ErrorLog<'a> {
    pub(super) fn new(context: &'a JobContext) -> Self {
        Self {
            context,
            line: Vec::new(),
            is_cut: false,
            lines: 0,
            last: VecDeque::new(),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n");
            self.extend_line(text.unwrap_or(piece));
            if text.is_some() {
                self.end_line();
            }
        }
    }

    /// The last line may lack its end.
    pub(super) fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    /// The last lines, as far as a message can hold them.
    pub(super) fn last_words(mut self) -> String {
        self.end();
        let words = Vec::from(self.last).join("\n");
        let start = words.ceil_char_boundary(words.len().saturating_sub(LAST_BYTES));
        words[start..].trim().to_owned()
    }

    fn extend_line(&mut self, text: &[u8]) {
        let room = LONGEST_LINE_BYTES - self.line.len();
        self.is_cut |= text.len() > room;
        self.line.extend_from_slice(&text[..text.len().min(room)]);
    }

    fn end_line(&mut self) {
        let mut text = String::from_utf8_lossy(&self.line)
            .trim_end_matches('\r')
            .to_owned();
        if self.is_cut {
            text.push_str("… (cut)");
        }
        self.line.clear();
        self.is_cut = false;
        self.lines += 1;
        if self.lines <= MOST_LINES {
            self.context.log(&text);
        } else if self.lines == MOST_LINES + 1 {
            self.context.log(&format!(
                "… (lines after the first {MOST_LINES} are not kept)"
            ));
        }
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }
}
