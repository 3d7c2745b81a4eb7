//! What is wrong in a file, where, and how to mend it.

use std::fmt;

/// One fault of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as the user names it.
    pub file: String,
    /// From 1; 0 when the fault is not about a line (a missing file).
    pub line: usize,
    /// From 1, in characters; 0 as for `line`.
    pub column: usize,
    /// What is wrong: lower case, no full stop, never a value that may be a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault at a line and column.
    pub fn new(file: impl Into<String>, (line, column): (usize, usize), message: impl Into<String>) -> Self {
        Self { file: file.into(), line, column, message: message.into(), hint: None }
    }

    /// A fault of the file as a whole.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(file, (0, 0), message)
    }

    /// The same fault with a way to mend it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

/// Collects the faults of one document.
#[derive(Debug)]
pub struct Faults<'a> {
    file: &'a str,
    map: &'a super::SourceMap,
    faults: Vec<Fault>,
}

impl<'a> Faults<'a> {
    /// No fault yet.
    pub fn new(file: &'a str, map: &'a super::SourceMap) -> Self {
        Self { file, map, faults: Vec::new() }
    }

    /// Notes a fault at a JSON pointer.
    pub fn add(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Fault::new(self.file, self.map.position(pointer), message));
    }

    /// Notes a fault at a JSON pointer, with a way to mend it.
    pub fn add_with_hint(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.faults.push(Fault::new(self.file, self.map.position(pointer), message).with_hint(hint));
    }

    /// The value if there is no fault, else every fault in the order of the lines.
    ///
    /// # Errors
    /// The faults, if any.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Vec<Fault>> {
        let mut faults = self.faults;
        faults.sort_by_key(|fault| (fault.line, fault.column));
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            Some(_) => Err(faults),
            None if faults.is_empty() => Err(vec![Fault::of_file(self.file, "the file cannot be used")]),
            None => Err(faults),
        }
    }
}
