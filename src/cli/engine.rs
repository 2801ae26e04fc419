use std::fs::File;
use std::io::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use super::Exit;
use super::args::EngineArgs;
use crate::workers::Engine;

/// What there is to tell of the engine.
#[derive(Serialize)]
struct Report<'a> {
    id: String,
    v8_version: &'a str,
    v8_flags: &'a str,
    cpu_baseline: &'a str,
    /// What this CPU lacks of the baseline.
    cpu_lacks: Vec<&'static str>,
    program_bytes: usize,
    base_image_bytes: usize,
    base_image_pages: u64,
}

/// Tells what the workers of this program are.
pub async fn engine(args: EngineArgs) -> anyhow::Result<Exit> {
    let engine = match chosen(&args) {
        Ok(engine) => engine,
        Err(error) => {
            eprintln!("mcp-v8: {error:#}");
            return Ok(Exit::Failed);
        }
    };
    if let Some(path) = &args.save {
        let bytes = engine.to_file_bytes()?;
        let file = File::options().write(true).create_new(true).open(path);
        let written = file.and_then(|mut file| file.write_all(&bytes));
        written.with_context(|| format!("can't write {}", path.display()))?;
    }
    let facts = engine.facts();
    let report = Report {
        id: engine.id().to_string(),
        v8_version: &facts.v8_version,
        v8_flags: &facts.v8_flags,
        cpu_baseline: &facts.cpu_baseline,
        cpu_lacks: Engine::missing_features(),
        program_bytes: engine.program_bytes()?.len(),
        base_image_bytes: engine.base_bytes().len(),
        base_image_pages: engine.base().present().count(),
    };
    let text = match args.json {
        true => serde_json::to_string_pretty(&report)?,
        false => render(&report),
    };
    writeln!(io::stdout(), "{text}").context("can't write to the standard output")?;
    Ok(match report.cpu_lacks.is_empty() {
        true => Exit::Completed,
        false => Exit::Failed,
    })
}

fn chosen(args: &EngineArgs) -> anyhow::Result<&'static Engine> {
    if let Some(path) = &args.file {
        let bytes =
            std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        return Ok(Engine::from_file_bytes(&bytes)?);
    }
    match &args.v8_flags {
        Some(flags) => Ok(Engine::with_v8_flags(flags)?),
        None => Engine::embedded().context("can't load the engine"),
    }
}

fn render(report: &Report<'_>) -> String {
    let cpu = match report.cpu_lacks.is_empty() {
        true => "this CPU has it".to_owned(),
        false => format!("this CPU lacks {}", report.cpu_lacks.join(", ")),
    };
    format!(
        "engine      {}\nV8          {}\nflags       {}\nCPU         {} ({cpu})\nprogram     {} bytes\n\
         base image  {} bytes, {} pages",
        report.id,
        report.v8_version,
        report.v8_flags,
        report.cpu_baseline,
        report.program_bytes,
        report.base_image_bytes,
        report.base_image_pages,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cpu_lacks_is_named() {
        let mut report = Report {
            id: "ab".to_owned(),
            v8_version: "1",
            v8_flags: "--x",
            cpu_baseline: "x86-64-v3",
            cpu_lacks: Vec::new(),
            program_bytes: 1,
            base_image_bytes: 2,
            base_image_pages: 3,
        };
        assert!(render(&report).contains("x86-64-v3 (this CPU has it)"));
        report.cpu_lacks = vec!["avx2", "fma"];
        assert!(render(&report).contains("(this CPU lacks avx2, fma)"));
    }
}
