use super::*;

fn line(level: ConsoleLevel, text: &str) -> ConsoleLine {
    ConsoleLine {
        level: level as i32,
        text: text.to_owned(),
    }
}

fn log(text: &str) -> ConsoleLine {
    line(ConsoleLevel::Log, text)
}

fn lines_page(output: &Output, offset: u64, limit: u64) -> OutputPage {
    output.page(OutputQuery::Lines { offset, limit })
}

fn bytes_page(output: &Output, offset: u64, limit: u64) -> OutputPage {
    output.page(OutputQuery::Bytes { offset, limit })
}

/// All pages by lines, as a client reads them.
fn read_by_lines(output: &Output, limit: u64) -> String {
    let mut text = String::new();
    let mut offset = 1;
    loop {
        let page = lines_page(output, offset, limit);
        text += &page.data;
        assert!(page.next_line_offset >= offset, "sent back");
        if !page.has_more {
            return text;
        }
        assert!(page.next_line_offset > offset, "stuck at {offset}");
        offset = page.next_line_offset;
    }
}

fn read_by_bytes(output: &Output, limit: u64) -> String {
    let mut text = String::new();
    let mut offset = 0;
    loop {
        let page = bytes_page(output, offset, limit);
        text += &page.data;
        if !page.has_more {
            return text;
        }
        assert!(page.next_byte_offset > offset, "stuck at {offset}");
        offset = page.next_byte_offset;
    }
}

#[test]
fn levels_have_prefixes() {
    let mut output = Output::new(1000);
    for level in [
        ConsoleLevel::Log,
        ConsoleLevel::Debug,
        ConsoleLevel::Info,
        ConsoleLevel::Warn,
        ConsoleLevel::Error,
    ] {
        output.push(&line(level, "x"));
    }
    assert_eq!(output.render(), "x\nx\n[INFO] x\n[WARN] x\n[ERROR] x\n");
    assert_eq!(output.bytes_dropped(), 0);
}

#[test]
fn nothing_is_dropped_up_to_the_limit() {
    let mut output = Output::new(90);
    let mut whole = String::new();
    for letter in ["a", "b", "c"] {
        output.push(&log(&letter.repeat(29)));
        whole += &letter.repeat(29);
        whole.push('\n');
    }
    assert_eq!(output.bytes_dropped(), 0);
    assert_eq!(output.render(), whole);
    output.push(&log("d"));
    assert!(output.bytes_dropped() > 0);
    assert_eq!(output.bytes_total(), 92);
}

#[test]
fn head_and_tail_are_kept_and_the_gap_is_told() {
    let mut output = Output::new(1000);
    for number in 0..10_000 {
        output.push(&log(&format!("line {number}")));
        assert!(output.head.len() + output.tail.len() <= 1000);
    }
    let text = output.render();
    assert!(text.starts_with("line 0\nline 1\n"));
    assert!(text.ends_with("line 9998\nline 9999\n"));
    let marker = format!("[... {} bytes left out ...]\n", output.bytes_dropped());
    assert!(text.contains(&marker));
    assert_eq!(
        text.len() - marker.len() + output.bytes_dropped() as usize,
        output.bytes_total() as usize
    );
}

#[test]
fn one_huge_line_keeps_its_start_and_its_end() {
    let mut output = Output::new(100);
    output.push(&line(
        ConsoleLevel::Info,
        &format!("first{}last", "é".repeat(5000)),
    ));
    let text = output.render();
    assert!(text.starts_with("[INFO] firsté"), "{text}");
    assert!(text.ends_with("élast\n"), "{text}");
    assert_eq!(output.bytes_total(), 7 + 5 + 10_000 + 4 + 1);
    assert_eq!(output.lines_total, 1);

    let page = lines_page(&output, 1, 10);
    assert_eq!((page.start_line, page.end_line), (1, 1));
    assert!(page.data.starts_with("[INFO] first") && page.data.ends_with("last\n"));
    assert!(page.data.contains("bytes left out"));
    assert!(!page.has_more);
    assert_eq!(page.next_line_offset, 2);
}

#[test]
fn paging_by_lines_and_bytes_gives_everything_once() {
    let mut output = Output::new(360_000);
    let mut whole = String::new();
    for number in 0..20_000_u32 {
        let text = match number % 7 {
            0 => String::new(),
            1 => "two\nlines".to_owned(),
            2 => "ünïcödé 🦀".repeat(3),
            _ => format!("line {number}"),
        };
        output.push(&log(&text));
        whole += &text;
        whole.push('\n');
    }
    assert_eq!(output.bytes_dropped(), 0);
    assert!(!output.tail.is_empty(), "both halves are in use");
    assert_eq!(output.render(), whole);
    for limit in [1, 7, 100, 5000] {
        assert!(read_by_lines(&output, limit) == whole, "by {limit} lines");
    }
    for limit in [1, 3, 4096, 1 << 22] {
        assert!(read_by_bytes(&output, limit) == whole, "by {limit} bytes");
    }

    // A line is found by its number, wherever it is.
    let by_line: Vec<_> = whole.split_inclusive('\n').collect();
    assert_eq!(output.lines_total, by_line.len() as u64);
    for number in (1..=by_line.len()).step_by(97) {
        let page = lines_page(&output, number as u64, 1);
        assert_eq!(page.data, by_line[number - 1]);
        assert_eq!(
            (page.start_line, page.end_line),
            (number as u64, number as u64)
        );
        let same = bytes_page(&output, page.start_byte, page.data.len() as u64);
        assert_eq!(same.data, page.data);
        assert_eq!(
            (same.start_line, same.end_line),
            (number as u64, number as u64)
        );
        assert_eq!(same.next_line_offset, number as u64 + 1);
    }
}

#[test]
fn pages_jump_over_the_gap_and_keep_their_numbers() {
    let mut output = Output::new(1000);
    let mut by_line = Vec::new();
    for number in 1..=5000 {
        output.push(&log(&format!("line {number}")));
        by_line.push(format!("line {number}\n"));
    }
    let mut offset = 1;
    let mut seen = 0;
    loop {
        let page = lines_page(&output, offset, 10);
        let expected: String =
            by_line[page.start_line as usize - 1..page.end_line as usize].concat();
        assert_eq!(page.data, expected);
        seen += page.data.len() as u64;
        offset = page.next_line_offset;
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen + output.bytes_dropped(), output.bytes_total());
    assert_eq!(offset, 5001);
    assert_eq!(read_by_bytes(&output, 64).len() as u64, seen);

    // In the gap: the first line after it. At the end: nothing, and the reader stays where it is.
    let page = lines_page(&output, 2000, 1);
    assert!(page.start_line > 2000);
    assert_eq!(page.data, by_line[page.start_line as usize - 1]);
    let page = lines_page(&output, 5001, 10);
    assert_eq!(
        (page.data.as_str(), page.next_line_offset, page.has_more),
        ("", 5001, false)
    );
    let page = bytes_page(&output, output.bytes_total(), 10);
    assert_eq!(
        (page.data.as_str(), page.next_byte_offset),
        ("", output.bytes_total())
    );
}

#[test]
fn a_poller_that_reads_while_lines_come_misses_none() {
    let mut output = Output::new(1 << 16);
    let mut offset = 1;
    let mut read = String::new();
    let mut whole = String::new();
    for number in 0..1000 {
        output.push(&log(&format!("line {number}")));
        whole += &format!("line {number}\n");
        if number % 3 == 0 {
            let page = lines_page(&output, offset, 100);
            read += &page.data;
            offset = page.next_line_offset;
        }
    }
    read += &lines_page(&output, offset, 100).data;
    assert_eq!(read, whole);
}

#[test]
fn empty_lines_are_bounded_too() {
    let mut output = Output::new(4096);
    for _ in 0..100_000 {
        output.push(&log(""));
    }
    assert!(output.head.entry_count() + output.tail.entry_count() <= 4096 / ENTRY_BYTES_MIN);
    assert!(output.kept_bytes() < 5 * 4096, "{}", output.kept_bytes());
    assert_eq!(output.bytes_total(), 100_000);
    assert_eq!(output.lines_total, 100_000);
}

#[test]
fn a_tiny_limit_works() {
    for bytes_max in 1..20 {
        let mut output = Output::new(bytes_max);
        for _ in 0..10 {
            output.push(&line(ConsoleLevel::Error, "é🦀é\n🦀"));
        }
        assert!(output.head.len() + output.tail.len() <= bytes_max as usize);
        assert_eq!(output.bytes_total(), 10 * 22);
        assert_eq!(output.lines_total, 20);
        read_by_lines(&output, 1);
        read_by_bytes(&output, 1);
        let mut cursor = Cursor::default();
        while output.next(&mut cursor) != Entries::None {}
    }
}

#[test]
fn a_follower_gets_each_entry_once_with_its_level() {
    let mut output = Output::new(1 << 16);
    let mut cursor = Cursor::default();
    assert_eq!(output.next(&mut cursor), Entries::None);
    output.push(&line(ConsoleLevel::Warn, "a\nb"));
    output.push(&log(""));
    assert_eq!(
        output.next(&mut cursor),
        Entries::Some(vec![
            (1, ConsoleLevel::Warn, "a\nb".to_owned()),
            (2, ConsoleLevel::Log, String::new()),
        ])
    );
    assert_eq!(output.next(&mut cursor), Entries::None);
    output.push(&log("c"));
    let mut late = output.cursor_after(2);
    assert_eq!(late, cursor);
    let last = Entries::Some(vec![(3, ConsoleLevel::Log, "c".to_owned())]);
    assert_eq!(output.next(&mut late), last);
    assert_eq!(output.cursor_after(99), late);
}

#[test]
fn a_slow_follower_is_told_what_it_missed() {
    let mut output = Output::new(1000);
    for number in 1..=1000 {
        output.push(&log(&format!("line {number}")));
    }
    let mut cursor = Cursor::default();
    let mut next = 1;
    let mut missed = 0;
    loop {
        match output.next(&mut cursor) {
            Entries::Some(batch) => {
                for (number, _, text) in batch {
                    assert_eq!(number, next);
                    assert_eq!(text, format!("line {number}"));
                    next += 1;
                }
            }
            Entries::Gap {
                last,
                entries,
                bytes,
            } => {
                assert_eq!(last + 1, next + entries);
                assert_eq!(bytes, output.bytes_dropped());
                missed += entries;
                next = last + 1;
            }
            Entries::None => break,
        }
    }
    assert_eq!(next, 1001);
    assert!(missed > 0);
    // One that comes back with a number inside the gap is told only of the rest of it.
    let mut cursor = output.cursor_after(500);
    match output.next(&mut cursor) {
        Entries::Gap { last, entries, .. } => assert_eq!(entries, last - 500),
        other => panic!("expected a gap, got {other:?}"),
    }
}
