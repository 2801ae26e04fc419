use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;
use process_image::inspect::{Differences, MappingKind, differences, mapping_of};
use process_image::layout::PAGE;
use process_image::{ImageHeader, Mapping};
use serde::Serialize;

use super::file::ImageFile;
use crate::cli::Exit;
use crate::cli::args::ImageInspectArgs;
use crate::workers::Engine;

/// What there is to tell of an image.
#[derive(Debug, Serialize)]
struct Report {
    engine: String,
    /// `this program's`, `this program's, the base image`, or `another`.
    engine_is: &'static str,
    state: String,
    pages: u64,
    bytes: u64,
    pages_by_kind: BTreeMap<&'static str, u64>,
    mappings: Vec<MappingReport>,
    against: String,
    only_here: u64,
    only_there: u64,
    changed: u64,
    largest_changes: Vec<ChangeReport>,
}

#[derive(Debug, Serialize)]
struct MappingReport {
    start: String,
    end: String,
    protection: String,
    kind: &'static str,
    pages: u64,
}

#[derive(Debug, Serialize)]
struct ChangeReport {
    address: String,
    kind: &'static str,
    bytes: u32,
}

/// Prints what an image holds and how it differs from another.
pub fn inspect(args: &ImageInspectArgs) -> anyhow::Result<Exit> {
    let engine = Engine::embedded().context("can't load the engine")?;
    let opened = ImageFile::open(engine, &args.file).and_then(|image| {
        let other = ImageFile::open(engine, &args.against)?;
        Ok((image, other))
    });
    let (image, other) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            eprintln!("mcp-v8: {error:#}");
            return Ok(Exit::Failed);
        }
    };
    let differences = differences((&image.header, &image.file), (&other.header, &other.file))
        .context("can't read the images")?;
    let report = report(engine, &image.header, &args.against, differences, args.top);
    let text = match args.json {
        true => serde_json::to_string_pretty(&report)?,
        false => render(&report),
    };
    writeln!(io::stdout(), "{text}").context("can't write to the standard output")?;
    Ok(Exit::Completed)
}

fn report(
    engine: &Engine,
    image: &ImageHeader,
    against: &Path,
    mut differences: Differences,
    top: usize,
) -> Report {
    let mut pages_by_kind = BTreeMap::new();
    let mut mappings = Vec::new();
    for mapping in image.table().mappings() {
        let pages = pages_in(image, mapping);
        let kind = MappingKind::of(mapping).name();
        *pages_by_kind.entry(kind).or_insert(0) += pages;
        mappings.push(MappingReport {
            start: format!("{:#x}", mapping.start),
            end: format!("{:#x}", mapping.end),
            protection: letters(mapping.protection.bits()),
            kind,
            pages,
        });
    }
    let changed = differences.changed.len() as u64;
    differences
        .changed
        .sort_by_key(|(page, bytes)| (std::cmp::Reverse(*bytes), *page));
    let largest = differences.changed.into_iter().take(top);
    let engine_is = match image.engine() {
        id if id == engine.id() => "this program's",
        id if id == engine.base().engine() => "this program's, the base image",
        _ => "another",
    };
    Report {
        engine: image.engine().to_string(),
        engine_is,
        state: image.state().to_string(),
        pages: image.present().count(),
        bytes: image.file_bytes(),
        pages_by_kind,
        mappings,
        against: against.display().to_string(),
        only_here: differences.only_first,
        only_there: differences.only_second,
        changed,
        largest_changes: largest
            .map(|(page, bytes)| ChangeReport {
                address: format!("{:#x}", page * PAGE as u64),
                kind: mapping_of(image, page).map_or("none", |it| MappingKind::of(it).name()),
                bytes,
            })
            .collect(),
    }
}

fn pages_in(image: &ImageHeader, mapping: &Mapping) -> u64 {
    let (start, end) = (mapping.start / PAGE as u64, mapping.end / PAGE as u64);
    let ranges = image.present().ranges().iter();
    ranges
        .map(|range| range.end.min(end).saturating_sub(range.start.max(start)))
        .sum()
}

fn letters(bits: u64) -> String {
    [(1, 'r'), (2, 'w'), (4, 'x')]
        .map(|(bit, letter)| if bits & bit != 0 { letter } else { '-' })
        .iter()
        .collect()
}

fn render(report: &Report) -> String {
    let mut text = format!(
        "engine {} ({})\nstate  {}\n{} pages, {} bytes\n\n{:<31} {:<4} {:<10} {:>8}\n",
        report.engine,
        report.engine_is,
        report.state,
        report.pages,
        report.bytes,
        "mapping",
        "may",
        "kind",
        "pages"
    );
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("a String grows");
        text.push('\n');
    };
    for mapping in &report.mappings {
        line(format_args!(
            "{:<31} {:<4} {:<10} {:>8}",
            format!("{}-{}", mapping.start, mapping.end),
            mapping.protection,
            mapping.kind,
            mapping.pages
        ));
    }
    line(format_args!(""));
    for (kind, pages) in &report.pages_by_kind {
        line(format_args!("{pages:>8} pages of {kind}"));
    }
    line(format_args!(
        "\nagainst {}: {} pages only here, {} only there, {} differ",
        report.against, report.only_here, report.only_there, report.changed
    ));
    for change in &report.largest_changes {
        line(format_args!(
            "{:<16} {:<10} {:>5} bytes",
            change.address, change.kind, change.bytes
        ));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protections_are_told_as_the_kernel_does() {
        assert_eq!(letters(0), "---");
        assert_eq!(letters(3), "rw-");
        assert_eq!(letters(7), "rwx");
    }
}
