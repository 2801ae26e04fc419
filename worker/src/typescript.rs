//! TypeScript: types are removed before the run, enums, namespaces and the like become JavaScript.
//!
//! It happens in the worker, so that a parser that is led astray takes only its own run with it.

use std::path::Path;

use oxc_allocator::Allocator;
use oxc_ast::ast::ModuleDeclaration;
use oxc_codegen::{Codegen, CodegenOptions};
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::{SourceType, Span};
use oxc_transformer::{TransformOptions, Transformer};

/// JavaScript made from TypeScript, and where its pieces came from.
pub struct Stripped {
    /// The JavaScript.
    pub code: String,
    positions: Vec<Position>,
}

/// A point in the output and where it was in the source, lines and columns from 0.
#[derive(Clone, Copy)]
struct Position {
    line: u32,
    column: u32,
    source_line: u32,
    source_column: u32,
}

/// Why code can't be understood: the message and the place, from 1.
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
}

impl Stripped {
    /// Where a place of the output, from 1, was in the source, from 1.
    pub fn source_position(&self, line: u32, column: u32) -> (u32, u32) {
        let at = (line.saturating_sub(1), column.saturating_sub(1));
        let past = self
            .positions
            .partition_point(|known| (known.line, known.column) <= at);
        match past.checked_sub(1).map(|index| self.positions[index]) {
            // Within one line of output a column moves along with the token before it.
            Some(known) if known.line == at.0 => (
                known.source_line + 1,
                known.source_column + (at.1 - known.column) + 1,
            ),
            Some(known) => (known.source_line + 1, known.source_column + 1),
            None => (line, column),
        }
    }
}

/// Whether `code` is JavaScript as far as its syntax goes, without `import` and `export`.
pub fn is_script(code: &str) -> bool {
    let allocator = Allocator::default();
    // A module, for top-level `await`.
    let parsed = Parser::new(&allocator, code, SourceType::mjs()).parse();
    let has_modules = parsed
        .program
        .body
        .iter()
        .any(|statement| statement.is_module_declaration());
    parsed.diagnostics.is_empty() && !has_modules
}

/// Whether `code` has an `import` or `export` declaration that is left when types are gone.
pub fn has_modules(code: &str) -> bool {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::ts()).parse();
    let modules = parsed
        .program
        .body
        .iter()
        .filter_map(|statement| statement.as_module_declaration());
    modules.into_iter().any(|module| match module {
        ModuleDeclaration::ImportDeclaration(import) => !import.import_kind.is_type(),
        ModuleDeclaration::ExportNamedDeclaration(export) => !export.export_kind.is_type(),
        other => !other.is_typescript_syntax(),
    })
}

/// Removes the types from `code`.
pub fn strip(code: &str) -> Result<Stripped, SyntaxError> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, code, SourceType::ts()).parse();
    if let Some(error) = parsed.diagnostics.into_iter().next() {
        return Err(syntax_error(code, &error));
    }
    let mut program = parsed.program;
    let scoping = SemanticBuilder::new()
        .with_excess_capacity(2.0)
        .with_enum_eval(true)
        .build(&program)
        .semantic
        .into_scoping();
    let path = Path::new("main.ts");
    let mut options = TransformOptions::default();
    // Bindings live on at the top level for later code: an import that is not used as a value is
    // still the only thing that may be dropped.
    options.typescript.only_remove_type_imports = true;
    let transformed =
        Transformer::new(&allocator, path, &options).build_with_scoping(scoping, &mut program);
    if let Some(error) = transformed.diagnostics.into_iter().next() {
        return Err(syntax_error(code, &error));
    }
    let printed = Codegen::new()
        .with_options(CodegenOptions {
            source_map_path: Some(path.to_path_buf()),
            ..CodegenOptions::default()
        })
        .build(&program);
    let positions = printed.map.map_or_else(Vec::new, |map| {
        map.get_tokens()
            .map(|token| Position {
                line: token.get_dst_line(),
                column: token.get_dst_col(),
                source_line: token.get_src_line(),
                source_column: token.get_src_col(),
            })
            .collect()
    });
    Ok(Stripped {
        code: printed.code,
        positions,
    })
}

fn syntax_error(code: &str, error: &oxc_diagnostics::OxcDiagnostic) -> SyntaxError {
    let offset = error.labels.first().map_or(0, |label| label.offset());
    let (line, column) = place(code, Span::new(offset, offset));
    SyntaxError {
        message: error.message.to_string(),
        line,
        column,
    }
}

/// The line and column of a byte offset, from 1; columns count UTF-16 units, as V8's do.
fn place(code: &str, span: Span) -> (u32, u32) {
    let mut offset = (span.start as usize).min(code.len());
    while !code.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &code[..offset];
    let line = before.matches('\n').count() as u32 + 1;
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    (line, before[line_start..].encode_utf16().count() as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_go_and_places_stay() {
        let code = "interface A { x: number }\nconst a: A = { x: 1 };\nfail(a as any);\n";
        let stripped = strip(code).ok().expect("valid");
        assert!(!stripped.code.contains("interface") && !stripped.code.contains("as any"));
        let line = stripped
            .code
            .lines()
            .position(|line| line.contains("fail"))
            .expect("kept");
        assert_eq!(stripped.source_position(line as u32 + 1, 1), (3, 1));
    }

    #[test]
    fn enums_and_namespaces_become_javascript() {
        let code =
            "enum Color { Red, Green = 5 }\nnamespace N { export const x = Color.Green }\nN.x";
        let stripped = strip(code).ok().expect("valid");
        assert!(is_script(&stripped.code), "{}", stripped.code);
    }

    #[test]
    fn an_error_has_its_place() {
        let error = strip("let x: number = 1;\nlet y: = 2;")
            .err()
            .expect("invalid");
        assert_eq!(error.line, 2);
        assert!(error.column >= 8, "{}", error.column);
    }

    #[test]
    fn modules_are_told_from_types() {
        assert!(has_modules("import fs from 'fs'"));
        assert!(has_modules("export const a = 1"));
        assert!(!has_modules(
            "import type { A } from './a'; const a: number = 1"
        ));
        assert!(!has_modules("const a = 1"));
    }
}
