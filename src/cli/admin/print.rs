//! Tables for people and objects for programs, from the same values.

use std::io::{self, Write as _};

use serde::Serialize;

use super::args::Form;

/// Prints a value in the form that was asked for.
pub fn print<T: Serialize>(
    form: Form,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> io::Result<()> {
    let text = match form {
        Form::Json => serde_json::to_string_pretty(value).expect("plain data has a JSON form"),
        Form::Table => table(value),
    };
    writeln!(io::stdout().lock(), "{}", text.trim_end())
}

/// Columns that are as wide as their widest cell.
pub fn columns(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths);
        let padded: Vec<_> = cells
            .map(|(cell, &width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["n1".into(), "leader".into()],
            vec!["node-2".into(), String::new()],
        ];
        assert_eq!(
            columns(&["NAME", "ROLE"], &rows),
            "NAME    ROLE\nn1      leader\nnode-2"
        );
    }
}
