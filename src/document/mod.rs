//! YAML documents that people write: text in, a typed value with positions out, or every fault at once.
//!
//! INVARIANT: no text makes this module panic or take memory beyond a small multiple of [`TEXT_BYTES_MAX`], and no
//! fault repeats a value, which may be a secret: it names the key. What a value means is left to the module that owns it.

mod closest;
mod fault;
mod repair;
mod schema;
mod structure;
mod yaml;

use serde_json::Value;

pub use closest::closest;
pub use fault::{Fault, Faults};
pub use schema::of as schema_of;
pub use yaml::SourceMap;

/// The longest text that is read.
pub const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Faults of the document's structure that are reported at once; more would drown the first.
const FAULTS_MAX: usize = 200;

/// Reads a text as a `T`: all faults of syntax or structure at once.
///
/// # Errors
/// Every fault, in the order of the lines.
pub fn parse<T: serde::de::DeserializeOwned + schemars::JsonSchema>(file: &str, text: &str) -> Result<(T, SourceMap), Vec<Fault>> {
    Reader::new().parse(file, text)
}

/// Reads many texts of one type; its schema is compiled once.
pub struct Reader<T> {
    schema: Value,
    validator: Result<jsonschema::Validator, String>,
    of: std::marker::PhantomData<fn() -> T>,
}

impl<T: serde::de::DeserializeOwned + schemars::JsonSchema> Default for Reader<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: serde::de::DeserializeOwned + schemars::JsonSchema> Reader<T> {
    /// A reader of `T`.
    pub fn new() -> Self {
        let schema = schema::of::<T>();
        let validator = jsonschema::draft202012::new(&schema).map_err(|fault| fault.to_string());
        Self { schema, validator, of: std::marker::PhantomData }
    }

    /// Reads a text.
    ///
    /// # Errors
    /// Every fault, in the order of the lines.
    pub fn parse(&self, file: &str, text: &str) -> Result<(T, SourceMap), Vec<Fault>> {
        let (value, map) = yaml::read(text).map_err(|faults| in_file(file, faults))?;
        if value.is_null() {
            return Err(vec![Fault::new(file, (1, 1), "the file is empty")]);
        }
        let validator = match &self.validator {
            Ok(validator) => validator,
            Err(reason) => return Err(vec![Fault::new(file, (1, 1), format!("the schema of this kind of file is unusable: {reason}"))]),
        };
        let faults = structure::faults(validator, &self.schema, &value, &map);
        if !faults.is_empty() {
            return Err(in_file(file, faults));
        }
        // The structure is known to be right; what serde still refuses cannot be quoted, for it would quote the value.
        match serde_json::from_value::<T>(value) {
            Ok(parsed) => Ok((parsed, map)),
            Err(_) => Err(vec![Fault::new(file, (1, 1), "the file holds a value that is out of range or of the wrong kind")]),
        }
    }

    /// Reads a text and checks what it means: the faults of structure and those of meaning come together.
    ///
    /// # Errors
    /// Every fault, in the order of the lines.
    pub fn check<U>(&self, file: &str, text: &str, check: impl FnOnce(T, SourceMap) -> Result<U, Vec<Fault>>) -> Result<U, Vec<Fault>> {
        let mut faults = match self.parse(file, text) {
            Ok((parsed, map)) => return check(parsed, map),
            Err(faults) => faults,
        };
        let repaired = self.repaired(text);
        if let Some((parsed, map)) = repaired
            && let Err(of_meaning) = check(parsed, map)
        {
            // Where the structure is at fault, the meaning is that of the repair.
            let places: Vec<(usize, usize)> = faults.iter().map(|fault| (fault.line, fault.column)).collect();
            faults.extend(of_meaning.into_iter().filter(|fault| !places.contains(&(fault.line, fault.column))));
        }
        Err(in_file(file, faults))
    }

    fn repaired(&self, text: &str) -> Option<(T, SourceMap)> {
        let (value, map) = yaml::read(text).ok()?;
        let value = repair::repair(self.validator.as_ref().ok()?, &self.schema, value)?;
        Some((serde_json::from_value(value).ok()?, map))
    }

    /// Reads the text without giving it a type: YAML as JSON.
    ///
    /// # Errors
    /// Every fault of syntax.
    pub fn value(file: &str, text: &str) -> Result<Value, Vec<Fault>> {
        yaml::read(text).map(|(value, _)| value).map_err(|faults| in_file(file, faults))
    }
}

fn in_file(file: &str, mut faults: Vec<Fault>) -> Vec<Fault> {
    for fault in &mut faults {
        file.clone_into(&mut fault.file);
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.dedup();
    faults.truncate(FAULTS_MAX);
    faults
}

#[cfg(test)]
mod tests;
