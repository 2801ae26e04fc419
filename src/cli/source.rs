use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::args::LanguageArg;

/// Code, and what its file's name tells of its language.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The source text.
    pub code: String,
    /// Its language.
    pub language: LanguageArg,
}

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The argument ends like a file's name, and there is no such file.
    #[error("there is no file {}", path.display())]
    NoFile {
        /// The argument.
        path: PathBuf,
    },
    /// The file or the standard input can't be read, or is no UTF-8.
    #[error("can't read {from}: {source}")]
    Read {
        /// Where it was to come from.
        from: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl Source {
    /// Reads what the argument means: the standard input, a file, or the code itself.
    pub fn read(argument: &str, language: LanguageArg) -> Result<Self, Error> {
        if argument == "-" {
            let mut code = String::new();
            let from = || "the standard input".to_owned();
            io::stdin()
                .read_to_string(&mut code)
                .map_err(|source| Error::Read {
                    from: from(),
                    source,
                })?;
            return Ok(Self { code, language });
        }
        let path = Path::new(argument);
        let by_name = language_of(path);
        if path.is_file() {
            let code = fs::read_to_string(path).map_err(|source| Error::Read {
                from: argument.to_owned(),
                source,
            })?;
            let language = match language {
                LanguageArg::Auto => by_name.unwrap_or(LanguageArg::Auto),
                told => told,
            };
            return Ok(Self { code, language });
        }
        // Code such as `input.js` is rarer than a slip in a file's name.
        if by_name.is_some() && !argument.contains(char::is_whitespace) {
            return Err(Error::NoFile {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            code: argument.to_owned(),
            language,
        })
    }
}

fn language_of(path: &Path) -> Option<LanguageArg> {
    match path.extension()?.to_str()? {
        "js" | "mjs" | "cjs" => Some(LanguageArg::JavaScript),
        "ts" | "mts" | "cts" => Some(LanguageArg::TypeScript),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_code() {
        let source = Source::read("1 + 2", LanguageArg::Auto).unwrap();
        assert_eq!(
            source,
            Source {
                code: "1 + 2".into(),
                language: LanguageArg::Auto
            }
        );
    }

    #[test]
    fn a_file_tells_its_language_by_its_name() {
        let file = tempfile::Builder::new().suffix(".ts").tempfile().unwrap();
        fs::write(file.path(), "let a: number = 1").unwrap();
        let name = file.path().to_str().unwrap();
        let source = Source::read(name, LanguageArg::Auto).unwrap();
        assert_eq!(source.code, "let a: number = 1");
        assert_eq!(source.language, LanguageArg::TypeScript);
        let source = Source::read(name, LanguageArg::JavaScript).unwrap();
        assert_eq!(source.language, LanguageArg::JavaScript);
    }

    #[test]
    fn a_files_name_without_a_file_is_a_slip() {
        let error = Source::read("no-such-file.js", LanguageArg::Auto).unwrap_err();
        assert_eq!(error.to_string(), "there is no file no-such-file.js");
    }
}
