//! Prints what came of an execution; a server's reply and an execution of this program look the same.

use std::io::Write;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::Exit;

/// What is printed of an execution.
#[derive(Debug, Deserialize)]
pub struct Report {
    status: String,
    result_text: Option<String>,
    error: Option<ErrorReport>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    output: String,
}

#[derive(Debug, Deserialize)]
struct ErrorReport {
    code: String,
    name: String,
    message: String,
    stack: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    hint: Option<String>,
}

impl Report {
    /// From an execution's JSON.
    pub fn parse(json: &[u8]) -> anyhow::Result<Self> {
        serde_json::from_slice(json).context("this is no execution")
    }

    /// The exit for the execution's status.
    pub fn exit(&self) -> anyhow::Result<Exit> {
        match Exit::of_status(&self.status) {
            Some(exit) => Ok(exit),
            None => bail!("the execution has not ended: it is {}", self.status),
        }
    }

    /// The console's output, as it was kept.
    pub fn print_output(&self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(self.output.as_bytes())?;
        if !self.output.is_empty() && !self.output.ends_with('\n') {
            writeln!(out)?;
        }
        Ok(())
    }

    /// The result to `out`, or the error to `err`; and to `err` the warnings.
    pub fn print_end(&self, out: &mut impl Write, err: &mut impl Write) -> std::io::Result<()> {
        for warning in &self.warnings {
            writeln!(err, "warning: {warning}")?;
        }
        match (&self.error, &self.result_text) {
            (Some(error), _) => error.print(err),
            (None, Some(text)) => writeln!(out, "{text}"),
            (None, None) => Ok(()),
        }
    }
}

impl ErrorReport {
    fn print(&self, err: &mut impl Write) -> std::io::Result<()> {
        match &self.stack {
            // V8 puts name and message at the head of a stack.
            Some(stack) if stack.contains(&self.message) => writeln!(err, "{stack}")?,
            Some(stack) => writeln!(err, "{}: {}\n{stack}", self.name, self.message)?,
            None => writeln!(err, "{}: {}", self.name, self.message)?,
        }
        match (self.line, self.column) {
            (Some(line), Some(column)) => {
                writeln!(err, "({} at line {line}, column {column})", self.code)?;
            }
            _ => writeln!(err, "({})", self.code)?,
        }
        match &self.hint {
            Some(hint) => writeln!(err, "{hint}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: &str) -> (Exit, String, String) {
        let report = Report::parse(json.as_bytes()).unwrap();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        report.print_output(&mut out).unwrap();
        report.print_end(&mut out, &mut err).unwrap();
        (
            report.exit().unwrap(),
            String::from_utf8(out).unwrap(),
            String::from_utf8(err).unwrap(),
        )
    }

    #[test]
    fn a_completed_execution_shows_its_output_and_its_result() {
        let json = r#"{"status":"completed","result":3,"result_text":"3","output":"hi","new":1,
                       "warnings":["one interval was cleared"]}"#;
        let (exit, out, err) = printed(json);
        assert_eq!(exit, Exit::Completed);
        assert_eq!(out, "hi\n3\n");
        assert_eq!(err, "warning: one interval was cleared\n");
    }

    #[test]
    fn a_failed_one_shows_its_error_apart() {
        let json = r#"{"status":"failed","output":"hi\n","error":{"code":"script_error",
            "name":"TypeError","message":"no","stack":"TypeError: no\n    at 1:7","line":1,"column":7}}"#;
        let (exit, out, err) = printed(json);
        assert_eq!(exit.code(), 1);
        assert_eq!(out, "hi\n");
        assert_eq!(
            err,
            "TypeError: no\n    at 1:7\n(script_error at line 1, column 7)\n"
        );
    }

    #[test]
    fn each_final_status_has_an_exit_of_its_own() {
        let names = [
            "completed",
            "failed",
            "timed_out",
            "cancelled",
            "out_of_memory",
            "crashed",
        ];
        let codes = names.map(|name| Exit::of_status(name).unwrap().code());
        assert_eq!(codes, [0, 1, 124, 130, 137, 139]);
        assert_eq!(Exit::of_status("running"), None);
    }
}
