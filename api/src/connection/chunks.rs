//! Where a body that comes in chunks ends (RFC 9112 §7.1). Nothing of it is kept here.

use super::Refusal;

/// The longest line of a chunk's size, extensions included, and the most that trailers may take.
const LONGEST_LINE: usize = 4 * 1024;

/// How many digits a chunk's size may have.
const MOST_DIGITS: usize = 15;

/// How far into the chunks the last byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// In the digits of a size, so many of which have been read.
    Size { digits: usize },
    /// After the size, before the end of its line.
    Extension,
    /// Before the line feed that ends the line of a size.
    SizeEnd,
    /// In the data of a chunk.
    Data,
    /// Before the carriage return behind the data.
    DataEnd,
    /// Before the line feed behind the data.
    DataLineFeed,
    /// At the beginning of a line of the trailers.
    TrailerStart,
    /// In a line of the trailers.
    Trailer,
    /// Before the line feed that ends a line of the trailers.
    TrailerEnd,
    /// Before the line feed that ends it all.
    LastLineFeed,
}

/// Follows a chunked body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    at: At,
    /// What is left of the chunk's data.
    left: u64,
    /// How much of a line, or of the trailers, there has been.
    line: usize,
}

/// How the bytes that came go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All of them belong to the body, and it goes on.
    GoesOn,
    /// The body ends after so many.
    Ended(usize),
    /// It cannot be read on after so many.
    Broken(usize, Refusal),
}

impl Chunks {
    /// Before the first chunk.
    pub(super) fn new() -> Self {
        Self {
            at: At::Size { digits: 0 },
            left: 0,
            line: 0,
        }
    }

    /// Takes note of bytes of the body.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Progress {
        let mut position = 0;
        while let Some(byte) = bytes.get(position) {
            if self.at == At::Data {
                position += self.skip_data(bytes.len() - position);
                continue;
            }
            position += 1;
            if self.at == At::LastLineFeed && *byte == b'\n' {
                return Progress::Ended(position);
            }
            match self.step(*byte) {
                Ok(at) => self.at = at,
                Err(detail) => return Progress::Broken(position - 1, Refusal::malformed(detail)),
            }
        }
        Progress::GoesOn
    }

    fn skip_data(&mut self, available: usize) -> usize {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let skipped = left.min(available);
        self.left -= skipped as u64;
        if self.left == 0 {
            self.at = At::DataEnd;
        }
        skipped
    }

    fn step(&mut self, byte: u8) -> Result<At, &'static str> {
        self.line += 1;
        if self.line > LONGEST_LINE {
            return Err("A line between the chunks of the body is too long.");
        }
        match (self.at, byte) {
            (At::Size { digits }, _) if byte.is_ascii_hexdigit() && digits < MOST_DIGITS => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left * 16 + u64::from(digit);
                Ok(At::Size { digits: digits + 1 })
            }
            (At::Size { digits: 1.. } | At::Extension, b'\r') => Ok(At::SizeEnd),
            (At::Size { digits: 1.. }, b';') => Ok(At::Extension),
            (At::Extension, b'\t' | b' '..=b'~') => Ok(At::Extension),
            (At::SizeEnd, b'\n') => {
                self.line = 0;
                Ok(if self.left == 0 {
                    At::TrailerStart
                } else {
                    At::Data
                })
            }
            (At::DataEnd, b'\r') => Ok(At::DataLineFeed),
            (At::DataLineFeed, b'\n') => {
                self.line = 0;
                Ok(At::Size { digits: 0 })
            }
            (At::TrailerStart, b'\r') => Ok(At::LastLineFeed),
            (At::Trailer, b'\r') => Ok(At::TrailerEnd),
            (At::TrailerStart | At::Trailer, b'\t' | b' '..=b'~' | 0x80..) => Ok(At::Trailer),
            (At::TrailerEnd, b'\n') => Ok(At::TrailerStart),
            _ => Err("The chunks of the body cannot be told apart."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of a body, whole and byte by byte, which must be the same.
    fn progress(body: &str) -> Progress {
        let whole = Chunks::new().follow(body.as_bytes());
        let mut chunks = Chunks::new();
        let mut piecewise = Progress::GoesOn;
        for position in 0..body.len() {
            piecewise = match chunks.follow(&body.as_bytes()[position..=position]) {
                Progress::GoesOn => continue,
                Progress::Ended(length) => Progress::Ended(position + length),
                Progress::Broken(length, why) => Progress::Broken(position + length, why),
            };
            break;
        }
        assert_eq!(whole, piecewise, "{body:?}");
        whole
    }

    #[test]
    fn a_body_ends_with_its_last_chunk_and_trailers() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00005\r\nhello\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
            "1\r\n\n\r\n0\r\nx: y\r\nz: \u{fc}\r\n\r\n",
        ] {
            let next = format!("{body}GET /");
            assert_eq!(progress(&next), Progress::Ended(body.len()), "{body:?}");
        }
        assert_eq!(progress("5\r\nhel"), Progress::GoesOn);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read_on() {
        let long = format!("0\r\nx: {}\r\n\r\n", "y".repeat(LONGEST_LINE));
        for (body, after) in [
            ("x\r\n", 0),
            ("\r\n", 0),
            ("5\nhello", 1),
            ("5 \r\nhello", 1),
            ("-5\r\n", 0),
            ("0x5\r\n", 1),
            ("1234567890abcdef0\r\n", 15),
            ("5\r\nhello6\r\n", 8),
            ("5\r\nhello\n0\r\n\r\n", 8),
            ("5;\n\r\n", 2),
            ("0\r\nx: y\n\r\n", 7),
            ("0\r\n\rx", 4),
            (&long, LONGEST_LINE + 3),
        ] {
            let progress = progress(body);
            assert!(
                matches!(progress, Progress::Broken(length, _) if length == after),
                "{body:?}: {progress:?}"
            );
        }
    }
}
