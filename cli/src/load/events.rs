//! Server-sent events, as they come in pieces.

/// A line or an event that is longer than this is none that Coatcheck sends.
const LONGEST: usize = 4 * 1024 * 1024;

/// One event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

/// The events of one stream.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// What has come and is no whole line yet.
    rest: Vec<u8>,
    current: Event,
    /// The `id` of the last event that came whole, and that of the current.
    last_id: Option<String>,
    current_id: Option<String>,
}

impl Events {
    /// The events that this piece completes; none, where it is no stream of events.
    pub(crate) fn of(&mut self, piece: &[u8]) -> Option<Vec<Event>> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        let mut begin = 0;
        while let Some(length) = self.rest[begin..].iter().position(|byte| *byte == b'\n') {
            let line = std::str::from_utf8(&self.rest[begin..begin + length]).ok()?;
            let line = line.strip_suffix('\r').unwrap_or(line).to_owned();
            begin += length + 1;
            events.extend(self.line(&line));
        }
        self.rest.drain(..begin);
        (self.rest.len() + self.current.data.len() <= LONGEST).then_some(events)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            if let Some(id) = self.current_id.take() {
                self.last_id = Some(id);
            }
            let event = std::mem::take(&mut self.current);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.current.name),
            "id" => self.current_id = Some(value.to_owned()),
            "data" => {
                if !self.current.data.is_empty() {
                    self.current.data.push('\n');
                }
                self.current.data.push_str(value);
            }
            // A comment, which keeps the connection alive, or what is of no use here.
            _ => {}
        }
        None
    }

    /// Where to go on after the connection broke. What is left of an event is forgotten.
    pub(crate) fn resume(&mut self) -> Option<&str> {
        self.rest.clear();
        self.current = Event::default();
        self.current_id = None;
        self.last_id.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 1000\n\nevent: state\nid: 1.queued\ndata: {\"a\":1}\n\n: the job \
                          goes on\n\nevent: log\r\nid: 2\r\ndata: x\r\ndata: y\r\n\r\n";

    #[test]
    fn events_come_whole_however_they_are_cut() {
        for size in 1..STREAM.len() {
            let mut events = Events::default();
            let mut all = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                all.extend(events.of(piece).unwrap());
            }
            let expected = [("state", "{\"a\":1}"), ("log", "x\ny")];
            let expected = expected.map(|(name, data)| Event {
                name: name.to_owned(),
                data: data.to_owned(),
            });
            assert_eq!(all, expected, "{size}");
            assert_eq!(events.resume(), Some("2"));
        }
    }

    #[test]
    fn what_was_cut_off_is_no_event_and_no_place_to_go_on() {
        let mut events = Events::default();
        events.of(b"id: 1\ndata: x\n\nid: 2\ndata: cu").unwrap();
        assert_eq!(events.resume(), Some("1"));
        let whole = events.of(b"data: z\n\n").unwrap();
        assert_eq!(whole[0].data, "z");
    }

    #[test]
    fn what_never_ends_is_no_stream_of_events() {
        let mut events = Events::default();
        let piece = vec![b'x'; LONGEST];
        assert!(events.of(&piece).is_some());
        assert!(events.of(&piece).is_none());
        assert!(Events::default().of(b"data: \xff\n").is_none());
    }
}
