use serde::{Deserialize, Serialize};

use super::{Output, into_text, left_out};

/// Which part of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputQuery {
    /// Whole lines.
    Lines {
        /// The first line, from 1.
        offset: u64,
        /// The most lines.
        limit: u64,
    },
    /// Bytes, cut between characters.
    Bytes {
        /// The first byte, from 0.
        offset: u64,
        /// The most bytes; a character that is longer comes whole.
        limit: u64,
    },
}

/// A part of an output. Positions are those of the whole output, also where parts were dropped: then
/// a page ends before the gap, and the next one begins after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPage {
    /// The text.
    pub data: String,
    /// The number of its first line, from 1; 0 when the page is empty.
    pub start_line: u64,
    /// The number of its last line; 0 when the page is empty.
    pub end_line: u64,
    /// Where to go on by lines.
    pub next_line_offset: u64,
    /// The lines of the whole output.
    pub total_lines: u64,
    /// The position of its first byte.
    pub start_byte: u64,
    /// The position after its last byte.
    pub end_byte: u64,
    /// Where to go on by bytes.
    pub next_byte_offset: u64,
    /// The bytes of the whole output.
    pub total_bytes: u64,
    /// Bytes of the whole output that are gone.
    pub dropped_bytes: u64,
    /// There is more now.
    pub has_more: bool,
}

/// A page by lines is ended by the line that makes it this long.
const PAGE_BYTES: u64 = 1 << 20;

impl Output {
    /// One part of what is kept.
    pub fn page(&self, query: OutputQuery) -> OutputPage {
        match query {
            OutputQuery::Lines { offset, limit } => self.lines(offset.max(1) - 1, limit),
            OutputQuery::Bytes { offset, limit } => self.bytes(offset, limit),
        }
    }

    /// `line` counts from 0 here: it is the number of line breaks before it.
    fn lines(&self, line: u64, limit: u64) -> OutputPage {
        let gap_after_head = self.bytes_dropped() > 0;
        // The line that the gap begins in belongs to the head, unless the head ends with a break.
        let head_lines = self.head.end_line() + u64::from(self.head_ends_inside_a_line());
        let (segment, line) = if line < head_lines {
            (&self.head, line)
        } else {
            (&self.tail, line.max(self.tail.first_line))
        };
        if line >= head_lines && line >= self.tail.end_line() {
            return self.nothing(line + 1, self.bytes_total);
        }

        let start = segment.line_start(line);
        let mut end = start;
        let mut lines = 0;
        let mut broken = false;
        while lines < limit.max(1) && end - start < PAGE_BYTES && end < segment.end_byte() {
            lines += 1;
            match segment.after_break(end) {
                Some(next) => end = next,
                None => {
                    end = segment.end_byte();
                    broken = true;
                }
            }
        }
        let mut data = Vec::with_capacity((end - start) as usize);
        segment.copy(start, end, &mut data);
        let last = line + lines;
        let mut next_byte = end;
        let mut next_line = last + 1;
        if broken {
            // The line goes on behind the gap, there or in a line that has another number.
            data.extend_from_slice(left_out(self.bytes_dropped()).as_bytes());
            next_byte = self.tail.first_byte;
            if self.tail.first_line + 1 == last {
                next_byte = self
                    .tail
                    .after_break(next_byte)
                    .unwrap_or(self.tail.end_byte());
                self.tail.copy(self.tail.first_byte, next_byte, &mut data);
                end = next_byte;
            } else {
                data.push(b'\n');
                next_line = self.tail.first_line + 1;
            }
        } else if gap_after_head && end == self.head.end_byte() {
            next_byte = self.tail.first_byte;
            next_line = self.tail.first_line + 1;
        }
        OutputPage {
            data: into_text(data),
            start_line: line + 1,
            end_line: last,
            next_line_offset: next_line,
            start_byte: start,
            end_byte: end,
            next_byte_offset: next_byte,
            has_more: next_byte < self.bytes_total,
            ..self.nothing(0, 0)
        }
    }

    fn bytes(&self, offset: u64, limit: u64) -> OutputPage {
        let segment = if offset < self.head.end_byte() {
            &self.head
        } else {
            &self.tail
        };
        let start = offset.max(segment.first_byte);
        if start >= segment.end_byte() {
            return self.nothing(self.lines_total + 1, offset);
        }
        let start = segment.boundary_from(start);
        let wanted = start.saturating_add(limit).min(segment.end_byte());
        let mut end = segment.boundary_up_to(wanted);
        if end <= start && start < segment.end_byte() {
            end = segment.boundary_from(start + 1);
        }
        let mut data = Vec::with_capacity((end - start) as usize);
        segment.copy(start, end, &mut data);
        let start_line = segment.line_of(start) + 1;
        let breaks = memchr::memchr_iter(b'\n', &data).count() as u64;
        let ends_with_break = data.last() == Some(&b'\n');
        let next = if end == self.head.end_byte() && self.bytes_dropped() > 0 {
            self.tail.first_byte
        } else {
            end
        };
        OutputPage {
            data: into_text(data),
            start_line,
            end_line: start_line + breaks - u64::from(ends_with_break),
            next_line_offset: start_line + breaks,
            start_byte: start,
            end_byte: end,
            next_byte_offset: next,
            has_more: next < self.bytes_total,
            ..self.nothing(0, 0)
        }
    }

    /// A page without text, for a reader that is at the end.
    fn nothing(&self, next_line_offset: u64, next_byte_offset: u64) -> OutputPage {
        OutputPage {
            data: String::new(),
            start_line: 0,
            end_line: 0,
            next_line_offset,
            total_lines: self.lines_total,
            start_byte: next_byte_offset,
            end_byte: next_byte_offset,
            next_byte_offset,
            total_bytes: self.bytes_total,
            dropped_bytes: self.bytes_dropped(),
            has_more: false,
        }
    }

    fn head_ends_inside_a_line(&self) -> bool {
        !self.head.is_empty()
            && self.head.entry(self.head.end_entry() - 1).end_is_cut()
            && self.bytes_dropped() > 0
    }
}
