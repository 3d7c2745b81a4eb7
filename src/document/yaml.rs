//! YAML 1.2 (core schema) to a JSON value, with the place of every key and item.
//!
//! INVARIANT: memory is linear in the text: no aliases, no more than [`DEPTH_MAX`] levels, one place per node.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::{Map, Number, Value};

use super::{Fault, TEXT_BYTES_MAX};

/// Levels of nesting that are read; contracts have six.
const DEPTH_MAX: usize = 64;

/// Where each key and item of a document stands.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    root: Place,
}

#[derive(Debug, Clone, Default)]
struct Place {
    line: u32,
    column: u32,
    inner: Inner,
}

#[derive(Debug, Clone, Default)]
enum Inner {
    #[default]
    None,
    Items(Vec<Place>),
    Keys(HashMap<String, Place>),
}

impl SourceMap {
    /// Line and column, from 1, of the key or item at a JSON pointer, else of its nearest known ancestor.
    pub fn position(&self, json_pointer: &str) -> (usize, usize) {
        let mut place = &self.root;
        for segment in json_pointer.split('/').skip(1) {
            let next = match &place.inner {
                Inner::None => None,
                Inner::Items(items) => segment.parse::<usize>().ok().and_then(|index| items.get(index)),
                Inner::Keys(keys) => keys.get(&segment.replace("~1", "/").replace("~0", "~")),
            };
            match next {
                Some(next) => place = next,
                None => break,
            }
        }
        (place.line.max(1) as usize, place.column.max(1) as usize)
    }
}

impl Place {
    fn at(mark: Marker) -> Self {
        let (line, column) = position_of(mark);
        Self { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX), inner: Inner::None }
    }
}

fn position_of(mark: Marker) -> (usize, usize) {
    (mark.line().max(1), mark.col().saturating_add(1))
}

/// A JSON pointer's segment for a key.
pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Reads one document.
pub(super) fn read(text: &str) -> Result<(Value, SourceMap), Vec<Fault>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(vec![fault((1, 1), format!("the file is longer than {TEXT_BYTES_MAX} bytes"))]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(next) = parser.next_event() {
        let step = match next {
            Ok((event, span)) => builder.take(event, span.start),
            Err(error) => Err(syntax(text, *error.marker(), error.info())),
        };
        if let Err(fault) = step {
            builder.faults.push(fault);
            return Err(builder.faults);
        }
    }
    if !builder.faults.is_empty() {
        return Err(builder.faults);
    }
    match builder.root {
        Some((value, root)) => Ok((value, SourceMap { root })),
        None => Ok((Value::Null, SourceMap::default())),
    }
}

fn fault(position: (usize, usize), message: impl Into<String>) -> Fault {
    Fault::new("", position, message)
}

fn too_deep(position: (usize, usize)) -> Fault {
    fault(position, format!("more than {DEPTH_MAX} levels of nesting"))
}

fn syntax(text: &str, mark: Marker, info: &str) -> Fault {
    let position = position_of(mark);
    // The parser looks ahead and may meet its own limit before ours is counted.
    if info.contains("recursion limit") {
        return too_deep(position);
    }
    let line = text.lines().nth(position.0 - 1).unwrap_or_default();
    let indent: &str = line.get(..line.len() - line.trim_start().len()).unwrap_or_default();
    // The parser's words may quote a character of the text, never more.
    let found = fault(position, format!("the file is not valid YAML: {}", info.replace('`', "'")));
    if indent.contains('\t') { found.with_hint("YAML is indented with spaces, never with tabs") } else { found }
}

/// A collection that is still open.
enum Open {
    List { place: Place, values: Vec<Value>, places: Vec<Place> },
    Keyed { place: Place, values: Map<String, Value>, places: HashMap<String, Place>, key: Option<(String, Marker)> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<(Value, Place)>,
    documents: usize,
    faults: Vec<Fault>,
}

impl Builder {
    /// Takes one event; an `Err` ends the reading, a fault in `self.faults` does not.
    fn take(&mut self, event: Event<'_>, mark: Marker) -> Result<(), Fault> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(
                        fault(position_of(mark), "the file holds more than one document").with_hint("Put each into a file of its own.")
                    );
                }
                Ok(())
            }
            Event::Alias(_) => Err(fault(position_of(mark), "aliases (*name) are not read").with_hint("Write the value out.")),
            Event::Scalar(text, style, _, tag) => self.scalar(&text, style, tag.as_deref(), mark),
            Event::SequenceStart(_, tag) => {
                self.begin(mark, tag.as_deref())?;
                self.open.push(Open::List { place: Place::at(mark), values: Vec::new(), places: Vec::new() });
                Ok(())
            }
            Event::MappingStart(_, tag) => {
                self.begin(mark, tag.as_deref())?;
                self.open.push(Open::Keyed { place: Place::at(mark), values: Map::new(), places: HashMap::new(), key: None });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { mut place, values, places }) => {
                    place.inner = Inner::Items(places);
                    self.place(Value::Array(values), place)
                }
                Some(Open::Keyed { mut place, values, places, .. }) => {
                    place.inner = Inner::Keys(places);
                    self.place(Value::Object(values), place)
                }
                None => Err(fault(position_of(mark), "the file is not valid YAML: an end without a start")),
            },
        }
    }

    fn begin(&self, mark: Marker, tag: Option<&Tag>) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(position_of(mark)));
        }
        if matches!(self.open.last(), Some(Open::Keyed { key: None, .. })) {
            return Err(fault(position_of(mark), "a key must be a text")
                .with_hint("Put quotes around a key or value that starts with \"{\" or \"[\"."));
        }
        check_tag(tag, mark)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Marker) -> Result<(), Fault> {
        check_tag(tag, mark)?;
        if let Some(Open::Keyed { key, values, .. }) = self.open.last_mut()
            && key.is_none()
        {
            if values.contains_key(text) {
                self.faults
                    .push(fault(position_of(mark), format!("the key \"{text}\" is given twice")).with_hint("Remove one of the two."));
            }
            *key = Some((text.to_owned(), mark));
            return Ok(());
        }
        let value = if style == ScalarStyle::Plain && tag.is_none() { resolve(text) } else { Value::String(text.to_owned()) };
        self.place(value, Place::at(mark))
    }

    /// Puts a finished node where it belongs.
    fn place(&mut self, value: Value, mut place: Place) -> Result<(), Fault> {
        match self.open.last_mut() {
            None => self.root = Some((value, place)),
            Some(Open::List { values, places, .. }) => {
                values.push(value);
                places.push(place);
            }
            Some(Open::Keyed { values, places, key, .. }) => {
                let Some((key, mark)) = key.take() else {
                    return Err(fault((place.line as usize, place.column as usize), "a key must be a text"));
                };
                // A value stands where its key stands: that is where one looks for it.
                let at_key = Place::at(mark);
                (place.line, place.column) = (at_key.line, at_key.column);
                if !values.contains_key(&key) {
                    places.insert(key.clone(), place);
                    values.insert(key, value);
                }
            }
        }
        Ok(())
    }
}

/// `!!str` is the only tag with a use here; every other would change what a value is behind the reader's back.
fn check_tag(tag: Option<&Tag>, mark: Marker) -> Result<(), Fault> {
    match tag {
        None => Ok(()),
        Some(tag) if tag.is_yaml_core_schema() && matches!(tag.suffix.as_str(), "str" | "map" | "seq") => Ok(()),
        Some(_) => Err(fault(position_of(mark), "tags (!name) are not read").with_hint("Write the plain value.")),
    }
}

/// A plain scalar by the core schema of YAML 1.2: `no`, `on` and `2.1.0` are texts.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let number = whole(text).or_else(|| {
        let numeric = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
        let digits = text.bytes().any(|byte| byte.is_ascii_digit());
        if numeric && digits { text.parse::<f64>().ok().and_then(Number::from_f64) } else { None }
    });
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn whole(text: &str) -> Option<Number> {
    let unsigned = |digits: &str, radix: u32| {
        digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| u64::from_str_radix(digits, radix).ok()).flatten().map(Number::from)
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return unsigned(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return unsigned(digits, 8);
    }
    text.parse::<i64>().ok().map(Number::from).or_else(|| text.parse::<u64>().ok().map(Number::from))
}
