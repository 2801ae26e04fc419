use std::borrow::Cow;

/// Keeps the start and the end of a text that is too long, with a line between them that tells what
/// is missing. The ends of lines are preferred as places to cut.
pub(super) fn head_and_tail<'a>(
    text: &'a str,
    bytes_max: usize,
    whole: impl FnOnce() -> String,
) -> Cow<'a, str> {
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let half = bytes_max / 2;
    let head = cut_before(text, half);
    let tail = cut_after(text, text.len() - half);
    let left_out = text.len() - head.len() - tail.len();
    let whole = whole();
    Cow::Owned(format!(
        "{}\n[... {left_out} of {} bytes left out here; {whole} ...]\n{}",
        head.trim_end_matches('\n'),
        text.len(),
        tail.trim_start_matches('\n'),
    ))
}

/// The text up to the last line break before `at`, when one is near.
fn cut_before(text: &str, at: usize) -> &str {
    let at = text.floor_char_boundary(at);
    let near = text.floor_char_boundary(at - at / 4);
    match text[near..at].rfind('\n') {
        Some(line_break) => &text[..=near + line_break],
        None => &text[..at],
    }
}

/// The text from the first line break after `at`, when one is near.
fn cut_after(text: &str, at: usize) -> &str {
    let at = text.ceil_char_boundary(at);
    let near = text.ceil_char_boundary(at + (text.len() - at) / 4);
    match text[at..near].find('\n') {
        Some(line_break) => &text[at + line_break + 1..],
        None => &text[at..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str, bytes_max: usize) -> Cow<'_, str> {
        head_and_tail(text, bytes_max, || "ask for all".into())
    }

    #[test]
    fn a_text_that_fits_is_left_alone() {
        assert!(matches!(cut("abc", 3), Cow::Borrowed("abc")));
    }

    #[test]
    fn head_and_tail_stay_and_the_gap_is_told() {
        let text = (0..1000)
            .map(|line| format!("line {line}\n"))
            .collect::<String>();
        let short = cut(&text, 400);
        assert!(short.starts_with("line 0\nline 1\n"), "{short}");
        assert!(short.ends_with("line 998\nline 999\n"), "{short}");
        assert!(short.contains(&format!(
            "of {} bytes left out here; ask for all",
            text.len()
        )));
        assert!(short.len() < 400 + 100);
        // Cut at the ends of lines: each line is whole or absent.
        for line in short.lines().filter(|line| !line.starts_with('[')) {
            assert!(text.contains(&format!("{line}\n")), "{line}");
        }
    }

    #[test]
    fn one_long_line_of_wide_characters_is_cut_between_them() {
        let text = "é".repeat(5000);
        let short = cut(&text, 1001);
        assert!(short.starts_with('é') && short.ends_with('é'));
        assert!(short.len() < 1100);
    }
}
